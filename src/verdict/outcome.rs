//! The outcome of a verdict.

use serde::{Deserialize, Serialize};

/// The outcome of a verdict.
///
/// A metamer must meet both criteria of Feather et al. (2019, 2023): its match at the stage exceeds that of every pair of
/// natural stimuli, and the network assigns it to the class of the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// Both criteria are met.
    Metamer,
    /// The match is within the range of the null distribution.
    NotYet,
    /// The match exceeds the null distribution, but the network assigns original and metamer to different classes.
    WrongClass,
    /// Both criteria are met, but the null distribution has too few pairs for the requested quantile.
    NotEnoughEvidence,
}

impl Outcome {
    /// The symbol of the outcome, which is legible without colour: ✓, …, ✗ or ?.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Metamer => "✓",
            Self::NotYet => "…",
            Self::WrongClass => "✗",
            Self::NotEnoughEvidence => "?",
        }
    }

    /// HTML colour of the outcome, from a palette that colour-blind readers can distinguish.
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
