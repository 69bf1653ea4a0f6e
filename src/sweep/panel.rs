//! The panel: pictures, stimulus by stage, each with a mark and its signal-to-noise ratio.

use std::sync::PoisonError;

use super::results::SweepResults;
use super::row::Row;
use crate::display::{Bundle, Figure, Panel, Raster, Show};
use crate::{Error, Result};

/// The most columns that are legible at a notebook's width, the originals' counted.
const COLUMNS: usize = 9;
/// A panel with more stimuli is too long to look at.
const STIMULI: usize = 12;
/// The width of a column in CSS pixels where there are few, with the gap.
const COLUMN: f64 = 140.0;
/// From this ratio on a match is good, in dB.
const GOOD_MATCH: f64 = 20.0;
/// Where a picture is not yet made.
const GREY: u8 = 0xf3;

/// A sign, its colour, and what it means. The colours are Okabe and Ito's.
#[derive(Clone, Copy, PartialEq)]
struct Mark {
    sign: char,
    color: [u8; 3],
    means: &'static str,
}

const GOOD: Mark = Mark { sign: '✓', color: [0x00, 0x9e, 0x73], means: "same class, 20 dB or more" };
const UNCLEAR: Mark = Mark { sign: '△', color: [0xe6, 0x9f, 0x00], means: "same class, below 20 dB" };
const WRONG: Mark = Mark { sign: '✗', color: [0xd5, 0x5e, 0x00], means: "another class" };
const FAILED: Mark = Mark { sign: '!', color: [0x55, 0x55, 0x55], means: "no metamer: see the table" };

fn mark(row: &Row) -> Mark {
    match (&row.error, row.same_class, row.snr_db()) {
        (Some(_), ..) => FAILED,
        (None, Some(false), _) => WRONG,
        (None, _, Some(snr)) if snr >= GOOD_MATCH => GOOD,
        _ => UNCLEAR,
    }
}

fn caption(row: &Row) -> String {
    let snr = row.snr_db().map_or("no SNR".into(), |snr| format!("{snr:.1} dB"));
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
    /// A network or a seed that the sweep does not have, and a result that cannot be read.
    pub fn panel(&self, network: usize, seed: u64) -> Result<Figure> {
        let study = &self.job.study;
        let Some(subject) = study.networks.get(network) else {
            return Err(Error::invalid(
                "network",
                format!("there are {}, counted from 0, not {network}", study.networks.len()),
            ));
        };
        if !study.seeds.contains(&seed) {
            return Err(Error::invalid("seed", format!("the sweep has {:?}, not {seed}", study.seeds)));
        }
        // Bands of about equal length, each begun by the originals.
        let bands = subject.stages.len().div_ceil(COLUMNS - 1);
        let columns = subject.stages.len().div_ceil(bands) + 1;
        let shown = &subject.stimuli[..subject.stimuli.len().min(STIMULI)];
        let title = format!("Metamers at stages of {}", subject.name);
        let mut figure = Figure::new(self.alt(network, seed)).title(title).width((columns as f64 * COLUMN).min(900.0));
        let mut marks: Vec<Mark> = vec![];
        for first in (0..subject.stages.len()).step_by(columns - 1) {
            let band = first..(first + columns - 1).min(subject.stages.len());
            for (line, &stimulus) in shown.iter().enumerate() {
                let tasks = study.row_of(network, stimulus, seed).unwrap_or_default();
                let original = self.original(network, stimulus, tasks.clone())?;
                let blank = |grey| {
                    let (width, height) = (original.width(), original.height());
                    Raster::from_rgb(width, height, vec![grey; 3 * width * height])
                };
                let heading = |text: &str| if line == 0 { text.to_owned() } else { String::new() };
                let mut panels = vec![
                    Panel::picture(heading("original"), original.clone()).caption(short(&study.stimuli[stimulus].name)),
                ];
                for stage in band.clone() {
                    let heading = heading(&subject.stages[stage]);
                    let task = tasks.start + stage;
                    let Some(row) = self.rows.get(&task) else {
                        panels.push(Panel::picture(heading, blank(GREY)).caption("not yet made"));
                        continue;
                    };
                    let picture = self.thumbnails(task)?.map_or_else(|| blank(GREY), |[_, metamer]| metamer);
                    let mark = mark(row);
                    if !marks.contains(&mark) {
                        marks.push(mark);
                    }
                    panels.push(Panel::picture(heading, picture).caption(caption(row)).mark(mark.sign, mark.color));
                }
                // Fewer panels would be larger ones.
                panels.resize_with(columns, || Panel::picture("", blank(0xff)));
                figure.push(panels);
            }
        }
        let mut legend: Vec<String> = marks.iter().map(|mark| format!("{} {}", mark.sign, mark.means)).collect();
        if shown.len() < subject.stimuli.len() {
            legend.push(format!("the first {} of {} stimuli", shown.len(), subject.stimuli.len()));
        }
        Ok(figure.row([Panel::text("", legend.join(" · "))]))
    }

    fn alt(&self, network: usize, seed: u64) -> String {
        let subject = &self.job.study.networks[network];
        let rows = self.rows.values().filter(|row| row.network == subject.name && row.seed == seed);
        let cells = rows.map(|row| {
            let Mark { sign, means, .. } = mark(row);
            format!("{} at {}: {sign} {means}, {}", short(&row.stimulus), row.stage, caption(row).replace('\n', ", "))
        });
        let cells: Vec<String> = cells.collect();
        format!("Metamers at stages of {}, seed {seed}. {}.", subject.name, cells.join("; "))
    }

    /// The original as its network saw it; as it is while no task of it is finished.
    fn original(&self, network: usize, stimulus: usize, mut tasks: std::ops::Range<usize>) -> Result<Raster> {
        if let Some(task) = tasks.find(|task| self.rows.contains_key(task))
            && let Some([original, _]) = self.thumbnails(task)?
        {
            return Ok(original);
        }
        let item = &self.job.study.stimuli[stimulus];
        let network = self.job.sources.network(network)?;
        let prepared = network.prepare(self.job.sources.stimulus(stimulus, item)?)?;
        Ok(crate::synthesis::thumbnail(&prepared, &network))
    }

    fn thumbnails(&self, task: usize) -> Result<Option<[Raster; 2]>> {
        let known = || self.thumbnails.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pictures) = known().get(&task) {
            return Ok(pictures.clone());
        }
        let metamer = match self.rows.contains_key(&task) {
            true => self.metamer(task).ok(),
            false => None,
        };
        let pictures = metamer.map(|metamer| metamer.thumbnails());
        known().insert(task, pictures.clone());
        Ok(pictures)
    }

    fn words(&self) -> String {
        let mut text = self.summary();
        for row in self.rows.values() {
            let Mark { sign, means, .. } = mark(row);
            let cell = caption(row).replace('\n', ", ");
            text += &format!(
                "\n  {} at {} of {}, seed {}: {sign} {cell} ({means})",
                row.stimulus, row.stage, row.network, row.seed
            );
        }
        text
    }
}

/// A path's last part without its ending.
fn short(name: &str) -> String {
    std::path::Path::new(name).file_stem().map_or_else(|| name.into(), |stem| stem.to_string_lossy().replace('_', " "))
}

impl Show for SweepResults {
    fn bundles(&self) -> Vec<Bundle> {
        let first = self.job.study.seeds.first().copied().unwrap_or_default();
        let panel = |network: usize| match self.panel(network, first) {
            // The text tells of all networks, so it is said once.
            Ok(figure) => figure.bundle(if network == 0 { self.words() } else { String::new() }),
            Err(e) => Bundle::text(format!("{}\nno panel: {e}", self.words())),
        };
        (0..self.job.study.networks.len()).map(panel).collect()
    }
}
