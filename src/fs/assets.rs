//! Finding the files that ship with the project: weights, photos.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The folder of shipped files: `METAMERS_ASSETS` when set, else the one beside the sources that this was built from.
fn folder() -> PathBuf {
    match std::env::var_os("METAMERS_ASSETS") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("assets"),
    }
}

/// The shipped files whose relative path matches a pattern like `photos/*`, by that relative path, in order.
pub(crate) fn matching(pattern: &glob::Pattern) -> Vec<String> {
    let mut found = vec![];
    for kind in ["photos", "speech"] {
        let Ok(files) = std::fs::read_dir(folder().join(kind)) else { continue };
        let names = files.flatten().filter_map(|file| Some(format!("{kind}/{}", file.file_name().to_str()?)));
        found.extend(names.filter(|name| pattern.matches(name)));
    }
    found.sort();
    found
}

/// The shipped file or folder of this relative path, whatever lies in the current directory.
pub(crate) fn shipped(path: &str) -> Result<PathBuf> {
    let shipped = folder().join(path);
    if shipped.exists() {
        return Ok(shipped);
    }
    Err(Error::file(shipped, "this shipped file is missing; set METAMERS_ASSETS to the project's assets"))
}

/// `path` itself when it exists or is absolute, else the shipped file of that relative path.
pub(crate) fn find(path: &Path) -> Result<PathBuf> {
    if path.is_absolute() || path.exists() {
        return Ok(path.into());
    }
    let shipped = folder().join(path);
    if shipped.exists() {
        return Ok(shipped);
    }
    let reason = if folder().exists() {
        let here = std::env::current_dir().unwrap_or_default();
        format!("no such file in {} nor among the shipped ones in {}", here.display(), folder().display())
    } else {
        format!(
            "no such file, and no shipped ones in {}; set METAMERS_ASSETS to the project's assets",
            folder().display()
        )
    };
    Err(Error::file(path, reason))
}
