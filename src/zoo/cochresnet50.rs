//! CochResNet50.

use std::path::Path;

use crate::Result;
use crate::hearing::Cochleagram;
use crate::network::{Builder, Checkpoint, Layer, Network, NodeId};
use crate::ops::{Clip, Conv2dConfig, MaxPool2d, Padding, Window};

const EPSILON: f64 = 1e-5;

/// Blocks and inner channels of the four stages.
const STAGES: [(usize, usize); 4] = [(3, 64), (4, 128), (6, 256), (3, 512)];

/// How many times wider a block's output is than its inner channels.
const EXPANSION: usize = 4;

/// CochResNet50 (Feather et al., Nature Neuroscience 2023) with weights of one's own: ResNet-50 with one input channel on the cochleagram.
///
/// The file is safetensors or a zip `.pth`, with torchvision's names (`conv1`, `bn1`, `layer1.0.conv1`, .., `fc`); the number of classes is
/// read from `fc`. Input: 2 s at 20 kHz. Stages: `cochleagram`, `conv1` (after its rectifier, before the max pool), `layer1` to
/// `layer4` (each after its last rectifier), `avgpool`, `final`.
///
/// # Errors
/// When the file cannot be read, or a tensor is missing, has another shape, or is not finite.
pub fn cochresnet50_from(weights: impl AsRef<Path>) -> Result<Network> {
    let weights = Checkpoint::open(weights)?;
    let ear = Cochleagram::feather2023()?;
    let mut b = Builder::new("CochResNet50", ear.input());
    let x = b.layer(Layer::Cochleagram(ear), &[b.input()])?;
    b.stage("cochleagram", x)?;
    let mut net = Body { weights: &weights, b: &mut b };
    let mut x = net.convolve(x, ("conv1", "bn1"), [64, 1], 7, 2)?;
    x = net.b.clip(x, Clip::RELU)?;
    net.b.stage("conv1", x)?;
    x = net.b.max_pool2d(x, MaxPool2d::new(Window::square(3).stride(2).padding(Padding::all(1))))?;
    let mut channels = 64;
    for (stage, (blocks, inner)) in STAGES.into_iter().enumerate() {
        for block in 0..blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            x = net.block(x, &format!("layer{}.{block}", stage + 1), [channels, inner], stride)?;
            channels = inner * EXPANSION;
        }
        net.b.stage(format!("layer{}", stage + 1), x)?;
    }
    x = b.global_avg_pool(x)?;
    b.stage("avgpool", x)?;
    let classes = weights.shape("fc.weight")?[0];
    x = b.linear(x, weights.linear("fc", classes, channels)?)?;
    b.stage("final", x)?;
    b.provenance(weights.provenance());
    b.finish()
}

struct Body<'a> {
    weights: &'a Checkpoint,
    b: &'a mut Builder,
}

impl Body<'_> {
    /// A convolution with its batch normalisation folded in.
    fn convolve(
        &mut self,
        x: NodeId,
        (convolution, norm): (&str, &str),
        [outputs, inputs]: [usize; 2],
        kernel: usize,
        stride: usize,
    ) -> Result<NodeId> {
        let config = Conv2dConfig { stride: [stride; 2], padding: Padding::all(kernel / 2), ..Conv2dConfig::default() };
        let norm = self.weights.batch_norm(norm, outputs, EPSILON)?;
        self.b.conv2d(x, self.weights.conv2d_normalised(convolution, [outputs, inputs, kernel, kernel], &norm, config)?)
    }

    /// Reduce, filter, expand; added to the input, which is projected where the shapes differ.
    fn block(&mut self, input: NodeId, name: &str, [inputs, inner]: [usize; 2], stride: usize) -> Result<NodeId> {
        let part = |part: &str| format!("{name}.{part}");
        let outputs = inner * EXPANSION;
        let mut x = self.convolve(input, (&part("conv1"), &part("bn1")), [inner, inputs], 1, 1)?;
        x = self.b.clip(x, Clip::RELU)?;
        x = self.convolve(x, (&part("conv2"), &part("bn2")), [inner, inner], 3, stride)?;
        x = self.b.clip(x, Clip::RELU)?;
        x = self.convolve(x, (&part("conv3"), &part("bn3")), [outputs, inner], 1, 1)?;
        let around = if inputs == outputs && stride == 1 {
            input
        } else {
            self.convolve(input, (&part("downsample.0"), &part("downsample.1")), [outputs, inputs], 1, stride)?
        };
        x = self.b.add(x, around)?;
        self.b.clip(x, Clip::RELU)
    }
}
