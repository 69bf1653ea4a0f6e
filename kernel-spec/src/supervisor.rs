//! The supervisor: the process between evcxr and the evaluating process.
//!
//! It starts the evaluating process as its child, parses the child's output (see [`crate::output_parser`]) and reports it to the kernel
//! as events (see [`crate::event`]), in order: text with and without a newline, live frames, stderr up to the end of a cell, panics,
//! errors and the child's exit. When the kernel exits, it kills its child and exits too.

use crate::event::{EVENT_KEY_VAR, Event};
use crate::live::NONCE_VAR;
use crate::output_parser::{
    COMPLETE, FAILED, INPUT_REQUEST, OutputParser, PANICKED, Segment, complete_utf8_len, take_text,
};
use crate::runtime::{self, LOAD_AND_RUN};
use crate::sync::lock;
use crate::{process, toolchain};
use std::io::{BufRead, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

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
/// Maximum time that text waits for the rest of its line, and stderr for the event that it explains.
const MAX_OUTPUT_DELAY: Duration = Duration::from_millis(20);

/// Runs the supervisor or, with SIGINT ignored, the evaluating process. Does nothing in the kernel.
pub fn hook() {
    if std::env::var_os(RUNTIME_VAR).is_none() {
        return;
    }
    // The library installs a handler while it can stop early; other code must survive the signal.
    process::ignore_interrupts();
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
    runtime::run()
}

/// Runs the evaluating process to its end; returns its exit code.
fn supervise(key: &str) -> std::io::Result<i32> {
    let control_dir = std::env::var_os(CONTROL_DIR_VAR).map(PathBuf::from).unwrap_or_default();
    let nonce = std::env::var(NONCE_VAR).unwrap_or_default();
    let mut child = start_child()?;
    let (stdin, stdout, stderr) = match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => (stdin, stdout, stderr),
        _ => return Err(ErrorKind::BrokenPipe.into()),
    };
    let pid = child.id();
    let stdin = Arc::new(Mutex::new(stdin));
    let writer = Arc::new(EventWriter { key: key.to_owned(), ready: AtomicBool::new(false), lock: Mutex::new(()) });

    let flush_library = Some(control_dir.join(FLUSH_LIBRARY)).filter(|path| path.exists());
    std::thread::spawn({
        let (writer, stdin) = (writer.clone(), stdin.clone());
        move || forward_commands(&writer, &stdin, &control_dir, pid)
    });

    // `held` closes when the child has exited, even if a grandchild keeps the child's pipes open.
    let (alive, held) = UnixStream::pair()?;
    let waiter = std::thread::spawn(move || {
        let status = child.wait();
        drop(held);
        status
    });
    let pump = OutputPump {
        writer: &writer,
        parser: OutputParser::new(&nonce),
        stdout,
        stderr,
        errors: Vec::new(),
        errors_since: None,
        lines: Vec::new(),
        flush_library,
        flushing: false,
        stdin,
        crash: None,
    };
    let crash_cause = pump.run(&alive);
    let status = waiter.join().unwrap_or_else(|_| Err(ErrorKind::Other.into()))?;
    writer.write(writer.encode(&Event::Exited(crash_cause.unwrap_or_else(|| describe_exit(status)))));
    Ok(status.code().unwrap_or(1))
}

fn start_child() -> std::io::Result<Child> {
    toolchain::restore_environment(&mut Command::new(process::current_program()?))
        .args(std::env::args_os().skip(1))
        .env_remove(EVENT_KEY_VAR)
        .env_remove(CONTROL_DIR_VAR)
        .env("RUST_BACKTRACE", "0")
        .env("RUST_LIB_BACKTRACE", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// Forwards evcxr's commands to the child, except for cells that are to be skipped; kills the child when evcxr closes the pipe.
fn forward_commands(writer: &EventWriter, stdin: &Mutex<ChildStdin>, control_dir: &Path, pid: u32) {
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        if line.starts_with(LOAD_AND_RUN) {
            if control_dir.join(READY_FLAG).exists() {
                writer.ready.store(true, Ordering::SeqCst);
            }
            if control_dir.join(SKIP_FLAG).exists() {
                // Tells evcxr that the cell failed before it defined any variable, which is true.
                let skipped = writer.encode(&Event::Skipped);
                writer.write(skipped.into_iter().chain([FAILED.into(), COMPLETE.into()]));
                continue;
            }
            writer.write(writer.encode(&Event::Started));
        }
        if writeln!(lock(stdin), "{line}").is_err() {
            break;
        }
    }
    process::signal(pid, libc::SIGKILL);
}

/// Writes whole lines to evcxr, from two threads.
struct EventWriter {
    key: String,
    ready: AtomicBool,
    lock: Mutex<()>,
}

impl EventWriter {
    fn encode(&self, event: &Event) -> Option<String> {
        self.ready.load(Ordering::SeqCst).then(|| event.encode(&self.key))
    }

    fn write(&self, lines: impl IntoIterator<Item = String>) {
        let _guard = lock(&self.lock);
        let text: String = lines.into_iter().flat_map(|line| [line, "\n".into()]).collect();
        let mut stdout = std::io::stdout().lock();
        // Fails only when the kernel is exiting.
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }
}

/// The crash cause found on stderr, and everything printed from there on.
struct Crash {
    cause: &'static str,
    text: String,
}

/// Moves the child's output to evcxr.
struct OutputPump<'a> {
    writer: &'a EventWriter,
    parser: OutputParser,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// Stderr bytes that have not been reported.
    errors: Vec<u8>,
    /// Arrival time of the first byte in `errors`.
    errors_since: Option<Instant>,
    /// Lines to be written to evcxr.
    lines: Vec<String>,
    flush_library: Option<PathBuf>,
    flushing: bool,
    stdin: Arc<Mutex<ChildStdin>>,
    crash: Option<Crash>,
}

impl OutputPump<'_> {
    /// Moves all output until the child exits; returns the crash cause found on stderr.
    fn run(mut self, alive: &UnixStream) -> Option<String> {
        process::set_nonblocking(&self.stdout);
        process::set_nonblocking(&self.stderr);
        process::set_nonblocking(alive);
        let (stdout, stderr, alive_fd) = (self.stdout.as_raw_fd(), self.stderr.as_raw_fd(), alive.as_raw_fd());
        let (mut stdout_open, mut stderr_open) = (true, true);
        loop {
            let mut watched = vec![alive_fd];
            watched.extend(stdout_open.then_some(stdout));
            watched.extend(stderr_open.then_some(stderr));
            let has_pending = self.parser.has_partial_line() || self.errors_since.is_some();
            let is_ready = process::wait_readable(&watched, has_pending.then_some(MAX_OUTPUT_DELAY));
            stderr_open = stderr_open && self.read_errors();
            let output = if stdout_open { read_available(&mut self.stdout) } else { Available::Nothing };
            match &output {
                Available::Bytes(bytes) => self.handle_output(bytes),
                Available::Closed => stdout_open = false,
                Available::Nothing => {}
            }
            if !is_ready && let Some(Segment::Text(text)) = self.parser.take_partial_line() {
                self.report(Event::Stdout(text));
            }
            if self.errors_since.is_some_and(|since| since.elapsed() >= MAX_OUTPUT_DELAY) {
                self.report_errors();
            }
            let has_exited = matches!((&*alive).read(&mut [0]), Ok(0));
            if has_exited && !matches!(output, Available::Bytes(_)) {
                self.read_errors();
                if let Some(Segment::Text(text)) = self.parser.finish() {
                    self.report(Event::Stdout(text));
                }
                self.report_errors();
                self.write_lines();
                return self.crash.map(|crash| crash.cause.to_owned());
            }
            self.write_lines();
        }
    }

    fn handle_output(&mut self, bytes: &[u8]) {
        for segment in self.parser.push(bytes) {
            match segment {
                Segment::Text(text) => self.report(Event::Stdout(text)),
                Segment::Live(json) => self.report(Event::Live(json)),
                Segment::Control(line) => self.handle_control(line),
            }
        }
    }

    fn handle_control(&mut self, line: String) {
        match line.as_str() {
            PANICKED | FAILED => {
                // The message was written to stderr before the marker was written to stdout.
                self.read_errors();
                let message = self.take_errors();
                self.report(if line == PANICKED { Event::Panicked(message) } else { Event::Failed(message) });
            }
            COMPLETE if self.begin_flush() => return,
            COMPLETE => {
                self.flushing = false;
                self.read_errors();
                self.report_errors();
                // The process is alive, so the text was not about a crash.
                if let Some(crash) = self.crash.take() {
                    self.report(Event::Stderr(crash.text));
                }
                self.report(Event::Completed);
            }
            _ => {}
        }
        self.lines.push(escape_prompt(line));
    }

    /// Flushes the stdout of the cells when a cell has returned, since unfinished lines would appear in the next cell. The process then
    /// writes its completion marker a second time.
    fn begin_flush(&mut self) -> bool {
        let Some(library) = self.flush_library.as_ref().filter(|_| !self.flushing) else { return false };
        self.flushing = writeln!(lock(&self.stdin), "{LOAD_AND_RUN}{} flush", library.display()).is_ok();
        self.flushing
    }

    fn report(&mut self, event: Event) {
        self.lines.extend(self.writer.encode(&event));
    }

    fn write_lines(&mut self) {
        if !self.lines.is_empty() {
            self.writer.write(self.lines.drain(..));
        }
    }

    /// Reads all available stderr; returns false when it is closed.
    fn read_errors(&mut self) -> bool {
        loop {
            match read_available(&mut self.stderr) {
                Available::Bytes(bytes) => {
                    self.errors.extend_from_slice(&bytes);
                    self.errors_since.get_or_insert_with(Instant::now);
                }
                Available::Nothing => return true,
                Available::Closed => return false,
            }
        }
    }

    fn take_errors(&mut self) -> String {
        self.errors_since = None;
        let len = complete_utf8_len(&self.errors);
        take_text(&mut self.errors, len)
    }

    /// Reports stderr, except for the text of a crash: one message is shown for it instead of a backtrace.
    fn report_errors(&mut self) {
        let text = self.take_errors();
        let mut text = text.as_str();
        if let Some(crash) = &mut self.crash {
            crash.text.push_str(text);
            return;
        }
        if let Some((at, cause)) = find_crash(text) {
            self.crash = Some(Crash { cause, text: text[at..].to_owned() });
            text = &text[..at];
        }
        if !text.is_empty() {
            self.report(Event::Stderr(text.to_owned()));
        }
    }
}

/// The result of a non-blocking read.
enum Available {
    Bytes(Vec<u8>),
    Nothing,
    Closed,
}

fn read_available(from: &mut impl Read) -> Available {
    let mut buffer = vec![0; 1 << 16];
    match from.read(&mut buffer) {
        Ok(0) => Available::Closed,
        Ok(count) => {
            buffer.truncate(count);
            Available::Bytes(buffer)
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Available::Nothing,
        Err(_) => Available::Closed,
    }
}

/// Replaces colons inside a prompt, because evcxr ends the prompt at its first colon.
pub const ESCAPED_COLON: &str = "\u{1f}";

fn escape_prompt(line: String) -> String {
    match line.split_once(':') {
        Some((request, prompt)) if request.starts_with(INPUT_REQUEST) => {
            format!("{request}:{}", prompt.replace(':', ESCAPED_COLON))
        }
        _ => line,
    }
}

/// Searches stderr for a crash message; returns the message's offset and the crash cause.
fn find_crash(text: &str) -> Option<(usize, &'static str)> {
    let starts_line = |at: &usize| *at == 0 || text[..*at].ends_with('\n');
    let out_of_memory = text.find("memory allocation of ").filter(starts_line).map(|at| (at, "out of memory"));
    let overflow = find_stack_overflow(text).map(|at| (at, "stack overflow, most often caused by infinite recursion"));
    out_of_memory.into_iter().chain(overflow).min_by_key(|&(at, _)| at)
}

/// Searches for the standard library's message "thread 'main' (4711) has overflowed its stack", which follows an empty line; returns the
/// offset of that line.
fn find_stack_overflow(text: &str) -> Option<usize> {
    let end = text.find(" has overflowed its stack")?;
    let line = text[..end].rfind('\n').map_or(0, |newline| newline + 1);
    text[line..].starts_with("thread '").then(|| line.saturating_sub(1))
}

fn describe_exit(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(libc::SIGABRT) => "aborted".into(),
        Some(libc::SIGSEGV) => "segmentation fault, or infinite recursion in a thread".into(),
        Some(libc::SIGILL) => "illegal instruction".into(),
        Some(libc::SIGBUS) => "bus error".into(),
        Some(libc::SIGFPE) => "arithmetic fault".into(),
        Some(libc::SIGKILL) => "killed, most often because memory ran out".into(),
        Some(signal) => format!("signal {signal}"),
        None => format!("exit status {}", status.code().unwrap_or(-1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_message_is_found_at_the_start_of_a_line() {
        assert_eq!(find_crash("one\nmemory allocation of 8 bytes failed"), Some((4, "out of memory")));
        assert_eq!(find_crash("memory allocation of 64 bytes failed\n"), Some((0, "out of memory")));
        assert_eq!(find_crash("no memory allocation of 64 bytes\n"), None);
        assert_eq!(find_crash(""), None);
        let overflow =
            "\nthread 'main' (4711) has overflowed its stack\nfatal runtime error: stack overflow, aborting\n";
        let cause = "stack overflow, most often caused by infinite recursion";
        assert_eq!(find_crash(overflow), Some((0, cause)));
        assert_eq!(find_crash(&format!("one\n{overflow}")), Some((4, cause)));
        assert_eq!(find_crash("it has overflowed its stack\n"), None);
    }
}
