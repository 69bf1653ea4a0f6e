//! Plots of cochleagrams, and the axes of front ends.

use super::{Cochleagram, LogMel};
use crate::display::HeatMap;
use crate::stimulus::Sound;
use crate::{Error, Result};

impl Cochleagram {
    /// Plots values, channels x frames in row-major order, as a heat map with the lowest channel at the bottom. The horizontal axis shows
    /// the times of the frames, of which each is one hop long, around the center of its low-pass window; the vertical axis the center
    /// frequencies in kHz.
    ///
    /// # Errors
    /// [`Error::Shape`] if the number of values is not channels x frames.
    pub fn picture(&self, title: impl Into<String>, values: &[f32]) -> Result<HeatMap> {
        let (channels, frames) = (self.config().channels(), self.frames());
        if values.len() != channels * frames {
            return Err(Error::shape("the cochleagram", format!("[{channels}, {frames}]"), &[values.len()]));
        }
        let map = HeatMap::new(title, channels, frames, values.to_vec());
        let map = self.with_axes(map, [0.0, channels as f64], [0.0, frames as f64]);
        Ok(map.value_label(format!("envelope to the {}", self.config().power)))
    }

    /// Adds axes to a map whose rows span these channels and whose columns span these frames; channel and frame `i` span `i` to `i + 1`.
    pub(crate) fn with_axes(&self, map: HeatMap, channels: [f64; 2], frames: [f64; 2]) -> HeatMap {
        let config = self.config();
        let (_, lead) = config.frames_and_lead();
        let first = (config.taps as f64 - 1.0) / 2.0 - lead as f64;
        let [from, to] = frame_times(frames, first, config.hop_length, config.sample_rate);
        let [lowest, highest] = channels;
        // The low-pass and high-pass filters at the ends have no center frequency.
        let num_low_pass = config.sample_factor as f64;
        let row = |center: usize| num_low_pass + center as f64 + 0.5;
        let centers = self.centers();
        let position = |hz: f64| {
            let above = centers.iter().position(|&c| c >= hz)?;
            let below = above.checked_sub(1)?;
            Some(row(below) + (hz - centers[below]) / (centers[above] - centers[below]))
        };
        let ticks = [100.0, 200.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0];
        let ticks = ticks.into_iter().filter_map(|hz| Some((position(hz)?, format!("{}", hz / 1e3))));
        map.origin_lower()
            .x_axis("time (s)", from, to)
            .y_axis("frequency (kHz)", lowest, highest)
            .y_ticks(ticks.filter(|(row, _)| (lowest..=highest).contains(row)))
    }

    /// Plots the cochleagram of a sound as a heat map.
    ///
    /// # Errors
    /// Fails like [`Cochleagram::compute`].
    pub fn heat_map(&self, sound: &Sound) -> Result<HeatMap> {
        self.picture(format!("cochleagram of {}", sound.name()), &crate::ops::values(&self.compute(sound)?)?)
    }
}

impl LogMel {
    /// Adds axes to a map whose rows span these frames and whose columns span these filters; frame and filter `i` span `i` to `i + 1`.
    pub(crate) fn with_axes(&self, map: HeatMap, frames: [f64; 2], filters: [f64; 2]) -> HeatMap {
        let config = self.config();
        let first = (config.win_length as f64 - 1.0) / 2.0;
        let [from, to] = frame_times(frames, first, config.hop_length, config.sample_rate);
        map.x_axis("mel filter", filters[0] - 0.5, filters[1] - 0.5).y_axis("time (s)", from, to)
    }
}

/// The times of frames in seconds, given the center of frame 0 in samples. A frame is one hop long, around its center.
fn frame_times(frames: [f64; 2], first: f64, hop_length: usize, sample_rate: u32) -> [f64; 2] {
    frames.map(|frame| (first + (frame - 0.5) * hop_length as f64) / f64::from(sample_rate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hearing::{CochleagramConfig, LogMelConfig};

    #[test]
    fn frames_are_drawn_at_their_times() {
        let presets = [CochleagramConfig::feather2023(), CochleagramConfig::feather2019()];
        // Without padding there are no frames at the ends, where the low-pass filter would leave the sound.
        for (preset, expected) in presets.clone().into_iter().zip(["0.02 to 0.175", "0 to 0.2"]) {
            let config = CochleagramConfig { samples: 4000, taps: 901, filters: 6, sample_factor: 2, ..preset };
            let cochleagram = Cochleagram::new(config).unwrap();
            let values = vec![0.0; cochleagram.config().channels() * cochleagram.frames()];
            let axes = cochleagram.picture("", &values).unwrap().axes_in_words();
            assert_eq!(axes, format!("time (s) to the right, {expected}; frequency (kHz) upwards"));
        }
        let seconds = presets.map(|config| {
            let (frames, lead) = config.frames_and_lead();
            frame_times([0.0, frames as f64], 500.0 - lead as f64, config.hop_length, config.sample_rate)
        });
        assert_eq!(seconds, [[0.0225, 1.9725], [0.0, 2.0]]);
    }

    #[test]
    fn rows_of_log_mel_energies_are_frames() {
        let config = LogMelConfig { samples: 1600, n_mels: 8, ..LogMelConfig::efficient_word_net() };
        let log_mel = LogMel::new(config).unwrap();
        let map = log_mel.with_axes(HeatMap::new("", 9, 8, vec![0.0; 72]), [0.0, 9.0], [0.0, 8.0]);
        assert_eq!(map.axes_in_words(), "mel filter to the right, −0.5 to 7.5; time (s) downwards, 0.0125 to 0.0925");
    }
}
