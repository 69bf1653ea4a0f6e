//! The results of a sweep as a tool: buttons for the stimuli, a slider over the stages.

use serde::{Serialize, Serializer};

use super::panel::{caption, mark, short_name};
use super::results::SweepResults;
use crate::display::script_page::{ScriptPage, jpeg_url};
use crate::display::widgets::shrunk;
use crate::display::{Figure, MimeBundle, Panel, Player, Show};
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// The largest side of a picture, in pixels.
const MAX_SIDE: usize = 144;
/// Quality of the pictures as JPEG, of 100: a sweep has many, and the notebook holds them all.
const QUALITY: u8 = 60;
/// Height of the frame, in CSS pixels.
const HEIGHT: u32 = 470;
/// The additional height of players, in CSS pixels.
const PLAYERS_HEIGHT: u32 = 130;

/// The metamers of a sweep, one at a time, made by [`SweepResults::explorer`].
///
/// It needs no kernel: it also works in an exported page and after the kernel has ended.
#[derive(Clone)]
pub struct SweepExplorer {
    content: Content,
    still: Figure,
    text: String,
}

#[derive(Clone, Serialize)]
struct Content {
    title: String,
    stages: Vec<String>,
    stimuli: Vec<Entry>,
}

#[derive(Clone, Serialize)]
struct Entry {
    name: String,
    original: Shown,
    /// One for each stage; `None` without a metamer.
    metamers: Vec<Option<Shown>>,
}

#[derive(Clone, Serialize)]
struct Shown {
    url: String,
    caption: String,
    #[serde(serialize_with = "as_html")]
    player: Option<Player>,
}

fn as_html<S: Serializer>(player: &Option<Player>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    player.as_ref().map(Player::html).serialize(serializer)
}

impl SweepResults {
    /// A tool to look through the metamers of the first network and the first seed: a button for each stimulus and a slider over the
    /// stages; sounds have players, in which the metamers keep their levels relative to the original.
    ///
    /// Pictures have at most 144 pixels on a side and are compressed as JPEG, to keep notebooks small; [`SweepResults::metamer`] has the
    /// exact ones. Each sound of two seconds adds about 0.1 MB.
    ///
    /// # Errors
    /// When no task has a metamer, and for a file that cannot be read.
    pub fn explorer(&self) -> Result<SweepExplorer> {
        let manifest = &self.job.manifest;
        let seed = manifest.seeds.first().copied().unwrap_or_default();
        let entry = manifest.networks.first().ok_or_else(|| Error::invalid("sweep", "has no network"))?;
        let mut stimuli = Vec::new();
        for &stimulus in &entry.stimuli {
            let tasks = manifest.tasks_at(0, stimulus, seed).unwrap_or_default();
            let mut found = tasks.map(|task| self.pair(task)).collect::<Result<Vec<_>>>()?;
            // The original has one player for all stages.
            let shown = found.iter_mut().flatten().flat_map(|(original, metamer)| [original, metamer]);
            Player::share_gain(shown.filter_map(|shown| shown.player.as_mut()));
            let Some(original) = found.iter().flatten().next().map(|(original, _)| original.clone()) else { continue };
            stimuli.push(Entry {
                name: short_name(&manifest.stimuli[stimulus].name),
                original,
                metamers: found.into_iter().map(|pair| pair.map(|(_, metamer)| metamer)).collect(),
            });
        }
        if stimuli.is_empty() {
            return Err(Error::invalid("sweep", "no task has a metamer yet; run it, or look at its table"));
        }
        let text = format!(
            "Metamers of {}: {} at the stages {}",
            entry.name,
            stimuli.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>().join(", "),
            entry.stages.join(", ")
        );
        let content = Content { title: format!("Metamers of {}", entry.name), stages: entry.stages.clone(), stimuli };
        Ok(SweepExplorer { still: self.still(&text)?, content, text })
    }

    /// The original and the metamer of a task; `None` without a metamer.
    fn pair(&self, task: usize) -> Result<Option<(Shown, Shown)>> {
        let (Some(row), Some([original, picture])) = (self.rows.get(&task), self.thumbnails(task)) else {
            return Ok(None);
        };
        let metamer = self.metamer(task)?;
        let player = |stimulus: &Stimulus, name: &str| Some(stimulus.sound().ok()?.player_named(name));
        let class = row.original_class.clone().unwrap_or_default();
        let outcome = mark(row);
        let before = Shown {
            url: jpeg_url(&shrunk(&original, MAX_SIDE), QUALITY),
            caption: if class.is_empty() { String::new() } else { format!("network: {class}") },
            player: player(metamer.original(), "original"),
        };
        let after = Shown {
            url: jpeg_url(&shrunk(&picture, MAX_SIDE), QUALITY),
            caption: format!("{} {}\n{}", outcome.symbol, outcome.meaning, caption(row)),
            player: player(metamer.stimulus(), "metamer"),
        };
        Ok(Some((before, after)))
    }

    /// The first metamer beside its original.
    fn still(&self, alt: &str) -> Result<Figure> {
        let first = self.rows.iter().find_map(|(task, row)| Some((row, self.thumbnails(*task)?)));
        let Some((row, pictures)) = first else { return Ok(Figure::new(alt)) };
        let titles = [short_name(&row.stimulus), format!("metamer at {}", row.stage)];
        let panels = titles.into_iter().zip(pictures).map(|(title, p)| Panel::picture(title, shrunk(&p, MAX_SIDE)));
        Ok(Figure::new(alt).width(500.0).row(panels))
    }
}

impl Show for SweepExplorer {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let has_players = self.content.stimuli.iter().any(|entry| entry.original.player.is_some());
        let page = ScriptPage {
            title: &self.content.title,
            style: include_str!("../display/widgets/page/tools.css"),
            body: include_str!("page/explorer.html"),
            script: include_str!("page/explorer.js"),
            height: HEIGHT + if has_players { PLAYERS_HEIGHT } else { 0 },
        };
        vec![page.bundle(&self.content, &self.still, &self.text)]
    }
}

impl std::fmt::Debug for SweepExplorer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SweepExplorer({})", self.text)
    }
}

crate::show_in_notebooks!(SweepExplorer);
