//! Two stimuli at the same place, compared by swiping and flickering.

use serde::Serialize;

use crate::display::script_page::{ScriptPage, jpeg_url};
use crate::display::{Figure, HeatMap, MimeBundle, Panel, Player, Raster, Show};

/// The largest side of a picture in the page, in pixels.
const MAX_SIDE: usize = 360;
/// The width and height of a map in the page, in pixels.
const MAP_SIZE: (usize, usize) = (MAX_SIDE, 216);
/// The largest side of a picture in the still form, in pixels.
const STILL_SIDE: usize = 112;
/// Quality of the pictures as JPEG, of 100.
const QUALITY: u8 = 85;
/// Height of the frame, in CSS pixels.
const HEIGHT: u32 = 510;
/// The additional height of players and of the line that names the axes, in CSS pixels.
const PLAYERS_HEIGHT: u32 = 220;

/// A stimulus as [`Compare`] shows it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Exhibit {
    name: String,
    view: View,
    player: Option<Player>,
}

/// The picture of an [`Exhibit`]: an image, or the cochleagram or spectrogram of a sound, made from either with [`From`].
#[derive(Clone, Debug)]
#[must_use]
pub struct View(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Picture(Raster),
    Map(Box<HeatMap>),
}

impl From<Raster> for View {
    fn from(picture: Raster) -> Self {
        Self(Kind::Picture(picture))
    }
}

impl From<HeatMap> for View {
    fn from(map: HeatMap) -> Self {
        Self(Kind::Map(Box::new(map)))
    }
}

impl View {
    /// The picture for the page.
    fn raster(&self) -> Raster {
        match &self.0 {
            Kind::Picture(picture) => shrunk(picture, MAX_SIDE),
            Kind::Map(map) => {
                let cells = map.raster();
                if cells.problem().is_some() { cells } else { cells.resized(MAP_SIZE.0, MAP_SIZE.1) }
            }
        }
    }

    /// Draws two maps on the same axes.
    fn aligned(self, other: Self) -> [Self; 2] {
        match (self.0, other.0) {
            (Kind::Map(first), Kind::Map(second)) => first.on_common_axes(*second).map(Self::from),
            (first, second) => [Self(first), Self(second)],
        }
    }

    fn map(&self) -> Option<&HeatMap> {
        match &self.0 {
            Kind::Picture(_) => None,
            Kind::Map(map) => Some(map),
        }
    }

    /// A panel for the still form; a map has its axes there.
    fn panel(&self, name: &str) -> Panel {
        match &self.0 {
            Kind::Picture(picture) => Panel::picture(name, shrunk(picture, STILL_SIDE)),
            Kind::Map(map) => Panel::heat_map(HeatMap::clone(map).with_title(name)),
        }
    }
}

impl Exhibit {
    /// A picture or a map with a name.
    pub fn new(name: impl Into<String>, view: impl Into<View>) -> Self {
        Self { name: name.into(), view: view.into(), player: None }
    }

    /// Adds a player.
    pub fn player(mut self, player: Player) -> Self {
        self.player = Some(player);
        self
    }
}

/// A type that [`Compare`] takes: an image, a sound or a metamer.
pub trait Comparable {
    /// The stimulus.
    fn exhibit(&self) -> Exhibit;

    /// The stimulus from which it was made, drawn in the same way; `None` if that is not known.
    fn original(&self) -> Option<Exhibit> {
        None
    }
}

/// Two stimuli at the same place: a swipe moves the border between them, and flicker alternates them twice a second.
///
/// Sounds are compared by their cochleagrams or spectrograms on the same axes of time and frequency, with players that keep their
/// relative levels. The tool needs no kernel: it also works in an exported page and after the kernel has ended. Its pictures have at most
/// 360 pixels on a side and are compressed as JPEG.
///
/// ```
/// use metamers::prelude::*;
/// use metamers::display::widgets::Compare;
///
/// let dog = Image::open("photos/dog.jpg")?;
/// let compare = Compare::new(&dog, &dog.to_gray().with_name("grey dog"));
/// assert!(compare.mime_bundles()[0].data()["text/plain"].starts_with("dog and grey dog"));
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone)]
pub struct Compare {
    exhibits: [Exhibit; 2],
}

impl Compare {
    /// Compares `first` with `second`, often an original with its metamer.
    #[must_use]
    pub fn new(first: &impl Comparable, second: &impl Comparable) -> Self {
        let (mut before, mut after) = (first.exhibit(), second.exhibit());
        // A sound beside its metamer is drawn as the network hears it, like the metamer.
        if let (Some(_), Some(original)) = (&before.player, second.original()) {
            before.view = original.view;
        }
        // A metamer is played as loud as it is beside its original.
        if let (Some(first), Some(second)) = (&mut before.player, &mut after.player) {
            Player::share_gain([first, second]);
        }
        let [first, second] = before.view.aligned(after.view);
        Self { exhibits: [Exhibit { view: first, ..before }, Exhibit { view: second, ..after }] }
    }

    fn text(&self) -> String {
        let [before, after] = &self.exhibits;
        format!("{} and {}, at the same place", before.name, after.name)
    }

    /// The axes of maps in words, as the page has no room for ticks; empty for pictures.
    fn axes(&self) -> String {
        let maps = || self.exhibits.iter().filter_map(|exhibit| Some((&exhibit.name, exhibit.view.map()?)));
        let mut words: Vec<(&String, String)> = maps().map(|(name, map)| (name, map.axes_in_words())).collect();
        let differ = words.windows(2).any(|pair| pair[0].1 != pair[1].1);
        if !differ {
            words.truncate(1);
        }
        let text = |(name, axes): (&String, String)| if differ { format!("{name}: {axes}") } else { axes };
        let missing = maps().any(|(_, map)| map.has_missing_values()).then(|| "grey: no value".to_owned());
        words.into_iter().map(text).chain(missing).collect::<Vec<_>>().join("; ")
    }
}

#[derive(Serialize)]
struct Content {
    title: String,
    pictures: Vec<Picture>,
    axes: String,
}

#[derive(Serialize)]
struct Picture {
    name: String,
    url: String,
    alt: String,
    player: Option<String>,
}

impl Show for Compare {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let axes = self.axes();
        let picture = |exhibit: &Exhibit| Picture {
            name: exhibit.name.clone(),
            url: jpeg_url(&exhibit.view.raster(), QUALITY),
            alt: if axes.is_empty() { exhibit.name.clone() } else { format!("{}; {axes}", exhibit.name) },
            player: exhibit.player.as_ref().map(Player::html),
        };
        let [before, after] = &self.exhibits;
        let content = Content {
            title: format!("{} and {}", before.name, after.name),
            pictures: self.exhibits.iter().map(picture).collect(),
            axes: axes.clone(),
        };
        let has_players = self.exhibits.iter().any(|exhibit| exhibit.player.is_some());
        let has_pictures = self.exhibits.iter().any(|exhibit| exhibit.view.map().is_none());
        let height = if has_pictures { HEIGHT } else { HEIGHT - (MAX_SIDE - MAP_SIZE.1) as u32 };
        let page = ScriptPage {
            title: &content.title,
            style: include_str!("page/tools.css"),
            body: include_str!("page/compare.html"),
            script: include_str!("page/compare.js"),
            height: height + if has_players { PLAYERS_HEIGHT } else { 0 },
        };
        let panels = self.exhibits.iter().map(|exhibit| exhibit.view.panel(&exhibit.name));
        let still = Figure::new(self.text()).width(if axes.is_empty() { 500.0 } else { 720.0 }).row(panels);
        vec![page.bundle(&content, &still, &self.text())]
    }
}

impl std::fmt::Debug for Compare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Compare({})", self.text())
    }
}

crate::show_in_notebooks!(Compare);

/// A picture with at most `side` pixels on a side.
pub(crate) fn shrunk(picture: &Raster, side: usize) -> Raster {
    let longest = picture.width().max(picture.height());
    if picture.problem().is_some() || longest <= side {
        return picture.clone();
    }
    let scaled = |length: usize| (length * side).div_ceil(longest).max(1);
    picture.resized(scaled(picture.width()), scaled(picture.height()))
}

#[cfg(test)]
mod tests {
    use super::Compare;
    use crate::stimulus::{Image, Sound};

    #[test]
    fn sounds_are_drawn_on_the_same_axes() {
        let short = Sound::tone(8_000, 0.5, 440.0, 0.1).unwrap();
        let long = Sound::tone(16_000, 1.0, 440.0, 0.1).unwrap();
        let compare = Compare::new(&short, &long);
        let [a, b] = compare.exhibits.each_ref().map(|exhibit| exhibit.view.raster());
        assert_eq!((a.width(), a.height()), (b.width(), b.height()));
        // The first tone ends in the middle: to the right of it, and above 4 kHz, all is grey.
        let pixel = |x: usize, y: usize| a.rgb()[3 * (y * a.width() + x)..][..3].to_vec();
        let (right, bottom) = (a.width() - 2, a.height() - 2);
        assert_eq!(pixel(right, bottom), pixel(2, 2));
        assert_ne!(pixel(2, bottom), pixel(2, 2));
        assert_eq!(compare.axes(), "time (s) to the right, 0 to 1; frequency (kHz) upwards, 0 to 8; grey: no value");
        assert_eq!(Compare::new(&long, &long).axes(), "time (s) to the right, 0 to 1; frequency (kHz) upwards, 0 to 8");
    }

    #[test]
    fn sounds_keep_their_relative_levels() {
        let [loud, quiet] = [0.45, 0.09].map(|amplitude| Sound::tone(8_000, 0.1, 440.0, amplitude).unwrap());
        for compare in [Compare::new(&loud, &quiet), Compare::new(&quiet, &loud)] {
            for player in compare.exhibits.map(|exhibit| exhibit.player.unwrap().html()) {
                assert!(player.contains("played +6.0 dB"), "{}", &player[..300]);
            }
        }
    }

    #[test]
    fn images_have_no_axes() {
        let image = Image::from_planes("x", 2, 1, vec![0.0; 6]).unwrap();
        assert_eq!(Compare::new(&image, &image).axes(), "");
    }
}
