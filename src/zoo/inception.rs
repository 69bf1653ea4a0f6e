//! Inception-V3.

use std::path::Path;

use super::imagenet;
use crate::Result;
use crate::network::{Builder, Checkpoint, Input, Layer, Network, NodeId};
use crate::ops::{AvgPool2d, ChannelAffine, Conv2dConfig, MaxPool2d, Padding, Relu, Window};

const EPSILON: f64 = 1e-3;

/// A convolution of a branch: name, output channels and window.
type Convolution = (&'static str, usize, Window);

const K1X1: Window = same([1, 1]);
const K3X3: Window = same([3, 3]);
const K1X7: Window = same([1, 7]);
const K7X1: Window = same([7, 1]);
const K3X3_STRIDE2: Window = Window { stride: [2, 2], padding: all(0), ..same([3, 3]) };

const fn all(pixels: usize) -> Padding {
    Padding { top: pixels, bottom: pixels, left: pixels, right: pixels }
}

/// A window with padding that keeps the image's size.
const fn same(kernel: [usize; 2]) -> Window {
    let [rows, columns] = [kernel[0] / 2, kernel[1] / 2];
    let padding = Padding { top: rows, bottom: rows, left: columns, right: columns };
    Window { kernel, stride: [1, 1], dilation: [1, 1], padding }
}

/// Inception-V3 with custom weights: safetensors or zip `.pth`, with torchvision's names (`Conv2d_1a_3x3.conv.weight`,
/// `Conv2d_1a_3x3.bn.*`, `Mixed_5b.branch1x1.conv.weight`, ...). The auxiliary classifier, used only in training, is omitted.
///
/// Stages: the rectified convolutions `Conv2d_1a_3x3` to `Conv2d_4a_3x3`, the blocks `Mixed_5b` to `Mixed_7c`, `avgpool`, `logits`.
/// Input: 299 x 299; batch normalisation is folded into the convolutions. Architecture: Szegedy et al., CVPR 2016, as in torchvision,
/// whose average pools include the padding.
///
/// Colours are normalised to `2 x - 1`, as torchvision's weights expect: torchvision normalises with ImageNet's means, and the
/// network's `transform_input` converts the result to `2 x - 1`. Weights trained with ImageNet's normalisation alone are not
/// supported.
///
/// # Errors
/// When the file cannot be read or is of another architecture, or a tensor is missing, has the wrong shape, or is not finite.
pub fn inception_v3_from(weights: impl AsRef<Path>) -> Result<Network> {
    inception_v3(&Checkpoint::open(weights)?)
}

/// An untrained Inception-V3 with the weights of [`Checkpoint::random`].
///
/// # Errors
/// Infallible in practice; the `Result` matches the other loaders.
pub fn inception_v3_random(seed: u64) -> Result<Network> {
    inception_v3(&Checkpoint::random(seed))
}

fn inception_v3(weights: &Checkpoint) -> Result<Network> {
    let mut b = Builder::new("Inception-V3", Input::Image { shape: [3, 299, 299], resize: 342 });
    let mut x = b.channel_affine(b.input(), ChannelAffine::new(&[2.0; 3], &[-1.0; 3])?)?;
    let mut net = Body { weights, b: &mut b };
    let valid = Window { padding: all(0), ..K3X3 };
    let stem: [(Convolution, bool); 5] = [
        (("Conv2d_1a_3x3", 32, K3X3_STRIDE2), false),
        (("Conv2d_2a_3x3", 32, valid), false),
        (("Conv2d_2b_3x3", 64, K3X3), true),
        (("Conv2d_3b_1x1", 80, K1X1), false),
        (("Conv2d_4a_3x3", 192, valid), true),
    ];
    for ((name, outputs, window), pool) in stem {
        x = net.convolve(x, name, outputs, window)?;
        net.b.stage(name, x)?;
        if pool {
            x = net.b.max_pool2d(x, MaxPool2d::new(K3X3_STRIDE2))?;
        }
    }
    for (name, pooled) in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)] {
        x = net.inception_a(x, name, pooled)?;
    }
    x = net.reduction(
        x,
        "Mixed_6a",
        &[
            &[("branch3x3", 384, K3X3_STRIDE2)],
            &[("branch3x3dbl_1", 64, K1X1), ("branch3x3dbl_2", 96, K3X3), ("branch3x3dbl_3", 96, K3X3_STRIDE2)],
        ],
    )?;
    for (name, narrow) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
        x = net.inception_c(x, name, narrow)?;
    }
    x = net.reduction(
        x,
        "Mixed_7a",
        &[
            &[("branch3x3_1", 192, K1X1), ("branch3x3_2", 320, K3X3_STRIDE2)],
            &[
                ("branch7x7x3_1", 192, K1X1),
                ("branch7x7x3_2", 192, K1X7),
                ("branch7x7x3_3", 192, K7X1),
                ("branch7x7x3_4", 192, K3X3_STRIDE2),
            ],
        ],
    )?;
    for name in ["Mixed_7b", "Mixed_7c"] {
        x = net.inception_e(x, name)?;
    }
    x = b.global_avg_pool(x)?;
    b.stage("avgpool", x)?;
    x = b.linear(x, weights.linear("fc", 1000, 2048)?)?;
    b.stage("logits", x)?;
    b.classes(imagenet::classes()?);
    super::finish(b, weights)
}

struct Body<'a> {
    weights: &'a Checkpoint,
    b: &'a mut Builder,
}

impl Body<'_> {
    /// Adds a convolution with batch normalisation folded in, and a rectifier.
    fn convolve(&mut self, x: NodeId, name: &str, outputs: usize, window: Window) -> Result<NodeId> {
        let inputs = self.b.shape(x).map_or(0, |shape| shape[0]);
        let Window { kernel: [rows, columns], stride, dilation, padding } = window;
        let config = Conv2dConfig { stride, dilation, padding, groups: 1 };
        let norm = self.weights.batch_norm(&format!("{name}.bn"), outputs, EPSILON)?;
        let shape = [outputs, inputs, rows, columns];
        let y = self.b.conv2d(x, self.weights.conv2d_normalized(&format!("{name}.conv"), shape, &norm, config)?)?;
        self.b.relu(y, Relu::UNBOUNDED)
    }

    /// Adds a sequence of convolutions.
    fn chain(&mut self, mut x: NodeId, block: &str, parts: &[Convolution]) -> Result<NodeId> {
        for &(part, outputs, window) in parts {
            x = self.convolve(x, &format!("{block}.{part}"), outputs, window)?;
        }
        Ok(x)
    }

    /// Adds an average pool with stride 1, and a convolution.
    fn pool_branch(&mut self, x: NodeId, block: &str, outputs: usize) -> Result<NodeId> {
        let pool = self.b.avg_pool2d(x, AvgPool2d::new(K3X3))?;
        self.chain(pool, block, &[("branch_pool", outputs, K1X1)])
    }

    /// Concatenates the branches along the channels and makes the result a stage.
    fn concat(&mut self, block: &str, branches: &[NodeId]) -> Result<NodeId> {
        let x = self.b.layer(Layer::Concat, branches)?;
        self.b.stage(block, x)?;
        Ok(x)
    }

    /// Adds torchvision's InceptionA: branches with kernels of 1 x 1, 5 x 5 and twice 3 x 3.
    fn inception_a(&mut self, x: NodeId, block: &str, pooled: usize) -> Result<NodeId> {
        let one = self.chain(x, block, &[("branch1x1", 64, K1X1)])?;
        let five = self.chain(x, block, &[("branch5x5_1", 48, K1X1), ("branch5x5_2", 64, same([5, 5]))])?;
        let threes = [("branch3x3dbl_1", 64, K1X1), ("branch3x3dbl_2", 96, K3X3), ("branch3x3dbl_3", 96, K3X3)];
        let threes = self.chain(x, block, &threes)?;
        let pool = self.pool_branch(x, block, pooled)?;
        self.concat(block, &[one, five, threes, pool])
    }

    /// Adds torchvision's InceptionB or InceptionD: branches whose last convolution halves the image, and a max pool.
    fn reduction(&mut self, x: NodeId, block: &str, branches: &[&[Convolution]]) -> Result<NodeId> {
        let mut ends = vec![];
        for parts in branches {
            ends.push(self.chain(x, block, parts)?);
        }
        ends.push(self.b.max_pool2d(x, MaxPool2d::new(K3X3_STRIDE2))?);
        self.concat(block, &ends)
    }

    /// Adds torchvision's InceptionC: branches with kernels of 7 x 7, once and twice, factorised into rows and columns.
    fn inception_c(&mut self, x: NodeId, block: &str, narrow: usize) -> Result<NodeId> {
        let one = self.chain(x, block, &[("branch1x1", 192, K1X1)])?;
        let once = [("branch7x7_1", narrow, K1X1), ("branch7x7_2", narrow, K1X7), ("branch7x7_3", 192, K7X1)];
        let once = self.chain(x, block, &once)?;
        let twice = [
            ("branch7x7dbl_1", narrow, K1X1),
            ("branch7x7dbl_2", narrow, K7X1),
            ("branch7x7dbl_3", narrow, K1X7),
            ("branch7x7dbl_4", narrow, K7X1),
            ("branch7x7dbl_5", 192, K1X7),
        ];
        let twice = self.chain(x, block, &twice)?;
        let pool = self.pool_branch(x, block, 192)?;
        self.concat(block, &[one, once, twice, pool])
    }

    /// Adds torchvision's InceptionE: branches that end in a row and a column kernel in parallel.
    fn inception_e(&mut self, x: NodeId, block: &str) -> Result<NodeId> {
        let one = self.chain(x, block, &[("branch1x1", 320, K1X1)])?;
        let three = self.chain(x, block, &[("branch3x3_1", 384, K1X1)])?;
        let twice = self.chain(x, block, &[("branch3x3dbl_1", 448, K1X1), ("branch3x3dbl_2", 384, K3X3)])?;
        let ends: [(NodeId, Convolution); 4] = [
            (three, ("branch3x3_2a", 384, same([1, 3]))),
            (three, ("branch3x3_2b", 384, same([3, 1]))),
            (twice, ("branch3x3dbl_3a", 384, same([1, 3]))),
            (twice, ("branch3x3dbl_3b", 384, same([3, 1]))),
        ];
        let mut branches = vec![one];
        for (from, part) in ends {
            branches.push(self.chain(from, block, &[part])?);
        }
        branches.push(self.pool_branch(x, block, 192)?);
        self.concat(block, &branches)
    }
}
