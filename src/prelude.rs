//! The names that a notebook imports first: stimuli, networks, synthesis and verdicts.
//!
//! Sub-preludes hold further names: [`plots`], [`widgets`], [`networks`], [`recipes`], [`analysis`], [`training`].
//!
//! ```
//! use metamers::prelude::*;
//!
//! let tone = Sound::tone(20_000, 2.0, 440.0, 0.5)?;
//! let ear = zoo::cochcnn_words()?;
//! let mut run = Synthesis::new(&ear, "relu0", &tone)?.seed(7).start()?;
//! run.step(2)?;
//! # Ok::<(), metamers::Error>(())
//! ```

pub use crate::candle::{DType, Device, Tensor, Var};
#[doc(hidden)]
pub use crate::display::NotebookDisplay as _;
pub use crate::display::widgets::{Button, Compare, Dropdown, Slider, interact};
pub use crate::display::{Show, Table};
pub use crate::explorer::Explorer;
pub use crate::network::Network;
pub use crate::session_info::session_info;
pub use crate::similarity::{Similarity, snr_db};
pub use crate::stimulus::{Image, Noise, Sound, Stimulus, shipped_photos, shipped_recordings};
pub use crate::sweep::Sweep;
pub use crate::synthesis::{Match, Metamer, Recipe, Run, Stop, StopReason, Synthesis};
pub use crate::verdict::{Grade, NullDistribution, Outcome, Verdict};
pub use crate::{Error, Result, candle, candle_nn, zoo};
pub use std::time::Duration;

/// Plots, heat maps and players, and figures that combine them.
///
/// ```
/// use metamers::prelude::{plots::*, *};
///
/// let curve = LinePlot::new("loss").series("", vec![(1.0, 0.5), (2.0, 0.1)]);
/// Figure::new("A falling loss").row([Panel::plot(curve)]).show();
/// ```
pub mod plots {
    pub use crate::display::{Bars, Figure, HeatMap, LinePlot, Palette, Panel, Player, Players};
}

/// Widgets: sliders, menus, buttons, boxes, and tools that are built from them.
///
/// ```
/// use metamers::prelude::{widgets::*, *};
///
/// let seed = Slider::int("seed", 0..=9);
/// VBox::new([seed.widget(), Label::new("the seed of the noise").widget()]).show();
/// ```
pub mod widgets {
    pub use crate::display::widgets::*;
}

/// Types for your own networks, front ends and classifiers.
///
/// ```
/// use metamers::prelude::{networks::*, *};
///
/// let tone = Sound::tone(20_000, 2.0, 440.0, 0.5)?;
/// assert_eq!(Cochleagram::feather2023()?.compute(&tone)?.dims(), [1, 1, 211, 390]);
/// # Ok::<(), metamers::Error>(())
/// ```
pub mod networks {
    pub use crate::hearing::Cochleagram;
    #[cfg(not(target_family = "wasm"))]
    pub use crate::network::HubFile;
    pub use crate::network::{Input, NearestNeighbor, OnnxOptions};
    pub use crate::verdict::CrossNetwork;
}

/// The parts of recipes: losses, optimizers and initializations.
pub mod recipes {
    pub use crate::synthesis::{Initialization, Lbfgs, Loss, Optimizer, Plateau, Prior, Reproduction, Variables};
}

/// Recognition experiments and the analysis of their answers.
///
/// ```
/// use metamers::prelude::{analysis::*, *};
///
/// let answers = SimulatedParticipants::new([("natural", 0.9), ("block5", 0.3)]).participants(8).seed(7).answers()?;
/// assert!(answers.are_simulated());
/// # Ok::<(), metamers::Error>(())
/// ```
pub mod analysis {
    pub use crate::experiment::analysis::{
        Analysis, Answers, ExclusionRule, Published, Recognition, SimulatedParticipants, StageEffect,
    };
    pub use crate::experiment::{Choices, Item, RecognitionTask, Timing};
    pub use crate::sweep::SweepResults;
}

/// Training of small networks.
///
/// ```
/// use metamers::prelude::training::*;
///
/// assert_eq!(Cutouts::new(48)?.generate(4, 7)?.images().len(), 4);
/// # Ok::<(), metamers::Error>(())
/// ```
pub mod training {
    pub use crate::training::{ConvNet, Cutouts, Dataset, Training};
}
