//! Atomic file writes: a file appears complete or not at all.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Maximum symlink depth before a loop is assumed; Linux has the same limit.
const MAX_LINKS: usize = 40;

/// Writes a file atomically: writes a temporary file in the same folder, then renames it, so that no reader sees an incomplete file, even
/// after a crash.
///
/// A symlink is followed and stays a symlink. An existing file keeps its permissions.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e: std::io::Error| Error::file(path, format!("cannot write the file ({e})")).with_source(e);
    let target = resolve_links(path).map_err(failed)?;
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    // The mode of any new file, before the umask is applied.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.prefix(".metamers-").tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    if let Ok(existing) = std::fs::metadata(&target) {
        file.as_file().set_permissions(existing.permissions()).map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&target).map_err(|e| failed(e.error))?;
    Ok(())
}

/// Follows symlinks to the final path, which need not exist.
fn resolve_links(path: &Path) -> std::io::Result<PathBuf> {
    let mut target = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        match std::fs::read_link(&target) {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(std::io::Error::other("symlink loop"))
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_file_respects_the_umask() {
        // The umask belongs to the process, so this test runs itself in child processes.
        if let Some(path) = std::env::var_os("METAMERS_TEST_UMASK") {
            return write(Path::new(&path), b"whole").unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        for (umask, expected) in [("027", 0o640), ("077", 0o600), ("002", 0o664)] {
            let path = folder.path().join(umask);
            let done = Command::new("sh")
                .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")])
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", "fs::atomic::tests::a_new_file_respects_the_umask"])
                .env("METAMERS_TEST_UMASK", &path)
                .output()
                .unwrap();
            assert!(done.status.success());
            assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (b"whole".as_slice(), expected));
        }
    }

    #[test]
    fn a_replaced_file_keeps_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("private");
        fs::write(&path, "before").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        write(&path, b"after").unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (b"after".as_slice(), 0o600));
    }

    #[test]
    fn a_symlink_is_followed_and_kept() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (link, file) = (folder.path().join("link"), other.path().join("file"));
        let second = folder.path().join("second");
        symlink(&file, &link).unwrap();
        symlink("link", &second).unwrap();
        // First to a path that does not exist, then over the existing file.
        for content in ["one", "two"] {
            write(&second, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
        assert!(link.is_symlink() && second.is_symlink());
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
        let cycle = folder.path().join("cycle");
        symlink("cycle", &cycle).unwrap();
        assert!(write(&cycle, b"x").unwrap_err().to_string().contains("symlink loop"));
    }

    #[test]
    fn a_failed_write_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("is a folder");
        fs::create_dir(&path).unwrap();
        assert!(write(&path, b"x").unwrap_err().to_string().contains("is a folder"));
        assert!(write(&folder.path().join("no/such/folder"), b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
