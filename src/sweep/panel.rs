//! The panel: a grid of images, stimulus by stage, each with its verdict's symbol and signal-to-noise ratio.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::PoisonError;

use super::results::SweepResults;
use super::row::Row;
use super::sources::is_stimulus;
use crate::display::{Figure, MimeBundle, Panel, Raster, Show};
use crate::similarity::WELL_MATCHED_DB;
use crate::{Error, Result};

/// Maximum number of columns that are legible at a notebook's width, including the originals.
const MAX_COLUMNS: usize = 9;
/// Maximum number of stimuli in a panel.
const MAX_STIMULI: usize = 12;
/// Maximum number of rows in the text form.
const MAX_LINES: usize = 100;
/// Width of a column including the gap, in CSS pixels, in panels of few columns.
const COLUMN_WIDTH: f64 = 140.0;
/// Marks the signal-to-noise ratio of a well-matched stage.
const WELL_MATCHED_MARK: &str = "●";
/// Grey value of the placeholder of a missing metamer, or of an original that cannot be opened.
const MISSING_GREY: u8 = 0xf3;
/// Grey value of an empty cell.
const EMPTY_GREY: u8 = 0xff;

/// Width of a panel of the original and `stages` stages, in CSS pixels.
fn panel_width(stages: usize) -> f64 {
    ((stages + 1) as f64 * COLUMN_WIDTH).min(900.0)
}

/// Width of a column without the gap, in CSS pixels.
fn column_width(stages: usize) -> usize {
    // A figure has margins of 10 and gaps of 24.
    ((panel_width(stages) - 20.0 - 24.0 * stages as f64) / (stages + 1) as f64) as usize
}

/// Shrinks an image to the width of its column: noise does not compress, and the notebook stores the file.
fn shrink(picture: Raster, stages: usize) -> Raster {
    let column = column_width(stages);
    match picture.width() > column {
        true => picture.resized(column, (picture.height() * column).div_ceil(picture.width())),
        false => picture,
    }
}

/// The symbol of a verdict, its colour and meaning.
pub(super) struct Mark {
    pub symbol: char,
    color: [u8; 3],
    pub meaning: String,
}

pub(super) fn mark(row: &Row) -> Mark {
    const GREY: [u8; 3] = [0x55; 3];
    match (&row.error, row.outcome) {
        (Some(_), _) => Mark { symbol: '!', color: GREY, meaning: "no metamer; see the table".into() },
        (None, Some(outcome)) => Mark {
            symbol: outcome.symbol().chars().next().unwrap_or('?'),
            color: rgb(outcome.color()),
            meaning: outcome.to_string(),
        },
        (None, None) => Mark { symbol: '–', color: GREY, meaning: "not judged: no null distribution".into() },
    }
}

/// The bytes of `#rrggbb`.
fn rgb(html: &str) -> [u8; 3] {
    let byte = |from: usize| html.get(from..from + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    [1, 3, 5].map(|from| byte(from).unwrap_or_default())
}

/// The signal-to-noise ratio, followed by the metamer's class if it differs from the original's.
pub(super) fn caption(row: &Row) -> String {
    let snr = match row.snr_db() {
        Some(snr) if snr >= WELL_MATCHED_DB => format!("{snr:.1} dB {WELL_MATCHED_MARK}"),
        Some(snr) => format!("{snr:.1} dB").replace('-', "−"),
        None => "no SNR".into(),
    };
    match (&row.metamer_class, row.same_class) {
        (Some(class), Some(false)) => format!("{snr}\n{class}"),
        _ => snr,
    }
}

impl SweepResults {
    /// The panel of one network, by its index in the sweep, and one seed: a row for each stimulus and a column for each stage.
    ///
    /// It has at most twelve stimuli, and wraps many stages into several bands. An original that cannot be opened is grey.
    ///
    /// # Errors
    /// Fails for a network or seed that is not in the sweep.
    pub fn panel(&self, network: usize, seed: u64) -> Result<Figure> {
        let manifest = &self.job.manifest;
        let Some(entry) = manifest.networks.get(network) else {
            let reason = format!("index {network} is out of range for {} networks", manifest.networks.len());
            return Err(Error::invalid("network", reason));
        };
        if !manifest.seeds.contains(&seed) {
            return Err(Error::invalid("seed", format!("{seed} is not in the sweep, which has {:?}", manifest.seeds)));
        }
        // Bands of about equal length, each starting with the originals.
        let stages = entry.stages.len();
        let band = stages.div_ceil(stages.div_ceil(MAX_COLUMNS - 1));
        let shown = &entry.stimuli[..entry.stimuli.len().min(MAX_STIMULI)];
        let seed_suffix = if manifest.seeds.len() > 1 { format!(", seed {seed}") } else { String::new() };
        let mut figure = Figure::new(self.alt(network, seed, shown))
            .title(format!("Metamers at stages of {}{seed_suffix}", entry.name))
            .width(panel_width(band));
        for first in (0..stages).step_by(band) {
            for (line, &stimulus) in shown.iter().enumerate() {
                let mut panels =
                    self.line((network, stimulus, seed), first..(first + band).min(stages), band, line == 0);
                // Empty cells keep the panels of a short band at the common size.
                if let Some(&Cell(_, size)) = panels.last() {
                    panels.resize(band + 1, Cell::blank(size, EMPTY_GREY));
                }
                figure.push(panels.into_iter().map(|panel| panel.0));
            }
        }
        Ok(figure.row([Panel::text("", self.legend(network, seed, shown))]))
    }

    /// A stimulus and its metamers at a range of stages.
    fn line(
        &self,
        (network, stimulus, seed): (usize, usize, u64),
        stages: Range<usize>,
        band: usize,
        titled: bool,
    ) -> Vec<Cell> {
        let (manifest, title) = (&self.job.manifest, |text: &str| if titled { text.to_owned() } else { String::new() });
        let tasks = manifest.tasks_at(network, stimulus, seed).unwrap_or_default();
        let (name, side) = (short_name(&manifest.stimuli[stimulus].name), column_width(band));
        let (original, name) = match self.original(network, stimulus, tasks.clone()) {
            Ok(picture) => (shrink(picture, band), name),
            // The file is damaged or gone; the other rows are still worth a panel.
            Err(_) => (grey((side, side), MISSING_GREY), format!("{name}\ncannot be opened")),
        };
        let size = (original.width(), original.height());
        let mut cells = vec![Cell(Panel::picture(title("original"), original).caption(name), size)];
        for stage in stages {
            let (title, task) = (title(&manifest.networks[network].stages[stage]), tasks.start + stage);
            let panel = match self.rows.get(&task) {
                Some(row) => {
                    let picture = self
                        .thumbnails(task)
                        .map_or_else(|| grey(size, MISSING_GREY), |[_, metamer]| shrink(metamer, band));
                    let Mark { symbol, color, .. } = mark(row);
                    Panel::picture(title, picture).caption(caption(row)).mark(symbol, color)
                }
                None => Panel::picture(title, grey(size, MISSING_GREY)).caption("missing"),
            };
            cells.push(Cell(panel, size));
        }
        cells
    }

    /// The rows in a panel.
    fn shown(&self, network: usize, seed: u64, stimuli: &[usize]) -> impl Iterator<Item = &Row> {
        let manifest = &self.job.manifest;
        let tasks = stimuli.iter().filter_map(move |&stimulus| manifest.tasks_at(network, stimulus, seed)).flatten();
        tasks.filter_map(|task| self.rows.get(&task)).collect::<Vec<_>>().into_iter()
    }

    fn legend(&self, network: usize, seed: u64, shown: &[usize]) -> String {
        let marks: BTreeSet<String> = self
            .shown(network, seed, shown)
            .map(mark)
            .map(|mark| format!("{} {}", mark.symbol, mark.meaning))
            .collect();
        let mut legend: Vec<String> = marks.into_iter().collect();
        legend.push(format!("{WELL_MATCHED_MARK} {WELL_MATCHED_DB:.0} dB or more is well matched"));
        let all = self.job.manifest.networks[network].stimuli.len();
        if shown.len() < all {
            legend.push(format!("the first {} of {all} stimuli", shown.len()));
        }
        legend.join(" · ")
    }

    fn alt(&self, network: usize, seed: u64, shown: &[usize]) -> String {
        let cells = self.shown(network, seed, shown).map(|row| {
            let (Mark { meaning, .. }, caption) = (mark(row), caption(row).replace('\n', ", "));
            format!("{} at {}: {meaning}, {caption}", short_name(&row.stimulus), row.stage)
        });
        let cells: Vec<String> = cells.collect();
        format!(
            "Metamers at stages of {}, seed {seed}. {}.",
            self.job.manifest.networks[network].name,
            cells.join("; ")
        )
    }

    /// The thumbnail of the original, from a finished task or prepared here as tasks do.
    fn original(&self, network: usize, stimulus: usize, mut tasks: Range<usize>) -> Result<Raster> {
        if let Some([original, _]) = tasks.find_map(|task| self.thumbnails(task)) {
            return Ok(original);
        }
        let entry = &self.job.manifest.stimuli[stimulus];
        let network = self.job.sources.network(network)?;
        let own = entry.prepared_for(&network, self.job.sources.stimulus(stimulus, entry)?)?;
        let own = network.prepare(own)?;
        Ok(network.thumbnail(&own, &own))
    }

    pub(super) fn thumbnails(&self, task: usize) -> Option<[Raster; 2]> {
        let known = || self.thumbnails.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.rows.contains_key(&task) {
            return None;
        }
        if let Some(pictures) = known().get(&task) {
            return pictures.clone();
        }
        let pictures = self.metamer(task).ok().map(|metamer| metamer.thumbnails());
        known().insert(task, pictures.clone());
        pictures
    }

    fn text(&self) -> String {
        let mut lines = vec![self.summary()];
        for row in self.rows.values().take(MAX_LINES) {
            let (Mark { symbol, meaning, .. }, cell) = (mark(row), caption(row).replace('\n', ", "));
            let Row { stimulus, stage, network, seed, .. } = row;
            lines.push(format!("  {stimulus} at {stage} of {network}, seed {seed}: {symbol} {cell} ({meaning})"));
        }
        if self.rows.len() > MAX_LINES {
            lines.push(format!("  and {} more", self.rows.len() - MAX_LINES));
        }
        lines.join("\n")
    }
}

/// A panel and the size of its image in pixels.
#[derive(Clone)]
struct Cell(Panel, (usize, usize));

impl Cell {
    fn blank(size: (usize, usize), value: u8) -> Self {
        Self(Panel::picture("", grey(size, value)), size)
    }
}

fn grey((width, height): (usize, usize), value: u8) -> Raster {
    Raster::from_rgb(width, height, vec![value; 3 * width * height])
}

/// A file's name without folder and extension; other names stay unchanged.
pub(super) fn short_name(name: &str) -> String {
    if is_stimulus(name) { crate::fs::extension::stimulus_name(name.as_ref()) } else { name.into() }
}

impl Show for SweepResults {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let first = self.job.manifest.seeds.first().copied().unwrap_or_default();
        let panel = |network: usize| match self.panel(network, first) {
            // The text covers all networks, so only the first panel has it.
            Ok(figure) => figure.bundle(if network == 0 { self.text() } else { String::new() }),
            Err(e) => MimeBundle::text(format!("{}\nno panel: {e}", self.text())),
        };
        (0..self.job.manifest.networks.len()).map(panel).collect()
    }
}
