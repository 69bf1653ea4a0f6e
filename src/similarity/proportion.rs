//! Proportions with Wilson confidence intervals.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The standard normal quantile of a two-sided 95 % interval.
const Z: f64 = 1.959_963_984_540_054;

/// A proportion with its Wilson 95 % confidence interval.
///
/// With `p = hits / total`, `n = total` and `z = 1.96`, the interval is
/// `(p + z^2 / 2n ± z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)` (Wilson, 1927). It stays within `[0, 1]` and has a
/// positive width even if no trial or every trial is a hit.
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
    /// Creates the proportion `hits / total`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `hits` exceeds `total`.
    pub fn new(hits: usize, total: usize) -> Result<Self> {
        match hits <= total {
            true => Ok(Self { hits, total }),
            false => Err(Error::invalid("proportion", format!("{hits} hits exceed the total of {total}"))),
        }
    }

    /// The number of hits.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.hits
    }

    /// The number of trials.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// The proportion, from 0 to 1; `None` if the total is 0.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        (self.total > 0).then(|| self.hits as f64 / self.total as f64)
    }

    /// The lower and upper limit of the Wilson 95 % interval; 0 and 1 if the total is 0.
    #[must_use]
    pub fn interval(&self) -> [f64; 2] {
        let Some(p) = self.value() else { return [0.0, 1.0] };
        let n = self.total as f64;
        let center = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        // Rounding would leave the exact limits 0 and 1 off by about 1e-17.
        let low = if self.hits == 0 { 0.0 } else { (center - half) / scale };
        let high = if self.hits == self.total { 1.0 } else { (center + half) / scale };
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
    fn the_interval_equals_the_formula() {
        // The formula, evaluated in Python.
        for (hits, total, low, high) in [(0, 5, 0.0, 0.434_482), (5, 5, 0.565_518, 1.0), (1, 40, 0.004_427, 0.128_814)]
        {
            let [a, b] = Proportion::new(hits, total).unwrap().interval();
            assert!((a - low).abs() < 1e-5 && (b - high).abs() < 1e-5, "{hits}/{total}: {a} to {b}");
        }
    }

    #[test]
    fn the_limits_0_and_1_are_exact() {
        assert_eq!(Proportion::new(0, 12).unwrap().interval()[0], 0.0);
        assert_eq!(Proportion::new(12, 12).unwrap().interval()[1], 1.0);
    }

    #[test]
    fn a_total_of_zero_gives_the_whole_range() {
        let empty = Proportion::new(0, 0).unwrap();
        assert_eq!((empty.value(), empty.interval()), (None, [0.0, 1.0]));
        assert!(Proportion::new(3, 2).is_err());
    }
}
