//! The goal of a synthesis: the features that are matched, the loss, penalties on the stimulus, and a bound.

mod away_in;
mod bound;
mod matched;
mod own_loss;
mod penalty;
mod region;
mod spectrum;
mod target;
mod total_variation;

pub use bound::{Bound, Norm};
pub use matched::Match;
pub use own_loss::OwnLoss;
pub use penalty::Penalty;
pub(super) use penalty::PenaltyTerm;
pub use region::{Mask, Region};
pub(super) use spectrum::Bands;
pub use target::{Statistic, Target};

use super::recipe::{Optimizer, Recipe};
use super::synthesis::Synthesis;
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

/// The maximum number of coarse levels: the first one of 6 has waves of at least 128 pixels.
pub(super) const MAX_LEVELS: usize = 6;

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
        self.coarse_to_fine.map_or(Ok(()), Synthesis::check_levels)?;
        check_optimizer(self.is_restricted(), recipe)
    }

    /// Returns whether a bound or coarse levels restrict the steps.
    pub fn is_restricted(&self) -> bool {
        self.bound.is_some() || self.coarse_to_fine.is_some()
    }
}

/// Checks that the recipe's optimizer can stay within a bound or go from coarse to fine, if it is `restricted` to either.
pub(crate) fn check_optimizer(restricted: bool, recipe: &Recipe) -> Result<()> {
    if restricted && matches!(recipe.optimizer, Optimizer::Lbfgs(_)) {
        let reason = format!(
            "{} uses L-BFGS, whose steps cannot stay within a bound or be coarse; use a recipe of Adam or of normalised gradients, such as \
             Recipe::bounded() or, for sounds, Recipe::bounded_sound()",
            recipe.name
        );
        return Err(Error::invalid("recipe", reason));
    }
    Ok(())
}

/// Checks that a weight is positive and finite.
fn check_weight(what: impl FnOnce() -> String, weight: f64) -> Result<()> {
    match weight.is_finite() && weight > 0.0 {
        true => Ok(()),
        false => Err(Error::invalid(
            what(),
            format!("must have a positive and finite weight, got {weight}; leave it out for weight 0"),
        )),
    }
}
