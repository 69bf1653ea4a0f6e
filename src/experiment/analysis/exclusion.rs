//! Whose answers are left out.

use super::{Block, Person};
use crate::{Error, Result};

/// The rule by which people are left out: those who had fewer than this proportion of their catch trials right.
///
/// An unanswered catch trial is not right. A person who had no catch trials stays. The default is 0.75.
///
/// ```
/// use metamers::experiment::analysis::ExclusionRule;
///
/// assert_eq!(ExclusionRule::default().to_string(), "left out: people with fewer than 75 % of their catch trials right");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExclusionRule {
    /// The proportion from 0, which leaves out nobody, to 1.
    pub least_catch: f64,
}

impl Default for ExclusionRule {
    fn default() -> Self {
        Self { least_catch: 0.75 }
    }
}

impl std::fmt::Display for ExclusionRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "left out: people with fewer than {:.0} % of their catch trials right", 100.0 * self.least_catch)
    }
}

/// A person who was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excluded {
    /// The person's session.
    pub session: String,
    /// The participant's code, or the number of the session.
    pub person: String,
    /// Why.
    pub reason: String,
}

impl ExclusionRule {
    /// Leaves out nobody.
    pub fn nobody() -> Self {
        Self { least_catch: 0.0 }
    }

    pub(super) fn check(self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.least_catch) {
            let reason = format!("a proportion lies in [0, 1], got {}", self.least_catch);
            return Err(Error::invalid("least_catch", reason));
        }
        Ok(())
    }

    pub(super) fn excludes(self, person: &Person) -> Option<Excluded> {
        let catch: Vec<_> = person.answers.iter().filter(|answer| answer.block == Block::Catch).collect();
        let right = catch.iter().filter(|answer| answer.is_correct() == Some(true)).count();
        if catch.is_empty() || right as f64 >= self.least_catch * catch.len() as f64 {
            return None;
        }
        Some(Excluded {
            session: person.session.clone(),
            person: person.name().to_owned(),
            reason: format!("{right} of {} catch trials right", catch.len()),
        })
    }
}
