//! Installation of the kernel spec, the directory from which Jupyter learns about the kernel.

use crate::platform;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

const LOGOS: [(&str, &[u8]); 3] = [
    ("logo-32x32.png", include_bytes!("../../logo/logo-32x32.png")),
    ("logo-64x64.png", include_bytes!("../../logo/logo-64x64.png")),
    ("logo-svg.svg", include_bytes!("../../logo/logo-svg.svg")),
];

/// The Jupyter installations that the kernel spec is for.
pub enum KernelSpecLocation {
    /// All installations of the user.
    User,
    /// The installation in this directory.
    Prefix(PathBuf),
}

impl KernelSpecLocation {
    /// Writes the kernel spec for the project at `root`; returns its directory.
    pub fn install(&self, root: &Path, kernel: &Path) -> Result<PathBuf> {
        if !kernel.exists() {
            bail!("the kernel is not built; run `cargo lab --setup` first");
        }
        let dir = self.dir()?;
        write_kernel_spec(&dir, root, kernel)?;
        Ok(dir)
    }

    /// Removes the kernel spec; returns its directory.
    pub fn uninstall(&self) -> Result<PathBuf> {
        let dir = self.dir()?;
        if !dir.join("kernel.json").exists() {
            bail!("the kernel is not installed in {}", dir.display());
        }
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        Ok(dir)
    }

    fn dir(&self) -> Result<PathBuf> {
        let data = match self {
            KernelSpecLocation::Prefix(prefix) => prefix.join("share").join("jupyter"),
            KernelSpecLocation::User => user_data_dir()?,
        };
        Ok(data.join("kernels").join("metamers"))
    }
}

/// The user's Jupyter data directory, found as jupyter_core finds it.
fn user_data_dir() -> Result<PathBuf> {
    match std::env::var_os("JUPYTER_DATA_DIR").filter(|value| !value.is_empty()) {
        Some(dir) => Ok(dir.into()),
        None => platform::jupyter_data_dir(),
    }
}

/// Writes the kernel spec into a directory; returns false if it was up to date.
pub fn write_kernel_spec(dir: &Path, root: &Path, kernel: &Path) -> Result<bool> {
    let spec = json!({
        "argv": [kernel, "--connection", "{connection_file}"],
        "display_name": "Rust (metamers)",
        "language": "rust",
        "interrupt_mode": "message",
        "env": { "METAMERS_HOME": root },
        "metadata": { "debugger": false },
    });
    let mut text = serde_json::to_string_pretty(&spec)?;
    text.push('\n');
    let files = LOGOS.into_iter().chain([("kernel.json", text.as_bytes())]);
    let mut written = false;
    for (name, content) in files {
        let path = dir.join(name);
        if fs::read(&path).is_ok_and(|old| old == content) {
            continue;
        }
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        written = true;
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_spec_can_be_removed_once() {
        let root = std::env::temp_dir().join(format!("metamers-lab-{}", std::process::id()));
        let kernel = root.join("target/release/metamers-kernel");
        let location = KernelSpecLocation::Prefix(root.join("prefix"));
        assert!(location.install(&root, &kernel).unwrap_err().to_string().contains("not built"));
        fs::create_dir_all(kernel.parent().unwrap()).unwrap();
        fs::write(&kernel, "").unwrap();
        let dir = location.install(&root, &kernel).unwrap();
        assert!(dir.ends_with("prefix/share/jupyter/kernels/metamers"));
        let spec: serde_json::Value = serde_json::from_slice(&fs::read(dir.join("kernel.json")).unwrap()).unwrap();
        assert_eq!(spec["argv"][0], kernel.to_str().unwrap());
        assert_eq!(spec["interrupt_mode"], "message");
        assert_eq!(location.uninstall().unwrap(), dir);
        assert!(!dir.exists());
        assert!(location.uninstall().unwrap_err().to_string().contains("not installed"));
        fs::remove_dir_all(root).unwrap();
    }
}
