//! AlexNet.

use std::path::Path;

use super::imagenet;
use crate::Result;
use crate::network::{Builder, Checkpoint, Network};
use crate::ops::{Conv2dConfig, MaxPool2d, Padding, Relu, Window};

/// Convolutions: output and input channels, kernel, stride, padding, index in the state dict, and `true` if a pool follows.
const CONVOLUTIONS: [([usize; 2], usize, usize, usize, usize, bool); 5] = [
    ([64, 3], 11, 4, 2, 0, true),
    ([192, 64], 5, 1, 2, 3, true),
    ([384, 192], 3, 1, 1, 6, false),
    ([256, 384], 3, 1, 1, 8, false),
    ([256, 256], 3, 1, 1, 10, true),
];

/// AlexNet with custom weights: safetensors or zip `.pth`, with torchvision's names (`features.0.weight`, ...).
///
/// Stages: `conv1` to `conv5` (rectified), `pool5`, and, if the file has a classifier, `fc6`, `fc7` (rectified) and `logits`.
/// Input: 224 x 224 with ImageNet's normalisation. Architecture: Krizhevsky, arXiv:1404.5997, as in torchvision.
///
/// # Errors
/// When the file cannot be read or is of another architecture, or a tensor is missing, has the wrong shape, or is not finite.
pub fn alexnet_from(weights: impl AsRef<Path>) -> Result<Network> {
    alexnet(&Checkpoint::open(weights)?)
}

/// An untrained AlexNet with the weights of [`Checkpoint::random`], including the classifier stages `fc6`, `fc7` and `logits`.
///
/// # Errors
/// Infallible in practice; the `Result` matches the other loaders.
pub fn alexnet_random(seed: u64) -> Result<Network> {
    alexnet(&Checkpoint::random(seed))
}

fn alexnet(weights: &Checkpoint) -> Result<Network> {
    let mut b = Builder::new("AlexNet", imagenet::INPUT);
    let mut x = imagenet::normalise(&mut b)?;
    for (index, (channels, kernel, stride, padding, number, pool)) in CONVOLUTIONS.into_iter().enumerate() {
        let config = Conv2dConfig { stride: [stride; 2], padding: Padding::all(padding), ..Conv2dConfig::default() };
        let [outputs, inputs] = channels;
        let shape = [outputs, inputs, kernel, kernel];
        x = b.conv2d(x, weights.conv2d(&format!("features.{number}"), shape, config)?)?;
        x = b.relu(x, Relu::UNBOUNDED)?;
        b.stage(format!("conv{}", index + 1), x)?;
        if pool {
            x = b.max_pool2d(x, MaxPool2d::new(Window::square(3).stride(2)))?;
        }
    }
    b.stage("pool5", x)?;
    let layers = [("classifier.1", 4096, 9216), ("classifier.4", 4096, 4096), ("classifier.6", 1000, 4096)];
    imagenet::classifier(&mut b, weights, x, layers)?;
    super::finish(b, weights)
}
