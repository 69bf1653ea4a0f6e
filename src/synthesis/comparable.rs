//! Metamers in [`Compare`](crate::display::widgets::Compare).

use super::metamer::Metamer;
use crate::display::Raster;
use crate::display::widgets::{Comparable, Exhibit};
use crate::stimulus::Stimulus;

fn exhibit(name: String, picture: Raster, stimulus: &Stimulus) -> Exhibit {
    let exhibit = Exhibit::new(name.clone(), picture);
    match stimulus {
        Stimulus::Sound(sound) => exhibit.player(sound.clone().with_name(name).player()),
        Stimulus::Image(_) => exhibit,
    }
}

impl Comparable for Metamer {
    fn exhibit(&self) -> Exhibit {
        let [_, picture] = self.thumbnails();
        exhibit(format!("metamer at {}", self.provenance().stage), picture, self.stimulus())
    }

    fn original(&self) -> Option<Exhibit> {
        let [picture, _] = self.thumbnails();
        Some(exhibit("original".into(), picture, Metamer::original(self)))
    }
}
