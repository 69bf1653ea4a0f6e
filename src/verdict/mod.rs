//! Is it a metamer?

mod similarity;

pub use similarity::{Similarity, snr_db};
