//! Removal of the temporary files that killed processes left.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Beginning of the names of temporary files.
pub(super) const PREFIX: &str = ".metamers-";
/// A folder is searched for at most this fraction of the time, so that writing many files to one folder stays linear.
const MAX_TIME_FRACTION: u32 = 50;

/// The end of the last search of each folder, and its duration.
static SEARCHES: LazyLock<Mutex<HashMap<PathBuf, (Instant, Duration)>>> = LazyLock::new(Mutex::default);

/// Removes the temporary files in a folder whose writers are dead. Errors are ignored: this is tidying.
pub(super) fn remove(folder: &Path) {
    let mut searches = SEARCHES.lock().unwrap_or_else(PoisonError::into_inner);
    if searches.get(folder).is_some_and(|(end, duration)| end.elapsed() < *duration * MAX_TIME_FRACTION) {
        return;
    }
    let start = Instant::now();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_temporary = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if is_temporary && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            remove_if_stray(&entry.path());
        }
    }
    searches.insert(folder.into(), (Instant::now(), start.elapsed()));
}

/// Removes a temporary file if no process has locked it. It stays locked until it is removed, so that a writer that created it a moment
/// ago finds it either locked by itself or gone.
fn remove_if_stray(path: &Path) {
    if let Ok(file) = File::options().write(true).open(path)
        && file.try_lock().is_ok()
    {
        let _ = std::fs::remove_file(path);
    }
}
