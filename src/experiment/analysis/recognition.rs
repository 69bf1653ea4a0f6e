//! What a class recognised, and whether the stage mattered.

use super::{ConditionProportion, Excluded, ExclusionRule, Published, StageEffect, permutation};
use crate::{Error, Result};

const NATURAL: &str = "natural";

/// What a class recognised: proportion correct by condition, with what it is compared to. In a notebook a plot and a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Recognition {
    pub(super) proportions: Vec<ConditionProportion>,
    pub(super) chance: f64,
    pub(super) people: usize,
    pub(super) rule: ExclusionRule,
    pub(super) excluded: Vec<Excluded>,
    pub(super) disturbed: usize,
    pub(super) dropped: usize,
    pub(super) simulated: bool,
    pub(super) network: Option<(String, Vec<(usize, f64)>)>,
    pub(super) published: Vec<Published>,
    pub(super) conditions: Vec<String>,
    /// Of each person and condition, right answers and trials.
    pub(super) counts: Vec<Vec<(usize, usize)>>,
}

impl Recognition {
    /// The conditions in their order, with what people recognised under each.
    pub fn proportions(&self) -> &[ConditionProportion] {
        &self.proportions
    }

    /// The proportion correct of guessing.
    pub fn chance(&self) -> f64 {
        self.chance
    }

    /// How many people are in it.
    pub fn people(&self) -> usize {
        self.people
    }

    /// Who was left out, and why.
    pub fn excluded(&self) -> &[Excluded] {
        &self.excluded
    }

    /// Whether any of the answers were made up by a computer.
    pub fn is_simulated(&self) -> bool {
        self.simulated
    }

    /// Tests whether proportions differ between the stages: all conditions but `natural`. 10,000 permutations are usual.
    ///
    /// # Errors
    /// As [`Recognition::effect_among`].
    pub fn stage_effect(&self, permutations: usize, seed: u64) -> Result<StageEffect> {
        self.effect_among(self.conditions.iter().filter(|name| *name != NATURAL), permutations, seed)
    }

    /// Tests whether proportions differ between these conditions. People who lack a trial under one of them are left out.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a condition that the class did not have; [`Error::Invalid`] without permutations, and as
    /// [`RepeatedMeasures::of`](super::RepeatedMeasures::of).
    pub fn effect_among<T: AsRef<str>>(
        &self,
        conditions: impl IntoIterator<Item = T>,
        permutations: usize,
        seed: u64,
    ) -> Result<StageEffect> {
        let mut places = vec![];
        for name in conditions {
            let name = name.as_ref();
            let known = self.conditions.iter().position(|known| known == name);
            let place =
                known.ok_or_else(|| Error::unknown("condition", name, self.conditions.iter().map(String::as_str)))?;
            if places.contains(&place) {
                return Err(Error::invalid("conditions", format!("\"{name}\" is there twice")));
            }
            places.push(place);
        }
        let row = |person: &Vec<(usize, usize)>| -> Option<Vec<f64>> {
            let part = |&place: &usize| match person[place] {
                (_, 0) => None,
                (right, trials) => Some(right as f64 / trials as f64),
            };
            places.iter().map(part).collect()
        };
        let scores: Vec<Vec<f64>> = self.counts.iter().filter_map(row).collect();
        let (statistic, p) = permutation::test(&scores, permutations, seed)?;
        Ok(StageEffect {
            statistic,
            p,
            permutations,
            seed,
            conditions: places.into_iter().map(|place| self.conditions[place].clone()).collect(),
            people: scores.len(),
            incomplete: self.counts.len() - scores.len(),
            simulated: self.simulated,
        })
    }
}
