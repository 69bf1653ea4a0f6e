//! Interruption of long operations.
//!
//! A notebook's interrupt, or Ctrl-C, reaches the process as SIGINT. While a [`Listening`] exists, signals are counted, and the
//! operation checks between two steps whether the count has grown. In a script a second signal during the same step ends the
//! process; in a notebook the kernel ends the process, because it can report that.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::display::Live;
use crate::display::live::{start_listening, stop_listening};
use crate::display::widgets::Button;

struct Interrupts {
    /// Set by the signal handler, cleared by the first reader.
    signalled: Arc<AtomicBool>,
    /// The number of interrupts so far.
    count: AtomicUsize,
    /// The number of operations that listen.
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

impl Button {
    /// A button that ends the running synthesis after its current step, as an interrupt does: everything so far is kept. It also ends the
    /// other long operations of the library, and does nothing while none runs.
    ///
    /// ```
    /// use metamers::display::widgets::Button;
    ///
    /// let stop = Button::stop();      // shown in one cell, it stops the synthesis that a later one runs
    /// ```
    #[must_use]
    pub fn stop() -> Self {
        let button = Self::new("stop");
        button.on_click(|| {
            interrupts().count.fetch_add(1, Ordering::SeqCst);
        });
        button
    }
}

#[cfg(unix)]
fn install(signalled: &Arc<AtomicBool>) {
    use signal_hook::consts::SIGINT;
    use signal_hook::flag::{register, register_conditional_shutdown};
    // Registered first, so that it runs first and sees an earlier signal that is still pending.
    if !Live::is_on() {
        let _ = register_conditional_shutdown(SIGINT, 130, Arc::clone(signalled));
    }
    let _ = register(SIGINT, Arc::clone(signalled));
}

#[cfg(not(unix))]
fn install(_: &Arc<AtomicBool>) {}

/// A guard that counts interrupts during a long operation, which calls [`Listening::interrupted`] between its steps.
pub(crate) struct Listening {
    /// The number of interrupts before the operation began.
    count_before: usize,
}

impl Listening {
    /// Starts listening.
    pub fn begin() -> Self {
        let interrupts = interrupts();
        let count_before = interrupts.count();
        if interrupts.listeners.fetch_add(1, Ordering::SeqCst) == 0 {
            start_listening();
        }
        Self { count_before }
    }

    /// Returns whether there was an interrupt since [`Listening::begin`].
    pub fn interrupted(&self) -> bool {
        interrupts().count() != self.count_before
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let interrupts = interrupts();
        if interrupts.listeners.fetch_sub(1, Ordering::SeqCst) == 1 {
            // After the operation, the next Ctrl-C ends a script as usual.
            interrupts.signalled.store(!Live::is_on(), Ordering::SeqCst);
            stop_listening();
        }
    }
}
