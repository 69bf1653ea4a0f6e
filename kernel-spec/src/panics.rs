//! Panics of the kernel's own code: faults, which must not end a thread that cells wait for.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls a function; `None` if it panicked. The panic's message is on stderr, followed by a line about what the kernel was doing.
pub fn catch<T>(doing: &str, call: impl FnOnce() -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(call));
    if result.is_err() {
        eprintln!("error: the kernel panicked while it {doing}; please report it with the message above");
    }
    result.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_no_value() {
        let value = |index: usize| [7][index];
        assert_eq!(catch("read a value", || value(0)), Some(7));
        assert_eq!(catch("read a value", || value(1)), None);
    }
}
