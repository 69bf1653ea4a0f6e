//! EfficientNet-Lite0, Lite1 and Lite2.

use std::path::Path;

use crate::fs::assets;
use crate::network::{Builder, Checkpoint, Input, Network, NodeId};
use crate::ops::{ChannelAffine, Conv2dConfig, Padding, Relu};
use crate::{Error, Result};

const EPSILON: f64 = 1e-3;
/// SHA-256 of the shipped weights, as in assets/manifest.json.
const SHIPPED_SHA256: &str = "09b856517b08c16dca2486a41b438508d253136c9afda1a733094d8f1daa78a3";

/// Groups of blocks: number of blocks, kernel, stride of the first block, expansion.
const GROUPS: [(usize, usize, usize, usize); 7] =
    [(1, 3, 1, 1), (2, 3, 2, 6), (2, 5, 2, 6), (3, 3, 2, 6), (3, 5, 1, 6), (4, 5, 2, 6), (1, 3, 1, 6)];

/// EfficientNet-Lite0 trained on ImageNet-1k, with the weights that ship with the project.
///
/// Stages: `stem`, `block0` to `block15` (the blocks' outputs, not rectified), `features`, `avgpool`, `logits`. Input: 224 x 224;
/// batch normalisation is folded into the convolutions. Architecture: Tan & Le, ICML 2019, in the Lite variant without
/// squeeze-and-excitation and with ReLU6.
///
/// ```
/// let net = metamers::zoo::efficientnet_lite0()?;
/// assert_eq!(net.stage("block5")?.shape, [80, 14, 14]);
/// # Ok::<(), metamers::Error>(())
/// ```
///
/// # Errors
/// When the shipped files are missing or damaged.
pub fn efficientnet_lite0() -> Result<Network> {
    let path = assets::shipped("networks/efficientnet_lite0.safetensors")?;
    let net = efficientnet_lite0_from(&path)?;
    match net.weights_source().weights_sha256.as_str() {
        SHIPPED_SHA256 => Ok(net),
        other => Err(Error::file(
            path,
            format!("is not the shipped file: its SHA-256 is {other}, expected {SHIPPED_SHA256}"),
        )),
    }
}

/// EfficientNet-Lite0 with custom weights: safetensors or zip `.pth`, with the names of the common PyTorch build
/// (`_conv_stem.weight`, `_bn0.*`, `_blocks.0.*`, `_conv_head.weight`, `_bn1.*`, `_fc.*`).
///
/// # Errors
/// When the file cannot be read or is of another architecture, or a tensor is missing, has the wrong shape, or is not finite.
pub fn efficientnet_lite0_from(weights: impl AsRef<Path>) -> Result<Network> {
    build(LITE0, &Checkpoint::open(weights)?)
}

/// An untrained EfficientNet-Lite0 with the weights of [`Checkpoint::random`]: the control for effects of training.
///
/// # Errors
/// Infallible in practice; the `Result` matches the other loaders.
pub fn efficientnet_lite0_random(seed: u64) -> Result<Network> {
    build(LITE0, &Checkpoint::random(seed))
}

/// EfficientNet-Lite1: the layout of Lite0 with one more block in each group except the first and the last, for images of 240 x 240.
/// Tensor names as in [`efficientnet_lite0_from`].
///
/// `cargo lab --fetch` fetches ImageNet weights: `efficientnet_lite1_from("optional/efficientnet_lite1.safetensors")`. A second
/// network with the same 1000 classes can classify the metamers of the first ([`CrossNetwork`](crate::verdict::CrossNetwork)).
///
/// # Errors
/// As [`efficientnet_lite0_from`].
pub fn efficientnet_lite1_from(weights: impl AsRef<Path>) -> Result<Network> {
    build(LITE1, &Checkpoint::open(weights)?)
}

/// An untrained EfficientNet-Lite1 with the weights of [`Checkpoint::random`].
///
/// # Errors
/// Infallible in practice; the `Result` matches the other loaders.
pub fn efficientnet_lite1_random(seed: u64) -> Result<Network> {
    build(LITE1, &Checkpoint::random(seed))
}

/// EfficientNet-Lite2: the layout of Lite1 with a tenth more channels in each group, rounded to multiples of eight, for images of
/// 260 x 260. Tensor names as in [`efficientnet_lite0_from`].
///
/// `cargo lab --fetch` fetches ImageNet weights: `efficientnet_lite2_from("optional/efficientnet_lite2.safetensors")`, a third network
/// with the same 1000 classes.
///
/// # Errors
/// As [`efficientnet_lite0_from`].
pub fn efficientnet_lite2_from(weights: impl AsRef<Path>) -> Result<Network> {
    build(LITE2, &Checkpoint::open(weights)?)
}

/// An untrained EfficientNet-Lite2 with the weights of [`Checkpoint::random`].
///
/// # Errors
/// Infallible in practice; the `Result` matches the other loaders.
pub fn efficientnet_lite2_random(seed: u64) -> Result<Network> {
    build(LITE2, &Checkpoint::random(seed))
}

/// The parameters that differ between members of the family.
struct Version {
    name: &'static str,
    /// Height and width of the input.
    side: usize,
    /// Additional blocks in each group except the first and the last.
    extra_blocks: usize,
    /// The output channels of each group.
    channels: [usize; GROUPS.len()],
}

const LITE0: Version =
    Version { name: "EfficientNet-Lite0", side: 224, extra_blocks: 0, channels: [16, 24, 40, 80, 112, 192, 320] };

const LITE1: Version = Version { name: "EfficientNet-Lite1", side: 240, extra_blocks: 1, ..LITE0 };

const LITE2: Version =
    Version { name: "EfficientNet-Lite2", side: 260, extra_blocks: 1, channels: [16, 24, 48, 88, 120, 208, 352] };

fn build(Version { name, side, extra_blocks, channels: outputs }: Version, weights: &Checkpoint) -> Result<Network> {
    let mut b = Builder::new(name, Input::Image { shape: [3, side, side], resize: side + 32 });
    // Normalisation: (255 x - 127) / 128, for x in [0, 1].
    let x = b.channel_affine(b.input(), ChannelAffine::new(&[255.0 / 128.0; 3], &[-127.0 / 128.0; 3])?)?;
    let mut net = Body { weights, b: &mut b, side };

    let mut x = net.convolve(x, ("_conv_stem", "_bn0"), [32, 3], 3, 2, 1)?;
    x = net.b.relu(x, Relu::RELU6)?;
    net.b.stage("stem", x)?;
    let (mut channels, mut index) = (32, 0);
    for (group, ((repeats, kernel, stride, expansion), outputs)) in GROUPS.into_iter().zip(outputs).enumerate() {
        let inner = group > 0 && group < GROUPS.len() - 1;
        for repeat in 0..repeats + if inner { extra_blocks } else { 0 } {
            let stride = if repeat == 0 { stride } else { 1 };
            x = net.block(x, index, [outputs, channels], kernel, stride, expansion)?;
            net.b.stage(format!("block{index}"), x)?;
            (channels, index) = (outputs, index + 1);
        }
    }
    x = net.convolve(x, ("_conv_head", "_bn1"), [1280, channels], 1, 1, 1)?;
    x = net.b.relu(x, Relu::RELU6)?;
    net.b.stage("features", x)?;

    x = b.global_avg_pool(x)?;
    b.stage("avgpool", x)?;
    x = b.linear(x, weights.linear("_fc", 1000, 1280)?)?;
    b.stage("logits", x)?;
    b.classes(super::imagenet::classes()?);
    super::finish(b, weights)
}

struct Body<'a> {
    weights: &'a Checkpoint,
    b: &'a mut Builder,
    /// Height and width of the image at the current depth.
    side: usize,
}

impl Body<'_> {
    /// Adds a convolution with batch normalisation folded in and TensorFlow's `SAME` padding.
    fn convolve(
        &mut self,
        x: NodeId,
        (convolution, norm): (&str, &str),
        [outputs, inputs]: [usize; 2],
        kernel: usize,
        stride: usize,
        groups: usize,
    ) -> Result<NodeId> {
        let padding = Padding::same([self.side; 2], [kernel; 2], [stride; 2]);
        let config = Conv2dConfig { stride: [stride; 2], padding, groups, ..Conv2dConfig::default() };
        let norm = self.weights.batch_norm(norm, outputs, EPSILON)?;
        let shape = [outputs, inputs / groups, kernel, kernel];
        self.side = self.side.div_ceil(stride);
        self.b.conv2d(x, self.weights.conv2d_normalized(convolution, shape, &norm, config)?)
    }

    /// Adds an inverted bottleneck block: expansion, depthwise convolution and projection, added to the input if the shapes match.
    fn block(
        &mut self,
        input: NodeId,
        index: usize,
        [outputs, inputs]: [usize; 2],
        kernel: usize,
        stride: usize,
        expansion: usize,
    ) -> Result<NodeId> {
        let part = |part: &str| format!("_blocks.{index}.{part}");
        let wide = inputs * expansion;
        let mut x = input;
        if expansion > 1 {
            x = self.convolve(x, (&part("_expand_conv"), &part("_bn0")), [wide, inputs], 1, 1, 1)?;
            x = self.b.relu(x, Relu::RELU6)?;
        }
        x = self.convolve(x, (&part("_depthwise_conv"), &part("_bn1")), [wide, wide], kernel, stride, wide)?;
        x = self.b.relu(x, Relu::RELU6)?;
        x = self.convolve(x, (&part("_project_conv"), &part("_bn2")), [outputs, wide], 1, 1, 1)?;
        if stride == 1 && inputs == outputs { self.b.add(x, input) } else { Ok(x) }
    }
}
