//! Either of what a metamer can be made of.

use candle_core::Tensor;

use super::{Image, Sound};
use crate::display::{MimeBundle, Panel, Show};
use crate::{Error, Result};

/// A picture or a sound.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Stimulus {
    /// A picture.
    Image(Image),
    /// A sound.
    Sound(Sound),
}

impl Stimulus {
    /// What it is called in captions.
    pub fn name(&self) -> &str {
        match self {
            Self::Image(image) => image.name(),
            Self::Sound(sound) => sound.name(),
        }
    }

    /// The same stimulus under another name.
    pub fn with_name(self, name: impl Into<String>) -> Self {
        match self {
            Self::Image(image) => image.with_name(name).into(),
            Self::Sound(sound) => sound.with_name(name).into(),
        }
    }

    /// The values: pixels in `[0, 1]`, three planes, or samples in `[-1, 1]`.
    pub fn values(&self) -> &[f32] {
        match self {
            Self::Image(image) => image.values(),
            Self::Sound(sound) => sound.values(),
        }
    }

    /// The values as a network takes them: `[1, 3, height, width]` or `[1, samples]`.
    ///
    /// # Errors
    /// Never for a stimulus that could be made; the type leaves candle's word on it.
    pub fn to_tensor(&self) -> Result<Tensor> {
        match self {
            Self::Image(image) => image.to_tensor(),
            Self::Sound(sound) => sound.to_tensor(),
        }
    }

    /// The picture.
    ///
    /// # Errors
    /// When it is a sound.
    pub fn image(&self) -> Result<&Image> {
        match self {
            Self::Image(image) => Ok(image),
            Self::Sound(sound) => Err(Error::invalid(called(sound.name()), "is a sound, not a picture")),
        }
    }

    /// The sound.
    ///
    /// # Errors
    /// When it is a picture.
    pub fn sound(&self) -> Result<&Sound> {
        match self {
            Self::Sound(sound) => Ok(sound),
            Self::Image(image) => Err(Error::invalid(called(image.name()), "is a picture, not a sound")),
        }
    }

    /// The smallest and the largest value that it can hold.
    pub fn range(&self) -> [f32; 2] {
        match self {
            Self::Image(_) => [0.0, 1.0],
            Self::Sound(_) => [-1.0, 1.0],
        }
    }

    /// Whether both are pictures of one size, or sounds of one rate and length.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Image(a), Self::Image(b)) => (a.width(), a.height()) == (b.width(), b.height()),
            (Self::Sound(a), Self::Sound(b)) => (a.sample_rate(), a.len()) == (b.sample_rate(), b.len()),
            _ => false,
        }
    }

    /// A stimulus of this one's kind and size with other values, clamped to what it can hold.
    pub(crate) fn with_clamped(&self, name: &str, values: &[f32]) -> Self {
        match self {
            Self::Image(image) => image.with_clamped(name, values).into(),
            Self::Sound(sound) => sound.with_clamped(name, values).into(),
        }
    }
}

/// What an error calls a stimulus, which may have no name.
fn called(name: &str) -> &str {
    if name.is_empty() { "stimulus" } else { name }
}

macro_rules! from {
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

from!(Image, Sound);

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
