//! Similarity measures of two sets of activations.

use crate::display::{Align, MimeBundle, Show, Table};
use crate::{Error, Result};

/// The minimum SNR of a well-matched stage, in dB; at 20 dB the error's norm is a tenth of the activations' norm.
pub const WELL_MATCHED_DB: f64 = 20.0;

/// Three similarity measures of the activations `a` of the original and `b` of the metamer.
///
/// | field | formula | range |
/// | --- | --- | --- |
/// | `spearman` | Pearson's r of the ranks, ties averaged | -1 to 1 |
/// | `pearson` | covariance over the product of the deviations | -1 to 1 |
/// | `snr_db` | `20 log10(norm2(a) / norm2(a - b))` | dB, infinite when equal |
///
/// The correlation with a constant is undefined, and `None`. Feather et al. (2023) print half of this SNR, because their code
/// multiplies the logarithm of the ratio of norms by 10 instead of 20.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Similarity {
    /// Spearman's rank correlation rho.
    #[serde(with = "crate::finite::json")]
    pub spearman: Option<f64>,
    /// Pearson's correlation r.
    #[serde(with = "crate::finite::json")]
    pub pearson: Option<f64>,
    /// Signal-to-noise ratio in dB; `None` if the original is all zeros.
    #[serde(with = "crate::finite::json")]
    pub snr_db: Option<f64>,
}

impl Similarity {
    /// Compares the activations of an original with those of a metamer.
    ///
    /// ```
    /// let s = metamers::similarity::Similarity::between(&[1.0, 2.0, 2.0, 4.0], &[1.0, 2.0, 3.0, 4.0])?;
    /// assert!((s.spearman.unwrap() - 0.9486832980505138).abs() < 1e-12);
    /// assert!((s.snr_db.unwrap() - 10.0 * 25f64.log10()).abs() < 1e-12);
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for different lengths and without values; [`Error::NotFinite`] for values that are not finite.
    pub fn between(original: &[f32], metamer: &[f32]) -> Result<Self> {
        same_length(original, metamer)?;
        crate::finite::check(|| "the original's activations".into(), original)?;
        crate::finite::check(|| "the metamer's activations".into(), metamer)?;
        let widen = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
        let pearson = correlation(&widen(original), &widen(metamer));
        let spearman = correlation(&ranks(original), &ranks(metamer));
        Ok(Self { spearman, pearson, snr_db: snr_db(original, metamer)? })
    }
}

impl Show for Similarity {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let number = |v: Option<f64>, digits: usize| v.map_or("undefined".into(), |v| format!("{v:.digits$}"));
        Table::new(["measure", "value", "perfect match"])
            .align([Align::Left, Align::Right, Align::Right])
            .row(["Spearman's ρ".to_string(), number(self.spearman, 4), "1".into()])
            .row(["Pearson's r".to_string(), number(self.pearson, 4), "1".into()])
            .row(["signal-to-noise ratio (dB)".to_string(), number(self.snr_db, 2), "∞ (20 is a good match)".into()])
            .mime_bundles()
    }
}

crate::show_in_notebooks!(Similarity);

/// The signal-to-noise ratio `20 log10(norm2(original) / norm2(original - metamer))` in dB: infinite if both are equal, `None` if
/// the original is all zeros.
///
/// ```
/// let snr = metamers::similarity::snr_db(&[3.0, 4.0], &[3.0, 4.5])?;
/// assert_eq!(snr, Some(20.0));
/// # Ok::<(), metamers::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] for different lengths and without values.
pub fn snr_db(original: &[f32], metamer: &[f32]) -> Result<Option<f64>> {
    same_length(original, metamer)?;
    let signal: f64 = original.iter().map(|&a| f64::from(a).powi(2)).sum();
    let noise: f64 = original.iter().zip(metamer).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
    Ok((signal > 0.0).then(|| 10.0 * (signal / noise).log10()))
}

/// Fails for different lengths and without values.
fn same_length(original: &[f32], metamer: &[f32]) -> Result<()> {
    if original.len() != metamer.len() || original.is_empty() {
        let expected = format!("{} values, as many as the original, and at least one", original.len());
        return Err(Error::shape("the metamer's activations", expected, &[metamer.len()]));
    }
    Ok(())
}

/// Pearson's r; `None` if either side is constant.
fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let constant = |values: &[f64]| values.iter().all(|v| *v == values[0]);
    if constant(a) || constant(b) {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    Some((ab / (aa.sqrt() * bb.sqrt())).clamp(-1.0, 1.0))
}

/// The ranks of the values, from 1; ties share their mean rank.
pub(crate) fn ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    order.sort_unstable_by(|&a, &b| values[a as usize].total_cmp(&values[b as usize]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let value = values[order[start] as usize];
        // `==` instead of the total order, so that -0 and 0 are tied.
        let end = start + order[start..].iter().take_while(|&&i| values[i as usize] == value).count();
        let shared = (start + 1 + end) as f64 / 2.0;
        order[start..end].iter().for_each(|&i| ranks[i as usize] = shared);
        start = end;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_their_mean_rank() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, -0.0, 0.0]), [4.5, 3.0, 4.5, 1.5, 1.5]);
    }

    #[test]
    fn correlations_equal_those_of_scipy() {
        // scipy.stats 1.17.1: spearmanr and pearsonr of the two lists.
        let a = [0.0, 1.5, 1.5, -2.0, 7.25, 0.0, 3.0];
        let b = [0.5, 1.0, 2.0, -1.0, 5.0, 0.5, -3.0];
        let s = Similarity::between(&a, &b).unwrap();
        assert!((s.spearman.unwrap() - 0.440_385_506_050_544_3).abs() < 1e-9);
        assert!((s.pearson.unwrap() - 0.586_902_719_877_514_1).abs() < 1e-9);
    }

    #[test]
    fn correlations_with_a_constant_are_undefined() {
        let s = Similarity::between(&[1.0, 2.0, 3.0], &[0.1, 0.1, 0.1]).unwrap();
        assert_eq!((s.spearman, s.pearson), (None, None));
        assert!(s.snr_db.is_some());
    }

    #[test]
    fn the_snr_of_zeros_is_undefined() {
        assert_eq!(snr_db(&[0.0, 0.0], &[1.0, 0.0]).unwrap(), None);
        assert_eq!(snr_db(&[1.0, 0.0], &[1.0, 0.0]).unwrap(), Some(f64::INFINITY));
    }

    #[test]
    fn invalid_inputs_are_errors() {
        assert!(Similarity::between(&[1.0, f32::NAN], &[1.0, 2.0]).unwrap_err().to_string().contains("index 1"));
        assert!(Similarity::between(&[], &[]).is_err());
        assert!(Similarity::between(&[1.0], &[1.0, 2.0]).is_err());
        assert!(snr_db(&[1.0], &[1.0, 2.0]).unwrap_err().to_string().contains("[2]"));
        assert!(snr_db(&[], &[]).is_err());
    }

    #[test]
    fn every_value_round_trips_through_json() {
        for value in [None, Some(0.1), Some(-1.0), Some(f64::INFINITY), Some(f64::NEG_INFINITY), Some(f64::NAN)] {
            let before = Similarity { spearman: Some(1.0), pearson: None, snr_db: value };
            let text = serde_json::to_string(&before).unwrap();
            let after: Similarity = serde_json::from_str(&text).unwrap();
            assert_eq!(after.snr_db.map(f64::to_bits), value.map(f64::to_bits), "{text}");
            assert_eq!((after.spearman, after.pearson), (Some(1.0), None));
        }
        assert!(serde_json::from_str::<Similarity>(r#"{"spearman":1,"pearson":1,"snr_db":"much"}"#).is_err());
    }
}
