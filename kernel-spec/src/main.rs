//! The Jupyter kernel of metamers: Rust cells with live pictures, evaluated by evcxr.

mod build_cache;
mod cargo_metadata;
mod cell;
mod cell_compiler;
mod completeness;
mod display_hook;
mod engine;
mod error_report;
mod evaluator;
mod event;
mod event_handler;
mod history;
mod interrupt;
mod kernel_dir;
mod live;
mod output_parser;
mod process;
mod publisher;
mod receive;
mod session;
mod supervisor;
mod tool_cache;
mod tool_shims;

use anyhow::{Context, Result};
use build_cache::Builds;
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The Jupyter kernel "Rust (metamers)". Jupyter starts it; `cargo lab` sets everything up.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Serve the kernel that this Jupyter connection file describes.
    #[arg(long, value_name = "FILE")]
    connection: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Compile metamers for notebooks, so that kernels start in seconds.
    ///
    /// Exit status: 0 when it is compiled, 1 when it could not be; with --check 0 when it is up to date and 1 when not.
    Warm {
        /// Only say, by the exit status, whether that has been done.
        #[arg(long)]
        check: bool,
    },
    #[command(flatten)]
    Lab(metamers_lab::Task),
}

fn main() -> ExitCode {
    tool_shims::hook();
    supervisor::hook();
    evcxr::runtime_hook();

    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    let home = home()?;
    match (arguments.command, arguments.connection) {
        (Some(Task::Warm { check: false }), _) => kernel_dir::warm(&home)?,
        (Some(Task::Warm { check: true }), _) if !Builds::of(&home).is_warm() => return Ok(ExitCode::FAILURE),
        (Some(Task::Warm { check: true }), _) => {}
        (Some(Task::Lab(task)), _) => return task.run(&metamers_lab::Project { root: home }),
        (None, Some(connection)) => serve(connection, &home)?,
        (None, None) => anyhow::bail!("nothing to do: Jupyter starts this kernel with --connection; see --help"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The root of the project that notebooks use.
fn home() -> Result<PathBuf> {
    let home = match std::env::var_os("METAMERS_HOME") {
        Some(home) => PathBuf::from(home),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
    };
    home.canonicalize().with_context(|| format!("METAMERS_HOME is {}, which cannot be opened", home.display()))
}

fn serve(connection: PathBuf, home: &Path) -> Result<()> {
    // Jupyter interrupts by message; a Ctrl-C in its terminal is not meant for us.
    process::ignore_interrupts();
    let builds = Builds::of(home);
    kernel_dir::set_environment(&builds.private_path());
    tokio::runtime::Runtime::new()?.block_on(session::serve(connection, builds))?;
    // The session ends the process itself when it has cleaned up.
    loop {
        std::thread::park();
    }
}
