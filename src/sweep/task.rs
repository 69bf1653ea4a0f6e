//! One task: a metamer, from the first step or from where it was interrupted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::manifest::{Manifest, Task};
use super::row::Row;
use super::sources::Sources;
use super::store::Store;
use crate::network::Network;
use crate::synthesis::{Run, Stop, StopReason, Synthesis};
use crate::{Error, Result};

/// How often a task looks up from its work.
const SLICE: Duration = Duration::from_millis(500);
/// How much is lost at most when a task is killed, unless the plan says otherwise.
pub(super) const SAVED_EVERY: Duration = Duration::from_secs(15);

/// What a task works with, and whom it tells.
pub(super) struct TaskRunner<'a> {
    pub study: &'a Manifest,
    pub sources: &'a Sources,
    pub store: &'a Store,
    /// How often a task under way is saved.
    pub save_every: Duration,
    /// Set when work is to end soon.
    pub stop: &'a AtomicBool,
}

/// What a task tells while it works.
pub(super) enum TaskEvent {
    /// Which part of the task is done, 0 to 1, at most.
    Part(f64),
    /// Something that a person should know.
    Note(String),
}

impl TaskRunner<'_> {
    /// The manifest's criteria, and a time after which the run is saved.
    fn stop_criteria(&self) -> Stop {
        let mut stop = Stop::after(SLICE.min(self.save_every));
        if let Some(snr_db) = self.study.snr_db {
            stop = stop.or_snr(snr_db);
        }
        match self.study.evaluations {
            Some(evaluations) => stop.or_evaluations(evaluations),
            None => stop,
        }
    }

    /// Does a task to its end, which is kept; `None` when it was stopped before, and can go on.
    pub fn work(&self, task: &Task, tell: &dyn Fn(TaskEvent)) -> Result<Option<Row>> {
        let (study, subject) = (self.study, self.study.subject(task));
        let network = self.sources.network(task.network)?;
        let weights = &network.weights_source().weights_sha256;
        if *weights != subject.weights_sha256 {
            let reason = format!(
                "has weights {weights}, and the sweep began with {}: put them back, or begin in another folder",
                subject.weights_sha256
            );
            return Err(Error::invalid(&subject.name, reason));
        }
        let row = Row::new(study, task);
        let mut run = match self.begin(task, &network, tell) {
            Ok(run) => run.quiet(),
            Err(e) if is_a_result(&e) => {
                return self.end(Row { error: Some(e.to_string()), ..row }, task, None).map(Some);
            }
            Err(e) => return Err(e),
        };
        let stop = self.stop_criteria();
        let most = study.evaluations_of(subject).max(1) as f64;
        let mut saved = Instant::now();
        let (ended, error) = loop {
            match run.advance(stop) {
                Ok(progress) if matches!(progress.stop_reason, StopReason::Time | StopReason::Interrupted) => {
                    let stopped = progress.stop_reason == StopReason::Interrupted || self.stop.load(Ordering::Relaxed);
                    if let Some(path) = self.store.running(task.index)
                        && (stopped || saved.elapsed() >= self.save_every)
                    {
                        run.save(path)?;
                        saved = Instant::now();
                    }
                    if stopped {
                        return Ok(None);
                    }
                    tell(TaskEvent::Part((progress.evaluations as f64 / most).min(1.0)));
                }
                Ok(progress) => break (Some(progress.stop_reason), None),
                Err(e) if is_a_result(&e) => break (None, Some(e.to_string())),
                Err(e) => return Err(e),
            }
        };
        let row = Row { ended, error, steps: run.steps(), evaluations: run.evaluations(), ..row };
        self.end(row, task, Some((run, &network))).map(Some)
    }

    /// Goes on with a task, or starts it.
    fn begin(&self, task: &Task, network: &Network, tell: &dyn Fn(TaskEvent)) -> Result<Run> {
        if let Some(path) = self.store.running(task.index).filter(|path| path.exists()) {
            match Run::resume(path, network) {
                Ok(run) if self.is_of(&run, task) => return Ok(run),
                Ok(_) => tell(TaskEvent::Note(format!(
                    "{} starts again: what is saved is another's",
                    self.study.words(task)
                ))),
                Err(e) => tell(TaskEvent::Note(format!("{} starts again: {e}", self.study.words(task)))),
            }
        }
        let stimulus = self.sources.stimulus(task.stimulus, &self.study.stimuli[task.stimulus])?;
        let plan = Synthesis::new(network, self.study.stage(task), stimulus)?;
        plan.recipe(self.study.subject(task).recipe.clone()).seed(task.seed).quiet().start()
    }

    /// Whether a saved run is this task's.
    fn is_of(&self, run: &Run, task: &Task) -> bool {
        let (stamp, recipe) = (run.provenance(), &self.study.subject(task).recipe);
        stamp.stage == self.study.stage(task) && stamp.seed == task.seed && stamp.recipe == *recipe
    }

    /// Judges what there is, and keeps it.
    fn end(&self, row: Row, task: &Task, run: Option<(Run, &Network)>) -> Result<Row> {
        let (mut row, mut kept, mut seconds) = (row, None, 0.0);
        if let Some((run, network)) = run {
            seconds = run.history().last().map_or(0.0, |point| point.seconds);
            let metamer = run.finish()?.without_times();
            let null = self.sources.null(task.network, network)?;
            let null = null.filter(|null| null.stage(self.study.stage(task)).is_ok());
            let verdict = null.map(|null| metamer.verdict(&null)).transpose()?;
            row = row.with(&metamer, verdict);
            kept = Some(metamer);
        }
        self.store.put(&row, kept, seconds)?;
        if let Some(path) = self.store.running(row.task) {
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(path, e)),
                _ => {}
            }
        }
        Ok(row)
    }
}

/// Whether an error says something about the metamer, and would come again, rather than about this machine today.
fn is_a_result(error: &Error) -> bool {
    matches!(error, Error::Diverged { .. } | Error::Invalid { .. } | Error::NotFinite { .. })
}
