//! Results of a sweep.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::job::Job;
use super::row::Row;
use crate::display::{Align, Live, Raster, Table, show_bundles};
use crate::fs::extension::check_extension;
use crate::synthesis::Metamer;
use crate::{Error, Result};

/// The results of a sweep: rows, metamers, and a panel of images, stimulus by stage.
///
/// A notebook shows one panel for each network, of the first seed; [`SweepResults::table`] gives all numbers.
#[derive(Clone)]
pub struct SweepResults {
    pub(super) job: Job,
    pub(super) rows: BTreeMap<usize, Row>,
    pub(super) notes: Vec<String>,
    pub(super) interrupted: bool,
    /// Thumbnails of originals and metamers, by task.
    pub(super) thumbnails: Arc<Mutex<HashMap<usize, Option<[Raster; 2]>>>>,
    /// The live output in the notebook; `None` for a quiet sweep.
    pub(super) place: Option<Arc<Live>>,
}

impl SweepResults {
    pub(super) fn new(job: Job, rows: BTreeMap<usize, Row>, notes: Vec<String>) -> Self {
        Self { job, rows, notes, interrupted: false, thumbnails: Arc::default(), place: None }
    }

    /// The rows of the finished tasks, in task order.
    #[must_use]
    pub fn rows(&self) -> Vec<&Row> {
        self.rows.values().collect()
    }

    /// The number of tasks in the sweep.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.job.manifest.len()
    }

    /// The numbers of the tasks without a result.
    #[must_use]
    pub fn missing(&self) -> Vec<usize> {
        (0..self.tasks()).filter(|task| !self.rows.contains_key(task)).collect()
    }

    /// Returns whether the sweep was interrupted. The results hold the finished tasks; running ones resume from the folder.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.interrupted
    }

    /// Notes for the user, such as damaged results that were computed again.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The first row of a stimulus at a stage, in task order.
    ///
    /// # Errors
    /// Fails for a stimulus or stage without a finished task, with suggestions.
    pub fn find(&self, stimulus: &str, stage: &str) -> Result<&Row> {
        let has_stimulus = |row: &&Row| row.stimulus == stimulus;
        if !self.rows.values().any(|row| has_stimulus(&row)) {
            return Err(Error::unknown(
                "stimulus of a finished task",
                stimulus,
                self.rows.values().map(|row| row.stimulus.as_str()),
            ));
        }
        let found = self.rows.values().filter(has_stimulus).find(|row| row.stage == stage);
        found.ok_or_else(|| {
            Error::unknown(
                "stage of a finished task",
                stage,
                self.rows.values().filter(has_stimulus).map(|row| row.stage.as_str()),
            )
        })
    }

    /// The metamer of a task, by the number in its row. The times in its history are 0, so that results are reproducible.
    ///
    /// # Errors
    /// Fails for a task that is not finished or has no metamer, and for a file that cannot be read.
    pub fn metamer(&self, task: usize) -> Result<Metamer> {
        self.job.manifest.task(task)?;
        let missing = || {
            let reason =
                self.rows.get(&task).map_or("is not finished", |row| row.error.as_deref().unwrap_or("has no metamer"));
            Error::invalid(format!("task {task}"), reason)
        };
        if !self.rows.contains_key(&task) {
            return Err(missing());
        }
        self.stored(task)?.ok_or_else(missing)
    }

    /// All metamers with their rows, in task order; tasks without a metamer are left out.
    ///
    /// # Errors
    /// Fails for a file that cannot be read.
    pub fn metamers(&self) -> Result<Vec<(Row, Metamer)>> {
        let mut metamers = vec![];
        for (task, row) in &self.rows {
            if let Some(metamer) = self.stored(*task)? {
                metamers.push((row.clone(), metamer));
            }
        }
        Ok(metamers)
    }

    /// The stored metamer of a task, if it has one.
    fn stored(&self, task: usize) -> Result<Option<Metamer>> {
        let Some(metamer) = self.job.store.metamer(task)? else { return Ok(None) };
        let metamer = Arc::unwrap_or_clone(metamer);
        // Only sounds need the network, for the cochleagram in their plots.
        if metamer.sound().is_err() {
            return Ok(Some(metamer));
        }
        let network = self.job.manifest.task(task)?.network;
        Ok(Some(metamer.with_cochleagram_of(&self.job.sources.network(network)?)))
    }

    /// The rows as a table for display.
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
            "stop reason",
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
                row.outcome.map_or_else(String::new, |outcome| format!("{} {outcome}", outcome.symbol())),
                number(row.snr_db(), 1),
                number(similarity.and_then(|s| s.spearman), 3),
                number(similarity.and_then(|s| s.pearson), 3),
                row.original_class.clone().unwrap_or_default(),
                row.metamer_class.clone().unwrap_or_default(),
                row.evaluations.to_string(),
                row.error.clone().or(row.stop_reason.map(|e| e.to_string())).unwrap_or_default(),
            ])
        })
    }

    /// The rows as CSV with a header, in task order and with exact numbers. The text is reproducible: it does not depend on the
    /// machine or the time. A name or an error that a spreadsheet would take for a formula, because it begins with `=`, `+`, `-` or `@`,
    /// has a `'` before it.
    ///
    /// # Errors
    /// Infallible in practice; the `Result` comes from the CSV writer.
    pub fn csv(&self) -> Result<String> {
        let failed = |e: &dyn std::fmt::Display| Error::invalid("table", format!("cannot be written as CSV ({e})"));
        let mut csv = csv::Writer::from_writer(vec![]);
        csv.write_record(Row::COLUMNS).map_err(|e| failed(&e))?;
        for row in self.rows.values() {
            csv.write_record(row.cells()).map_err(|e| failed(&e))?;
        }
        let bytes = csv.into_inner().map_err(|e| failed(&e))?;
        String::from_utf8(bytes).map_err(|e| failed(&e))
    }

    /// Saves the rows to a `.csv` file. The write is atomic.
    ///
    /// # Errors
    /// [`Error::File`] for another extension, and if the file cannot be written.
    pub fn save_csv(&self, path: impl AsRef<Path>) -> Result<()> {
        let advice = "tables are saved as .csv; for a page, a picture or a text call results.export(\"results.html\")";
        check_extension(path.as_ref(), "csv", advice)?;
        crate::fs::atomic::write(path.as_ref(), self.csv()?.as_bytes())
    }

    /// Displays the results as the last value of a notebook cell; updates the cell's live output if there is one.
    pub fn evcxr_display(&self) {
        match &self.place {
            Some(place) if Live::is_on() => place.update(self),
            _ => show_bundles(&crate::display::Show::mime_bundles(self)),
        }
    }

    /// The progress and outcomes of the sweep in one line.
    pub(super) fn summary(&self) -> String {
        let (done, tasks) = (self.rows.len(), self.tasks());
        let failed = self.rows.values().filter(|row| row.error.is_some()).count();
        let mut summary = format!("{done} of {tasks} tasks done");
        let mut outcomes: Vec<(String, usize)> = vec![];
        for outcome in self.rows.values().filter_map(|row| row.outcome) {
            let name = format!("{} {outcome}", outcome.symbol());
            match outcomes.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => outcomes.push((name, 1)),
            }
        }
        for (outcome, count) in outcomes {
            summary += &format!(", {count} {outcome}");
        }
        if failed > 0 {
            summary += &format!(", {failed} without a metamer");
        }
        if self.interrupted {
            summary += "; interrupted, run it again to resume";
        }
        summary
    }
}

impl std::fmt::Debug for SweepResults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SweepResults({})", self.summary())
    }
}
