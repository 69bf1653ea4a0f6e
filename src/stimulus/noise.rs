//! How noise is drawn.

use crate::{Error, Result};

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
