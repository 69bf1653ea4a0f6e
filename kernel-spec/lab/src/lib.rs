//! From a fresh clone to a notebook that runs: sets up, installs the kernel, opens JupyterLab, runs and exports notebooks.
//!
//! `cargo lab` and `metamers-kernel` offer the same of it.

mod jupyter;
mod kernel_spec;
mod notebook_paths;
mod prerequisites;
mod project;

pub use jupyter::{Run, export, lab, run, sizes, strip};
pub use kernel_spec::Place;
pub use project::Project;

use anyhow::Result;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// What `metamers-kernel` does beside being a kernel.
#[derive(Subcommand)]
pub enum Task {
    /// Offer the kernel to Jupyter: by default to all of your Jupyter installations and to VS Code.
    ///
    /// Exit status: 0 when it is installed, 1 when it could not be.
    Install(Where),
    /// Take back what `install` did, with the same options.
    ///
    /// Exit status: 0 when it is removed, 1 when it was not there or could not be removed.
    Uninstall(Where),
    /// Set up what is missing and open JupyterLab on the notebooks.
    ///
    /// Exit status: that of JupyterLab, which is 0 after Ctrl-C or "Shut Down"; 1 when the set-up failed or JupyterLab could not start.
    Lab {
        /// Passed on to JupyterLab, after `--`: for example `metamers-kernel lab -- --no-browser --port 9000`.
        #[arg(last = true)]
        jupyter: Vec<String>,
    },
    /// Execute notebooks without opening anything, and save their outputs.
    ///
    /// Exit status: 0 when every cell of every notebook succeeded, 1 when one failed (that notebook is then left as it was), 130
    /// after Ctrl-C.
    Run(RunArguments),
    /// Make pages of executed notebooks, each complete in one file, for readers who have no Jupyter and no network.
    ///
    /// Exit status: 0 when the pages are written, 1 when not.
    Export {
        /// The notebooks: files, folders, or the beginning of a name, as notebooks/04.
        #[arg(required = true, value_name = "NOTEBOOK")]
        notebooks: Vec<PathBuf>,
        /// As HTML, with pictures, their descriptions, and players. There is no other format.
        #[arg(long, required = true)]
        html: bool,
        /// The folder for the pages, or for one notebook a file that ends with .html; beside the notebooks if nothing is said.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

/// Which Jupyter the kernel is offered to.
#[derive(Args)]
pub struct Where {
    /// All of your Jupyter installations (the default).
    #[arg(long, conflicts_with = "prefix")]
    user: bool,
    /// The Jupyter installed in this folder, for example a virtual environment.
    #[arg(long, value_name = "DIR")]
    prefix: Option<PathBuf>,
}

/// What to run, and where the outputs go.
#[derive(Args)]
pub struct RunArguments {
    /// The notebooks.
    #[arg(required = true, value_name = "NOTEBOOK")]
    notebooks: Vec<PathBuf>,
    /// Save the outputs in the notebooks themselves (the default).
    #[arg(long, conflicts_with = "out")]
    inplace: bool,
    /// Save executed copies in this folder, and leave the notebooks as they are.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seconds that one cell may take.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// Save what ran before a failure to NOTEBOOK.failed.ipynb.
    #[arg(long)]
    keep: bool,
}

impl Task {
    /// Does it in this project.
    pub fn run(self, project: &Project) -> Result<ExitCode> {
        match self {
            Task::Install(place) => {
                let folder = place.place().install(project)?;
                println!("Installed the kernel \"Rust (metamers)\" in {}", folder.display());
            }
            Task::Uninstall(place) => {
                let folder = place.place().uninstall()?;
                println!("Removed {}", folder.display());
            }
            Task::Lab { jupyter } => return lab(project, &jupyter),
            Task::Run(arguments) => {
                let RunArguments { notebooks, out, timeout, keep, inplace: _ } = arguments;
                return run(project, &Run { notebooks, out, timeout, keep });
            }
            Task::Export { notebooks, out, html: _ } => return export(project, &notebooks, out.as_deref()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Where {
    fn place(self) -> Place {
        self.prefix.map_or(Place::User, Place::Prefix)
    }
}

/// One line about one step.
fn say(what: &str, more: &str) {
    eprintln!("{what:>12} {more}");
}
