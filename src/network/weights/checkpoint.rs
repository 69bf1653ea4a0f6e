//! Weights from a file or a seed, with validation.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Tensor};
use sha2::{Digest, Sha256};

use super::safetensors::WeightsFile;
use super::{WeightsSource, checked_volume};
use crate::fs::assets;
use crate::fs::sha256::hex;
use crate::ops::{ChannelAffine, Conv2d, Conv2dConfig, Linear};
use crate::{Error, Result};

/// Maximum number of values of a random tensor.
const MAX_RANDOM_VALUES: usize = 1 << 31;

/// The tensors of a weights file, by name; or, with [`Checkpoint::random`], the weights of an untrained network.
///
/// Tensors are requested with the shape that the architecture needs. A missing name, another shape and values that are not finite
/// are errors that name the file and the tensor.
///
/// ```
/// use metamers::network::Checkpoint;
/// use metamers::ops::Conv2dConfig;
///
/// let weights = Checkpoint::random(7);
/// let conv1 = weights.conv2d("conv1", [8, 3, 5, 5], Conv2dConfig::default())?;
/// assert_eq!(conv1.window().kernel, [5, 5]);
/// # Ok::<(), metamers::Error>(())
/// ```
pub struct Checkpoint {
    path: PathBuf,
    weights: Weights,
}

enum Weights {
    File {
        tensors: HashMap<String, Tensor>,
        metadata: HashMap<String, String>,
        sha256: String,
    },
    /// The seed, and the digest of all values requested so far.
    Seed(u64, Mutex<Sha256>),
}

/// The parameters of a batch normalisation: `y = (x - mean) / sqrt(variance + epsilon) * weight + bias`.
#[derive(Clone)]
pub struct BatchNorm {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl Checkpoint {
    /// Reads a safetensors file, or a `.pth` or `.pt` file in PyTorch's zip format (since version 1.6).
    ///
    /// A relative path that does not exist is looked up among the files that ship with the project and those that
    /// `cargo lab --fetch` fetches (`optional/alexnet.safetensors`).
    ///
    /// float16, bfloat16 and float64 values are converted to float32; integers (batch counts) are skipped. Wrapper prefixes
    /// (`module.`, `model.`) that all names share are stripped, and a dict around the state dict (`model`, `state_dict`) is unwrapped.
    /// For an AttackerModel, as in the authors' files of 2023, the network (`model.`) is read; its copy (`attacker.`), the
    /// `normalizer` and the `preproc` are dropped.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be read, is truncated, or has another format, such as PyTorch's before 1.6.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = &*assets::find(path.as_ref())?;
        let WeightsFile { tensors, metadata, sha256 } = WeightsFile::read(path)?;
        Ok(Self { path: path.into(), weights: Weights::File { tensors, metadata, sha256 } })
    }

    /// Random weights for an untrained network: any requested tensor, determined by the seed, its name and its shape.
    ///
    /// Value `i` is derived from `u = mix((k + i) * 0x9E3779B97F4A7C15) / 2^64`, truncated to 24 bits, with
    /// `k = FNV-1a(name) + seed * 0x9E3779B97F4A7C15`, both modulo `2^64`, and SplitMix64's `mix`. Tensors with two or more axes are
    /// `(2 u - 1) sqrt(6 / fan in)` (He et al., ICCV 2015). A vector is `0.75 + u / 2` if its name ends with `.weight` or
    /// `.running_var`, as in batch normalisation, and `(u - 0.5) / 10` otherwise.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        let path = format!("random weights, seed {seed}").into();
        Self { path, weights: Weights::Seed(seed, Mutex::default()) }
    }

    /// Returns whether these are the weights of an untrained network.
    #[must_use]
    pub fn is_random(&self) -> bool {
        matches!(self.weights, Weights::Seed(..))
    }

    /// Returns whether there is a tensor with this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match &self.weights {
            Weights::File { tensors, .. } => tensors.contains_key(name),
            Weights::Seed(..) => true,
        }
    }

    /// The file and its SHA-256; for random weights, the SHA-256 of all values requested so far, in that order.
    #[must_use]
    pub fn weights_source(&self) -> WeightsSource {
        let file = self.path.file_name().unwrap_or_default().to_string_lossy();
        let weights_sha256 = match &self.weights {
            Weights::File { sha256, .. } => sha256.clone(),
            Weights::Seed(_, digest) => hex(&digest.lock().unwrap_or_else(PoisonError::into_inner).clone().finalize()),
        };
        WeightsSource { source: file.into_owned(), weights_sha256 }
    }

    /// A metadata entry of the safetensors header; `None` for `.pth` files and random weights.
    #[must_use]
    pub fn metadata(&self, name: &str) -> Option<&str> {
        match &self.weights {
            Weights::File { metadata, .. } => metadata.get(name).map(String::as_str),
            Weights::Seed(..) => None,
        }
    }

    /// The shape of the tensor with this name.
    ///
    /// # Errors
    /// When there is no such tensor, it is a scalar, or the weights are random, which have no shapes.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        let Weights::File { tensors, .. } = &self.weights else { return Err(self.missing(name)) };
        match tensors.get(name) {
            Some(tensor) if !tensor.dims().is_empty() => Ok(tensor.dims()),
            Some(_) => Err(Error::file(&self.path, format!("tensor \"{name}\" is a scalar"))),
            None => Err(self.missing(name)),
        }
    }

    fn missing(&self, name: &str) -> Error {
        Error::file(&self.path, Error::unknown("tensor", name, self.names()))
    }

    /// The names of all tensors, sorted; none for random weights.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let Weights::File { tensors, .. } = &self.weights else { return vec![] };
        let mut names: Vec<&str> = tensors.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// The tensor with this name and shape.
    ///
    /// # Errors
    /// When there is no such tensor, or it has another shape or values that are not finite; for random weights, when the shape exceeds 2^31
    /// values.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensors = match &self.weights {
            Weights::File { tensors, .. } => tensors,
            Weights::Seed(seed, digest) => {
                if checked_volume(shape).is_none_or(|values| values > MAX_RANDOM_VALUES) {
                    let expected = format!("at most {MAX_RANDOM_VALUES} values");
                    return Err(Error::shape(format!("tensor \"{name}\""), expected, shape));
                }
                let values = random_values(*seed, name, shape);
                let mut digest = digest.lock().unwrap_or_else(PoisonError::into_inner);
                values.iter().for_each(|v| digest.update(v.to_le_bytes()));
                return Ok(Tensor::from_vec(values, shape, &Device::Cpu)?);
            }
        };
        let Some(tensor) = tensors.get(name) else {
            return Err(self.missing(name));
        };
        let what = || format!("{}: tensor \"{name}\"", self.path.display());
        if tensor.dims() != shape {
            return Err(Error::shape(what(), format!("{shape:?}"), tensor.dims()));
        }
        crate::finite::check(what, &crate::ops::values(tensor)?)?;
        Ok(tensor.clone())
    }

    /// The convolution `name.weight` with its bias `name.bias`.
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`].
    pub fn conv2d(&self, name: &str, weight: [usize; 4], config: Conv2dConfig) -> Result<Conv2d> {
        let bias = self.tensor(&format!("{name}.bias"), &weight[..1])?;
        Conv2d::new(&self.tensor(&format!("{name}.weight"), &weight)?, Some(&bias), config)
    }

    /// The convolution `name.weight` without bias.
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`].
    pub fn conv2d_no_bias(&self, name: &str, weight: [usize; 4], config: Conv2dConfig) -> Result<Conv2d> {
        Conv2d::new(&self.tensor(&format!("{name}.weight"), &weight)?, None, config)
    }

    /// The convolution `name.weight` without bias, with the batch normalisation `norm` folded in.
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`].
    pub fn conv2d_normalized(
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
            return Err(Error::file(&self.path, format!("tensor \"{name}.running_var\" has negative variances")));
        }
        let scale: Vec<f64> =
            weight.iter().zip(&variance).map(|(&w, &v)| f64::from(w) / (f64::from(v) + epsilon).sqrt()).collect();
        let shift = bias.iter().zip(&mean).zip(&scale).map(|((&b, &m), s)| f64::from(b) - f64::from(m) * s).collect();
        Ok(BatchNorm { scale, shift })
    }

    /// The fully connected layer `name.weight` with its bias `name.bias`.
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
        write!(f, "Checkpoint({}, {} tensors)", self.path.display(), self.names().len())
    }
}

impl std::fmt::Debug for BatchNorm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BatchNorm({} channels)", self.scale.len())
    }
}

/// The values of a random tensor, as documented at [`Checkpoint::random`].
fn random_values(seed: u64, name: &str, shape: &[usize]) -> Vec<f32> {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    let key = name.bytes().fold(0xCBF2_9CE4_8422_2325, fnv).wrapping_add(seed.wrapping_mul(GOLDEN));
    let uniform = |i: u64| {
        let mut z = key.wrapping_add(i).wrapping_mul(GOLDEN);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f64 / (1u64 << 24) as f64
    };
    let fan_in: usize = shape.iter().skip(1).product();
    let value = |u: f64| match shape.len() {
        1 if name.ends_with(".weight") || name.ends_with(".running_var") => 0.75 + u / 2.0,
        1 => (u - 0.5) / 10.0,
        _ => (2.0 * u - 1.0) * (6.0 / fan_in as f64).sqrt(),
    };
    (0..shape.iter().product::<usize>() as u64).map(|i| value(uniform(i)) as f32).collect()
}

impl BatchNorm {
    /// The normalisation as a separate layer, for cases in which it cannot be folded into the next convolution because of padding.
    ///
    /// # Errors
    /// When there are no channels.
    pub fn affine(&self) -> Result<ChannelAffine> {
        let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        ChannelAffine::new(&narrow(&self.scale), &narrow(&self.shift))
    }
}
