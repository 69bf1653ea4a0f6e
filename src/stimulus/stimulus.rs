//! A stimulus: an image or a sound.

use candle_core::Tensor;

use super::{Image, Noise, Sound, StimulusKind};
use crate::display::{MimeBundle, Panel, Show};
use crate::{Error, Result};

/// A stimulus of a network: an image or a sound.
///
/// Functions that take `impl Into<Stimulus>` accept an [`Image`], a [`Sound`] or a reference to either.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Stimulus {
    /// An image.
    Image(Image),
    /// A sound.
    Sound(Sound),
}

impl Stimulus {
    /// The name that captions show.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Image(image) => image.name(),
            Self::Sound(sound) => sound.name(),
        }
    }

    /// The kind: image or sound.
    #[must_use]
    pub fn kind(&self) -> StimulusKind {
        match self {
            Self::Image(_) => StimulusKind::Image,
            Self::Sound(_) => StimulusKind::Sound,
        }
    }

    /// Replaces the name.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        match self {
            Self::Image(image) => image.with_name(name).into(),
            Self::Sound(sound) => sound.with_name(name).into(),
        }
    }

    /// The values: pixels in `[0, 1]`, as red, green and blue planes or one grey plane, or samples in `[-1, 1]`.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        match self {
            Self::Image(image) => image.values(),
            Self::Sound(sound) => sound.values(),
        }
    }

    /// Converts the stimulus to a tensor, `[1, channels, height, width]` or `[1, samples]`.
    ///
    /// # Errors
    /// Infallible for a valid stimulus; the `Result` comes from candle.
    pub fn to_tensor(&self) -> Result<Tensor> {
        match self {
            Self::Image(image) => image.to_tensor(),
            Self::Sound(sound) => sound.to_tensor(),
        }
    }

    /// Returns the image.
    ///
    /// # Errors
    /// When the stimulus is a sound.
    pub fn image(&self) -> Result<&Image> {
        match self {
            Self::Image(image) => Ok(image),
            Self::Sound(sound) => Err(Error::invalid(name_or_default(sound.name()), "is a sound, not an image")),
        }
    }

    /// Returns the sound.
    ///
    /// # Errors
    /// When the stimulus is an image.
    pub fn sound(&self) -> Result<&Sound> {
        match self {
            Self::Sound(sound) => Ok(sound),
            Self::Image(image) => Err(Error::invalid(name_or_default(image.name()), "is an image, not a sound")),
        }
    }

    /// The range of valid values: `[0, 1]` for images, `[-1, 1]` for sounds.
    #[must_use]
    pub fn range(&self) -> [f32; 2] {
        match self {
            Self::Image(_) => [0.0, 1.0],
            Self::Sound(_) => [-1.0, 1.0],
        }
    }

    /// Returns whether both are images of the same size and number of channels, or sounds of the same sample rate and length.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Image(a), Self::Image(b)) => {
                (a.width(), a.height(), a.channels()) == (b.width(), b.height(), b.channels())
            }
            (Self::Sound(a), Self::Sound(b)) => (a.sample_rate(), a.len()) == (b.sample_rate(), b.len()),
            _ => false,
        }
    }

    /// Returns whether both are the same but for rounding.
    pub(crate) fn is_almost(&self, other: &Self) -> bool {
        let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
        let values = |stimulus: &Self| stimulus.values().iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let (a, b) = (values(self), values(other));
        let difference = square(&mut a.iter().zip(&b).map(|(a, b)| a - b));
        self.is_like(other) && difference <= 1e-8 * square(&mut a.iter().copied())
    }

    /// Creates noise of the same kind and size; the same seed gives the same bits.
    pub(crate) fn noise_like(&self, noise: Noise, seed: u64) -> Result<Self> {
        Ok(match self {
            Self::Image(image) => image.noise_like(noise, seed)?.into(),
            Self::Sound(sound) => Sound::noise(sound.sample_rate(), sound.len(), noise, seed)?.into(),
        })
    }

    /// Creates a stimulus of the same kind and size with other values, clamped to the valid range.
    pub(crate) fn with_clamped(&self, name: &str, values: &[f32]) -> Self {
        match self {
            Self::Image(image) => image.with_clamped(name, values).into(),
            Self::Sound(sound) => sound.with_clamped(name, values).into(),
        }
    }
}

/// The name of a stimulus in an error message.
fn name_or_default(name: &str) -> &str {
    if name.is_empty() { "stimulus" } else { name }
}

macro_rules! from_kind {
    ($($kind:ident),+) => {$(
        impl From<$kind> for Stimulus {
            fn from(stimulus: $kind) -> Self {
                Self::$kind(stimulus)
            }
        }

        impl From<&$kind> for Stimulus {
            fn from(stimulus: &$kind) -> Self {
                Self::$kind(stimulus.clone())
            }
        }
    )+};
}

from_kind!(Image, Sound);

impl From<&Stimulus> for Stimulus {
    fn from(stimulus: &Stimulus) -> Self {
        stimulus.clone()
    }
}

impl From<&Stimulus> for Panel {
    fn from(stimulus: &Stimulus) -> Self {
        match stimulus {
            Stimulus::Image(image) => image.into(),
            Stimulus::Sound(sound) => sound.into(),
        }
    }
}

impl Show for Stimulus {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        match self {
            Self::Image(image) => image.mime_bundles(),
            Self::Sound(sound) => sound.mime_bundles(),
        }
    }
}

crate::show_in_notebooks!(Stimulus);
