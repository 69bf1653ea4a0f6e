//! Linux and macOS.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// True if a locked file cannot be read by others.
pub(crate) const LOCKS_ARE_MANDATORY: bool = false;

/// Sets a flag at each interrupt, from a terminal or a notebook. With `second_ends_process`, an interrupt while the flag is set ends the
/// process.
pub(crate) fn watch_interrupts(signalled: &Arc<AtomicBool>, second_ends_process: bool) {
    super::signals::watch(signalled, second_ends_process);
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
