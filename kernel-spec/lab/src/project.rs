//! The steps from a fresh clone to a kernel in JupyterLab, each skipped when it has been done.

use crate::{kernel_spec, prerequisites, say};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const REQUIREMENTS: &str = include_str!("../requirements.txt");

/// The project.
pub struct Project {
    /// Its root.
    pub root: PathBuf,
}

impl Project {
    /// The project that this program was built in.
    pub fn find() -> Result<Project> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let root = root.canonicalize().context("the project has moved; run `cargo lab` inside it again")?;
        Ok(Project { root })
    }

    fn venv(&self) -> PathBuf {
        self.root.join(".venv")
    }

    /// The kernel, when it has been built.
    pub fn kernel(&self) -> PathBuf {
        self.root.join("target/release/metamers-kernel")
    }

    /// The project's own Python.
    pub fn python(&self) -> Command {
        let mut python = Command::new(self.venv().join("bin/python"));
        // Another environment that happens to be active must not leak in, and this kernel comes before others of its name.
        python.env_remove("PYTHONPATH").env_remove("PYTHONHOME").env("JUPYTER_PREFER_ENV_PATH", "1");
        python.env("VIRTUAL_ENV", self.venv());
        python
    }

    /// Does all steps.
    pub fn set_up(&self) -> Result<()> {
        prerequisites::prerequisites(&self.root)?;
        self.install_packages()?;
        self.without_news()?;
        self.build_kernel()?;
        self.warm()?;
        let folder = self.venv().join("share/jupyter/kernels/metamers");
        if kernel_spec::install(&folder, &self.root, &self.kernel())? {
            say("Installed", "the kernel \"Rust (metamers)\" in .venv");
        }
        Ok(())
    }

    /// Makes the virtual environment.
    pub fn install_packages(&self) -> Result<()> {
        let stamp = self.venv().join("metamers-requirements.txt");
        let works = self.venv().join("bin/python").exists();
        if works && fs::read_to_string(&stamp).is_ok_and(|installed| installed == REQUIREMENTS) {
            return Ok(());
        }
        say("Installing", "JupyterLab and what it needs into .venv (about a minute)");
        let mut make = Command::new(prerequisites::python()?);
        succeed(make.args(["-m", "venv", "--clear"]).arg(self.venv()), "the virtual environment could not be made")?;
        let mut install = self.python();
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--requirement"]);
        install.arg(self.root.join("kernel-spec/lab/requirements.txt"));
        succeed(&mut install, "the Python packages could not be installed; is there a network?")?;
        fs::write(&stamp, REQUIREMENTS).with_context(|| format!("cannot write {}", stamp.display()))
    }

    /// JupyterLab asks newcomers whether it may fetch news about itself; here that stands between them and the first notebook.
    fn without_news(&self) -> Result<()> {
        let path = self.venv().join("etc/jupyter/labconfig/page_config.json");
        let wanted = json!({ "disabledExtensions": { "@jupyterlab/apputils-extension:announcements": true } });
        let text = format!("{wanted:#}\n");
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(&self.root);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, text));
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    fn build_kernel(&self) -> Result<()> {
        if !self.kernel().exists() {
            say("Building", "the kernel; the first time takes about ten minutes on two cores");
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build
            .args(["build", "--release", "--package", "metamers-kernel", "--target-dir"])
            .arg(self.root.join("target"));
        build.current_dir(&self.root);
        succeed(&mut build, "the kernel could not be built; if cargo could not download something: is there a network?")
    }

    fn warm(&self) -> Result<()> {
        let task = |task: &[&str]| {
            let mut command = Command::new(self.kernel());
            command.args(task).env("METAMERS_HOME", &self.root).current_dir(&self.root);
            command
        };
        if task(&["warm", "--check"]).status().is_ok_and(|status| status.success()) {
            return Ok(());
        }
        say("Compiling", "metamers for notebooks; the first time takes about four minutes on two cores");
        succeed(&mut task(&["warm"]), "metamers could not be compiled for notebooks")
    }
}

fn succeed(command: &mut Command, otherwise: &str) -> Result<()> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => bail!("{otherwise}"),
        Err(error) => bail!("{otherwise}: {}: {error}", command.get_program().to_string_lossy()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_that_cannot_be_fetched_are_said_plainly_and_tried_again() {
        let root = std::env::temp_dir().join(format!("metamers-no-network-{}", std::process::id()));
        fs::create_dir_all(root.join("kernel-spec/lab")).unwrap();
        // pip is told not to ask anyone: the same as no network, at once.
        let unreachable = "--no-index\njupyterlab==4.0.0\n";
        fs::write(root.join("kernel-spec/lab/requirements.txt"), unreachable).unwrap();
        let project = Project { root: root.clone() };
        for _ in 0..2 {
            let error = project.install_packages().unwrap_err().to_string();
            assert!(error.contains("could not be installed; is there a network?"), "{error}");
        }
        fs::remove_dir_all(root).unwrap();
    }
}
