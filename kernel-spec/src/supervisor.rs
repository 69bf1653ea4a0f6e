//! The process between evcxr and the process that runs the cells.
//!
//! It starts the latter as its own child, splits what that one writes (see [`crate::output_parser`]) and reports it to the kernel (see
//! [`crate::event`]): text with and without newline, live frames, stderr up to the very end of a cell, panics, failures and the death
//! of the process, all in order. It ends when the kernel does, and takes its child with it.

use crate::event::{Event, KEY_VAR};
use crate::live::NONCE_VAR;
use crate::output_parser::{COMPLETE, FAILED, INPUT_REQUEST, PANICKED, Piece, Splitter, take_text, whole_characters};
use crate::process;
use crate::publisher::lock;
use std::io::{BufRead, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The environment variable with the folder of the two switches.
pub const SWITCHES_VAR: &str = "METAMERS_SWITCHES";
/// While this file is in that folder, a cell that has been built is not run.
pub const SKIP: &str = "skip";
/// Until this file is there, nothing is reported: evcxr runs a cell of its own before its host can listen, and waits for it to.
pub const READY: &str = "ready";
/// The library in that folder whose one function makes the stdout of the cells write what it still holds.
pub const FLUSH: &str = "flush.so";
/// evcxr's mark of the process that runs cells.
const RUNTIME_VAR: &str = "EVCXR_IS_RUNTIME";
/// How long text waits for the rest of its line, and stderr for the reason of its being there.
const PATIENCE: Duration = Duration::from_millis(20);

/// Becomes what this process was started as: the relay, or the process that runs the cells. Returns in the kernel itself.
pub fn hook() {
    if std::env::var_os(RUNTIME_VAR).is_none() {
        return;
    }
    // Not to be ended by an interrupt that nobody listens to; the library listens when it can end early.
    process::ignore_interrupts();
    if let Some(key) = std::env::var_os(KEY_VAR) {
        let code = match run(&key.to_string_lossy()) {
            Ok(code) => code,
            Err(error) => {
                eprintln!("The kernel could not start the process that runs the cells: {error}");
                1
            }
        };
        std::process::exit(code);
    }
}

fn run(key: &str) -> std::io::Result<i32> {
    let switches = std::env::var_os(SWITCHES_VAR).map(PathBuf::from).unwrap_or_default();
    let nonce = std::env::var(NONCE_VAR).unwrap_or_default();
    let mut child = crate::tool_shims::restore(&mut Command::new(process::this_program()?))
        .args(std::env::args_os().skip(1))
        .env_remove(KEY_VAR)
        .env_remove(SWITCHES_VAR)
        .env("RUST_BACKTRACE", "0")
        .env("RUST_LIB_BACKTRACE", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (stdin, stdout, stderr) = match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => (stdin, stdout, stderr),
        _ => return Err(ErrorKind::BrokenPipe.into()),
    };
    let pid = child.id();
    let stdin = Arc::new(Mutex::new(stdin));
    let out = Arc::new(Out { key: key.to_owned(), ready: AtomicBool::new(false), lock: Mutex::new(()) });

    let flush = Some(switches.join(FLUSH)).filter(|path| path.exists());
    std::thread::spawn({
        let (out, stdin) = (out.clone(), stdin.clone());
        move || {
            for line in std::io::stdin().lock().lines() {
                let Ok(line) = line else { break };
                if line.starts_with("LOAD_AND_RUN ") {
                    if switches.join(READY).exists() {
                        out.ready.store(true, Ordering::SeqCst);
                    }
                    if switches.join(SKIP).exists() {
                        // To evcxr the cell failed before its variables came to be, which is true.
                        out.write(out.line(&Event::Skipped).into_iter().chain([FAILED.into(), COMPLETE.into()]));
                        continue;
                    }
                    out.write(out.line(&Event::Runs));
                }
                if writeln!(lock(&stdin), "{line}").is_err() {
                    break;
                }
            }
            // The kernel is gone, or wants an end.
            process::signal(pid, libc::SIGKILL);
        }
    });

    // The other end closes when the child has ended, even if a grandchild keeps its pipes open.
    let (alive, held) = UnixStream::pair()?;
    let waiter = std::thread::spawn(move || {
        let status = child.wait();
        drop(held);
        status
    });
    let last_words = Pump {
        out: &out,
        splitter: Splitter::new(&nonce),
        stdout,
        stderr,
        errors: Vec::new(),
        since: None,
        lines: Vec::new(),
        flush,
        flushing: false,
        stdin,
        last_words: None,
    }
    .run(&alive);
    let status = waiter.join().unwrap_or_else(|_| Err(ErrorKind::Other.into()))?;
    out.write(out.line(&Event::Ended(last_words.unwrap_or_else(|| describe(status)))));
    Ok(status.code().unwrap_or(1))
}

/// The way to evcxr: whole lines, from two threads.
struct Out {
    key: String,
    ready: AtomicBool,
    lock: Mutex<()>,
}

impl Out {
    fn line(&self, event: &Event) -> Option<String> {
        self.ready.load(Ordering::SeqCst).then(|| event.encode(&self.key))
    }

    fn write(&self, lines: impl IntoIterator<Item = String>) {
        let _guard = lock(&self.lock);
        let text: String = lines.into_iter().flat_map(|line| [line, "\n".into()]).collect();
        let mut stdout = std::io::stdout().lock();
        // Nobody reads any more when the kernel ends.
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }
}

/// Moves what the child writes to evcxr.
struct Pump<'a> {
    out: &'a Out,
    splitter: Splitter,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// What was on stderr and has not been reported.
    errors: Vec<u8>,
    /// Since when `errors` waits.
    since: Option<Instant>,
    lines: Vec<String>,
    flush: Option<PathBuf>,
    flushing: bool,
    stdin: Arc<Mutex<ChildStdin>>,
    /// What the process said that it dies of, and all that it said after that.
    last_words: Option<(&'static str, String)>,
}

impl Pump<'_> {
    /// Moves everything until the child ends; what it said that it died of.
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
            let hurry = self.splitter.waits() || self.since.is_some();
            let happened = process::wait_readable(&watched, if hurry { PATIENCE.as_millis() as i32 } else { -1 });
            stderr_open = stderr_open && self.read_errors();
            let output = if stdout_open { read_some(&mut self.stdout) } else { Reading::Nothing };
            match &output {
                Reading::Bytes(bytes) => self.take(bytes),
                Reading::Closed => stdout_open = false,
                Reading::Nothing => {}
            }
            if !happened && let Some(Piece::Text(text)) = self.splitter.idle() {
                self.report(Event::Stdout(text));
            }
            if self.since.is_some_and(|since| since.elapsed() >= PATIENCE) {
                self.report_errors();
            }
            let ended = matches!((&*alive).read(&mut [0]), Ok(0));
            if ended && !matches!(output, Reading::Bytes(_)) {
                self.read_errors();
                if let Some(Piece::Text(text)) = self.splitter.end() {
                    self.report(Event::Stdout(text));
                }
                self.report_errors();
                self.flush();
                return self.last_words.map(|(cause, _)| cause.to_owned());
            }
            self.flush();
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        for piece in self.splitter.push(bytes) {
            match piece {
                Piece::Text(text) => self.report(Event::Stdout(text)),
                Piece::Live(json) => self.report(Event::Live(json)),
                Piece::Control(line) => self.control(line),
            }
        }
    }

    fn control(&mut self, line: String) {
        match line.as_str() {
            PANICKED | FAILED => {
                // The reason was written to stderr before the mark was written to stdout.
                self.read_errors();
                let reason = self.errors_as_text();
                self.report(if line == PANICKED { Event::Panicked(reason) } else { Event::Failed(reason) });
            }
            COMPLETE if self.begin_flush() => return,
            COMPLETE => {
                self.flushing = false;
                self.read_errors();
                self.report_errors();
                // It lives, so those were not its last words.
                if let Some((_, text)) = self.last_words.take() {
                    self.report(Event::Stderr(text));
                }
                self.report(Event::Completed);
            }
            _ => {}
        }
        self.lines.push(with_whole_prompt(line));
    }

    /// When the cell's code is over, has its stdout write what it still holds: text without a newline would come with the next cell.
    /// The process then says a second time that it is done.
    fn begin_flush(&mut self) -> bool {
        let Some(library) = self.flush.as_ref().filter(|_| !self.flushing) else { return false };
        self.flushing = writeln!(lock(&self.stdin), "LOAD_AND_RUN {} flush", library.display()).is_ok();
        self.flushing
    }

    fn report(&mut self, event: Event) {
        self.lines.extend(self.out.line(&event));
    }

    fn flush(&mut self) {
        if !self.lines.is_empty() {
            self.out.write(self.lines.drain(..));
        }
    }

    /// Reads what is on stderr now; false when it is closed.
    fn read_errors(&mut self) -> bool {
        loop {
            match read_some(&mut self.stderr) {
                Reading::Bytes(bytes) => {
                    self.errors.extend_from_slice(&bytes);
                    self.since.get_or_insert_with(Instant::now);
                }
                Reading::Nothing => return true,
                Reading::Closed => return false,
            }
        }
    }

    fn errors_as_text(&mut self) -> String {
        self.since = None;
        let whole = whole_characters(&self.errors);
        take_text(&mut self.errors, whole)
    }

    fn report_errors(&mut self) {
        let text = self.errors_as_text();
        let mut text = text.as_str();
        if let Some((_, after)) = &mut self.last_words {
            after.push_str(text);
            return;
        }
        if let Some((at, cause)) = deadly(text) {
            // A person reads one message, not a hundred addresses.
            self.last_words = Some((cause, text[at..].to_owned()));
            text = &text[..at];
        }
        if !text.is_empty() {
            self.report(Event::Stderr(text.to_owned()));
        }
    }
}

enum Reading {
    Bytes(Vec<u8>),
    Nothing,
    Closed,
}

fn read_some(from: &mut impl Read) -> Reading {
    let mut buffer = vec![0; 1 << 16];
    match from.read(&mut buffer) {
        Ok(0) => Reading::Closed,
        Ok(count) => {
            buffer.truncate(count);
            Reading::Bytes(buffer)
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Reading::Nothing,
        Err(_) => Reading::Closed,
    }
}

/// evcxr ends a prompt at its first colon; this stands for the colons in it.
pub const COLON: &str = "\u{1f}";

fn with_whole_prompt(line: String) -> String {
    match line.split_once(':') {
        Some((request, prompt)) if request.starts_with(INPUT_REQUEST) => {
            format!("{request}:{}", prompt.replace(':', COLON))
        }
        _ => line,
    }
}

/// Where a text begins to say what a process dies of, and what that is.
fn deadly(text: &str) -> Option<(usize, &'static str)> {
    const CAUSES: [(&str, &str); 5] = [
        ("Segmentation fault.\n", "segmentation fault"),
        ("Illegal instruction.\n", "illegal instruction"),
        ("Bus error.\n", "bus error"),
        ("memory allocation of ", "memory ran out"),
        (
            "\nthread 'main' has overflowed its stack",
            "the stack overflowed, most often because a function calls itself without end",
        ),
    ];
    let begins_line = |at: &usize| *at == 0 || text[..*at].ends_with('\n') || text[*at..].starts_with('\n');
    let found = CAUSES.iter().filter_map(|&(mark, cause)| Some((text.find(mark).filter(begins_line)?, cause)));
    found.min_by_key(|&(at, _)| at)
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(libc::SIGABRT) => "it aborted".into(),
        Some(libc::SIGSEGV) => "segmentation fault, or a function that calls itself without end".into(),
        Some(libc::SIGKILL) => "it was killed, most often because memory ran out".into(),
        Some(signal) => format!("signal {signal}"),
        None => format!("exit status {}", status.code().unwrap_or(-1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_of_death_is_found_where_it_begins_a_line() {
        assert_eq!(deadly("one\nSegmentation fault.\n   0: rust_begin"), Some((4, "segmentation fault")));
        assert_eq!(deadly("memory allocation of 64 bytes failed\n"), Some((0, "memory ran out")));
        assert_eq!(deadly("no Segmentation fault.\n"), None);
        assert_eq!(deadly(""), None);
    }
}
