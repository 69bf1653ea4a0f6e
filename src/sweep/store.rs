//! Where finished tasks are kept: in a folder, or in memory.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::row::Row;
use crate::synthesis::Metamer;
use crate::{Error, Result};

pub(super) enum Store {
    Memory(Mutex<BTreeMap<usize, Kept>>),
    Folder(Folder),
}

/// A finished task in memory.
type Kept = (Row, Option<Arc<Metamer>>);

/// A folder, and the study whose results it holds.
pub(super) struct Folder {
    pub path: PathBuf,
    /// Of the study, so that the results of another are not taken for its own.
    study: String,
}

/// What is known of a task.
pub(super) enum Found {
    Missing,
    Done(Box<Row>),
    /// Something is there, but it is not what was written.
    Damaged(String),
}

/// A row in its file.
#[derive(Serialize, Deserialize)]
struct Record {
    study: String,
    /// Of the metamer's file, where there is one.
    metamer_sha256: Option<String>,
    /// Time in steps. Not part of the row: it is another each time.
    seconds: f64,
    row: Row,
}

impl Store {
    pub fn in_memory() -> Self {
        Self::Memory(Mutex::default())
    }

    pub fn in_folder(path: &Path, study: &Manifest) -> Result<Self> {
        for folder in ["results", "running"].map(|name| path.join(name)) {
            std::fs::create_dir_all(&folder).map_err(|e| Error::io(folder, e))?;
        }
        Ok(Self::Folder(Folder { path: path.into(), study: super::digest(study)? }))
    }

    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Memory(_) => None,
            Self::Folder(folder) => Some(&folder.path),
        }
    }

    /// Where a task under way is kept.
    pub fn running(&self, task: usize) -> Option<PathBuf> {
        Some(self.folder()?.join(format!("running/{task}.run")))
    }

    pub fn find(&self, task: usize) -> Result<Found> {
        match self {
            Self::Memory(kept) => {
                let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(kept.get(&task).map_or(Found::Missing, |(row, _)| Found::Done(Box::new(row.clone()))))
            }
            Self::Folder(folder) => folder.find(task),
        }
    }

    pub fn put(&self, row: &Row, metamer: Option<Metamer>, seconds: f64) -> Result<()> {
        match self {
            Self::Memory(kept) => {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.insert(row.task, (row.clone(), metamer.map(Arc::new)));
                Ok(())
            }
            Self::Folder(folder) => folder.put(row, metamer, seconds),
        }
    }

    /// The metamer of a finished task; `None` when the task made none.
    pub fn metamer(&self, task: usize) -> Result<Option<Arc<Metamer>>> {
        match self {
            Self::Memory(kept) => {
                let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(kept.get(&task).and_then(|(_, metamer)| metamer.clone()))
            }
            Self::Folder(folder) => {
                let path = folder.metamer(task);
                if path.exists() { Ok(Some(Arc::new(Metamer::open(path)?))) } else { Ok(None) }
            }
        }
    }
}

impl Folder {
    fn metamer(&self, task: usize) -> PathBuf {
        self.path.join(format!("results/{task}.metamer"))
    }

    fn record(&self, task: usize) -> PathBuf {
        self.path.join(format!("results/{task}.json"))
    }

    fn find(&self, task: usize) -> Result<Found> {
        let path = self.record(task);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Found::Missing),
            Err(e) => return Err(Error::io(path, e)),
        };
        let damaged = |what: &str| Ok(Found::Damaged(format!("{} {what}", path.display())));
        let Ok(record) = serde_json::from_slice::<Record>(&bytes) else { return damaged("is damaged") };
        if record.row.task != task || record.study != self.study {
            return damaged("belongs to another sweep");
        }
        if let Some(expected) = &record.metamer_sha256 {
            let path = self.metamer(task);
            match std::fs::read(&path) {
                Ok(bytes) if crate::fs::sha256::hex_digest(&bytes) == *expected => {}
                Ok(_) => return Ok(Found::Damaged(format!("{} is damaged", path.display()))),
                Err(e) => return Ok(Found::Damaged(format!("{}: {e}", path.display()))),
            }
        }
        Ok(Found::Done(Box::new(record.row)))
    }

    fn put(&self, row: &Row, metamer: Option<Metamer>, seconds: f64) -> Result<()> {
        let path = self.metamer(row.task);
        let metamer_sha256 = match metamer {
            Some(metamer) => {
                metamer.save(&path)?;
                Some(crate::fs::sha256::hex_digest(&std::fs::read(&path).map_err(|e| Error::io(&path, e))?))
            }
            None => None,
        };
        let record = Record { study: self.study.clone(), metamer_sha256, seconds, row: row.clone() };
        let path = self.record(row.task);
        let json = serde_json::to_vec_pretty(&record).map_err(|e| Error::file(&path, e))?;
        // Last, for it says that the task is done.
        crate::fs::atomic::write(&path, &json)
    }
}
