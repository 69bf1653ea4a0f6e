//! Near-duplicate stimuli, which set the extremes of a null distribution.

use serde::{Deserialize, Serialize};

use super::stage_null::Compared;

/// Minimum correlation of near-duplicates at the network's first stage.
const MIN_CORRELATION: f64 = 0.95;

/// Two stimuli that are nearly equal at the network's first stage, such as two crops of one photo or two takes of one word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NearDuplicates {
    /// Name of the first stimulus.
    pub first: String,
    /// Name of the second stimulus.
    pub second: String,
    /// Pearson's r of their activations at the network's first stage, 0.95 or more.
    pub correlation: f64,
}

/// The indices and correlations of all near-duplicate pairs, in descending order of correlation.
pub(super) fn find(first_stage: &Compared) -> Vec<(usize, usize, f64)> {
    let mut found = vec![];
    for j in 0..first_stage.count() {
        for i in 0..j {
            if let Some(r) = first_stage.pearson(i, j).filter(|&r| r >= MIN_CORRELATION) {
                found.push((i, j, r));
            }
        }
    }
    found.sort_by(|a, b| b.2.total_cmp(&a.2));
    found
}
