//! Presentation times.

use crate::{Error, Result};

/// The maximum presentation time.
const MAX_MS: u32 = 10_000;

/// Presentation times of fixation cross, image and mask in milliseconds, rounded to the nearest frame of the screen. A duration above 0
/// takes at least one frame.
///
/// The default is that of Feather et al. (2023): 300 ms each. For sounds, only the cross is shown, and the sound plays to its end. The
/// maximum is 10,000 ms each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Timing {
    /// Duration of the fixation cross; 0 for none.
    pub fixation_ms: u32,
    /// Duration of the image.
    pub stimulus_ms: u32,
    /// Duration of the noise mask; 0 for none.
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
        if stimulus_ms == 0 || [fixation_ms, stimulus_ms, mask_ms].into_iter().any(|each| each > MAX_MS) {
            let reason = format!(
                "an image must be shown for 1 to {MAX_MS} ms, cross and mask for 0 to {MAX_MS} ms; got {fixation_ms}, \
                 {stimulus_ms} and {mask_ms} ms (cross, image, mask)"
            );
            return Err(Error::invalid("timing", reason));
        }
        Ok(())
    }
}
