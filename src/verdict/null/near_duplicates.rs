//! Pairs of stimuli that are nearly the same: they set a null's extremes.

use serde::{Deserialize, Serialize};

use super::stage_null::Compared;

/// From this correlation at the network's first stage on, two stimuli are called twins.
const TWINS: f64 = 0.95;

/// Two stimuli that are nearly the same to the network's first stage: two crops of one photo, two takes of one word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NearDuplicates {
    /// Name of the one.
    pub first: String,
    /// Name of the other.
    pub second: String,
    /// Pearson's r of their activations at the network's first stage, 0.95 or more.
    pub correlation: f64,
}

/// All pairs of twins, by their places, the most alike first.
pub(super) fn find(first_stage: &Compared) -> Vec<(usize, usize, f64)> {
    let mut found = vec![];
    for j in 0..first_stage.count() {
        for i in 0..j {
            if let Some(r) = first_stage.pearson(i, j).filter(|&r| r >= TWINS) {
                found.push((i, j, r));
            }
        }
    }
    found.sort_by(|a, b| b.2.total_cmp(&a.2));
    found
}
