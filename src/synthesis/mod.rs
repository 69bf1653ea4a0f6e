//! Making metamers: gradient descent on the pixels, step by step.
//!
//! A [`Synthesis`] says what to make; [`Synthesis::start`] gives a [`Run`], which is stepped, shown, saved and resumed;
//! [`Run::finish`] gives the [`Metamer`].
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
mod history;
mod metamer;
mod optimizer;
mod plot;
mod problem;
mod progress;
mod provenance;
mod recipe;
mod recipe_table;
mod reproduce;
mod reproduce_plot;
mod run;
mod stage_loss;
mod synthesis;

pub use history::Point;
pub use metamer::Metamer;
pub use progress::{Progress, StopReason};
pub(crate) use provenance::CANDLE;
pub use provenance::Provenance;
pub use recipe::{Initialization, Lbfgs, Loss, Optimizer, Plateau, Recipe};
pub use reproduce::Reproduction;
pub use run::Run;
pub use synthesis::Synthesis;

/// What a prepared stimulus looks like in little, to this network.
pub(crate) fn thumbnail(
    stimulus: &crate::stimulus::Stimulus,
    network: &crate::network::Network,
) -> crate::display::Raster {
    plot::thumbnail(stimulus, stimulus, plot::ear(network).as_ref())
}

/// Original and metamer as panels, the metamer under this title.
pub(crate) fn panels(metamer: &Metamer, title: &str) -> [crate::display::Panel; 2] {
    plot::look(&metamer.original, &metamer.stimulus, metamer.ear.as_ref(), title)
}
