//! A slider over the stages of a network.

use super::Network;
use crate::display::widgets::{SelectionSlider, Slider};

impl Slider {
    /// A slider over the names of a network's stages, from the first to the last.
    #[must_use]
    pub fn stages(network: &Network) -> SelectionSlider {
        Slider::names("stage", network.stages().iter().map(|stage| stage.name.clone()))
    }
}
