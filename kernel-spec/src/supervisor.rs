//! The supervisor: the process between evcxr and the evaluating process.
//!
//! It starts the evaluating process as its child, parses the child's output (see [`crate::output_parser`]) and reports it to the kernel
//! as events (see [`crate::event`] and [`crate::output_pump`]), in order: text with and without a newline, live frames, stderr up to the
//! end of a cell, panics, errors and the child's exit. When the kernel exits, it kills its process group: the child, the programs that cells
//! have started, and itself.

use crate::cell_input::FLUSH_LIBRARY_VAR;
use crate::event::{EVENT_KEY_VAR, Event};
use crate::event_writer::EventWriter;
use crate::input_broker::InputBroker;
use crate::live::NONCE_VAR;
use crate::output_parser::{COMPLETE, FAILED, OutputParser};
use crate::output_pump::OutputPump;
use crate::platform::{self, InputConnection, Streams};
use crate::runtime::{self, LOAD_AND_RUN};
use crate::shared_statics::LOADED_LIBRARY;
use crate::sync::lock;
use crate::toolchain;
use std::io::{BufRead, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

/// Environment variable with the control directory, which holds the flag files and the flush library.
pub const CONTROL_DIR_VAR: &str = "METAMERS_CONTROL_DIR";
/// Flag file: while it exists, a cell that has been built is not run.
pub const SKIP_FLAG: &str = "skip";
/// Flag file: no event is reported before it exists. evcxr runs a cell of its own before its host can read events, and would block.
pub const READY_FLAG: &str = "ready";
/// Library in the control directory whose only function flushes the stdout of the cells.
pub const FLUSH_LIBRARY: &str = "flush.so";
/// Environment variable by which evcxr marks the evaluating process.
const RUNTIME_VAR: &str = "EVCXR_IS_RUNTIME";

/// Runs the supervisor or, with interrupts ignored, the evaluating process. Does nothing in the kernel, also in one that a cell starts.
///
/// # Safety
/// No other thread may read or write the environment during the call.
pub unsafe fn hook() {
    if std::env::var_os(RUNTIME_VAR).is_none() {
        return;
    }
    // evcxr passes no arguments: this is a command, such as `export`, in the environment of a cell.
    if std::env::args_os().nth(1).is_some() {
        // SAFETY: the caller guarantees that no other thread uses the environment.
        unsafe { std::env::remove_var(RUNTIME_VAR) };
        return;
    }
    // The library installs a handler while it can stop early; the supervisor and other code must survive the signal.
    platform::ignore_interrupts();
    platform::disable_crash_dialogs();
    if let Some(key) = std::env::var_os(EVENT_KEY_VAR) {
        let code = match supervise(&key.to_string_lossy()) {
            Ok(code) => code,
            Err(error) => {
                eprintln!("error: cannot start the process that runs the cells: {error}");
                1
            }
        };
        std::process::exit(code);
    }
    platform::survive_interrupts();
    runtime::run()
}

/// Runs the evaluating process to its end; returns its exit code.
fn supervise(key: &str) -> std::io::Result<i32> {
    platform::end_children_with_this_process()?;
    let control_dir = std::env::var_os(CONTROL_DIR_VAR).map(PathBuf::from).unwrap_or_default();
    let nonce = std::env::var(NONCE_VAR).unwrap_or_default();
    let flush_library = Some(control_dir.join(FLUSH_LIBRARY)).filter(|path| path.exists());
    let (mut child, input) = start_child(flush_library.as_deref())?;
    let (stdin, stdout, stderr) = match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => (stdin, stdout, stderr),
        _ => return Err(ErrorKind::BrokenPipe.into()),
    };
    let pid = child.id();
    let stdin = Arc::new(Mutex::new(stdin));
    let broker = Arc::new(Mutex::new(InputBroker::new(input.replies()?)));
    let writer = Arc::new(EventWriter::new(key));

    std::thread::spawn({
        let (writer, stdin, broker) = (writer.clone(), stdin.clone(), broker.clone());
        move || forward_commands(&writer, &stdin, &broker, &control_dir, pid)
    });

    let (streams, exit_notice) = Streams::new(stdout, stderr, input)?;
    let waiter = std::thread::spawn(move || {
        let status = child.wait();
        drop(exit_notice);
        status
    });
    let parser = OutputParser::new(&nonce);
    let pump = OutputPump::new(&writer, parser, streams, (stdin, broker), flush_library);
    let crash_cause = pump.run();
    let status = waiter.join().unwrap_or_else(|_| Err(ErrorKind::Other.into()))?;
    writer
        .write_to_evcxr(writer.encode(&Event::Exited(crash_cause.unwrap_or_else(|| platform::describe_exit(status)))));
    Ok(status.code().unwrap_or(1))
}

/// Starts the evaluating process; returns it with the connection on which it requests input.
fn start_child(flush_library: Option<&Path>) -> std::io::Result<(Child, InputConnection)> {
    let mut command = Command::new(platform::current_program()?);
    toolchain::restore_environment(&mut command)
        .args(std::env::args_os().skip(1))
        // evcxr adds the libraries of the cells to it where programs find their libraries by this variable.
        .env("PATH", toolchain::path_without_shims())
        .envs(flush_library.map(|path| (FLUSH_LIBRARY_VAR, path)))
        .env_remove(EVENT_KEY_VAR)
        .env_remove(CONTROL_DIR_VAR)
        .env("RUST_BACKTRACE", "0")
        .env("RUST_LIB_BACKTRACE", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let (input, child_end) = InputConnection::open(&mut command)?;
    let child = command.spawn()?;
    child_end.close();
    Ok((child, input))
}

/// Forwards evcxr's commands to the child, except for cells that are to be skipped, and evcxr's replies to requests for input; kills all
/// processes of the cells when evcxr closes the pipe.
fn forward_commands(
    writer: &EventWriter,
    stdin: &Mutex<ChildStdin>,
    input: &Mutex<InputBroker>,
    control_dir: &Path,
    pid: u32,
) {
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        if lock(input).finish(&line) {
            continue;
        }
        if line.starts_with(LOAD_AND_RUN) {
            if control_dir.join(READY_FLAG).exists() {
                writer.allow_events();
            }
            if control_dir.join(SKIP_FLAG).exists() {
                // Tells evcxr that the cell failed before it defined any variable, which is true.
                let skipped = writer.encode(&Event::Skipped);
                writer.write_to_evcxr(skipped.into_iter().chain([FAILED.into(), COMPLETE.into()]));
                continue;
            }
            if let Some((library, _)) = runtime::parse(&line) {
                let _ = std::fs::write(control_dir.join(LOADED_LIBRARY), library);
            }
            lock(input).set_running(true);
            writer.begin_cell();
        }
        if writeln!(lock(stdin), "{line}").is_err() {
            // The child ends, or has ended, which the kernel is told.
            platform::kill(pid);
            return;
        }
    }
    // First, because the end of the child ends this process, too.
    platform::kill_own_group();
    platform::kill(pid);
}
