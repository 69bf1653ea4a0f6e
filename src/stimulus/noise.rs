//! How noise is drawn.

/// The values of a noise picture or sound; each on its own but for pink noise.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// Power proportional to `1 / frequency`, without a mean; sounds only.
    Pink {
        /// Root mean square of the samples.
        rms: f32,
    },
}
