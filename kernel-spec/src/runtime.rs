//! The evaluating process: loads the library of each compiled cell and calls its function.
//!
//! It takes the place of evcxr's own loop, which splits a command at its first space and so cannot load a cell from a path with spaces,
//! and which replaces the standard library's message about a stack overflow by a backtrace.

use crate::cell_input;
use crate::live::NONCE_VAR;
use crate::output_parser::COMPLETE;
use crate::platform;
use libloading::Library;
use std::ffi::c_void;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::ptr::null_mut;

/// The command with which evcxr runs a cell: this word, the path of its library and the name of its function.
pub const LOAD_AND_RUN: &str = "LOAD_AND_RUN ";
/// Exit code after a command that cannot be carried out; evcxr's loop has the same.
const FAILURE: i32 = 99;
/// Environment variable with the path to which a cell writes its markers, see `variable_store.rs`; unset where there is
/// none.
const MARKERS_VAR: &str = "METAMERS_MARKERS";

/// The function of a cell: takes the variables of earlier cells and returns them with its own.
type CellFn = extern "C" fn(*mut c_void) -> *mut c_void;

/// Runs cells until the kernel closes the pipe.
pub fn run() -> ! {
    let complete = format!("{} {COMPLETE}\n", std::env::var(NONCE_VAR).unwrap_or_default());
    let mut variables = null_mut();
    let commands = cell_input::separate_commands(flush).unwrap_or_else(|error| {
        eprintln!("error: cannot give the cells a stdin: {error}");
        std::process::exit(FAILURE)
    });
    // A cell may close or redirect stdout. The duplicate leads into the same pipe, so the markers still follow what the
    // cell has printed.
    let mut supervisor = platform::duplicate_stdout().unwrap_or_else(|error| {
        eprintln!("error: cannot duplicate stdout: {error}");
        std::process::exit(FAILURE)
    });
    if let Some(path) = platform::descriptor_path(&supervisor) {
        // SAFETY: this process has not started a thread yet.
        unsafe { std::env::set_var(MARKERS_VAR, path) };
    }
    for line in BufReader::new(commands).lines() {
        let outcome = line.map_err(Into::into).and_then(|line| run_command(&line, variables));
        variables = outcome.unwrap_or_else(|error: anyhow::Error| {
            eprintln!("error: {error:#}");
            std::process::exit(FAILURE)
        });
        platform::restore_stdout(&supervisor);
        if let Err(error) = supervisor.write_all(complete.as_bytes()) {
            eprintln!("error: cannot report the end of a cell: {error}");
            std::process::exit(FAILURE);
        }
    }
    std::process::exit(0)
}

fn run_command(line: &str, variables: *mut c_void) -> anyhow::Result<*mut c_void> {
    let (path, function) = parse(line).ok_or_else(|| anyhow::anyhow!("unknown command: {line}"))?;
    // SAFETY: the library is a cell that evcxr has compiled, or the flush library; neither has initialisers of its own.
    let library = unsafe { Library::new(path)? };
    // SAFETY: evcxr generates the function with this signature, and the flush library has the same.
    let cell = unsafe { library.get::<CellFn>(function.as_bytes())? };
    let variables = cell(variables);
    // Values of the cell's types live on in variables, and destructors of thread-locals run at exit.
    std::mem::forget(library);
    Ok(variables)
}

/// Flushes the stdout of the cells, if it can be flushed.
fn flush(library: &Path) {
    let _ = run_command(&flush_command(library), null_mut());
}

/// The command that flushes the stdout of the cells.
pub fn flush_command(library: &Path) -> String {
    format!("{LOAD_AND_RUN}{} flush", library.display())
}

/// The path and the function's name in a command. The path may contain spaces.
pub fn parse(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix(LOAD_AND_RUN)?.rsplit_once(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_contain_spaces() {
        let command = "LOAD_AND_RUN /home/Jörg Müller/my  project/libcode_1.so run_user_code_1";
        assert_eq!(parse(command), Some(("/home/Jörg Müller/my  project/libcode_1.so", "run_user_code_1")));
        assert_eq!(parse("LOAD_AND_RUN"), None);
        assert_eq!(parse("ANOTHER_COMMAND a b"), None);
    }
}
