//! ResNet-101-V2.

use std::path::Path;

use super::imagenet;
use crate::network::{Builder, Checkpoint, Input, Network, NodeId};
use crate::ops::{ChannelAffine, Conv2dConfig, Linear, MaxPool2d, Padding, Relu, Window};
use crate::{Error, Result};

const EPSILON: f64 = 1e-5;

/// Number of units in each of the four blocks, and the stride of the block's last unit.
const BLOCKS: [(usize, usize); 4] = [(3, 2), (4, 2), (23, 2), (3, 1)];

/// ResNet-101-V2 as in TF-slim (`resnet_v2_101`), with custom weights: safetensors or zip `.pth`.
///
/// Stages: `conv1` (not rectified), `block1` to `block4` (the sums, not rectified), `global_pool`, `logits`. Input: 299 x 299,
/// normalised to `2 x - 1`. Architecture: He et al., ECCV 2016. Batch normalisation and rectifier precede each convolution: a unit's
/// first batch normalisation is a separate layer, the other two are folded into the convolutions. As in TF-slim, the last unit of a
/// block has the stride, and the max pool is padded only at the end (TensorFlow's `SAME`).
///
/// The tensor names are TF-slim's with dots, without `resnet_v2_101/` and `bottleneck_v2/`. `BatchNorm` is renamed to `norm`; `gamma`,
/// `beta`, `moving_mean` and `moving_variance` to `weight`, `bias`, `running_mean` and `running_var`. Kernels are
/// `[outputs, inputs, rows, columns]` instead of `[rows, columns, inputs, outputs]`:
///
/// | tensors | shape |
/// | --- | --- |
/// | `conv1.weight`, `conv1.bias` | `[64, 3, 7, 7]` |
/// | `block1.unit_1.preact.*` | batch normalisation |
/// | `block1.unit_1.shortcut.weight`, `.bias` | `[256, 64, 1, 1]`, in the first unit of a block |
/// | `block1.unit_1.conv1.weight`, `.conv1.norm.*` | `[64, 64, 1, 1]` |
/// | `block1.unit_1.conv2.weight`, `.conv2.norm.*` | `[64, 64, 3, 3]` |
/// | `block1.unit_1.conv3.weight`, `.bias` | `[256, 64, 1, 1]` |
/// | `postnorm.*` | batch normalisation of 2048 channels |
/// | `logits.weight`, `.bias` | `[classes, 2048, 1, 1]`, with 1001 classes (TF-slim's first is "background") or 1000 |
///
/// # Errors
/// When the file cannot be read or is of another architecture, or a tensor is missing, has the wrong shape, or is not finite.
pub fn resnet101_v2_from(weights: impl AsRef<Path>) -> Result<Network> {
    resnet_v2(&Checkpoint::open(weights)?)
}

/// An untrained ResNet-101-V2 with 1001 classes and the weights of [`Checkpoint::random`].
///
/// # Errors
/// Infallible in practice; the `Result` matches the other loaders.
pub fn resnet101_v2_random(seed: u64) -> Result<Network> {
    resnet_v2(&Checkpoint::random(seed))
}

fn resnet_v2(weights: &Checkpoint) -> Result<Network> {
    let mut b = Builder::new("ResNet-101-V2", Input::Image { shape: [3, 299, 299], resize: 342 });
    let mut x = b.channel_affine(b.input(), ChannelAffine::new(&[2.0; 3], &[-1.0; 3])?)?;
    let config = Conv2dConfig { stride: [2, 2], padding: Padding::all(3), ..Conv2dConfig::default() };
    x = b.conv2d(x, weights.conv2d("conv1", [64, 3, 7, 7], config)?)?;
    b.stage("conv1", x)?;
    let size = b.shape(x).map_or([0; 2], |shape| [shape[1], shape[2]]);
    let padding = Padding::same(size, [3, 3], [2, 2]);
    x = b.max_pool2d(x, MaxPool2d::new(Window::square(3).stride(2).padding(padding)))?;
    let mut inputs = 64;
    for (block, (units, stride)) in BLOCKS.into_iter().enumerate() {
        let narrow = 64 << block;
        for index in 1..=units {
            let name = format!("block{}.unit_{index}", block + 1);
            x = unit(&mut b, weights, x, &name, [inputs, narrow], if index == units { stride } else { 1 })?;
            inputs = 4 * narrow;
        }
        b.stage(format!("block{}", block + 1), x)?;
    }
    x = norm(&mut b, weights, x, "postnorm", inputs)?;
    x = b.global_avg_pool(x)?;
    b.stage("global_pool", x)?;
    let (layer, classes) = logits(weights, inputs)?;
    x = b.linear(x, layer)?;
    b.stage("logits", x)?;
    b.classes(classes);
    super::finish(b, weights)
}

/// Adds batch normalisation as a separate layer, and a rectifier.
fn norm(b: &mut Builder, weights: &Checkpoint, x: NodeId, name: &str, channels: usize) -> Result<NodeId> {
    let x = b.channel_affine(x, weights.batch_norm(name, channels, EPSILON)?.affine()?)?;
    b.relu(x, Relu::UNBOUNDED)
}

/// Adds a pre-activation bottleneck unit, added to the input; the input is projected or subsampled if the shape changes.
fn unit(
    b: &mut Builder,
    weights: &Checkpoint,
    input: NodeId,
    name: &str,
    [inputs, narrow]: [usize; 2],
    stride: usize,
) -> Result<NodeId> {
    let part = |part: &str| format!("{name}.{part}");
    let before = norm(b, weights, input, &part("preact"), inputs)?;
    let plain = Conv2dConfig::default();
    let shortcut = match (inputs == 4 * narrow, stride) {
        (true, 1) => input,
        // Subsampling: every second pixel of every second row.
        (true, _) => b.max_pool2d(input, MaxPool2d::new(Window::square(1).stride(stride)))?,
        (false, _) => {
            let config = Conv2dConfig { stride: [stride; 2], ..plain };
            b.conv2d(before, weights.conv2d(&part("shortcut"), [4 * narrow, inputs, 1, 1], config)?)?
        }
    };
    let wide = Conv2dConfig { stride: [stride; 2], padding: Padding::all(1), ..plain };
    let mut x = before;
    for (conv, shape, config) in [("conv1", [narrow, inputs, 1, 1], plain), ("conv2", [narrow, narrow, 3, 3], wide)] {
        let norm = weights.batch_norm(&part(&format!("{conv}.norm")), narrow, EPSILON)?;
        x = b.conv2d(x, weights.conv2d_normalized(&part(conv), shape, &norm, config)?)?;
        x = b.relu(x, Relu::UNBOUNDED)?;
    }
    x = b.conv2d(x, weights.conv2d(&part("conv3"), [4 * narrow, narrow, 1, 1], plain)?)?;
    b.add(shortcut, x)
}

/// The last layer, which the file stores as a 1 x 1 convolution, and the names of its classes.
fn logits(weights: &Checkpoint, inputs: usize) -> Result<(Linear, Vec<String>)> {
    let count = if weights.is_random() { 1001 } else { weights.shape("logits.weight")?[0] };
    let mut classes = imagenet::classes()?;
    match count {
        1000 => {}
        1001 => classes.insert(0, "background".into()),
        other => return Err(Error::invalid("logits.weight", format!("has {other} classes, expected 1001 or 1000"))),
    }
    let weight = weights.tensor("logits.weight", &[count, inputs, 1, 1])?.reshape((count, inputs))?;
    let bias = weights.tensor("logits.bias", &[count])?;
    Ok((Linear::new(&weight, Some(&bias))?, classes))
}
