//! What a sweep will take, before it is begun.

use std::time::Duration;

use super::job::Job;
use super::manifest::{NetworkEntry, Task};
use super::slurm::Slurm;
use super::workers;
use crate::display::{Align, MimeBundle, Show, Table, duration};
use crate::synthesis::{Run, Synthesis};
use crate::{Error, Result};

/// So many gradients are measured at each stage, after one that is not.
const MEASURED: usize = 3;

/// What a sweep will take on this machine, by network and stage: measured on a few gradient evaluations of the first stimulus.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// One for each stage of each network.
    pub rows: Vec<CostRow>,
    /// How many tasks are done side by side on this machine.
    pub workers: usize,
    /// What Slurm will be asked for, if anything.
    slurm: Option<Slurm>,
}

/// What the tasks of one stage take.
#[derive(Clone, Debug, PartialEq)]
pub struct CostRow {
    /// The network, as the plan names it.
    pub network: String,
    /// The stage.
    pub stage: String,
    /// How many tasks there are.
    pub tasks: usize,
    /// Gradient evaluations of a task, at most; a line search may add a few.
    pub evaluations: usize,
    /// Time of one evaluation while all workers work; or why there is none.
    pub evaluation: std::result::Result<Duration, String>,
}

impl CostRow {
    /// The time that one task takes at most; nothing when it cannot be done.
    pub fn task(&self) -> Duration {
        self.evaluation.as_ref().map_or(Duration::ZERO, |time| time.mul_f64(self.evaluations as f64))
    }

    /// The time that all tasks take at most, one after the other.
    pub fn total(&self) -> Duration {
        self.task().mul_f64(self.tasks as f64)
    }
}

impl Cost {
    pub(super) fn measure(job: &Job, slurm: Option<&Slurm>) -> Result<Self> {
        let study = &job.study;
        let pools = workers::pools(study.len())?;
        let mut rows = vec![];
        for (network, subject) in study.networks.iter().enumerate() {
            let stimulus = subject.stimuli[0];
            for (stage, name) in subject.stages.iter().enumerate() {
                let task = Task { index: 0, network, stimulus, seed: study.seeds[0], stage };
                // All at once, as in the sweep: cores share memory, and some of their speed.
                let times: Vec<Result<Duration>> = std::thread::scope(|scope| {
                    let threads: Vec<_> =
                        pools.iter().map(|pool| scope.spawn(|| pool.install(|| evaluation(job, &task)))).collect();
                    let panicked = |_| Err(Error::invalid(name, "the measurement ended in a panic"));
                    threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
                });
                let longest = times.into_iter().try_fold(Duration::ZERO, |longest, time| Ok(longest.max(time?)));
                let evaluation = match longest {
                    Err(e @ Error::File { .. }) => return Err(e),
                    longest => longest.map_err(|e: Error| e.to_string()),
                };
                rows.push(CostRow {
                    network: subject.name.clone(),
                    stage: name.clone(),
                    tasks: subject.stimuli.len() * study.seeds.len(),
                    evaluations: study.evaluations_of(subject),
                    evaluation,
                });
            }
        }
        Ok(Self { rows, workers: pools.len(), slurm: slurm.cloned() })
    }

    /// The time that the whole sweep takes at most on this machine.
    pub fn total(&self) -> Duration {
        let work: Duration = self.rows.iter().map(CostRow::total).sum();
        work.div_f64(self.workers.max(1) as f64)
    }

    /// The longest that a Slurm job of the plan takes on a machine like this one.
    fn job(&self) -> Option<Duration> {
        let slurm = self.slurm.as_ref()?;
        let longest = self.rows.iter().map(CostRow::task).max()?;
        Some(longest.mul_f64(slurm.tasks_per_job.div_ceil(slurm.cpus) as f64))
    }
}

/// The time of one evaluation of a task.
fn evaluation(job: &Job, task: &Task) -> Result<Duration> {
    let subject: &NetworkEntry = job.study.subject(task);
    let network = job.sources.network(task.network)?;
    let stimulus = job.sources.stimulus(task.stimulus, &job.study.stimuli[task.stimulus])?;
    let plan =
        Synthesis::new(&network, job.study.stage(task), stimulus)?.recipe(subject.recipe.clone()).seed(task.seed);
    let mut run: Run = plan.unlogged().start()?;
    run.time_of_evaluation(MEASURED)
}

impl Show for Cost {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let tasks: usize = self.rows.iter().map(|row| row.tasks).sum();
        let side_by_side = match self.workers {
            1 => "one after the other".into(),
            workers => format!("{workers} side by side"),
        };
        let mut caption = format!("{tasks} tasks, {side_by_side}: {} at most on this machine", duration(self.total()));
        if let (Some(job), Some(slurm)) = (self.job(), &self.slurm) {
            caption += &format!(
                "\nA Slurm job does {} tasks on {} cores: {} at most on a machine like this; it is given {}",
                slurm.tasks_per_job,
                slurm.cpus,
                duration(job),
                slurm.time
            );
        }
        let mut table = Table::new([
            "network",
            "stage",
            "tasks",
            "evaluations, at most",
            "time of one",
            "a task, at most",
            "all, on one worker",
        ])
        .align([Align::Left, Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Right])
        .caption(caption);
        for row in &self.rows {
            let (one, task, total) = match &row.evaluation {
                Ok(time) => {
                    (format!("{:.1} ms", 1e3 * time.as_secs_f64()), duration(row.task()), duration(row.total()))
                }
                Err(reason) => (format!("cannot be done: {reason}"), String::new(), String::new()),
            };
            let (tasks, evaluations) = (row.tasks.to_string(), row.evaluations.to_string());
            table.push([row.network.clone(), row.stage.clone(), tasks, evaluations, one, task, total]);
        }
        let all = duration(self.rows.iter().map(CostRow::total).sum());
        table.push(["all".into(), String::new(), tasks.to_string(), String::new(), String::new(), String::new(), all]);
        table.mime_bundles()
    }
}

crate::show_in_notebooks!(Cost);
