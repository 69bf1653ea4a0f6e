//! State of the current cell, shared by the evaluator, the event handler and the interrupter.

use std::time::Instant;

/// The stage of the current cell.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Phase {
    /// There is no current cell.
    #[default]
    Idle,
    /// The cell waits until evcxr and the prelude have been loaded.
    Waiting,
    /// The cell is being analysed and compiled.
    Building,
    /// The cell's code is running.
    Running,
}

/// The current cell.
#[derive(Debug, Default)]
pub struct Cell {
    /// Sequence number of the cell; lets a delayed thread notice that its cell has ended.
    pub id: u64,
    /// The cell's stage.
    pub phase: Phase,
    /// True while the code returns by itself after SIGINT.
    pub listening: bool,
    /// Time of the first interrupt.
    pub interrupted_at: Option<Instant>,
    /// The next cell is interrupted if its number among the requested cells is at most this: it was queued at an interrupt that found no
    /// cell.
    /// The same holds for all silent cells and the first one that is not.
    pub interrupted_until: u64,
    /// True once the user has been told what a second interrupt does.
    pub warned: bool,
    /// True if the evaluating process was killed by an interrupt.
    pub killed: bool,
    /// True if an interrupt came before the built cell could start.
    pub skipped: bool,
    /// True once the cell's code has been started.
    pub started: bool,
    /// True if an interrupt ended a read of stdin.
    pub input_interrupted: bool,
    /// Stderr text of a panic.
    pub panic_message: Option<String>,
    /// Stderr text of an error returned by `?`.
    pub error_message: Option<String>,
    /// Exit reason of the evaluating process, if it died.
    pub exit_reason: Option<String>,
    /// Names of the display slots that the cell has filled.
    display_slots: Vec<String>,
}

impl Cell {
    /// Begins a new cell, given its number among the requested cells. It may have to wait before it is built. An interrupt
    /// that ends a silent one ends the next one, too, because a silent one aborts no others.
    pub fn wait(&mut self, number: u64, silent: bool) {
        let interrupted_at = (number <= self.interrupted_until).then(Instant::now);
        let interrupted_until = if silent { self.interrupted_until } else { 0 };
        *self = Cell { id: self.id + 1, phase: Phase::Waiting, interrupted_at, interrupted_until, ..Cell::default() };
    }

    /// True if the cell was interrupted while it waited.
    #[must_use]
    pub fn is_wait_interrupted(&self) -> bool {
        self.phase == Phase::Waiting && self.interrupted_at.is_some()
    }

    /// Begins to build a new cell, or the one that waited.
    pub fn begin(&mut self) {
        let interrupted_until = self.interrupted_until;
        *self = Cell { id: self.id + 1, phase: Phase::Building, interrupted_until, ..Cell::default() };
    }

    /// Looks up a display slot by name: returns true if the cell has filled it before, and the slot's display id, which is unique to
    /// this cell.
    pub fn display_slot(&mut self, name: &str) -> (bool, String) {
        let filled = self.display_slots.iter().any(|slot| slot == name);
        if !filled {
            self.display_slots.push(name.to_owned());
        }
        (filled, format!("{name}-cell-{}", self.id))
    }

    /// Ends the cell; its outcome stays readable until the next one begins.
    pub fn end(&mut self) {
        self.phase = Phase::Idle;
        self.listening = false;
    }
}
