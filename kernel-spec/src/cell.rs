//! Where the cell under way stands, shared by those who run it, watch it and interrupt it.

use std::time::Instant;

/// What happens to the cell now.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Phase {
    /// There is no cell.
    #[default]
    Idle,
    /// It is analysed and compiled.
    Building,
    /// Its code runs.
    Running,
}

/// The cell under way.
#[derive(Debug, Default)]
pub struct Cell {
    /// Counts cells, so that a late watcher knows its own.
    pub serial: u64,
    /// What happens to it.
    pub phase: Phase,
    /// Whether its code ends by itself after an interrupt.
    pub listening: bool,
    /// When it was first interrupted.
    pub interrupted: Option<Instant>,
    /// Whether the person has been told what a second interrupt does.
    pub warned: bool,
    /// Whether its process was ended for an interrupt.
    pub killed: bool,
    /// Whether it was never run, because of an interrupt.
    pub skipped: bool,
    /// What a panic said.
    pub panicked: Option<String>,
    /// What a `?` said.
    pub failed: Option<String>,
    /// How the process that ran it ended.
    pub ended: Option<String>,
    /// The names of the places at which it has shown something.
    places: Vec<String>,
}

impl Cell {
    /// A new cell begins.
    pub fn begin(&mut self) {
        *self = Cell { serial: self.serial + 1, phase: Phase::Building, ..Cell::default() };
    }

    /// Whether this cell has shown something at the place of this name, and the place's display id, which no other cell has.
    pub fn place(&mut self, name: &str) -> (bool, String) {
        let known = self.places.iter().any(|place| place == name);
        if !known {
            self.places.push(name.to_owned());
        }
        (known, format!("{name}-cell-{}", self.serial))
    }

    /// The cell is over; what is known about it stays until the next one.
    pub fn end(&mut self) {
        self.phase = Phase::Idle;
        self.listening = false;
    }
}
