//! The moving of the evaluating process's output to evcxr, as events and lines in order.

use crate::crash::{find_crash, may_be_crash};
use crate::event::Event;
use crate::event_writer::EventWriter;
use crate::input_broker::InputBroker;
use crate::output_parser::{
    COMPLETE, FAILED, INPUT_REQUEST, OutputParser, PANICKED, Segment, complete_utf8_len, take_text,
};
use crate::platform::{Available, Streams};
use crate::runtime;
use crate::sync::lock;
use std::io::Write;
use std::path::PathBuf;
use std::process::ChildStdin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Maximum time that text waits for the rest of its line, and stderr for the event that it explains.
const MAX_OUTPUT_DELAY: Duration = Duration::from_millis(20);
/// Size of an unfinished line that is reported at once, in bytes.
const MAX_PARTIAL_LINE: usize = 1 << 16;
/// Number of bytes that are read from a pipe in one go: more than a pipe holds, and not all that is written meanwhile, which has no end.
const MAX_READ_AT_ONCE: usize = 1 << 20;

/// The crash cause found on stderr, and everything printed from there on.
struct Crash {
    cause: &'static str,
    text: String,
}

/// Moves the child's output to evcxr.
pub struct OutputPump<'a> {
    writer: &'a EventWriter,
    parser: OutputParser,
    streams: Streams,
    /// Arrival time of the first byte of the unfinished line, or the time when its start was reported.
    line_since: Option<Instant>,
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

impl<'a> OutputPump<'a> {
    /// A pump for the child's output, which sends a command to its stdin if there is a library that flushes the cells' stdout.
    pub fn new(
        writer: &'a EventWriter,
        parser: OutputParser,
        streams: Streams,
        (stdin, input): (Arc<Mutex<ChildStdin>>, Arc<Mutex<InputBroker>>),
        flush_library: Option<PathBuf>,
    ) -> OutputPump<'a> {
        OutputPump {
            writer,
            parser,
            streams,
            line_since: None,
            errors: Vec::new(),
            errors_since: None,
            lines: Vec::new(),
            flush_library,
            flushing: false,
            stdin,
            input,
            crash: None,
        }
    }

    /// Moves all output until the child exits; returns the crash cause found on stderr.
    pub fn run(mut self) -> Option<String> {
        loop {
            let has_pending = self.parser.has_partial_line() || self.errors_since.is_some();
            let is_ready = self.streams.wait(has_pending.then_some(MAX_OUTPUT_DELAY));
            // Asked before the output is read, so that nothing printed before the exit is lost.
            let has_exited = self.streams.has_exited();
            let is_reading = self.streams.take_request();
            self.read_errors();
            let output = self.streams.read_stdout();
            if let Available::Bytes(bytes) = &output {
                self.handle_output(bytes);
            }
            if is_reading {
                self.request_input();
            }
            if !is_ready {
                self.report_partial_line(OutputParser::take_partial_line);
            } else if self.is_line_due() {
                self.report_partial_line(OutputParser::take_start_of_line);
            }
            if self.errors_since.is_some_and(|since| since.elapsed() >= MAX_OUTPUT_DELAY) {
                self.report_old_errors();
            }
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
        if bytes.contains(&b'\n') {
            // Another line begins.
            self.line_since = None;
        }
        for segment in self.parser.push(bytes) {
            self.release_announcement();
            match segment {
                Segment::Text(text) => self.report(Event::Stdout(text)),
                Segment::Live(json) => self.report(Event::Live(json)),
                Segment::Control(line) => self.handle_control(line),
            }
        }
        if self.parser.has_partial_line() {
            self.line_since.get_or_insert_with(Instant::now);
        }
    }

    /// True if an unfinished line must not wait for a pause in the output, because there may be none.
    fn is_line_due(&self) -> bool {
        let is_old = self.line_since.is_some_and(|since| since.elapsed() >= MAX_OUTPUT_DELAY);
        is_old || self.parser.partial_len() >= MAX_PARTIAL_LINE
    }

    /// Reports the part of an unfinished line that is taken, if there is one. The rest waits again.
    fn report_partial_line(&mut self, take: fn(&mut OutputParser) -> Option<Segment>) {
        if let Some(Segment::Text(text)) = take(&mut self.parser) {
            self.report(Event::Stdout(text));
        }
        self.line_since = self.parser.has_partial_line().then(Instant::now);
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
        let mut read = 0;
        while read < MAX_READ_AT_ONCE
            && let Available::Bytes(bytes) = self.streams.read_stdout()
        {
            read += bytes.len();
            self.handle_output(&bytes);
        }
        self.report_partial_line(OutputParser::take_partial_line);
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

    /// Reads all stderr that was available at the call.
    fn read_errors(&mut self) {
        let mut read = 0;
        while read < MAX_READ_AT_ONCE
            && let Available::Bytes(bytes) = self.streams.read_stderr()
        {
            read += bytes.len();
            self.errors.extend_from_slice(&bytes);
            self.errors_since.get_or_insert_with(Instant::now);
        }
    }

    fn take_errors(&mut self) -> String {
        self.errors_since = None;
        let len = complete_utf8_len(&self.errors);
        take_text(&mut self.errors, len)
    }

    /// Reports stderr after a delay. The start of a line waits once more for its end, because `dbg!` writes a position in parts.
    fn report_old_errors(&mut self) {
        let newline = self.errors.iter().rposition(|&byte| byte == b'\n').map(|newline| newline + 1);
        // The cause of a crash is written in parts, too.
        let is_cause = may_be_crash(&self.errors[newline.unwrap_or(0)..]);
        let end = newline.unwrap_or(if is_cause { 0 } else { self.errors.len() });
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
