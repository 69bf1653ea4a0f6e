//! What a sweep found.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::job::Job;
use super::row::Row;
use crate::display::{Align, Live, Raster, Table, show_bundles};
use crate::synthesis::Metamer;
use crate::{Error, Result};

/// The results of a sweep: its rows, its metamers, and a panel of pictures, stimulus by stage.
///
/// In a notebook it is the panel, of the first seed, one for each network; [`SweepResults::table`] gives all numbers.
#[derive(Clone)]
pub struct SweepResults {
    pub(super) job: Job,
    pub(super) rows: BTreeMap<usize, Row>,
    pub(super) notes: Vec<String>,
    pub(super) interrupted: bool,
    /// Small pictures of originals and metamers, by task.
    pub(super) thumbnails: Arc<Mutex<HashMap<usize, Option<[Raster; 2]>>>>,
    /// The place of the notebook that this belongs in; none for a quiet sweep.
    pub(super) place: Option<Arc<Live>>,
}

impl SweepResults {
    pub(super) fn new(job: Job, rows: BTreeMap<usize, Row>, notes: Vec<String>) -> Self {
        Self { job, rows, notes, interrupted: false, thumbnails: Arc::default(), place: None }
    }

    /// The rows of the finished tasks, in the order of the tasks.
    pub fn rows(&self) -> Vec<&Row> {
        self.rows.values().collect()
    }

    /// How many tasks the sweep has.
    pub fn tasks(&self) -> usize {
        self.job.study.len()
    }

    /// The numbers of the tasks without a result.
    pub fn missing(&self) -> Vec<usize> {
        (0..self.tasks()).filter(|task| !self.rows.contains_key(task)).collect()
    }

    /// Whether somebody interrupted the sweep. What was finished is here; what was under way goes on from the folder.
    pub fn interrupted(&self) -> bool {
        self.interrupted
    }

    /// What a person should know: results that were damaged and are done again.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The row of a stimulus at a stage: the first, if there are several seeds or networks.
    ///
    /// # Errors
    /// A name that no finished task has, with the likeliest.
    pub fn find(&self, stimulus: &str, stage: &str) -> Result<&Row> {
        let of = |row: &&Row| row.stimulus == stimulus;
        if !self.rows.values().any(|row| of(&row)) {
            return Err(Error::unknown(
                "stimulus of a finished task",
                stimulus,
                self.rows.values().map(|row| row.stimulus.as_str()),
            ));
        }
        let found = self.rows.values().filter(of).find(|row| row.stage == stage);
        found.ok_or_else(|| {
            Error::unknown(
                "stage of a finished task",
                stage,
                self.rows.values().filter(of).map(|row| row.stage.as_str()),
            )
        })
    }

    /// The metamer of a task, by the number in its row. The seconds of its history are 0: they alone differ each time.
    ///
    /// # Errors
    /// A task that is not finished or made no metamer, and a file that cannot be read.
    pub fn metamer(&self, task: usize) -> Result<Metamer> {
        let network = self.job.study.task(task)?.network;
        let missing = || {
            let why =
                self.rows.get(&task).map_or("is not finished", |row| row.error.as_deref().unwrap_or("made no metamer"));
            Error::invalid(format!("task {task}"), why)
        };
        let metamer = self.job.store.metamer(task)?.ok_or_else(missing)?;
        // Only a sound is looked at through its network's ear, so only then is the network loaded.
        match metamer.sound() {
            Ok(_) => Ok(Metamer::clone(&metamer).with_cochleagram_from(&self.job.sources.network(network)?)),
            Err(_) => Ok(Metamer::clone(&metamer)),
        }
    }

    /// All metamers, in the order of the tasks, with their rows; tasks that made none are left out.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn metamers(&self) -> Result<Vec<(Row, Metamer)>> {
        let mut metamers = vec![];
        for (task, row) in &self.rows {
            if let Some(metamer) = self.job.store.metamer(*task)? {
                metamers.push((row.clone(), Metamer::clone(&metamer)));
            }
        }
        Ok(metamers)
    }

    /// The rows as a table to look at.
    pub fn table(&self) -> Table {
        let number = |value: Option<f64>, digits: usize| value.map_or_else(String::new, |v| format!("{v:.digits$}"));
        let table = Table::new([
            "network",
            "stimulus",
            "stage",
            "seed",
            "verdict",
            "SNR (dB)",
            "ρ",
            "r",
            "original",
            "metamer",
            "evaluations",
            "ended",
        ])
        .caption(format!("{} of {} tasks", self.rows.len(), self.tasks()))
        .align([
            Align::Left,
            Align::Left,
            Align::Left,
            Align::Right,
            Align::Right,
            Align::Right,
            Align::Right,
        ]);
        self.rows.values().fold(table, |table, row| {
            let similarity = row.similarity;
            table.row([
                row.network.clone(),
                row.stimulus.clone(),
                row.stage.clone(),
                row.seed.to_string(),
                row.outcome.map_or_else(String::new, |outcome| format!("{} {outcome}", outcome.mark())),
                number(row.snr_db(), 1),
                number(similarity.and_then(|s| s.spearman), 3),
                number(similarity.and_then(|s| s.pearson), 3),
                row.original_class.clone().unwrap_or_default(),
                row.metamer_class.clone().unwrap_or_default(),
                row.evaluations.to_string(),
                row.error.clone().or(row.ended.map(|e| e.to_string())).unwrap_or_default(),
            ])
        })
    }

    /// The rows as CSV, with a header, in the order of the tasks; numbers to the last bit. Nothing in it depends on who computed
    /// it, when and how fast.
    ///
    /// # Errors
    /// None in practice.
    pub fn csv(&self) -> Result<String> {
        let broken = |e: &dyn std::fmt::Display| Error::invalid("table", format!("has no CSV ({e})"));
        let mut csv = csv::Writer::from_writer(vec![]);
        csv.write_record(Row::COLUMNS).map_err(|e| broken(&e))?;
        for row in self.rows.values() {
            csv.write_record(row.cells()).map_err(|e| broken(&e))?;
        }
        let bytes = csv.into_inner().map_err(|e| broken(&e))?;
        String::from_utf8(bytes).map_err(|e| broken(&e))
    }

    /// Writes the rows as CSV; the file appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be written.
    pub fn save_csv(&self, path: impl AsRef<Path>) -> Result<()> {
        crate::fs::atomic::write(path.as_ref(), self.csv()?.as_bytes())
    }

    /// What a notebook calls when this is the last value of a cell; the place that was live in this cell is enough.
    pub fn evcxr_display(&self) {
        match &self.place {
            Some(place) if Live::is_on() => place.update(self),
            _ => show_bundles(&crate::display::Show::mime_bundles(self)),
        }
    }

    /// How far the sweep is, in a line.
    pub(super) fn summary(&self) -> String {
        let (done, tasks) = (self.rows.len(), self.tasks());
        let failed = self.rows.values().filter(|row| row.error.is_some()).count();
        let mut words = format!("{done} of {tasks} tasks done");
        let mut outcomes: Vec<(String, usize)> = vec![];
        for outcome in self.rows.values().filter_map(|row| row.outcome) {
            let name = format!("{} {outcome}", outcome.mark());
            match outcomes.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => outcomes.push((name, 1)),
            }
        }
        for (outcome, count) in outcomes {
            words += &format!(", {count} {outcome}");
        }
        if failed > 0 {
            words += &format!(", {failed} without a metamer");
        }
        if self.interrupted {
            words += "; interrupted, run it again to go on";
        }
        words
    }
}

impl std::fmt::Debug for SweepResults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SweepResults({})", self.summary())
    }
}
