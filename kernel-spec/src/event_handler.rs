//! Handling of the supervisor's events while a cell runs.

use crate::cell::{Cell, Phase};
use crate::cell_map::CellMap;
use crate::event::Event;
use crate::interrupt::Interrupter;
use crate::live::Frame;
use crate::panics;
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
                Ok(line) => {
                    // Without this thread, evcxr would wait for ever for its lines to be handled.
                    panics::catch("handled a line of output", || self.handle_line(&line));
                }
                Err(error) => return error.is_empty(),
            }
        }
    }

    /// Handles a line. Only output waits for the front ends: they do not decide when the state of the cell changes.
    fn handle_line(&self, line: &str) {
        match Event::decode(line, &self.key) {
            Some(Event::Started) => self.start_cell(),
            Some(Event::Completed) => {
                let mut cell = self.cell();
                if cell.phase == Phase::Running {
                    cell.phase = Phase::Building;
                    cell.listening = false;
                }
            }
            Some(Event::Skipped) => self.cell().skipped = true,
            Some(Event::Stdout(text)) => self.publish_text("stdout", &text),
            Some(Event::Stderr(text)) => {
                let text = lock(&self.cells).rewrite(&text);
                self.publish_text("stderr", &text);
            }
            Some(Event::Live(json)) => self.handle_frame(&json),
            Some(Event::Panicked(message)) => self.cell().panic_message = Some(message),
            Some(Event::Failed(message)) => self.cell().error_message = Some(message),
            Some(Event::Exited(reason)) => self.cell().exit_reason = Some(reason),
            None => self.publish_text("stdout", &format!("{line}\n")),
        }
    }

    fn publish_text(&self, stream: &str, text: &str) {
        self.publisher.wait_for_room();
        self.publisher.stream(stream, text);
    }

    /// The reason of the end of the evaluating process in the supervisor's last lines, which are not handled if it ended before a cell.
    #[must_use]
    pub fn exit_reason(&self, lines: &str) -> Option<String> {
        lines.lines().find_map(|line| match Event::decode(line, &self.key)? {
            Event::Exited(reason) => Some(reason),
            _ => None,
        })
    }

    /// Handles a line that the supervisor writes between two cells: output of threads of the cell that ran last.
    pub fn handle_late_line(&self, line: &str) {
        panics::catch("handled a line of output between two cells", || self.publish_late_line(line));
    }

    fn publish_late_line(&self, line: &str) {
        self.publisher.wait_for_room();
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
        let mut cell = self.cell();
        // evcxr runs the prelude as it runs cells, but nothing ends a cell after it, so none must begin.
        if matches!(cell.phase, Phase::Idle | Phase::Waiting) {
            return;
        }
        self.publisher.begin_run();
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
                self.publisher.wait_for_room();
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn handler() -> EventHandler {
        handler_with(Publisher::new(tokio::sync::mpsc::unbounded_channel().0))
    }

    fn handler_with(publisher: Publisher) -> EventHandler {
        let interrupter = Interrupter::of_nothing(publisher.clone());
        let cells = Arc::new(Mutex::new(CellMap::new(Path::new("/nowhere"))));
        EventHandler::new("key", publisher, interrupter, cells)
    }

    #[test]
    fn an_end_before_a_cell_has_a_reason() {
        let lines = format!("{}\ntext\n", Event::Exited("exit status 3".into()).encode("key"));
        assert_eq!(handler().exit_reason(&format!("{lines}Subprocess terminated")).as_deref(), Some("exit status 3"));
        assert_eq!(handler().exit_reason("Subprocess terminated"), None);
    }

    #[test]
    fn only_a_cell_that_is_built_can_run() {
        let handler = handler();
        let run = || {
            [Event::Started, Event::Completed].map(|event| {
                handler.handle_line(&event.encode("key"));
                handler.cell().phase
            })
        };
        // The prelude, before the first cell and while it waits: an interrupt must not find a build.
        assert_eq!(run(), [Phase::Idle; 2]);
        handler.cell().wait(1, false);
        assert_eq!(run(), [Phase::Waiting; 2]);
        handler.cell().begin();
        assert_eq!(run(), [Phase::Running, Phase::Building]);
    }

    #[test]
    fn a_cell_starts_while_no_front_end_reads() {
        let (queue, _unread) = tokio::sync::mpsc::unbounded_channel();
        let publisher = Publisher::new(queue);
        (0..1000).for_each(|_| publisher.status("busy", None));
        let handler = Arc::new(handler_with(publisher.clone()));
        handler.cell().begin();
        handler.handle_line(&Event::Started.encode("key"));
        assert_eq!(handler.cell().phase, Phase::Running);
        handler.handle_line(&Event::Live(r#"{"op":"listening","on":true}"#.into()).encode("key"));
        assert!(handler.cell().listening);
        let printing = std::thread::spawn({
            let handler = handler.clone();
            move || handler.handle_line(&Event::Stdout("text".into()).encode("key"))
        });
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!printing.is_finished());
        publisher.close();
        printing.join().unwrap();
    }
}
