//! Checks for the programs and resources that the set-up needs.

use crate::platform::{free_megabytes, has_linker, program, succeeds};
use crate::prerequisite::Prerequisite;
use crate::rust_src::ensure_rust_src;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Disk space for the kernel's build, the notebook template and the Python packages.
const MIN_FREE_MEGABYTES: u64 = 4000;
const PYTHON: Prerequisite = Prerequisite {
    name: "Python 3.9 or newer with venv",
    debian: "sudo apt install python3 python3-venv",
    fedora: "sudo dnf install python3",
    macos: "brew install python",
    windows: "winget install Python.Python.3.13",
};
const COMPILER: Prerequisite = Prerequisite {
    name: "a C compiler and linker (cc)",
    debian: "sudo apt install build-essential",
    fedora: "sudo dnf install gcc",
    macos: "xcode-select --install",
    windows: "winget install Microsoft.VisualStudio.2022.BuildTools --override \"--passive --add Microsoft.VisualStudio.Workload.VCTools \
              --includeRecommended\"",
};

/// Checks all prerequisites and adds rust-src if it is missing; the error for another missing one says how to install it.
pub fn check_prerequisites(root: &Path) -> Result<()> {
    check_compiler()?;
    find_python()?;
    ensure_rust_src(|name| Command::new(name))?;
    check_writable(root)?;
    let built = root.join("target/release").join(program("metamers-kernel")).exists();
    if let Some(free) = free_megabytes(root).filter(|&free| !built && free < MIN_FREE_MEGABYTES) {
        bail!(
            "the set-up needs about {MIN_FREE_MEGABYTES} MB of disk space, and {free} MB are free in {}; free some space and \
             try again",
            root.display()
        );
    }
    Ok(())
}

/// Checks what compiling for notebooks needs: a linker, and Rust with the sources of its library, which are added if they are missing.
pub fn check_build_tools() -> Result<()> {
    check_compiler()?;
    ensure_rust_src(|name| Command::new(name))
}

fn check_compiler() -> Result<()> {
    anyhow::ensure!(has_linker(), COMPILER.install_advice());
    Ok(())
}

/// Checks that the target directory is writable; all build products go there.
fn check_writable(root: &Path) -> Result<()> {
    let target = root.join("target");
    let probe = target.join(format!("writable-{}", std::process::id()));
    let written = std::fs::create_dir_all(&target).and_then(|()| std::fs::write(&probe, ""));
    let _ = std::fs::remove_file(&probe);
    match written {
        Ok(()) => Ok(()),
        Err(error) => {
            bail!("cannot write to {}: {error}; use a copy of the project that you own", target.display())
        }
    }
}

/// Checks that the port for JupyterLab is free.
pub fn check_port(port: u16) -> Result<()> {
    match std::net::TcpListener::bind(("127.0.0.1", port)) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("port {port} is in use by another program; omit --port or choose another one")
        }
        _ => Ok(()),
    }
}

/// Finds a Python that can create the virtual environment.
pub fn find_python() -> Result<PathBuf> {
    const PROBE: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))";
    for name in ["python3", "python", "python3.13", "python3.12", "python3.11", "python3.10", "python3.9", "py"] {
        if succeeds(name, &["-c", PROBE]) {
            return Ok(name.into());
        }
    }
    bail!(PYTHON.install_advice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_for_a_read_only_directory_names_it() {
        let root = std::env::temp_dir().join(format!("metamers-writable-{}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        check_writable(&root).unwrap();
        let entries = |dir: &Path| std::fs::read_dir(dir).unwrap().count();
        assert_eq!((entries(&root), entries(&root.join("target"))), (1, 0), "the probe file is removed");
        // A file in the place of the directory, because permissions do not stop root.
        std::fs::remove_dir_all(root.join("target")).unwrap();
        std::fs::write(root.join("target"), "a file").unwrap();
        let error = check_writable(&root).unwrap_err().to_string();
        let target = root.join("target").display().to_string();
        assert!(error.starts_with(&format!("cannot write to {target}: ")), "{error}");
        assert!(error.contains("a copy of the project that you own"), "{error}");
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_port_in_use_is_an_error() {
        let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let number = taken.local_addr().unwrap().port();
        assert!(check_port(number).unwrap_err().to_string().contains("in use"));
        drop(taken);
        check_port(number).unwrap();
    }
}
