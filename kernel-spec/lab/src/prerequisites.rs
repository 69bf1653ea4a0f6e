//! What has to be there already, and how to get what is not.

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The kernel's build, the notebook template and the Python packages together.
const NEEDED_MEGABYTES: u64 = 4000;
const PYTHON: Missing = Missing {
    what: "Python 3.9 or newer with venv",
    debian: "sudo apt install python3 python3-venv",
    fedora: "sudo dnf install python3",
    macos: "brew install python",
};
const COMPILER: Missing = Missing {
    what: "a C compiler and linker (cc)",
    debian: "sudo apt install build-essential",
    fedora: "sudo dnf install gcc",
    macos: "xcode-select --install",
};

struct Missing {
    what: &'static str,
    debian: &'static str,
    fedora: &'static str,
    macos: &'static str,
}

impl Missing {
    fn advice(&self) -> String {
        let line = if cfg!(target_os = "macos") {
            self.macos
        } else if Path::new("/etc/fedora-release").exists() || Path::new("/etc/redhat-release").exists() {
            self.fedora
        } else if Path::new("/etc/debian_version").exists() {
            self.debian
        } else {
            return format!(
                "{} is missing; install it with\n  Debian, Ubuntu: {}\n  Fedora: {}\n  macOS: {}",
                self.what, self.debian, self.fedora, self.macos
            );
        };
        format!("{} is missing; install it with\n  {line}", self.what)
    }
}

/// Fails with what to do if something is missing.
pub fn prerequisites(root: &Path) -> Result<()> {
    if !quiet("cc", &["--version"]) {
        bail!(COMPILER.advice());
    }
    python()?;
    standard_library_source()?;
    writable(root)?;
    let built = root.join("target/release/metamers-kernel").exists();
    if let Some(free) = free_megabytes(root).filter(|&free| !built && free < NEEDED_MEGABYTES) {
        bail!("{} MB are free here, and the set-up needs about {NEEDED_MEGABYTES} MB; make room and try again", free);
    }
    Ok(())
}

/// Everything that is made goes below the project and nowhere else.
fn writable(root: &Path) -> Result<()> {
    let target = root.join("target");
    let probe = target.join(format!("writable-{}", std::process::id()));
    let written = std::fs::create_dir_all(&target).and_then(|()| std::fs::write(&probe, ""));
    let _ = std::fs::remove_file(&probe);
    match written {
        Ok(()) => Ok(()),
        Err(error) => {
            bail!("{} cannot be written to: {error}; work in a copy of the project that is yours", target.display())
        }
    }
}

/// Whether JupyterLab can have this port, which it was told to use.
pub fn port(port: u16) -> Result<()> {
    match std::net::TcpListener::bind(("127.0.0.1", port)) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("port {port} is in use by another program; leave --port away, or choose another one")
        }
        _ => Ok(()),
    }
}

/// The Python that makes the virtual environment.
pub fn python() -> Result<PathBuf> {
    const PROBE: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))";
    for name in ["python3", "python", "python3.13", "python3.12", "python3.11", "python3.10", "python3.9"] {
        if quiet(name, &["-c", PROBE]) {
            return Ok(name.into());
        }
    }
    bail!(PYTHON.advice())
}

/// The kernel finds out the types of variables with the sources of the standard library.
fn standard_library_source() -> Result<()> {
    let Ok(output) = Command::new("rustc").args(["--print", "sysroot"]).output() else {
        bail!("rustc is missing; install Rust with the line at https://rustup.rs");
    };
    let library = Path::new(String::from_utf8_lossy(&output.stdout).trim()).join("lib/rustlib/src/rust/library");
    if library.is_dir() || std::env::var_os("RUST_SRC_PATH").is_some() {
        return Ok(());
    }
    bail!(
        "the sources of Rust's standard library are missing; install them with\n  rustup component add rust-src\n\
         or, where Rust does not come from rustup, with the package rust-src"
    )
}

fn free_megabytes(path: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(path).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let free: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(free / 1024)
}

fn quiet(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_written_to_is_said_with_its_name() {
        let root = std::env::temp_dir().join(format!("metamers-writable-{}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        writable(&root).unwrap();
        let left = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
        assert_eq!((left(&root), left(&root.join("target"))), (1, 0), "nothing is left of the probe");
        // Also for root, whom no permissions stop.
        std::fs::remove_dir_all(root.join("target")).unwrap();
        std::fs::write(root.join("target"), "a file").unwrap();
        let error = writable(&root).unwrap_err().to_string();
        let target = root.join("target").display().to_string();
        assert!(error.starts_with(&format!("{target} cannot be written to: ")), "{error}");
        assert!(error.contains("a copy of the project that is yours"), "{error}");
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_port_in_use_is_said_before_anything_is_started() {
        let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let number = taken.local_addr().unwrap().port();
        assert!(port(number).unwrap_err().to_string().contains("in use"));
        drop(taken);
        port(number).unwrap();
    }
}
