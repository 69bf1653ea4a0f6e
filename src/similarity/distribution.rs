//! A compact empirical distribution with p-values.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The number of evenly spaced quantiles, including the minimum and the maximum.
const NUM_QUANTILES: usize = 201;
/// The number of largest values that are stored exactly, because verdicts depend on the upper tail.
const NUM_LARGEST: usize = 32;

/// An empirical distribution, stored as 201 evenly spaced quantiles and the 32 largest values.
///
/// Ranks are interpolated between quantiles and exact among the 32 largest values.
///
/// ```
/// use metamers::similarity::Distribution;
///
/// let null = Distribution::from_values(&[0.1, 0.2, 0.3])?;
/// assert_eq!(null.p_value(0.25), 0.5); // (1 + 1) / (1 + 3)
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Distribution {
    count: usize,
    mean: f64,
    /// In ascending order, from the minimum to the maximum.
    quantiles: Vec<f32>,
    /// In descending order.
    largest: Vec<f32>,
}

/// A deserialized [`Distribution`] before its checks.
#[derive(Deserialize)]
struct Unchecked {
    count: usize,
    mean: f64,
    quantiles: Vec<f32>,
    largest: Vec<f32>,
}

impl TryFrom<Unchecked> for Distribution {
    type Error = Error;

    fn try_from(Unchecked { count, mean, quantiles, largest }: Unchecked) -> Result<Self> {
        let finite = quantiles.iter().chain(&largest).all(|v| v.is_finite()) && mean.is_finite();
        let complete = count > 0 && quantiles.len() == NUM_QUANTILES && largest.len() == count.min(NUM_LARGEST);
        let sorted = quantiles.is_sorted() && largest.is_sorted_by(|a, b| a >= b);
        match finite && complete && sorted && quantiles.last() == largest.first() {
            true => Ok(Self { count, mean, quantiles, largest }),
            false => {
                Err(Error::invalid("distribution", "is damaged: its quantiles or largest values are inconsistent"))
            }
        }
    }
}

impl Distribution {
    /// Computes the distribution of values in any order.
    ///
    /// # Errors
    /// [`Error::Invalid`] without values; [`Error::NotFinite`] for values that are not finite.
    pub fn from_values(values: &[f64]) -> Result<Self> {
        if values.is_empty() {
            return Err(Error::invalid("distribution", "requires at least one value"));
        }
        let mut sorted: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        crate::finite::check(|| "the distribution".into(), &sorted)?;
        sorted.sort_unstable_by(f32::total_cmp);
        let quantile = |k: usize| interpolate(&sorted, k as f64 / (NUM_QUANTILES - 1) as f64);
        Ok(Self {
            count: sorted.len(),
            mean: values.iter().sum::<f64>() / values.len() as f64,
            quantiles: (0..NUM_QUANTILES).map(|k| quantile(k) as f32).collect(),
            largest: sorted.iter().rev().take(NUM_LARGEST).copied().collect(),
        })
    }

    /// The number of values.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The mean of the values.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The smallest value.
    #[must_use]
    pub fn min(&self) -> f64 {
        f64::from(self.quantiles[0])
    }

    /// The largest value.
    #[must_use]
    pub fn max(&self) -> f64 {
        f64::from(self.largest[0])
    }

    /// The quantile `q`, from 0 to 1, with linear interpolation.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `q` is not in `[0, 1]`.
    pub fn quantile(&self, q: f64) -> Result<f64> {
        if !(0.0..=1.0).contains(&q) {
            return Err(Error::invalid("quantile", format!("must be in [0, 1], got {q}")));
        }
        Ok(interpolate(&self.quantiles, q))
    }

    /// The p-value of `value`: `(1 + number of values at least as large) / (1 + count)` (Phipson & Smyth, 2010). It is never 0. It
    /// assumes independent values, so it is nominal for pairs that share stimuli.
    #[must_use]
    pub fn p_value(&self, value: f64) -> f64 {
        let value = value as f32;
        let above = match self.largest.last() {
            // Exact, because all values at least as large are stored.
            Some(&smallest_stored) if value > smallest_stored => {
                self.largest.iter().filter(|&&v| v >= value).count() as f64
            }
            _ => (self.count as f64 * (1.0 - self.fraction_below(value)))
                .max(self.largest.len() as f64)
                .min(self.count as f64),
        };
        (1.0 + above) / (1.0 + self.count as f64)
    }

    /// The fraction of values below this one, interpolated between the quantiles.
    fn fraction_below(&self, value: f32) -> f64 {
        let after = self.quantiles.partition_point(|&q| q < value);
        if after == 0 || after == self.quantiles.len() {
            return after as f64 / self.quantiles.len() as f64;
        }
        let (low, high) = (f64::from(self.quantiles[after - 1]), f64::from(self.quantiles[after]));
        let fraction = if high > low { (f64::from(value) - low) / (high - low) } else { 0.0 };
        ((after - 1) as f64 + fraction) / (self.quantiles.len() - 1) as f64
    }
}

/// The quantile `q` of sorted values, with linear interpolation.
fn interpolate(sorted: &[f32], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let (low, high) = (position.floor() as usize, position.ceil() as usize);
    let (a, b) = (f64::from(sorted[low]), f64::from(sorted[high]));
    a + (b - a) * (position - low as f64)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn thousand_values() -> Vec<f64> {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        (0..1000).map(|_| random.random::<f64>() - 0.5).collect()
    }

    #[test]
    fn the_p_value_counts_values_at_least_as_large() {
        let values = thousand_values();
        let d = Distribution::from_values(&values).unwrap();
        let mut sorted = values.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        for above in [0, 1, 5, 31] {
            let value = if above == 0 { 2.0 } else { sorted[above - 1] };
            assert_eq!(d.p_value(value), (1 + above) as f64 / 1001.0, "{above} values are as large");
        }
        for above in [60, 300, 500, 900, 999] {
            let error = d.p_value(sorted[above - 1]) - (1 + above) as f64 / 1001.0;
            assert!(error.abs() < 0.006, "{above}: {error}");
        }
        assert_eq!(d.p_value(-9.0), 1.0);
    }

    #[test]
    fn quantiles_equal_those_of_the_values() {
        let d = Distribution::from_values(&(0..=1000).map(f64::from).collect::<Vec<_>>()).unwrap();
        assert_eq!((d.min(), d.max(), d.mean(), d.count()), (0.0, 1000.0, 500.0, 1001));
        for q in [0.0, 0.1, 0.333, 0.5, 0.999, 1.0] {
            assert!((d.quantile(q).unwrap() - 1000.0 * q).abs() < 1e-3);
        }
        assert!(d.quantile(1.5).is_err() && d.quantile(f64::NAN).is_err());
    }

    #[test]
    fn few_equal_values_have_exact_p_values() {
        let d = Distribution::from_values(&[0.25; 3]).unwrap();
        assert_eq!((d.p_value(0.25), d.p_value(0.26), d.p_value(0.2)), (1.0, 0.25, 1.0));
        assert!(Distribution::from_values(&[]).is_err());
        assert!(Distribution::from_values(&[1.0, f64::INFINITY]).is_err());
    }

    #[test]
    fn damaged_distributions_are_errors() {
        let complete = serde_json::to_value(Distribution::from_values(&thousand_values()).unwrap()).unwrap();
        let read = |value| serde_json::from_value::<Distribution>(value);
        assert_eq!(read(complete.clone()).unwrap(), Distribution::from_values(&thousand_values()).unwrap());
        for (field, wrong) in
            [("count", 0.into()), ("quantiles", serde_json::json!([1.0])), ("largest", complete["quantiles"].clone())]
        {
            let mut damaged = complete.clone();
            damaged[field] = wrong;
            assert!(read(damaged).is_err(), "{field}");
        }
    }
}
