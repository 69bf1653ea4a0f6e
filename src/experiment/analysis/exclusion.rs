//! Exclusion of inattentive participants.

use super::{Block, Participant};
use crate::{Error, Result};

/// The rule that excludes participants with too few correct catch trials.
///
/// An unanswered catch trial is incorrect. Participants without catch trials are kept. The default minimum is 0.75.
///
/// ```
/// use metamers::experiment::analysis::ExclusionRule;
///
/// assert_eq!(ExclusionRule::default().to_string(), "excluded: participants with fewer than 75 % of their catch trials correct");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExclusionRule {
    /// The minimum proportion of correct catch trials, from 0 (excludes nobody) to 1.
    pub min_catch_accuracy: f64,
}

impl Default for ExclusionRule {
    fn default() -> Self {
        Self { min_catch_accuracy: 0.75 }
    }
}

impl std::fmt::Display for ExclusionRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "excluded: participants with fewer than {:.0} % of their catch trials correct",
            100.0 * self.min_catch_accuracy
        )
    }
}

/// An excluded participant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Excluded {
    /// The session id.
    pub session: String,
    /// The participant code, or the session id if there is no code.
    pub person: String,
    /// The reason for the exclusion.
    pub reason: String,
}

impl ExclusionRule {
    /// Creates a rule that excludes nobody.
    #[must_use]
    pub fn nobody() -> Self {
        Self { min_catch_accuracy: 0.0 }
    }

    pub(super) fn check(self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.min_catch_accuracy) {
            let reason = format!("must be in [0, 1], got {}", self.min_catch_accuracy);
            return Err(Error::invalid("min_catch_accuracy", reason));
        }
        Ok(())
    }

    pub(super) fn excludes(self, person: &Participant) -> Option<Excluded> {
        let catch: Vec<_> = person.answers.iter().filter(|answer| answer.block == Block::Catch).collect();
        let correct = catch.iter().filter(|answer| answer.is_correct() == Some(true)).count();
        if catch.is_empty() || correct as f64 >= self.min_catch_accuracy * catch.len() as f64 {
            return None;
        }
        Some(Excluded {
            session: person.session.clone(),
            person: person.name().to_owned(),
            reason: format!("{correct} of {} catch trials correct", catch.len()),
        })
    }
}
