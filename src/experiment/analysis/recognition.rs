//! Results of an analysis, with the test of the stage effect.

use super::{ConditionProportion, Excluded, ExclusionRule, Published, StageEffect, permutation};
use crate::{Error, Result};

const NATURAL: &str = "natural";

/// The results of an analysis: proportion correct by condition, with chance, network and published means.
///
/// A notebook shows a plot and a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Recognition {
    pub(super) proportions: Vec<ConditionProportion>,
    pub(super) chance: f64,
    pub(super) people: usize,
    pub(super) rule: ExclusionRule,
    pub(super) excluded: Vec<Excluded>,
    pub(super) invalid_trials: usize,
    pub(super) dropped_frames: usize,
    pub(super) simulated: bool,
    /// The fingerprints of the tasks.
    pub(super) tasks: Vec<String>,
    pub(super) network: Option<(String, Vec<(usize, f64)>)>,
    pub(super) published: Vec<Published>,
    pub(super) conditions: Vec<String>,
    /// Numbers of correct answers and trials, by participant and condition.
    pub(super) counts: Vec<Vec<(usize, usize)>>,
}

impl Recognition {
    /// The proportions correct, in the order of the conditions.
    #[must_use]
    pub fn proportions(&self) -> &[ConditionProportion] {
        &self.proportions
    }

    /// The chance level: 1 / the number of choices.
    #[must_use]
    pub fn chance(&self) -> f64 {
        self.chance
    }

    /// The number of participants who were not excluded.
    #[must_use]
    pub fn participants(&self) -> usize {
        self.people
    }

    /// The excluded participants, with reasons.
    #[must_use]
    pub fn excluded(&self) -> &[Excluded] {
        &self.excluded
    }

    /// Returns whether any answers are simulated.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.simulated
    }

    /// Tests for differences between the stages, which are all conditions except `natural`. The usual number of permutations is 10,000.
    ///
    /// # Errors
    /// Fails like [`Recognition::effect_among`].
    pub fn stage_effect(&self, permutations: usize, seed: u64) -> Result<StageEffect> {
        self.effect_among(self.conditions.iter().filter(|name| *name != NATURAL), permutations, seed)
    }

    /// Tests for differences between these conditions. Participants without a valid trial in each of them are excluded.
    ///
    /// # Errors
    /// [`Error::Unknown`] for an unknown condition; [`Error::Invalid`] for a duplicate condition, and for 0 or more than 10,000,000
    /// permutations. Also fails like [`RepeatedMeasures::from_scores`](super::RepeatedMeasures::from_scores).
    pub fn effect_among<T: AsRef<str>>(
        &self,
        conditions: impl IntoIterator<Item = T>,
        permutations: usize,
        seed: u64,
    ) -> Result<StageEffect> {
        let mut indices = vec![];
        for name in conditions {
            let name = name.as_ref();
            let known = self.conditions.iter().position(|known| known == name);
            let index =
                known.ok_or_else(|| Error::unknown("condition", name, self.conditions.iter().map(String::as_str)))?;
            if indices.contains(&index) {
                return Err(Error::invalid("conditions", format!("\"{name}\" occurs twice")));
            }
            indices.push(index);
        }
        let row = |person: &Vec<(usize, usize)>| -> Option<Vec<f64>> {
            let proportion = |&index: &usize| match person[index] {
                (_, 0) => None,
                (correct, trials) => Some(correct as f64 / trials as f64),
            };
            indices.iter().map(proportion).collect()
        };
        let scores: Vec<Vec<f64>> = self.counts.iter().filter_map(row).collect();
        let (statistic, p) = permutation::test(&scores, permutations, seed)?;
        Ok(StageEffect {
            statistic,
            p,
            permutations,
            seed,
            conditions: indices.into_iter().map(|index| self.conditions[index].clone()).collect(),
            people: scores.len(),
            incomplete: self.counts.len() - scores.len(),
            simulated: self.simulated,
        })
    }
}
