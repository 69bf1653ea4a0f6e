//! Linux and macOS.

use std::ffi::{c_int, c_void};
use std::io::ErrorKind;
use std::path::Path;
use std::ptr::null;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::SIGINT;

/// True if a locked file cannot be read by others.
pub(crate) const LOCKS_ARE_MANDATORY: bool = false;

/// The words of an array that holds C's `struct sigaction`, of at most 152 bytes, on every system.
const ACTION_WORDS: usize = 64;

// SAFETY: the signature of POSIX, with pointers that have no type.
unsafe extern "C" {
    fn sigaction(signal: c_int, new: *const c_void, old: *mut c_void) -> c_int;
}

/// Sets a flag at each interrupt, from a terminal or a notebook. With `second_ends_process`, an interrupt while the flag is set ends the
/// process, unless the program has a handler of its own or ignores interrupts.
pub(crate) fn watch_interrupts(signalled: &Arc<AtomicBool>, second_ends_process: bool) {
    super::signals::watch(signalled, second_ends_process && interrupts_end_process());
}

/// Returns whether SIGINT has its default action so far, which ends the process.
fn interrupts_end_process() -> bool {
    let mut action = [0usize; ACTION_WORDS];
    // SAFETY: without a new action, the call only writes the current one into the array, which is large enough.
    let status = unsafe { sigaction(SIGINT, null(), action.as_mut_ptr().cast()) };
    // The handler comes first; the default one is null.
    status == 0 && action[0] == 0
}

/// Links to a file by a relative path.
pub(crate) fn link(relative: &str, _file: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(relative, link)
}

/// Gives temporary files the mode of any new file, before the umask is applied.
pub(crate) fn set_usual_mode(builder: &mut tempfile::Builder) {
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
}

/// Writes a folder's entries to the disk, so that a rename survives a power failure. A folder that cannot be opened, or a file system
/// that cannot do this, is left alone.
pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    let Ok(folder) = std::fs::File::open(folder) else { return Ok(()) };
    match folder.sync_all() {
        Err(e) if !matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Err(e),
        _ => Ok(()),
    }
}
