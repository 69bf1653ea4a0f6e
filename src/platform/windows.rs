//! Windows.

use std::path::Path;
use std::ptr::null;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use windows_sys::Win32::Foundation::{HANDLE, WAIT_OBJECT_0};
use windows_sys::Win32::System::Threading::{CreateEventW, INFINITE, ResetEvent, WaitForSingleObject};

/// True if a locked file cannot be read by others.
pub(crate) const LOCKS_ARE_MANDATORY: bool = true;
/// Environment variable with the name of the event that the kernel sets for an interrupt.
const INTERRUPT_EVENT_VAR: &str = "METAMERS_INTERRUPT_EVENT";

/// Sets a flag at each interrupt, from a terminal or a notebook. With `second_ends_process`, a Ctrl-C while the flag is set ends the
/// process.
pub(crate) fn watch_interrupts(signalled: &Arc<AtomicBool>, second_ends_process: bool) {
    super::signals::watch(signalled, second_ends_process);
    if let Ok(name) = std::env::var(INTERRUPT_EVENT_VAR) {
        watch_event(&name, Arc::clone(signalled));
    }
}

/// Sets a flag each time that an event of this name is set. The event is created by this call, and before it nobody can set it.
fn watch_event(name: &str, signalled: Arc<AtomicBool>) {
    let name: Vec<u16> = name.encode_utf16().chain([0]).collect();
    // SAFETY: the name ends with a zero, and the attributes may be null. Not manual: a wait resets the event.
    let event = unsafe { CreateEventW(null(), 0, 0, name.as_ptr()) };
    if event.is_null() {
        return;
    }
    // SAFETY: the handle is open. Another process may have left the event set.
    unsafe { ResetEvent(event) };
    // As a number, because a pointer is not `Send`.
    let event = event as usize;
    let wait = move || {
        // SAFETY: the handle is never closed.
        while unsafe { WaitForSingleObject(event as HANDLE, INFINITE) } == WAIT_OBJECT_0 {
            signalled.store(true, Ordering::SeqCst);
        }
    };
    // Without a thread, interrupts are not noticed.
    let _ = std::thread::Builder::new().name("interrupt".into()).spawn(wait);
}

/// Moves a file: links need special rights.
pub(crate) fn link(_relative: &str, file: &Path, link: &Path) -> std::io::Result<()> {
    std::fs::rename(file, link)
}

/// A new file has the permissions of its folder.
pub(crate) fn set_usual_mode(_: &mut tempfile::Builder) {}

/// Windows writes the entries of folders itself.
pub(crate) fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use windows_sys::Win32::System::Threading::SetEvent;

    #[test]
    fn an_event_sets_the_flag_each_time() {
        let name = format!("Local\\metamers-test-{}", std::process::id());
        let signalled = Arc::new(AtomicBool::new(false));
        watch_event(&name, Arc::clone(&signalled));
        let wide: Vec<u16> = name.encode_utf16().chain([0]).collect();
        // SAFETY: as in `watch_event`; the event exists and is opened.
        let event = unsafe { CreateEventW(null(), 0, 0, wide.as_ptr()) };
        for _ in 0..2 {
            // SAFETY: the handle is open.
            unsafe { SetEvent(event) };
            let start = std::time::Instant::now();
            while !signalled.swap(false, Ordering::SeqCst) {
                assert!(start.elapsed().as_secs() < 10, "the event was not noticed");
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    }
}
