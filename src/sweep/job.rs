//! A sweep with resolved inputs and an open store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::manifest::{Manifest, Task};
use super::progress::ProgressView;
use super::results::SweepResults;
use super::row::Row;
use super::sources::Sources;
use super::store::{Store, TaskStatus};
use super::task::TaskRunner;
use super::workers::{self, WorkerEvent};
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
        let total = rows.len() + missing.len();
        let mut view = ProgressView::new(SweepResults::new(self.clone(), rows, vec![]), total, quiet);
        notes.into_iter().for_each(|note| view.handle(WorkerEvent::Note(note)));
        self.check_order(&missing)?;
        let stop = AtomicBool::new(false);
        let (manifest, sources, store, save_every) = (&*self.manifest, &*self.sources, &*self.store, self.save_every);
        let runner = TaskRunner { manifest, sources, store, save_every, stop: &stop };
        let interrupted = workers::run(&runner, &self.manifest.chains(&missing), |event| view.handle(event))?;
        Ok(view.finish(interrupted))
    }

    /// Checks that the tasks on which these depend are finished or among them.
    fn check_order(&self, tasks: &[Task]) -> Result<()> {
        for task in tasks {
            for before in self.manifest.before(task) {
                let is_done = || Ok::<_, Error>(matches!(self.store.status(before)?, TaskStatus::Done(_)));
                if !tasks.iter().any(|other| other.index == before) && !is_done()? {
                    let reason =
                        format!("is pushed away from the metamer of task {before}, which is missing; run both");
                    return Err(Error::invalid(format!("task {}", task.index), reason));
                }
            }
        }
        Ok(())
    }
}
