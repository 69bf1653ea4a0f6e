//! VGG-16 and VGG-19.

use std::path::Path;

use super::imagenet;
use crate::Result;
use crate::network::{Builder, Checkpoint, Network};
use crate::ops::{Conv2dConfig, MaxPool2d, Padding, Relu, Window};

/// Number of channels in the five groups.
const CHANNELS: [usize; 5] = [64, 128, 256, 512, 512];

/// VGG-16 with custom weights: safetensors or zip `.pth`, with torchvision's names (`features.0.weight`, ...).
///
/// Stages: `conv1_1` to `conv5_3` (rectified), `pool1` to `pool5`, and, if the file has a classifier, `fc6`, `fc7` (rectified) and
/// `logits`. Input: 224 x 224 with ImageNet's normalisation. Architecture: Simonyan & Zisserman, ICLR 2015.
///
/// # Errors
/// When the file cannot be read or is of another architecture, or a tensor is missing, has the wrong shape, or is not finite.
pub fn vgg16_from(weights: impl AsRef<Path>) -> Result<Network> {
    vgg("VGG-16", [2, 2, 3, 3, 3], &Checkpoint::open(weights)?, true)
}

/// An untrained VGG-16 with the weights of [`Checkpoint::random`] and without the classifier; the last stage is `pool5`.
///
/// # Errors
/// Infallible in practice; the `Result` matches the other loaders.
pub fn vgg16_random(seed: u64) -> Result<Network> {
    vgg("VGG-16", [2, 2, 3, 3, 3], &Checkpoint::random(seed), false)
}

/// VGG-19: [`vgg16_from`] with four convolutions in the last three groups.
///
/// # Errors
/// As [`vgg16_from`].
pub fn vgg19_from(weights: impl AsRef<Path>) -> Result<Network> {
    vgg("VGG-19", [2, 2, 4, 4, 4], &Checkpoint::open(weights)?, true)
}

/// An untrained VGG-19 with the weights of [`Checkpoint::random`] and without the classifier; the last stage is `pool5`.
///
/// # Errors
/// Infallible in practice; the `Result` matches the other loaders.
pub fn vgg19_random(seed: u64) -> Result<Network> {
    vgg("VGG-19", [2, 2, 4, 4, 4], &Checkpoint::random(seed), false)
}

fn vgg(name: &str, groups: [usize; 5], weights: &Checkpoint, classifier: bool) -> Result<Network> {
    let mut b = Builder::new(name, imagenet::INPUT);
    let mut x = imagenet::normalise(&mut b)?;
    let config = Conv2dConfig { padding: Padding::all(1), ..Conv2dConfig::default() };
    let (mut inputs, mut number) = (3, 0);
    for (group, (layers, outputs)) in groups.into_iter().zip(CHANNELS).enumerate() {
        for layer in 0..layers {
            let shape = [outputs, inputs, 3, 3];
            x = b.conv2d(x, weights.conv2d(&format!("features.{number}"), shape, config)?)?;
            x = b.relu(x, Relu::UNBOUNDED)?;
            b.stage(format!("conv{}_{}", group + 1, layer + 1), x)?;
            (inputs, number) = (outputs, number + 2);
        }
        x = b.max_pool2d(x, MaxPool2d::new(Window::square(2).stride(2)))?;
        b.stage(format!("pool{}", group + 1), x)?;
        number += 1;
    }
    if classifier {
        let layers = [("classifier.0", 4096, 25088), ("classifier.3", 4096, 4096), ("classifier.6", 1000, 4096)];
        imagenet::classifier(&mut b, weights, x, layers)?;
    }
    super::finish(b, weights)
}
