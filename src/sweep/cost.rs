//! Cost estimate of a sweep.

use std::time::Duration;

use super::job::Job;
use super::manifest::{NetworkEntry, Task};
use super::slurm::Slurm;
use super::{task, workers};
use crate::display::{Align, MimeBundle, Show, Table, duration};
use crate::interrupt::Listening;
use crate::synthesis::{Optimizer, Recipe};
use crate::{Error, Result};

/// Steps before the measurement: the first evaluation, which also allocates memory, and the first step of L-BFGS.
const FIRST_STEPS: usize = 2;
/// Timed gradient evaluations at each stage.
const TIMED_EVALUATIONS: usize = 3;
/// The least number of steps of a recipe that is measured, so that it does not end during the measurement.
const MIN_STEPS: usize = 100;

/// Estimated cost of a sweep on this machine by network and stage, from a few gradient evaluations on the first stimulus.
///
/// Times are those of tasks that take all their evaluations; most tasks end earlier. They are estimates, not limits: L-BFGS takes somewhat
/// longer once its memory is full, and other programs take their share of the machine.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Cost {
    /// One row for each stage of each network.
    pub rows: Vec<CostRow>,
    /// The number of tasks that run in parallel on this machine.
    pub workers: usize,
    /// The number of tasks that run one after the other, because they depend on each other.
    chain_length: usize,
    /// The plan's Slurm settings, if any.
    slurm: Option<Slurm>,
}

/// Estimated cost of the tasks at one stage.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CostRow {
    /// The network's name in the plan.
    pub network: String,
    /// The stage's name.
    pub stage: String,
    /// The number of tasks.
    pub tasks: usize,
    /// The maximum number of gradient evaluations of a task; a line search may add a few. Without a limit in the sweep, the number of the
    /// recipe's steps.
    pub evaluations: usize,
    /// The time of one evaluation while all workers are busy, or the message of its error.
    pub evaluation: std::result::Result<Duration, String>,
}

impl CostRow {
    /// The estimated time of a task that takes all its evaluations; zero if the evaluation failed.
    #[must_use]
    pub fn task(&self) -> Duration {
        let seconds = |time: &Duration| from_seconds(time.as_secs_f64() * self.evaluations as f64);
        self.evaluation.as_ref().map_or(Duration::ZERO, seconds)
    }

    /// The estimated time of all tasks in sequence, if they take all their evaluations.
    #[must_use]
    pub fn total(&self) -> Duration {
        from_seconds(self.task().as_secs_f64() * self.tasks as f64)
    }
}

impl Cost {
    pub(super) fn measure(job: &Job, slurm: Option<&Slurm>) -> Result<Self> {
        let listening = Listening::begin();
        let manifest = &job.manifest;
        let pools = workers::pools(manifest.len() / manifest.chain_length())?;
        let stages: usize = manifest.networks.iter().map(|entry| entry.stages.len()).sum();
        let mut rows = vec![];
        for (network, entry) in manifest.networks.iter().enumerate() {
            let opens = |&&index: &&usize| job.sources.stimulus(index, &manifest.stimuli[index]).is_ok();
            let stimulus = *entry.stimuli.iter().find(opens).unwrap_or(&entry.stimuli[0]);
            for (stage, name) in entry.stages.iter().enumerate() {
                let task = Task { index: 0, network, stimulus, seed: manifest.seeds[0], stage };
                // All workers at once, as in the sweep, because cores share memory bandwidth.
                let times: Vec<Result<Duration>> = std::thread::scope(|scope| {
                    let threads: Vec<_> =
                        pools.iter().map(|pool| scope.spawn(|| pool.install(|| evaluation(job, &task)))).collect();
                    let panicked = |_| Err(Error::invalid(name, "the measurement panicked"));
                    threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
                });
                if listening.interrupted() {
                    let done = format!("{} of {stages} stages", rows.len());
                    return Err(Error::interrupted("the estimate of the cost", done));
                }
                let longest = times.into_iter().try_fold(Duration::ZERO, |longest, time| Ok(longest.max(time?)));
                let evaluation = match longest {
                    Err(e @ Error::File { .. }) => return Err(e),
                    longest => longest.map_err(|e: Error| e.to_string()),
                };
                rows.push(CostRow {
                    network: entry.name.clone(),
                    stage: name.clone(),
                    tasks: entry.stimuli.len() * manifest.seeds.len(),
                    evaluations: manifest.max_evaluations(entry),
                    evaluation,
                });
            }
        }
        Ok(Self { rows, workers: pools.len(), chain_length: manifest.chain_length(), slurm: slurm.cloned() })
    }

    /// The estimated time of the whole sweep on this machine, if all tasks take all their evaluations.
    #[must_use]
    pub fn total(&self) -> Duration {
        from_seconds(self.work().as_secs_f64() / self.workers.max(1) as f64)
    }

    /// The time of all tasks in sequence.
    fn work(&self) -> Duration {
        self.rows.iter().map(CostRow::total).fold(Duration::ZERO, Duration::saturating_add)
    }

    /// The time of the longest Slurm job of the plan on a machine like this one.
    fn job(&self) -> Option<Duration> {
        let slurm = self.slurm.as_ref()?;
        let longest = self.rows.iter().map(CostRow::task).max()?;
        let (chains, length) = (slurm.tasks_per_job.div_ceil(self.chain_length), self.chain_length);
        Some(from_seconds(longest.as_secs_f64() * (chains.div_ceil(slurm.cpus) * length) as f64))
    }
}

/// A duration of this many seconds, or [`Duration::MAX`] if that is too long: a recipe may allow any number of steps.
fn from_seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// The recipe with which an evaluation is timed: that of a task, without the steps that take less time than most.
fn timed(recipe: &Recipe) -> Recipe {
    let mut recipe = recipe.clone().without_return();
    recipe.steps = recipe.steps.max(MIN_STEPS);
    if let Optimizer::Lbfgs(lbfgs) = &mut recipe.optimizer {
        // Plain gradient steps, without the optimizer's share of an evaluation.
        lbfgs.warm_up = 0;
    }
    recipe
}

/// Measures the time of one gradient evaluation of a task.
fn evaluation(job: &Job, task: &Task) -> Result<Duration> {
    let entry: &NetworkEntry = job.manifest.network(task);
    let network = job.sources.network(task.network)?;
    let synthesis = task::synthesis(&job.manifest, &job.sources, task, &network)?;
    let synthesis = job.sources.on_device(synthesis.recipe(timed(&entry.recipe)));
    let mut run = synthesis.unlogged().start_as_recorded()?;
    run.step(FIRST_STEPS)?;
    run.time_of_evaluation(TIMED_EVALUATIONS)
}

impl Show for Cost {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let tasks: usize = self.rows.iter().map(|row| row.tasks).sum();
        let parallel = match self.workers {
            1 => "one at a time".into(),
            workers => format!("{workers} in parallel"),
        };
        let total = duration(self.total());
        let mut caption = format!("{tasks} tasks, {parallel}: about {total} at most on this machine");
        if let (Some(job), Some(slurm)) = (self.job(), &self.slurm) {
            caption += &format!(
                "\nA Slurm job runs {} tasks on {} cores: about {} at most on a machine like this; its limit is {}",
                slurm.tasks_per_job.next_multiple_of(self.chain_length),
                slurm.cpus,
                duration(job),
                slurm.time
            );
        }
        let mut table = Table::new([
            "network",
            "stage",
            "tasks",
            "max. evaluations",
            "time per evaluation",
            "max. time per task",
            "max. time, one worker",
        ])
        .align([Align::Left, Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Right])
        .caption(caption);
        for row in &self.rows {
            let (one, task, total) = match &row.evaluation {
                Ok(time) => {
                    (format!("{:.1} ms", 1e3 * time.as_secs_f64()), duration(row.task()), duration(row.total()))
                }
                Err(reason) => (format!("fails: {reason}"), String::new(), String::new()),
            };
            let (tasks, evaluations) = (row.tasks.to_string(), row.evaluations.to_string());
            table.push([row.network.clone(), row.stage.clone(), tasks, evaluations, one, task, total]);
        }
        let all = duration(self.work());
        table.push(["all".into(), String::new(), tasks.to_string(), String::new(), String::new(), String::new(), all]);
        table.mime_bundles()
    }
}

crate::show_in_notebooks!(Cost);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_evaluation_is_timed_within_the_optimizer() {
        let presets = [Recipe::presets(), Recipe::sound_presets(), vec![Recipe::bounded(), Recipe::nearest().steps(1)]];
        for recipe in presets.concat() {
            let timed = timed(&recipe);
            assert!(timed.check().is_ok() && timed.steps > FIRST_STEPS + TIMED_EVALUATIONS, "{}", recipe.name);
            if let Optimizer::Lbfgs(lbfgs) = timed.optimizer {
                assert_eq!((lbfgs.warm_up, lbfgs.nearest_at, lbfgs.earlier_steps), (0, None, 0), "{}", recipe.name);
            }
        }
    }

    #[test]
    fn unlimited_evaluations_take_the_longest_duration() {
        let row = |evaluations| CostRow {
            network: "net".into(),
            stage: "conv1".into(),
            tasks: 3,
            evaluations,
            evaluation: Ok(Duration::from_secs(2)),
        };
        assert_eq!((row(10).task(), row(10).total()), (Duration::from_secs(20), Duration::from_secs(60)));
        let cost = Cost { rows: vec![row(usize::MAX), row(10)], workers: 1, chain_length: 1, slurm: None };
        assert_eq!((cost.rows[0].task(), cost.total()), (Duration::MAX, Duration::MAX));
        assert!(cost.mime_bundles()[0].plain().contains("conv1"));
    }
}
