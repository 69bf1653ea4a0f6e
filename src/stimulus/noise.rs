//! How noise is drawn.

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

use crate::{Error, Result};

/// Pink noise has nothing below this, in Hz.
const LOWEST_PINK: f64 = 20.0;

/// The values of a noise picture or sound; each on its own but for pink noise.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Noise {
    /// Normal with this mean and standard deviation, clamped to what the stimulus can hold: white noise.
    Normal {
        /// The mean.
        mean: f32,
        /// The standard deviation.
        deviation: f32,
    },
    /// Uniform from `low` to below `high`.
    Uniform {
        /// The smallest value.
        low: f32,
        /// The bound that is not reached.
        high: f32,
    },
    /// Power proportional to `1 / frequency` from 20 Hz on; sounds only.
    Pink {
        /// Root mean square of the samples.
        rms: f32,
    },
}

impl Noise {
    /// Whether there is such noise among values of this range.
    pub(crate) fn check(self, range: [f32; 2]) -> Result<()> {
        let [least, most] = range;
        match self {
            Self::Normal { mean, deviation } if !(mean.is_finite() && deviation.is_finite() && deviation >= 0.0) => {
                let reason = format!("needs a finite mean and a deviation of 0 or more, got {mean} and {deviation}");
                Err(Error::invalid("noise", reason))
            }
            Self::Uniform { low, high } if !(low >= least && low < high && high <= most) => {
                let reason = format!("needs {least} <= low < high <= {most}, got {low} and {high}");
                Err(Error::invalid("noise", reason))
            }
            Self::Pink { rms } if !(rms.is_finite() && rms > 0.0) => {
                Err(Error::invalid("noise", format!("needs an rms above 0, got {rms}")))
            }
            _ => Ok(()),
        }
    }
}

/// White noise with each frequency's amplitude divided by the frequency's square root, nothing below 20 Hz, which nobody hears, and a
/// peak of 1.
pub(super) fn pink(mut white: Vec<f64>, rate: u32) -> Vec<f64> {
    let lowest = LOWEST_PINK * white.len() as f64 / f64::from(rate);
    let mut planner = RealFftPlanner::<f64>::new();
    let (there, back) = (planner.plan_fft_forward(white.len()), planner.plan_fft_inverse(white.len()));
    let mut spectrum = there.make_output_vec();
    there.process(&mut white, &mut spectrum).expect("buffers of the planned size");
    let nyquist = (white.len().is_multiple_of(2)).then_some(white.len() / 2);
    for (k, bin) in spectrum.iter_mut().enumerate() {
        *bin = if k == 0 || (k as f64) < lowest { Complex::ZERO } else { *bin / (k as f64).sqrt() };
        if Some(k) == nyquist {
            bin.im = 0.0;
        }
    }
    back.process(&mut spectrum, &mut white).expect("buffers of the planned size and a real mean and end");
    let peak = white.iter().fold(f64::MIN_POSITIVE, |a, v| a.max(v.abs()));
    white.iter_mut().for_each(|v| *v /= peak);
    white
}
