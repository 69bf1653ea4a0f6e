//! The supervisor: the process between evcxr and the evaluating process.
//!
//! It starts the evaluating process as its child, parses the child's output (see [`crate::output_parser`]) and reports it to the kernel
//! as events (see [`crate::event`]), in order: text with and without a newline, live frames, stderr up to the end of a cell, panics,
//! errors and the child's exit. When the kernel exits, it kills its child and exits too.

use crate::cell_input::{FLUSH_LIBRARY_VAR, INPUT_SOCKET_VAR};
use crate::crash::{describe_exit, find_crash};
use crate::event::{EVENT_KEY_VAR, Event};
use crate::event_writer::EventWriter;
use crate::input_broker::InputBroker;
use crate::live::NONCE_VAR;
use crate::output_parser::{
    COMPLETE, FAILED, INPUT_REQUEST, OutputParser, PANICKED, Segment, complete_utf8_len, take_text,
};
use crate::runtime::{self, LOAD_AND_RUN};
use crate::shared_statics::LOADED_LIBRARY;
use crate::sync::lock;
use crate::{process, toolchain};
use std::io::{BufRead, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
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
    let flush_library = Some(control_dir.join(FLUSH_LIBRARY)).filter(|path| path.exists());
    let (mut child, input) = start_child(flush_library.as_deref())?;
    let (stdin, stdout, stderr) = match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => (stdin, stdout, stderr),
        _ => return Err(ErrorKind::BrokenPipe.into()),
    };
    let pid = child.id();
    let stdin = Arc::new(Mutex::new(stdin));
    let input = Arc::new(Mutex::new(InputBroker::new(input)));
    let writer = Arc::new(EventWriter::new(key));

    std::thread::spawn({
        let (writer, stdin, input) = (writer.clone(), stdin.clone(), input.clone());
        move || forward_commands(&writer, &stdin, &input, &control_dir, pid)
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
        input,
        crash: None,
    };
    let crash_cause = pump.run(&alive);
    let status = waiter.join().unwrap_or_else(|_| Err(ErrorKind::Other.into()))?;
    writer.write_to_evcxr(writer.encode(&Event::Exited(crash_cause.unwrap_or_else(|| describe_exit(status)))));
    Ok(status.code().unwrap_or(1))
}

/// Starts the evaluating process; returns it with the socket on which it requests input.
fn start_child(flush_library: Option<&Path>) -> std::io::Result<(Child, UnixStream)> {
    let (input, socket) = UnixStream::pair()?;
    process::make_inheritable(&socket);
    let child = toolchain::restore_environment(&mut Command::new(process::current_program()?))
        .args(std::env::args_os().skip(1))
        .env(INPUT_SOCKET_VAR, socket.as_raw_fd().to_string())
        .envs(flush_library.map(|path| (FLUSH_LIBRARY_VAR, path)))
        .env_remove(EVENT_KEY_VAR)
        .env_remove(CONTROL_DIR_VAR)
        .env("RUST_BACKTRACE", "0")
        .env("RUST_LIB_BACKTRACE", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    Ok((child, input))
}

/// Forwards evcxr's commands to the child, except for cells that are to be skipped, and evcxr's replies to requests for input; kills the
/// child when evcxr closes the pipe.
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
            break;
        }
    }
    process::signal(pid, libc::SIGKILL);
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
    input: Arc<Mutex<InputBroker>>,
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
        let requests = lock(&self.input).descriptor();
        loop {
            let mut watched = vec![alive_fd, requests];
            watched.extend(stdout_open.then_some(stdout));
            watched.extend(stderr_open.then_some(stderr));
            let has_pending = self.parser.has_partial_line() || self.errors_since.is_some();
            let is_ready = process::wait_readable(&watched, has_pending.then_some(MAX_OUTPUT_DELAY));
            let is_reading = lock(&self.input).take_request();
            stderr_open = stderr_open && self.read_errors();
            let output = if stdout_open { read_available(&mut self.stdout) } else { Available::Nothing };
            match &output {
                Available::Bytes(bytes) => self.handle_output(bytes),
                Available::Closed => stdout_open = false,
                Available::Nothing => {}
            }
            if is_reading {
                self.request_input();
            }
            if !is_ready && let Some(Segment::Text(text)) = self.parser.take_partial_line() {
                self.report(Event::Stdout(text));
            }
            if self.errors_since.is_some_and(|since| since.elapsed() >= MAX_OUTPUT_DELAY) {
                self.report_old_errors();
            }
            let has_exited = matches!((&*alive).read(&mut [0]), Ok(0));
            if has_exited && !matches!(output, Available::Bytes(_)) {
                self.read_errors();
                self.release_announcement();
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
            self.release_announcement();
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
                lock(&self.input).set_running(false);
                self.read_errors();
                self.report_errors();
                // The process is alive, so the text was not about a crash.
                if let Some(crash) = self.crash.take() {
                    self.report(Event::Stderr(crash.text));
                }
                self.report(Event::Completed);
                self.lines.push(line);
                self.writer.end_cell(self.lines.drain(..));
                return;
            }
            _ if line.starts_with(INPUT_REQUEST) => {
                lock(&self.input).announce(line);
                return;
            }
            _ => {}
        }
        self.lines.push(line);
    }

    /// Reports a line that announced a read as text, because other output or the end of the process followed it.
    fn release_announcement(&mut self) {
        let announcement = lock(&self.input).take_announcement();
        if let Some(line) = announcement {
            self.report(Event::Stdout(line + "\n"));
        }
    }

    /// Passes a request for input to evcxr, after everything that was printed before it.
    fn request_input(&mut self) {
        while let Available::Bytes(bytes) = read_available(&mut self.stdout) {
            self.handle_output(&bytes);
        }
        if let Some(Segment::Text(text)) = self.parser.take_partial_line() {
            self.report(Event::Stdout(text));
        }
        self.read_errors();
        self.report_errors();
        let request = lock(&self.input).begin();
        self.lines.extend(request.map(escape_prompt));
    }

    /// Flushes the stdout of the cells when a cell has returned, since unfinished lines would appear in the next cell. The process then
    /// writes its completion marker a second time.
    fn begin_flush(&mut self) -> bool {
        let Some(library) = self.flush_library.as_ref().filter(|_| !self.flushing) else { return false };
        self.flushing = writeln!(lock(&self.stdin), "{}", runtime::flush_command(library)).is_ok();
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

    /// Reports stderr after a delay. The start of a line waits once more for its end, because `dbg!` writes a position in parts.
    fn report_old_errors(&mut self) {
        let end = self.errors.iter().rposition(|&byte| byte == b'\n').map_or(self.errors.len(), |newline| newline + 1);
        let rest = self.errors.split_off(end);
        self.report_errors();
        self.errors_since = (!rest.is_empty()).then(Instant::now);
        self.errors.extend(rest);
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
