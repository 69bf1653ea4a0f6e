//! Weights: checkpoints in several formats, downloads, provenance and fingerprints.

mod checkpoint;
pub(super) mod fingerprint;
mod hub;
mod pth;
mod safetensors;
mod source;

pub use checkpoint::{BatchNorm, Checkpoint};
pub use hub::HubFile;
pub(crate) use source::KNOWN_BY_VALUES;
pub(in crate::network) use source::NOT_STATED;
pub use source::WeightsSource;
