//! The grade of a metamer.

use serde::{Deserialize, Serialize};

use super::{Outcome, Verdict};

/// The grade that a careful reader gives a metamer: the papers' criteria are lenient.
///
/// At late stages of a network two natural stimuli are so dissimilar that a metamer passes the criteria at a signal-to-noise ratio of a
/// few dB, with activations that are far from equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Grade {
    /// The criteria of Feather et al. are not met.
    Fails,
    /// The null distribution has too few pairs to tell.
    Undecided,
    /// The criteria of Feather et al. are met, at less than 20 dB.
    PassesCriteria,
    /// The criteria of Feather et al. are met, and the signal-to-noise ratio is at least 20 dB.
    WellMatched,
}

impl Verdict {
    /// The grade: the outcome together with the quality of the match.
    #[must_use]
    pub fn grade(&self) -> Grade {
        match (self.outcome, self.well_matched) {
            (Outcome::Metamer, true) => Grade::WellMatched,
            (Outcome::Metamer, false) => Grade::PassesCriteria,
            (Outcome::NotEnoughEvidence, _) => Grade::Undecided,
            _ => Grade::Fails,
        }
    }
}

impl std::fmt::Display for Grade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fails => "fails",
            Self::Undecided => "undecided",
            Self::PassesCriteria => "passes the papers' criteria, but below 20 dB",
            Self::WellMatched => "well matched",
        })
    }
}
