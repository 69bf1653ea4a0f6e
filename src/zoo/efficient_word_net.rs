//! EfficientWord-Net, an embedding of spoken words.

use std::path::Path;

use crate::Result;
use crate::hearing::{LogMel, LogMelConfig};
use crate::network::{Builder, Checkpoint, Input, Network, NodeId};
use crate::ops::{Conv2dConfig, L2Norm, MaxPool2d, MinMaxNorm, Padding, Relu, Window};

const EPSILON: f64 = 1e-5;

/// Number of blocks in the four groups.
const BLOCKS: [usize; 4] = [3, 4, 6, 3];

/// The ResNet-50 of EfficientWord-Net (Chidhambararajan et al., arXiv:2111.00379; version 1.0.5, trained on the Multilingual Spoken Words
/// Corpus with the ArcFace loss). `cargo lab --fetch` fetches the weights (Apache-2.0).
///
/// Input: 1.5 s at 16 kHz. Stages: `logmel` ([`LogMel`], 149 frames x 64 filters), `conv1` and `layer1` to `layer4` (rectified),
/// `avgpool`, and `embedding`, a unit vector of 2048 dimensions; words are compared by cosine similarity
/// ([`NearestNeighbor`](crate::network::NearestNeighbor)). Between `logmel` and `conv1` the energies are scaled to `[-1, 1]`
/// ([`MinMaxNorm`]), so the output does not depend on the level of a sound without digital silence. The minimum and the maximum depend
/// on all energies, so a unit depends on slightly more than its receptive field.
///
/// With three synthetic voices per word as examples of 78 words, it recognises 76 of the 79 recordings that ship
/// (tests/efficient_word_net.rs).
///
/// The file is safetensors with the names of a ResNet-50 whose batch normalisation is folded into the convolutions (`conv1.weight`,
/// `conv1.bias`, `layer1.0.conv1.weight`, .., `layer1.0.downsample.0.weight`), and with `inp_batch_norm` and `bn_final`. Layer
/// widths are read from the weights.
///
/// ```no_run
/// use metamers::prelude::{networks::*, *};
///
/// let net = zoo::efficient_word_net_from("optional/efficient_word_net.safetensors")?;
/// let mut words = NearestNeighbor::new(&net, "embedding")?;
/// words.add("november", Sound::open("speech/november.wav")?)?;
/// words.add("seven", Sound::open("speech/seven.wav")?)?;
/// assert_eq!(words.query(Sound::open("speech/november_letter.wav")?, 1)?.top().name, "november");
/// # Ok::<(), metamers::Error>(())
/// ```
///
/// # Errors
/// When the file cannot be read or is of another architecture, or a tensor is missing, has the wrong shape, or is not finite.
pub fn efficient_word_net_from(weights: impl AsRef<Path>) -> Result<Network> {
    let weights = Checkpoint::open(weights)?;
    let log_mel = LogMel::new(LogMelConfig::efficient_word_net())?;
    let mut b = Builder::new(
        "EfficientWord-Net",
        Input::Sound { samples: log_mel.config().samples, sample_rate: log_mel.config().sample_rate },
    );
    let mut x = b.layer(log_mel, &[b.input()])?;
    b.stage("logmel", x)?;
    x = b.layer(MinMaxNorm, &[x])?;
    x = b.channel_affine(x, weights.batch_norm("inp_batch_norm", 1, EPSILON)?.affine()?)?;
    let mut net = Body { weights: &weights, b: &mut b, channels: 1 };
    x = net.convolve(x, "conv1", 7, 2)?;
    x = net.b.relu(x, Relu::UNBOUNDED)?;
    net.b.stage("conv1", x)?;
    x = net.b.max_pool2d(x, MaxPool2d::new(Window::square(3).stride(2).padding(Padding::all(1))))?;
    for (group, count) in BLOCKS.into_iter().enumerate() {
        for index in 0..count {
            let stride = if group > 0 && index == 0 { 2 } else { 1 };
            x = net.block(x, &format!("layer{}.{index}", group + 1), stride)?;
        }
        net.b.stage(format!("layer{}", group + 1), x)?;
    }
    let channels = net.channels;
    x = b.global_avg_pool(x)?;
    b.stage("avgpool", x)?;
    x = b.channel_affine(x, weights.batch_norm("bn_final", channels, EPSILON)?.affine()?)?;
    x = b.layer(L2Norm, &[x])?;
    b.stage("embedding", x)?;
    super::finish(b, &weights)
}

struct Body<'a> {
    weights: &'a Checkpoint,
    b: &'a mut Builder,
    /// Number of channels at the current depth.
    channels: usize,
}

impl Body<'_> {
    fn convolve(&mut self, x: NodeId, name: &str, kernel: usize, stride: usize) -> Result<NodeId> {
        let outputs = self.weights.shape(&format!("{name}.weight"))?[0];
        let config = Conv2dConfig { stride: [stride; 2], padding: Padding::all(kernel / 2), ..Conv2dConfig::default() };
        let convolution = self.weights.conv2d(name, [outputs, self.channels, kernel, kernel], config)?;
        self.channels = outputs;
        self.b.conv2d(x, convolution)
    }

    /// Adds a bottleneck block: 1 x 1, 3 x 3 and 1 x 1 convolutions, added to the input; a convolution projects the input if the shape
    /// changes.
    fn block(&mut self, input: NodeId, name: &str, stride: usize) -> Result<NodeId> {
        let channels = self.channels;
        let mut x = self.convolve(input, &format!("{name}.conv1"), 1, 1)?;
        x = self.b.relu(x, Relu::UNBOUNDED)?;
        x = self.convolve(x, &format!("{name}.conv2"), 3, stride)?;
        x = self.b.relu(x, Relu::UNBOUNDED)?;
        x = self.convolve(x, &format!("{name}.conv3"), 1, 1)?;
        let outputs = std::mem::replace(&mut self.channels, channels);
        let shortcut = format!("{name}.downsample.0");
        let shortcut = match self.weights.has(&format!("{shortcut}.weight")) {
            true => self.convolve(input, &shortcut, 1, stride)?,
            false => input,
        };
        self.channels = outputs;
        let x = self.b.add(x, shortcut)?;
        self.b.relu(x, Relu::UNBOUNDED)
    }
}
