//! Outputs that appear, and change, while a cell runs.
//!
//! Our kernel sets `METAMERS_LIVE` to a nonce. A line of the standard output that starts with the nonce and a space is a *frame*: JSON
//! that the kernel turns into a Jupyter message instead of printing it. Frames keep their order with printed text, since they are
//! printed. Their form is `{"op", "data", "metadata", "display_id", "wait"}` with the operations `display_data`, `update_display_data`,
//! `place` (new the first time in a cell, replaced afterwards) and `clear_output`, and `{"op": "listening", "on"}`.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Bundle, Show};

/// The variable that holds the kernel's nonce.
pub const VARIABLE: &str = "METAMERS_LIVE";

/// The nonce of the kernel that listens, if one does.
pub(crate) fn nonce() -> Option<String> {
    std::env::var(VARIABLE).ok().filter(|nonce| !nonce.is_empty() && !nonce.contains(char::is_whitespace))
}

/// The line that carries `message`. JSON has no raw newline in it, so one line is enough for anything.
pub(crate) fn frame(nonce: &str, message: &Value) -> String {
    format!("{nonce} {message}\n")
}

fn send(message: &Value) {
    let Some(nonce) = nonce() else { return };
    let line = frame(&nonce, message);
    let mut out = io::stdout().lock();
    // What was printed before goes first, so that the frame leaves whole. A closed pipe means that nobody looks.
    let _ = out.flush().and_then(|()| out.write_all(line.as_bytes())).and_then(|()| out.flush());
}

fn message(op: &str, bundle: &Bundle, display_id: Option<&str>) -> Value {
    let mut message = bundle.to_json();
    message["op"] = op.into();
    message["display_id"] = display_id.into();
    message["wait"] = false.into();
    message
}

pub(crate) fn display(bundle: &Bundle, display_id: Option<&str>) {
    send(&message("display_data", bundle, display_id));
}

/// Clears what the cell has shown so far; with `wait`, once the next output arrives. Does nothing without our kernel.
pub fn clear_output(wait: bool) {
    send(&json!({ "op": "clear_output", "data": {}, "metadata": {}, "display_id": null, "wait": wait }));
}

/// Tells the kernel whether the running code listens for interrupts: then an interrupt ends the work at the next good moment instead of
/// ending the process. Does nothing without our kernel.
pub fn send_listening(on: bool) {
    send(&json!({ "op": "listening", "on": on }));
}

/// A place in the notebook whose content is replaced.
///
/// Without our kernel there is no such place, and nothing happens; how often to update is the caller's to choose.
///
/// ```
/// use metamers::display::{Bundle, Live};
///
/// let place = Live::new();
/// for step in 0..3 {
///     place.update(&Bundle::text(format!("step {step}")));
/// }
/// assert_eq!(place.shown(), Live::is_on());
/// ```
#[derive(Debug)]
pub struct Live {
    id: String,
    outputs: AtomicUsize,
    each_cell: bool,
}

impl Live {
    /// A place that will be where the first update happens.
    pub fn new() -> Self {
        Self { id: unique_id(), outputs: AtomicUsize::new(0), each_cell: false }
    }

    /// A place that every cell which updates it has for itself: the first update in a cell shows something new there, and what
    /// earlier cells show stays as it is. For things that live longer than a cell.
    pub fn in_each_cell() -> Self {
        Self { each_cell: true, ..Self::new() }
    }

    /// Whether our kernel listens.
    pub fn is_on() -> bool {
        nonce().is_some()
    }

    /// Whether this place has shown something.
    pub fn shown(&self) -> bool {
        self.outputs.load(Ordering::Relaxed) > 0
    }

    /// Shows `thing` here, in place of what was here.
    pub fn update(&self, thing: &(impl Show + ?Sized)) {
        if !Self::is_on() {
            return;
        }
        let bundles = thing.mime_bundles();
        let known = self.outputs.fetch_max(bundles.len(), Ordering::Relaxed);
        for (index, bundle) in bundles.iter().enumerate() {
            let op = match (self.each_cell, index < known) {
                (true, _) => "place",
                (false, true) => "update_display_data",
                (false, false) => "display_data",
            };
            send(&message(op, bundle, Some(&self.display_id(index))));
        }
        // A place cannot be taken away again, only emptied.
        for index in bundles.len()..known {
            let op = if self.each_cell { "place" } else { "update_display_data" };
            send(&message(op, &Bundle::text(""), Some(&self.display_id(index))));
        }
    }

    fn display_id(&self, index: usize) -> String {
        match index {
            0 => self.id.clone(),
            _ => format!("{}-{index}", self.id),
        }
    }
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}

/// A name that no other place has, of this process or of an earlier one whose outputs are still in the notebook.
fn unique_id() -> String {
    static PROCESS: OnceLock<String> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let process = PROCESS.get_or_init(|| {
        let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_nanos());
        format!("metamers-{:x}-{nanoseconds:x}", std::process::id())
    });
    format!("{process}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
