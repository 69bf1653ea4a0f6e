//! The requests of a page and their replies.

use metamers::stimulus::StimulusKind;
use serde::{Deserialize, Serialize};

/// A request of the page's worker. Files travel beside it as bytes.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Makes a file readable under a path, such as `assets/networks/efficientnet_lite0.safetensors`.
    Provide { path: String },
    /// Loads a network by name.
    Load { network: String },
    /// Opens the bytes of an image or sound file as the original.
    Original { name: String },
    /// Takes samples in `[-1, 1]`, little-endian float32, as the original.
    Recording { name: String, sample_rate: u32 },
    /// Starts a synthesis.
    Start {
        stage: String,
        recipe: String,
        /// A string, because JavaScript's numbers cannot represent 64-bit integers.
        seed: String,
    },
    /// Steps for about this time, or until the signal-to-noise ratio reaches `until` dB.
    Step { milliseconds: f64, until: f64 },
    /// Draws the current stimulus.
    Draw,
    /// Ends the synthesis and tests the metamer.
    Finish,
    /// Encodes the metamer: `png`, `wav` or `metamer`.
    Save { format: String },
}

/// The part of a reply that travels as JSON.
#[derive(Debug, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Reply {
    Done,
    Error {
        error: String,
    },
    Network(NetworkInfo),
    Original {
        classes: Vec<ClassInfo>,
        picture: Size,
        /// The duration of a sound in seconds.
        seconds: Option<f64>,
    },
    Progress(ProgressInfo),
    Picture {
        picture: Size,
    },
    Metamer(Box<MetamerInfo>),
    File {
        extension: &'static str,
    },
}

#[derive(Debug, Serialize)]
pub struct NetworkInfo {
    pub name: String,
    pub kind: StimulusKind,
    pub instructions: String,
    pub stages: Vec<StageInfo>,
    pub recipes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct StageInfo {
    pub name: String,
    pub shape: Vec<usize>,
    /// Multiply-accumulate operations up to this stage.
    pub macs: u64,
}

#[derive(Debug, Serialize)]
pub struct ClassInfo {
    pub name: String,
    pub probability: f64,
}

/// The size of an RGBA picture among the bytes of a reply.
#[derive(Debug, Serialize)]
pub struct Size {
    pub width: usize,
    pub height: usize,
}

#[derive(Debug, Serialize)]
pub struct ProgressInfo {
    /// The reason why the synthesis has ended; `None` while it can go on.
    pub ended: Option<String>,
    pub steps: usize,
    pub evaluations: usize,
    pub seconds: f64,
    pub snr_db: Option<f64>,
    /// Evaluation, signal-to-noise ratio in dB and loss of each evaluation since the last reply.
    pub points: Vec<(usize, f64, f64)>,
}

#[derive(Debug, Serialize)]
pub struct MetamerInfo {
    pub snr_db: Option<f64>,
    pub spearman: Option<f64>,
    pub pearson: Option<f64>,
    pub well_matched: bool,
    pub original: Option<ClassInfo>,
    pub metamer: Option<ClassInfo>,
    pub recipe: String,
    /// The content that the recipe gives a stimulus where the stage leaves it open.
    pub prior: String,
    /// Symbol, outcome, grade and reason of the verdict, or why there is none.
    pub verdict: std::result::Result<VerdictInfo, String>,
    pub picture: Size,
}

#[derive(Debug, Serialize)]
pub struct VerdictInfo {
    pub symbol: String,
    pub outcome: String,
    pub grade: String,
    pub reason: String,
}
