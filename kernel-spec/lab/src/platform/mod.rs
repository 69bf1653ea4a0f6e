//! Programs and paths, which differ between operating systems. The two halves, `unix` and `windows`, have the same functions.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
pub use windows::*;

use std::env::consts::EXE_SUFFIX;
use std::io;
use std::process::{Command, ExitCode, Stdio};

/// The source of installable packages of a system.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PackageManager {
    /// Debian and Ubuntu.
    Apt,
    /// Fedora.
    Dnf,
    /// macOS.
    Homebrew,
    /// Windows.
    Winget,
}

/// The file name of a program.
#[must_use]
pub fn program(name: &str) -> String {
    format!("{name}{EXE_SUFFIX}")
}

/// Runs a program without output; returns true if it succeeds.
#[must_use]
pub fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Becomes another program, as [`replace_process`]; `action` names it in the error.
pub(crate) fn become_program(command: &mut Command, action: &str) -> anyhow::Result<ExitCode> {
    let error: io::Error = replace_process(command);
    anyhow::bail!("cannot {action}: {error}")
}
