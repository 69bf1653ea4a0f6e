//! A small convolutional network as data: to be trained, frozen, saved and opened again.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Module, Tensor};
use candle_nn::{Conv2dConfig, VarBuilder, VarMap};
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};

use super::conv2d::{TrainableConv2d, conv2d};
use crate::network::{Builder, Checkpoint, Input, Network, WeightsSource};
use crate::ops::{self, ChannelAffine, Padding, Relu};
use crate::{Error, Result};

/// Pixels have about this mean and this deviation; what the first convolution gets is about 0 and 1.
const PIXELS: (f32, f32) = (0.5, 0.25);
/// The note of a weights file that holds the description.
const NOTE: &str = "metamers.conv_net";

/// A small convolutional network for pictures, as data: convolutions with bias and rectifier, then the mean over the picture, then a
/// number for each class.
///
/// The same description makes the module that is trained ([`ConvNet::module`]), the frozen network that metamers are made for
/// ([`ConvNet::freeze`]) and its untrained twin ([`ConvNet::untrained`]). Every convolution is a stage under its own name; `mean` and
/// `logits` are the last two. Weights are called as candle and PyTorch call them: `conv1.weight`, `conv1.bias`, `logits.weight` ...
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

/// A [`ConvNet`] with weights that are trained: `[batch, 3, side, side]` in `[0, 1]` to `[batch, classes]`.
#[derive(Clone, Debug)]
pub struct ConvNetModule {
    convolutions: Vec<TrainableConv2d>,
    logits: candle_nn::Linear,
}

impl ConvNet {
    /// A network for colour pictures of `side` x `side` pixels, without convolutions yet.
    pub fn new<T: Into<String>>(name: impl Into<String>, side: usize, classes: impl IntoIterator<Item = T>) -> Self {
        let classes = classes.into_iter().map(Into::into).collect();
        Self { name: name.into(), side, convolutions: vec![], classes }
    }

    /// Adds a convolution with a square `kernel` of odd side, as many zeros around as half of it (rounded down), and a rectifier.
    pub fn conv(mut self, name: impl Into<String>, outputs: usize, kernel: usize, stride: usize) -> Self {
        self.convolutions.push(Convolution { name: name.into(), outputs, kernel, stride });
        self
    }

    /// The same network under another name and for other classes.
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
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Refuses numbers that no network could be built with.
    fn check(&self) -> Result<()> {
        let refuse = |what: &str, reason: String| Err(Error::invalid(format!("{what} of {}", self.name), reason));
        if !(1..=1024).contains(&self.side) {
            return refuse("side", format!("must be 1 to 1024 pixels, got {}", self.side));
        }
        if self.classes.len() < 2 {
            return refuse("classes", format!("must be at least 2, got {}", self.classes.len()));
        }
        for Convolution { name, outputs, kernel, stride } in &self.convolutions {
            if !(1..=4096).contains(outputs) || kernel.is_multiple_of(2) || *kernel > 31 || !(1..=16).contains(stride) {
                let reason = "takes 1 to 4096 outputs, an odd kernel up to 31 and a stride of 1 to 16, got";
                return refuse(name, format!("{reason} {outputs}, {kernel} and {stride}"));
            }
        }
        match self.convolutions.is_empty() {
            true => refuse("convolutions", "must be at least 1; add one with .conv(\"conv1\", 16, 5, 2)".into()),
            false => Ok(()),
        }
    }

    /// The module that is trained, with its variables in `vb`.
    ///
    /// # Errors
    /// A description that no network can be built with, or variables of other shapes in `vb`.
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

    /// The frozen network with the values that the variables have now, to make metamers for.
    ///
    /// # Errors
    /// Variables that are missing (the error lists the near names), have another shape or are not finite.
    pub fn freeze(&self, vars: &VarMap) -> Result<Network> {
        self.frozen_as(vars, "trained in this session")
    }

    pub(super) fn frozen_as(&self, vars: &VarMap, source: &str) -> Result<Network> {
        let vars = super::variables(vars);
        let tensor = |name: &str, shape: &[usize]| {
            let found = vars.iter().find(|(known, _)| known == name);
            let known = || vars.iter().map(|(known, _)| known.as_str());
            let (_, var) = found.ok_or_else(|| Error::unknown("variable", name, known()))?;
            if var.dims() != shape {
                return Err(Error::shape(format!("the variable \"{name}\""), format!("{shape:?}"), var.dims()));
            }
            crate::finite::check(|| format!("the variable \"{name}\""), &crate::ops::values(var)?)?;
            // A copy: training that goes on writes over the variable.
            Ok(var.as_tensor().copy()?)
        };
        self.network(tensor, source)
    }

    /// The network as it is before training with this seed: the weights of [`Checkpoint::random`].
    ///
    /// # Errors
    /// A description that no network can be built with.
    pub fn untrained(&self, seed: u64) -> Result<Network> {
        let weights = Checkpoint::random(seed);
        self.network(|name, shape| weights.tensor(name, shape), &format!("untrained, seed {seed}"))
    }

    /// The graph of layers.
    fn network(&self, tensor: impl Fn(&str, &[usize]) -> Result<Tensor>, source: &str) -> Result<Network> {
        self.check()?;
        let shape = [3, self.side, self.side];
        let mut b = Builder::new(&self.name, Input::Image { shape, resize: self.side });
        let (mean, deviation) = PIXELS;
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
        // Without a file's hash the builder takes that of the layers: the same here and when the saved network is opened.
        b.weights_source(WeightsSource { source: source.into(), weights_sha256: String::new() });
        b.finish()
    }

    /// Writes the weights and this description as a safetensors file, from which [`ConvNet::open`] makes the frozen network again. The
    /// file appears whole or not at all.
    ///
    /// # Errors
    /// As [`ConvNet::freeze`], and [`Error::File`] when the file cannot be written.
    pub fn save(&self, vars: &VarMap, path: impl AsRef<Path>) -> Result<()> {
        self.save_as(vars, path.as_ref(), "trained in this session")
    }

    pub(super) fn save_as(&self, vars: &VarMap, path: &Path, source: &str) -> Result<()> {
        let net = self.frozen_as(vars, source)?;
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
            (NOTE.to_owned(), serde_json::to_string(self).map_err(|e| failed(&e))?),
            ("metamers.source".to_owned(), source.to_owned()),
            ("metamers.layers_sha256".to_owned(), net.weights_source().weights_sha256.clone()),
        ]);
        crate::fs::atomic::write(path, &safetensors::serialize(views, Some(notes)).map_err(|e| failed(&e))?)
    }

    /// The frozen network of a file that [`ConvNet::save`] wrote, with the provenance and the hash that it had when it was saved.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be read, was not written by [`ConvNet::save`], or holds other weights than it says.
    pub fn open(path: impl AsRef<Path>) -> Result<Network> {
        let path = path.as_ref();
        let weights = Checkpoint::open(path)?;
        let note = |name: &str| {
            let missing = || Error::file(path, "was not written by ConvNet::save: its header holds no description");
            weights.note(name).ok_or_else(missing)
        };
        let plan: Self = serde_json::from_str(note(NOTE)?)
            .map_err(|e| Error::file(path, format!("holds a description that cannot be read ({e})")))?;
        let net = plan.network(|name, shape| weights.tensor(name, shape), note("metamers.source")?)?;
        if net.weights_source().weights_sha256 != note("metamers.layers_sha256")? {
            return Err(Error::file(path, "holds other weights than its header says: it was changed or is damaged"));
        }
        Ok(net)
    }
}

impl Module for ConvNetModule {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (mean, deviation) = PIXELS;
        let mut x = x.affine(1.0 / f64::from(deviation), f64::from(-mean / deviation))?;
        for convolution in &self.convolutions {
            x = convolution.forward(&x)?.relu()?;
        }
        self.logits.forward(&x.mean((2, 3))?)
    }
}

/// Gives every variable the value that the untrained network of this seed has: [`Checkpoint::random`].
///
/// candle draws the first weights from a generator that cannot be seeded on the CPU; after this the same seed gives the same bits.
///
/// # Errors
/// Never for variables in float32.
pub fn draw_weights(vars: &VarMap, seed: u64) -> Result<()> {
    let random = Checkpoint::random(seed);
    for (name, var) in super::variables(vars) {
        var.set(&random.tensor(&name, var.dims())?.to_dtype(var.dtype())?.to_device(var.device())?)?;
    }
    Ok(())
}

/// A batch of one input of a network's own, for checks.
pub(super) fn outputs(net: &Network, x: &Tensor) -> Result<Tensor> {
    let last = net.stages().last().ok_or_else(|| Error::invalid(net.name(), "has no stage"))?;
    net.forward_to(&last.name, &x.to_device(&Device::Cpu)?)
}
