//! The sources of Rust's standard library, from which the kernel infers the types of variables.

use crate::prerequisite::Prerequisite;
use crate::status::print_status;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const RUST_SRC: Prerequisite = Prerequisite {
    name: "the package with the sources of Rust's standard library",
    debian: "sudo apt install rust-src",
    fedora: "sudo dnf install rust-src",
    macos: "brew install rustup && rustup default stable",
    windows: "winget install Rustlang.Rustup",
};

/// Adds the component rust-src to the active toolchain if it is missing and Rust comes from rustup.
///
/// Only the toolchain that compiles the project is changed, and only by this component. `tool` makes the command for `rustc` and for
/// `rustup`.
///
/// # Errors
/// If rustc is missing, if rustup cannot add the component, or if the sources are missing and Rust does not come from rustup: the error
/// then names the distribution's package.
pub fn ensure_rust_src(tool: impl Fn(&str) -> Command) -> Result<()> {
    if std::env::var_os("RUST_SRC_PATH").is_some_and(|path| !path.is_empty()) {
        return Ok(());
    }
    let output = tool("rustc").args(["--print", "sysroot"]).output();
    let output = output.context("rustc is missing; install Rust as described at https://rustup.rs")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if has_rust_src(&sysroot) {
        return Ok(());
    }
    let Some(toolchain) = rustup_toolchain(&sysroot) else { bail!(RUST_SRC.install_advice()) };
    let mut rustup = tool("rustup");
    rustup.args(["component", "add", "rust-src", "--toolchain", &toolchain]).stdin(Stdio::null());
    print_status("Adding", &format!("rust-src (3 MB) to {toolchain}, from which the kernel infers types"));
    // Another process may have added it at the same time, so the sources decide and not the exit status.
    let status = rustup.status();
    if has_rust_src(&sysroot) {
        return Ok(());
    }
    let reason = match status {
        Ok(status) => format!("rustup ended with {status}; check the network connection"),
        Err(error) => format!("cannot run rustup: {error}"),
    };
    bail!("cannot add the sources of Rust's standard library ({reason}); try\n  rustup component add rust-src")
}

fn has_rust_src(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib/src/rust/library").is_dir()
}

/// The name of the rustup toolchain in this directory; rustup keeps them in a directory `toolchains`.
fn rustup_toolchain(sysroot: &Path) -> Option<String> {
    let is_rustups = sysroot.parent()?.file_name()? == "toolchains";
    is_rustups.then(|| sysroot.file_name()?.to_str().map(str::to_owned)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_toolchain_is_named_after_its_directory() {
        let rustups = Path::new("/home/a b/.rustup/toolchains/stable-x86_64-unknown-linux-gnu");
        assert_eq!(rustup_toolchain(rustups).as_deref(), Some("stable-x86_64-unknown-linux-gnu"));
        assert_eq!(rustup_toolchain(Path::new("/usr")), None);
        assert_eq!(rustup_toolchain(Path::new("/")), None);
    }
}
