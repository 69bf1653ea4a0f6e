//! The kind of a stimulus.

use serde::{Deserialize, Serialize};

/// The kind of a stimulus, and of the stimuli that a network takes: images or sounds.
///
/// ```
/// use metamers::prelude::*;
/// use metamers::stimulus::StimulusKind;
///
/// let tone = Stimulus::from(Sound::tone(16_000, 0.1, 440.0, 0.1)?);
/// assert_eq!(tone.kind(), StimulusKind::Sound);
/// assert_eq!(tone.kind().to_string(), "sound");
/// assert_eq!(zoo::efficientnet_lite0()?.input().kind(), StimulusKind::Image);
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StimulusKind {
    /// Images.
    Image,
    /// Sounds.
    Sound,
}

impl std::fmt::Display for StimulusKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Image => "image",
            Self::Sound => "sound",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_written_in_json_as_it_is_displayed() {
        for kind in [StimulusKind::Image, StimulusKind::Sound] {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
    }
}
