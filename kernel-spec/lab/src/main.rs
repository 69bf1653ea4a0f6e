//! `cargo lab`: sets everything up, then opens JupyterLab on the notebooks.

mod checks;
mod kernel_spec;
mod setup;

use anyhow::{Context, Result, bail};
use clap::Parser;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;

/// Sets everything up and opens JupyterLab on the notebooks.
///
/// The set-up makes .venv in the project, builds the kernel (about ten minutes the first time) and compiles the library for notebooks
/// (about four). What is up to date is skipped.
#[derive(Parser)]
#[command(name = "cargo lab", version)]
struct Arguments {
    /// Execute notebooks without opening anything, and save their outputs.
    #[arg(long, num_args = 1.., value_name = "FILE.ipynb")]
    run: Vec<PathBuf>,
    /// Seconds that one cell may take, with --run.
    #[arg(long, requires = "run", value_name = "SECONDS")]
    timeout: Option<u32>,
    /// With --run, save what ran before a failure to FILE.failed.ipynb.
    #[arg(long, requires = "run")]
    keep: bool,
    /// Only set up.
    #[arg(long, conflicts_with = "run")]
    setup: bool,
    /// Offer the kernel in your other Jupyter installations too.
    #[arg(long)]
    user: bool,
    /// Passed on to JupyterLab, after `--`: for example `cargo lab -- --no-browser --port 9000`.
    #[arg(last = true, conflicts_with_all = ["run", "setup"])]
    jupyter: Vec<String>,
}

fn main() -> ExitCode {
    forget_cargo();
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let notebooks: Vec<PathBuf> = arguments
        .run
        .iter()
        .map(|path| path.canonicalize().with_context(|| format!("{}: cannot be opened", path.display())))
        .collect::<Result<_>>()?;
    let project = setup::Project::find()?;
    checks::prerequisites(&project.root)?;
    project.set_up()?;
    if arguments.user {
        project.install_for_user()?;
    }
    if arguments.setup {
        say("Ready", "`cargo lab` opens JupyterLab");
        return Ok(ExitCode::SUCCESS);
    }
    if !notebooks.is_empty() {
        return execute(&project, arguments, &notebooks);
    }
    say("Opening", "JupyterLab; Ctrl-C here ends it");
    let folder = project.root.join("notebooks");
    std::fs::create_dir_all(&folder)?;
    let mut jupyter = project.python();
    jupyter.args(["-m", "jupyter", "lab", "--ServerApp.answer_yes=True"]).args(&arguments.jupyter).current_dir(folder);
    // From here on this process is Jupyter's: signals reach it directly.
    bail!("JupyterLab did not start: {}", jupyter.exec())
}

fn execute(project: &setup::Project, arguments: &Arguments, notebooks: &[PathBuf]) -> Result<ExitCode> {
    let mut runner = project.python();
    runner.arg(project.root.join("kernel-spec/lab/run_notebook.py")).args(notebooks);
    if let Some(seconds) = arguments.timeout {
        runner.arg("--timeout").arg(seconds.to_string());
    }
    if arguments.keep {
        runner.arg("--keep");
    }
    bail!("the notebooks could not be run: {}", runner.exec())
}

/// What `cargo run` tells this program is not meant for the compilers and kernels that it starts: they would build anew for it.
fn forget_cargo() {
    let names = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if names.iter().any(|start| name.starts_with(start)) {
            // SAFETY: nothing else runs yet.
            unsafe { std::env::remove_var(name.as_ref()) };
        }
    }
    let Some(paths) = std::env::var_os("LD_LIBRARY_PATH") else { return };
    let project = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap_or_default();
    let own =
        |path: &PathBuf| !path.starts_with(&project) && !path.components().any(|part| part.as_os_str() == "toolchains");
    if let Ok(paths) = std::env::join_paths(std::env::split_paths(&paths).filter(own)) {
        // SAFETY: nothing else runs yet.
        unsafe { std::env::set_var("LD_LIBRARY_PATH", paths) };
    }
}

/// One line about one step.
fn say(what: &str, more: &str) {
    eprintln!("{what:>12} {more}");
}
