//! CochResNet50.

use std::path::Path;

use super::resnet;
use crate::Result;
use crate::hearing::Cochleagram;
use crate::network::{Builder, Checkpoint, Network};

/// Classes of the published network: words, and one class for no word.
const CLASSES: usize = 794;

/// CochResNet50 (Feather et al., Nature Neuroscience 2023) with custom weights: ResNet-50 with one input channel on the cochleagram.
///
/// The file is safetensors or a zip `.pth`, with torchvision's names (`conv1`, `bn1`, `layer1.0.conv1`, .., `fc`); the number of classes is
/// read from `fc`. Input: 2 s at 20 kHz. Stages: `cochleagram`, `conv1` (after its rectifier, before the max pool), `layer1` to
/// `layer4` (each after its last rectifier), `avgpool`, `final`.
///
/// # Errors
/// When the file cannot be read or is of another architecture, or a tensor is missing, has the wrong shape, or is not finite.
pub fn cochresnet50_from(weights: impl AsRef<Path>) -> Result<Network> {
    let weights = Checkpoint::open(weights)?;
    let classes = weights.shape("fc.weight")?[0];
    build(&weights, classes)
}

/// An untrained CochResNet50 with 794 classes and the weights of [`Checkpoint::random`].
///
/// # Errors
/// Infallible in practice; the `Result` matches the other loaders.
pub fn cochresnet50_random(seed: u64) -> Result<Network> {
    build(&Checkpoint::random(seed), CLASSES)
}

fn build(weights: &Checkpoint, classes: usize) -> Result<Network> {
    let cochleagram = Cochleagram::feather2023()?;
    let mut b = Builder::new("CochResNet50", super::cochleagram::input(&cochleagram));
    let x = b.layer(cochleagram, &[b.input()])?;
    b.stage("cochleagram", x)?;
    let (x, channels) = resnet::body(&mut b, weights, x, 1, [3, 4, 6, 3])?;
    let x = b.linear(x, weights.linear("fc", classes, channels)?)?;
    b.stage("final", x)?;
    super::finish(b, weights)
}
