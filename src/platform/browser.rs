//! A browser: no signals, and a file system that nothing interrupts.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// True if a locked file cannot be read by others.
pub(crate) const LOCKS_ARE_MANDATORY: bool = false;

/// A page interrupts by ending its worker.
pub(crate) fn watch_interrupts(_: &Arc<AtomicBool>, _second_ends_process: bool) {}

/// A browser's files have no modes.
pub(crate) fn set_usual_mode(_: &mut tempfile::Builder) {}

/// There is no disk.
pub(crate) fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}
