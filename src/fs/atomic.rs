//! Writing files that are whole or not there.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// More links than these one behind the other are a circle.
const MOST_LINKS: usize = 40;

/// Writes beside the target and renames, so that a reader or a crash never sees half a file.
///
/// A link stays a link: what it leads to is written.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e: std::io::Error| Error::file(path, format!("cannot be written ({e})")).with_source(e);
    let target = target(path).map_err(failed)?;
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    // As for any new file, the system takes away what the person's umask forbids.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.prefix(".metamers-").tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    if let Ok(before) = std::fs::metadata(&target) {
        file.as_file().set_permissions(before.permissions()).map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&target).map_err(|e| failed(e.error))?;
    Ok(())
}

/// Where links lead in the end, whether something is there or not.
fn target(path: &Path) -> std::io::Result<PathBuf> {
    let mut target = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match std::fs::read_link(&target) {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(std::io::Error::other("links lead in a circle"))
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
    fn a_file_is_as_readable_as_any_new_one() {
        // A umask belongs to the process, so this test runs itself in processes of their own.
        if let Some(path) = std::env::var_os("METAMERS_TEST_UMASK") {
            return write(Path::new(&path), b"whole").unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        for (umask, expected) in [("027", 0o640), ("077", 0o600), ("002", 0o664)] {
            let path = folder.path().join(umask);
            let done = Command::new("sh")
                .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")])
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", "fs::atomic::tests::a_file_is_as_readable_as_any_new_one"])
                .env("METAMERS_TEST_UMASK", &path)
                .output()
                .unwrap();
            assert!(done.status.success());
            assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (b"whole".as_slice(), expected));
        }
    }

    #[test]
    fn a_file_that_is_replaced_stays_as_readable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("private");
        fs::write(&path, "before").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        write(&path, b"after").unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (b"after".as_slice(), 0o600));
    }

    #[test]
    fn a_link_leads_to_what_is_written() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (link, file) = (folder.path().join("link"), other.path().join("file"));
        let second = folder.path().join("second");
        symlink(&file, &link).unwrap();
        symlink("link", &second).unwrap();
        // First to where nothing is yet, then over what is there.
        for content in ["one", "two"] {
            write(&second, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
        assert!(link.is_symlink() && second.is_symlink());
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
        let circle = folder.path().join("circle");
        symlink("circle", &circle).unwrap();
        assert!(write(&circle, b"x").unwrap_err().to_string().contains("circle"));
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("is a folder");
        fs::create_dir(&path).unwrap();
        assert!(write(&path, b"x").unwrap_err().to_string().contains("is a folder"));
        assert!(write(&folder.path().join("no/such/folder"), b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
