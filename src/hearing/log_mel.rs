//! Differentiable log-mel energies, a front end for speech recognition.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;
use realfft::num_complex::Complex64;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use crate::ops::{Frozen, FrozenOp, Locality};
use crate::stimulus::Sound;
use crate::{Error, Result};

/// Parameters of the log-mel energies; [`LogMelConfig::efficient_word_net`] has those of EfficientWord-Net.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogMelConfig {
    /// The sample rate of the waveform in Hz.
    pub sample_rate: u32,
    /// The length of the waveform in samples.
    pub samples: usize,
    /// The length of a frame in samples.
    pub win_length: usize,
    /// The hop between frames in samples.
    pub hop_length: usize,
    /// The length of the Fourier transform in samples, an even number; frames are zero-padded to it.
    pub n_fft: usize,
    /// The number of mel filters from 0 Hz to half the sample rate.
    pub n_mels: usize,
}

impl LogMelConfig {
    /// The parameters of EfficientWord-Net: 149 frames of 25 ms, 10 ms apart, and 64 filters, from 1.5 s at 16 kHz.
    #[must_use]
    pub fn efficient_word_net() -> Self {
        Self { sample_rate: 16_000, samples: 24_000, win_length: 400, hop_length: 160, n_fft: 512, n_mels: 64 }
    }

    /// The number of frames needed to cover all samples.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.samples.saturating_sub(self.win_length).div_ceil(self.hop_length.max(1)).saturating_add(1)
    }

    /// Checks that the parameters are valid.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid parameter; the message names it.
    pub fn check(&self) -> Result<()> {
        let &Self { sample_rate: rate, samples, win_length, hop_length, n_fft, n_mels } = self;
        if rate == 0 || samples == 0 || samples > 1 << 24 {
            let reason = format!(
                "the waveform must have 1 to {} samples and a sample rate above 0, got {samples} samples at {rate} Hz",
                1 << 24
            );
            return Err(Error::invalid("log mel.samples", reason));
        }
        if win_length == 0 || win_length > n_fft || n_fft > 1 << 20 || !n_fft.is_multiple_of(2) {
            let reason = format!(
                "win_length must be above 0, and n_fft even, at least win_length and at most {}; got win_length {win_length} and \
                 n_fft {n_fft}",
                1 << 20
            );
            return Err(Error::invalid("log mel.win_length", reason));
        }
        if !(1..=samples).contains(&hop_length) {
            let reason = format!("must be from 1 to the number of samples = {samples}, got {hop_length}");
            return Err(Error::invalid("log mel.hop_length", reason));
        }
        if n_mels == 0 || n_mels > n_fft {
            let reason = format!("must be from 1 to n_fft = {n_fft}, got {n_mels}");
            return Err(Error::invalid("log mel.n_mels", reason));
        }
        Ok(())
    }

    /// All parameters as integers for a network's fingerprint.
    pub(crate) fn identity(&self) -> Vec<usize> {
        let Self { sample_rate: rate, samples, win_length, hop_length, n_fft, n_mels } = *self;
        vec![rate as usize, samples, win_length, hop_length, n_fft, n_mels]
    }
}

/// The logarithm of the energy in each mel filter and frame; maps `[batch, samples]` to `[batch, 1, frames, n_mels]`.
///
/// With `x_t` the samples `hop_length t` to `hop_length t + win_length` (zero-padded at the end; no window function, no pre-emphasis), `X_t` their
/// Fourier transform over `n_fft` samples and `w_j` the filters:
///
/// `P_t[k] = |X_t[k]|^2 / n_fft`, `E_t[j] = sum_k w_j[k] P_t[k]`, `y_t[j] = ln E_t[j]`, and `ln 2^-52` where `E_t[j]` is 0.
///
/// Filter `j` rises from 0 at bin `b[j]` to 1 at `b[j+1]` and falls to 0 at `b[j+2]`, where `b[j] = floor((n_fft + 1) f[j] / rate)` and the
/// `f` are spaced evenly on the mel scale `2595 log10(1 + f / 700)` from 0 Hz to half the rate. EfficientWord-Net takes these
/// definitions from python_speech_features (James Lyons, MIT).
///
/// The gradient is that of the formula, and 0 where `E_t[j]` is 0 (digital silence). It grows as `1 / |X|` towards silence.
/// Inputs and outputs are float32, the computation is float64. Cloning is cheap.
///
/// ```
/// use metamers::hearing::{LogMel, LogMelConfig};
/// use metamers::prelude::*;
///
/// let log_mel = LogMel::new(LogMelConfig::efficient_word_net())?;
/// let tone = Sound::tone(16_000, 1.5, 1000.0, 0.1)?;
/// assert_eq!(log_mel.compute(&tone)?.dims(), [1, 1, 149, 64]);
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone)]
pub struct LogMel(Arc<Inner>);

struct Inner {
    config: LogMelConfig,
    filters: Vec<MelFilter>,
    to_bins: Arc<dyn RealToComplex<f64>>,
    to_samples: Arc<dyn ComplexToReal<f64>>,
}

/// A triangular filter over a range of bins.
struct MelFilter {
    bins: Range<usize>,
    weights: Vec<f64>,
}

impl LogMel {
    /// Creates a log-mel front end with these parameters.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid parameter; the message names it.
    pub fn new(config: LogMelConfig) -> Result<Self> {
        config.check()?;
        let filters = filters(&config);
        let mut planner = RealFftPlanner::new();
        let (to_bins, to_samples) = (planner.plan_fft_forward(config.n_fft), planner.plan_fft_inverse(config.n_fft));
        Ok(Self(Arc::new(Inner { config, filters, to_bins, to_samples })))
    }

    /// The parameters.
    #[must_use]
    pub fn config(&self) -> &LogMelConfig {
        &self.0.config
    }

    /// Computes the log-mel energies of a sound, `[1, 1, frames, n_mels]`, after resampling the sound and cutting or padding it to the
    /// length.
    ///
    /// # Errors
    /// Fails like [`Sound::resample`] and [`Sound::fix_length`].
    pub fn compute(&self, sound: &Sound) -> Result<Tensor> {
        let config = &self.0.config;
        self.apply(&sound.resample(config.sample_rate)?.fix_length(config.samples)?.to_tensor()?)
    }

    /// Calls `visit` with each frame's index, first sample and spectrum.
    fn each_frame(&self, waveform: &[f32], mut visit: impl FnMut(usize, usize, &mut [Complex64])) {
        let Inner { config, to_bins, .. } = &*self.0;
        let (mut samples, mut spectrum) = (to_bins.make_input_vec(), to_bins.make_output_vec());
        let mut scratch = to_bins.make_scratch_vec();
        for frame in 0..config.frames() {
            let first = frame * config.hop_length;
            let inside = &waveform[first.min(waveform.len())..(first + config.win_length).min(waveform.len())];
            samples.fill(0.0);
            samples.iter_mut().zip(inside).for_each(|(s, &v)| *s = f64::from(v));
            to_bins
                .process_with_scratch(&mut samples, &mut spectrum, &mut scratch)
                .expect("buffers of the planned size");
            visit(frame, first, &mut spectrum);
        }
    }

    /// The energy of a frame in one mel filter, `E_t[j]`.
    fn energy(&self, filter: &MelFilter, spectrum: &[Complex64]) -> f64 {
        let power = spectrum[filter.bins.clone()].iter().map(Complex64::norm_sqr);
        power.zip(&filter.weights).map(|(p, w)| p * w).sum::<f64>() / self.0.config.n_fft as f64
    }
}

impl FrozenOp for LogMel {
    fn name(&self) -> &'static str {
        "log mel"
    }

    fn fingerprint_data(&self) -> (Vec<usize>, Vec<&[f32]>) {
        (self.0.config.identity(), vec![])
    }

    fn locality(&self) -> Locality {
        Locality::FrontEnd { cells: "frames × filters" }
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let config = &self.0.config;
        match shape {
            &[batch, samples] if samples == config.samples => Ok(vec![batch, 1, config.frames(), config.n_mels]),
            _ => Err(Error::shape("the input of log mel", format!("[batch, {}]", config.samples), shape)),
        }
    }

    fn forward(&self, input: &[f32], _: &[usize]) -> Vec<f32> {
        let Inner { config, filters, .. } = &*self.0;
        let mut output = Vec::with_capacity(input.len() / config.samples * config.frames() * filters.len());
        for waveform in input.chunks(config.samples) {
            self.each_frame(waveform, |_, _, spectrum| {
                output.extend(filters.iter().map(|filter| {
                    let energy = self.energy(filter, spectrum);
                    (if energy == 0.0 { f64::EPSILON } else { energy }).ln() as f32
                }));
            });
        }
        output
    }

    fn backward(&self, input: &[f32], _: &[f32], gradient: &[f32], _: &[usize]) -> Vec<f32> {
        let Inner { config, filters, to_samples, .. } = &*self.0;
        let size = config.frames() * filters.len();
        let (mut slopes, mut samples) = (vec![0.0; config.n_fft / 2 + 1], to_samples.make_output_vec());
        let mut scratch = to_samples.make_scratch_vec();
        let mut input_gradient = Vec::with_capacity(input.len());
        for (waveform, gradient) in input.chunks(config.samples).zip(gradient.chunks(size)) {
            let mut sums = vec![0.0f64; config.samples];
            self.each_frame(waveform, |frame, first, spectrum| {
                slopes.fill(0.0);
                for (filter, &g) in filters.iter().zip(&gradient[frame * filters.len()..]) {
                    let energy = self.energy(filter, spectrum);
                    if energy > 0.0 {
                        let slope = f64::from(g) / energy;
                        let bins = slopes[filter.bins.clone()].iter_mut();
                        bins.zip(&filter.weights).for_each(|(s, w)| *s += slope * w);
                    }
                }
                // The gradient of |X[k]|^2 is 2 Re(X[k] e^(i 2 pi k n / n_fft)); the inverse real FFT counts all bins twice except the ends.
                let (last, scale) = (spectrum.len() - 1, 1.0 / config.n_fft as f64);
                for (k, (bin, slope)) in spectrum.iter_mut().zip(&slopes).enumerate() {
                    let end = k == 0 || k == last;
                    *bin *= slope * scale * if end { 2.0 } else { 1.0 };
                    if end {
                        bin.im = 0.0;
                    }
                }
                let done = to_samples.process_with_scratch(spectrum, &mut samples, &mut scratch);
                done.expect("buffers of the planned size and real ends");
                let inside = sums.iter_mut().skip(first).take(config.win_length);
                inside.zip(&samples).for_each(|(sum, g)| *sum += g);
            });
            input_gradient.extend(sums.into_iter().map(|v| v as f32));
        }
        input_gradient
    }
}

impl std::fmt::Debug for LogMel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let LogMelConfig { samples, sample_rate: rate, n_mels: filters, .. } = self.0.config;
        write!(f, "LogMel({samples} samples at {rate} Hz -> {} x {filters})", self.0.config.frames())
    }
}

/// The triangular filters, spaced evenly on the mel scale.
fn filters(config: &LogMelConfig) -> Vec<MelFilter> {
    let mel = |hz: f64| 2595.0 * (1.0 + hz / 700.0).log10();
    let hz = |mel: f64| 700.0 * (10f64.powf(mel / 2595.0) - 1.0);
    let rate = f64::from(config.sample_rate);
    let step = mel(rate / 2.0) / (config.n_mels + 1) as f64;
    let nyquist_bin = config.n_fft / 2;
    let corner = |j: usize| ((config.n_fft + 1) as f64 * hz(step * j as f64) / rate).floor() as usize;
    let corners: Vec<usize> = (0..config.n_mels + 2).map(|j| corner(j).min(nyquist_bin)).collect();
    let triangle = |c: &[usize]| {
        let up = (c[0]..c[1]).map(|k| (k - c[0]) as f64 / (c[1] - c[0]) as f64);
        let down = (c[1]..c[2]).map(|k| (c[2] - k) as f64 / (c[2] - c[1]) as f64);
        MelFilter { bins: c[0]..c[2], weights: up.chain(down).collect() }
    };
    corners.windows(3).map(triangle).collect()
}
