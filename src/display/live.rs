//! Outputs that appear and change while a cell runs.
//!
//! The metamers kernel sets `METAMERS_LIVE` to a nonce. A line of standard output that starts with the nonce and a space is a *frame*:
//! JSON that the kernel turns into a Jupyter message instead of printing it. Frames and printed text share standard output, so their order
//! is preserved. A frame has the form `{"op", "data", "metadata", "display_id", "wait"}` with the operations `display_data`,
//! `update_display_data`, `place` (displayed the first time in a cell, updated afterwards) and `clear_output`, or the form
//! `{"op": "listening", "on"}`.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{MimeBundle, Show};

/// The environment variable that holds the kernel's nonce.
pub const VARIABLE: &str = "METAMERS_LIVE";

/// The nonce of the metamers kernel; `None` without one.
pub(crate) fn nonce() -> Option<String> {
    std::env::var(VARIABLE).ok().filter(|nonce| !nonce.is_empty() && !nonce.contains(char::is_whitespace))
}

/// Formats `message` as a frame. Serialized JSON has no raw newline, so a frame is always one line.
pub(crate) fn frame(nonce: &str, message: &Value) -> String {
    format!("{nonce} {message}\n")
}

fn send(message: &Value) {
    let Some(nonce) = nonce() else { return };
    let line = frame(&nonce, message);
    let mut out = io::stdout().lock();
    // Flushing first keeps a frame on a line of its own. An error means that the reader has closed the pipe; nothing can be displayed then.
    let _ = out.flush().and_then(|()| out.write_all(line.as_bytes())).and_then(|()| out.flush());
}

fn message(op: &str, bundle: &MimeBundle, display_id: Option<&str>) -> Value {
    let mut message = bundle.to_json();
    message["op"] = op.into();
    message["display_id"] = display_id.into();
    message["wait"] = false.into();
    message
}

pub(crate) fn display(bundle: &MimeBundle, display_id: Option<&str>) {
    send(&message("display_data", bundle, display_id));
}

/// The moment at which [`clear_output`] takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Immediately.
    Now,
    /// When the next output arrives, which avoids flicker.
    NextOutput,
}

/// Clears the output of the running cell, as Jupyter's `clear_output` does. Does nothing without the metamers kernel.
pub fn clear_output(wait: Wait) {
    let wait = wait == Wait::NextOutput;
    send(&json!({ "op": "clear_output", "data": {}, "metadata": {}, "display_id": null, "wait": wait }));
}

/// Tells the kernel that the running code handles interrupts itself: an interrupt then ends the work after the current step instead of
/// ending the process. Does nothing without the metamers kernel.
#[doc(hidden)]
pub fn start_listening() {
    send(&json!({ "op": "listening", "on": true }));
}

/// Tells the kernel that the running code no longer handles interrupts. Does nothing without the metamers kernel.
#[doc(hidden)]
pub fn stop_listening() {
    send(&json!({ "op": "listening", "on": false }));
}

/// An output in the notebook whose content can be replaced, as with Jupyter's `update_display`.
///
/// Without the metamers kernel an update does nothing. The caller chooses how often to update.
///
/// ```
/// use metamers::display::{MimeBundle, Live};
///
/// let place = Live::new();
/// for step in 0..3 {
///     place.update(&MimeBundle::text(format!("step {step}")));
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
    /// Creates an output that appears at the first update.
    #[must_use]
    pub fn new() -> Self {
        Self { id: unique_id(), outputs: AtomicUsize::new(0), each_cell: false }
    }

    /// Creates an output that appears once in each cell that updates it; the outputs of earlier cells are not changed. Use it for
    /// objects that outlive a cell.
    #[must_use]
    pub fn in_each_cell() -> Self {
        Self { each_cell: true, ..Self::new() }
    }

    /// Returns whether the metamers kernel runs this process.
    #[must_use]
    pub fn is_on() -> bool {
        nonce().is_some()
    }

    /// Returns whether this output has been displayed.
    #[must_use]
    pub fn shown(&self) -> bool {
        self.outputs.load(Ordering::Relaxed) > 0
    }

    /// Replaces the content with `thing`.
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
        // Jupyter cannot remove an output, only empty it.
        for index in bundles.len()..known {
            let op = if self.each_cell { "place" } else { "update_display_data" };
            send(&message(op, &MimeBundle::text(""), Some(&self.display_id(index))));
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

/// An identifier that is unique among all processes, since outputs of earlier ones may still be in the notebook.
pub(crate) fn unique_id() -> String {
    static PROCESS: OnceLock<String> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let process = PROCESS.get_or_init(|| {
        let nanoseconds = (crate::clock::seconds_since_epoch() * 1e9) as u128;
        format!("metamers-{:x}-{nanoseconds:x}", process_id())
    });
    format!("{process}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The process' id; 0 in a browser, where a page has none.
fn process_id() -> u32 {
    if cfg!(target_family = "wasm") { 0 } else { std::process::id() }
}
