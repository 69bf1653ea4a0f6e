//! The filter bank and the low-pass filter, in float64.

use super::cochleagram_config::CochleagramConfig;
use crate::{Error, Result};

/// The ERB number of a frequency: the number of equivalent rectangular bandwidths below it (Glasberg & Moore 1990).
pub fn erb(hz: f64) -> f64 {
    9.265 * (hz / (24.7 * 9.265)).ln_1p()
}

/// The frequency in Hz of an ERB number, the inverse of [`erb`].
pub fn erb_inverse(number: f64) -> f64 {
    24.7 * 9.265 * (number / 9.265).exp_m1()
}

/// One filter: amplitudes from bin `first` on; all other bins are 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    pub first: usize,
    pub amplitudes: Vec<f64>,
}

/// The center frequencies of the band-pass filters and their spacing, in ERB numbers.
pub fn centers(config: &CochleagramConfig) -> (Vec<f64>, f64) {
    let count = config.sample_factor * (config.filters + 1) - 1;
    let [low, high] = config.frequency_range.map(erb);
    let step = (high - low) / (count + 1) as f64;
    ((1..=count).map(|i| low + step * i as f64).collect(), step)
}

/// All filters, lowest first: low-pass, band-pass, high-pass. Their squares sum to 1.
///
/// # Errors
/// [`Error::Invalid`] if a filter is narrower than the spacing of the bins.
pub fn filters(config: &CochleagramConfig) -> Result<Vec<Filter>> {
    let factor = config.sample_factor;
    let (centers, step) = centers(config);
    let bins = config.samples / 2 + 1;
    let hz = |bin: usize| bin as f64 * f64::from(config.sample_rate) / config.samples as f64;
    let numbers: Vec<f64> = (0..bins).map(|bin| erb(hz(bin))).collect();
    let width = factor as f64 * step;
    let cosine = |bin: usize, center: f64| {
        let distance = numbers[bin] - center;
        if distance.abs() < width { (std::f64::consts::PI * distance / (2.0 * width)).cos() } else { 0.0 }
    };
    let scale = (factor as f64).sqrt().recip();
    let complement = |bin: usize, center: f64| scale * (1.0 - cosine(bin, center).powi(2)).max(0.0).sqrt();
    let mut filters = Vec::with_capacity(config.channels());
    for &center in &centers[..factor.min(centers.len())] {
        let end = (0..bins).take_while(|&bin| hz(bin) < erb_inverse(center)).count();
        filters.push(Filter { first: 0, amplitudes: (0..end).map(|bin| complement(bin, center)).collect() });
    }
    for &center in &centers {
        let first = numbers.partition_point(|&number| number <= center - width);
        let end = numbers.partition_point(|&number| number < center + width);
        filters.push(Filter { first, amplitudes: (first..end).map(|bin| scale * cosine(bin, center)).collect() });
    }
    for &center in &centers[centers.len() - factor.min(centers.len())..] {
        let first = (0..bins).take_while(|&bin| hz(bin) <= erb_inverse(center)).count();
        filters.push(Filter { first, amplitudes: (first..bins).map(|bin| complement(bin, center)).collect() });
    }
    if filters.iter().any(|filter| filter.amplitudes.is_empty()) {
        let reason =
            "a filter is narrower than the frequency resolution of the waveform; use fewer filters or more samples";
        return Err(Error::invalid("cochleagram.filters", reason));
    }
    Ok(filters)
}

/// The low-pass filter: a Kaiser-windowed sinc with a cutoff of half the frame rate, centred half a sample late.
pub fn low_pass(config: &CochleagramConfig) -> Vec<f64> {
    let (taps, stride) = (config.taps, config.hop_length as f64);
    let half = (taps as f64 - 1.0) / 2.0;
    let tap = |k: usize| {
        let t = (k as f64 - taps as f64 / 2.0) / stride * std::f64::consts::PI;
        let sinc = if t == 0.0 { 1.0 } else { t.sin() / t };
        let position = if half > 0.0 { (k as f64 - half) / half } else { 0.0 };
        sinc / stride * bessel(config.beta * (1.0 - position * position).max(0.0).sqrt()) / bessel(config.beta)
    };
    (0..taps).map(tap).collect()
}

/// The modified Bessel function of the first kind, order 0, by its power series.
pub fn bessel(x: f64) -> f64 {
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > 1e-17 * sum {
        term *= (x / (2.0 * k)).powi(2);
        sum += term;
        k += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_equal_the_published_ones() {
        let config = CochleagramConfig::feather2023();
        let (centers, step) = centers(&config);
        assert_eq!(centers.len(), 203);
        assert!((step - 0.163_604_873).abs() < 1e-9);
        for (index, hz) in [(0, 54.968), (1, 60.024), (2, 65.170), (202, 9820.961)] {
            assert!((erb_inverse(centers[index]) - hz).abs() < 5e-4, "{index}: {}", erb_inverse(centers[index]));
        }
        let h = low_pass(&config);
        assert!((h.iter().sum::<f64>() - 1.000_944_66).abs() < 1e-8);
        assert!((h[500] - 0.009_999_588_8).abs() < 1e-10 && (h[501] - 0.009_999_499_4).abs() < 1e-10);
        assert_eq!((config.channels(), config.frames_and_lead()), (211, (390, 0)));
        assert_eq!(CochleagramConfig::feather2019().frames_and_lead(), (400, 450));
    }

    #[test]
    fn squared_amplitudes_sum_to_one() {
        for config in [
            CochleagramConfig::feather2023(),
            CochleagramConfig { filters: 20, sample_factor: 2, ..CochleagramConfig::feather2019() },
        ] {
            let mut sums = vec![0.0; config.samples / 2 + 1];
            for filter in filters(&config).unwrap() {
                filter.amplitudes.iter().zip(&mut sums[filter.first..]).for_each(|(a, sum)| *sum += a * a);
            }
            // Bin 0 and the highest bin lie at the end of a low-pass or a high-pass filter.
            // NaN is the largest in this order.
            let error = sums.iter().map(|sum| (sum - 1.0).abs()).max_by(f64::total_cmp).unwrap();
            assert!(error < 1e-9, "error {error}");
        }
    }
}
