//! So many of so many, and how sure that is.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The standard normal deviate of a two-sided interval of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// `hits` of `total`, with Wilson's 95 % interval.
///
/// With `p = hits / total` and `z = 1.96` the interval is
/// `(p + z^2 / 2n ± z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)` (Wilson, 1927): it never leaves `[0, 1]` and is not empty
/// for 0 or all of a few.
///
/// ```
/// let [low, high] = metamers::similarity::Proportion::new(8, 10)?.interval();
/// assert!((low - 0.4902).abs() < 1e-4 && (high - 0.9433).abs() < 1e-4);
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proportion {
    hits: usize,
    total: usize,
}

impl Proportion {
    /// `hits` of `total`.
    ///
    /// # Errors
    /// More hits than there are in all.
    pub fn new(hits: usize, total: usize) -> Result<Self> {
        match hits <= total {
            true => Ok(Self { hits, total }),
            false => Err(Error::invalid("share", format!("{hits} of {total} is more than all"))),
        }
    }

    /// How many.
    pub fn hits(&self) -> usize {
        self.hits
    }

    /// Of how many.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The fraction, from 0 to 1; `None` of none.
    pub fn value(&self) -> Option<f64> {
        (self.total > 0).then(|| self.hits as f64 / self.total as f64)
    }

    /// Wilson's 95 % interval; from 0 to 1 of none.
    pub fn interval(&self) -> [f64; 2] {
        let Some(p) = self.value() else { return [0.0, 1.0] };
        let n = self.total as f64;
        let centre = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        // Of no hits, and of nothing but hits, rounding would leave some 1e-17 of the end.
        let low = if self.hits == 0 { 0.0 } else { (centre - half) / scale };
        let high = if self.hits == self.total { 1.0 } else { (centre + half) / scale };
        [low, high]
    }
}

impl std::fmt::Display for Proportion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [low, high] = self.interval();
        write!(f, "{}/{} ({low:.2} to {high:.2})", self.hits, self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        // The formula, evaluated in Python.
        for (hits, total, low, high) in [(0, 5, 0.0, 0.434_482), (5, 5, 0.565_518, 1.0), (1, 40, 0.004_427, 0.128_814)]
        {
            let [a, b] = Proportion::new(hits, total).unwrap().interval();
            assert!((a - low).abs() < 1e-5 && (b - high).abs() < 1e-5, "{hits}/{total}: {a} to {b}");
        }
    }

    #[test]
    fn the_ends_are_exact() {
        assert_eq!(Proportion::new(0, 12).unwrap().interval()[0], 0.0);
        assert_eq!(Proportion::new(12, 12).unwrap().interval()[1], 1.0);
    }

    #[test]
    fn of_none_everything_is_possible() {
        let none = Proportion::new(0, 0).unwrap();
        assert_eq!((none.value(), none.interval()), (None, [0.0, 1.0]));
        assert!(Proportion::new(3, 2).is_err());
    }
}
