//! Ending long work early, with everything kept.
//!
//! A notebook's interrupt, or Ctrl-C, reaches the process as SIGINT. While a [`Listening`] lives, that sets a flag which
//! the work asks for between two steps; a second one ends the process, as if nobody listened.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::display::live::send_listening;

struct Flags {
    interrupted: Arc<AtomicBool>,
    /// How many pieces of work listen.
    listeners: AtomicUsize,
}

static FLAGS: OnceLock<Flags> = OnceLock::new();

fn flags() -> &'static Flags {
    FLAGS.get_or_init(|| Flags { interrupted: Arc::default(), listeners: AtomicUsize::new(0) })
}

#[cfg(unix)]
fn install(interrupted: &Arc<AtomicBool>) {
    use signal_hook::consts::SIGINT;
    use std::sync::Once;
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // Registered first, so it runs first: a second interrupt while the first is still waiting ends the process. In a
        // notebook the kernel ends it, for it can say so.
        if !crate::display::Live::is_on() {
            let _ = signal_hook::flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(interrupted));
        }
        let _ = signal_hook::flag::register(SIGINT, Arc::clone(interrupted));
    });
}

#[cfg(not(unix))]
fn install(_: &Arc<AtomicBool>) {}

/// Long work that asks [`Listening::interrupted`] between its steps.
pub(crate) struct Listening;

impl Listening {
    /// Begins to listen; an interrupt from before does not count.
    pub fn begin() -> Self {
        let flags = flags();
        install(&flags.interrupted);
        if flags.listeners.fetch_add(1, Ordering::SeqCst) == 0 {
            flags.interrupted.store(false, Ordering::SeqCst);
            send_listening(true);
        }
        Self
    }

    /// Whether somebody asked for an end.
    pub fn interrupted(&self) -> bool {
        flags().interrupted.load(Ordering::SeqCst)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let flags = flags();
        if flags.listeners.fetch_sub(1, Ordering::SeqCst) == 1 {
            // Whoever interrupts from now on does not mean this work; a script without other work shall end.
            flags.interrupted.store(!crate::display::Live::is_on(), Ordering::SeqCst);
            send_listening(false);
        }
    }
}
