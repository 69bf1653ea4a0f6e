//! The safetensors format.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensors};

use super::tensor_view::to_f32;
use super::weights_file::Contents;
use super::{checked_volume, wrappers};
use crate::{Error, Result};

/// The network's tensors in a safetensors file with these bytes.
///
/// The `safetensors` crate accepts only files whose tensors follow each other without gaps or overlaps up to the end, with a header of at
/// most 100 MB, so the file's size limits the memory.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Contents> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| {
        Error::file(
            path,
            format!("is not a valid safetensors file ({e}), and no file in PyTorch's zip format; is it cut short?"),
        )
    })?;
    let (mut floats, mut skipped) = (vec![], HashMap::new());
    for (name, view) in file.tensors() {
        let dtype = match view.dtype() {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            Dtype::F64 => DType::F64,
            other => {
                skipped.insert(name, format!("{other:?} values"));
                continue;
            }
        };
        if checked_volume(view.shape()).is_none() {
            return Err(Error::file(path, format!("tensor \"{name}\" has the invalid shape {:?}", view.shape())));
        }
        floats.push((name, (dtype, view)));
    }
    let unwrapped = wrappers::remove(floats);
    let mut tensors = HashMap::new();
    for (name, (dtype, view)) in unwrapped.tensors {
        tensors.insert(name, Tensor::from_vec(to_f32(view.data(), dtype)?, view.shape(), &Device::Cpu)?);
    }
    let metadata = SafeTensors::read_metadata(bytes).ok().and_then(|(_, header)| header.metadata().clone());
    Ok(Contents { tensors, aliases: unwrapped.aliases, skipped, metadata: metadata.unwrap_or_default() })
}
