//! Storage of finished tasks, in a folder or in memory.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::row::Row;
use crate::synthesis::Metamer;
use crate::{Error, Result};

/// The storage of finished tasks.
pub(super) enum Store {
    Memory(Mutex<BTreeMap<usize, StoredTask>>),
    Folder(Folder),
}

/// A finished task in memory.
type StoredTask = (Row, Option<Arc<Metamer>>);

/// A folder and the digest of the sweep whose results it holds.
pub(super) struct Folder {
    pub path: PathBuf,
    /// Digest of the manifest, which identifies the sweep.
    study: String,
}

/// The stored state of a task.
pub(super) enum TaskStatus {
    Missing,
    Done(Box<Row>),
    /// The files do not have their original content.
    Damaged(String),
}

/// The file of a row.
#[derive(Serialize, Deserialize)]
struct RowFile {
    study: String,
    /// SHA-256 of the metamer's file, if any.
    metamer_sha256: Option<String>,
    /// Time spent in steps. It is not part of the row, because it is not reproducible.
    seconds: f64,
    row: Row,
}

impl Store {
    pub fn in_memory() -> Self {
        Self::Memory(Mutex::default())
    }

    pub fn in_folder(path: &Path, manifest: &Manifest) -> Result<Self> {
        for folder in ["results", "running"].map(|name| path.join(name)) {
            std::fs::create_dir_all(&folder).map_err(|e| Error::io(folder, e))?;
        }
        Ok(Self::Folder(Folder { path: path.into(), study: super::digest(manifest)? }))
    }

    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Memory(_) => None,
            Self::Folder(folder) => Some(&folder.path),
        }
    }

    /// The checkpoint path of a running task.
    pub fn checkpoint_path(&self, task: usize) -> Option<PathBuf> {
        Some(self.folder()?.join(format!("running/{task}.run")))
    }

    pub fn status(&self, task: usize) -> Result<TaskStatus> {
        match self {
            Self::Memory(tasks) => {
                let tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(tasks.get(&task).map_or(TaskStatus::Missing, |(row, _)| TaskStatus::Done(Box::new(row.clone()))))
            }
            Self::Folder(folder) => folder.status(task),
        }
    }

    pub fn put(&self, row: &Row, metamer: Option<Metamer>, seconds: f64) -> Result<()> {
        match self {
            Self::Memory(tasks) => {
                let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
                tasks.insert(row.task, (row.clone(), metamer.map(Arc::new)));
                Ok(())
            }
            Self::Folder(folder) => folder.put(row, metamer, seconds),
        }
    }

    /// The metamer of a finished task; `None` if the task has none.
    pub fn metamer(&self, task: usize) -> Result<Option<Arc<Metamer>>> {
        match self {
            Self::Memory(tasks) => {
                let tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(tasks.get(&task).and_then(|(_, metamer)| metamer.clone()))
            }
            Self::Folder(folder) => {
                let path = folder.metamer_path(task);
                if path.exists() { Ok(Some(Arc::new(Metamer::open(path)?))) } else { Ok(None) }
            }
        }
    }
}

impl Folder {
    fn metamer_path(&self, task: usize) -> PathBuf {
        self.path.join(format!("results/{task}.metamer"))
    }

    fn row_path(&self, task: usize) -> PathBuf {
        self.path.join(format!("results/{task}.json"))
    }

    fn status(&self, task: usize) -> Result<TaskStatus> {
        let path = self.row_path(task);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(TaskStatus::Missing),
            Err(e) => return Err(Error::file(path, e)),
        };
        let damaged = |problem: &str| Ok(TaskStatus::Damaged(format!("{} {problem}", path.display())));
        let Ok(record) = serde_json::from_slice::<RowFile>(&bytes) else { return damaged("is damaged") };
        if record.row.task != task || record.study != self.study {
            return damaged("belongs to another sweep");
        }
        if let Some(expected) = &record.metamer_sha256 {
            let path = self.metamer_path(task);
            match std::fs::read(&path) {
                Ok(bytes) if crate::fs::sha256::hex_digest(&bytes) == *expected => {}
                Ok(_) => return Ok(TaskStatus::Damaged(format!("{} is damaged", path.display()))),
                Err(e) => return Ok(TaskStatus::Damaged(format!("{}: {e}", path.display()))),
            }
        }
        Ok(TaskStatus::Done(Box::new(record.row)))
    }

    fn put(&self, row: &Row, metamer: Option<Metamer>, seconds: f64) -> Result<()> {
        let path = self.metamer_path(row.task);
        let metamer_sha256 = match metamer {
            Some(metamer) => {
                let bytes = metamer.to_bytes()?;
                crate::fs::atomic::write(&path, &bytes)?;
                // Not of the file: another process may have written the same task since.
                Some(crate::fs::sha256::hex_digest(&bytes))
            }
            // A repeated task may have had one.
            None => match std::fs::remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io(path, e)),
                _ => None,
            },
        };
        let record = RowFile { study: self.study.clone(), metamer_sha256, seconds, row: row.clone() };
        let path = self.row_path(row.task);
        let json = serde_json::to_vec_pretty(&record).map_err(|e| Error::file(&path, e))?;
        // Written last, because this file marks the task as finished.
        crate::fs::atomic::write(&path, &json)
    }
}
