//! Finding numbers that are infinite or not numbers before they spread.

use crate::{Error, Result};

/// An error that names `what` when any value is infinite or NaN.
pub(crate) fn check(what: impl FnOnce() -> String, values: &[f32]) -> Result<()> {
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(first) => {
            let count = values.iter().filter(|v| !v.is_finite()).count();
            Err(Error::NotFinite { what: what(), count, first })
        }
    }
}
