//! A named stage of a network, whose activations a metamer matches.

use super::{NodeId, ReceptiveField};

/// A named stage of a network.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The stage's name, as in the literature.
    pub name: String,
    /// Shape of the activations without the batch.
    pub shape: Vec<usize>,
    /// The receptive field of one unit.
    pub receptive_field: ReceptiveField,
    /// The number of parameters up to this stage.
    pub num_parameters: usize,
    /// Multiply-accumulate operations up to this stage for one input.
    pub macs: usize,
    pub(crate) node: NodeId,
}

impl Stage {
    /// The number of activations.
    pub fn units(&self) -> usize {
        self.shape.iter().product()
    }
}
