//! Audio players.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{MimeBundle, Show, escape};

/// The peak amplitude after normalization.
const PEAK: f32 = 0.9;

/// Maximum sample rate in Hz, as of sounds; the byte rate in the header of a WAV file overflows above 2 GHz.
const MAX_SAMPLE_RATE: u32 = 768_000;

/// An audio player for one sound: `<audio controls>` with the WAV file as a data URL, which plays without a kernel, a server or a network.
///
/// A sound is played at its own level by default. [`Player::normalize_peak`] normalizes its peak; [`Players::shared`] applies one gain to several
/// sounds, which keeps their relative levels. Plots of a sound should be separate outputs, so that they are shown even if a viewer strips
/// HTML.
///
/// ```
/// use metamers::display::{Player, Show};
///
/// let player = Player::new("a click", 8000, vec![0.0, 0.5, -0.5, 0.0]).normalize_peak();
/// assert!(player.mime_bundles()[0].data()["text/html"].contains("<audio controls"));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Player {
    name: String,
    sample_rate: u32,
    samples: Vec<f32>,
    gain: f32,
}

impl Player {
    /// Creates a player of `samples` in `[-1, 1]` at a sample rate in Hz. Samples outside are clipped; NaN and infinite samples are silent.
    /// A sample rate above 768 kHz is played at 768 kHz.
    pub fn new(name: impl Into<String>, sample_rate: u32, samples: Vec<f32>) -> Self {
        Self { name: name.into(), sample_rate, samples, gain: 1.0 }
    }

    fn max_amplitude(&self) -> f32 {
        self.samples.iter().filter(|v| v.is_finite()).fold(0.0, |a, v| a.max(v.abs()))
    }

    /// Normalizes the peak amplitude of the sound to 0.9 of full scale.
    pub fn normalize_peak(mut self) -> Self {
        self.gain = gain(self.max_amplitude());
        self
    }

    /// Gives several players one gain, which normalizes the peak of the loudest sound.
    pub(crate) fn share_gain<'a>(players: impl IntoIterator<Item = &'a mut Self>) {
        let players: Vec<&mut Self> = players.into_iter().collect();
        let gain = gain(players.iter().map(|player| player.max_amplitude()).fold(0.0, f32::max));
        players.into_iter().for_each(|player| player.gain = gain);
    }

    /// The duration in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.sample_rate.max(1))
    }

    fn words(&self) -> String {
        let gain =
            if self.gain == 1.0 { String::new() } else { format!(", played {:+.1} dB", 20.0 * self.gain.log10()) };
        format!("{}, {:.2} s{gain}", self.name, self.seconds())
    }

    /// Returns the player as HTML: its name above the controls.
    #[must_use]
    pub fn html(&self) -> String {
        let played = self.samples.iter().map(|v| if v.is_finite() { v * self.gain } else { 0.0 });
        let sample_rate = self.sample_rate.clamp(1, MAX_SAMPLE_RATE);
        let data = STANDARD.encode(crate::fs::wav::encode_pcm16(sample_rate, played));
        let (name, words) = (escape(&self.name), escape(&self.words()));
        format!(
            r#"<div style="margin:4px 0"><div style="font:13px sans-serif">{name}</div><audio controls preload="metadata" aria-label="{words}" src="data:audio/wav;base64,{data}"></audio></div>"#
        )
    }
}

/// Several audio players, side by side where there is room.
///
/// ```
/// use metamers::display::{Player, Players};
///
/// let tone = Player::new("a click", 8000, vec![0.0, 0.5, -0.5, 0.0]);
/// let quiet = Player::new("a quieter one", 8000, vec![0.0, 0.1, -0.1, 0.0]);
/// let both = Players::shared([tone, quiet]); // the second keeps a fifth of the first's amplitude
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Players(Vec<Player>);

impl Players {
    /// Creates players with one shared gain, which normalizes the peak of the loudest sound.
    pub fn shared(players: impl IntoIterator<Item = Player>) -> Self {
        let mut players: Vec<Player> = players.into_iter().collect();
        Player::share_gain(&mut players);
        Self(players)
    }

    /// Returns all players as one output.
    pub fn bundle(&self) -> MimeBundle {
        let words: Vec<String> = self.0.iter().map(|player| format!("sound: {}", player.words())).collect();
        let html: String = self.0.iter().map(Player::html).collect();
        MimeBundle::text(words.join("\n"))
            .html(format!(r#"<div style="display:flex;flex-wrap:wrap;gap:8px 24px">{html}</div>"#))
    }
}

impl Show for Players {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        vec![self.bundle()]
    }
}

fn gain(max_amplitude: f32) -> f32 {
    if max_amplitude > 0.0 { PEAK / max_amplitude } else { 1.0 }
}

impl Show for Player {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        vec![MimeBundle::text(format!("sound: {}", self.words())).html(self.html())]
    }
}

crate::show_in_notebooks!(Player, Players);
