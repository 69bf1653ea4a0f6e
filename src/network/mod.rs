//! Frozen networks as data: graphs of layers with named stages.
//!
//! The graph holds no closures, so a [`Network`] can be listed, run layer by layer through differentiable operations, or compiled.
//! [`Builder`] builds a network; [`crate::zoo`] has ready-made ones. [`Network::from_module`] makes a network from a custom function
//! in candle, which becomes an opaque layer.
//!
//! ```
//! use metamers::prelude::*;
//!
//! let net = zoo::cochcnn_words()?;
//! let word = net.prepare(&Sound::open("speech/november.wav")?)?;   // resampled, cut to two seconds; the level is unchanged
//! let activations = net.forward_to("relu2", &word.to_tensor()?)?;
//! assert_eq!(activations.dims()[1..], net.stage("relu2")?.shape);
//! assert_eq!(net.classify(&word, 1)?.top().name, "november");
//! assert!(net.stage("relu9").unwrap_err().to_string().contains("relu2"));   // the error lists similar stages
//! # Ok::<(), metamers::Error>(())
//! ```

mod classify;
mod custom;
mod forward;
mod graph;
mod linearization;
mod nearest;
mod onnx;
mod preprocess;
mod stage_slider;
mod stage_table;
mod weights;

use std::sync::Arc;

pub use classify::{ClassScore, Classification};
pub(crate) use custom::check_gradient;
pub use custom::{CandleModule, StageMarker};
pub(crate) use graph::ancestors;
pub use graph::{Builder, Layer, NodeId, ReceptiveField, Stage};
pub use nearest::{NearestNeighbor, Neighbor, Neighbors};
pub use onnx::OnnxOptions;
pub(crate) use stage_table::thousands;
#[cfg(not(target_family = "wasm"))]
pub use weights::HubFile;
pub(crate) use weights::KNOWN_BY_VALUES;
pub use weights::{BatchNorm, Checkpoint, WeightsSource};

use crate::stimulus::StimulusKind;
use crate::{Error, Result};

/// A frozen network. Cloning is cheap: the weights are shared.
///
/// Inputs are images `[batch, channels, height, width]` with values in `[0, 1]`, or waveforms `[batch, samples]` in `[-1, 1]`. The
/// network's first layers do the preprocessing (colour normalisation, a cochleagram), so gradients are with respect to the stimulus
/// that a person sees or hears.
///
/// ```
/// use metamers::prelude::*;
///
/// let net = zoo::efficientnet_lite0()?;
/// let panda = Image::open("photos/red_panda.jpg")?;
/// assert_eq!(net.classify(&panda, 5)?.top().name, "red panda");
/// let activations = net.forward_to("block5", &net.prepare(&panda)?.to_tensor()?)?;
/// assert_eq!(activations.dims(), [1, 80, 14, 14]);
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone)]
pub struct Network(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    name: String,
    input: Input,
    nodes: Vec<Node>,
    stages: Vec<Stage>,
    classes: Option<Arc<[String]>>,
    provenance: WeightsSource,
}

/// The input of a network.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Input {
    /// Images: tensors `[batch, channels, height, width]` with values in `[0, 1]`.
    Image {
        /// Channels (3, or 1 for grey), height and width.
        shape: [usize; 3],
        /// A photo's shorter side before the centre crop, in pixels; 256 is customary for an input of 224.
        resize: usize,
    },
    /// Waveforms: tensors `[batch, samples]` with values in `[-1, 1]`.
    Sound {
        /// The length of a waveform in samples.
        samples: usize,
        /// The sample rate in Hz.
        sample_rate: u32,
    },
}

impl Input {
    /// The kind of the stimuli: images or sounds.
    #[must_use]
    pub fn kind(&self) -> StimulusKind {
        match self {
            Self::Image { .. } => StimulusKind::Image,
            Self::Sound { .. } => StimulusKind::Sound,
        }
    }

    /// The shape of one input, without the batch.
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        match *self {
            Self::Image { shape, .. } => shape.to_vec(),
            Self::Sound { samples, .. } => vec![samples],
        }
    }
}

impl std::fmt::Display for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Image { shape, .. } => write!(f, "images of shape {shape:?}"),
            Self::Sound { samples, sample_rate } => write!(f, "sounds of {samples} samples at {sample_rate} Hz"),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Node {
    pub layer: Layer,
    pub inputs: Vec<NodeId>,
    /// Shape of the output without the batch.
    pub shape: Vec<usize>,
    pub field: ReceptiveField,
}

impl Network {
    /// The name of the architecture.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The input that the network takes.
    #[must_use]
    pub fn input(&self) -> &Input {
        &self.0.input
    }

    /// The stages, whose activations a metamer can match, from the input to the output.
    #[must_use]
    pub fn stages(&self) -> &[Stage] {
        &self.0.stages
    }

    /// The stage with this name.
    ///
    /// # Errors
    /// [`Error::Unknown`] with the most similar names if there is no such stage.
    pub fn stage(&self, name: &str) -> Result<&Stage> {
        let found = self.0.stages.iter().find(|s| s.name == name);
        found.ok_or_else(|| Error::unknown("stage", name, self.0.stages.iter().map(|s| s.name.as_str())))
    }

    /// The names of the classes; `None` if the network is not a classifier.
    #[must_use]
    pub fn classes(&self) -> Option<&[String]> {
        self.0.classes.as_deref()
    }

    /// The source of the weights.
    #[must_use]
    pub fn weights_source(&self) -> &WeightsSource {
        &self.0.provenance
    }

    /// The number of parameters of all layers; shared weights, such as those of a recurrent area's steps, count once.
    #[must_use]
    pub fn num_parameters(&self) -> usize {
        Layer::count_parameters(self.0.nodes.iter().map(|n| &n.layer))
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.0.nodes
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, stages, parameters) = (self.name(), self.stages().len(), self.num_parameters());
        write!(f, "Network({name}, {stages} stages, {parameters} parameters)")
    }
}
