//! How often chance does as well: a sorted list of values, kept short.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Evenly spaced quantiles that are kept, both ends among them.
const QUANTILES: usize = 201;
/// The largest values, all of which are kept: where a verdict is decided.
const LARGEST: usize = 32;

/// A distribution of one measure, as 201 evenly spaced quantiles and its 32 largest values.
///
/// Between two quantiles a value's place is interpolated; among the 32 largest it is exact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Distribution {
    count: usize,
    mean: f64,
    /// Ascending: the smallest value first, the largest last.
    quantiles: Vec<f32>,
    /// Descending.
    largest: Vec<f32>,
}

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
        let whole = count > 0 && quantiles.len() == QUANTILES && largest.len() == count.min(LARGEST);
        let sorted = quantiles.is_sorted() && largest.is_sorted_by(|a, b| a >= b);
        match finite && whole && sorted && quantiles.last() == largest.first() {
            true => Ok(Self { count, mean, quantiles, largest }),
            false => Err(Error::invalid("distribution", "is damaged: its quantiles are not those of any values")),
        }
    }
}

impl Distribution {
    /// The distribution of these values, which need not be sorted.
    ///
    /// # Errors
    /// No values, or values that are not finite.
    pub fn from_values(values: &[f64]) -> Result<Self> {
        if values.is_empty() {
            return Err(Error::invalid("distribution", "has no values; it needs at least one"));
        }
        let mut sorted: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        crate::finite::check(|| "the distribution".into(), &sorted)?;
        sorted.sort_unstable_by(f32::total_cmp);
        let quantile = |k: usize| between(&sorted, k as f64 / (QUANTILES - 1) as f64);
        Ok(Self {
            count: sorted.len(),
            mean: values.iter().sum::<f64>() / values.len() as f64,
            quantiles: (0..QUANTILES).map(|k| quantile(k) as f32).collect(),
            largest: sorted.iter().rev().take(LARGEST).copied().collect(),
        })
    }

    /// How many values there were.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Their mean.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The smallest value.
    pub fn min(&self) -> f64 {
        f64::from(self.quantiles[0])
    }

    /// The largest value.
    pub fn max(&self) -> f64 {
        f64::from(self.largest[0])
    }

    /// The value below which a fraction `q` lies, from 0 to 1; linear between neighbours.
    ///
    /// # Errors
    /// When `q` is not in `[0, 1]`.
    pub fn quantile(&self, q: f64) -> Result<f64> {
        if !(0.0..=1.0).contains(&q) {
            return Err(Error::invalid("quantile", format!("lies in [0, 1], got {q}")));
        }
        Ok(between(&self.quantiles, q))
    }

    /// The chance of a value at least as large, `(1 + how many are) / (1 + count)`: never 0, for a finite number of values
    /// rules nothing out (Phipson & Smyth, 2010). It holds for independent values: those of pairs that share their stimuli are not,
    /// and then it is nominal.
    pub fn tail(&self, value: f64) -> f64 {
        let value = value as f32;
        let above = match self.largest.last() {
            // Exact: all that are as large are among those kept.
            Some(&smallest_kept) if value > smallest_kept => {
                self.largest.iter().filter(|&&v| v >= value).count() as f64
            }
            _ => (self.count as f64 * (1.0 - self.place(value))).max(self.largest.len() as f64).min(self.count as f64),
        };
        (1.0 + above) / (1.0 + self.count as f64)
    }

    /// The fraction of values below this one, from the quantiles.
    fn place(&self, value: f32) -> f64 {
        let after = self.quantiles.partition_point(|&q| q < value);
        if after == 0 || after == self.quantiles.len() {
            return after as f64 / self.quantiles.len() as f64;
        }
        let (low, high) = (f64::from(self.quantiles[after - 1]), f64::from(self.quantiles[after]));
        let part = if high > low { (f64::from(value) - low) / (high - low) } else { 0.0 };
        ((after - 1) as f64 + part) / (self.quantiles.len() - 1) as f64
    }
}

/// The quantile `q` of sorted values, linear between neighbours.
fn between(sorted: &[f32], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    let (a, b) = (f64::from(sorted[low]), f64::from(sorted[high]));
    a + (b - a) * (at - low as f64)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn thousand() -> Vec<f64> {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        (0..1000).map(|_| random.random::<f64>() - 0.5).collect()
    }

    #[test]
    fn the_tail_counts_what_is_as_large() {
        let values = thousand();
        let d = Distribution::from_values(&values).unwrap();
        let mut sorted = values.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        for above in [0, 1, 5, 31] {
            let value = if above == 0 { 2.0 } else { sorted[above - 1] };
            assert_eq!(d.tail(value), (1 + above) as f64 / 1001.0, "{above} values are as large");
        }
        for above in [60, 300, 500, 900, 999] {
            let error = d.tail(sorted[above - 1]) - (1 + above) as f64 / 1001.0;
            assert!(error.abs() < 0.006, "{above}: {error}");
        }
        assert_eq!(d.tail(-9.0), 1.0);
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let d = Distribution::from_values(&(0..=1000).map(f64::from).collect::<Vec<_>>()).unwrap();
        assert_eq!((d.min(), d.max(), d.mean(), d.count()), (0.0, 1000.0, 500.0, 1001));
        for q in [0.0, 0.1, 0.333, 0.5, 0.999, 1.0] {
            assert!((d.quantile(q).unwrap() - 1000.0 * q).abs() < 1e-3);
        }
        assert!(d.quantile(1.5).is_err() && d.quantile(f64::NAN).is_err());
    }

    #[test]
    fn a_few_equal_values_are_a_distribution_too() {
        let d = Distribution::from_values(&[0.25; 3]).unwrap();
        assert_eq!((d.tail(0.25), d.tail(0.26), d.tail(0.2)), (1.0, 0.25, 1.0));
        assert!(Distribution::from_values(&[]).is_err());
        assert!(Distribution::from_values(&[1.0, f64::INFINITY]).is_err());
    }

    #[test]
    fn a_damaged_one_is_refused() {
        let whole = serde_json::to_value(Distribution::from_values(&thousand()).unwrap()).unwrap();
        let read = |value| serde_json::from_value::<Distribution>(value);
        assert_eq!(read(whole.clone()).unwrap(), Distribution::from_values(&thousand()).unwrap());
        for (field, wrong) in
            [("count", 0.into()), ("quantiles", serde_json::json!([1.0])), ("largest", whole["quantiles"].clone())]
        {
            let mut damaged = whole.clone();
            damaged[field] = wrong;
            assert!(read(damaged).is_err(), "{field}");
        }
    }
}
