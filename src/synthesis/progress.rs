//! What a few steps achieved.

use std::sync::Arc;
use std::time::Duration;

use super::plot::Snapshot;
use crate::display::Live;

/// Why a run stopped stepping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// All steps that were asked for are done.
    Steps,
    /// All gradient evaluations that were asked for are done.
    Evaluations,
    /// The time is up.
    Time,
    /// The signal-to-noise ratio that was asked for is reached.
    Matched,
    /// The loss changes too little, as the recipe defines it.
    Plateau,
    /// No direction makes it better: the run is at its end.
    Stalled,
    /// Somebody interrupted; everything so far is kept.
    Interrupted,
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Steps => "all steps done",
            Self::Evaluations => "all gradient evaluations done",
            Self::Time => "time is up",
            Self::Matched => "matched",
            Self::Plateau => "the loss has levelled off",
            Self::Stalled => "nothing better found nearby",
            Self::Interrupted => "interrupted; everything so far is kept",
        })
    }
}

/// Where a run is after a call of [`Run::step`](super::Run::step) and its like.
#[derive(Clone)]
pub struct Progress {
    /// Why the call returned.
    pub stop_reason: StopReason,
    /// Steps of the optimiser since the start.
    pub steps: usize,
    /// Gradient evaluations since the start, probes included.
    pub evaluations: usize,
    /// Time in steps since the start.
    pub elapsed: Duration,
    /// The best signal-to-noise ratio at the stage so far, in dB.
    pub snr_db: f64,
    /// The recipe's loss at the last evaluation.
    pub loss: f64,
    pub(super) snapshot: Snapshot,
    /// The live place of the notebook that this belongs in; none for a quiet run.
    pub(super) place: Option<Arc<Live>>,
    /// Whether that place already shows this.
    pub(super) shown: bool,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Progress({self})")
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { stop_reason: ended, steps, evaluations, snr_db, loss, .. } = self;
        let elapsed = crate::display::duration(self.elapsed);
        write!(
            f,
            "{steps} steps, {evaluations} gradient evaluations, {elapsed}: SNR {snr_db:.1} dB, loss {loss:.3e} ({ended})"
        )
    }
}
