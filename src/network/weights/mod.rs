//! Weights: checkpoints in several formats, downloads, provenance and fingerprints.

mod checkpoint;
pub(super) mod fingerprint;
pub(super) mod foreign;
#[cfg(not(target_family = "wasm"))]
mod hub;
#[cfg(not(target_family = "wasm"))]
mod hub_cache;
#[cfg(not(target_family = "wasm"))]
mod hub_client;
mod pickle;
mod pth;
mod random;
mod safetensors;
mod source;
mod state_dict;
mod tensor_view;
mod weights_file;
mod wrappers;

pub use checkpoint::{BatchNorm, Checkpoint};
#[cfg(not(target_family = "wasm"))]
pub use hub::HubFile;
pub(crate) use source::KNOWN_BY_VALUES;
pub(in crate::network) use source::NOT_STATED;
pub use source::WeightsSource;

/// The product of the sides of a shape, in which 0 counts as 1; `None` if it overflows. candle computes it for strides, and panics.
pub(in crate::network) fn checked_volume(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |all, &side| all.checked_mul(side.max(1)))
}
