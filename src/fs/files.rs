//! Reading of files, which in a browser are those that the page has provided.

use std::path::{Path, PathBuf};

use super::file_kind::FileKind;
use crate::{Error, Result};

/// The maximum size of the file of a stimulus, in bytes.
#[cfg(not(target_os = "unknown"))]
const MAX_STIMULUS_BYTES: u64 = 2 << 30;
/// The bytes at the start of a file that tell its kind.
#[cfg(not(target_os = "unknown"))]
const HEAD_BYTES: u64 = 4 << 10;

/// Reads a regular file.
#[cfg(not(target_os = "unknown"))]
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    check_regular(path)?;
    std::fs::read(path).map_err(|e| Error::io(path, e))
}

/// Checks that a file is a regular one, before it is opened: a device may have no end, and a pipe without a writer blocks for ever.
#[cfg(not(target_os = "unknown"))]
fn check_regular(path: &Path) -> Result<std::fs::Metadata> {
    let metadata = std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
    if metadata.is_file() {
        return Ok(metadata);
    }
    let kind = if metadata.is_dir() { "a folder" } else { "a device or a pipe" };
    Err(Error::file(path, format!("is not a file but {kind}")))
}

/// Reads the file of a stimulus, unless it is too large or not a regular file, or `refusal` returns a reason for its kind: a film may be
/// larger than the memory.
#[cfg(not(target_os = "unknown"))]
pub(crate) fn read_stimulus(path: &Path, refusal: fn(FileKind) -> Option<String>) -> Result<Vec<u8>> {
    use std::io::Read;
    let failed = |e: std::io::Error| Error::io(path, e);
    let length = check_regular(path)?.len();
    if length > MAX_STIMULUS_BYTES {
        return Err(Error::file(path, format!("has {length} bytes; the maximum is {MAX_STIMULUS_BYTES}")));
    }
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = vec![];
    (&mut file).take(HEAD_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    if let Some(reason) = refusal(FileKind::detect(&bytes)) {
        return Err(Error::file(path, reason));
    }
    bytes.reserve_exact(usize::try_from(length).unwrap_or_default().saturating_sub(bytes.len()));
    file.take(MAX_STIMULUS_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
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
pub(crate) use provided::{exists, list, provide, read, read_stimulus};

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

    pub(crate) fn read_stimulus(path: &Path, _: fn(FileKind) -> Option<String>) -> Result<Vec<u8>> {
        read(path)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "text").unwrap();
        assert_eq!(read(&path).unwrap(), b"text");
        let message = |path: &Path| read(path).unwrap_err().to_string();
        assert!(message(folder.path()).ends_with("is not a file but a folder"));
        assert!(message(&folder.path().join("none")).contains("none: "));
        if cfg!(unix) {
            assert_eq!(message(Path::new("/dev/zero")), "/dev/zero: is not a file but a device or a pipe");
        }
        if cfg!(target_os = "linux") {
            let pipe = folder.path().join("pipe");
            assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
            assert!(message(&pipe).ends_with("is not a file but a device or a pipe"));
        }
    }

    #[test]
    fn a_stimulus_is_read_if_its_start_allows_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let refusal = |kind: FileKind| matches!(kind, FileKind::Video(_)).then(|| "is a film".to_string());
        let message = |path: &Path| read_stimulus(path, refusal).unwrap_err().to_string();
        for length in [0, 1, 4096, 4097, 100_000] {
            let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            assert!(read_stimulus(&path, refusal).unwrap() == bytes, "{length} bytes");
        }
        std::fs::write(&path, b"FLV\x01").unwrap();
        assert!(message(&path).ends_with("a.png: is a film"));
        assert!(message(folder.path()).ends_with("is not a file but a folder"));
        if cfg!(unix) {
            assert_eq!(message(Path::new("/dev/zero")), "/dev/zero: is not a file but a device or a pipe");
            // A sparse file, which takes no space.
            std::fs::File::create(&path).unwrap().set_len(MAX_STIMULUS_BYTES + 1).unwrap();
            assert!(message(&path).contains("2147483649 bytes; the maximum is 2147483648"));
        }
    }
}
