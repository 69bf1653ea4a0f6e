//! `cargo lab`: sets up the project and opens JupyterLab on the notebooks.

use anyhow::Result;
use clap::{ArgGroup, Parser};
use metamers_lab::platform::{LIBRARY_PATH_VAR, real_path};
use metamers_lab::{KernelSpecLocation, Liveness, Project, RunOptions, print_status};
use std::path::PathBuf;
use std::process::ExitCode;

/// Sets up the project and opens JupyterLab on the notebooks.
///
/// The set-up creates .venv in the project, builds the kernel (about ten minutes the first time) and compiles the library for notebooks
/// (about four minutes). Steps that are up to date are skipped.
///
/// Exit status: without options that of JupyterLab, which is 0 after Ctrl-C or "Shut Down"; with --setup 0 if everything is set up; with
/// --run 0 if every cell of every notebook succeeded and 130 after Ctrl-C; with --export and --strip 0 if all files are written; with
/// --sizes 0 if every notebook is smaller than 3 MB; with --fetch 0 if all networks are there. 1 after a failure, and 2 for invalid options.
#[derive(Parser)]
#[command(name = "cargo lab", version)]
#[command(group = ArgGroup::new("writes_files").args(["run", "export"]))]
#[command(group = ArgGroup::new("task").args(["run", "export", "strip", "sizes", "setup", "fetch"]))]
struct Cli {
    /// Execute notebooks without a browser, and save their outputs in them. NOTEBOOK is a file, a directory, or the beginning of a file
    /// name, such as notebooks/04; the same holds for --export, --strip and --sizes.
    #[arg(long, num_args = 1.., value_name = "NOTEBOOK")]
    run: Vec<PathBuf>,
    /// Export executed notebooks as web pages, each a single file that needs no Jupyter and no network.
    #[arg(long, num_args = 1.., value_name = "NOTEBOOK", requires = "html")]
    export: Vec<PathBuf>,
    /// With --export: export as HTML, the only format.
    #[arg(long, requires = "export")]
    html: bool,
    /// With --export: cells with the tag "live" that show a metamer get a button that makes it anew in the browser, with other seeds, stages
    /// or photos if wanted. The page holds the network (31 MB for images, 10 MB for words).
    #[arg(long, requires = "export")]
    live: bool,
    /// With --run, save executed copies in this directory, and leave the notebooks unchanged; with --export, save the pages there, or
    /// the page of one notebook in this .html file.
    #[arg(long, requires = "writes_files", value_name = "DIR")]
    out: Option<PathBuf>,
    /// Remove outputs and execution counts from notebooks, before they are committed or handed out.
    #[arg(long, num_args = 1.., value_name = "NOTEBOOK")]
    strip: Vec<PathBuf>,
    /// Print the sizes of notebooks and of their largest outputs. Default: the notebooks of the project.
    #[arg(long, num_args = 0.., value_name = "NOTEBOOK")]
    sizes: Option<Vec<PathBuf>>,
    /// With --run, the maximum time for one cell, in seconds.
    #[arg(long, requires = "run", value_name = "SECONDS")]
    timeout: Option<u32>,
    /// With --run, after a failure save the outputs so far to NOTEBOOK.failed.ipynb.
    #[arg(long, requires = "run")]
    keep: bool,
    /// Set up the project, and do nothing else.
    #[arg(long)]
    setup: bool,
    /// Fetch the networks that do not ship (200 MB in assets/optional): their licence does not allow it, or they are too large. What is there
    /// is kept, and an interrupted download is resumed.
    #[arg(long)]
    fetch: bool,
    /// Install the kernel for your other Jupyter installations too.
    #[arg(long)]
    user: bool,
    /// Arguments for JupyterLab, after `--`: for example `cargo lab -- --no-browser --port 9000`.
    #[arg(last = true, conflicts_with = "task")]
    jupyter: Vec<String>,
}

fn main() -> ExitCode {
    // SAFETY: no other thread has been started.
    unsafe { clean_environment() };
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let project = Project::find()?;
    if !cli.export.is_empty() {
        return metamers_lab::export(&project, &cli.export, cli.out.as_deref(), liveness(cli.live));
    }
    if !cli.strip.is_empty() {
        return metamers_lab::strip(&project, &cli.strip);
    }
    if let Some(notebooks) = &cli.sizes {
        return metamers_lab::sizes(&project, notebooks);
    }
    if cli.fetch {
        project.fetch()?;
        return Ok(ExitCode::SUCCESS);
    }
    if cli.user {
        project.set_up()?;
        let dir = KernelSpecLocation::User.install(&project.root, &project.kernel())?;
        print_status("Installed", &format!("the kernel in {}", dir.display()));
    }
    if cli.setup {
        project.set_up()?;
        print_status("Ready", "`cargo lab` opens JupyterLab");
        return Ok(ExitCode::SUCCESS);
    }
    if cli.run.is_empty() {
        return metamers_lab::lab(&project, &cli.jupyter);
    }
    let Cli { run: notebooks, out, timeout, keep, .. } = cli;
    metamers_lab::run(&project, &RunOptions { notebooks, out, timeout, keep })
}

fn liveness(live: bool) -> Liveness {
    if live { Liveness::Live } else { Liveness::Still }
}

/// Removes the environment variables that `cargo run` sets, because they would make cargo rebuild crates in child processes.
///
/// # Safety
/// No other thread may read or write the environment during the call.
unsafe fn clean_environment() {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if metamers_lab::is_set_by_cargo_run(&name) {
            // SAFETY: the caller guarantees that no other thread uses the environment.
            unsafe { std::env::remove_var(name.as_ref()) };
        }
    }
    let Some(paths) = std::env::var_os(LIBRARY_PATH_VAR) else { return };
    let project = real_path(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap_or_default();
    let is_kept = |path: &PathBuf| {
        !path.starts_with(project.join("target")) && !path.components().any(|part| part.as_os_str() == "toolchains")
    };
    if let Ok(paths) = std::env::join_paths(std::env::split_paths(&paths).filter(is_kept)) {
        // SAFETY: the caller guarantees that no other thread uses the environment.
        unsafe { std::env::set_var(LIBRARY_PATH_VAR, paths) };
    }
}
