//! Reading weights files, and the safetensors format.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensors};

use super::{checked_volume, pth};
use crate::fs::{files, sha256};
use crate::{Error, Result};

/// The contents of a file that [`Checkpoint::open`](super::Checkpoint::open) read.
pub(super) struct WeightsFile {
    pub tensors: HashMap<String, Tensor>,
    pub metadata: HashMap<String, String>,
    pub sha256: String,
}

/// The first bytes of a `.pth` file of PyTorch before 1.6: the pickled integer `0x1950a86a20f9469cfc6c`.
const LEGACY: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e";

/// Prefixes other than `model.` in the state dict of an AttackerModel (MadryLab's `robustness`), in which the 2023 networks were
/// trained: a second copy of the network, and its preprocessing.
const DROPPED_PREFIXES: [&str; 4] = ["attacker.", "normalizer.", "normalize.", "preproc"];

impl WeightsFile {
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = files::read(path)?;
        let sha256 = sha256::hex_digest(&bytes);
        if bytes.starts_with(LEGACY) {
            let reason = "is in the format of PyTorch before 1.6, which only PyTorch can read; load it in PyTorch and save it again \
                          with torch.save(torch.load(file, map_location=\"cpu\"), file)";
            return Err(Error::file(path, reason));
        }
        let (tensors, metadata) = match bytes.starts_with(b"PK") {
            true => (pth::read(path)?, HashMap::new()),
            false => safetensors(path, &bytes)?,
        };
        Ok(Self { tensors: strip_prefixes(tensors), metadata, sha256 })
    }
}

/// The float tensors of a safetensors file, as float32, and its metadata.
fn safetensors(path: &Path, bytes: &[u8]) -> Result<(HashMap<String, Tensor>, HashMap<String, String>)> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|e| Error::file(path, format!("is not a valid safetensors file ({e})")))?;
    let mut tensors = HashMap::new();
    for (name, view) in file.tensors() {
        let dtype = match view.dtype() {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            Dtype::F64 => DType::F64,
            Dtype::I64 | Dtype::I32 => continue,
            other => {
                let reason = format!("tensor \"{name}\" holds {other:?} values, expected F32");
                return Err(Error::file(path, reason));
            }
        };
        if checked_volume(view.shape()).is_none() {
            return Err(Error::file(path, format!("tensor \"{name}\" has the invalid shape {:?}", view.shape())));
        }
        let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)?;
        tensors.insert(name, tensor.to_dtype(DType::F32)?);
    }
    let metadata = SafeTensors::read_metadata(bytes).ok().and_then(|(_, header)| header.metadata().clone());
    Ok((tensors, metadata.unwrap_or_default()))
}

/// Strips wrapper prefixes that all names share, and drops an AttackerModel's other tensors.
fn strip_prefixes(mut tensors: HashMap<String, Tensor>) -> HashMap<String, Tensor> {
    for prefix in ["module.", "model.", "module."] {
        let is_dropped =
            |name: &String| prefix == "model." && DROPPED_PREFIXES.iter().any(|part| name.starts_with(part));
        let inside = |name: &String| name.starts_with(prefix);
        if tensors.keys().any(inside) && tensors.keys().all(|name| inside(name) || is_dropped(name)) {
            let strip = |(name, tensor): (String, Tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor));
            tensors = tensors.into_iter().filter_map(strip).collect();
        }
    }
    tensors
}
