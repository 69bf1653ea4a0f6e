//! Stopping criteria of a run, and the reason why it stopped.

use std::time::Duration;

use crate::{Error, Result};

/// The criteria at which [`Run::advance`](super::Run::advance) stops; the one that is met first ends the call.
///
/// The recipe's own number of steps and its plateau also end it, unless a number of steps is given. Times and steps count from the call,
/// evaluations from the start of the run. The criteria are tested between two steps of the optimizer.
///
/// ```
/// use metamers::prelude::*;
///
/// let net = zoo::efficientnet_lite0()?;
/// let photo = Image::open("photos/giant_panda.jpg")?;
/// let mut run = Synthesis::new(&net, "stem", &photo)?.seed(7).start()?;
/// let stop = Stop::snr(60.0).or_after(Duration::from_secs(600)).or_evaluations(4);
/// let progress = run.advance(stop)?;
/// assert_eq!(progress.stop_reason, StopReason::Evaluations);
/// assert!(run.evaluations() >= 4);
/// # Ok::<(), metamers::Error>(())
/// ```
///
/// The default has no criteria: the recipe's number of steps ends the call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[must_use = "pass the criteria to Run::advance"]
pub struct Stop {
    pub(super) snr_db: Option<f64>,
    pub(super) time: Option<Duration>,
    pub(super) evaluations: Option<usize>,
    pub(super) steps: Option<usize>,
    /// `true` if `steps` is a limit alone, within which a plateau ends the run.
    pub(super) is_step_limit: bool,
}

impl Stop {
    /// Stops when the signal-to-noise ratio at the stage reaches `db`; 20 dB is well matched. With
    /// [`Recipe::nearest`](super::Recipe::nearest) it is the ratio that the run holds, and the run stops when it settles.
    pub fn snr(db: f64) -> Self {
        Self::default().or_snr(db)
    }

    /// Stops after a time, counted from the call.
    pub fn after(time: Duration) -> Self {
        Self::default().or_after(time)
    }

    /// Stops at a number of gradient evaluations, counted from the start of the run.
    ///
    /// Unlike a time limit, this gives the same bits on fast and slow machines. The step that reaches the number is completed: a line
    /// search may evaluate a few more gradients.
    pub fn evaluations(n: usize) -> Self {
        Self::default().or_evaluations(n)
    }

    /// Stops after `n` steps of the optimizer, counted from the call; replaces the recipe's own number of steps, and its plateau.
    pub fn steps(n: usize) -> Self {
        Self::default().or_steps(n)
    }

    /// Adds a signal-to-noise ratio, as [`Stop::snr`]; of two, the lower one counts.
    pub fn or_snr(mut self, db: f64) -> Self {
        // NaN is kept, because `check` reports it.
        self.snr_db = Some(match self.snr_db {
            Some(before) if before.is_nan() || before < db => before,
            _ => db,
        });
        self
    }

    /// Adds a time, as [`Stop::after`]; of two, the shorter one counts.
    pub fn or_after(mut self, time: Duration) -> Self {
        self.time = Some(self.time.map_or(time, |before| before.min(time)));
        self
    }

    /// Adds a number of gradient evaluations, as [`Stop::evaluations`]; of two, the lower one counts.
    pub fn or_evaluations(mut self, n: usize) -> Self {
        self.evaluations = Some(self.evaluations.map_or(n, |before| before.min(n)));
        self
    }

    /// Adds a number of steps, as [`Stop::steps`]; of two, the lower one counts.
    pub fn or_steps(mut self, n: usize) -> Self {
        self.steps = Some(self.steps.map_or(n, |before| before.min(n)));
        self
    }

    /// Adds a limit of steps, within which a plateau ends the run, too.
    pub(crate) fn or_step_limit(self, n: usize) -> Self {
        Self { is_step_limit: self.steps.is_none(), ..self.or_steps(n) }
    }

    pub(super) fn check(&self) -> Result<()> {
        match self.snr_db {
            Some(snr_db) if snr_db.is_nan() => Err(Error::invalid("snr_db", "is NaN; 20.0 is well matched")),
            _ => Ok(()),
        }
    }
}

/// The reason why a run stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// The requested number of steps, or the recipe's, is done.
    Steps,
    /// The requested number of gradient evaluations is done.
    Evaluations,
    /// The time limit is reached.
    Time,
    /// The requested signal-to-noise ratio is reached.
    Matched,
    /// The loss changes less than the recipe's plateau criterion. A call with a number of steps goes on.
    Plateau,
    /// The optimizer finds no better point: further steps are useless.
    Stalled,
    /// The run holds its match, and its distance to the start hardly falls any more ([`Recipe::nearest`](super::Recipe::nearest)).
    Settled,
    /// The call was interrupted; the run keeps everything so far.
    Interrupted,
}

/// The texts are part of the CSV format of sweeps, so they must not change.
impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Steps => "all steps done",
            Self::Evaluations => "all gradient evaluations done",
            Self::Time => "time is up",
            Self::Matched => "matched",
            Self::Plateau => "the loss has levelled off",
            Self::Stalled => "nothing better found nearby",
            Self::Settled => "settled near the start",
            Self::Interrupted => "interrupted; everything so far is kept",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tighter_of_two_criteria_counts() {
        let stop =
            Stop::snr(20.0).or_snr(10.0).or_snr(30.0).or_steps(5).or_steps(3).or_evaluations(7).or_evaluations(9);
        let expected = Stop { snr_db: Some(10.0), steps: Some(3), evaluations: Some(7), ..Stop::default() };
        assert_eq!(stop, expected);
    }

    #[test]
    fn a_nan_is_reported_in_any_order() {
        for stop in [Stop::snr(f64::NAN).or_snr(20.0), Stop::snr(20.0).or_snr(f64::NAN)] {
            assert!(stop.check().unwrap_err().to_string().contains("snr_db"));
        }
    }
}
