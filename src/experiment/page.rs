//! The HTML page of the experiment.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use super::{Item, Timing};
use crate::display::{Raster, escape, fill_template};
use crate::fs::sha256::hex_digest;
use crate::stimulus::Stimulus;
use crate::{Error, Result};

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = concat!(
    "\n\"use strict\";\n",
    include_str!("page/random.js"),
    include_str!("page/present.js"),
    include_str!("page/choose.js"),
    include_str!("page/record.js"),
    include_str!("page/screens.js"),
    include_str!("page/page.js"),
);

/// The input of the page's script; `page/record.js` and `page/page.js` use these names.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Content {
    /// Identifies the experiment in the answers and in the browser's storage.
    pub fingerprint: String,
    pub title: String,
    pub kind: &'static str,
    pub choices: Vec<String>,
    pub typed: bool,
    pub conditions: Vec<String>,
    pub consent: String,
    pub instructions: String,
    pub participant_code: bool,
    pub timing: Timing,
    /// A string, because JavaScript numbers cannot represent 64-bit integers.
    pub seed: String,
    pub practice_pass: usize,
    pub stimuli: Vec<TaskStimulus>,
    pub practice: Vec<SingleStimulus>,
    pub catch_trials: Vec<SingleStimulus>,
}

/// A stimulus with its versions.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct TaskStimulus {
    pub id: String,
    pub answer: String,
    pub versions: Vec<Version>,
}

/// A stimulus under one condition.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Version {
    /// The index of the condition.
    pub condition: usize,
    /// The stimulus as a data URL.
    pub source: String,
    #[serde(skip)]
    pub digest: String,
}

/// A stimulus of the practice block or a catch trial.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct SingleStimulus {
    pub id: String,
    pub answer: String,
    pub source: String,
    #[serde(skip)]
    pub digest: String,
}

impl SingleStimulus {
    pub fn new(item: &Item) -> Self {
        Self {
            id: item.id.clone(),
            answer: item.answer.clone(),
            source: data_url(&item.stimulus),
            digest: digest(&item.stimulus),
        }
    }
}

impl Content {
    /// The size of the stimuli in bytes, which is nearly that of the whole page.
    pub fn stimuli_bytes(&self) -> usize {
        let versions = self.stimuli.iter().flat_map(|stimulus| &stimulus.versions).map(|version| version.source.len());
        let single = self.practice.iter().chain(&self.catch_trials).map(|item| item.source.len());
        versions.chain(single).sum()
    }

    /// Creates the page, and the content with its fingerprint.
    pub fn page(mut self) -> Result<(String, Self)> {
        let json = |content: &Self| {
            serde_json::to_string(content)
                .map_err(|e| Error::invalid("task", format!("cannot be written as JSON ({e})")))
        };
        // What is shown decides, not the bytes of its PNG file, which a later version may compress in another way.
        let mut shown = self.clone();
        for version in shown.stimuli.iter_mut().flat_map(|stimulus| &mut stimulus.versions) {
            version.source.clone_from(&version.digest);
        }
        for stimulus in shown.practice.iter_mut().chain(&mut shown.catch_trials) {
            stimulus.source.clone_from(&stimulus.digest);
        }
        self.fingerprint = hex_digest(json(&shown)?.as_bytes())[..12].into();
        // In JSON, `<` occurs only in strings. Escaped, it cannot end the script or start a comment.
        let task = json(&self)?.replace('<', "\\u003c");
        let parts = [
            ("title", escape(&self.title)),
            ("style", STYLE.into()),
            ("script_sha256", STANDARD.encode(Sha256::digest(SCRIPT))),
            ("script", SCRIPT.into()),
            ("task", task),
        ];
        Ok((fill_template(PAGE, &parts), self))
    }
}

/// SHA-256 of what a page shows of a stimulus: the size and the pixels of 8 bits, or the file of a sound.
pub(super) fn digest(stimulus: &Stimulus) -> String {
    match stimulus {
        Stimulus::Image(image) => {
            let picture = Raster::from(image);
            let size = [picture.width(), picture.height()].map(|side| (side as u64).to_le_bytes());
            hex_digest(&[size.as_flattened(), picture.rgb()].concat())
        }
        Stimulus::Sound(sound) => hex_digest(&sound.to_wav16()),
    }
}

/// Encodes a stimulus as a data URL: PNG with 8 bits a channel, or WAV with 16-bit samples at the original level.
pub(super) fn data_url(stimulus: &Stimulus) -> String {
    let (kind, bytes) = match stimulus {
        Stimulus::Image(image) => ("image/png", Raster::from(image).png()),
        Stimulus::Sound(sound) => ("audio/wav", sound.to_wav16()),
    };
    format!("data:{kind};base64,{}", STANDARD.encode(bytes))
}
