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
    /// dB relative to its maximum.
    pub fn spectrogram(&self) -> HeatMap {
        let rate = f64::from(self.sample_rate());
        let length = ((WINDOW_SECONDS * rate).round() as usize).clamp(2, self.len().max(2));
        let hop = ((HOP_SECONDS * rate).round() as usize).max(self.len() / MAX_COLUMNS).max(1);
        let columns = (self.len().saturating_sub(length)) / hop + 1;
        let transform = RealFftPlanner::<f64>::new().plan_fft_forward(length);
        let hann = |i: usize| (std::f64::consts::PI * (i as f64 + 0.5) / length as f64).sin().powi(2);
        let window: Vec<f64> = (0..length).map(hann).collect();
        let rows = length / 2 + 1;
        let (mut input, mut spectrum) = (transform.make_input_vec(), transform.make_output_vec());
        let mut power = vec![0.0; rows * columns];
        for column in 0..columns {
            let samples = self.values().iter().skip(column * hop).chain(std::iter::repeat(&0.0));
            input.iter_mut().zip(samples.zip(&window)).for_each(|(x, (v, w))| *x = f64::from(*v) * w);
            transform.process(&mut input, &mut spectrum).expect("buffers of the planned size");
            spectrum.iter().enumerate().for_each(|(row, bin)| power[row * columns + column] = bin.norm_sqr());
        }
        let max = power.iter().fold(f64::MIN_POSITIVE, |a, &v| a.max(v));
        let db = |&v: &f64| (10.0 * (v / max).max(1e-20).log10()) as f32;
        let values: Vec<f32> = power.iter().map(db).collect();
        let half = rate / length as f64 / 2.0;
        HeatMap::new("spectrogram", rows, columns, values)
            .origin_lower()
            .range(-RANGE_DB, 0.0)
            .x_axis("time (s)", 0.0, self.seconds())
            .y_axis("frequency (kHz)", -half / 1e3, (rows as f64 * 2.0 - 1.0) * half / 1e3)
            .value_label("dB below the loudest")
    }

    /// Returns an audio player with normalized peak.
    pub fn player(&self) -> Player {
        let name = if self.name().is_empty() { "sound" } else { self.name() };
        Player::new(name, self.sample_rate(), self.values().to_vec()).normalize_peak()
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
