//! Reading of files, which in a browser are those that the page has provided.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Reads a file.
#[cfg(not(target_os = "unknown"))]
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::io(path, e))
}

/// Returns whether there is a file or folder with this path.
#[cfg(not(target_os = "unknown"))]
pub(crate) fn exists(path: &Path) -> bool {
    path.exists()
}

/// The paths of the files in a folder, sorted.
#[cfg(not(target_os = "unknown"))]
pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

#[cfg(target_os = "unknown")]
pub(crate) use provided::{exists, list, provide, read};

#[cfg(target_os = "unknown")]
mod provided {
    use std::collections::BTreeMap;
    use std::sync::{Mutex, PoisonError};

    use super::*;

    static FILES: Mutex<BTreeMap<PathBuf, Vec<u8>>> = Mutex::new(BTreeMap::new());

    /// Makes a file readable under a path.
    pub(crate) fn provide(path: PathBuf, bytes: Vec<u8>) {
        FILES.lock().unwrap_or_else(PoisonError::into_inner).insert(path, bytes);
    }

    pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
        let files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        files.get(path).cloned().ok_or_else(|| Error::file(path, "is not part of this page"))
    }

    pub(crate) fn exists(path: &Path) -> bool {
        let files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        files.keys().any(|file| file.starts_with(path))
    }

    pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
        let files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(files.keys().filter(|file| file.parent() == Some(folder)).cloned().collect())
    }
}
