//! Sounds to listen to.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{MimeBundle, Show, escape};

/// The loudest sample of a sound that is played at its peak.
const PEAK: f32 = 0.9;

/// A player for one sound: `<audio controls>` with the WAV file in its address, so that it plays without a kernel, a server or a network.
///
/// As it is, a sound is played at the level that it has. [`Player::peak`] makes it as loud as fits; [`Players::shared`] gives several the one
/// gain that fits the loudest, so that they are compared fairly. The picture of a sound is an output of its own: where a notebook's HTML is
/// stripped, it stays.
///
/// ```
/// use metamers::display::{Player, Show};
///
/// let player = Player::new("a click", 8000, vec![0.0, 0.5, -0.5, 0.0]).peak();
/// assert!(player.mime_bundles()[0].data()["text/html"].contains("<audio controls"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Player {
    name: String,
    rate: u32,
    samples: Vec<f32>,
    gain: f32,
}

impl Player {
    /// A player of `samples` in `[-1, 1]` at `rate` samples a second; samples outside are cut off, and what is not a number is silent.
    pub fn new(name: impl Into<String>, rate: u32, samples: Vec<f32>) -> Self {
        Self { name: name.into(), rate, samples, gain: 1.0 }
    }

    fn largest(&self) -> f32 {
        self.samples.iter().filter(|v| v.is_finite()).fold(0.0, |a, v| a.max(v.abs()))
    }

    /// Plays the sound as loud as fits.
    pub fn peak(mut self) -> Self {
        self.gain = gain(self.largest());
        self
    }

    /// How long it plays, in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate.max(1))
    }

    fn words(&self) -> String {
        let gain =
            if self.gain == 1.0 { String::new() } else { format!(", played {:+.1} dB", 20.0 * self.gain.log10()) };
        format!("{}, {:.2} s{gain}", self.name, self.seconds())
    }

    /// The player as HTML: its name, and below it the controls.
    pub fn html(&self) -> String {
        let played = self.samples.iter().map(|v| if v.is_finite() { v * self.gain } else { 0.0 });
        let data = STANDARD.encode(crate::fs::wav::encode_pcm16(self.rate.max(1), played));
        let (name, words) = (escape(&self.name), escape(&self.words()));
        format!(
            r#"<div style="margin:4px 0"><div style="font:13px sans-serif">{name}</div><audio controls preload="metadata" aria-label="{words}" src="data:audio/wav;base64,{data}"></audio></div>"#
        )
    }
}

/// Several players, side by side where there is room.
///
/// ```
/// use metamers::display::{Player, Players};
///
/// let tone = Player::new("a click", 8000, vec![0.0, 0.5, -0.5, 0.0]);
/// let faint = Player::new("a fainter one", 8000, vec![0.0, 0.1, -0.1, 0.0]);
/// let both = Players::shared([tone, faint]); // the second stays five times fainter
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Players(Vec<Player>);

impl Players {
    /// Plays several sounds with the one gain that makes the loudest of them as loud as fits.
    pub fn shared(players: impl IntoIterator<Item = Player>) -> Self {
        let mut players: Vec<Player> = players.into_iter().collect();
        let gain = gain(players.iter().map(Player::largest).fold(0.0, f32::max));
        players.iter_mut().for_each(|player| player.gain = gain);
        Self(players)
    }

    /// What a notebook gets: one output.
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

fn gain(largest: f32) -> f32 {
    if largest > 0.0 { PEAK / largest } else { 1.0 }
}

impl Show for Player {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        vec![MimeBundle::text(format!("sound: {}", self.words())).html(self.html())]
    }
}

crate::show_in_notebooks!(Player, Players);
