//! Hears what the relay reports, while the cell runs.

use crate::cell::Phase;
use crate::event::Event;
use crate::interrupt::Interrupter;
use crate::live::Frame;
use crate::publisher::{Output, lock};
use crossbeam_channel::{Receiver, Select};
use std::sync::{Arc, Mutex};

/// Hears what the relay reports.
pub struct Listener {
    key: String,
    output: Output,
    interrupter: Arc<Interrupter>,
    lines: Mutex<Option<Receiver<String>>>,
}

impl Listener {
    /// A listener for the relay with this key.
    pub fn new(key: &str, output: Output, interrupter: Arc<Interrupter>) -> Listener {
        Listener { key: key.to_owned(), output, interrupter, lines: Mutex::default() }
    }

    /// Listens to these lines in the background.
    pub fn listen(self: &Arc<Self>, lines: Receiver<String>) {
        *lock(&self.lines) = Some(lines.clone());
        let this = self.clone();
        std::thread::spawn(move || {
            loop {
                // Only looks: a line is taken and handled under the lock, so that `catch_up` knows that none is on its way.
                let mut select = Select::new();
                select.recv(&lines);
                select.ready();
                if !this.catch_up() {
                    return;
                }
            }
        });
    }

    /// Handles everything that has been reported; false when nothing more can come.
    pub fn catch_up(&self) -> bool {
        let lines = lock(&self.lines);
        let Some(lines) = lines.as_ref() else { return false };
        loop {
            match lines.try_recv() {
                Ok(line) => self.handle(&line),
                Err(error) => return error.is_empty(),
            }
        }
    }

    fn handle(&self, line: &str) {
        let cell = || lock(&self.interrupter.cell);
        match Event::decode(line, &self.key) {
            Some(Event::Runs) => {
                let mut cell = cell();
                cell.phase = Phase::Running;
                if cell.interrupted.is_some() {
                    let serial = cell.serial;
                    drop(cell);
                    self.interrupter.ask(serial);
                }
            }
            Some(Event::Completed) => {
                let mut cell = cell();
                cell.phase = Phase::Building;
                cell.listening = false;
            }
            Some(Event::Skipped) => cell().skipped = true,
            Some(Event::Stdout(text)) => self.output.stream("stdout", &text),
            Some(Event::Stderr(text)) => self.output.stream("stderr", &text),
            Some(Event::Live(json)) => match Frame::parse(&json) {
                Some(Frame::Listening { on }) => {
                    let mut cell = cell();
                    cell.listening = on;
                    // Code that begins to listen after the interrupt has not heard of it.
                    if on && cell.interrupted.is_some() {
                        self.interrupter.signal();
                    }
                }
                Some(frame) => {
                    let message = frame.message(&mut cell());
                    if let Some((kind, content)) = message {
                        self.output.publish(kind, content);
                    }
                }
                None => {}
            },
            Some(Event::Panicked(said)) => cell().panicked = Some(said),
            Some(Event::Failed(said)) => cell().failed = Some(said),
            Some(Event::Ended(how)) => cell().ended = Some(how),
            None => self.output.stream("stdout", &format!("{line}\n")),
        }
    }
}
