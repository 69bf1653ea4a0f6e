//! Windows.

use super::PackageManager;
use anyhow::{Context, Result};
use std::fs::File;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::ptr::null_mut;
use windows_sys::Win32::Foundation::{ERROR_INVALID_FUNCTION, ERROR_NOT_SUPPORTED};
use windows_sys::Win32::Storage::FileSystem::GetDiskFreeSpaceExW;
use windows_sys::Win32::System::Console::SetConsoleCtrlHandler;
use windows_sys::core::BOOL;

/// Environment variable with the directories in which programs find their libraries. cargo changes it for what it runs.
pub const LIBRARY_PATH_VAR: &str = "PATH";
/// The start of a path without a maximum length, which `cmd` and some programs do not understand.
const VERBATIM: &str = r"\\?\";

/// Runs another program, and ends with its exit status; returns only if it cannot be started. Ctrl-C is left to the program.
pub fn replace_process(command: &mut Command) -> io::Error {
    unsafe extern "system" fn leave_to_child(_event: u32) -> BOOL {
        1
    }
    // SAFETY: the routine only returns a number, on any thread. A child does not inherit it.
    unsafe { SetConsoleCtrlHandler(Some(leave_to_child), 1) };
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}

/// Keeps a file's lock for as long as this process lives, which waits for the program that takes its place.
///
/// # Errors
/// None.
pub fn keep_lock(file: File) -> io::Result<()> {
    std::mem::forget(file);
    Ok(())
}

/// True if the error of a lock says that the file system has no locks.
#[must_use]
pub fn is_lock_unsupported(error: &io::Error) -> bool {
    let has_code = |code: i32| [ERROR_INVALID_FUNCTION, ERROR_NOT_SUPPORTED].contains(&code.cast_unsigned());
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error().is_some_and(has_code)
}

/// The absolute path of a file, without links and without the prefix `\\?\` that [`Path::canonicalize`] adds.
///
/// # Errors
/// If the file does not exist or cannot be reached.
pub fn real_path(path: &Path) -> io::Result<PathBuf> {
    path.canonicalize().map(|path| path.to_str().and_then(plain).unwrap_or(path))
}

/// A verbatim path in the usual form; `None` if it is in that form, or has none because it is too long.
fn plain(path: &str) -> Option<PathBuf> {
    let rest = path.strip_prefix(VERBATIM)?;
    let plain = match rest.strip_prefix(r"UNC\") {
        Some(share) => format!(r"\\{share}"),
        None if rest.get(1..3) == Some(r":\") => rest.to_owned(),
        None => return None,
    };
    // The limit of the usual form for directories; build directories are deep.
    (plain.len() < 248).then(|| plain.into())
}

/// A program of a Python environment.
#[must_use]
pub fn environment_program(environment: &Path, name: &str) -> PathBuf {
    environment.join("Scripts").join(super::program(name))
}

/// The Python of the environment in which pip has installed a program: beside it in a virtual environment, otherwise one directory above.
#[must_use]
pub fn python_beside(program: &Path) -> PathBuf {
    let beside = program.with_file_name("python.exe");
    if beside.exists() {
        return beside;
    }
    program.parent().and_then(Path::parent).map_or(beside, |prefix| prefix.join("python.exe"))
}

/// The user's Jupyter data directory, found as jupyter_core finds it.
///
/// # Errors
/// If APPDATA is not set.
pub fn jupyter_data_dir() -> Result<PathBuf> {
    let data = std::env::var_os("APPDATA").filter(|value| !value.is_empty());
    let data = data.context("cannot find your Jupyter directory, because APPDATA is not set; use --prefix DIR")?;
    Ok(PathBuf::from(data).join("jupyter"))
}

/// The free disk space at a path, in units of 2^20 bytes; `None` if the system does not say.
#[must_use]
pub fn free_megabytes(path: &Path) -> Option<u64> {
    let path: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    let mut free = 0;
    // SAFETY: `path` ends with a zero, `free` is a number of our own, and the other pointers may be null.
    let status = unsafe { GetDiskFreeSpaceExW(path.as_ptr(), &mut free, null_mut(), null_mut()) };
    (status != 0).then_some(free >> 20)
}

/// True if Rust programs can be linked. The linker of Visual Studio is not in PATH, so rustc is asked to link an empty library.
#[must_use]
pub fn has_linker() -> bool {
    let output = std::env::temp_dir().join(format!("metamers-probe-{}.dll", std::process::id()));
    let mut rustc = Command::new("rustc");
    rustc.args(["--crate-name", "probe", "--crate-type", "cdylib", "-o"]).arg(&output).arg("-");
    let status = rustc.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    for extension in ["dll", "dll.exp", "dll.lib", "pdb"] {
        let _ = std::fs::remove_file(output.with_extension(extension));
    }
    // Without rustc there is a better error than that of a missing linker.
    status.map_or(true, |status| status.success())
}

/// The system's package manager.
#[must_use]
pub fn package_manager() -> Option<PackageManager> {
    Some(PackageManager::Winget)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbatim_paths_get_their_usual_form() {
        let plain = |path: &str| plain(path).map(|path| path.to_str().unwrap().to_owned());
        assert_eq!(plain(r"\\?\C:\Users\Jörg Müller\m").as_deref(), Some(r"C:\Users\Jörg Müller\m"));
        assert_eq!(plain(r"\\?\UNC\server\share\m").as_deref(), Some(r"\\server\share\m"));
        assert_eq!(plain(r"C:\m"), None);
        assert_eq!(plain(r"\\?\Volume{1}\m"), None);
        assert_eq!(plain(&format!(r"\\?\C:\{}", "a".repeat(300))), None);
        let here = std::env::current_dir().unwrap();
        assert!(!real_path(&here).unwrap().to_str().unwrap().starts_with(VERBATIM));
    }

    #[test]
    fn a_disk_has_free_space() {
        assert!(free_megabytes(&std::env::temp_dir()).unwrap() > 0);
        assert_eq!(free_megabytes(Path::new(r"C:\no\such\folder")), None);
    }
}
