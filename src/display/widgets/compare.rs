//! Two stimuli at the same place, compared by swiping and flickering.

use serde::Serialize;

use crate::display::script_page::{ScriptPage, jpeg_url};
use crate::display::{Figure, MimeBundle, Panel, Player, Raster, Show};

/// The largest side of a picture in the page, in pixels.
const MAX_SIDE: usize = 360;
/// The largest side of a picture in the still form, in pixels.
const STILL_SIDE: usize = 112;
/// Quality of the pictures as JPEG, of 100.
const QUALITY: u8 = 85;
/// Height of the frame, in CSS pixels.
const HEIGHT: u32 = 510;
/// The additional height of players, in CSS pixels.
const PLAYERS_HEIGHT: u32 = 170;

/// A stimulus as [`Compare`] shows it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Exhibit {
    name: String,
    picture: Raster,
    player: Option<Player>,
}

impl Exhibit {
    /// A picture with a name.
    pub fn new(name: impl Into<String>, picture: Raster) -> Self {
        Self { name: name.into(), picture, player: None }
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
/// Sounds are compared by their cochleagrams or spectrograms, with players. The tool needs no kernel: it also works in an exported page and
/// after the kernel has ended. Its pictures have at most 360 pixels on a side and are compressed as JPEG.
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
        let (mut before, after) = (first.exhibit(), second.exhibit());
        // A sound beside its metamer is drawn as the network hears it, like the metamer.
        if let (Some(_), Some(original)) = (&before.player, second.original()) {
            before.picture = original.picture;
        }
        Self { exhibits: [before, after] }
    }

    fn text(&self) -> String {
        let [before, after] = &self.exhibits;
        format!("{} and {}, at the same place", before.name, after.name)
    }
}

#[derive(Serialize)]
struct Content {
    title: String,
    pictures: Vec<Picture>,
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
        let picture = |exhibit: &Exhibit| Picture {
            name: exhibit.name.clone(),
            url: jpeg_url(&shrunk(&exhibit.picture, MAX_SIDE), QUALITY),
            alt: exhibit.name.clone(),
            player: exhibit.player.as_ref().map(Player::html),
        };
        let [before, after] = &self.exhibits;
        let content = Content {
            title: format!("{} and {}", before.name, after.name),
            pictures: self.exhibits.iter().map(picture).collect(),
        };
        let has_players = self.exhibits.iter().any(|exhibit| exhibit.player.is_some());
        let page = ScriptPage {
            title: &content.title,
            style: include_str!("page/tools.css"),
            body: include_str!("page/compare.html"),
            script: include_str!("page/compare.js"),
            height: HEIGHT + if has_players { PLAYERS_HEIGHT } else { 0 },
        };
        let panels = self.exhibits.iter().map(|e| Panel::picture(&e.name, shrunk(&e.picture, STILL_SIDE)));
        let still = Figure::new(self.text()).width(500.0).row(panels);
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
