//! How long things are shown.

use crate::{Error, Result};

/// Longer than this nothing is shown before a person answers.
const LONGEST_MS: u32 = 10_000;

/// How long fixation cross, picture and mask are shown, in milliseconds; each to the nearest frame of the screen.
///
/// The default is that of Feather et al. (2023): 300 ms each. Before a sound only the cross is shown, and the sound plays to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Timing {
    /// The cross before a stimulus; 0 shows none.
    pub fixation_ms: u32,
    /// The picture.
    pub stimulus_ms: u32,
    /// The noise after it; 0 shows none.
    pub mask_ms: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self { fixation_ms: 300, stimulus_ms: 300, mask_ms: 300 }
    }
}

impl Timing {
    pub(super) fn check(self) -> Result<()> {
        let Self { fixation_ms, stimulus_ms, mask_ms } = self;
        if stimulus_ms == 0 || [fixation_ms, stimulus_ms, mask_ms].into_iter().any(|each| each > LONGEST_MS) {
            let reason = format!(
                "a picture is shown for 1 to {LONGEST_MS} ms, cross and mask for 0 to {LONGEST_MS} ms; got {fixation_ms}, \
                 {stimulus_ms} and {mask_ms} ms (cross, picture, mask)"
            );
            return Err(Error::invalid("timing", reason));
        }
        Ok(())
    }
}
