//! The proportion correct of a condition over participants.

use super::bootstrap;

/// The proportion correct in one condition: mean over participants, standard error and confidence interval.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConditionProportion {
    /// The condition.
    pub condition: String,
    /// The mean of the participants' proportions, from 0 to 1.
    pub mean: f64,
    /// The standard error of the mean, from the standard deviation with n - 1. `None` for fewer than two participants.
    pub sem: Option<f64>,
    /// The 95 % bootstrap interval of the mean from 10,000 samples of participants. `None` for fewer than two participants.
    pub interval: Option<(f64, f64)>,
    /// The number of participants with a trial in this condition.
    pub people: usize,
    /// The number of trials in this condition.
    pub trials: usize,
}

impl ConditionProportion {
    /// Computes the proportion from each participant's numbers of correct answers and trials; `None` without trials.
    pub(super) fn from_counts(condition: &str, counts: &[(usize, usize)], seed: u64) -> Option<Self> {
        let counts: Vec<(usize, usize)> = counts.iter().copied().filter(|(_, trials)| *trials > 0).collect();
        let values: Vec<f64> = counts.iter().map(|(correct, trials)| *correct as f64 / *trials as f64).collect();
        let n = values.len() as f64;
        if values.is_empty() {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n;
        let square: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self {
            condition: condition.to_owned(),
            mean,
            sem: (values.len() > 1).then(|| (square / (n - 1.0) / n).sqrt()),
            interval: bootstrap::interval(&values, seed),
            people: values.len(),
            trials: counts.iter().map(|(_, trials)| trials).sum(),
        })
    }
}
