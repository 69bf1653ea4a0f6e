//! Display of sounds: waveform, spectrogram and player.

use realfft::RealFftPlanner;

use super::Sound;
use crate::display::{Figure, HeatMap, LinePlot, MimeBundle, Panel, Player, Show};

/// The window length of spectrograms, in seconds.
const WINDOW_SECONDS: f64 = 0.025;
/// The hop between two windows, in seconds.
const HOP_SECONDS: f64 = 0.005;

/// The maximum number of columns of a spectrogram, about the width of a picture in pixels.
const MAX_COLUMNS: usize = 900;

/// The dynamic range of spectrograms, in dB.
const RANGE_DB: f64 = 70.0;

impl Sound {
    /// Plots the waveform.
    pub fn waveform(&self) -> LinePlot {
        let time = |i: usize| i as f64 / f64::from(self.sample_rate());
        let line = self.values().iter().enumerate().map(|(i, &v)| (time(i), f64::from(v))).collect();
        let peak = f64::from(self.peak()).max(1e-9);
        LinePlot::new("waveform").x_label("time (s)").x_range(0.0, self.seconds()).y_range(-peak, peak).series("", line)
    }

    /// Computes the spectrogram: power over time and frequency in Hann windows of 25 ms with a hop of 5 ms (more for long sounds), in
    /// dB relative to its maximum. The windows are centered in their hops; beyond its ends the sound is silent.
    pub fn spectrogram(&self) -> HeatMap {
        let powers = Powers::of(self);
        powers.picture(powers.max())
    }

    /// The spectrogram in dB relative to the maximum of another sound's.
    pub(crate) fn spectrogram_relative_to(&self, other: &Self) -> HeatMap {
        Powers::of(self).picture(Powers::of(other).max())
    }

    /// Returns an audio player with normalized peak.
    pub fn player(&self) -> Player {
        let name = if self.name().is_empty() { "sound" } else { self.name() };
        self.player_named(name).normalize_peak()
    }

    /// Returns an audio player with this name, at the sound's own level.
    pub(crate) fn player_named(&self, name: &str) -> Player {
        Player::new(name, self.sample_rate(), self.values().to_vec())
    }

    fn description(&self) -> String {
        let name = if self.name().is_empty() { "sound" } else { self.name() };
        let level = match self.rms() {
            0.0 => "silent".into(),
            rms => format!("rms {rms:.3}, peak {:.3}", self.peak()),
        };
        let clipped = match self.clipped() {
            0 => String::new(),
            samples => format!(", {samples} samples clipped"),
        };
        format!("{name}, {:.2} s at {} Hz, {level}{clipped}", self.seconds(), self.sample_rate())
    }
}

/// The powers of a spectrogram, the lowest frequency first, with `columns` values each.
struct Powers {
    values: Vec<f64>,
    columns: usize,
    rows: usize,
    /// The time of all columns, in seconds.
    seconds: f64,
    /// Half the distance of two frequencies, in Hz.
    half: f64,
}

impl Powers {
    fn of(sound: &Sound) -> Self {
        let rate = f64::from(sound.sample_rate());
        let length = ((WINDOW_SECONDS * rate).round() as usize).clamp(2, sound.len().max(2));
        let hop = ((HOP_SECONDS * rate).round() as usize).max(sound.len() / MAX_COLUMNS).max(1);
        let columns = sound.len().div_ceil(hop).max(1);
        let transform = RealFftPlanner::<f64>::new().plan_fft_forward(length);
        let hann = |i: usize| (std::f64::consts::PI * (i as f64 + 0.5) / length as f64).sin().powi(2);
        let window: Vec<f64> = (0..length).map(hann).collect();
        let rows = length / 2 + 1;
        let (mut input, mut spectrum) = (transform.make_input_vec(), transform.make_output_vec());
        let mut values = vec![0.0; rows * columns];
        for column in 0..columns {
            let center = column * hop + hop / 2;
            for (i, (x, weight)) in input.iter_mut().zip(&window).enumerate() {
                let sample = (center + i).checked_sub(length / 2).and_then(|at| sound.values().get(at));
                *x = sample.map_or(0.0, |&v| f64::from(v) * weight);
            }
            transform.process(&mut input, &mut spectrum).expect("buffers of the planned size");
            spectrum.iter().enumerate().for_each(|(row, bin)| values[row * columns + column] = bin.norm_sqr());
        }
        let (seconds, half) = ((columns * hop) as f64 / rate, rate / length as f64 / 2.0);
        Self { values, columns, rows, seconds, half }
    }

    fn max(&self) -> f64 {
        self.values.iter().fold(f64::MIN_POSITIVE, |a, &v| a.max(v))
    }

    /// The powers in dB relative to a maximum.
    fn picture(&self, max: f64) -> HeatMap {
        let Self { rows, columns, half, .. } = *self;
        let db = |&v: &f64| (10.0 * (v / max).max(1e-20).log10()) as f32;
        HeatMap::new("spectrogram", rows, columns, self.values.iter().map(db).collect())
            .origin_lower()
            .range(-RANGE_DB, 0.0)
            .x_axis("time (s)", 0.0, self.seconds)
            .y_axis("frequency (kHz)", -half / 1e3, (rows as f64 * 2.0 - 1.0) * half / 1e3)
            .value_label("dB re the loudest")
    }
}

/// A panel with the waveform, titled with the sound's name.
impl From<&Sound> for Panel {
    fn from(sound: &Sound) -> Self {
        Self::plot(sound.waveform().with_title(sound.name()))
    }
}

/// An audio player, and as a second output the waveform above the spectrogram.
impl Show for Sound {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let description = self.description();
        let figure = Figure::new(format!("Waveform and spectrogram of {description}"))
            .width(720.0)
            .row([Panel::plot(self.waveform())])
            .row([Panel::heat_map(self.spectrogram())]);
        [self.player().mime_bundles(), vec![figure.bundle(description)]].concat()
    }
}

crate::show_in_notebooks!(Sound);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_is_drawn_at_its_time() {
        let mut samples = vec![0.0; 8_000];
        samples[6_020] = 1.0;
        let click = Sound::from_samples("click", 8_000, samples).unwrap();
        let powers = Powers::of(&click);
        assert_eq!((powers.columns, powers.seconds), (200, 1.0));
        let of_column = |column: usize| (0..powers.rows).map(|row| powers.values[row * powers.columns + column]).sum();
        let column = (0..200).max_by(|&a, &b| f64::total_cmp(&of_column(a), &of_column(b))).unwrap();
        // A column is 40 samples.
        assert_eq!(column, 6_020 / 40);
    }

    #[test]
    fn a_quieter_sound_is_darker_relative_to_a_louder_one() {
        let [loud, quiet] = [0.5, 0.005].map(|amplitude| Sound::tone(8_000, 0.2, 440.0, amplitude).unwrap());
        let bright = |map: HeatMap| map.raster().rgb().iter().map(|&v| f64::from(v)).sum::<f64>();
        assert!(bright(quiet.spectrogram_relative_to(&loud)) < 0.8 * bright(loud.spectrogram()));
        assert!((bright(quiet.spectrogram()) / bright(loud.spectrogram()) - 1.0).abs() < 0.02);
    }
}
