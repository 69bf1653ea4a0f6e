//! Commands that run Python programs: JupyterLab, execution, export, stripping and sizes of notebooks.

use crate::notebook_paths::resolve_notebooks;
use crate::platform::become_program;
use crate::prerequisites;
use crate::project::Project;
use crate::status::print_status;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Options of [`run`].
pub struct RunOptions {
    /// Notebooks to run.
    pub notebooks: Vec<PathBuf>,
    /// Directory for executed copies; if `None`, the outputs are saved in the notebooks themselves.
    pub out: Option<PathBuf>,
    /// Maximum time for one cell, in seconds.
    pub timeout: Option<u32>,
    /// True to save the outputs so far after a failure.
    pub keep: bool,
}

/// Sets up the project and becomes JupyterLab; returns only on failure.
pub fn lab(project: &Project, arguments: &[String]) -> Result<ExitCode> {
    if let Some(port) = requested_port(arguments) {
        prerequisites::check_port(port)?;
    }
    project.set_up_in_background()?;
    print_status("Opening", "JupyterLab; press Ctrl-C here to end it");
    let dir = if project.is_installed() { std::env::current_dir()? } else { project.root.join("notebooks") };
    std::fs::create_dir_all(&dir)?;
    let mut jupyter = project.python();
    jupyter.args(["-m", "jupyter", "lab", "--ServerApp.answer_yes=True"]).args(arguments).current_dir(dir);
    project.mark_in_use()?;
    become_program(&mut jupyter, "start JupyterLab")
}

/// Sets up the project and executes notebooks; returns only on failure.
pub fn run(project: &Project, options: &RunOptions) -> Result<ExitCode> {
    let notebooks = resolve_notebooks(&options.notebooks)?;
    project.set_up()?;
    let mut runner = project.python();
    runner.arg(project.root.join("kernel-spec/lab/run_notebook.py")).args(notebooks);
    if let Some(seconds) = options.timeout {
        runner.arg("--timeout").arg(seconds.to_string());
    }
    if options.keep {
        runner.arg("--keep");
    }
    if let Some(dir) = &options.out {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        runner.arg("--out").arg(dir);
    }
    project.mark_in_use()?;
    become_program(&mut runner, "run the notebooks")
}

/// Pages that only show, or whose marked cells make their metamers anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// The page shows what is in the notebook.
    Still,
    /// The page holds the network, and cells with the tag `live` make their metamers in the browser.
    Live,
}

/// Exports notebooks as web pages: beside them, into the directory `out`, or, for one notebook, to the file `out`; returns only on
/// failure.
pub fn export(project: &Project, notebooks: &[PathBuf], out: Option<&Path>, liveness: Liveness) -> Result<ExitCode> {
    let notebooks = resolve_notebooks(notebooks)?;
    project.install_packages()?;
    let mut exporter = project.python();
    exporter.arg(project.root.join("kernel-spec/lab/export_notebook.py")).args(notebooks);
    if let Some(out) = out {
        exporter.arg("--out").arg(out);
    }
    if liveness == Liveness::Live {
        exporter.arg("--live");
    }
    project.mark_in_use()?;
    become_program(&mut exporter, "export the notebooks")
}

/// Removes the outputs and execution counts from notebooks; returns only on failure.
pub fn strip(project: &Project, notebooks: &[PathBuf]) -> Result<ExitCode> {
    run_script(project, "strip_notebooks.py", &resolve_notebooks(notebooks)?)
}

/// Prints the sizes of notebooks, by default all of the project; returns only on failure.
pub fn sizes(project: &Project, notebooks: &[PathBuf]) -> Result<ExitCode> {
    let all = [project.root.join("notebooks")];
    let notebooks = if notebooks.is_empty() { &all } else { notebooks };
    run_script(project, "notebook_sizes.py", &resolve_notebooks(notebooks)?)
}

/// Runs a script that uses only Python's standard library, and therefore needs no set-up.
fn run_script(project: &Project, script: &str, notebooks: &[PathBuf]) -> Result<ExitCode> {
    let mut python = Command::new(prerequisites::find_python()?);
    python.env_remove("PYTHONPATH").env_remove("PYTHONHOME").env("PYTHONDONTWRITEBYTECODE", "1");
    python.arg(project.root.join("kernel-spec/lab").join(script)).args(notebooks);
    become_program(&mut python, "start Python")
}

/// The port in JupyterLab's arguments. Without one JupyterLab chooses a free port itself.
fn requested_port(arguments: &[String]) -> Option<u16> {
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
    fn the_port_is_read_in_every_form() {
        let port = |text: &str| requested_port(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(port("--no-browser --port 9000"), Some(9000));
        assert_eq!(port("--port=9001"), Some(9001));
        assert_eq!(port("--ServerApp.port=9002 --ip 0.0.0.0"), Some(9002));
        assert_eq!(port("--no-browser"), None);
        assert_eq!(port("--port"), None);
    }
}
