//! Interrupts: the first stops a build or asks running code to return; the second kills the evaluating process.

use crate::cell::{Cell, Phase};
use crate::platform;
use crate::publisher::Publisher;
use crate::sync::lock;
use serde_json::json;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// A second interrupt within this time counts as the same key press.
const MIN_INTERRUPT_INTERVAL: Duration = Duration::from_millis(400);
/// Time that an interrupted cell, or the handler of a widget, has to return before the user is told about the second interrupt.
const GRACE_PERIOD: Duration = Duration::from_secs(2);
const NOT_LISTENING: &str = "warning: this cell does not listen to interrupts. Interrupt again to end it; its variables, and all others, will \
     then be lost.";
const STILL_LISTENING: &str = "warning: the step in progress is not finished yet; the cell ends after it. Interrupt again to end it at \
     once; all variables will then be lost.";
const HANDLER_RUNS: &str = "warning: the handler of a widget does not return. Interrupt again to end it; all variables and widgets will then be \
     lost.\n";

/// Interrupts the current cell.
pub struct Interrupter {
    /// The current cell.
    pub cell: Arc<Mutex<Cell>>,
    /// The supervisor, which leads the process group of the evaluating process.
    pub process: Arc<OnceLock<Arc<Mutex<std::process::Child>>>>,
    /// The name of that group.
    pub group_name: String,
    /// The file that keeps a built cell from being run.
    pub skip_flag: PathBuf,
    /// Publisher for the warnings.
    pub publisher: Publisher,
    /// The event of a widget whose handler was interrupted last, and when that was done first.
    pub interrupted_handler: Mutex<Option<(u64, Instant)>>,
    /// True from the end of a handler, and of the evaluating process with it, until a cell reports it.
    pub handler_killed: AtomicBool,
}

impl Interrupter {
    /// An interrupter of a kernel without a cell and without processes.
    #[cfg(test)]
    pub fn of_nothing(publisher: Publisher) -> Arc<Self> {
        Arc::new(Self {
            cell: Arc::default(),
            process: Arc::default(),
            group_name: String::new(),
            skip_flag: PathBuf::new(),
            publisher,
            interrupted_handler: Mutex::default(),
            handler_killed: AtomicBool::new(false),
        })
    }

    /// The supervisor's process group; 0 before it has started.
    #[must_use]
    pub fn process_group(&self) -> u32 {
        self.process.get().map_or(0, |process| lock(process).id())
    }

    /// Interrupts the current cell or, if there is none, the next of those that have been requested; `requested` is their number.
    pub fn interrupt(self: &Arc<Self>, requested: u64) {
        let mut cell = lock(&self.cell);
        let is_first = cell.interrupted_at.is_none();
        let interrupted_at = *cell.interrupted_at.get_or_insert_with(Instant::now);
        match cell.phase {
            Phase::Idle => {
                cell.interrupted_at = None;
                cell.interrupted_until = requested;
            }
            // The evaluator, which waits too, ends the cell. What is being compiled is compiled for all cells.
            Phase::Waiting => {}
            Phase::Building => {
                let id = cell.id;
                // Covers a build that ends just now, after which the cell would run.
                let _ = std::fs::write(&self.skip_flag, "");
                drop(cell);
                if is_first {
                    let this = self.clone();
                    // Without a thread, of which a cell may have used up all, the second interrupt still ends the cell.
                    let _ = std::thread::Builder::new().spawn(move || this.stop_build(id));
                }
            }
            Phase::Running if is_first => {
                let id = cell.id;
                drop(cell);
                self.interrupt_running(id);
            }
            Phase::Running => {
                let min_interval = if cell.listening { GRACE_PERIOD } else { MIN_INTERRUPT_INTERVAL };
                if interrupted_at.elapsed() >= min_interval {
                    cell.killed = true;
                    drop(cell);
                    self.kill();
                }
            }
        }
    }

    /// Interrupts the handler of a widget's event, unless there is a cell. If the handler does not return soon, warns that the next
    /// interrupt kills the evaluating process. `is_handled` tells if the event is still being handled.
    pub fn interrupt_handler(self: &Arc<Self>, event: u64, is_handled: impl Fn() -> bool + Send + 'static) {
        if lock(&self.cell).phase != Phase::Idle {
            return;
        }
        let mut interrupted = lock(&self.interrupted_handler);
        let earlier = interrupted.filter(|&(interrupted, _)| interrupted == event);
        if earlier.is_some_and(|(_, first)| first.elapsed() >= GRACE_PERIOD) {
            self.handler_killed.store(true, Ordering::SeqCst);
            self.kill();
            return;
        }
        // Each time, because a program that the handler waits for may have started only now.
        self.send();
        if earlier.is_some() {
            return;
        }
        *interrupted = Some((event, Instant::now()));
        drop(interrupted);
        let this = self.clone();
        let _ = std::thread::Builder::new().spawn(move || {
            std::thread::sleep(GRACE_PERIOD);
            if is_handled() {
                this.publisher.publish_late("stream", json!({ "name": "stderr", "text": HANDLER_RUNS }));
            }
        });
    }

    /// Interrupts the running cell and, if the cell does not return soon, warns about the second interrupt.
    pub fn interrupt_running(self: &Arc<Self>, id: u64) {
        self.send();
        let this = self.clone();
        let _ = std::thread::Builder::new().spawn(move || {
            std::thread::sleep(GRACE_PERIOD);
            let mut cell = lock(&this.cell);
            if cell.id == id && cell.phase == Phase::Running && !cell.killed && !cell.warned {
                cell.warned = true;
                this.publisher.notice(if cell.listening { STILL_LISTENING } else { NOT_LISTENING });
            }
        });
    }

    /// Interrupts the process group of the evaluating process.
    pub fn send(&self) {
        platform::interrupt_group(self.process_group(), &self.group_name);
    }

    /// Kills the process group of the evaluating process.
    pub fn kill(&self) {
        platform::kill_group(self.process_group());
    }

    fn stop_build(&self, id: u64) {
        loop {
            let cell = lock(&self.cell);
            if cell.id != id || cell.phase != Phase::Building {
                return;
            }
            drop(cell);
            for pid in platform::descendants(self.process_group()) {
                platform::terminate(pid);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_later_interrupt_of_the_same_handler_kills_the_process() {
        let interrupter = Interrupter::of_nothing(Publisher::new(tokio::sync::mpsc::unbounded_channel().0));
        let kills = |event| {
            interrupter.interrupt_handler(event, || false);
            interrupter.handler_killed.swap(false, Ordering::SeqCst)
        };
        // As if the time had passed.
        let age = || {
            let first = Instant::now().checked_sub(GRACE_PERIOD).unwrap();
            *lock(&interrupter.interrupted_handler) = Some((1, first));
        };
        assert!(!kills(1) && !kills(1));
        age();
        assert!(kills(1));
        age();
        assert!(!kills(2), "another event");
        age();
        lock(&interrupter.cell).begin();
        assert!(!kills(1), "a cell is interrupted instead");
    }
}
