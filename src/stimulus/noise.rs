//! Noise distributions.

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

use crate::{Error, Result};

/// The lower frequency limit of pink noise, in Hz.
const MIN_PINK_HZ: f64 = 20.0;

/// The distribution of a noise image or sound; samples are independent except in pink noise.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Noise {
    /// Gaussian white noise, clamped to the range of the stimulus.
    Normal {
        /// The mean.
        mean: f32,
        /// The standard deviation.
        deviation: f32,
    },
    /// Uniform white noise in `[low, high)`.
    Uniform {
        /// The lower bound, included.
        low: f32,
        /// The upper bound, excluded.
        high: f32,
    },
    /// Pink noise: power proportional to `1 / frequency` above 20 Hz. For sounds only.
    Pink {
        /// The root mean square of the samples.
        rms: f32,
    },
}

impl Noise {
    /// Checks that the parameters are valid for values in `range`.
    pub(crate) fn check(self, range: [f32; 2]) -> Result<()> {
        let [min, max] = range;
        match self {
            Self::Normal { mean, deviation } if !(mean.is_finite() && deviation.is_finite() && deviation >= 0.0) => {
                let reason =
                    format!("needs a finite mean and a standard deviation of at least 0, got {mean} and {deviation}");
                Err(Error::invalid("noise", reason))
            }
            Self::Uniform { low, high } if !(low >= min && low < high && high <= max) => {
                let reason = format!("needs {min} <= low < high <= {max}, got {low} and {high}");
                Err(Error::invalid("noise", reason))
            }
            Self::Pink { rms } if !(rms.is_finite() && rms > 0.0) => {
                Err(Error::invalid("noise", format!("needs an rms above 0, got {rms}")))
            }
            _ => Ok(()),
        }
    }
}

/// Filters white noise to pink noise: divides the amplitude at each frequency by the square root of the frequency, removes
/// frequencies below 20 Hz, and scales the peak to 1.
///
/// The 2019 code of Feather et al. divides the `k`-th component by `sqrt(k + 1)` and removes nothing but the mean. In two seconds at
/// 20 kHz, 35 % of its power lies below 20 Hz, so that noise of the same rms has about 1.9 dB less above. Ours stays as it is: saved seeds
/// name its samples.
pub(super) fn pink(mut white: Vec<f64>, sample_rate: u32) -> Vec<f64> {
    let min_bin = MIN_PINK_HZ * white.len() as f64 / f64::from(sample_rate);
    let mut planner = RealFftPlanner::<f64>::new();
    let (forward, inverse) = (planner.plan_fft_forward(white.len()), planner.plan_fft_inverse(white.len()));
    let mut spectrum = forward.make_output_vec();
    forward.process(&mut white, &mut spectrum).expect("buffers of the planned size");
    let nyquist = (white.len().is_multiple_of(2)).then_some(white.len() / 2);
    for (k, bin) in spectrum.iter_mut().enumerate() {
        *bin = if k == 0 || (k as f64) < min_bin { Complex::ZERO } else { *bin / (k as f64).sqrt() };
        if Some(k) == nyquist {
            bin.im = 0.0;
        }
    }
    inverse
        .process(&mut spectrum, &mut white)
        .expect("buffers of the planned size, real at 0 Hz and at the Nyquist frequency");
    let peak = white.iter().fold(f64::MIN_POSITIVE, |a, v| a.max(v.abs()));
    white.iter_mut().for_each(|v| *v /= peak);
    white
}
