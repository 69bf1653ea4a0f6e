//! Runs one task: the synthesis of a metamer, from the start or a checkpoint.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::manifest::{Manifest, Task};
use super::row::Row;
use super::sources::Sources;
use super::store::Store;
use crate::clock::Instant;
use crate::network::Network;
use crate::synthesis::{Run, Stop, StopReason, Synthesis};
use crate::{Error, Result};

/// Interval at which a task reports progress and checks for a stop.
const SLICE: Duration = Duration::from_millis(500);
/// Default interval at which a running task is saved.
pub(super) const DEFAULT_SAVE_INTERVAL: Duration = Duration::from_secs(15);

/// Runs tasks of a sweep.
pub(super) struct TaskRunner<'a> {
    pub manifest: &'a Manifest,
    pub sources: &'a Sources,
    pub store: &'a Store,
    /// Interval at which a running task is saved.
    pub save_every: Duration,
    /// Set to stop all tasks after their current slice.
    pub stop: &'a AtomicBool,
}

/// An event of a running task.
pub(super) enum TaskEvent {
    /// The finished fraction of the task, from 0 to 1; a lower bound.
    Part(f64),
    /// A note for the user.
    Note(String),
}

impl TaskRunner<'_> {
    /// The manifest's criteria, and a time after which progress is reported.
    fn stop_criteria(&self) -> Stop {
        let mut stop = Stop::after(SLICE.min(self.save_every));
        if let Some(snr_db) = self.manifest.snr_db {
            stop = stop.or_snr(snr_db);
        }
        match self.manifest.evaluations {
            Some(evaluations) => stop.or_evaluations(evaluations),
            None => stop,
        }
    }

    /// Runs a task to its end and stores the result; `None` if it was stopped and can resume.
    pub fn run(&self, task: &Task, report: &dyn Fn(TaskEvent)) -> Result<Option<Row>> {
        let (manifest, entry) = (self.manifest, self.manifest.network(task));
        let network = self.sources.network(task.network)?;
        let weights = &network.weights_source().weights_sha256;
        if *weights != entry.weights_sha256 {
            let reason = format!(
                "has weights {weights}, but the sweep started with {}; restore them or use another folder",
                entry.weights_sha256
            );
            return Err(Error::invalid(&entry.name, reason));
        }
        let row = Row::new(manifest, task);
        let run = match self.start(task, &network, report) {
            Ok(run) => run,
            Err(e) if is_reproducible(&e) => {
                return self.finish(Row { error: Some(e.to_string()), ..row }, task, None).map(Some);
            }
            Err(e) => return Err(e),
        };
        let mut run = run.quiet();
        let stop = self.stop_criteria();
        let max_evaluations = manifest.max_evaluations(entry).max(1) as f64;
        let mut last_save = Instant::now();
        let (stop_reason, error) = loop {
            match run.advance(stop) {
                Ok(progress) if matches!(progress.stop_reason, StopReason::Time | StopReason::Interrupted) => {
                    let stopped = progress.stop_reason == StopReason::Interrupted || self.stop.load(Ordering::Relaxed);
                    if let Some(path) = self.store.checkpoint_path(task.index)
                        && (stopped || last_save.elapsed() >= self.save_every)
                    {
                        run.save(path)?;
                        last_save = Instant::now();
                    }
                    if stopped {
                        return Ok(None);
                    }
                    report(TaskEvent::Part((progress.evaluations as f64 / max_evaluations).min(1.0)));
                }
                Ok(progress) => break (Some(progress.stop_reason), None),
                Err(e) if is_reproducible(&e) => break (None, Some(e.to_string())),
                Err(e) => return Err(e),
            }
        };
        let row = Row { stop_reason, error, steps: run.steps(), evaluations: run.evaluations(), ..row };
        self.finish(row, task, Some((run, &network))).map(Some)
    }

    /// Resumes a task from its checkpoint, or starts it.
    fn start(&self, task: &Task, network: &Network, report: &dyn Fn(TaskEvent)) -> Result<Run> {
        if let Some(path) = self.store.checkpoint_path(task.index).filter(|path| path.exists()) {
            match self.sources.resume(&path, network) {
                Ok(run) if self.matches_task(&run, task, network) => return Ok(run),
                Ok(_) => report(TaskEvent::Note(format!(
                    "{} restarts: its checkpoint belongs to another task",
                    self.manifest.describe(task)
                ))),
                Err(e) => report(TaskEvent::Note(format!("{} restarts: {e}", self.manifest.describe(task)))),
            }
        }
        let stimulus = self.sources.stimulus(task.stimulus, &self.manifest.stimuli[task.stimulus])?;
        let mut synthesis = Synthesis::new(network, self.manifest.matched(task), stimulus)?;
        for penalty in &self.manifest.penalties {
            synthesis = synthesis.penalty(penalty.clone())?;
        }
        self.sources.start(synthesis.recipe(self.manifest.network(task).recipe.clone()).seed(task.seed).quiet())
    }

    /// Returns whether a saved run belongs to this task.
    fn matches_task(&self, run: &Run, task: &Task, network: &Network) -> bool {
        let (provenance, recipe) = (run.provenance(), &self.manifest.network(task).recipe);
        let matched = self.manifest.matched(task).prepared(network);
        matched.is_ok_and(|matched| matched == provenance.matched_or_stage())
            && provenance.penalties == self.manifest.penalties
            && provenance.seed == task.seed
            && provenance.recipe == *recipe
    }

    /// Computes the verdict, and stores the row and the metamer.
    fn finish(&self, row: Row, task: &Task, run: Option<(Run, &Network)>) -> Result<Row> {
        let (mut row, mut stored, mut seconds) = (row, None, 0.0);
        if let Some((run, network)) = run {
            seconds = run.history().last().map_or(0.0, |point| point.seconds);
            let metamer = run.finish()?.without_times();
            let null = self.sources.null(task.network, network)?;
            let null = null.filter(|null| null.stage(self.manifest.stage(task)).is_ok());
            let verdict = null.map(|null| metamer.verdict(&null)).transpose()?;
            row = row.with_metamer(&metamer, verdict);
            stored = Some(metamer);
        }
        self.store.put(&row, stored, seconds)?;
        if let Some(path) = self.store.checkpoint_path(row.task) {
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(path, e)),
                _ => {}
            }
        }
        Ok(row)
    }
}

/// Returns whether an error is a property of the task and would recur, unlike an error of this machine.
fn is_reproducible(error: &Error) -> bool {
    matches!(error, Error::Diverged { .. } | Error::Invalid { .. } | Error::NotFinite { .. })
}
