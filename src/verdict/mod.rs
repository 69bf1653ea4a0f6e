//! Is it a metamer?
//!
//! [`Similarity`] says how alike two sets of activations are, [`NullDistribution`] how alike natural stimuli are by chance, and
//! [`Metamer::verdict`](crate::synthesis::Metamer::verdict) puts the two together with what the network says that it hears or sees.
//! ```
//! use metamers::prelude::*;
//!
//! let net = zoo::efficientnet_lite0()?;
//! let null = NullDistribution::shipped(&net)?;                              // all pairs of the photos that ship
//! let mut run = Synthesis::new(&net, "stem", &Image::open("photos/dog.jpg")?)?.seed(7).start()?;
//! run.step(3)?;
//! let verdict = run.finish()?.verdict(&null)?;
//! assert_ne!(verdict.outcome, Outcome::Metamer);              // three steps are too few
//! # Ok::<(), metamers::Error>(())
//! ```
#![allow(clippy::module_inception, reason = "one file for each idea, this one's being the answer")]

mod cross_network;
mod null;
mod outcome;
mod stage_profile;
mod verdict;

pub use crate::similarity::WELL_MATCHED_DB;
pub use cross_network::{Agreement, CrossNetwork};
pub use null::{NearDuplicates, NullBuilder, NullDistribution, NullStimulus, StageNull};
pub use outcome::Outcome;
pub use stage_profile::{StageMatch, StageProfile};
pub use verdict::{Measure, Verdict};
