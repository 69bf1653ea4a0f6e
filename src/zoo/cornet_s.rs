//! CORnet-S.

use std::path::Path;

use super::imagenet;
use crate::Result;
use crate::network::{Builder, Checkpoint, Network, NodeId};
use crate::ops::{Conv2d, Conv2dConfig, MaxPool2d, Padding, Relu, Window};

const EPSILON: f64 = 1e-5;

/// Recurrent areas: name, channels and number of steps.
const AREAS: [(&str, usize, usize); 3] = [("V2", 128, 2), ("V4", 256, 4), ("IT", 512, 2)];

/// Expansion factor of the channels inside an area.
const SCALE: usize = 4;

/// CORnet-S with custom weights: safetensors or zip `.pth`, with the names of the published state dict (`V1.conv1.weight`,
/// `V1.norm1.*`, `V2.conv_input.weight`, `V2.norm1_0.*`, `decoder.linear.weight`, ...), with or without `module.` before them.
///
/// Stages: the areas `V1`, `V2`, `V4`, `IT` (rectified, after their last step), `avgpool`, `logits`. Input: 224 x 224 with ImageNet's
/// normalisation. Architecture: Kubilius et al., NeurIPS 2019. The recurrent areas V2, V4 and IT run for 2, 4 and 2 steps. The steps
/// of an area share the convolutions' weights but have separate batch normalisations, which therefore stay separate layers.
///
/// # Errors
/// When the file cannot be read or is of another architecture, or a tensor is missing, has the wrong shape, or is not finite.
pub fn cornet_s_from(weights: impl AsRef<Path>) -> Result<Network> {
    cornet_s(&Checkpoint::open(weights)?)
}

/// An untrained CORnet-S with the weights of [`Checkpoint::random`].
///
/// # Errors
/// Infallible in practice; the `Result` matches the other loaders.
pub fn cornet_s_random(seed: u64) -> Result<Network> {
    cornet_s(&Checkpoint::random(seed))
}

fn cornet_s(weights: &Checkpoint) -> Result<Network> {
    let mut b = Builder::new("CORnet-S", imagenet::INPUT);
    let mut x = imagenet::normalise(&mut b)?;
    let mut net = Body { weights, b: &mut b };
    let conv = net.convolution("V1.conv1", [64, 3, 7], 2)?;
    x = net.step(x, conv, "V1.norm1", None)?;
    x = net.b.max_pool2d(x, MaxPool2d::new(Window::square(3).stride(2).padding(Padding::all(1))))?;
    let conv = net.convolution("V1.conv2", [64, 64, 3], 1)?;
    x = net.step(x, conv, "V1.norm2", None)?;
    net.b.stage("V1", x)?;
    let mut inputs = 64;
    for (name, outputs, steps) in AREAS {
        x = net.area(x, name, [outputs, inputs], steps)?;
        net.b.stage(name, x)?;
        inputs = outputs;
    }
    x = b.global_avg_pool(x)?;
    b.stage("avgpool", x)?;
    x = b.linear(x, weights.linear("decoder.linear", 1000, inputs)?)?;
    b.stage("logits", x)?;
    b.classes(imagenet::classes()?);
    super::finish(b, weights)
}

struct Body<'a> {
    weights: &'a Checkpoint,
    b: &'a mut Builder,
}

impl Body<'_> {
    fn convolution(&self, name: &str, [outputs, inputs, side]: [usize; 3], stride: usize) -> Result<Conv2d> {
        let config = Conv2dConfig { stride: [stride; 2], padding: Padding::all(side / 2), ..Conv2dConfig::default() };
        self.weights.conv2d_no_bias(name, [outputs, inputs, side, side], config)
    }

    fn norm(&mut self, x: NodeId, name: &str) -> Result<NodeId> {
        let channels = self.b.shape(x).map_or(0, |shape| shape[0]);
        self.b.channel_affine(x, self.weights.batch_norm(name, channels, EPSILON)?.affine()?)
    }

    /// Adds a convolution, its batch normalisation, the addend if any, and a rectifier.
    fn step(&mut self, x: NodeId, conv: Conv2d, norm: &str, addend: Option<NodeId>) -> Result<NodeId> {
        let mut x = self.b.conv2d(x, conv)?;
        x = self.norm(x, norm)?;
        if let Some(addend) = addend {
            x = self.b.add(x, addend)?;
        }
        self.b.relu(x, Relu::UNBOUNDED)
    }

    /// Adds a recurrent area of `steps` steps; the first step halves the image.
    fn area(&mut self, x: NodeId, name: &str, [outputs, inputs]: [usize; 2], steps: usize) -> Result<NodeId> {
        let part = |part: &str| format!("{name}.{part}");
        let wide = SCALE * outputs;
        let mut x = self.b.conv2d(x, self.convolution(&part("conv_input"), [outputs, inputs, 1], 1)?)?;
        let narrow = self.convolution(&part("conv1"), [wide, outputs, 1], 1)?;
        let halve = self.convolution(&part("conv2"), [wide, wide, 3], 2)?;
        let keep = halve.with_stride([1, 1]);
        let widen = self.convolution(&part("conv3"), [outputs, wide, 1], 1)?;
        for step in 0..steps {
            let norm = |layer: usize| part(&format!("norm{layer}_{step}"));
            let (skip, middle) = match step {
                0 => {
                    let skip = self.b.conv2d(x, self.convolution(&part("skip"), [outputs, outputs, 1], 2)?)?;
                    (self.norm(skip, &part("norm_skip"))?, &halve)
                }
                _ => (x, &keep),
            };
            x = self.step(x, narrow.clone(), &norm(1), None)?;
            x = self.step(x, middle.clone(), &norm(2), None)?;
            x = self.step(x, widen.clone(), &norm(3), Some(skip))?;
        }
        Ok(x)
    }
}
