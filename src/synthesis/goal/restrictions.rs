//! The restrictions on the steps of a run.

use crate::synthesis::recipe::{Optimizer, Recipe};
use crate::{Error, Result};

/// The maximum number of coarse levels: the first one of 6 has waves of at least 128 pixels.
const MAX_LEVELS: usize = 6;

/// The restrictions on the steps of a run: a bound, and coarse levels.
#[derive(Clone, Copy)]
pub(crate) struct Restrictions {
    pub has_bound: bool,
    /// The number of coarse levels.
    pub coarse_to_fine: Option<usize>,
}

impl Restrictions {
    /// Returns whether a bound or coarse levels restrict the steps.
    pub fn is_any(self) -> bool {
        self.has_bound || self.coarse_to_fine.is_some()
    }

    /// Checks the number of coarse levels, and that the recipe's optimizer can stay within a bound or go from coarse to fine.
    pub fn check(self, recipe: &Recipe) -> Result<()> {
        self.coarse_to_fine.map_or(Ok(()), check_levels)?;
        if self.is_any() && matches!(recipe.optimizer, Optimizer::Lbfgs(_)) {
            let reason = format!(
                "{} uses L-BFGS, whose steps cannot stay within a bound or be coarse; use a recipe of Adam or of \
                 normalised gradients, such as Recipe::bounded() or, for sounds, Recipe::bounded_sound()",
                recipe.name
            );
            return Err(Error::invalid("recipe", reason));
        }
        Ok(())
    }
}

/// Checks a number of coarse levels.
pub(in crate::synthesis) fn check_levels(levels: usize) -> Result<()> {
    match (1..=MAX_LEVELS).contains(&levels) {
        true => Ok(()),
        false => Err(Error::invalid("coarse_to_fine", format!("must have 1 to {MAX_LEVELS} levels, got {levels}"))),
    }
}
