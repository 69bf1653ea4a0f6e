//! Natural stimuli and noise.

mod image;

pub use self::image::{Image, Noise, shipped_photos};
