//! Auditory front ends: the cochleagram and log-mel energies.
//!
//! ```
//! use metamers::hearing::Cochleagram;
//! use metamers::prelude::{networks::*, *};
//!
//! let cochleagram = Cochleagram::feather2023()?;
//! let tone = Sound::tone(20_000, 2.0, 1000.0, 0.1)?;
//! assert_eq!(cochleagram.compute(&tone)?.dims(), [1, 1, 211, 390]);
//! # Ok::<(), metamers::Error>(())
//! ```

mod cochleagram;
mod cochleagram_config;
mod filter_bank;
mod log_mel;
mod plot;
mod row_kernels;
mod subband;

pub use cochleagram::Cochleagram;
pub use cochleagram_config::{CochleagramConfig, Padding, Rectifier};
pub use log_mel::{LogMel, LogMelConfig};
