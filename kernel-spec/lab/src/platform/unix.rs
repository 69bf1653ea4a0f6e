//! Unix, with macOS where it differs.

use super::{PackageManager, succeeds};
use anyhow::{Context, Result};
use std::fs::File;
use std::io;
use std::os::fd::IntoRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Environment variable with the directories in which programs find their libraries. cargo sets it for what it runs.
pub const LIBRARY_PATH_VAR: &str =
    if cfg!(target_os = "macos") { "DYLD_FALLBACK_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };

/// Becomes another program, so that signals reach it directly; returns only on failure.
pub fn replace_process(command: &mut Command) -> io::Error {
    command.exec()
}

/// Keeps a file's lock for as long as this process, or the one that replaces it, lives.
///
/// # Errors
/// If the system does not let the next program inherit the file.
pub fn keep_lock(file: File) -> io::Result<()> {
    let descriptor = file.into_raw_fd();
    // SAFETY: the descriptor is open, and is never closed by this process.
    if unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// True if the error of a lock says that the file system has no locks, or no service for them.
#[must_use]
pub fn is_lock_unsupported(error: &io::Error) -> bool {
    let has_code = |code| [libc::ENOLCK, libc::ENOSYS, libc::ENOTSUP, libc::EOPNOTSUPP].contains(&code);
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error().is_some_and(has_code)
}

/// The absolute path of a file, without links.
///
/// # Errors
/// If the file does not exist or cannot be reached.
pub fn real_path(path: &Path) -> io::Result<PathBuf> {
    path.canonicalize()
}

/// A program of a Python environment.
#[must_use]
pub fn environment_program(environment: &Path, name: &str) -> PathBuf {
    environment.join("bin").join(name)
}

/// The Python of the environment in which pip has installed a program.
#[must_use]
pub fn python_beside(program: &Path) -> PathBuf {
    program.with_file_name("python")
}

/// The user's Jupyter data directory, found as jupyter_core finds it.
///
/// # Errors
/// If HOME is not set.
pub fn jupyter_data_dir() -> Result<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || var("HOME").context("cannot find your Jupyter directory, because HOME is not set; use --prefix DIR");
    if cfg!(target_os = "macos") {
        return Ok(home()?.join("Library").join("Jupyter"));
    }
    let data = var("XDG_DATA_HOME").map_or_else(|| home().map(|home| home.join(".local").join("share")), Ok)?;
    Ok(data.join("jupyter"))
}

/// The free disk space at a path, in units of 2^20 bytes; `None` if the system does not say.
#[must_use]
pub fn free_megabytes(path: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(path).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let free: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(free / 1024)
}

/// True if Rust programs can be linked.
#[must_use]
pub fn has_linker() -> bool {
    succeeds("cc", &["--version"])
}

/// The system's package manager; `None` if it is none that we know.
#[must_use]
pub fn package_manager() -> Option<PackageManager> {
    if cfg!(target_os = "macos") {
        return Some(PackageManager::Homebrew);
    }
    if ["/etc/fedora-release", "/etc/redhat-release"].iter().any(|file| Path::new(file).exists()) {
        return Some(PackageManager::Dnf);
    }
    Path::new("/etc/debian_version").exists().then_some(PackageManager::Apt)
}
