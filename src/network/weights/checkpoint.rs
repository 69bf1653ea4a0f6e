//! Weights from a file or a seed, with validation.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Tensor};
use sha2::{Digest, Sha256};

use super::state_dict::listed;
use super::weights_file::{Contents, WeightsFile};
use super::{WeightsSource, checked_volume};
use crate::fs::assets;
use crate::fs::sha256::hex;
use crate::ops::{ChannelAffine, Conv2d, Conv2dConfig, Linear};
use crate::{Error, Result};

/// Maximum number of values of a random tensor.
const MAX_RANDOM_VALUES: usize = 1 << 31;

/// The last parts of names that do not tell one network from another: batch counts, as floats after a conversion of all tensors, and
/// the counts that the profiler `thop` adds to every module.
const COUNTS: [&str; 3] = ["num_batches_tracked", "total_ops", "total_params"];

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
        contents: Contents,
        sha256: String,
        /// The names of all tensors requested so far, without those of wrappers.
        used: Mutex<BTreeSet<String>>,
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
    /// float16, bfloat16 and float64 values are converted to float32; integers (batch counts) are skipped. Tensors may have any strides
    /// and share their storage. Nothing of a `.pth` file is executed.
    ///
    /// The state dict is searched in the dicts of a `.pth` file. In each dict, what is stored as `state_dict`, `model_state_dict`,
    /// `model_state`, `model`, `net`, `network`, `module` or `net_state_dict` comes first, in this order, whatever lies beside it. Next
    /// comes the only other dict that holds float tensors, one of them of two or more axes, unless more lie beside it than in it; last, the
    /// dict itself. Optimizers (`param_groups`) are skipped. Several candidates are an error that names them.
    ///
    /// Names lose what wrappers added, in this order and up to eight times: the prefixes `module.`, `_orig_mod.`, `model.`, `net.`,
    /// `backbone.`, `attacker.model.` and `network.`, each only if all names begin with it. Tensors that are not the network's do not count
    /// and are dropped if the other names begin with a prefix other than `module.` and `_orig_mod.`: those in `attacker.`, `normalizer.`,
    /// `normalize.`, `preproc`, `criterion.`, `loss.` and `loss_fn.` (of an AttackerModel, as in the authors' files of 2023, the network in
    /// `model.` is read). Within a name, `module`, `_orig_mod`, `_fsdp_wrapped_module` and `_checkpoint_wrapped_module` are removed where
    /// all names of the part have them: `features.module.0.weight` is `features.0.weight`. A tensor is also found by its name before.
    ///
    /// The loaders of the zoo refuse a file with further float tensors in the modules that they read, because it is of another
    /// architecture; tensors of other modules are ignored.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be read, is truncated, has another format, such as PyTorch's before 1.6, or holds no state dict
    /// or several. A file of another kind, such as a web page or a git-lfs pointer, is named.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = &*assets::find(path.as_ref())?;
        let WeightsFile { contents, sha256 } = WeightsFile::read(path)?;
        Ok(Self { path: path.into(), weights: Weights::File { contents, sha256, used: Mutex::default() } })
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
            Weights::File { contents, .. } => contents.tensor(name).is_some(),
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
            Weights::File { contents, .. } => contents.metadata.get(name).map(String::as_str),
            Weights::Seed(..) => None,
        }
    }

    /// The shape of the tensor with this name.
    ///
    /// # Errors
    /// When there is no such tensor, it is a scalar, or the weights are random, which have no shapes.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        let Weights::File { contents, .. } = &self.weights else {
            return Err(Error::file(&self.path, "random weights have no shapes"));
        };
        match contents.tensor(name) {
            Some(tensor) if !tensor.dims().is_empty() => Ok(tensor.dims()),
            Some(_) => Err(Error::file(&self.path, format!("tensor \"{name}\" is a scalar"))),
            None => Err(Error::file(&self.path, contents.missing(name))),
        }
    }

    /// The names of all tensors, sorted; none for random weights.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        match &self.weights {
            Weights::File { contents, .. } => contents.names(),
            Weights::Seed(..) => vec![],
        }
    }

    /// The tensor with this name and shape.
    ///
    /// # Errors
    /// When there is no such tensor, or it has another shape or values that are not finite; for random weights, when the shape exceeds 2^31
    /// values.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let (contents, used) = match &self.weights {
            Weights::File { contents, used, .. } => (contents, used),
            Weights::Seed(seed, digest) => {
                if checked_volume(shape).is_none_or(|values| values > MAX_RANDOM_VALUES) {
                    let expected = format!("at most {MAX_RANDOM_VALUES} values");
                    return Err(Error::shape(format!("tensor \"{name}\""), expected, shape));
                }
                let values = super::random::values(*seed, name, shape);
                let mut digest = digest.lock().unwrap_or_else(PoisonError::into_inner);
                values.iter().for_each(|v| digest.update(v.to_le_bytes()));
                return Ok(Tensor::from_vec(values, shape, &Device::Cpu)?);
            }
        };
        let Some(tensor) = contents.tensor(name) else {
            return Err(Error::file(&self.path, contents.missing(name)));
        };
        let what = || format!("{}: tensor \"{name}\"", self.path.display());
        if tensor.dims() != shape {
            return Err(Error::shape(what(), format!("{shape:?}"), tensor.dims()));
        }
        crate::finite::check(what, &crate::ops::values(tensor)?)?;
        let alias = contents.aliases.get(name).filter(|_| !contents.tensors.contains_key(name));
        let own = alias.map_or(name, String::as_str);
        used.lock().unwrap_or_else(PoisonError::into_inner).insert(own.to_owned());
        Ok(tensor.clone())
    }

    /// Checks that the file holds no other float tensors in the modules of those requested so far, by the first part of their names.
    ///
    /// A network with more in its modules is another one, even if all requested tensors have the expected names and shapes: a ResNet-50
    /// with squeeze-and-excitation, or a ResNet-101 read as a ResNet-50. Modules of which nothing was requested do not count: auxiliary
    /// classifiers, copies of the network, other heads.
    ///
    /// # Errors
    /// [`Error::File`] that names them.
    pub(crate) fn check_leftovers(&self, network: &str) -> Result<()> {
        let Weights::File { contents, used, .. } = &self.weights else { return Ok(()) };
        let used = used.lock().unwrap_or_else(PoisonError::into_inner);
        let left = leftovers(&contents.names(), &used);
        if left.is_empty() {
            return Ok(());
        }
        let reason = format!(
            "is of another architecture than {network}: it holds further tensors in the same modules, {}; if the network \
             does not use them, save it without them",
            listed(left)
        );
        Err(Error::file(&self.path, reason))
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

/// The names that are not among the used ones, but belong to a module that is.
fn leftovers<'a>(names: &[&'a str], used: &BTreeSet<String>) -> Vec<&'a str> {
    let modules: BTreeSet<&str> = used.iter().filter_map(|name| module(name)).collect();
    let is_left = |name: &str| {
        let is_count = name.rsplit('.').next().is_some_and(|last| COUNTS.contains(&last));
        !is_count && !used.contains(name) && module(name).is_some_and(|module| modules.contains(module))
    };
    names.iter().copied().filter(|name| is_left(name)).collect()
}

/// The top-level module of a tensor; `None` for a tensor outside of modules.
fn module(name: &str) -> Option<&str> {
    name.split_once('.').map(|(module, _)| module)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_left_in_used_modules_tell_another_architecture() {
        let of_network = ["conv1.weight", "layer1.0.conv1.weight", "layer3.5.conv1.weight", "fc.bias"];
        let used = of_network.map(String::from).into();
        let of_others = ["conv1.bias", "layer1.0.se.fc1.weight", "layer3.22.conv1.weight", "fc.scale"];
        let harmless = [
            "AuxLogits.fc.weight",
            "attacker.model.conv1.weight",
            "ema.layer1.0.conv1.weight",
            "conv1_copy.weight",
            "mean",
            "fc",
            "bn1.num_batches_tracked",
            "layer1.0.bn1.num_batches_tracked",
            "layer1.0.total_ops",
            "conv1.total_params",
        ];
        assert_eq!(leftovers(&[&harmless[..], &of_network].concat(), &used), Vec::<&str>::new());
        assert_eq!(leftovers(&[&harmless[..], &of_others, &of_network].concat(), &used), of_others);
    }
}
