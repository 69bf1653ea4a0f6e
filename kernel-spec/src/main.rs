//! The Jupyter kernel of metamers: Rust cells with live output, evaluated by evcxr.

mod build_cache;
mod cargo_metadata;
mod cell;
mod cell_compiler;
mod cell_input;
mod cell_items;
mod cell_map;
mod cell_runtime;
mod cell_source;
mod comm_frame;
mod comms;
mod completeness;
mod crash;
mod cursor;
mod display_hook;
mod engine;
mod error_report;
mod evaluator;
mod event;
mod event_handler;
mod event_writer;
mod history;
mod input_broker;
mod interrupt;
mod kernel_dir;
mod live;
mod local_crates;
mod lost_variables;
mod nesting;
mod output_parser;
mod output_pump;
mod panics;
mod platform;
mod prelude;
mod publisher;
mod receive;
mod recent_signatures;
mod runtime;
mod session;
mod shared_crates;
mod shared_statics;
mod supervisor;
mod sync;
mod tool_cache;
mod tool_shims;
mod toolchain;
#[cfg(test)]
#[expect(dead_code, reason = "cells use all of it")]
mod variable_store;
mod warm;

use anyhow::{Context, Result};
use build_cache::BuildCache;
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The Jupyter kernel "Rust (metamers)". Jupyter starts it; `cargo lab` sets everything up.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Run a kernel for this Jupyter connection file.
    #[arg(long, value_name = "FILE")]
    connection: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Compile metamers for notebooks, so that kernels start in seconds.
    ///
    /// Exit status: 0 if it is compiled, 1 if that failed; with --check 0 if it is up to date, 1 if not.
    Warm {
        /// Only check if it is up to date; the exit status is the result.
        #[arg(long)]
        check: bool,
    },
    #[command(flatten)]
    Lab(metamers_lab::Command),
}

fn main() -> ExitCode {
    tool_shims::hook();
    // SAFETY: no thread has been started.
    unsafe { supervisor::hook() };
    // After the other hooks, this is true only of evcxr's wrapper of rustc.
    evcxr::runtime_hook();

    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let home = project_root()?;
    match (cli.command, cli.connection) {
        // SAFETY: called from `main` before any thread is started.
        (Some(Command::Warm { check: false }), _) => unsafe { warm::warm(&home)? },
        (Some(Command::Warm { check: true }), _) if !BuildCache::new(&home).is_warm() => return Ok(ExitCode::FAILURE),
        (Some(Command::Warm { check: true }), _) => {}
        (Some(Command::Lab(command)), _) => return command.run(&metamers_lab::Project { root: home }),
        (None, Some(connection)) => serve(connection, &home)?,
        (None, None) => {
            anyhow::bail!("no command given; --help lists them. (Jupyter starts the kernel with --connection FILE.)")
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The root of the project whose library notebooks use.
fn project_root() -> Result<PathBuf> {
    let set = std::env::var_os("METAMERS_HOME").filter(|home| !home.is_empty());
    let home = match (set, metamers_lab::Project::find_installed()) {
        (Some(home), _) => PathBuf::from(home),
        (None, Some(project)) => project.root,
        (None, None) => Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
    };
    metamers_lab::platform::real_path(&home)
        .with_context(|| format!("cannot open {}; set METAMERS_HOME to the root of the project", home.display()))
}

fn serve(connection: PathBuf, home: &Path) -> Result<()> {
    // Jupyter interrupts by message; Ctrl-C in its terminal is for the server.
    platform::ignore_interrupts();
    platform::end_children_with_this_process()?;
    let build_cache = BuildCache::new(home);
    // SAFETY: called from `main` before any thread is started.
    unsafe { kernel_dir::set_environment(&build_cache.kernel_dir()) };
    tokio::runtime::Runtime::new()?.block_on(session::serve(connection, build_cache))?;
    // The shutdown thread cleans up and then exits the process.
    loop {
        std::thread::park();
    }
}
