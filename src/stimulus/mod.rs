//! Natural stimuli and noise: pictures and sounds.

mod image;
mod noise;
mod sound;
mod sound_picture;

pub use self::image::{Image, shipped_photos};
pub use self::noise::Noise;
pub use self::sound::Sound;
pub(crate) use self::sound::wav16;
