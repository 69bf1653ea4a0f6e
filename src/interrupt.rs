//! Interruption of long operations.
//!
//! A notebook's interrupt, or Ctrl-C, reaches the process as SIGINT, on Windows also as an event. While a [`Listening`] exists, signals
//! are counted, and the operation checks between two steps whether the count has grown. In a script a second signal during the same step,
//! and one between two operations, end the process, unless, on Unix, the program had a handler before the first operation; in a notebook
//! the kernel ends the process, because it can report that.

use std::io::{StdoutLock, stdout};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::display::Live;
use crate::display::live::{start_listening, stop_listening};
use crate::display::widgets::Button;
use crate::platform::watch_interrupts;

struct Interrupts {
    /// Set by the signal handler, cleared by the first reader.
    signalled: Arc<AtomicBool>,
    /// The number of interrupts so far.
    count: AtomicUsize,
    listeners: Listeners,
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
        watch_interrupts(&signalled, !Live::is_on());
        Interrupts { signalled, count: AtomicUsize::new(0), listeners: Listeners::default() }
    })
}

/// The number of operations that listen.
#[derive(Default)]
struct Listeners(AtomicUsize);

impl Listeners {
    /// Adds an operation and announces it, although others may listen already: they may be of an earlier cell, and the kernel forgets at
    /// the end of a cell that code listens. A thread of a pool works for an operation that has been announced, whose thread may hold stdout.
    fn add(&self, announce: impl FnOnce()) {
        let is_nested = rayon::current_thread_index().is_some();
        let added = |count: usize| (is_nested && count > 0).then_some(count + 1);
        if self.0.try_update(Ordering::SeqCst, Ordering::SeqCst, added).is_err() {
            let _frames = lock_frames();
            self.0.fetch_add(1, Ordering::SeqCst);
            announce();
        }
    }

    /// Removes an operation, and announces the end of the last one.
    fn remove(&self, announce: impl FnOnce()) {
        let removed = |count: usize| (count > 1).then(|| count - 1);
        if self.0.try_update(Ordering::SeqCst, Ordering::SeqCst, removed).is_err() {
            let _frames = lock_frames();
            if self.0.fetch_sub(1, Ordering::SeqCst) == 1 {
                announce();
            }
        }
    }
}

/// In a script, keeps an operation that begins on another thread from taking the flag that the end of the last one sets for an interrupt.
fn lock_order() -> Option<MutexGuard<'static, ()>> {
    static ORDER: Mutex<()> = Mutex::new(());
    (!Live::is_on()).then(|| ORDER.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Keeps other threads from announcing something in between. A script announces nothing, and one of its threads may hold stdout for long.
fn lock_frames() -> Option<StdoutLock<'static>> {
    Live::is_on().then(|| stdout().lock())
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

/// A guard that counts interrupts during a long operation, which calls [`Listening::interrupted`] between its steps.
pub(crate) struct Listening {
    /// The number of interrupts before the operation began.
    count_before: usize,
}

impl Listening {
    /// Starts listening.
    pub fn begin() -> Self {
        let interrupts = interrupts();
        let _order = lock_order();
        let count_before = interrupts.count();
        interrupts.listeners.add(start_listening);
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
        let _order = lock_order();
        interrupts.listeners.remove(|| {
            // After the operation, the next Ctrl-C ends a script as usual, if it has no handler of its own.
            interrupts.signalled.store(!Live::is_on(), Ordering::SeqCst);
            stop_listening();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn each_operation_is_announced_and_the_end_of_the_last() {
        let (listeners, heard) = (Listeners::default(), RefCell::new(Vec::new()));
        let add = || listeners.add(|| heard.borrow_mut().push("on"));
        let remove = || listeners.remove(|| heard.borrow_mut().push("off"));
        add();
        add();
        remove();
        add();
        remove();
        // Threads of a pool, such as those of a sweep, announce nothing for themselves.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        pool.install(|| {
            listeners.add(|| panic!("announced"));
            listeners.remove(|| panic!("announced"));
        });
        remove();
        assert_eq!(*heard.borrow(), ["on", "on", "on", "off"]);
    }
}
