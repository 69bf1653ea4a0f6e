//! Does the stage matter? A permutation test with repeated measures.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::display::{Align, MimeBundle, Show, Table};
use crate::{Error, Result};

/// Two F closer than this, relative to them, are one: sums in another order differ by rounding.
const TIE: f64 = 1e-9;

/// The F of a one-way analysis of variance with repeated measures: n people, each measured under the same k conditions.
///
/// With `m_j` the mean of condition j, `m_i` of person i and `m` of all:
/// `F = (n sum_j (m_j - m)^2 / (k - 1)) / (sum_ij (x_ij - m_i - m_j + m)^2 / ((k - 1)(n - 1)))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RepeatedMeasures {
    /// The statistic: infinite when conditions differ and people agree in how.
    pub f: f64,
    /// Degrees of freedom of the conditions, k - 1.
    pub df_conditions: usize,
    /// Degrees of freedom of the error, (k - 1)(n - 1).
    pub df_error: usize,
}

impl RepeatedMeasures {
    /// From one row of k values for each person.
    ///
    /// ```
    /// use metamers::experiment::analysis::RepeatedMeasures;
    ///
    /// let scores = [vec![0.9, 0.6, 0.1], vec![0.8, 0.7, 0.2], vec![1.0, 0.5, 0.0]];
    /// let found = RepeatedMeasures::of(&scores)?;
    /// assert_eq!((found.df_conditions, found.df_error), (2, 4));
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than two people or two conditions, rows of different lengths, values that are not finite, and when no
    /// person's values differ.
    pub fn from_scores(scores: &[Vec<f64>]) -> Result<Self> {
        let wrong = |reason: String| Err(Error::invalid("repeated measures", reason));
        let k = scores.first().map_or(0, Vec::len);
        if scores.len() < 2 || k < 2 {
            return wrong(format!("need two people and two conditions or more, got {} and {k}", scores.len()));
        }
        if let Some(row) = scores.iter().find(|row| row.len() != k) {
            return wrong(format!("need as many values of each person, got {k} and {}", row.len()));
        }
        if scores.iter().flatten().any(|value| !value.is_finite()) {
            return wrong("hold a value that is not finite".into());
        }
        if scores.iter().all(|row| row.iter().all(|value| *value == row[0])) {
            return wrong("do not differ between conditions for anyone: there is no effect to test".into());
        }
        Ok(Self { f: f_of(scores), df_conditions: k - 1, df_error: (k - 1) * (scores.len() - 1) })
    }
}

/// As [`RepeatedMeasures::of`], of scores that it has found good.
fn f_of(scores: &[Vec<f64>]) -> f64 {
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

/// Whether proportions differ between stages: a permutation test with repeated measures.
///
/// Were the stage without effect, each person's proportions could as well stand in any other order. So the conditions are shuffled within each
/// person, many times, and `p = (1 + number of F at least as large) / (1 + permutations)`.
#[derive(Clone, Debug, PartialEq)]
pub struct StageEffect {
    /// The F of the answers as they are, with its degrees of freedom.
    pub statistic: RepeatedMeasures,
    /// The probability of an F at least as large were there no effect; at least `1 / (1 + permutations)`.
    pub p: f64,
    /// How many permutations were drawn.
    pub permutations: usize,
    /// What they were drawn from.
    pub seed: u64,
    /// Which conditions were compared.
    pub conditions: Vec<String>,
    /// How many people had a trial under each of them.
    pub people: usize,
    /// How many people were left out because they had not.
    pub incomplete: usize,
    /// Whether any of the answers were made up by a computer.
    pub simulated: bool,
}

/// The statistic of `scores`, a row a person, and its p.
pub(super) fn test(scores: &[Vec<f64>], permutations: usize, seed: u64) -> Result<(RepeatedMeasures, f64)> {
    if permutations == 0 {
        return Err(Error::invalid("permutations", "needs at least 1; 10,000 are usual"));
    }
    let statistic = RepeatedMeasures::from_scores(scores)?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut shuffled = scores.to_vec();
    let as_large = (0..permutations).filter(|_| {
        shuffled.iter_mut().for_each(|row| row.shuffle(&mut random));
        f_of(&shuffled) >= statistic.f * (1.0 - TIE)
    });
    let p = (1 + as_large.count()) as f64 / (1 + permutations) as f64;
    Ok((statistic, p))
}

impl Show for StageEffect {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let Self { statistic, p, permutations, people, .. } = self;
        let least = 1.0 / (1 + permutations) as f64;
        let p = if *p <= least * 1.5 { format!("{p:.2e} (the least possible)") } else { format!("{p:.4}") };
        let left_out = match self.incomplete {
            0 => String::new(),
            n => format!(", {n} left out who did not have all conditions"),
        };
        Table::new(["", "value"])
            .align([Align::Left, Align::Right])
            .caption(format!(
                "{}Does the stage matter? Permutation test with repeated measures over {}",
                if self.simulated { "Simulated answers. " } else { "" },
                self.conditions.join(", ")
            ))
            .row([format!("F({}, {})", statistic.df_conditions, statistic.df_error), format!("{:.3}", statistic.f)])
            .row(["p".into(), p])
            .row(["permutations within people".into(), permutations.to_string()])
            .row(["people".into(), format!("{people}{left_out}")])
            .mime_bundles()
    }
}

crate::show_in_notebooks!(StageEffect);
