//! A place in a network whose activations a metamer matches.

use super::{NodeId, ReceptiveField};

/// A named place in a network.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The name, as the field uses it.
    pub name: String,
    /// Shape of the activations without the batch.
    pub shape: Vec<usize>,
    /// The receptive field of one unit.
    pub receptive_field: ReceptiveField,
    /// Numbers held by the layers up to here.
    pub num_parameters: usize,
    /// Multiplications and additions up to here for one input, each pair counted as one.
    pub macs: usize,
    pub(crate) node: NodeId,
}

impl Stage {
    /// The number of activations.
    pub fn units(&self) -> usize {
        self.shape.iter().product()
    }
}
