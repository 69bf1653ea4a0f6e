//! Similarity measures of activations, empirical distributions, and proportions with confidence intervals.
//!
//! ```
//! use metamers::similarity::{Proportion, Similarity};
//!
//! let similarity = Similarity::between(&[3.0, 4.0, 0.0], &[3.0, 4.5, 0.0])?;
//! assert_eq!(similarity.snr_db, Some(20.0));
//! assert_eq!(Proportion::new(8, 10)?.value(), Some(0.8));
//! # Ok::<(), metamers::Error>(())
//! ```

mod distribution;
mod proportion;
#[expect(clippy::module_inception, reason = "a file is named after the type that it holds")]
mod similarity;

pub use distribution::Distribution;
pub use proportion::Proportion;
pub(crate) use similarity::ranks;
pub use similarity::{Similarity, WELL_MATCHED_DB, snr_db};
