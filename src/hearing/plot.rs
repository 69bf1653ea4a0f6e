//! Plots of cochleagrams.

use super::Cochleagram;
use crate::display::HeatMap;
use crate::stimulus::Sound;
use crate::{Error, Result};

impl Cochleagram {
    /// Plots values, channels x frames in row-major order, as a heat map with the lowest channel at the bottom. The vertical axis shows the
    /// center frequencies in kHz.
    ///
    /// # Errors
    /// [`Error::Shape`] if the number of values is not channels x frames.
    pub fn picture(&self, title: impl Into<String>, values: &[f32]) -> Result<HeatMap> {
        let (channels, frames) = (self.config().channels(), self.frames());
        if values.len() != channels * frames {
            return Err(Error::shape("the cochleagram", format!("[{channels}, {frames}]"), &[values.len()]));
        }
        let seconds = self.config().samples as f64 / f64::from(self.config().sample_rate);
        // The low-pass and high-pass filters at the ends have no center frequency.
        let num_low_pass = self.config().sample_factor as f64;
        let row = |center: usize| num_low_pass + center as f64 + 0.5;
        let centers = self.centers();
        let position = |hz: f64| {
            let above = centers.iter().position(|&c| c >= hz)?;
            let below = above.checked_sub(1)?;
            Some(row(below) + (hz - centers[below]) / (centers[above] - centers[below]))
        };
        let ticks = [100.0, 200.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0];
        let ticks = ticks.into_iter().filter_map(|hz| Some((position(hz)?, format!("{}", hz / 1e3))));
        Ok(HeatMap::new(title, channels, frames, values.to_vec())
            .origin_lower()
            .x_axis("time (s)", 0.0, seconds)
            .y_axis("frequency (kHz)", 0.0, channels as f64)
            .y_ticks(ticks)
            .value_label(format!("envelope to the {}", self.config().power)))
    }

    /// Plots the cochleagram of a sound as a heat map.
    ///
    /// # Errors
    /// Fails like [`Cochleagram::compute`].
    pub fn heat_map(&self, sound: &Sound) -> Result<HeatMap> {
        self.picture(format!("cochleagram of {}", sound.name()), &crate::ops::values(&self.compute(sound)?)?)
    }
}
