//! Metamer synthesis by gradient descent on the stimulus.
//!
//! A [`Synthesis`] is the configuration; [`Synthesis::start`] returns a [`Run`], which can be stepped, displayed, saved and resumed;
//! [`Run::finish`] returns the [`Metamer`].
//!
//! ```
//! use metamers::prelude::*;
//!
//! let net = zoo::efficientnet_lite0()?;
//! let photo = Image::open("photos/giant_panda.jpg")?;
//! let mut run = Synthesis::new(&net, "stem", &photo)?.seed(7).start()?;
//! run.step(5)?;
//! let metamer = run.finish()?;
//! assert!(metamer.similarity().snr_db.unwrap() > 3.0);
//! # Ok::<(), metamers::Error>(())
//! ```

mod archive;
mod checkpoint;
mod comparable;
mod comparison;
mod different;
mod eigendistortion;
mod evaluator;
mod execution;
mod feature;
mod film;
mod goal;
mod history;
mod low_pass;
mod metamer;
mod optimizer;
mod output_metadata;
mod plot;
mod prior;
mod problem;
mod progress;
mod provenance;
mod push;
mod recipe;
mod recipe_table;
mod reproduce;
mod reproduce_plot;
mod run;
pub(crate) mod session_log;
mod snapshot;
mod stage_loss;
mod stop;
#[expect(clippy::module_inception, reason = "a file is named after the type that it holds")]
mod synthesis;

pub use comparison::Comparison;
pub use different::{Different, correlation_distance_of_pairs, mean_pairwise_distance};
pub use eigendistortion::{Eigendistortion, Eigendistortions};

pub use film::Film;
pub(crate) use goal::Restrictions;
pub use goal::{Bound, Mask, Match, Norm, OwnLoss, Penalty, Region, Statistic, Target};
pub use history::Point;
pub use metamer::Metamer;
pub use prior::Prior;
pub use problem::TargetMatch;
pub use progress::Progress;
pub(crate) use provenance::CANDLE_VERSION;
pub use provenance::Provenance;
pub(crate) use push::Push;
pub use recipe::{Initialization, Lbfgs, Loss, Optimizer, Plateau, Recipe, Variables};
pub use reproduce::Reproduction;
pub use run::Run;
pub use stop::{Stop, StopReason};
pub use synthesis::Synthesis;

/// Panels of original and metamer, the metamer with this title.
pub(crate) fn panels(metamer: &Metamer, title: &str) -> [crate::display::Panel; 2] {
    plot::stimulus_panels(&metamer.original, &metamer.stimulus, metamer.cochleagram.as_ref(), title)
}
