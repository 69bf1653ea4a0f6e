//! Handling of the supervisor's events while a cell runs.

use crate::cell::{Cell, Phase};
use crate::cell_map::CellMap;
use crate::event::Event;
use crate::interrupt::Interrupter;
use crate::live::Frame;
use crate::publisher::Publisher;
use crate::sync::lock;
use crossbeam_channel::{Receiver, Select};
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard};

/// Updates the cell state and publishes output as events arrive.
pub struct EventHandler {
    key: String,
    publisher: Publisher,
    interrupter: Arc<Interrupter>,
    cells: Arc<Mutex<CellMap>>,
    lines: Mutex<Option<Receiver<String>>>,
}

impl EventHandler {
    /// A handler for the events of the supervisor with this key.
    pub fn new(
        key: &str,
        publisher: Publisher,
        interrupter: Arc<Interrupter>,
        cells: Arc<Mutex<CellMap>>,
    ) -> EventHandler {
        EventHandler { key: key.to_owned(), publisher, interrupter, cells, lines: Mutex::default() }
    }

    /// Handles these lines on a background thread.
    pub fn spawn(self: &Arc<Self>, lines: Receiver<String>) {
        *lock(&self.lines) = Some(lines.clone());
        let this = self.clone();
        std::thread::spawn(move || {
            loop {
                // Only waits: lines are received and handled under the lock, so that after `drain` none is in flight.
                let mut select = Select::new();
                select.recv(&lines);
                select.ready();
                if !this.drain() {
                    return;
                }
            }
        });
    }

    /// Handles all events that have arrived; returns false when the channel is closed.
    pub fn drain(&self) -> bool {
        let lines = lock(&self.lines);
        let Some(lines) = lines.as_ref() else { return false };
        loop {
            match lines.try_recv() {
                Ok(line) => self.handle_line(&line),
                Err(error) => return error.is_empty(),
            }
        }
    }

    fn handle_line(&self, line: &str) {
        match Event::decode(line, &self.key) {
            Some(Event::Started) => self.start_cell(),
            Some(Event::Completed) => {
                let mut cell = self.cell();
                cell.phase = Phase::Building;
                cell.listening = false;
            }
            Some(Event::Skipped) => self.cell().skipped = true,
            Some(Event::Stdout(text)) => self.publisher.stream("stdout", &text),
            Some(Event::Stderr(text)) => self.publisher.stream("stderr", &lock(&self.cells).rewrite(&text)),
            Some(Event::Live(json)) => self.handle_frame(&json),
            Some(Event::Panicked(message)) => self.cell().panic_message = Some(message),
            Some(Event::Failed(message)) => self.cell().error_message = Some(message),
            Some(Event::Exited(reason)) => self.cell().exit_reason = Some(reason),
            None => self.publisher.stream("stdout", &format!("{line}\n")),
        }
    }

    /// Handles a line that the supervisor writes between two cells: output of threads of the cell that ran last.
    pub fn handle_late_line(&self, line: &str) {
        let stream = |name: &str, text: String| {
            self.publisher.publish_late("stream", json!({ "name": name, "text": text }));
        };
        match Event::decode(line, &self.key) {
            Some(Event::Stdout(text)) => stream("stdout", text),
            Some(Event::Stderr(text)) => stream("stderr", lock(&self.cells).rewrite(&text)),
            Some(Event::Live(json)) => {
                let message = Frame::parse(&json).and_then(|frame| frame.into_message(&mut self.cell()));
                if let Some((kind, content)) = message {
                    self.publisher.publish_late(kind, content);
                }
            }
            Some(_) => {}
            None => eprintln!("{line}"),
        }
    }

    fn start_cell(&self) {
        self.publisher.begin_run();
        let mut cell = self.cell();
        cell.phase = Phase::Running;
        cell.started = true;
        if cell.interrupted_at.is_some() {
            let id = cell.id;
            drop(cell);
            self.interrupter.interrupt_running(id);
        }
    }

    fn handle_frame(&self, json: &str) {
        match Frame::parse(json) {
            Some(Frame::Listening { on }) => {
                let mut cell = self.cell();
                cell.listening = on;
                // The code started to listen after the interrupt, so it missed the signal.
                if on && cell.interrupted_at.is_some() {
                    self.interrupter.send();
                }
            }
            Some(frame) => {
                let message = frame.into_message(&mut self.cell());
                if let Some((kind, content)) = message {
                    self.publisher.publish(kind, content);
                }
            }
            None => {}
        }
    }

    fn cell(&self) -> MutexGuard<'_, Cell> {
        lock(&self.interrupter.cell)
    }
}
