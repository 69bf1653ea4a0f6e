//! Natural stimuli and noise: pictures and sounds.
#![allow(clippy::module_inception, reason = "one file for each idea, this one's being either of the two")]

mod image;
mod noise;
mod photos;
mod recordings;
mod sound;
mod sound_picture;
mod stimulus;

pub use self::image::Image;
pub use self::noise::Noise;
pub use self::photos::{Photo, Photos, shipped_photos};
pub use self::recordings::{Recording, Recordings, shipped_recordings};
pub use self::sound::Sound;
pub(crate) use self::sound::wav16;
pub use self::stimulus::Stimulus;
