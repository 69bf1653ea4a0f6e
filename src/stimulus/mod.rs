//! Natural stimuli and noise.

mod image;
mod photos;

pub use self::image::{Image, Noise};
pub use photos::{Photo, Photos, shipped_photos};
