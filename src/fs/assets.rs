//! Paths of the files that ship with the project: weights, photos, recordings.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::files;
use crate::{Error, Result};

/// The folder of shipped files.
fn folder() -> PathBuf {
    folder_or_default(std::env::var_os("METAMERS_ASSETS"))
}

/// The folder that `METAMERS_ASSETS` names if it is set and not empty, else `assets` in the source tree of this build.
fn folder_or_default(set: Option<OsString>) -> PathBuf {
    match set.filter(|folder| !folder.is_empty()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let default = folder_or_default(None);
        assert!(default.ends_with("assets"));
        assert_eq!(folder_or_default(Some("".into())), default);
        assert_eq!(folder_or_default(Some("elsewhere".into())), Path::new("elsewhere"));
    }
}
