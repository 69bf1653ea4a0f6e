//! What a notebook has loaded when it starts.
//!
//! ```
//! use metamers::prelude::*;
//!
//! let tone = Sound::tone(20_000, 2.0, 440.0, 0.5)?;
//! let heard = Cochleagram::feather2023()?.of(&tone)?;
//! assert_eq!(heard.dims(), [1, 1, 211, 390]);
//! # Ok::<(), metamers::Error>(())
//! ```

pub use crate::candle::{DType, Device, Tensor, Var};
pub use crate::display::{Bars, Figure, HeatMap, LinePlot, Palette, Panel, Player, Players, Show, Table};
pub use crate::experiment::analysis::{
    Analysis, Answers, ExclusionRule, Published, Recognition, SimulatedClass, StageEffect,
};
pub use crate::experiment::{Choices, Item, RecognitionTask, Timing};
pub use crate::hearing::Cochleagram;
pub use crate::network::{HubFile, Input, NearestNeighbor, Network, OnnxOptions};
pub use crate::session_info::{SessionInfo, session_info};
pub use crate::similarity::{Similarity, snr_db};
pub use crate::stimulus::{Image, Noise, Sound, Stimulus, shipped_photos, shipped_recordings};
pub use crate::sweep::{Sweep, SweepResults};
pub use crate::synthesis::{
    Initialization, Loss, Metamer, Optimizer, Recipe, Reproduction, Run, StopReason, Synthesis,
};
pub use crate::training::{ConvNet, Cutouts, Dataset, Training};
pub use crate::verdict::{CrossNetwork, NullDistribution, Outcome, Verdict};
pub use crate::{Error, Result, candle, candle_nn, zoo};
pub use std::time::Duration;
