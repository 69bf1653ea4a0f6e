//! JupyterLab, and notebooks without it.

use crate::{Project, prerequisites, say};
use anyhow::{Context, Result, bail};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Notebooks to run.
pub struct Run {
    /// Them.
    pub notebooks: Vec<PathBuf>,
    /// The folder for executed copies; without it the notebooks themselves get their outputs.
    pub out: Option<PathBuf>,
    /// Seconds that one cell may take.
    pub timeout: Option<u32>,
    /// Whether what ran before a failure is saved.
    pub keep: bool,
}

/// Sets up and opens JupyterLab on the notebooks; returns only if that fails.
pub fn lab(project: &Project, arguments: &[String]) -> Result<ExitCode> {
    if let Some(port) = port(arguments) {
        prerequisites::port(port)?;
    }
    project.set_up()?;
    say("Opening", "JupyterLab; Ctrl-C here ends it");
    let folder = project.root.join("notebooks");
    std::fs::create_dir_all(&folder)?;
    let mut jupyter = project.python();
    jupyter.args(["-m", "jupyter", "lab", "--ServerApp.answer_yes=True"]).args(arguments).current_dir(folder);
    // From here on this process is Jupyter's: signals reach it directly.
    bail!("JupyterLab did not start: {}", jupyter.exec())
}

/// Sets up and runs notebooks; returns only if that fails.
pub fn run(project: &Project, run: &Run) -> Result<ExitCode> {
    let notebooks = crate::notebook_paths::notebooks(&run.notebooks)?;
    project.set_up()?;
    let mut runner = project.python();
    runner.arg(project.root.join("kernel-spec/lab/run_notebook.py")).args(notebooks);
    if let Some(seconds) = run.timeout {
        runner.arg("--timeout").arg(seconds.to_string());
    }
    if run.keep {
        runner.arg("--keep");
    }
    if let Some(folder) = &run.out {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        runner.arg("--out").arg(folder);
    }
    bail!("the notebooks could not be run: {}", runner.exec())
}

/// Makes pages of notebooks, beside them or in a folder, one alone also under another name; returns only if that fails.
pub fn export(project: &Project, notebooks: &[PathBuf], out: Option<&Path>) -> Result<ExitCode> {
    let notebooks = crate::notebook_paths::notebooks(notebooks)?;
    project.install_packages()?;
    let mut exporter = project.python();
    exporter.arg(project.root.join("kernel-spec/lab/export_notebook.py")).args(notebooks);
    if let Some(out) = out {
        exporter.arg("--out").arg(out);
    }
    bail!("the page could not be made: {}", exporter.exec())
}

/// Takes the outputs out of notebooks; returns only if that fails.
pub fn strip(project: &Project, notebooks: &[PathBuf]) -> Result<ExitCode> {
    with_python_alone(project, "strip_notebooks.py", &crate::notebook_paths::notebooks(notebooks)?)
}

/// Says how large notebooks are, those of the project if none are named; returns only if that fails.
pub fn sizes(project: &Project, notebooks: &[PathBuf]) -> Result<ExitCode> {
    let all = [project.root.join("notebooks")];
    let notebooks = if notebooks.is_empty() { &all } else { notebooks };
    with_python_alone(project, "notebook_sizes.py", &crate::notebook_paths::notebooks(notebooks)?)
}

/// These scripts need no package, so nothing has to be set up before.
fn with_python_alone(project: &Project, script: &str, notebooks: &[PathBuf]) -> Result<ExitCode> {
    let mut python = Command::new(prerequisites::python()?);
    python.env_remove("PYTHONPATH").env_remove("PYTHONHOME").env("PYTHONDONTWRITEBYTECODE", "1");
    python.arg(project.root.join("kernel-spec/lab").join(script)).args(notebooks);
    bail!("Python could not be started: {}", python.exec())
}

/// The port that JupyterLab was told to use. Told nothing, it looks for a free one itself.
fn port(arguments: &[String]) -> Option<u16> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        for name in ["--port", "--ServerApp.port"] {
            if argument == name {
                return rest.next()?.parse().ok();
            }
            if let Some(port) = argument.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) {
                return port.parse().ok();
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_however_it_is_given() {
        let port = |text: &str| port(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(port("--no-browser --port 9000"), Some(9000));
        assert_eq!(port("--port=9001"), Some(9001));
        assert_eq!(port("--ServerApp.port=9002 --ip 0.0.0.0"), Some(9002));
        assert_eq!(port("--no-browser"), None);
        assert_eq!(port("--port"), None);
    }
}
