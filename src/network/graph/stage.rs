//! A named stage of a network, whose activations a metamer matches.

use super::{NodeId, ReceptiveField};

/// A named stage of a network: a node whose activations a metamer can match.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stage {
    /// The stage's name, as in the literature.
    pub name: String,
    /// The shape of the activations, without the batch: `[channels, height, width]` or `[units]`.
    pub shape: Vec<usize>,
    /// The receptive field of one unit.
    pub receptive_field: ReceptiveField,
    /// The number of parameters up to this stage.
    pub num_parameters: usize,
    /// The multiply-accumulate operations up to this stage for one input.
    pub macs: u64,
    pub(crate) node: NodeId,
}

impl Stage {
    /// The number of activations.
    #[must_use]
    pub fn units(&self) -> usize {
        self.shape.iter().product()
    }
}
