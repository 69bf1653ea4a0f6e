//! A sweep with resolved inputs and an open store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::manifest::{Manifest, Task};
use super::progress::ProgressView;
use super::results::SweepResults;
use super::row::Row;
use super::slurm::task_ranges;
use super::sources::Sources;
use super::store::{Store, TaskStatus};
use super::task::TaskRunner;
use super::workers::{self, WorkerEvent};
use crate::engine::Isa;
use crate::{Error, Result};

#[derive(Clone)]
pub(super) struct Job {
    pub manifest: Arc<Manifest>,
    pub sources: Arc<Sources>,
    pub store: Arc<Store>,
    pub save_every: Duration,
}

impl Job {
    pub fn new(manifest: Manifest, sources: Sources, folder: Option<&Path>, save_every: Duration) -> Result<Self> {
        let store = match folder {
            Some(folder) => Store::in_folder(folder, &manifest)?,
            None => Store::in_memory(),
        };
        Ok(Self { manifest: Arc::new(manifest), sources: Arc::new(sources), store: Arc::new(store), save_every })
    }

    /// The stored rows of these tasks, and notes about damaged ones.
    pub fn stored(&self, tasks: impl IntoIterator<Item = usize>) -> Result<(BTreeMap<usize, Row>, Vec<String>)> {
        let (mut rows, mut notes) = (BTreeMap::new(), vec![]);
        for index in tasks {
            match self.store.status(index)? {
                TaskStatus::Done(row) => drop(rows.insert(index, *row)),
                TaskStatus::Damaged(reason) => notes.push(format!("task {index} will be repeated: {reason}")),
                TaskStatus::Missing => {}
            }
        }
        Ok((rows, notes))
    }

    /// All stored results.
    pub fn results(&self) -> Result<SweepResults> {
        let (rows, notes) = self.stored(0..self.manifest.len())?;
        Ok(SweepResults::new(self.clone(), rows, notes))
    }

    /// Runs the missing ones of these tasks.
    pub fn run(&self, tasks: impl IntoIterator<Item = usize> + Clone, quiet: bool) -> Result<SweepResults> {
        let (rows, notes) = self.stored(tasks.clone())?;
        let missing = tasks.into_iter().filter(|index| !rows.contains_key(index));
        let missing = missing.map(|index| self.manifest.task(index)).collect::<Result<Vec<_>>>()?;
        self.check_order(&missing, &rows)?;
        // An instruction set that this machine lacks is no property of a task.
        Isa::selected()?;
        let total = rows.len() + missing.len();
        let mut view = ProgressView::new(SweepResults::new(self.clone(), rows, vec![]), total, quiet);
        notes.into_iter().for_each(|note| view.handle(WorkerEvent::Note(note)));
        let stop = AtomicBool::new(false);
        let (manifest, sources, store, save_every) = (&*self.manifest, &*self.sources, &*self.store, self.save_every);
        let runner = TaskRunner { manifest, sources, store, save_every, stop: &stop };
        let interrupted = workers::run(&runner, &self.manifest.chains(&missing), |event| view.handle(event))?;
        Ok(view.finish(interrupted))
    }

    /// Checks that the tasks on which these depend are finished or among them.
    fn check_order(&self, tasks: &[Task], finished: &BTreeMap<usize, Row>) -> Result<()> {
        let known: BTreeSet<usize> = tasks.iter().map(|task| task.index).chain(finished.keys().copied()).collect();
        let mut done = BTreeSet::new();
        for task in tasks {
            let mut missing = vec![];
            for before in self.manifest.before(task) {
                if known.contains(&before) || done.contains(&before) {
                    continue;
                }
                match self.store.status(before)? {
                    TaskStatus::Done(_) => drop(done.insert(before)),
                    _ => missing.push(before),
                }
            }
            if !missing.is_empty() {
                let missing = task_ranges(&missing);
                let reason = format!("is pushed away from the metamers of earlier tasks; run those, too: {missing}");
                return Err(Error::invalid(format!("task {}", task.index), reason));
            }
        }
        Ok(())
    }
}
