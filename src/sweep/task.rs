//! Runs one task: the synthesis of a metamer, from the start or a checkpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::manifest::{Manifest, Task};
use super::row::Row;
use super::sources::Sources;
use super::store::{Store, TaskStatus};
use crate::clock::Instant;
use crate::network::Network;
use crate::synthesis::{Metamer, Push, Run, Stop, StopReason, Synthesis};
use crate::verdict::Verdict;
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
    fn stop_criteria(&self, run: &Run) -> Stop {
        let mut stop = Stop::after(SLICE.min(self.save_every));
        if let Some(snr_db) = self.manifest.snr_db {
            stop = stop.or_snr(snr_db);
        }
        if let Some(push) = self.push() {
            stop = stop.or_step_limit(push.steps_left(run));
        }
        match self.manifest.evaluations {
            Some(evaluations) => stop.or_evaluations(evaluations),
            None => stop,
        }
    }

    /// The push of different metamers, after the penalties of every task.
    fn push(&self) -> Option<Push> {
        Some(Push::new(self.manifest.goal.different?, self.manifest.goal.penalties.len()))
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
        // Not a property of the task: a network that is built again has the right weights.
        for stage in manifest.matched(task).stage_names() {
            network.check_unchanged(&stage)?;
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
        let max_evaluations = manifest.max_evaluations(entry).max(1) as f64;
        let (mut last_save, mut before) = (Instant::now(), 0);
        let (stop_reason, error) = loop {
            match run.advance(self.stop_criteria(&run)) {
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
                    report(TaskEvent::Part(((before + progress.evaluations) as f64 / max_evaluations).min(1.0)));
                }
                Ok(progress) if progress.stop_reason == StopReason::Matched => break (Some(StopReason::Matched), None),
                Ok(progress) => match self.push().map_or(Ok(None), |push| push.weaker(&run))? {
                    Some(weaker) => {
                        before += run.evaluations();
                        run = weaker;
                        if let Some(steps) = manifest.goal.record_every {
                            run.record_every(steps)?;
                        }
                    }
                    None => break (Some(progress.stop_reason), None),
                },
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
                    "{} restarts: its checkpoint is of another task, or of an earlier version",
                    self.manifest.describe(task)
                ))),
                Err(e) => report(TaskEvent::Note(format!("{} restarts: {e}", self.manifest.describe(task)))),
            }
        }
        let synthesis = synthesis(self.manifest, self.sources, task, network)?.quiet();
        let mut run = match self.push() {
            None => self.sources.on_device(synthesis).start_as_recorded()?,
            Some(push) => {
                let before = self.manifest.before(task).into_iter().map(|index| self.finished(index));
                let before = before.collect::<Result<Vec<_>>>()?;
                push.start(self.sources.on_device(synthesis), before.iter().map(|metamer| metamer.stimulus().clone()))?
            }
        };
        if let Some(steps) = self.manifest.goal.record_every {
            run.record_every(steps)?;
        }
        Ok(run)
    }

    /// The metamer of a task on which others depend.
    fn finished(&self, index: usize) -> Result<Arc<Metamer>> {
        if matches!(self.store.status(index)?, TaskStatus::Done(row) if row.error.is_some()) {
            let reason = "failed, and this metamer is pushed away from its own";
            return Err(Error::invalid(format!("task {index}"), reason));
        }
        // A file that cannot be found now may be there later.
        self.store.metamer(index)?.ok_or_else(|| Error::file(format!("the metamer of task {index}"), "is not there"))
    }

    /// Returns whether a saved run belongs to this task.
    fn matches_task(&self, run: &Run, task: &Task, network: &Network) -> bool {
        let (provenance, recipe) = (run.provenance(), &self.manifest.network(task).recipe);
        let matched = self.manifest.matched(task).prepared(network);
        let goal = &self.manifest.goal;
        // The push, if it is not yet left out, comes last.
        let pushes = provenance.penalties.len().checked_sub(goal.penalties.len());
        let same_penalties = goal.penalties.iter().zip(&provenance.penalties).all(|(a, b)| a.has_text_of(b));
        let bound = provenance.bound.as_ref().map(|bound| (bound.norm(), bound.eps(), bound.center_name()));
        matched.is_ok_and(|matched| matched == provenance.matched_or_stage())
            && same_penalties
            && pushes.is_some_and(|pushes| pushes <= usize::from(goal.different.is_some()))
            && bound == goal.bound.as_ref().map(|bound| (bound.norm, bound.eps, bound.stimulus.as_str()))
            && provenance.coarse_to_fine == goal.coarse_to_fine
            && provenance.seed == task.seed
            && provenance.recipe == *recipe
            // The number of a task is that of another stimulus if the manifest was made anew. A stimulus that is no longer there is not needed.
            && synthesis(self.manifest, self.sources, task, network)
                .and_then(|synthesis| run.has_stimuli_of(&synthesis))
                .unwrap_or(true)
    }

    /// The verdict; `None` if no null distribution is of the matched stage.
    fn verdict(&self, metamer: &Metamer, task: &Task, network: &Network) -> Result<Option<Verdict>> {
        let null = self.sources.null(task.network, network)?;
        // The name in a plan may be one of the plan's own.
        let matched = self.manifest.matched(task);
        let null = null.filter(|null| matched.whole_stage().is_some_and(|stage| null.stage(stage).is_ok()));
        null.map(|null| metamer.verdict(&null)).transpose()
    }

    /// Computes the verdict, and stores the row and the metamer.
    fn finish(&self, row: Row, task: &Task, run: Option<(Run, &Network)>) -> Result<Row> {
        let (mut row, mut stored, mut seconds) = (row, None, 0.0);
        if let Some((run, network)) = run {
            seconds = run.history().last().map_or(0.0, |point| point.seconds);
            match run.finish() {
                Ok(metamer) => {
                    let metamer = metamer.without_times();
                    let verdict = self.verdict(&metamer, task, network)?;
                    row = row.with_metamer(&metamer, verdict);
                    stored = Some(metamer);
                }
                // Activations of the best stimulus that are not finite, for instance.
                Err(e) if is_reproducible(&e) => row.error = row.error.or_else(|| Some(e.to_string())),
                Err(e) => return Err(e),
            }
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

/// The synthesis of a task, without the push of different metamers.
pub(super) fn synthesis(manifest: &Manifest, sources: &Sources, task: &Task, network: &Network) -> Result<Synthesis> {
    let entry = &manifest.stimuli[task.stimulus];
    let stimulus = entry.prepared_for(network, sources.stimulus(task.stimulus, entry)?)?;
    let recipe = manifest.network(task).recipe.clone();
    let synthesis = Synthesis::new(network, manifest.matched(task), stimulus)?.recipe(recipe).seed(task.seed);
    let original = synthesis.original_at_level()?;
    let reference = |name: &str| {
        let entry = manifest.reference(name)?;
        // All tasks need it, so that an error is not a property of one.
        let prepared = entry.prepared_for(network, sources.reference(entry)?);
        prepared.map_err(|e| Error::file(name, e))
    };
    let synthesis = manifest.goal.add_to(synthesis, &original, reference)?;
    // A penalty replaces the default recipe, here an explicit one.
    Ok(synthesis.recipe(manifest.network(task).recipe.clone()))
}

/// Returns whether an error is a property of the task and would recur, unlike an error of this machine.
fn is_reproducible(error: &Error) -> bool {
    matches!(error, Error::Diverged { .. } | Error::Invalid { .. } | Error::NotFinite { .. })
}
