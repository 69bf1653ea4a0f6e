//! Trained weights from a safetensors file, checked before they are used.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use super::Provenance;
use crate::ops::{Conv2d, Conv2dConfig, Linear};
use crate::{Error, Result};

/// The tensors of a weights file, by name.
///
/// A tensor is asked for with the shape that the architecture needs; a missing name, another shape, another type than
/// float32, and values that are not finite are errors that name the file and the tensor.
pub struct Checkpoint {
    path: PathBuf,
    tensors: HashMap<String, Tensor>,
    sha256: String,
}

/// What batch normalisation learnt, for one layer: `y = (x - mean) / sqrt(variance + epsilon) * weight + bias`.
#[derive(Clone)]
pub struct BatchNorm {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl Checkpoint {
    /// Reads a safetensors file.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be read, is truncated, or is no safetensors file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|e| Error::file(path, e))?;
        let file = SafeTensors::deserialize(&bytes)
            .map_err(|e| Error::file(path, format!("is no intact safetensors file ({e})")))?;
        let mut tensors = HashMap::new();
        for (name, view) in file.tensors() {
            if view.dtype() != Dtype::F32 {
                let reason = format!("tensor \"{name}\" holds {:?} values, expected F32", view.dtype());
                return Err(Error::file(path, reason));
            }
            let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            let tensor = Tensor::from_vec(values.collect::<Vec<_>>(), view.shape(), &Device::Cpu)?;
            tensors.insert(name, tensor);
        }
        Ok(Self { path: path.into(), tensors, sha256: hex(&Sha256::digest(&bytes)) })
    }

    /// Which file, and its SHA-256.
    pub fn provenance(&self) -> Provenance {
        let file = self.path.file_name().unwrap_or_default().to_string_lossy();
        Provenance { source: file.into_owned(), weights_sha256: self.sha256.clone() }
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.tensors.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// The tensor of this name and shape.
    ///
    /// # Errors
    /// When there is none, it has another shape, or holds values that are not finite.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let Some(tensor) = self.tensors.get(name) else {
            return Err(Error::file(&self.path, Error::unknown("tensor", name, self.names())));
        };
        let what = || format!("{}: tensor \"{name}\"", self.path.display());
        if tensor.dims() != shape {
            return Err(Error::shape(what(), format!("{shape:?}"), tensor.dims()));
        }
        crate::finite::check(what, &crate::ops::values(tensor)?)?;
        Ok(tensor.clone())
    }

    /// The convolution `name.weight`, with `name.bias` when `bias`.
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`].
    pub fn conv2d(&self, name: &str, weight: [usize; 4], bias: bool, config: Conv2dConfig) -> Result<Conv2d> {
        let bias = bias.then(|| self.tensor(&format!("{name}.bias"), &weight[..1])).transpose()?;
        Conv2d::new(&self.tensor(&format!("{name}.weight"), &weight)?, bias.as_ref(), config)
    }

    /// The convolution `name.weight` without bias, the batch normalisation `norm` folded into it.
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`].
    pub fn conv2d_normalised(
        &self,
        name: &str,
        weight: [usize; 4],
        norm: &BatchNorm,
        config: Conv2dConfig,
    ) -> Result<Conv2d> {
        let [outputs, rest @ ..] = weight;
        let mut values = crate::ops::values(&self.tensor(&format!("{name}.weight"), &weight)?)?;
        if norm.scale.len() != outputs {
            return Err(Error::shape("batch norm", format!("[{outputs}]"), &[norm.scale.len()]));
        }
        let size: usize = rest.iter().product();
        for (kernel, &scale) in values.chunks_mut(size.max(1)).zip(&norm.scale) {
            kernel.iter_mut().for_each(|w| *w = (f64::from(*w) * scale) as f32);
        }
        let bias: Vec<f32> = norm.shift.iter().map(|&b| b as f32).collect();
        let weight = Tensor::from_vec(values, &weight, &Device::Cpu)?;
        Conv2d::new(&weight, Some(&Tensor::from_vec(bias, outputs, &Device::Cpu)?), config)
    }

    /// The batch normalisation `name.{weight,bias,running_mean,running_var}` of this many channels.
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`], and when a variance is negative.
    pub fn batch_norm(&self, name: &str, channels: usize, epsilon: f64) -> Result<BatchNorm> {
        let part = |part: &str| crate::ops::values(&self.tensor(&format!("{name}.{part}"), &[channels])?);
        let (weight, bias, mean, variance) =
            (part("weight")?, part("bias")?, part("running_mean")?, part("running_var")?);
        if variance.iter().any(|&v| f64::from(v) + epsilon <= 0.0) {
            return Err(Error::file(&self.path, format!("tensor \"{name}.running_var\" holds negative variances")));
        }
        let scale: Vec<f64> =
            weight.iter().zip(&variance).map(|(&w, &v)| f64::from(w) / (f64::from(v) + epsilon).sqrt()).collect();
        let shift = bias.iter().zip(&mean).zip(&scale).map(|((&b, &m), s)| f64::from(b) - f64::from(m) * s).collect();
        Ok(BatchNorm { scale, shift })
    }

    /// The fully connected layer `name.weight`, `name.bias`.
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`].
    pub fn linear(&self, name: &str, outputs: usize, inputs: usize) -> Result<Linear> {
        let bias = self.tensor(&format!("{name}.bias"), &[outputs])?;
        Linear::new(&self.tensor(&format!("{name}.weight"), &[outputs, inputs])?, Some(&bias))
    }
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Checkpoint({}, {} tensors)", self.path.display(), self.tensors.len())
    }
}

impl std::fmt::Debug for BatchNorm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BatchNorm({} channels)", self.scale.len())
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
