//! Is it a metamer?
//!
//! [`Similarity`] says how alike two sets of activations are, [`Null`] how alike natural stimuli are by chance, and
//! [`Metamer::verdict`](crate::synthesis::Metamer::verdict) puts the two together with what the network says that it hears or sees.
//! ```
//! use metamers::prelude::*;
//!
//! let net = zoo::efficientnet_lite0()?;
//! let null = Null::shipped(&net)?;                              // all pairs of the photos that ship
//! let mut run = Synthesis::new(&net, "stem", &Image::open("photos/dog.jpg")?)?.seed(7).start()?;
//! run.step(3)?;
//! let verdict = run.finish()?.verdict(&null)?;
//! assert_ne!(verdict.outcome, Outcome::Metamer);              // three steps are too few
//! # Ok::<(), metamers::Error>(())
//! ```
#![allow(clippy::module_inception, reason = "one file for each idea, this one's being the answer")]

mod cross_network;
mod distribution;
mod null;
mod outcome;
mod profile;
mod share;
mod similarity;
mod verdict;

pub use cross_network::{Agreement, CrossNetwork};
pub use distribution::Distribution;
pub use null::{NullDistribution, NullBuilder, NullStimulus, StageNull, NearDuplicates};
pub use outcome::Outcome;
pub use profile::{StageMatch, StageProfile};
pub use share::Proportion;
pub use similarity::{Similarity, snr_db};
pub use verdict::{Measure, Verdict, WELL_MATCHED_DB};
