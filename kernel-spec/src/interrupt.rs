//! Interrupts: the first stops a build or asks running code to return; the second kills the evaluating process.

use crate::cell::{Cell, Phase};
use crate::platform;
use crate::publisher::Publisher;
use crate::sync::lock;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// A second interrupt within this time counts as the same key press.
const MIN_INTERRUPT_INTERVAL: Duration = Duration::from_millis(400);
/// Time that an interrupted cell has to return before the user is told about the second interrupt.
const GRACE_PERIOD: Duration = Duration::from_secs(2);
const NOT_LISTENING: &str = "warning: this cell does not listen to interrupts. Interrupt again to end it; its variables, and all others, will \
     then be lost.";
const STILL_LISTENING: &str = "warning: the step in progress is not finished yet; the cell ends after it. Interrupt again to end it at \
     once; all variables will then be lost.";

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
        })
    }

    /// The supervisor's process group; 0 before it has started.
    #[must_use]
    pub fn process_group(&self) -> u32 {
        self.process.get().map_or(0, |process| lock(process).id())
    }

    /// Interrupts the current cell.
    pub fn interrupt(self: &Arc<Self>) {
        let mut cell = lock(&self.cell);
        let is_first = cell.interrupted_at.is_none();
        let interrupted_at = *cell.interrupted_at.get_or_insert_with(Instant::now);
        match cell.phase {
            Phase::Idle => cell.interrupted_at = None,
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

    /// Interrupts the handlers of widgets, unless there is a cell.
    pub fn interrupt_handlers(&self) {
        if lock(&self.cell).phase == Phase::Idle {
            self.send();
        }
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
