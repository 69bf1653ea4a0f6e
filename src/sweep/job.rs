//! A sweep that is ready to work: what to do, with what, and where results go.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::manifest::Manifest;
use super::progress::ProgressView;
use super::results::SweepResults;
use super::row::Row;
use super::sources::Sources;
use super::store::{Found, Store};
use super::task::TaskRunner;
use super::workers::{self, WorkerEvent};
use crate::Result;

#[derive(Clone)]
pub(super) struct Job {
    pub study: Arc<Manifest>,
    pub sources: Arc<Sources>,
    pub store: Arc<Store>,
    pub save_every: Duration,
}

impl Job {
    pub fn new(study: Manifest, sources: Sources, folder: Option<&Path>, save_every: Duration) -> Result<Self> {
        let store = match folder {
            Some(folder) => Store::in_folder(folder, &study)?,
            None => Store::in_memory(),
        };
        Ok(Self { study: Arc::new(study), sources: Arc::new(sources), store: Arc::new(store), save_every })
    }

    /// What there is of these tasks, and what is wrong with some of it.
    pub fn found(&self, tasks: impl IntoIterator<Item = usize>) -> Result<(BTreeMap<usize, Row>, Vec<String>)> {
        let (mut rows, mut notes) = (BTreeMap::new(), vec![]);
        for index in tasks {
            match self.store.find(index)? {
                Found::Done(row) => drop(rows.insert(index, *row)),
                Found::Damaged(what) => notes.push(format!("task {index} is to be done again: {what}")),
                Found::Missing => {}
            }
        }
        Ok((rows, notes))
    }

    /// All that there is.
    pub fn results(&self) -> Result<SweepResults> {
        let (rows, notes) = self.found(0..self.study.len())?;
        Ok(SweepResults::new(self.clone(), rows, notes))
    }

    /// Does what is missing of these tasks.
    pub fn run(&self, tasks: impl IntoIterator<Item = usize> + Clone, quiet: bool) -> Result<SweepResults> {
        let (rows, notes) = self.found(tasks.clone())?;
        let missing = tasks.into_iter().filter(|index| !rows.contains_key(index));
        let missing = missing.map(|index| self.study.task(index)).collect::<Result<Vec<_>>>()?;
        let total = rows.len() + missing.len();
        let mut watch = ProgressView::new(SweepResults::new(self.clone(), rows, vec![]), total, quiet);
        notes.into_iter().for_each(|note| watch.see(WorkerEvent::Note(note)));
        let stop = AtomicBool::new(false);
        let (study, sources, store, save_every) = (&*self.study, &*self.sources, &*self.store, self.save_every);
        let desk = TaskRunner { study, sources, store, save_every, stop: &stop };
        let interrupted = workers::run(&desk, &missing, |event| watch.see(event))?;
        Ok(watch.end(interrupted))
    }
}
