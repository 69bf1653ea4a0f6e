//! The implementation of the network that a synthesis runs.

use candle_core::Device;

/// The implementation of the network that a synthesis runs.
#[derive(Clone)]
pub(super) enum Execution {
    /// Compiled, on the CPU. Networks with custom modules run layer by layer.
    Compiled,
    /// Layer by layer on the CPU; the reference implementation.
    LayerByLayer,
    /// Layer by layer on a device, by operations of candle.
    OnDevice(Device),
}

impl Execution {
    /// The execution of a run or metamer whose file has this flag. A file does not name the device.
    pub fn from_saved(layer_by_layer: bool) -> Self {
        if layer_by_layer { Self::LayerByLayer } else { Self::Compiled }
    }

    /// Returns whether the network runs layer by layer, on any device.
    pub fn is_layer_by_layer(&self) -> bool {
        !matches!(self, Self::Compiled)
    }

    /// The execution on the CPU, compiled in place of that on a device.
    pub fn on_cpu(&self) -> Self {
        match self {
            Self::LayerByLayer => Self::LayerByLayer,
            Self::Compiled | Self::OnDevice(_) => Self::Compiled,
        }
    }
}
