//! ResNet-50 and ResNet-101.

use std::path::Path;

use super::imagenet;
use crate::Result;
use crate::network::{Builder, Checkpoint, Network, NodeId};
use crate::ops::{Conv2d, Conv2dConfig, MaxPool2d, Padding, Relu, Window};

const EPSILON: f64 = 1e-5;

/// ResNet-50 with custom weights: safetensors or zip `.pth`, with torchvision's names (`conv1.weight`, `bn1.*`,
/// `layer1.0.conv1.weight`, ...).
///
/// Stages: `conv1` and `layer1` to `layer4` (rectified), `avgpool`, `logits`. Input: 224 x 224 with ImageNet's
/// normalisation; batch normalisation is folded into the convolutions. Architecture: He et al., CVPR 2016, with the stride in
/// the 3 x 3 convolution of a block, as in torchvision.
///
/// # Errors
/// When the file cannot be read or is of another architecture, or a tensor is missing, has the wrong shape, or is not finite.
pub fn resnet50_from(weights: impl AsRef<Path>) -> Result<Network> {
    resnet("ResNet-50", [3, 4, 6, 3], &Checkpoint::open(weights)?)
}

/// An untrained ResNet-50 with the weights of [`Checkpoint::random`].
///
/// # Errors
/// Infallible in practice; the `Result` matches the other loaders.
pub fn resnet50_random(seed: u64) -> Result<Network> {
    resnet("ResNet-50", [3, 4, 6, 3], &Checkpoint::random(seed))
}

/// ResNet-101: [`resnet50_from`] with 23 blocks in `layer3`.
///
/// # Errors
/// As [`resnet50_from`].
pub fn resnet101_from(weights: impl AsRef<Path>) -> Result<Network> {
    resnet("ResNet-101", [3, 4, 23, 3], &Checkpoint::open(weights)?)
}

/// An untrained ResNet-101 with the weights of [`Checkpoint::random`].
///
/// # Errors
/// Infallible in practice; the `Result` matches the other loaders.
pub fn resnet101_random(seed: u64) -> Result<Network> {
    resnet("ResNet-101", [3, 4, 23, 3], &Checkpoint::random(seed))
}

fn resnet(name: &str, blocks: [usize; 4], weights: &Checkpoint) -> Result<Network> {
    let mut b = Builder::new(name, imagenet::INPUT);
    let x = imagenet::normalise(&mut b)?;
    let (x, channels) = body(&mut b, weights, x, 3, blocks)?;
    let x = b.linear(x, weights.linear("fc", 1000, channels)?)?;
    b.stage("logits", x)?;
    b.classes(imagenet::classes()?);
    super::finish(b, weights)
}

/// Adds all layers except the last, with the stages `conv1` to `avgpool`; returns the average pool and its number of channels.
pub(super) fn body(
    b: &mut Builder,
    weights: &Checkpoint,
    input: NodeId,
    channels: usize,
    blocks: [usize; 4],
) -> Result<(NodeId, usize)> {
    let mut x = b.conv2d(input, convolution(weights, ["conv1", "bn1"], [64, channels, 7, 7], 2)?)?;
    x = b.relu(x, Relu::UNBOUNDED)?;
    b.stage("conv1", x)?;
    x = b.max_pool2d(x, MaxPool2d::new(Window::square(3).stride(2).padding(Padding::all(1))))?;
    let mut inputs = 64;
    for (group, count) in blocks.into_iter().enumerate() {
        let narrow = 64 << group;
        for index in 0..count {
            let stride = if group > 0 && index == 0 { 2 } else { 1 };
            x = block(b, weights, x, &format!("layer{}.{index}", group + 1), [inputs, narrow], stride)?;
            inputs = 4 * narrow;
        }
        b.stage(format!("layer{}", group + 1), x)?;
    }
    x = b.global_avg_pool(x)?;
    b.stage("avgpool", x)?;
    Ok((x, inputs))
}

/// A convolution with batch normalisation folded in.
fn convolution(weights: &Checkpoint, [name, norm]: [&str; 2], shape: [usize; 4], stride: usize) -> Result<Conv2d> {
    let padding = Padding::all(shape[2] / 2);
    let config = Conv2dConfig { stride: [stride; 2], padding, ..Conv2dConfig::default() };
    weights.conv2d_normalized(name, shape, &weights.batch_norm(norm, shape[0], EPSILON)?, config)
}

/// Adds a bottleneck block: 1 x 1, 3 x 3 and 1 x 1 convolutions, added to the input; a convolution projects the input if the shape
/// changes.
fn block(
    b: &mut Builder,
    weights: &Checkpoint,
    input: NodeId,
    name: &str,
    [inputs, narrow]: [usize; 2],
    stride: usize,
) -> Result<NodeId> {
    let part = |parts: [&str; 2], shape, stride| {
        let [conv, norm] = parts.map(|part| format!("{name}.{part}"));
        convolution(weights, [&conv, &norm], shape, stride)
    };
    let mut x = b.conv2d(input, part(["conv1", "bn1"], [narrow, inputs, 1, 1], 1)?)?;
    x = b.relu(x, Relu::UNBOUNDED)?;
    x = b.conv2d(x, part(["conv2", "bn2"], [narrow, narrow, 3, 3], stride)?)?;
    x = b.relu(x, Relu::UNBOUNDED)?;
    x = b.conv2d(x, part(["conv3", "bn3"], [4 * narrow, narrow, 1, 1], 1)?)?;
    let shortcut = match inputs == 4 * narrow && stride == 1 {
        true => input,
        false => b.conv2d(input, part(["downsample.0", "downsample.1"], [4 * narrow, inputs, 1, 1], stride)?)?,
    };
    let x = b.add(x, shortcut)?;
    b.relu(x, Relu::UNBOUNDED)
}
