//! The requests that all tasks of a sweep share, besides what each matches.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::stimulus::{Stimulus, StimulusKind};
use crate::synthesis::{Bound, Norm, Penalty, Push, Recipe, Restrictions, Synthesis};
use crate::{Error, Result};

/// The name of a stimulus in a plan that stands for the original of each task.
pub(super) const ORIGINAL: &str = "original";

/// A bound in a plan: each metamer stays within a distance of a stimulus, as with [`Synthesis::within`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedBound {
    /// The norm: `"l2"` or `"linf"`.
    pub norm: Norm,
    /// The largest allowed distance, above 0.
    pub eps: f64,
    /// The file of the stimulus at the center, relative to the plan, or a shipped one.
    pub stimulus: String,
}

/// The requests that all tasks share. [`Plan`](super::Plan) has the same fields at its top level: serde cannot flatten into a type that
/// rejects unknown keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SharedGoal {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub penalties: Vec<Penalty>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<PlannedBound>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coarse_to_fine: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_every: Option<usize>,
    /// The weight of the push of each metamer away from those of the seeds before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub different: Option<f64>,
}

impl SharedGoal {
    /// The goal as a file holds it: stimuli by their names.
    pub fn with_names_only(mut self) -> Self {
        self.penalties = self.penalties.into_iter().map(|penalty| penalty.with_stimuli(vec![])).collect();
        self
    }

    /// The default recipe for images or sounds, as [`Synthesis`] chooses it.
    pub fn default_recipe(&self, kind: StimulusKind) -> Recipe {
        if self.restrictions().is_any() {
            return Recipe::bounded_for(kind);
        }
        let recipe = Recipe::default_for(kind);
        // A penalty or a push chooses among the metamers in place of the distance to the start.
        let is_free = self.penalties.is_empty() && self.different.is_none();
        if is_free { recipe } else { recipe.without_return() }
    }

    fn restrictions(&self) -> Restrictions {
        Restrictions { has_bound: self.bound.is_some(), coarse_to_fine: self.coarse_to_fine }
    }

    /// Checks all values that can be checked without a network.
    pub fn check(&self, seeds: usize, evaluations: Option<usize>, snr_db: Option<f64>) -> Result<()> {
        self.penalties.iter().try_for_each(Penalty::check_for_sweep)?;
        if let Some(PlannedBound { eps, .. }) = self.bound {
            Bound::check_eps(eps)?;
            if seeds > 1 {
                let reason = "has several entries, but with a bound every run begins at its stimulus, whatever the seed; use one";
                return Err(Error::invalid("seeds", reason));
            }
        }
        if self.record_every == Some(0) {
            return Err(Error::invalid("record_every", "must be at least 1 step"));
        }
        let Some(weight) = self.different else { return Ok(()) };
        Push::check(weight, self.restrictions())?;
        let invalid = |reason: &str| Err(Error::invalid("different", reason));
        if seeds < 2 {
            return invalid("needs several seeds: each metamer is pushed away from those of the seeds before it");
        }
        match (snr_db, evaluations) {
            (None, _) => {
                invalid("needs the match that each metamer reaches: snr_db = 20.0 in a plan, until(20.0) in code")
            }
            (_, Some(_)) => {
                invalid("ends at the match or with the recipe's steps; leave out evaluations, or set the steps")
            }
            _ => Ok(()),
        }
    }

    /// Checks that the recipe's optimizer can follow a bound or go from coarse to fine.
    pub fn check_recipe(&self, recipe: &Recipe) -> Result<()> {
        self.restrictions().check(recipe)
    }

    /// The names of the stimuli that penalties and the bound refer to, without the original.
    pub fn stimulus_names(&self) -> BTreeSet<&str> {
        let of_penalties = self.penalties.iter().flat_map(Penalty::stimulus_names).map(String::as_str);
        let names = of_penalties.chain(self.bound.iter().map(|bound| bound.stimulus.as_str()));
        names.filter(|name| *name != ORIGINAL).collect()
    }

    /// Adds the requests to the synthesis of a task. `load` finds a stimulus by its name.
    pub fn add_to(
        &self,
        mut synthesis: Synthesis,
        original: &Stimulus,
        load: impl Fn(&str) -> Result<Stimulus>,
    ) -> Result<Synthesis> {
        let find = |name: &str| if name == ORIGINAL { Ok(original.clone()) } else { load(name) };
        for penalty in &self.penalties {
            let stimuli = penalty.stimulus_names().iter().map(|name| find(name)).collect::<Result<Vec<_>>>()?;
            synthesis = synthesis.penalty(penalty.clone().with_stimuli(stimuli))?;
        }
        if let Some(PlannedBound { norm, eps, stimulus }) = &self.bound {
            synthesis = synthesis.within(*norm, *eps, find(stimulus)?.with_name(stimulus))?;
        }
        match self.coarse_to_fine {
            Some(levels) => synthesis.coarse_to_fine(levels),
            None => Ok(synthesis),
        }
    }
}
