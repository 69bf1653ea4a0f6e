//! The push of a run away from other stimuli.

use super::goal::{Penalty, Restrictions, Target, check_weight_with_advice};
use super::recipe::Recipe;
use super::run::Run;
use super::synthesis::Synthesis;
use crate::network::Network;
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// The maximum number of times that the weight is halved.
const MAX_HALVINGS: i32 = 8;
/// The fraction of the recipe's steps after which the weight is halved if the match is not reached.
const STEPS_PER_WEIGHT: usize = 4;

/// The push of the runs of [`Different`](super::Different) away from the metamers before them: a penalty, whose weight is halved while a
/// run does not reach its match, and which is left out in the end.
#[derive(Clone)]
pub(crate) struct Push {
    /// The weight of the first run.
    pub(super) weight: f64,
    /// The index of the penalty among those of the run: the number of other penalties.
    index: usize,
    /// The features of another network in which stimuli are pushed apart; `None` for pixels or samples.
    pub(super) features: Option<(Network, Target)>,
}

impl Push {
    pub fn new(weight: f64, other_penalties: usize) -> Self {
        Self { weight, index: other_penalties, features: None }
    }

    /// Checks a weight, and that the synthesis is not restricted by a bound or by coarse levels: a run of a quarter of the recipe's steps
    /// would end among the coarse ones.
    pub fn check(weight: f64, restrictions: Restrictions) -> Result<()> {
        check_weight_with_advice(|| "different".into(), weight, "0.1 is a good start")?;
        match restrictions.is_any() {
            true => Err(Error::invalid("different", "cannot be combined with a bound or with coarse_to_fine")),
            false => Ok(()),
        }
    }

    /// Starts a run that is pushed away from these metamers; without any, from the original.
    pub fn start(&self, synthesis: Synthesis, metamers: impl Iterator<Item = Stimulus>) -> Result<Run> {
        let mut others: Vec<Stimulus> =
            metamers.enumerate().map(|(i, metamer)| metamer.with_name(format!("metamer {}", i + 1))).collect();
        if others.is_empty() {
            others.push(synthesis.original_at_level()?);
        }
        synthesis.penalty(self.penalty(others))?.start_as_recorded()
    }

    /// The penalty of the first weight.
    pub(super) fn penalty(&self, others: Vec<Stimulus>) -> Penalty {
        match &self.features {
            None => Penalty::away_from(self.weight, others),
            Some((network, target)) => Penalty::away_in(self.weight, network, target, others),
        }
    }

    /// The maximum number of steps of all runs of a metamer.
    pub fn max_steps(recipe: &Recipe) -> usize {
        let weights = 1 + MAX_HALVINGS as usize;
        (recipe.steps / STEPS_PER_WEIGHT).max(1).saturating_mul(weights).saturating_add(recipe.steps)
    }

    /// The number of steps until a run's weight is halved.
    pub fn steps_left(&self, run: &Run) -> usize {
        let steps = run.synthesis.recipe.steps;
        let steps = if self.of(run).is_some() { (steps / STEPS_PER_WEIGHT).max(1) } else { steps };
        steps.saturating_sub(run.steps())
    }

    /// A run that goes on from this one with half the weight, or without the push after the last halving; `None` after a run without it.
    pub fn weaker(&self, run: &Run) -> Result<Option<Run>> {
        let Some(penalty) = self.of(run) else { return Ok(None) };
        let weight = 0.5 * penalty.weight();
        let mut synthesis = run.synthesis.clone();
        // Between the last weight and its half.
        if weight < 0.75 * self.weight * 0.5f64.powi(MAX_HALVINGS) {
            synthesis.goal.penalties.truncate(self.index);
        } else {
            synthesis.goal.penalties[self.index] = penalty.clone().with_weight(weight);
        }
        synthesis.start = Some(run.current().with_name("metamer so far"));
        let mut weaker = synthesis.start_prepared()?;
        if let Some(every) = run.recorded_every() {
            weaker.record_every(every)?;
        }
        Ok(Some(weaker))
    }

    /// The penalty of a run.
    fn of<'a>(&self, run: &'a Run) -> Option<&'a Penalty> {
        run.synthesis.goal.penalties.get(self.index)
    }
}
