//! Atomic file writes: a file appears complete or not at all.

use std::fs::TryLockError;
use std::io::{Error as IoError, ErrorKind, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::strays;
use crate::{Error, Result, platform};

/// Maximum symlink depth before a loop is assumed; Linux has the same limit.
const MAX_LINKS: usize = 40;
/// Attempts to write the temporary file, which another process may take for a stray on file systems whose locks are local.
const MAX_ATTEMPTS: usize = 3;

/// Writes a file atomically: writes a temporary file in the same folder, then renames it, so that no reader sees an incomplete file, even
/// after a crash. Also removes the temporary files that killed processes left in the folder.
///
/// A symlink is followed and stays a symlink. An existing file keeps its permissions. Devices, pipes and sockets are not replaced.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e: IoError| Error::file(path, format!("cannot write the file ({e})")).with_source(e);
    let target = resolve_links(path).map_err(failed)?;
    if std::fs::metadata(&target).is_ok_and(|existing| !existing.is_file() && !existing.is_dir()) {
        return Err(Error::file(
            path,
            "is a device, a pipe or a socket, which a file would replace; save to another path",
        ));
    }
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    strays::remove(folder);
    let mut attempts = 1;
    loop {
        match replace(&target, folder, bytes) {
            Err(e) if e.kind() == ErrorKind::NotFound && folder.is_dir() && attempts < MAX_ATTEMPTS => attempts += 1,
            result => return result.map_err(failed),
        }
    }
}

/// Writes a temporary file in `folder` and renames it to `target`.
fn replace(target: &Path, folder: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = create_locked(folder)?;
    file.write_all(bytes)?;
    if let Ok(existing) = std::fs::metadata(target) {
        file.as_file().set_permissions(existing.permissions())?;
    }
    file.as_file().sync_all()?;
    if platform::LOCKS_ARE_MANDATORY {
        // A reader would fail. If another process takes the file for a stray now, the write is repeated.
        let _ = file.as_file().unlock();
    }
    // The lock ends when the file is closed, after it has its name.
    let _file = file.persist(target).map_err(|e| e.error)?;
    platform::sync_folder(folder)
}

/// Creates a temporary file whose lock tells other processes that its writer lives.
fn create_locked(folder: &Path) -> std::io::Result<NamedTempFile> {
    loop {
        let mut builder = tempfile::Builder::new();
        platform::set_usual_mode(&mut builder);
        let file = builder.prefix(strays::PREFIX).tempfile_in(folder)?;
        match file.as_file().try_lock() {
            // A search for strays was faster and removes it.
            Err(TryLockError::WouldBlock) => {}
            Ok(()) if !file.path().exists() => {}
            // On a file system without locks, no process takes it for a stray either.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
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
    Err(IoError::other("symlink loop"))
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
    fn a_device_or_a_pipe_behind_a_link_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        symlink(&pipe, &link).unwrap();
        let device = folder.path().join("device");
        symlink("/dev/null", &device).unwrap();
        for path in [&pipe, &link, &device] {
            let message = write(path, b"x").unwrap_err().to_string();
            assert!(message.contains("is a device, a pipe or a socket"), "{message}");
        }
        assert!(!fs::metadata(&pipe).unwrap().is_file() && !fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn the_next_write_removes_what_a_killed_process_left() {
        // The child is killed while it holds its temporary file.
        if let Some(folder) = std::env::var_os("METAMERS_TEST_KILLED") {
            let mut file = create_locked(Path::new(&folder)).unwrap();
            file.write_all(b"half").unwrap();
            fs::write(Path::new(&folder).join("ready"), "").unwrap();
            std::thread::sleep(std::time::Duration::from_secs(60));
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let strays = || {
            let names = fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.file_name());
            names.filter(|name| name.to_string_lossy().starts_with(strays::PREFIX)).count()
        };
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "fs::atomic::tests::the_next_write_removes_what_a_killed_process_left"])
            .env("METAMERS_TEST_KILLED", folder.path())
            .spawn()
            .unwrap();
        while !folder.path().join("ready").exists() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let path = folder.path().join("file");
        write(&path, b"one").unwrap();
        assert_eq!(strays(), 1, "a writer that lives keeps its file");
        child.kill().unwrap();
        child.wait().unwrap();
        // A folder is not searched again at once.
        let start = std::time::Instant::now();
        while strays() > 0 && start.elapsed().as_secs() < 10 {
            write(&path, b"two").unwrap();
        }
        assert_eq!((strays(), fs::read(&path).unwrap().as_slice()), (0, b"two".as_slice()));
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
