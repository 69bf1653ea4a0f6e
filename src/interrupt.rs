//! Ending long work early, with everything kept.
//!
//! A notebook's interrupt, or Ctrl-C, reaches the process as SIGINT. While a [`Listening`] lives, that is counted, and the
//! work asks between two steps whether the count has grown since it began. In a script a second one, while the work still
//! finishes its step, ends the process; in a notebook the kernel does that, for it can say so.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::display::Live;
use crate::display::live::{start_listening, stop_listening};

struct Interrupts {
    /// Set by the signal, and taken by whoever looks first.
    signalled: Arc<AtomicBool>,
    /// Interrupts so far.
    count: AtomicUsize,
    /// How many pieces of work listen.
    listeners: AtomicUsize,
}

impl Interrupts {
    fn count(&self) -> usize {
        if self.signalled.swap(false, Ordering::SeqCst) {
            self.count.fetch_add(1, Ordering::SeqCst);
        }
        self.count.load(Ordering::SeqCst)
    }
}

fn interrupts() -> &'static Interrupts {
    static INTERRUPTS: OnceLock<Interrupts> = OnceLock::new();
    INTERRUPTS.get_or_init(|| {
        let signalled = Arc::default();
        install(&signalled);
        Interrupts { signalled, count: AtomicUsize::new(0), listeners: AtomicUsize::new(0) }
    })
}

#[cfg(unix)]
fn install(signalled: &Arc<AtomicBool>) {
    use signal_hook::consts::SIGINT;
    use signal_hook::flag::{register, register_conditional_shutdown};
    // Registered first, so it runs first, and sees whether an earlier signal still waits.
    if !Live::is_on() {
        let _ = register_conditional_shutdown(SIGINT, 130, Arc::clone(signalled));
    }
    let _ = register(SIGINT, Arc::clone(signalled));
}

#[cfg(not(unix))]
fn install(_: &Arc<AtomicBool>) {}

/// Long work that asks [`Listening::interrupted`] between its steps.
pub(crate) struct Listening {
    /// Interrupts before it began, which do not count.
    before: usize,
}

impl Listening {
    /// Begins to listen.
    pub fn begin() -> Self {
        let interrupts = interrupts();
        let before = interrupts.count();
        if interrupts.listeners.fetch_add(1, Ordering::SeqCst) == 0 {
            start_listening();
        }
        Self { before }
    }

    /// Whether somebody asked for an end.
    pub fn interrupted(&self) -> bool {
        interrupts().count() != self.before
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let interrupts = interrupts();
        if interrupts.listeners.fetch_sub(1, Ordering::SeqCst) == 1 {
            // A script whose work is done ends at the next Ctrl-C, as any other.
            interrupts.signalled.store(!Live::is_on(), Ordering::SeqCst);
            stop_listening();
        }
    }
}
