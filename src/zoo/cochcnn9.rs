//! CochCNN9, and networks with its layout.

use std::path::Path;

use crate::fs::assets;
use crate::hearing::Cochleagram;
use crate::network::{Builder, Checkpoint, Layer, Network, NodeId};
use crate::ops::{AvgPool2d, Conv2d, Conv2dConfig, MaxPool2d, Padding, Relu, Window};
use crate::{Error, Result};

const EPSILON: f64 = 1e-5;

/// Kernel and stride of the pools.
const POOL: ([usize; 2], usize) = ([2, 5], 2);

/// Strides of the five convolutions.
const STRIDES: [usize; 5] = [3, 2, 1, 1, 1];

/// Channels of the published network's convolutions.
const CHANNELS: [usize; 5] = [96, 256, 512, 1024, 512];
/// Kernels of the published network's convolutions.
const KERNELS: [[usize; 2]; 5] = [[7, 14], [4, 8], [2, 5], [2, 5], [2, 5]];
/// Units of the published network's hidden layer.
const HIDDEN: usize = 4096;
/// Classes of the published network: words, and one class for no word.
const CLASSES: usize = 794;

/// Taps of the Hann window that replaces a max pool, including its zero ends.
const HANN_TAPS: usize = 8;

/// CochCNN9 (Feather et al., Nature Neuroscience 2023) with custom weights, or any network with its layout.
///
/// The file is safetensors or a zip `.pth`, with the names of the usual PyTorch build: `batchnorm0` to `batchnorm2`, `conv0` to `conv4`
/// (`.weight` only), `fullyconnected`, `classification`. Layer widths, kernel sizes and the number of classes are read from the
/// weights. A metadata entry `pool` that starts with `hann` selects Hann-weighted pools of 8 taps instead of max pools; an entry
/// `classes`, a JSON list, names the classes.
///
/// Input: 2 s at 20 kHz; the network's first layer is a [`Cochleagram`] of 211 x 390 values. Stages: `cochleagram`, `relu0` to
/// `relu4`, `avgpool`, `relufc`, `final`. Convolutions and pools use TensorFlow's `SAME` padding.
///
/// # Errors
/// When the file cannot be read or is of another architecture, or a tensor is missing, has the wrong shape, or is not finite.
pub fn cochcnn9_from(weights: impl AsRef<Path>) -> Result<Network> {
    build("CochCNN9", &Checkpoint::open(weights)?)
}

/// An untrained CochCNN9 with the published widths and 794 classes, and the weights of [`Checkpoint::random`].
///
/// # Errors
/// Infallible in practice; the `Result` matches the other loaders.
pub fn cochcnn9_random(seed: u64) -> Result<Network> {
    build("CochCNN9", &Checkpoint::random(seed))
}

/// A network with CochCNN9's layout and narrower layers, trained to recognise 78 spoken words, or no word.
///
/// The network ships with the project; `scripts/words` trains it on synthetic voices. It recognises 77 of the 79 recorded words that
/// ship (97.5 %), by a speaker who is not in the training set (it confuses "ninety" with "yankee" and misses "goodbye"), and 11 of 13
/// numbers by another speaker. Stages: as [`cochcnn9_from`].
///
/// ```no_run
/// # use metamers::prelude::*;
/// let ear = zoo::cochcnn_words()?;
/// let word = Sound::open("speech/seven.wav")?.prepare(20_000, 40_000)?;
/// println!("{}", ear.classify(&word, 3)?.top().name);
/// # Ok::<(), metamers::Error>(())
/// ```
///
/// # Errors
/// When the shipped file is missing or damaged.
pub fn cochcnn_words() -> Result<Network> {
    shipped("cochcnn_words")
}

/// A variant of [`cochcnn_words`] with reduced aliasing: Hann-weighted pooling at every downsampling. Its accuracy is the same: 77 of 79
/// (97.5 %) and 11 of 13.
///
/// # Errors
/// As [`cochcnn_words`].
pub fn cochcnn_words_hann() -> Result<Network> {
    shipped("cochcnn_words_hann")
}

/// [`cochcnn_words`] before training.
///
/// # Errors
/// As [`cochcnn_words`].
pub fn cochcnn_words_untrained() -> Result<Network> {
    shipped("cochcnn_words_untrained")
}

fn shipped(name: &str) -> Result<Network> {
    build(name, &Checkpoint::open(assets::shipped(&format!("networks/{name}.safetensors"))?)?)
}

fn build(name: &str, weights: &Checkpoint) -> Result<Network> {
    let cochleagram = Cochleagram::feather2023()?;
    let mut b = Builder::new(name, super::cochleagram::input(&cochleagram));
    let mut size = [cochleagram.config().channels(), cochleagram.frames()];
    let hann = weights.metadata("pool").is_some_and(|pool| pool.starts_with("hann"));
    let x = b.layer(cochleagram, &[b.input()])?;
    b.stage("cochleagram", x)?;
    let mut x = normalise(&mut b, weights, x, 0, 1)?;
    let mut channels = 1;
    for (i, stride) in STRIDES.into_iter().enumerate() {
        let convolution = format!("conv{i}");
        let published = [&[CHANNELS[i], channels], KERNELS[i].as_slice()].concat();
        let shape = shape(weights, &convolution, &published)?;
        let &[outputs, inputs, height, width] = shape else {
            return Err(Error::shape(format!("{convolution}.weight"), "[outputs, inputs, height, width]", shape));
        };
        let padding = Padding::same(size, [height, width], [stride; 2]);
        let config = Conv2dConfig { stride: [stride; 2], padding, ..Conv2dConfig::default() };
        if inputs != channels {
            return Err(Error::shape(format!("{convolution}.weight"), format!("[_, {channels}, _, _]"), shape));
        }
        x = b.conv2d(x, weights.conv2d_no_bias(&convolution, [outputs, inputs, height, width], config)?)?;
        x = b.relu(x, Relu::UNBOUNDED)?;
        b.stage(format!("relu{i}"), x)?;
        (channels, size) = (outputs, size.map(|side| side.div_ceil(stride)));
        if i < 2 {
            x = if hann { hann_pool(&mut b, x, channels, size)? } else { max_pool(&mut b, x, size)? };
            size = size.map(|side| side.div_ceil(POOL.1));
            x = normalise(&mut b, weights, x, i + 1, channels)?;
        }
    }
    x = b.avg_pool2d(x, AvgPool2d::new(window(size)))?;
    b.stage("avgpool", x)?;
    let units = channels * size.map(|side| side.div_ceil(POOL.1)).iter().product::<usize>();
    let flat = b.layer(Layer::Flatten, &[x])?;
    let hidden = shape(weights, "fullyconnected", &[HIDDEN])?[0];
    let classes = shape(weights, "classification", &[CLASSES])?[0];
    x = b.linear(flat, weights.linear("fullyconnected", hidden, units)?)?;
    x = b.relu(x, Relu::UNBOUNDED)?;
    b.stage("relufc", x)?;
    x = b.linear(x, weights.linear("classification", classes, hidden)?)?;
    b.stage("final", x)?;
    if let Some(names) = weights.metadata("classes") {
        let names: Vec<String> = serde_json::from_str(names)
            .map_err(|e| Error::invalid("classes", format!("the list in the weights file is not valid JSON ({e})")))?;
        b.classes(names);
    }
    super::finish(b, weights)
}

/// The shape of a layer's weight; for random weights, the published shape.
fn shape<'a>(weights: &'a Checkpoint, layer: &str, published: &'a [usize]) -> Result<&'a [usize]> {
    if weights.is_random() { Ok(published) } else { weights.shape(&format!("{layer}.weight")) }
}

fn window(size: [usize; 2]) -> Window {
    let (kernel, stride) = POOL;
    Window::new(kernel).stride(stride).padding(Padding::same(size, kernel, [stride; 2]))
}

fn max_pool(b: &mut Builder, x: NodeId, size: [usize; 2]) -> Result<NodeId> {
    b.max_pool2d(x, MaxPool2d::new(window(size)))
}

/// Adds a Hann-weighted average pool over both axes, without the window's zero ends.
fn hann_pool(b: &mut Builder, x: NodeId, channels: usize, size: [usize; 2]) -> Result<NodeId> {
    let side = HANN_TAPS - 2;
    let taps = (1..=side).map(|k| (std::f64::consts::PI * k as f64 / (HANN_TAPS - 1) as f64).sin().powi(2));
    let taps: Vec<f64> = taps.collect();
    let sum: f64 = taps.iter().sum();
    let kernel: Vec<f32> = taps.iter().flat_map(|a| taps.iter().map(move |b| (a * b / sum / sum) as f32)).collect();
    let weight =
        candle_core::Tensor::from_vec(kernel.repeat(channels), (channels, 1, side, side), &candle_core::Device::Cpu)?;
    let padding = Padding::same(size, [side; 2], [POOL.1; 2]);
    let config = Conv2dConfig { stride: [POOL.1; 2], padding, groups: channels, ..Conv2dConfig::default() };
    b.conv2d(x, Conv2d::new(&weight, None, config)?)
}

/// Adds a batch normalisation as a separate layer, since the padding of the next convolution prevents folding.
fn normalise(b: &mut Builder, weights: &Checkpoint, x: NodeId, index: usize, channels: usize) -> Result<NodeId> {
    let norm = weights.batch_norm(&format!("batchnorm{index}"), channels, EPSILON)?;
    b.channel_affine(x, norm.affine()?)
}
