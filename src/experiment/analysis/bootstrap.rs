//! Bootstrap confidence intervals of means.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The number of bootstrap samples.
pub(super) const RESAMPLES: usize = 10_000;

/// Computes the 95 % confidence interval of the mean by the percentile bootstrap (Efron 1979): the 2.5th and 97.5th percentile of the
/// means of samples drawn with replacement. `None` for fewer than two values.
pub(super) fn interval(values: &[f64], seed: u64) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = || values[random.random_range(0..values.len())];
    let mut means: Vec<f64> =
        (0..RESAMPLES).map(|_| (0..values.len()).map(|_| draw()).sum::<f64>() / values.len() as f64).collect();
    means.sort_by(f64::total_cmp);
    Some((quantile(&means, 0.025), quantile(&means, 0.975)))
}

/// The quantile `q` of sorted values, with linear interpolation.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let (low, high) = (position.floor() as usize, position.ceil() as usize);
    sorted[low] + (position - low as f64) * (sorted[high] - sorted[low])
}
