//! Progress of a running sweep: a line, or in a notebook the live panel.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use super::results::SweepResults;
use super::workers::WorkerEvent;
use crate::clock::Instant;
use crate::display::{Live, LiveView, MimeBundle, ProgressBar, Show, duration};

/// Minimum interval between progress lines in a terminal.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(250);
/// Minimum interval between progress lines in a log file, which keeps every line.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// The progress display of a running sweep.
pub(super) struct ProgressView {
    results: SweepResults,
    quiet: bool,
    /// Tasks of this call, including those that were finished before.
    total: usize,
    /// Tasks that were finished before this call.
    before: usize,
    /// Finished fraction of each running task.
    parts: HashMap<usize, f64>,
    start: Instant,
    last_line: Option<Instant>,
    view: LiveView,
    terminal: bool,
}

impl ProgressView {
    pub fn new(results: SweepResults, total: usize, quiet: bool) -> Self {
        let view = LiveView::with_interval(Duration::from_secs(1));
        let place = (!quiet).then(|| view.place());
        Self {
            before: results.rows.len(),
            results: SweepResults { place, ..results },
            quiet,
            total,
            parts: HashMap::new(),
            start: Instant::now(),
            last_line: None,
            view,
            terminal: std::io::stderr().is_terminal(),
        }
    }

    pub fn handle(&mut self, event: WorkerEvent) {
        let mut done = false;
        match event {
            WorkerEvent::Part(task, part) => drop(self.parts.insert(task, part)),
            WorkerEvent::Note(note) => {
                self.print_note(&note);
                self.results.notes.push(note);
            }
            WorkerEvent::Done(row) => {
                self.parts.remove(&row.task);
                self.results.rows.insert(row.task, *row);
                done = true;
            }
            WorkerEvent::Idle => {}
        }
        if self.quiet {
            return;
        }
        if Live::is_on() {
            if self.view.is_due() && (done || self.start.elapsed() > self.view.pause()) {
                self.draw();
            }
        } else {
            let pause = if self.terminal { TERMINAL_INTERVAL } else { LOG_INTERVAL };
            if self.last_line.is_none_or(|last_line| last_line.elapsed() >= pause) {
                self.last_line = Some(Instant::now());
                self.write_line();
            }
        }
    }

    /// Progress and remaining time at the pace of this call.
    fn progress(&self) -> ProgressBar {
        let done = self.results.rows.len();
        let (elapsed, parts) = (self.start.elapsed(), self.parts.values().sum::<f64>());
        let worked = (done - self.before) as f64 + parts;
        let left = ((self.total - done) as f64 - parts).max(0.0);
        let eta = (worked > 0.0).then(|| Duration::try_from_secs_f64(elapsed.as_secs_f64() / worked * left).ok());
        ProgressBar::new(done, Some(self.total)).unit("metamers").elapsed(elapsed).eta(eta.flatten())
    }

    fn draw(&mut self) {
        let (line, results) = (self.progress().to_string(), &self.results);
        self.view.update(|| with_panel(line, results));
    }

    fn write_line(&self) {
        let line = self.progress().to_string();
        // A closed stderr must not stop the sweep, so errors are ignored.
        let mut out = std::io::stderr().lock();
        let _ = match self.terminal {
            true => write!(out, "\r\x1b[2K{line}").and_then(|()| out.flush()),
            false => writeln!(out, "{line}"),
        };
    }

    fn print_note(&self, note: &str) {
        if !self.quiet && !Live::is_on() {
            let start = if self.terminal { "\r\x1b[2K" } else { "" };
            let _ = writeln!(std::io::stderr().lock(), "{start}{note}");
        }
    }

    pub fn finish(mut self, interrupted: bool) -> SweepResults {
        self.results.interrupted = interrupted;
        if self.quiet {
            return self.results;
        }
        let (summary, results) = (self.results.summary(), &self.results);
        // The summary replaces the line of progress.
        if !self.view.finish(|| with_panel(summary.clone(), results)) {
            self.print_note(&format!("{summary} in {}", duration(self.start.elapsed())));
        }
        self.results
    }
}

/// A line of text above the panel of the results so far.
fn with_panel(line: String, results: &SweepResults) -> Vec<MimeBundle> {
    std::iter::once(MimeBundle::text(line)).chain(results.mime_bundles()).collect()
}
