//! Metamers in [`Compare`](crate::display::widgets::Compare).

use super::metamer::Metamer;
use crate::display::Raster;
use crate::display::widgets::{Comparable, Exhibit};
use crate::stimulus::Stimulus;

/// A stimulus of a metamer: an image, or the time-frequency map of a sound on the color scale of the original.
fn exhibit(name: String, stimulus: &Stimulus, metamer: &Metamer) -> Exhibit {
    match stimulus {
        Stimulus::Image(image) => Exhibit::new(name, Raster::from(image)),
        Stimulus::Sound(sound) => {
            let map = super::plot::scaled_map(sound, Metamer::original(metamer), metamer.cochleagram.as_ref());
            Exhibit::new(&name, map).player(sound.clone().with_name(&name).player())
        }
    }
}

impl Comparable for Metamer {
    fn exhibit(&self) -> Exhibit {
        exhibit(format!("metamer at {}", self.provenance().stage), self.stimulus(), self)
    }

    fn original(&self) -> Option<Exhibit> {
        Some(exhibit("original".into(), Metamer::original(self), self))
    }
}
