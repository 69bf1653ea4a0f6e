//! The proportion correct of a condition, over people.

use super::bootstrap;

/// How often people were right under one condition: each person's proportion correct, and over people mean, standard error and interval.
#[derive(Clone, Debug, PartialEq)]
pub struct ConditionProportion {
    /// The condition.
    pub condition: String,
    /// The mean of the people's proportions, 0 to 1.
    pub mean: f64,
    /// Standard error of the mean: the deviation over people (n - 1) over the root of their number. `None` for fewer than two people.
    pub sem: Option<f64>,
    /// The 95 % bootstrap interval of the mean, over 10,000 draws of people. `None` for fewer than two people.
    pub interval: Option<(f64, f64)>,
    /// How many people had a trial under it.
    pub people: usize,
    /// How many trials they had.
    pub trials: usize,
}

impl ConditionProportion {
    /// From the number of right answers and of trials of each person; `None` when nobody had a trial.
    pub(super) fn of(condition: &str, counts: &[(usize, usize)], seed: u64) -> Option<Self> {
        let counts: Vec<(usize, usize)> = counts.iter().copied().filter(|(_, trials)| *trials > 0).collect();
        let values: Vec<f64> = counts.iter().map(|(right, trials)| *right as f64 / *trials as f64).collect();
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
