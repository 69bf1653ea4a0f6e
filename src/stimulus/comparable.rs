//! Images and sounds in [`Compare`](crate::display::widgets::Compare).

use super::{Image, Sound, Stimulus};
use crate::display::Raster;
use crate::display::widgets::{Comparable, Exhibit};

fn name_or(name: &str, otherwise: &str) -> String {
    if name.is_empty() { otherwise } else { name }.to_owned()
}

impl Comparable for Image {
    fn exhibit(&self) -> Exhibit {
        Exhibit::new(name_or(self.name(), "image"), Raster::from(self))
    }
}

impl Comparable for Sound {
    fn exhibit(&self) -> Exhibit {
        Exhibit::new(name_or(self.name(), "sound"), self.spectrogram()).player(self.player())
    }
}

impl Comparable for Stimulus {
    fn exhibit(&self) -> Exhibit {
        match self {
            Self::Image(image) => image.exhibit(),
            Self::Sound(sound) => sound.exhibit(),
        }
    }
}
