//! `cargo lab`: sets everything up, then opens JupyterLab on the notebooks.

use anyhow::Result;
use clap::{ArgGroup, Parser};
use metamers_lab::{Place, Project, Run};
use std::path::PathBuf;
use std::process::ExitCode;

/// Sets everything up and opens JupyterLab on the notebooks.
///
/// The set-up makes .venv in the project, builds the kernel (about ten minutes the first time) and compiles the library for notebooks
/// (about four). What is up to date is skipped.
///
/// Exit status: without options that of JupyterLab, which is 0 after Ctrl-C or "Shut Down"; with --setup 0 when all is set up; with --run 0 when
/// every cell of every notebook succeeded and 130 after Ctrl-C; with --export and --strip 0 when all is written; with --sizes 0 when no notebook has
/// 3 MB or more. 1 when something failed, and 2 for options that do not exist.
#[derive(Parser)]
#[command(name = "cargo lab", version)]
#[command(group = ArgGroup::new("made").args(["run", "export"]))]
#[command(group = ArgGroup::new("task").args(["run", "export", "strip", "sizes", "setup"]))]
struct Arguments {
    /// Execute notebooks without opening anything, and save their outputs in them. Notebooks are files, folders, or the beginning of a
    /// name, as notebooks/04; so they are with --export, --strip and --sizes.
    #[arg(long, num_args = 1.., value_name = "NOTEBOOK")]
    run: Vec<PathBuf>,
    /// Make pages of executed notebooks, each complete in one file that needs no Jupyter and no network.
    #[arg(long, num_args = 1.., value_name = "NOTEBOOK", requires = "html")]
    export: Vec<PathBuf>,
    /// With --export: as HTML, the only format.
    #[arg(long, requires = "export")]
    html: bool,
    /// With --run, save executed copies in this folder, and leave the notebooks as they are; with --export, save the pages there, or
    /// that of one notebook in this file, if it ends with .html.
    #[arg(long, requires = "made", value_name = "DIR")]
    out: Option<PathBuf>,
    /// Take outputs and execution counts out of notebooks, before they are committed or handed out.
    #[arg(long, num_args = 1.., value_name = "NOTEBOOK")]
    strip: Vec<PathBuf>,
    /// Say how large notebooks are and what in them is; those of the project if none are named.
    #[arg(long, num_args = 0.., value_name = "NOTEBOOK")]
    sizes: Option<Vec<PathBuf>>,
    /// With --run, seconds that one cell may take.
    #[arg(long, requires = "run", value_name = "SECONDS")]
    timeout: Option<u32>,
    /// With --run, save what ran before a failure to FILE.failed.ipynb.
    #[arg(long, requires = "run")]
    keep: bool,
    /// Only set up.
    #[arg(long)]
    setup: bool,
    /// Offer the kernel in your other Jupyter installations too.
    #[arg(long)]
    user: bool,
    /// Passed on to JupyterLab, after `--`: for example `cargo lab -- --no-browser --port 9000`.
    #[arg(last = true, conflicts_with = "task")]
    jupyter: Vec<String>,
}

fn main() -> ExitCode {
    forget_cargo();
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    let project = Project::find()?;
    if !arguments.export.is_empty() {
        return metamers_lab::export(&project, &arguments.export, arguments.out.as_deref());
    }
    if !arguments.strip.is_empty() {
        return metamers_lab::strip(&project, &arguments.strip);
    }
    if let Some(notebooks) = &arguments.sizes {
        return metamers_lab::sizes(&project, notebooks);
    }
    if arguments.user {
        project.set_up()?;
        let folder = Place::User.install(&project)?;
        eprintln!("   Installed the kernel in {}", folder.display());
    }
    if arguments.setup {
        project.set_up()?;
        eprintln!("       Ready `cargo lab` opens JupyterLab");
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.run.is_empty() {
        return metamers_lab::lab(&project, &arguments.jupyter);
    }
    let Arguments { run: notebooks, out, timeout, keep, .. } = arguments;
    metamers_lab::run(&project, &Run { notebooks, out, timeout, keep })
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
