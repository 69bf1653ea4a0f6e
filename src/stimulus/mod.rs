//! Natural stimuli and noise: pictures and sounds.
//!
//! Values are `f32`: pictures hold planes of red, green and blue in `[0, 1]` (sRGB as in the file), sounds one channel in `[-1, 1]`. A relative path
//! that is not below the working directory is looked for in the project's assets.
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
#![allow(clippy::module_inception, reason = "one file for each idea, this one's being either of the two")]

mod image;
mod image_io;
mod noise;
mod photos;
mod plot;
mod recordings;
mod sound;
mod stimulus;

pub use self::image::Image;
pub use self::noise::Noise;
pub use self::photos::{Photo, Photos, shipped_photos};
pub use self::recordings::{Recording, Recordings, shipped_recordings};
pub use self::sound::Sound;
pub use self::stimulus::Stimulus;
