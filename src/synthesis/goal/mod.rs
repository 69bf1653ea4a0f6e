//! The goal of a synthesis: the features that are matched, the loss, penalties on the stimulus, and a bound.

mod away_in;
mod bound;
mod function;
mod matched;
mod own_loss;
mod penalty;
mod region;
mod restrictions;
mod spectrum;
mod target;
mod total_variation;

pub use bound::{Bound, Norm};
pub use matched::Match;
pub use own_loss::OwnLoss;
pub use penalty::Penalty;
pub(super) use penalty::PenaltyTerm;
pub use region::{Mask, Region};
pub(crate) use restrictions::Restrictions;
pub(super) use restrictions::check_levels;
pub(super) use spectrum::Bands;
pub use target::{Statistic, Target};

use super::recipe::Recipe;
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// All that a run minimizes, apart from the loss of its recipe.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Goal {
    pub matched: Match,
    pub loss: Option<OwnLoss>,
    pub penalties: Vec<Penalty>,
    pub bound: Option<Bound>,
    /// The number of coarse levels.
    pub coarse_to_fine: Option<usize>,
}

impl Goal {
    pub fn new(matched: Match) -> Self {
        Self { matched, loss: None, penalties: vec![], bound: None, coarse_to_fine: None }
    }

    /// The stimuli that penalties and the bound refer to, in a fixed order.
    pub fn stimuli(&self) -> impl Iterator<Item = &Stimulus> {
        self.penalties.iter().flat_map(Penalty::stimuli).chain(self.bound.iter().filter_map(Bound::center))
    }

    /// The names of the functions and networks that a file cannot hold.
    pub fn functions(&self) -> Vec<String> {
        let losses = self.loss.iter().map(|loss| format!("the loss \"{}\"", loss.name()));
        let penalties = self.penalties.iter().filter_map(Penalty::code_name);
        losses.chain(penalties.map(|name| format!("the penalty \"{name}\""))).collect()
    }

    /// Checks that the recipe's optimizer can follow the goal.
    pub fn check(&self, recipe: &Recipe) -> Result<()> {
        self.restrictions().check(recipe)
    }

    /// The restrictions on the steps.
    pub fn restrictions(&self) -> Restrictions {
        Restrictions { has_bound: self.bound.is_some(), coarse_to_fine: self.coarse_to_fine }
    }
}

/// Checks that a weight is positive and finite.
fn check_weight(what: impl FnOnce() -> String, weight: f64) -> Result<()> {
    check_weight_with_advice(what, weight, "leave it out for weight 0")
}

/// Checks that a weight is positive and finite; the error ends with `advice`.
pub(super) fn check_weight_with_advice(what: impl FnOnce() -> String, weight: f64, advice: &str) -> Result<()> {
    match weight.is_finite() && weight > 0.0 {
        true => Ok(()),
        false => {
            let reason = format!("must have a positive and finite weight, got {weight}; {advice}");
            Err(Error::invalid(what(), reason))
        }
    }
}
