//! The differentiable cochleagram of a waveform.

use std::sync::{Arc, Mutex};

use candle_core::Tensor;
use realfft::num_complex::Complex64;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::FftPlanner;

use super::cochleagram_config::{CochleagramConfig, Rectifier};
use super::filter_bank::{centers, erb_inverse, filters, low_pass};
use super::subband::{FrameLayout, Subband, SubbandScratch};
use crate::ops::{Frozen, FrozenOp, Locality};
use crate::parallel::for_each_chunk;
use crate::stimulus::Sound;
use crate::{Error, Result};

/// The cochleagram (Feather et al. 2019 and 2023; the filters after McDermott & Simoncelli, Neuron 2011).
///
/// Maps `[batch, samples]` to `[batch, 1, channels, frames]`, lowest channel first. With `X` the Fourier transform of the waveform,
/// `F_i` the filters (cosines on the ERB scale, whose squares sum to 1) and `h` a Kaiser-windowed sinc:
///
/// `e_i = sqrt(max(|ifft(F_i X)|^2, 1e-16))` with negative frequencies set to 0, `u = max(0, gain (h * e_i)[stride k]) + offset`, `y = u^power`.
///
/// The gradient of the power is clamped to `max_slope`, and [`Rectifier`] defines the gradient of `max(0, .)`. With the 2023 parameters
/// the clamp acts where `y < 0.2995`; there the gradient differs from a finite difference by design.
///
/// Inputs and outputs are float32, the computation is float64. Results are bit-identical for any number of threads. Cloning is cheap.
///
/// ```
/// use metamers::hearing::Cochleagram;
/// use metamers::prelude::*;
///
/// let cochleagram = Cochleagram::feather2023()?;
/// let tone = Sound::tone(20_000, 2.0, 1000.0, 0.1)?;
/// assert_eq!(cochleagram.compute(&tone)?.dims(), [1, 1, 211, 390]);
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone)]
pub struct Cochleagram(Arc<Inner>);

struct Inner {
    config: CochleagramConfig,
    layout: FrameLayout,
    bands: Vec<Subband>,
    to_bins: Arc<dyn RealToComplex<f64>>,
    to_samples: Arc<dyn ComplexToReal<f64>>,
    /// Scratch buffers that no thread uses at the moment.
    idle: Mutex<Vec<SubbandScratch>>,
}

/// A scratch buffer that returns to the pool when dropped.
struct Borrowed<'a>(&'a Inner, SubbandScratch);

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        if let Ok(mut idle) = self.0.idle.lock() {
            idle.push(std::mem::take(&mut self.1));
        }
    }
}

impl Inner {
    fn borrow(&self) -> Borrowed<'_> {
        let scratch = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        Borrowed(self, scratch.unwrap_or_default())
    }

    fn spectrum(&self, waveform: &[f32]) -> Vec<Complex64> {
        let mut samples: Vec<f64> = waveform.iter().map(|&v| f64::from(v)).collect();
        let mut spectrum = self.to_bins.make_output_vec();
        self.to_bins.process(&mut samples, &mut spectrum).expect("buffers of the planned size");
        spectrum
    }
}

impl Cochleagram {
    /// Creates a cochleagram with these parameters.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid parameter; the message names it.
    pub fn new(config: CochleagramConfig) -> Result<Self> {
        config.check()?;
        let layout = FrameLayout::new(&config, &low_pass(&config));
        let mut planner = FftPlanner::new();
        let bands = filters(&config)?.iter().map(|filter| Subband::new(filter, &layout, &mut planner)).collect();
        let mut real = RealFftPlanner::new();
        let (to_bins, to_samples) = (real.plan_fft_forward(config.samples), real.plan_fft_inverse(config.samples));
        Ok(Self(Arc::new(Inner { config, layout, bands, to_bins, to_samples, idle: Mutex::default() })))
    }

    /// Creates the cochleagram of Feather et al. 2023: 211 channels x 390 frames from 2 s at 20 kHz.
    ///
    /// # Errors
    /// Infallible for these parameters; the `Result` comes from [`Cochleagram::new`].
    pub fn feather2023() -> Result<Self> {
        Self::new(CochleagramConfig::feather2023())
    }

    /// Creates the cochleagram of Feather et al. 2019: 211 channels x 400 frames from 2 s at 20 kHz.
    ///
    /// # Errors
    /// Infallible for these parameters; the `Result` comes from [`Cochleagram::new`].
    pub fn feather2019() -> Result<Self> {
        Self::new(CochleagramConfig::feather2019())
    }

    /// The parameters.
    #[must_use]
    pub fn config(&self) -> &CochleagramConfig {
        &self.0.config
    }

    /// The center frequencies of the band-pass filters in Hz, without the low-pass and high-pass filters at the ends.
    #[must_use]
    pub fn centers(&self) -> Vec<f64> {
        centers(&self.0.config).0.into_iter().map(erb_inverse).collect()
    }

    /// The number of frames.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.0.config.frames_and_lead().0
    }

    /// Computes the cochleagram of a sound, `[1, 1, channels, frames]`, after resampling the sound and cutting or padding it to the
    /// length.
    ///
    /// # Errors
    /// Fails like [`Sound::resample`] and [`Sound::fix_length`].
    pub fn compute(&self, sound: &Sound) -> Result<Tensor> {
        let config = &self.0.config;
        self.apply(&sound.resample(config.sample_rate)?.fix_length(config.samples)?.to_tensor()?)
    }

    /// The derivative `dy / d(h * e)` of the backward pass, with the power's part clamped to `max_slope`, computed from `y`.
    fn slope(&self, y: f32) -> f64 {
        let CochleagramConfig { power, offset, max_slope, rectifier, gain, .. } = self.0.config;
        let y = f64::from(y);
        if rectifier == Rectifier::Plain && y <= offset.powf(power) * (1.0 + 1e-6) {
            return 0.0;
        }
        gain * (power * y.powf((power - 1.0) / power)).clamp(-max_slope, max_slope)
    }
}

impl FrozenOp for Cochleagram {
    fn name(&self) -> &'static str {
        "cochleagram"
    }

    fn fingerprint_data(&self) -> (Vec<usize>, Vec<&[f32]>) {
        (self.0.config.identity(), vec![])
    }

    fn locality(&self) -> Locality {
        Locality::FrontEnd { cells: "channels × frames" }
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let config = &self.0.config;
        match shape {
            &[batch, samples] if samples == config.samples => Ok(vec![batch, 1, config.channels(), self.frames()]),
            _ => Err(Error::shape("the input of cochleagram", format!("[batch, {}]", config.samples), shape)),
        }
    }

    fn forward(&self, input: &[f32], _: &[usize]) -> Vec<f32> {
        let inner = &*self.0;
        let CochleagramConfig { gain, offset, power, samples, .. } = inner.config;
        let frames = self.frames();
        let mut output = vec![0.0; input.len() / samples * inner.bands.len() * frames];
        let sounds = input.chunks(samples).zip(output.chunks_mut(inner.bands.len() * frames));
        for (waveform, output) in sounds {
            let spectrum = inner.spectrum(waveform);
            for_each_chunk(output, frames, |i, output| {
                let mut borrowed = inner.borrow();
                let frames = inner.bands[i].forward(&inner.layout, &spectrum, &mut borrowed.1);
                let compress = |u: f64| ((gain * u).max(0.0) + offset).powf(power) as f32;
                output.iter_mut().zip(frames).for_each(|(y, &u)| *y = compress(u));
            });
        }
        output
    }

    fn backward(&self, input: &[f32], output: &[f32], gradient: &[f32], _: &[usize]) -> Vec<f32> {
        let inner = &*self.0;
        let (samples, frames) = (inner.config.samples, self.frames());
        let size = inner.bands.len() * frames;
        let widths = inner.bands.iter().map(|band| band.bins().len());
        let mut parts = vec![Complex64::ZERO; widths.sum()];
        let mut input_gradient = Vec::with_capacity(input.len());
        for ((waveform, output), gradient) in input.chunks(samples).zip(output.chunks(size)).zip(gradient.chunks(size))
        {
            let spectrum = inner.spectrum(waveform);
            let mut rest = parts.as_mut_slice();
            let mut tasks = Vec::with_capacity(inner.bands.len());
            for (i, band) in inner.bands.iter().enumerate() {
                let (part, remaining) = std::mem::take(&mut rest).split_at_mut(band.bins().len());
                rest = remaining;
                tasks.push((band, &output[i * frames..][..frames], &gradient[i * frames..][..frames], part));
            }
            for_each_chunk(&mut tasks, 1, |_, tasks| {
                for (band, output, gradient, part) in tasks {
                    let slopes = output.iter().zip(*gradient).map(|(&y, &g)| self.slope(y) * f64::from(g));
                    let slopes: Vec<f64> = slopes.collect();
                    band.backward(&inner.layout, &spectrum, &slopes, &mut inner.borrow().1, part);
                }
            });
            // Sums in the order of the bands, so that the result does not depend on the number of threads.
            let mut bins = inner.to_samples.make_input_vec();
            let mut rest = parts.as_slice();
            for band in &inner.bands {
                let (part, remaining) = rest.split_at(band.bins().len());
                bins[band.bins()].iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
                rest = remaining;
            }
            // The inverse real FFT counts each bin twice, except bin 0 and the Nyquist bin.
            let nyquist = samples.is_multiple_of(2).then_some(samples / 2);
            for (k, bin) in bins.iter_mut().enumerate() {
                match k == 0 || Some(k) == nyquist {
                    true => bin.im = 0.0,
                    false => *bin *= 0.5,
                }
            }
            let mut waveform = inner.to_samples.make_output_vec();
            self.0.to_samples.process(&mut bins, &mut waveform).expect("buffers of the planned size and real ends");
            input_gradient.extend(waveform.into_iter().map(|v| v as f32));
        }
        input_gradient
    }
}

impl std::fmt::Debug for Cochleagram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let CochleagramConfig { samples, sample_rate: rate, frequency_range: [low, high], .. } = self.0.config;
        let (channels, frames) = (self.0.config.channels(), self.frames());
        write!(f, "Cochleagram({samples} samples at {rate} Hz -> {channels} x {frames}, {low} to {high} Hz)")
    }
}
