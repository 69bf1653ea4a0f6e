//! The four answers to whether something is a metamer.

use serde::{Deserialize, Serialize};

/// Whether a stimulus is a metamer.
///
/// Both criteria of Feather et al. (2019, 2023) must hold: a match at the stage that is better than any between pairs of
/// natural stimuli, and the same class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// Both criteria hold.
    Metamer,
    /// The match is within what natural stimuli reach by chance.
    NotYet,
    /// The match is good, and the network gives original and metamer different classes.
    WrongClass,
    /// Both hold, but the null distribution has too few pairs for the quantile that was asked for.
    NotEnoughEvidence,
}

impl Outcome {
    /// A mark that tells the outcome without colour: ✓, …, ✗ or ?.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Metamer => "✓",
            Self::NotYet => "…",
            Self::WrongClass => "✗",
            Self::NotEnoughEvidence => "?",
        }
    }

    /// Its colour as HTML, told apart also by the colour-blind.
    pub(crate) fn color(self) -> &'static str {
        match self {
            Self::Metamer => "#00795a",
            Self::NotYet => "#8a6100",
            Self::WrongClass => "#b04e00",
            Self::NotEnoughEvidence => "#5c5c5c",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Metamer => "metamer",
            Self::NotYet => "not yet",
            Self::WrongClass => "wrong class",
            Self::NotEnoughEvidence => "not enough evidence",
        })
    }
}
