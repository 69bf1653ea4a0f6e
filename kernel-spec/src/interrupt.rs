//! An interrupt: the build stops, or the library ends its loop after the step under way, or a second one ends the process.

use crate::cell::{Cell, Phase};
use crate::process;
use crate::publisher::{Output, lock};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// A second interrupt sooner than this is the same press of the button.
const SAME_PRESS: Duration = Duration::from_millis(400);
/// How long an interrupted cell may go on before the person is told what to do.
const GRACE: Duration = Duration::from_secs(2);
const NOT_LISTENING: &str = "This cell does not listen to interrupts. Interrupt again to end it; its variables, and all others, will then be lost.";
const STILL_LISTENING: &str = "The step under way is not finished yet; the cell ends after it. Interrupt again to end it at once; all \
     variables will then be lost.";

/// Everything that an interrupt needs.
pub struct Interrupter {
    /// The cell under way.
    pub cell: Arc<Mutex<Cell>>,
    /// The relay's process, which leads the group of the process that runs the cells.
    pub process: Arc<OnceLock<Arc<Mutex<std::process::Child>>>>,
    /// The file that keeps a cell from being run.
    pub skip: PathBuf,
    /// Where the person is told.
    pub output: Output,
}

impl Interrupter {
    /// The relay's process number; 0 while there is none.
    pub fn group(&self) -> u32 {
        self.process.get().map_or(0, |process| lock(process).id())
    }

    /// Interrupts the cell under way.
    pub fn interrupt(self: &Arc<Self>) {
        let mut cell = lock(&self.cell);
        let first = cell.interrupted.is_none();
        let since = *cell.interrupted.get_or_insert_with(Instant::now);
        match cell.phase {
            Phase::Idle => cell.interrupted = None,
            Phase::Building => {
                let serial = cell.serial;
                // Without the file the cell would run if its build ended just now.
                let _ = std::fs::write(&self.skip, "");
                drop(cell);
                if first {
                    let this = self.clone();
                    std::thread::spawn(move || this.stop_build(serial));
                }
            }
            Phase::Running if first => {
                let serial = cell.serial;
                drop(cell);
                self.ask(serial);
            }
            Phase::Running => {
                let patience = if cell.listening { GRACE } else { SAME_PRESS };
                if since.elapsed() >= patience {
                    cell.killed = true;
                    drop(cell);
                    self.kill();
                }
            }
        }
    }

    /// Passes an interrupt that came during the build on to the cell, when it runs after all.
    pub fn ask(self: &Arc<Self>, serial: u64) {
        self.signal();
        let this = self.clone();
        std::thread::spawn(move || {
            std::thread::sleep(GRACE);
            let mut cell = lock(&this.cell);
            if cell.serial == serial && cell.phase == Phase::Running && !cell.killed && !cell.warned {
                cell.warned = true;
                this.output.notice(if cell.listening { STILL_LISTENING } else { NOT_LISTENING });
            }
        });
    }

    /// Has the code that listens hear of the interrupt.
    pub fn signal(&self) {
        process::signal_group(self.group(), libc::SIGINT);
    }

    /// Ends the process that runs the cells.
    pub fn kill(&self) {
        process::signal_group(self.group(), libc::SIGKILL);
    }

    fn stop_build(&self, serial: u64) {
        loop {
            let cell = lock(&self.cell);
            if cell.serial != serial || cell.phase != Phase::Building {
                return;
            }
            drop(cell);
            for pid in process::descendants(self.group()) {
                process::signal(pid, libc::SIGTERM);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
