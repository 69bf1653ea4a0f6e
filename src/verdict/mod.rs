//! Verdicts: tests whether a stimulus is a metamer.
//!
//! [`Similarity`](crate::similarity::Similarity) measures the similarity of two sets of activations, and a [`NullDistribution`] has
//! the similarities of pairs of natural stimuli. [`Metamer::verdict`](crate::synthesis::Metamer::verdict) compares the two and checks
//! that the network assigns the original and the metamer to the same class.
//!
//! ```
//! use metamers::prelude::*;
//!
//! let net = zoo::efficientnet_lite0()?;
//! let null = NullDistribution::shipped(&net)?;                              // all pairs of the shipped photos
//! let mut run = Synthesis::new(&net, "stem", &Image::open("photos/dog.jpg")?)?.seed(7).start()?;
//! run.step(3)?;
//! let verdict = run.finish()?.verdict(&null)?;
//! assert_ne!(verdict.outcome, Outcome::Metamer);              // three steps are too few
//! # Ok::<(), metamers::Error>(())
//! ```
#![allow(clippy::module_inception, reason = "a file is named after the type that it holds")]

mod cross_network;
mod grade;
mod null;
mod outcome;
mod stage_profile;
mod verdict;

pub use crate::similarity::WELL_MATCHED_DB;
pub(crate) use cross_network::network_labels;
pub use cross_network::{Agreement, CrossNetwork};
pub use grade::Grade;
pub use null::{NearDuplicates, NullBuilder, NullDistribution, NullStimulus, StageNull};
pub use outcome::Outcome;
pub use stage_profile::{StageMatch, StageProfile};
pub use verdict::{Measure, Verdict};
