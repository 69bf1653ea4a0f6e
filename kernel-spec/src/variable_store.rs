//! The store of variables between cells: a crate of its own, compiled once, in place of the module that evcxr adds to every cell.
//!
//! It has the module's interface and layout. Only what depends on a variable's type is generic, so that a cell has little to compile.

use std::any::Any;
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Arc;

const USER_ERROR_OCCURRED: &str = "EVCXR_ERROR_OCCURRED";
const PANICKED: &str = "EVCXR_PANIC_NOTIFICATION";
const VARIABLE_CHANGED_TYPE: &str = "EVCXR_VARIABLE_CHANGED_TYPE:";

/// Tells evcxr that the cell has failed by an error.
#[inline(never)]
pub fn report_error() {
    report(USER_ERROR_OCCURRED);
}

/// Tells evcxr that the cell has panicked.
#[inline(never)]
pub fn report_panic() {
    report(PANICKED);
}

/// Writes a marker for evcxr, behind the kernel's nonce, so that printed text cannot be taken for one. It goes to the
/// stdout with which the process began, because the cell may have closed or redirected it.
fn report(marker: &str) {
    let line = format!("{} {marker}\n", std::env::var("METAMERS_LIVE").unwrap_or_default());
    // Locked to the end, so that the marker is not within a frame of another thread, and flushed, so that it follows
    // what was printed.
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.flush();
    let original =
        std::env::var_os("METAMERS_MARKERS").and_then(|path| OpenOptions::new().append(true).open(path).ok());
    if original.is_none_or(|mut original| original.write_all(line.as_bytes()).is_err()) {
        // The system has no such path, or the cell has used up all descriptors. A panic here would end the process.
        let _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
    }
}

/// The variables of earlier cells.
#[derive(Default)]
pub struct VariableStore {
    variables: HashMap<String, Box<dyn Any>>,
}

impl VariableStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> VariableStore {
        VariableStore::default()
    }

    /// Stores a variable.
    pub fn put_variable<T: 'static>(&mut self, name: &str, value: T) {
        self.put(name, Box::new(value));
    }

    /// Returns whether a variable still has this type; if not, tells evcxr, which forgets the variable.
    pub fn check_variable<T: 'static>(&mut self, name: &str) -> bool {
        // A type that was defined anew has the identity of the earlier one, but may have another size.
        let is_same = |value: &dyn Any| {
            let (size, alignment) = (size_of_val(value), align_of_val(value));
            value.is::<T>() && size == size_of::<T>() && alignment == align_of::<T>()
        };
        let changed = self.get(name).is_some_and(|value| !is_same(value));
        if changed {
            report_changed_type(name);
        }
        !changed
    }

    /// Takes a variable that [`VariableStore::check_variable`] has found.
    ///
    /// # Panics
    /// If the variable is missing or has another type, which evcxr excludes.
    pub fn take_variable<T: 'static>(&mut self, name: &str) -> T {
        match self.take(name).downcast() {
            Ok(value) => *value,
            Err(_) => changed_type(name),
        }
    }

    /// A shared value, created at the first call.
    ///
    /// # Panics
    /// If the variable has another type, which evcxr excludes.
    pub fn lazy_arc<T: 'static, F: FnOnce() -> T>(&mut self, name: &str, create: F) -> Arc<T> {
        if self.get(name).is_none() {
            self.put(name, Box::new(Arc::new(create())));
        }
        match self.get(name).and_then(|value| value.downcast_ref::<Arc<T>>()) {
            Some(value) => Arc::clone(value),
            None => changed_type(name),
        }
    }

    /// Adds all variables of another store.
    pub fn merge(&mut self, mut other: VariableStore) {
        self.variables.extend(other.variables.drain());
    }

    #[inline(never)]
    fn put(&mut self, name: &str, value: Box<dyn Any>) {
        self.variables.insert(name.to_owned(), value);
    }

    #[inline(never)]
    fn get(&self, name: &str) -> Option<&dyn Any> {
        self.variables.get(name).map(|value| &**value)
    }

    #[inline(never)]
    fn take(&mut self, name: &str) -> Box<dyn Any> {
        self.variables.remove(name).unwrap_or_else(|| panic!("the variable {name} is missing"))
    }
}

#[inline(never)]
fn report_changed_type(name: &str) {
    eprintln!("The type of the variable {name} was redefined, so was lost.");
    report(&format!("{VARIABLE_CHANGED_TYPE}{name}"));
}

#[inline(never)]
fn changed_type(name: &str) -> ! {
    panic!("the variable {name} has changed its type")
}

/// A store for the first cell.
#[must_use]
#[inline(never)]
pub fn create_variable_store() -> *mut VariableStore {
    Box::into_raw(Box::new(VariableStore::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_kept_with_their_types() {
        let mut store = VariableStore::new();
        store.put_variable("x", 7u32);
        store.put_variable("name", String::from("panda"));
        assert!(store.check_variable::<u32>("x") && store.check_variable::<i8>("missing"));
        assert!(!store.check_variable::<String>("x"));
        assert_eq!((store.take_variable::<u32>("x"), store.take_variable::<String>("name")), (7, "panda".into()));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| store.take_variable::<u32>("x"))).is_err());
        let mut store = VariableStore::new();
        let first = store.lazy_arc("shared", || vec![1]);
        assert!(Arc::ptr_eq(&first, &store.lazy_arc("shared", Vec::<i32>::new)));
        let mut other = VariableStore::new();
        other.put_variable("y", 1.5f64);
        store.merge(other);
        assert_eq!(store.take_variable::<f64>("y"), 1.5);
    }
}
