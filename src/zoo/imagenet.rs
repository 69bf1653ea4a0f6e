//! Layers and class names shared by the networks trained on ImageNet.

use crate::fs::{assets, files};
use crate::network::{Builder, Checkpoint, Input, Layer, NodeId};
use crate::ops::{ChannelAffine, Relu};
use crate::{Error, Result};

/// The input of a network trained on ImageNet: 224 x 224 pixels, cropped from a shorter side of 256.
pub(super) const INPUT: Input = Input::Image { shape: [3, 224, 224], resize: 256 };

/// Adds `(x - mean) / deviation` with torchvision's means and standard deviations of ImageNet's colours.
pub(super) fn normalise(b: &mut Builder) -> Result<NodeId> {
    let normalise = ChannelAffine::normalize(&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225])?;
    b.channel_affine(b.input(), normalise)
}

/// Adds three fully connected layers if the weights have them: stages `fc6`, `fc7` and `logits`.
pub(super) fn classifier(
    b: &mut Builder,
    weights: &Checkpoint,
    x: NodeId,
    layers: [(&str, usize, usize); 3],
) -> Result<()> {
    if !weights.has(&format!("{}.weight", layers[0].0)) {
        return Ok(());
    }
    let mut x = b.layer(Layer::Flatten, &[x])?;
    for ((name, outputs, inputs), stage) in layers.into_iter().zip(["fc6", "fc7", "logits"]) {
        x = b.linear(x, weights.linear(name, outputs, inputs)?)?;
        if stage != "logits" {
            x = b.relu(x, Relu::UNBOUNDED)?;
        }
        b.stage(stage, x)?;
    }
    b.classes(classes()?);
    Ok(())
}

/// The names of ImageNet's 1000 classes.
pub(super) fn classes() -> Result<Vec<String>> {
    let path = assets::shipped("networks/imagenet_classes.json")?;
    serde_json::from_slice(&files::read(&path)?)
        .map_err(|e| Error::file(&path, format!("is not a valid list of names ({e})")))
}
