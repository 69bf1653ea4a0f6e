//! The kernel spec: what Jupyter reads to offer "Rust (metamers)".

use crate::Project;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

const LOGOS: [(&str, &[u8]); 3] = [
    ("logo-32x32.png", include_bytes!("../../logo/logo-32x32.png")),
    ("logo-64x64.png", include_bytes!("../../logo/logo-64x64.png")),
    ("logo-svg.svg", include_bytes!("../../logo/logo-svg.svg")),
];

/// Which Jupyter the kernel is offered to.
pub enum Place {
    /// All of the user's.
    User,
    /// The one in this folder.
    Prefix(PathBuf),
}

impl Place {
    /// Installs the kernel spec; the folder it is in.
    pub fn install(&self, project: &Project) -> Result<PathBuf> {
        if !project.kernel().exists() {
            bail!("the kernel is not built yet; `cargo lab --setup` builds it");
        }
        let folder = self.folder()?;
        install(&folder, &project.root, &project.kernel())?;
        Ok(folder)
    }

    /// Removes the kernel spec; the folder it was in.
    pub fn uninstall(&self) -> Result<PathBuf> {
        let folder = self.folder()?;
        if !folder.join("kernel.json").exists() {
            bail!("the kernel is not installed in {}", folder.display());
        }
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        Ok(folder)
    }

    fn folder(&self) -> Result<PathBuf> {
        let data = match self {
            Place::Prefix(prefix) => prefix.join("share").join("jupyter"),
            Place::User => user_data()?,
        };
        Ok(data.join("kernels").join("metamers"))
    }
}

/// The folder in which all of the user's Jupyter installations look, as jupyter_core finds it.
fn user_data() -> Result<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || named("HOME").context("HOME is not set, so your Jupyter folder cannot be found; use --prefix");
    if let Some(folder) = named("JUPYTER_DATA_DIR") {
        return Ok(folder);
    }
    if cfg!(target_os = "macos") {
        return Ok(home()?.join("Library").join("Jupyter"));
    }
    let data = named("XDG_DATA_HOME").map_or_else(|| home().map(|home| home.join(".local").join("share")), Ok)?;
    Ok(data.join("jupyter"))
}

/// Writes the spec into a folder; whether anything had to be written.
pub fn install(folder: &Path, root: &Path, kernel: &Path) -> Result<bool> {
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
        let path = folder.join(name);
        if fs::read(&path).is_ok_and(|old| old == content) {
            continue;
        }
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        written = true;
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_can_be_removed_and_a_second_time_is_an_error() {
        let root = std::env::temp_dir().join(format!("metamers-lab-{}", std::process::id()));
        let project = Project { root: root.clone() };
        let place = Place::Prefix(root.join("prefix"));
        assert!(place.install(&project).unwrap_err().to_string().contains("not built"));
        fs::create_dir_all(project.kernel().parent().unwrap()).unwrap();
        fs::write(project.kernel(), "").unwrap();
        let folder = place.install(&project).unwrap();
        assert!(folder.ends_with("prefix/share/jupyter/kernels/metamers"));
        let spec: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("kernel.json")).unwrap()).unwrap();
        assert_eq!(spec["argv"][0], project.kernel().to_str().unwrap());
        assert_eq!(spec["interrupt_mode"], "message");
        assert_eq!(place.uninstall().unwrap(), folder);
        assert!(!folder.exists());
        assert!(place.uninstall().unwrap_err().to_string().contains("not installed"));
        fs::remove_dir_all(root).unwrap();
    }
}
