//! Networks by name, as used in a plan.

use std::path::Path;

use super::*;
use crate::network::Network;
use crate::{Error, Result};

type LoadShipped = fn() -> Result<Network>;

/// The networks that ship with the project.
const SHIPPED: [(&str, LoadShipped); 5] = [
    ("efficientnet_lite0", efficientnet_lite0),
    ("cochcnn_words", cochcnn_words),
    ("cochcnn_words_hann", cochcnn_words_hann),
    ("cochcnn_words_untrained", cochcnn_words_untrained),
    ("crepe_tiny", crepe_tiny),
];

/// The shipped network with this architecture name and these weights.
///
/// # Errors
/// When no shipped network has this name with these weights.
pub(crate) fn shipped_as(architecture: &str, weights_sha256: &str) -> Result<Network> {
    let mut other = None;
    for (_, load) in SHIPPED {
        let network = load()?;
        if network.name() == architecture {
            if network.weights_source().weights_sha256 == weights_sha256 {
                return Ok(network);
            }
            other = Some(network);
        }
    }
    let reason = match other {
        Some(network) => {
            format!("ships with weights {}, not with {weights_sha256}", network.weights_source().weights_sha256)
        }
        None => "does not ship".into(),
    };
    Err(Error::invalid(architecture, reason))
}

/// The name of a shipped network for [`by_name`].
///
/// # Errors
/// When no shipped network has these weights.
pub(crate) fn shipped_key(network: &Network) -> Result<String> {
    let source = network.weights_source();
    for (key, load) in SHIPPED {
        // Loading takes time, so only the network with this file is loaded.
        if source.source == format!("{key}.safetensors") && load()?.weights_source() == source {
            return Ok(key.into());
        }
    }
    Err(Error::invalid(network.name(), "does not ship with the project, so a browser cannot load it"))
}

type LoadFrom = fn(&Path) -> Result<Network>;

/// The architectures that load a checkpoint.
const ARCHITECTURES: [(&str, LoadFrom); 15] = [
    ("alexnet", |path| alexnet_from(path)),
    ("vgg16", |path| vgg16_from(path)),
    ("vgg19", |path| vgg19_from(path)),
    ("resnet50", |path| resnet50_from(path)),
    ("resnet101", |path| resnet101_from(path)),
    ("resnet101_v2", |path| resnet101_v2_from(path)),
    ("inception_v3", |path| inception_v3_from(path)),
    ("cornet_s", |path| cornet_s_from(path)),
    ("efficientnet_lite0", |path| efficientnet_lite0_from(path)),
    ("efficientnet_lite1", |path| efficientnet_lite1_from(path)),
    ("efficientnet_lite2", |path| efficientnet_lite2_from(path)),
    ("cochcnn9", |path| cochcnn9_from(path)),
    ("cochresnet50", |path| cochresnet50_from(path)),
    ("crepe_tiny", |path| crepe_from(path)),
    ("efficient_word_net", |path| efficient_word_net_from(path)),
];

/// The names that [`by_name`] accepts: the shipped networks, then the architectures that need a checkpoint, such as `resnet50:FILE`.
#[must_use]
pub fn names() -> Vec<String> {
    let shipped = SHIPPED.iter().map(|(name, _)| (*name).to_owned());
    shipped.chain(ARCHITECTURES.iter().map(|(name, _)| format!("{name}:FILE"))).collect()
}

/// Loads the network with this name: a shipped one (`efficientnet_lite0`), or an architecture with a checkpoint
/// (`resnet50:weights/resnet50.safetensors`, relative to the current directory).
///
/// ```
/// let net = metamers::zoo::by_name("cochcnn_words")?;
/// assert_eq!(net.stages().len(), 9);
/// assert!(metamers::zoo::by_name("cochcnn_word").unwrap_err().to_string().contains("cochcnn_words"));
/// # Ok::<(), metamers::Error>(())
/// ```
///
/// # Errors
/// [`Error::Unknown`] for an unknown name, with similar ones; otherwise the errors of the function that loads the network.
pub fn by_name(name: &str) -> Result<Network> {
    by_name_in(name, Path::new(""))
}

/// [`by_name`], with checkpoints relative to a folder.
pub(crate) fn by_name_in(name: &str, folder: &Path) -> Result<Network> {
    match name.split_once(':') {
        None => match SHIPPED.iter().find(|(known, _)| *known == name) {
            Some((_, load)) => load(),
            None => match ARCHITECTURES.iter().find(|(known, _)| *known == name) {
                Some(_) => {
                    Err(Error::invalid(name, format!("does not ship with weights; append a checkpoint: {name}:FILE")))
                }
                None => Err(Error::unknown("network", name, SHIPPED.iter().map(|(known, _)| *known))),
            },
        },
        Some((architecture, path)) => match ARCHITECTURES.iter().find(|(known, _)| *known == architecture) {
            Some((_, load)) => load(&folder.join(path)),
            None => Err(Error::unknown("architecture", architecture, ARCHITECTURES.iter().map(|(known, _)| *known))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_lists_similar_ones() {
        let message = |name: &str| by_name(name).unwrap_err().to_string();
        assert!(message("eficientnet_lite0").contains("did you mean efficientnet_lite0"));
        assert!(message("resnet50").contains("resnet50:FILE"));
        assert!(message("resnet5:weights.pth").contains("did you mean resnet50"));
        for (architecture, _) in ARCHITECTURES {
            assert!(message(&format!("{architecture}:no/such.pth")).contains("no/such.pth"));
        }
        assert!(message("efficient_word_net").contains("efficient_word_net:FILE"));
        assert!(names().contains(&"cochcnn_words".to_string()) && names().contains(&"vgg19:FILE".to_string()));
    }
}
