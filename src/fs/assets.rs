//! Paths of the files that ship with the project: weights, photos, recordings.

use std::path::{Path, PathBuf};

use super::files;
use crate::{Error, Result};

/// The folder of shipped files: `METAMERS_ASSETS` if set, else `assets` in the source tree of this build.
fn folder() -> PathBuf {
    match std::env::var_os("METAMERS_ASSETS") {
        Some(folder) => folder.into(),
        // The folder under which a page provides them.
        None if cfg!(target_os = "unknown") => "assets".into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("assets"),
    }
}

/// Returns the relative paths of the shipped stimuli that match a glob pattern such as `photos/*`, sorted.
pub(crate) fn matching(pattern: &glob::Pattern) -> Vec<String> {
    let mut found = vec![];
    for kind in ["photos", "speech"] {
        let Ok(files) = files::list(&folder().join(kind)) else { continue };
        let names = files.iter().filter_map(|file| Some(format!("{kind}/{}", file.file_name()?.to_str()?)));
        found.extend(names.filter(|name| pattern.matches(name)));
    }
    found.sort();
    found
}

/// Returns the path of a shipped file or folder; the working directory is not searched.
pub(crate) fn shipped(path: &str) -> Result<PathBuf> {
    let shipped = folder().join(path);
    if files::exists(&shipped) {
        return Ok(shipped);
    }
    Err(Error::file(shipped, "shipped file not found; set METAMERS_ASSETS to the project's `assets` folder"))
}

/// Returns `path` if it exists or is absolute, else the shipped file with that relative path.
pub(crate) fn find(path: &Path) -> Result<PathBuf> {
    if path.is_absolute() || files::exists(path) {
        return Ok(path.into());
    }
    let shipped = folder().join(path);
    if files::exists(&shipped) {
        return Ok(shipped);
    }
    let reason = if folder().exists() {
        let working_directory = std::env::current_dir().unwrap_or_default();
        format!(
            "no such file, neither in {} nor among the shipped files in {}",
            working_directory.display(),
            folder().display()
        )
    } else {
        format!(
            "no such file, and no shipped files in {}; set METAMERS_ASSETS to the project's `assets` folder",
            folder().display()
        )
    };
    Err(Error::file(path, reason))
}
