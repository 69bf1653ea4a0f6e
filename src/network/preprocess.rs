//! Preprocessing of stimuli for a network.

use super::{Input, Network};
use crate::stimulus::Stimulus;
use crate::{Error, Result};

impl Network {
    /// Preprocesses a stimulus for the network.
    ///
    /// For a network with one channel, an image becomes grey ([`Image::to_gray`](crate::stimulus::Image::to_gray)); for one with three,
    /// a grey image gets three equal channels. An image is resized so that its shorter side is [`Input::Image`]'s `resize`, then
    /// centre-cropped. A sound is resampled to [`Input::Sound`]'s sample rate, then trimmed or padded with silence equally at both ends;
    /// its level is unchanged. A stimulus that already matches the input is unchanged.
    ///
    /// The word networks were trained at a single level, which [`Network::prepare_at_training_level`] also sets.
    ///
    /// # Errors
    /// A sound for an image network, an image for a sound network, or a network of [`Builder`](super::Builder) whose images have neither
    /// 3 channels nor 1.
    pub fn prepare(&self, stimulus: impl Into<Stimulus>) -> Result<Stimulus> {
        match (self.input(), stimulus.into()) {
            (&Input::Image { shape: [channels, height, width], resize }, Stimulus::Image(image)) => {
                check_channels(self.name(), channels)?;
                let image = if channels == 1 { image.to_gray() } else { image.to_rgb() };
                if (image.height(), image.width()) == (height, width) {
                    return Ok(image.into());
                }
                let resized = image.resize_shorter_side(resize.max(height).max(width))?;
                Ok(resized.center_crop(width, height)?.into())
            }
            (&Input::Sound { samples, sample_rate: rate }, Stimulus::Sound(sound)) => {
                Ok(sound.resample(rate)?.fix_length(samples)?.into())
            }
            (Input::Image { .. }, Stimulus::Sound(_)) => Err(Error::invalid(self.name(), "takes images, not sounds")),
            (Input::Sound { .. }, Stimulus::Image(_)) => Err(Error::invalid(self.name(), "takes sounds, not images")),
        }
    }

    /// Preprocesses a stimulus as [`Network::prepare`] does, and gives a sound the level at which word networks were trained, as
    /// [`Sound::prepare`](crate::stimulus::Sound::prepare) does: its mean is removed, and its rms becomes 0.1, or the highest one that does
    /// not clip.
    ///
    /// ```
    /// # use metamers::prelude::*;
    /// let net = zoo::cochcnn_words()?;
    /// let word = net.prepare_at_training_level(Sound::open("speech/seven.wav")?)?;
    /// assert!((word.sound()?.rms() - 0.1).abs() < 1e-4);
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Network::prepare`], and for a silent sound.
    pub fn prepare_at_training_level(&self, stimulus: impl Into<Stimulus>) -> Result<Stimulus> {
        match (self.input(), stimulus.into()) {
            (&Input::Sound { samples, sample_rate }, Stimulus::Sound(sound)) => {
                Ok(sound.prepare(sample_rate, samples)?.into())
            }
            (_, stimulus) => self.prepare(stimulus),
        }
    }
}

/// Checks that there are images with this number of channels.
pub(super) fn check_channels(name: &str, channels: usize) -> Result<()> {
    match channels {
        1 | 3 => Ok(()),
        _ => Err(Error::invalid(
            name,
            format!("takes images of {channels} channels, but images have 3 channels (color) or 1 (grey)"),
        )),
    }
}
