//! The panel: pictures, stimulus by stage, each with the mark of its verdict and its signal-to-noise ratio.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::PoisonError;

use super::results::SweepResults;
use super::row::Row;
use super::sources::is_stimulus;
use crate::display::{Figure, MimeBundle, Panel, Raster, Show};
use crate::verdict::WELL_MATCHED_DB;
use crate::{Error, Result};

/// The most columns that are legible at a notebook's width, the originals' counted.
const COLUMNS: usize = 9;
/// A panel with more stimuli is too long to look at, and a text with more lines to read.
const STIMULI: usize = 12;
const LINES: usize = 100;
/// The width of a column in CSS pixels where there are few, with the gap.
const COLUMN: f64 = 140.0;
/// What stands beside the ratio of a stage that is well matched.
const MARK: &str = "●";
/// Grey values of a picture that is not made yet, and of none.
const NOT_YET: u8 = 0xf3;
const NONE: u8 = 0xff;

/// The width of a panel of so many stages beside the original, in CSS pixels.
fn page(stages: usize) -> f64 {
    ((stages + 1) as f64 * COLUMN).min(900.0)
}

/// A picture of no more pixels than its column has CSS pixels: noise does not get smaller in a file, and a notebook carries it.
fn shrunk(picture: Raster, stages: usize) -> Raster {
    // As in a figure: margins of 10, gaps of 24.
    let column = ((page(stages) - 20.0 - 24.0 * stages as f64) / (stages + 1) as f64) as usize;
    match picture.width() > column {
        true => picture.resized(column, (picture.height() * column).div_ceil(picture.width())),
        false => picture,
    }
}

/// A sign, its colour, and what it means.
struct Mark {
    sign: char,
    color: [u8; 3],
    means: String,
}

fn mark(row: &Row) -> Mark {
    const GREY: [u8; 3] = [0x55; 3];
    match (&row.error, row.outcome) {
        (Some(_), _) => Mark { sign: '!', color: GREY, means: "no metamer: the table says why".into() },
        (None, Some(outcome)) => Mark {
            sign: outcome.mark().chars().next().unwrap_or('?'),
            color: rgb(outcome.color()),
            means: outcome.to_string(),
        },
        (None, None) => Mark { sign: '–', color: GREY, means: "not judged: no null distribution".into() },
    }
}

/// The bytes of `#rrggbb`.
fn rgb(html: &str) -> [u8; 3] {
    let byte = |from: usize| html.get(from..from + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    [1, 3, 5].map(|from| byte(from).unwrap_or_default())
}

/// How good the match is, and below that the metamer's class where it is another.
fn caption(row: &Row) -> String {
    let snr = match row.snr_db() {
        Some(snr) if snr >= WELL_MATCHED_DB => format!("{snr:.1} dB {MARK}"),
        Some(snr) => format!("{snr:.1} dB").replace('-', "−"),
        None => "no SNR".into(),
    };
    match (&row.metamer_class, row.same_class) {
        (Some(class), Some(false)) => format!("{snr}\n{class}"),
        _ => snr,
    }
}

impl SweepResults {
    /// The panel of one network, by its number in the sweep, and one seed: a row for each stimulus, a column for each stage. Of many
    /// stimuli the first twelve; many stages are several bands.
    ///
    /// # Errors
    /// A network or a seed that the sweep does not have, and a stimulus that cannot be read.
    pub fn panel(&self, network: usize, seed: u64) -> Result<Figure> {
        let study = &self.job.study;
        let Some(subject) = study.networks.get(network) else {
            let reason = format!("there are {}, counted from 0, not {network}", study.networks.len());
            return Err(Error::invalid("network", reason));
        };
        if !study.seeds.contains(&seed) {
            return Err(Error::invalid("seed", format!("the sweep has {:?}, not {seed}", study.seeds)));
        }
        // Bands of about equal length, each begun by the originals.
        let stages = subject.stages.len();
        let wide = stages.div_ceil(stages.div_ceil(COLUMNS - 1));
        let shown = &subject.stimuli[..subject.stimuli.len().min(STIMULI)];
        let of_seed = if study.seeds.len() > 1 { format!(", seed {seed}") } else { String::new() };
        let mut figure = Figure::new(self.alt(network, seed, shown))
            .title(format!("Metamers at stages of {}{of_seed}", subject.name))
            .width(page(wide));
        for first in (0..stages).step_by(wide) {
            for (line, &stimulus) in shown.iter().enumerate() {
                let mut panels =
                    self.line((network, stimulus, seed), first..(first + wide).min(stages), wide, line == 0)?;
                // Fewer panels would be larger ones.
                if let Some(last) = panels.last().cloned() {
                    panels.resize(wide + 1, last.blank(NONE));
                }
                figure.push(panels.into_iter().map(|panel| panel.0));
            }
        }
        Ok(figure.row([Panel::text("", self.legend(network, seed, shown))]))
    }

    /// A stimulus and its metamers at some stages.
    fn line(
        &self,
        (network, stimulus, seed): (usize, usize, u64),
        stages: Range<usize>,
        wide: usize,
        titled: bool,
    ) -> Result<Vec<Cell>> {
        let (study, title) = (&self.job.study, |text: &str| if titled { text.to_owned() } else { String::new() });
        let tasks = study.row_of(network, stimulus, seed).unwrap_or_default();
        let original = shrunk(self.original(network, stimulus, tasks.clone())?, wide);
        let size = (original.width(), original.height());
        let name = short(&study.stimuli[stimulus].name);
        let mut cells = vec![Cell(Panel::picture(title("original"), original).caption(name), size)];
        for stage in stages {
            let (title, task) = (title(&study.networks[network].stages[stage]), tasks.start + stage);
            let panel = match self.rows.get(&task) {
                Some(row) => {
                    let picture =
                        self.thumbnails(task).map_or_else(|| grey(size, NOT_YET), |[_, metamer]| shrunk(metamer, wide));
                    let Mark { sign, color, .. } = mark(row);
                    Panel::picture(title, picture).caption(caption(row)).mark(sign, color)
                }
                None => Panel::picture(title, grey(size, NOT_YET)).caption("not yet made"),
            };
            cells.push(Cell(panel, size));
        }
        Ok(cells)
    }

    /// The rows that a panel shows.
    fn shown(&self, network: usize, seed: u64, stimuli: &[usize]) -> impl Iterator<Item = &Row> {
        let study = &self.job.study;
        let tasks = stimuli.iter().filter_map(move |&stimulus| study.row_of(network, stimulus, seed)).flatten();
        tasks.filter_map(|task| self.rows.get(&task)).collect::<Vec<_>>().into_iter()
    }

    fn legend(&self, network: usize, seed: u64, shown: &[usize]) -> String {
        let marks: BTreeSet<String> =
            self.shown(network, seed, shown).map(mark).map(|mark| format!("{} {}", mark.sign, mark.means)).collect();
        let mut legend: Vec<String> = marks.into_iter().collect();
        legend.push(format!("{MARK} {WELL_MATCHED_DB:.0} dB or more: well matched"));
        let all = self.job.study.networks[network].stimuli.len();
        if shown.len() < all {
            legend.push(format!("the first {} of {all} stimuli", shown.len()));
        }
        legend.join(" · ")
    }

    fn alt(&self, network: usize, seed: u64, shown: &[usize]) -> String {
        let cells = self.shown(network, seed, shown).map(|row| {
            let (Mark { means, .. }, caption) = (mark(row), caption(row).replace('\n', ", "));
            format!("{} at {}: {means}, {caption}", short(&row.stimulus), row.stage)
        });
        let cells: Vec<String> = cells.collect();
        format!("Metamers at stages of {}, seed {seed}. {}.", self.job.study.networks[network].name, cells.join("; "))
    }

    /// The original as its network saw it; as it is while no task of it is finished.
    fn original(&self, network: usize, stimulus: usize, mut tasks: Range<usize>) -> Result<Raster> {
        if let Some([original, _]) = tasks.find_map(|task| self.thumbnails(task)) {
            return Ok(original);
        }
        let item = &self.job.study.stimuli[stimulus];
        let network = self.job.sources.network(network)?;
        let prepared = network.prepare(self.job.sources.stimulus(stimulus, item)?)?;
        Ok(crate::synthesis::thumbnail(&prepared, &network))
    }

    fn thumbnails(&self, task: usize) -> Option<[Raster; 2]> {
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

    fn words(&self) -> String {
        let mut lines = vec![self.summary()];
        for row in self.rows.values().take(LINES) {
            let (Mark { sign, means, .. }, cell) = (mark(row), caption(row).replace('\n', ", "));
            let Row { stimulus, stage, network, seed, .. } = row;
            lines.push(format!("  {stimulus} at {stage} of {network}, seed {seed}: {sign} {cell} ({means})"));
        }
        if self.rows.len() > LINES {
            lines.push(format!("  and {} more", self.rows.len() - LINES));
        }
        lines.join("\n")
    }
}

/// A panel and the size of its picture in pixels.
#[derive(Clone)]
struct Cell(Panel, (usize, usize));

impl Cell {
    fn blank(self, value: u8) -> Self {
        Self(Panel::picture("", grey(self.1, value)), self.1)
    }
}

fn grey((width, height): (usize, usize), value: u8) -> Raster {
    Raster::from_rgb(width, height, vec![value; 3 * width * height])
}

/// A file's name without folder and ending; what is no file keeps its name.
fn short(name: &str) -> String {
    if is_stimulus(name) { crate::fs::extension::stimulus_name(name.as_ref()) } else { name.into() }
}

impl Show for SweepResults {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let first = self.job.study.seeds.first().copied().unwrap_or_default();
        let panel = |network: usize| match self.panel(network, first) {
            // The text tells of all networks, so it is said once.
            Ok(figure) => figure.bundle(if network == 0 { self.words() } else { String::new() }),
            Err(e) => MimeBundle::text(format!("{}\nno panel: {e}", self.words())),
        };
        (0..self.job.study.networks.len()).map(panel).collect()
    }
}
