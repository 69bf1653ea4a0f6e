//! The assumption of a recipe about stimuli that a stage leaves open.

use serde::{Deserialize, Serialize};

use super::recipe::{Lbfgs, Optimizer, Recipe, Variables};

/// The content that a recipe gives a stimulus where a stage leaves it open: it decides what a claim about the recognition of metamers means.
///
/// `examples/faithfulness.rs` compares the recipes with the published ones at equal signal-to-noise ratio; the table is in
/// `benches/README.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Prior {
    /// The steps follow gradients from the start. With [`Recipe::feather2023`] and [`Recipe::near_start`], components to which a linear
    /// stage does not respond keep the values of the start, except at the limits of the range. Adam ([`Recipe::feather2019`],
    /// [`Recipe::plenoptic`], [`Recipe::bounded`]) scales the gradient of each value by itself, so that they change as well.
    Start,
    /// The run returned towards its start, to a match near to it ([`Recipe::nearest`]): these components resemble those of the start.
    NearestToStart,
    /// A run of [`Recipe::nearest`] that ended before it had settled: they are between those of natural stimuli and those of the start, and
    /// the stimulus may have traces of an earlier stage.
    NotSettled,
    /// The parts that the stage leaves open resemble natural stimuli, so that metamers of a poor match are recognised more often
    /// ([`Recipe::natural_prior`]).
    Natural,
    /// Not known: the file comes from a version that did not state it.
    #[default]
    Unknown,
}

impl Recipe {
    /// The content that the recipe gives a stimulus where a stage leaves it open.
    #[must_use]
    pub fn prior(&self) -> Prior {
        match self.optimizer {
            Optimizer::Lbfgs(Lbfgs { nearest_at: Some(_), .. }) => Prior::NearestToStart,
            _ => self.search_prior(),
        }
    }

    /// The content that the recipe gives a stimulus before it returns towards its start.
    pub(super) fn search_prior(&self) -> Prior {
        match self.optimizer {
            Optimizer::Lbfgs(Lbfgs { variables: Variables::NaturalSpectrum, .. }) => Prior::Natural,
            Optimizer::Lbfgs(_) | Optimizer::Adam { .. } | Optimizer::NormalizedGradient { .. } => Prior::Start,
        }
    }
}

impl std::fmt::Display for Prior {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Start => "none: it follows gradients from its start",
            Self::NearestToStart => "its start: it returned towards it while it held the match",
            Self::NotSettled => "natural in part: the run had not settled, and may have traces of an earlier stage",
            Self::Natural => "natural: it favors the network, as what the stage leaves open becomes natural",
            Self::Unknown => "not known",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_have_the_prior_that_their_documentation_states() {
        let of = |recipes: Vec<Recipe>| recipes.iter().map(Recipe::prior).collect::<Vec<_>>();
        let start = Prior::Start;
        assert_eq!(of(Recipe::presets()), [Prior::NearestToStart, Prior::Natural, start, start, start, start]);
        assert_eq!(of(Recipe::sound_presets()), [Prior::NearestToStart, Prior::Natural, start, start]);
    }
}
