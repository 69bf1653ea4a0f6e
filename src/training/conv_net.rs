//! The description of a small convolutional network that can be trained, frozen, saved and opened.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Module, Tensor};
use candle_nn::{Conv2dConfig, VarBuilder, VarMap};
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};

use super::conv2d::{TrainableConv2d, conv2d};
use crate::fs::extension::check_extension;
use crate::network::{Builder, Checkpoint, Input, Network, WeightsSource};
use crate::ops::{self, ChannelAffine, Padding, Relu};
use crate::{Error, Result};

/// The approximate mean and standard deviation of pixels, which normalise the input of the first convolution.
const PIXEL_MEAN_STD: (f32, f32) = (0.5, 0.25);
/// The metadata key of the description in a weights file.
const DESCRIPTION_KEY: &str = "metamers.conv_net";

/// The description of a small convolutional network for images: convolutions with bias and ReLU, global average pooling, and a linear
/// layer with one logit for each class.
///
/// The same description gives the module to train ([`ConvNet::module`]), the frozen network for metamers ([`ConvNet::freeze`]) and
/// the untrained network ([`ConvNet::untrained`]). Every convolution is a stage under its own name; `mean` and `logits` are the last
/// two stages. Weights have the names of candle and PyTorch: `conv1.weight`, `conv1.bias`, `logits.weight` ...
///
/// ```
/// use metamers::prelude::{training::*, *};
///
/// let eye = ConvNet::new("eye", 32, ["circle", "square"]).conv("conv1", 16, 5, 2).conv("conv2", 32, 3, 2);
/// let net = eye.untrained(7)?;
/// assert_eq!(net.stage("conv2")?.shape, [32, 8, 8]);
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvNet {
    name: String,
    side: usize,
    convolutions: Vec<Convolution>,
    classes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Convolution {
    name: String,
    outputs: usize,
    kernel: usize,
    stride: usize,
}

/// The trainable module of a [`ConvNet`], from `[batch, 3, side, side]` in `[0, 1]` to `[batch, classes]`.
#[derive(Clone, Debug)]
pub struct ConvNetModule {
    convolutions: Vec<TrainableConv2d>,
    logits: candle_nn::Linear,
}

impl ConvNet {
    /// Creates a description for colour images of `side` x `side` pixels, without convolutions.
    #[must_use]
    pub fn new<T: Into<String>>(name: impl Into<String>, side: usize, classes: impl IntoIterator<Item = T>) -> Self {
        let classes = classes.into_iter().map(Into::into).collect();
        Self { name: name.into(), side, convolutions: vec![], classes }
    }

    /// Adds a convolution with a square kernel of odd side, zero padding of `kernel / 2` (rounded down), and a ReLU.
    #[must_use]
    pub fn conv(mut self, name: impl Into<String>, outputs: usize, kernel: usize, stride: usize) -> Self {
        self.convolutions.push(Convolution { name: name.into(), outputs, kernel, stride });
        self
    }

    /// Sets the name and the classes.
    #[must_use]
    pub fn with_classes<T: Into<String>>(
        mut self,
        name: impl Into<String>,
        classes: impl IntoIterator<Item = T>,
    ) -> Self {
        self.name = name.into();
        self.classes = classes.into_iter().map(Into::into).collect();
        self
    }

    /// The network's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of the classes.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Checks that all values are in range.
    fn check(&self) -> Result<()> {
        let invalid = |what: &str, reason: String| Err(Error::invalid(format!("{what} of {}", self.name), reason));
        if !(1..=1024).contains(&self.side) {
            return invalid("side", format!("must be 1 to 1024 pixels, got {}", self.side));
        }
        if self.classes.len() < 2 {
            return invalid("classes", format!("must be at least 2, got {}", self.classes.len()));
        }
        for Convolution { name, outputs, kernel, stride } in &self.convolutions {
            if !(1..=4096).contains(outputs) || kernel.is_multiple_of(2) || *kernel > 31 || !(1..=16).contains(stride) {
                let reason = "requires 1 to 4096 outputs, an odd kernel up to 31 and a stride of 1 to 16, got";
                return invalid(name, format!("{reason} {outputs}, {kernel} and {stride}"));
            }
        }
        match self.convolutions.is_empty() {
            true => invalid("convolutions", "must be at least 1; add one with .conv(\"conv1\", 16, 5, 2)".into()),
            false => Ok(()),
        }
    }

    /// Creates the module to train, with its variables in `vb`.
    ///
    /// # Errors
    /// Fails for an invalid description, and for variables of other shapes in `vb`.
    pub fn module(&self, vb: VarBuilder) -> Result<ConvNetModule> {
        self.check()?;
        let mut channels = 3;
        let mut convolutions = vec![];
        for Convolution { name, outputs, kernel, stride } in &self.convolutions {
            let config = Conv2dConfig { padding: kernel / 2, stride: *stride, ..Conv2dConfig::default() };
            convolutions.push(conv2d(channels, *outputs, *kernel, config, vb.pp(name))?);
            channels = *outputs;
        }
        Ok(ConvNetModule { convolutions, logits: candle_nn::linear(channels, self.classes.len(), vb.pp("logits"))? })
    }

    /// Creates the frozen network with the current values of the variables.
    ///
    /// # Errors
    /// Fails for variables that are missing (with suggestions), have another shape or are not finite.
    pub fn freeze(&self, vars: &VarMap) -> Result<Network> {
        self.freeze_with_source(vars, "trained in this session")
    }

    pub(super) fn freeze_with_source(&self, vars: &VarMap, source: &str) -> Result<Network> {
        let vars = super::variables(vars);
        let tensor = |name: &str, shape: &[usize]| {
            let variable = vars.iter().find(|(known, _)| known == name);
            let known = || vars.iter().map(|(known, _)| known.as_str());
            let (_, var) = variable.ok_or_else(|| Error::unknown("variable", name, known()))?;
            if var.dims() != shape {
                return Err(Error::shape(format!("the variable \"{name}\""), format!("{shape:?}"), var.dims()));
            }
            crate::finite::check(|| format!("the variable \"{name}\""), &crate::ops::values(var)?)?;
            // A copy, because further training overwrites the variable.
            Ok(var.as_tensor().copy()?)
        };
        self.network(tensor, source)
    }

    /// Creates the network before training with this seed, with the weights of [`Checkpoint::random`].
    ///
    /// # Errors
    /// Fails for an invalid description.
    pub fn untrained(&self, seed: u64) -> Result<Network> {
        let weights = Checkpoint::random(seed);
        self.network(|name, shape| weights.tensor(name, shape), &format!("untrained, seed {seed}"))
    }

    /// Builds the frozen network.
    fn network(&self, tensor: impl Fn(&str, &[usize]) -> Result<Tensor>, source: &str) -> Result<Network> {
        self.check()?;
        let shape = [3, self.side, self.side];
        let mut b = Builder::new(&self.name, Input::Image { shape, resize: self.side });
        let (mean, deviation) = PIXEL_MEAN_STD;
        let mut x = b.channel_affine(b.input(), ChannelAffine::normalize(&[mean; 3], &[deviation; 3])?)?;
        let mut channels = 3;
        for Convolution { name, outputs, kernel, stride } in &self.convolutions {
            let config =
                ops::Conv2dConfig { stride: [*stride; 2], padding: Padding::all(kernel / 2), ..Default::default() };
            let weight = tensor(&format!("{name}.weight"), &[*outputs, channels, *kernel, *kernel])?;
            let bias = tensor(&format!("{name}.bias"), &[*outputs])?;
            x = b.conv2d(x, ops::Conv2d::new(&weight, Some(&bias), config)?)?;
            x = b.relu(x, Relu::UNBOUNDED)?;
            b.stage(name, x)?;
            channels = *outputs;
        }
        x = b.global_avg_pool(x)?;
        b.stage("mean", x)?;
        let weight = tensor("logits.weight", &[self.classes.len(), channels])?;
        let bias = tensor("logits.bias", &[self.classes.len()])?;
        x = b.linear(x, ops::Linear::new(&weight, Some(&bias))?)?;
        b.stage("logits", x)?;
        b.classes(self.classes.iter().cloned());
        // With an empty hash, the builder computes one from the layers, which is the same after the network is saved and opened.
        b.weights_source(WeightsSource { source: source.into(), weights_sha256: String::new() });
        b.finish()
    }

    /// Saves the weights and this description to a `.safetensors` file, for [`ConvNet::open`]. The file is written atomically.
    ///
    /// # Errors
    /// Fails like [`ConvNet::freeze`], and with [`Error::File`] for another extension and if the file cannot be written.
    pub fn save(&self, vars: &VarMap, path: impl AsRef<Path>) -> Result<()> {
        self.save_with_source(vars, path.as_ref(), "trained in this session")
    }

    pub(super) fn save_with_source(&self, vars: &VarMap, path: &Path, source: &str) -> Result<()> {
        check_extension(path, "safetensors", "trained networks are saved as .safetensors, for ConvNet::open")?;
        let net = self.freeze_with_source(vars, source)?;
        let failed = |e: &dyn std::fmt::Display| Error::file(path, format!("cannot be written ({e})"));
        let mut arrays = vec![];
        for (name, var) in super::variables(vars) {
            let bytes: Vec<u8> = crate::ops::values(&var)?.iter().flat_map(|v| v.to_le_bytes()).collect();
            arrays.push((name, var.dims().to_vec(), bytes));
        }
        let mut views = vec![];
        for (name, shape, bytes) in &arrays {
            let view = TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).map_err(|e| failed(&e))?;
            views.push((name.as_str(), view));
        }
        let notes = HashMap::from([
            (DESCRIPTION_KEY.to_owned(), serde_json::to_string(self).map_err(|e| failed(&e))?),
            ("metamers.source".to_owned(), source.to_owned()),
            ("metamers.layers_sha256".to_owned(), net.weights_source().weights_sha256.clone()),
        ]);
        crate::fs::atomic::write(path, &safetensors::serialize(views, Some(notes)).map_err(|e| failed(&e))?)
    }

    /// Opens the frozen network of a file from [`ConvNet::save`], with its original source and hash.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read, is not from [`ConvNet::save`], or has weights that do not match its hash.
    pub fn open(path: impl AsRef<Path>) -> Result<Network> {
        let path = path.as_ref();
        let weights = Checkpoint::open(path)?;
        let note = |name: &str| {
            let missing = || Error::file(path, "is not a file of ConvNet::save: its header has no description");
            weights.metadata(name).ok_or_else(missing)
        };
        let description: Self = serde_json::from_str(note(DESCRIPTION_KEY)?)
            .map_err(|e| Error::file(path, format!("has an invalid description ({e})")))?;
        let net = description.network(|name, shape| weights.tensor(name, shape), note("metamers.source")?)?;
        if net.weights_source().weights_sha256 != note("metamers.layers_sha256")? {
            return Err(Error::file(
                path,
                "has weights that do not match the hash in its header; it was changed or is damaged",
            ));
        }
        Ok(net)
    }
}

impl Module for ConvNetModule {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (mean, deviation) = PIXEL_MEAN_STD;
        let mut x = x.affine(1.0 / f64::from(deviation), f64::from(-mean / deviation))?;
        for convolution in &self.convolutions {
            x = convolution.forward(&x)?.relu()?;
        }
        self.logits.forward(&x.mean((2, 3))?)
    }
}

/// Initialises every variable with its value in the untrained network of this seed ([`Checkpoint::random`]).
///
/// candle's generator cannot be seeded on the CPU; with this function, the same seed gives the same bits.
///
/// # Errors
/// Infallible for variables in float32.
pub fn init_weights(vars: &VarMap, seed: u64) -> Result<()> {
    let random = Checkpoint::random(seed);
    for (name, var) in super::variables(vars) {
        var.set(&random.tensor(&name, var.dims())?.to_dtype(var.dtype())?.to_device(var.device())?)?;
    }
    Ok(())
}

/// The outputs of a network's last stage for a batch.
pub(super) fn outputs(net: &Network, x: &Tensor) -> Result<Tensor> {
    let last = net.stages().last().ok_or_else(|| Error::invalid(net.name(), "has no stage"))?;
    net.forward_to(&last.name, &x.to_device(&Device::Cpu)?)
}
