//! Running a network layer by layer, to a stage and no further.

use candle_core::Tensor;

use super::builder::ancestors;
use super::{Layer, Network, NodeId};
use crate::ops::Clip;
use crate::{Error, Result};

/// What a stage rectifies, before it does.
pub(crate) struct BeforeActivation {
    /// The values before the rectifier; the activations themselves when the stage has none.
    pub values: Tensor,
    /// The rectifier.
    pub clip: Option<Clip>,
}

impl Network {
    /// The activations at a stage, `[batch, ..]`, for a batch of inputs: images `[batch, channels, height, width]`
    /// in `[0, 1]` or waveforms `[batch, samples]` in `[-1, 1]`.
    ///
    /// Computes only what the stage depends on. The result can be differentiated with respect to `x`.
    ///
    /// # Errors
    /// An unknown stage, or an `x` of another shape than [`Network::input`].
    pub fn forward_to(&self, stage: &str, x: &Tensor) -> Result<Tensor> {
        self.run_to(self.stage(stage)?.node, x)
    }

    /// The activations at several stages in one pass, in the order of `stages`.
    ///
    /// # Errors
    /// As [`Network::forward_to`].
    pub fn forward_to_each(&self, stages: &[&str], x: &Tensor) -> Result<Vec<Tensor>> {
        let ids = stages.iter().map(|name| Ok(self.stage(name)?.node)).collect::<Result<Vec<_>>>()?;
        let mut wanted: Vec<Option<Tensor>> = vec![None; ids.len()];
        let Some(last) = ids.iter().copied().max_by_key(|id| id.0) else { return Ok(vec![]) };
        let keep = |node: usize, value: &Tensor| {
            for (slot, id) in wanted.iter_mut().zip(&ids) {
                if id.0 == node {
                    *slot = Some(value.clone());
                }
            }
        };
        let mut needed: Vec<usize> = ids.iter().flat_map(|&id| ancestors(self.nodes(), id)).collect();
        needed.sort_unstable();
        needed.dedup();
        self.run_nodes(&needed, last, x, keep)?;
        wanted.into_iter().map(|v| v.ok_or_else(|| Error::invalid("stage", "was not computed"))).collect()
    }

    pub(crate) fn before_activation(&self, stage: &str, x: &Tensor) -> Result<BeforeActivation> {
        let node = self.stage(stage)?.node;
        let last = &self.nodes()[node.0];
        match last.layer {
            Layer::Clip(clip) => Ok(BeforeActivation { values: self.run_to(last.inputs[0], x)?, clip: Some(clip) }),
            _ => Ok(BeforeActivation { values: self.run_to(node, x)?, clip: None }),
        }
    }

    pub(super) fn run_to(&self, node: NodeId, x: &Tensor) -> Result<Tensor> {
        self.run_nodes(&ancestors(self.nodes(), node), node, x, |_, _| {})
    }

    fn run_nodes(
        &self,
        needed: &[usize],
        last: NodeId,
        x: &Tensor,
        mut see: impl FnMut(usize, &Tensor),
    ) -> Result<Tensor> {
        let shape = self.input().shape();
        if x.dims().len() != shape.len() + 1 || x.dims()[1..] != shape {
            let expected = format!("[batch, {}]", shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
            return Err(Error::shape(format!("the input of {}", self.name()), expected, x.dims()));
        }
        let mut uses = vec![0usize; last.0 + 1];
        for &index in needed {
            self.nodes()[index].inputs.iter().for_each(|input| uses[input.0] += 1);
        }
        let mut values: Vec<Option<Tensor>> = vec![None; last.0 + 1];
        for &index in needed {
            let node = &self.nodes()[index];
            let output = if index == 0 {
                x.clone()
            } else {
                let inputs: Vec<&Tensor> = node.inputs.iter().filter_map(|id| values[id.0].as_ref()).collect();
                node.layer.run(&inputs)?
            };
            see(index, &output);
            values[index] = Some(output);
            // What nobody needs any more is let go at once; candle's graph keeps what a gradient needs.
            for id in &node.inputs {
                uses[id.0] -= 1;
                if uses[id.0] == 0 && id.0 != last.0 {
                    values[id.0] = None;
                }
            }
        }
        values[last.0].take().ok_or_else(|| Error::invalid("stage", "was not computed"))
    }
}
