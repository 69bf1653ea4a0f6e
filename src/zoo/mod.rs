//! Ready-made networks, one file per architecture.
//!
//! Functions without an argument load weights that ship with the project. Functions that end in `_from` take a weights file
//! (safetensors or `.pth`), and functions that end in `_random` a seed.
//!
//! ```
//! use metamers::prelude::*;
//!
//! let net = zoo::efficientnet_lite0()?;
//! let seen = net.classify(&Image::open("photos/red_panda.jpg")?, 5)?;
//! assert_eq!(seen.top().name, "red panda");
//!
//! let untrained = zoo::alexnet_random(7)?;
//! assert_eq!(untrained.stage("conv5")?.shape, [256, 13, 13]);
//! # Ok::<(), metamers::Error>(())
//! ```

mod alexnet;
mod by_name;
mod cochcnn9;
mod cochleagram;
mod cochresnet50;
mod cornet_s;
mod crepe;
mod efficient_word_net;
mod efficientnet_lite;
mod imagenet;
mod inception;
mod resnet;
mod resnet_v2;
mod vgg;

pub use alexnet::{alexnet_from, alexnet_random};
pub use by_name::{by_name, names};
pub(crate) use by_name::{by_name_in, shipped_as, shipped_key};
pub use cochcnn9::{cochcnn_words, cochcnn_words_hann, cochcnn_words_untrained, cochcnn9_from, cochcnn9_random};
pub use cochleagram::cochleagram;
pub use cochresnet50::{cochresnet50_from, cochresnet50_random};
pub use cornet_s::{cornet_s_from, cornet_s_random};
pub use crepe::{crepe_from, crepe_pitch, crepe_tiny};
pub use efficient_word_net::efficient_word_net_from;
pub use efficientnet_lite::{
    efficientnet_lite0, efficientnet_lite0_from, efficientnet_lite0_random, efficientnet_lite1_from,
    efficientnet_lite1_random, efficientnet_lite2_from, efficientnet_lite2_random,
};
pub use inception::{inception_v3_from, inception_v3_random};
pub use resnet::{resnet50_from, resnet50_random, resnet101_from, resnet101_random};
pub use resnet_v2::{resnet101_v2_from, resnet101_v2_random};
pub use vgg::{vgg16_from, vgg16_random, vgg19_from, vgg19_random};

use crate::Result;
use crate::network::{Builder, Checkpoint, Network};

/// Finishes a network with these weights, and checks that their file holds nothing more in the network's modules.
fn finish(mut b: Builder, weights: &Checkpoint) -> Result<Network> {
    b.weights_source(weights.weights_source());
    let network = b.finish()?;
    weights.check_leftovers(network.name())?;
    Ok(network)
}
