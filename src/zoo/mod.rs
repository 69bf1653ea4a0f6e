//! Ready-made networks, one file an architecture.

mod cochcnn9;
mod cochresnet50;
mod crepe;
mod efficientnet_lite0;

pub use cochcnn9::{cochcnn_words, cochcnn_words_hann, cochcnn_words_untrained, cochcnn9_from};
pub use cochresnet50::cochresnet50_from;
pub use crepe::{crepe_pitch, crepe_tiny, crepe_tiny_from};
pub use efficientnet_lite0::{efficientnet_lite0, efficientnet_lite0_from};
