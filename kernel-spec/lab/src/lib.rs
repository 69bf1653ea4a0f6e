//! Commands for notebooks: set-up, JupyterLab, kernel installation, execution and export.
//!
//! `cargo lab` and `metamers-kernel` are two front ends to these commands.

mod cargo_env;
pub mod file_lock;
mod jupyter;
mod kernel_spec;
mod notebook_paths;
pub mod platform;
mod prerequisite;
mod prerequisites;
mod project;
mod rust_src;
mod status;

pub use cargo_env::is_set_by_cargo_run;
pub use jupyter::{Liveness, RunOptions, export, lab, run, sizes, strip};
pub use kernel_spec::KernelSpecLocation;
pub use notebook_paths::copy_notebooks;
pub use project::Project;
pub use rust_src::ensure_rust_src;
pub use status::print_status;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Commands of `metamers-kernel` for notebooks.
#[derive(Subcommand)]
pub enum Command {
    /// Install the kernel spec: by default for all of your Jupyter installations and VS Code.
    ///
    /// Exit status: 0 if it is installed, 1 if that failed.
    Install(LocationArgs),
    /// Remove the kernel spec that `install` wrote with the same options.
    ///
    /// Exit status: 0 if it is removed, 1 if it was not installed or could not be removed.
    Uninstall(LocationArgs),
    /// Set up what is missing and open JupyterLab on the notebooks.
    ///
    /// Exit status: that of JupyterLab, which is 0 after Ctrl-C or "Shut Down"; 1 if the set-up failed or JupyterLab did not start.
    Lab {
        /// Arguments for JupyterLab, after `--`: for example `metamers-kernel lab -- --no-browser --port 9000`.
        #[arg(last = true)]
        jupyter: Vec<String>,
    },
    /// Execute notebooks without a browser, and save their outputs.
    ///
    /// Exit status: 0 if every cell of every notebook succeeded, 1 if one failed (its notebook is left unchanged), 130 after Ctrl-C.
    Run(RunArgs),
    /// Export executed notebooks as web pages, each a single file that needs no Jupyter and no network.
    ///
    /// Exit status: 0 if the pages are written, 1 if not.
    Export {
        /// Notebooks: files, directories, or the beginning of a file name, such as notebooks/04.
        #[arg(required = true, value_name = "NOTEBOOK")]
        notebooks: Vec<PathBuf>,
        /// Export as HTML, with images, their descriptions and audio players. The only format.
        #[arg(long, required = true)]
        html: bool,
        /// Cells with the tag "live" that show a metamer get a button that makes it anew in the browser. The page holds the network
        /// (31 MB for images, 9 MB for words).
        #[arg(long)]
        live: bool,
        /// Directory for the pages, or, for one notebook, an .html file. Default: beside the notebooks.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Copy the notebooks of the course to a new directory, to open and change them there.
    ///
    /// Exit status: 0 if they are copied, 1 if the directory exists or cannot be written.
    Notebooks {
        /// The new directory.
        dir: PathBuf,
    },
}

/// Options that select a Jupyter installation.
#[derive(Args)]
pub struct LocationArgs {
    /// All of your Jupyter installations (the default).
    #[arg(long, conflicts_with = "prefix")]
    user: bool,
    /// The Jupyter installation in this directory, for example a virtual environment.
    #[arg(long, value_name = "DIR")]
    prefix: Option<PathBuf>,
    /// The environment in which pip installed this program.
    #[arg(long, conflicts_with_all = ["user", "prefix"])]
    sys_prefix: bool,
}

/// Options of the `run` command.
#[derive(Args)]
pub struct RunArgs {
    /// Notebooks: files, directories, or the beginning of a file name, such as notebooks/04.
    #[arg(required = true, value_name = "NOTEBOOK")]
    notebooks: Vec<PathBuf>,
    /// Save the outputs in the notebooks themselves (the default).
    #[arg(long, conflicts_with = "out")]
    inplace: bool,
    /// Save executed copies in this directory, and leave the notebooks unchanged.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Maximum time for one cell, in seconds.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// After a failure, save the outputs so far to NOTEBOOK.failed.ipynb.
    #[arg(long)]
    keep: bool,
}

impl Command {
    /// Runs the command in a project.
    pub fn run(self, project: &Project) -> Result<ExitCode> {
        match self {
            Command::Install(location) => {
                let dir = location.resolve(project)?.install(&project.root, &project.kernel())?;
                println!("Installed the kernel \"Rust (metamers)\" in {}", dir.display());
            }
            Command::Uninstall(location) => {
                let dir = location.resolve(project)?.uninstall()?;
                println!("Removed {}", dir.display());
                if project.is_installed()
                    && let Some(note) = compiled_library_note(&project.notebook_build_dir())
                {
                    println!("{note}");
                }
            }
            Command::Lab { jupyter } => return lab(project, &jupyter),
            Command::Run(arguments) => {
                let RunArgs { notebooks, out, timeout, keep, inplace: _ } = arguments;
                return run(project, &RunOptions { notebooks, out, timeout, keep });
            }
            Command::Export { notebooks, out, live, html: _ } => {
                let liveness = if live { Liveness::Live } else { Liveness::Still };
                return export(project, &notebooks, out.as_deref(), liveness);
            }
            Command::Notebooks { dir } => {
                let count = copy_notebooks(project, &dir)?;
                println!("Copied {count} notebooks to {}", dir.display());
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A note on what an installed kernel has compiled in this directory, which pip does not remove; `None` if there is nothing.
fn compiled_library_note(dir: &Path) -> Option<String> {
    dir.exists().then(|| {
        format!(
            "The library compiled for notebooks is still in {}; if you uninstall metamers, delete it",
            dir.display()
        )
    })
}

impl LocationArgs {
    fn resolve(self, project: &Project) -> Result<KernelSpecLocation> {
        if self.sys_prefix {
            let prefix =
                project.prefix().context("--sys-prefix is for a kernel that pip installed; use --user or --prefix")?;
            return Ok(KernelSpecLocation::Prefix(prefix));
        }
        Ok(self.prefix.map_or(KernelSpecLocation::User, KernelSpecLocation::Prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_on_the_compiled_library_names_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let note = compiled_library_note(dir.path()).unwrap();
        assert!(note.contains(dir.path().to_str().unwrap()), "{note}");
        assert_eq!(compiled_library_note(&dir.path().join("missing")), None);
    }
}
