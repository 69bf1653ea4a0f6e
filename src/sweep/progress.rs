//! What a person sees while a sweep works: how far it is, and in a notebook the panel so far.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use super::results::SweepResults;
use super::workers::WorkerEvent;
use crate::display::{Live, LiveView, MimeBundle, ProgressBar, Show, duration};

/// A terminal's line is written so often at most; a log's, which nothing takes away again, more rarely.
const LINE: Duration = Duration::from_millis(250);
const LOG_LINE: Duration = Duration::from_secs(30);

pub(super) struct ProgressView {
    results: SweepResults,
    quiet: bool,
    /// Of this call, done before or to be done.
    total: usize,
    /// Done before it began.
    before: usize,
    /// Which part of a task under way is done.
    parts: HashMap<usize, f64>,
    begun: Instant,
    written: Option<Instant>,
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
            begun: Instant::now(),
            written: None,
            view,
            terminal: std::io::stderr().is_terminal(),
        }
    }

    pub fn see(&mut self, event: WorkerEvent) {
        let mut done = false;
        match event {
            WorkerEvent::Part(task, part) => drop(self.parts.insert(task, part)),
            WorkerEvent::Note(note) => {
                self.say(&note);
                self.results.notes.push(note);
            }
            WorkerEvent::Done(row) => {
                self.parts.remove(&row.task);
                self.results.rows.insert(row.task, *row);
                done = true;
            }
            WorkerEvent::Quiet => {}
        }
        if self.quiet {
            return;
        }
        if Live::is_on() {
            if self.view.is_due() && (done || self.begun.elapsed() > self.view.pause()) {
                self.draw();
            }
        } else {
            let pause = if self.terminal { LINE } else { LOG_LINE };
            if self.written.is_none_or(|written| written.elapsed() >= pause) {
                self.written = Some(Instant::now());
                self.write_line();
            }
        }
    }

    /// How far the work is, and how long the rest takes at the pace of this call.
    fn progress(&self) -> ProgressBar {
        let done = self.results.rows.len();
        let (elapsed, parts) = (self.begun.elapsed(), self.parts.values().sum::<f64>());
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
        // To the error output, whose reader may be gone: no reason to stop.
        let mut out = std::io::stderr().lock();
        let _ = match self.terminal {
            true => write!(out, "\r\x1b[2K{line}").and_then(|()| out.flush()),
            false => writeln!(out, "{line}"),
        };
    }

    fn say(&self, note: &str) {
        if !self.quiet && !Live::is_on() {
            let start = if self.terminal { "\r\x1b[2K" } else { "" };
            let _ = writeln!(std::io::stderr().lock(), "{start}{note}");
        }
    }

    pub fn end(mut self, interrupted: bool) -> SweepResults {
        self.results.interrupted = interrupted;
        if self.quiet {
            return self.results;
        }
        let (summary, results) = (self.results.summary(), &self.results);
        // The summary replaces the line of progress.
        if !self.view.finish(|| with_panel(summary.clone(), results)) {
            self.say(&format!("{summary} in {}", duration(self.begun.elapsed())));
        }
        self.results
    }
}

/// A line of text above the panel of the results so far.
fn with_panel(line: String, results: &SweepResults) -> Vec<MimeBundle> {
    std::iter::once(MimeBundle::text(line)).chain(results.mime_bundles()).collect()
}
