//! Writing of the supervisor's events.

use crate::event::Event;
use crate::sync::lock;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes whole lines to evcxr, from two threads.
pub struct EventWriter {
    key: String,
    ready: AtomicBool,
    /// True from the start of a cell to its end. evcxr reads stdout only in this time, and stderr always.
    running: Mutex<bool>,
}

impl EventWriter {
    /// A writer of events with this key. It writes none before `allow_events`.
    pub fn new(key: &str) -> EventWriter {
        EventWriter { key: key.to_owned(), ready: AtomicBool::new(false), running: Mutex::new(true) }
    }

    /// Begins to write events.
    pub fn allow_events(&self) {
        self.ready.store(true, Ordering::SeqCst);
    }

    /// Encodes an event; `None` before events are allowed.
    pub fn encode(&self, event: &Event) -> Option<String> {
        self.ready.load(Ordering::SeqCst).then(|| event.encode(&self.key))
    }

    /// Reports the start of a cell.
    pub fn begin_cell(&self) {
        let mut running = lock(&self.running);
        *running = true;
        write_lines(std::io::stdout(), self.encode(&Event::Started));
    }

    /// Writes the last lines of a cell.
    pub fn end_cell(&self, lines: impl IntoIterator<Item = String>) {
        let mut running = lock(&self.running);
        // Before the write, since evcxr may start the next cell as soon as it has read the lines.
        *running = false;
        write_lines(std::io::stdout(), lines);
    }

    /// Writes lines that evcxr reads at once, or between two cells the kernel.
    pub fn write(&self, lines: impl IntoIterator<Item = String>) {
        let running = lock(&self.running);
        if *running {
            write_lines(std::io::stdout(), lines);
        } else {
            write_lines(std::io::stderr(), lines);
        }
    }

    /// Writes lines that evcxr reads now or in the next cell.
    pub fn write_to_evcxr(&self, lines: impl IntoIterator<Item = String>) {
        let _running = lock(&self.running);
        write_lines(std::io::stdout(), lines);
    }
}

fn write_lines(mut to: impl Write, lines: impl IntoIterator<Item = String>) {
    let text: String = lines.into_iter().flat_map(|line| [line, "\n".into()]).collect();
    // Fails only when the kernel is exiting.
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}
