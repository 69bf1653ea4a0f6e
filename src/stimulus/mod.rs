//! Natural stimuli and noise: images and sounds.
//!
//! Values are `f32`: images have red, green and blue planes in `[0, 1]` (sRGB as in the file), or one grey plane; sounds have one
//! channel in `[-1, 1]`. A relative path that does not exist in the working directory is looked up among the files that ship with the project.
//!
//! ```
//! use metamers::prelude::*;
//!
//! let dog = Image::open("photos/dog.jpg")?.resize_shorter_side(256)?.center_crop(224, 224)?;
//! assert_eq!((dog.width(), dog.height(), dog.values().len()), (224, 224, 3 * 224 * 224));
//!
//! let word = Sound::open("speech/november.wav")?.prepare(20_000, 40_000)?;
//! assert_eq!((word.sample_rate(), word.seconds()), (20_000, 2.0));
//!
//! let start = Image::noise(224, 224, Noise::Normal { mean: 0.5, deviation: 0.05 }, 7)?;
//! assert_eq!(start, Image::noise(224, 224, Noise::Normal { mean: 0.5, deviation: 0.05 }, 7)?);
//! # Ok::<(), metamers::Error>(())
//! ```
#![allow(clippy::module_inception, reason = "a file is named after the type that it holds")]

mod camera_raw;
mod comparable;
mod image;
mod image_decoder;
mod kind;
mod library;
mod mp4_edit;
mod noise;
mod plot;
mod sound;
mod sound_container;
mod sound_decoder;
mod stimulus;
mod wav_file;

pub use self::image::Image;
pub use self::kind::StimulusKind;
pub use self::library::{Library, Photo, Photos, Recording, Recordings, shipped_photos, shipped_recordings};
pub use self::noise::Noise;
pub use self::sound::Sound;
pub use self::stimulus::Stimulus;
