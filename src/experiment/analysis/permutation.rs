//! A permutation test of the stage effect with repeated measures.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::display::{Align, MimeBundle, Show, Table};
use crate::{Error, Result};

/// The maximum number of permutations.
const MAX_PERMUTATIONS: usize = 10_000_000;
/// Relative difference below which two F values are equal, because the order of sums affects rounding.
const TIE_EPS: f64 = 1e-9;

/// The F statistic of a one-way repeated-measures ANOVA: n participants, each measured under the same k conditions.
///
/// With the means `m_j` of condition j, `m_i` of participant i and `m` of all values:
/// `F = (n sum_j (m_j - m)^2 / (k - 1)) / (sum_ij (x_ij - m_i - m_j + m)^2 / ((k - 1)(n - 1)))`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RepeatedMeasures {
    /// The F value; infinite if conditions differ by the same amounts for every participant.
    pub f: f64,
    /// Degrees of freedom of the conditions, k - 1.
    pub df_conditions: usize,
    /// Degrees of freedom of the error, (k - 1)(n - 1).
    pub df_error: usize,
}

impl RepeatedMeasures {
    /// Computes F from one row of k values for each participant.
    ///
    /// ```
    /// use metamers::experiment::analysis::RepeatedMeasures;
    ///
    /// let scores = [vec![0.9, 0.6, 0.1], vec![0.8, 0.7, 0.2], vec![1.0, 0.5, 0.0]];
    /// let anova = RepeatedMeasures::from_scores(&scores)?;
    /// assert_eq!((anova.df_conditions, anova.df_error), (2, 4));
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than two participants or two conditions, rows of different lengths, values that are not finite, and
    /// scores without any difference between conditions.
    pub fn from_scores(scores: &[Vec<f64>]) -> Result<Self> {
        let wrong = |reason: String| Err(Error::invalid("repeated measures", reason));
        let k = scores.first().map_or(0, Vec::len);
        if scores.len() < 2 || k < 2 {
            return wrong(format!(
                "require at least two participants and two conditions, got {} and {k}",
                scores.len()
            ));
        }
        if let Some(row) = scores.iter().find(|row| row.len() != k) {
            return wrong(format!("require the same number of values for each participant, got {k} and {}", row.len()));
        }
        if scores.iter().flatten().any(|value| !value.is_finite()) {
            return wrong("contain a value that is not finite".into());
        }
        if scores.iter().all(|row| row.iter().all(|value| *value == row[0])) {
            return wrong("do not differ between conditions for any participant, so there is no effect to test".into());
        }
        Ok(Self { f: f_value(scores), df_conditions: k - 1, df_error: (k - 1) * (scores.len() - 1) })
    }
}

/// The F value of valid scores, see [`RepeatedMeasures::from_scores`].
fn f_value(scores: &[Vec<f64>]) -> f64 {
    let (n, k) = (scores.len() as f64, scores[0].len());
    let person: Vec<f64> = scores.iter().map(|row| row.iter().sum::<f64>() / k as f64).collect();
    let condition: Vec<f64> = (0..k).map(|j| scores.iter().map(|row| row[j]).sum::<f64>() / n).collect();
    let all = person.iter().sum::<f64>() / n;
    let between: f64 = n * condition.iter().map(|mean| (mean - all).powi(2)).sum::<f64>();
    let error: f64 = scores
        .iter()
        .zip(&person)
        .flat_map(|(row, person)| row.iter().zip(&condition).map(move |(x, mean)| (x - person - mean + all).powi(2)))
        .sum();
    between * (n - 1.0) / error
}

/// A permutation test with repeated measures for differences between stages.
///
/// Without a stage effect, every order of a participant's proportions is equally likely. The test therefore shuffles the conditions
/// within each participant many times, and `p = (1 + number of F at least as large) / (1 + permutations)` (Phipson & Smyth, 2010).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StageEffect {
    /// The observed F value, with its degrees of freedom.
    pub statistic: RepeatedMeasures,
    /// The p-value, at least `1 / (1 + permutations)`.
    pub p: f64,
    /// The number of permutations.
    pub permutations: usize,
    /// The seed of the permutations.
    pub seed: u64,
    /// The compared conditions.
    pub conditions: Vec<String>,
    /// The number of participants with a trial under each condition.
    pub people: usize,
    /// The number of participants excluded because a condition is missing.
    pub incomplete: usize,
    /// `true` if any answers are simulated.
    pub simulated: bool,
}

/// Computes the F statistic of `scores`, a row for each participant, and its p-value.
pub(super) fn test(scores: &[Vec<f64>], permutations: usize, seed: u64) -> Result<(RepeatedMeasures, f64)> {
    if permutations == 0 {
        return Err(Error::invalid("permutations", "must be at least 1; the usual number is 10,000"));
    }
    if permutations > MAX_PERMUTATIONS {
        let reason = format!("must be at most {MAX_PERMUTATIONS}, got {permutations}; the usual number is 10,000");
        return Err(Error::invalid("permutations", reason));
    }
    let statistic = RepeatedMeasures::from_scores(scores)?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut shuffled = scores.to_vec();
    let as_large = (0..permutations).filter(|_| {
        shuffled.iter_mut().for_each(|row| row.shuffle(&mut random));
        f_value(&shuffled) >= statistic.f * (1.0 - TIE_EPS)
    });
    let p = (1 + as_large.count()) as f64 / (1 + permutations) as f64;
    Ok((statistic, p))
}

impl Show for StageEffect {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let Self { statistic, p, permutations, people, .. } = self;
        let min_p = 1.0 / (1 + permutations) as f64;
        let p = if *p <= min_p * 1.5 { format!("{p:.2e} (the minimum)") } else { format!("{p:.4}") };
        let excluded = match self.incomplete {
            0 => String::new(),
            n => format!(", {n} excluded without trials in all conditions"),
        };
        Table::new(["", "value"])
            .align([Align::Left, Align::Right])
            .caption(format!(
                "{}Stage effect: permutation test with repeated measures over {}",
                if self.simulated { "Simulated answers. " } else { "" },
                self.conditions.join(", ")
            ))
            .row([format!("F({}, {})", statistic.df_conditions, statistic.df_error), format!("{:.3}", statistic.f)])
            .row(["p".into(), p])
            .row(["permutations within participants".into(), permutations.to_string()])
            .row(["participants".into(), format!("{people}{excluded}")])
            .mime_bundles()
    }
}

crate::show_in_notebooks!(StageEffect);
