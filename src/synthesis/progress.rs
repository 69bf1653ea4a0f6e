//! The state of a run after a call that stepped it.

use std::sync::Arc;
use std::time::Duration;

use super::snapshot::Snapshot;
use super::stop::StopReason;
use crate::display::Live;

/// The state of a run after [`Run::step`](super::Run::step), [`Run::advance`](super::Run::advance) and the like.
#[derive(Clone)]
#[non_exhaustive]
pub struct Progress {
    /// The reason why the call returned.
    pub stop_reason: StopReason,
    /// Steps of the optimizer since the start.
    pub steps: usize,
    /// Gradient evaluations since the start, line searches included.
    pub evaluations: usize,
    /// Time spent in steps since the start.
    pub elapsed: Duration,
    /// The best signal-to-noise ratio at the stage so far, in dB.
    pub snr_db: f64,
    /// The recipe's loss at the last evaluation.
    pub loss: f64,
    pub(super) snapshot: Snapshot,
    /// The live output of the notebook that displays the run; `None` for a quiet run.
    pub(super) live: Option<Arc<Live>>,
    /// `true` if the live output already displays this state.
    pub(super) displayed: bool,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Progress({self})")
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { stop_reason, steps, evaluations, snr_db, loss, .. } = self;
        let elapsed = crate::display::duration(self.elapsed);
        write!(
            f,
            "{steps} steps, {evaluations} gradient evaluations, {elapsed}: SNR {snr_db:.1} dB, loss {loss:.3e} ({stop_reason})"
        )
    }
}
