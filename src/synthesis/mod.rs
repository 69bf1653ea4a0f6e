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

mod history;
mod metamer;
mod objective;
mod optimiser;
mod panel;
mod plan;
mod problem;
mod progress;
mod recipe;
mod recipe_table;
mod record;
mod reproduction;
mod reproduction_panel;
mod run;
mod stamp;
mod state;

pub use history::Point;
pub use metamer::Metamer;
pub use plan::Synthesis;
pub use progress::{StopReason, Progress};
pub use recipe::{Lbfgs, Loss, Optimizer, Plateau, Recipe, Initialization};
pub use reproduction::Reproduction;
pub use run::Run;
pub(crate) use stamp::CANDLE;
pub use stamp::Provenance;

/// What a prepared stimulus looks like in little, to this network.
pub(crate) fn thumbnail(
    stimulus: &crate::stimulus::Stimulus,
    network: &crate::network::Network,
) -> crate::display::Raster {
    panel::thumbnail(stimulus, stimulus, panel::ear(network).as_ref())
}

/// Original and metamer as panels, the metamer under this title.
pub(crate) fn panels(metamer: &Metamer, title: &str) -> [crate::display::Panel; 2] {
    panel::look(&metamer.original, &metamer.stimulus, metamer.ear.as_ref(), title)
}
