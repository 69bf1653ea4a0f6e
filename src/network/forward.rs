//! Running a network layer by layer up to a stage.

use candle_core::Tensor;

use super::ancestors;
use super::{Layer, Network, Node, NodeId};
use crate::ops::Relu;
use crate::{Error, Result};

/// A function that computes the output of a layer.
trait RunLayer: Fn(&Layer, &[&Tensor]) -> Result<Tensor> {}

impl<F: Fn(&Layer, &[&Tensor]) -> Result<Tensor>> RunLayer for F {}

impl Network {
    /// The activations at a stage, `[batch, ..]`, for a batch of inputs: images `[batch, channels, height, width]`
    /// in `[0, 1]` or waveforms `[batch, samples]` in `[-1, 1]`.
    ///
    /// Computes only the layers that the stage depends on. The result is differentiable with respect to `x`.
    ///
    /// # Errors
    /// [`Error::Unknown`] for an unknown stage, and [`Error::Shape`] for an `x` whose shape does not match [`Network::input`].
    pub fn forward_to(&self, stage: &str, x: &Tensor) -> Result<Tensor> {
        self.run_to(self.stage(stage)?.node, x)
    }

    /// The activations at several stages in one pass, in the order of `stages`.
    ///
    /// # Errors
    /// As [`Network::forward_to`].
    pub fn forward_to_each(&self, stages: &[&str], x: &Tensor) -> Result<Vec<Tensor>> {
        self.run_to_each(&self.nodes_of(stages)?, x)
    }

    /// [`Network::forward_to_each`] on the device of `x`, by operations of candle.
    pub(crate) fn composed_forward_to_each(&self, stages: &[&str], x: &Tensor) -> Result<Vec<Tensor>> {
        self.run_to_each_by(&self.nodes_of(stages)?, x, Layer::run_composed)
    }

    fn nodes_of(&self, stages: &[&str]) -> Result<Vec<NodeId>> {
        stages.iter().map(|name| Ok(self.stage(name)?.node)).collect()
    }

    /// The values of several nodes in one pass, in the order of `ids`.
    pub(super) fn run_to_each(&self, ids: &[NodeId], x: &Tensor) -> Result<Vec<Tensor>> {
        self.run_to_each_by(ids, x, Layer::run)
    }

    fn run_to_each_by(&self, ids: &[NodeId], x: &Tensor, run: impl RunLayer) -> Result<Vec<Tensor>> {
        let mut outputs: Vec<Option<Tensor>> = vec![None; ids.len()];
        let Some(last) = ids.iter().copied().max_by_key(|id| id.0) else { return Ok(vec![]) };
        let keep = |node: usize, value: &Tensor| {
            for (slot, id) in outputs.iter_mut().zip(ids) {
                if id.0 == node {
                    *slot = Some(value.clone());
                }
            }
        };
        let mut needed: Vec<usize> = ids.iter().flat_map(|&id| ancestors(self.nodes(), id)).collect();
        needed.sort_unstable();
        needed.dedup();
        self.check_input_shape(x)?;
        run_nodes_by(self.nodes(), &needed, last, x, keep, run)?;
        outputs.into_iter().map(|v| v.ok_or_else(|| Error::invalid("stage", "was not computed"))).collect()
    }

    /// The rectifier at the end of a stage, if any.
    pub(crate) fn rectifier(&self, stage: &str) -> Result<Option<Relu>> {
        Ok(self.nodes()[self.stage(stage)?.node.0].layer.relu())
    }

    /// The values before the rectifiers of several stages, in one pass; of a stage without one, its activations.
    pub(crate) fn preactivations(&self, stages: &[String], x: &Tensor) -> Result<Vec<Tensor>> {
        self.run_to_each(&self.preactivation_nodes(stages)?, x)
    }

    fn preactivation_node(&self, stage: &str) -> Result<NodeId> {
        let node = self.stage(stage)?.node;
        let last = &self.nodes()[node.0];
        Ok(if last.layer.relu().is_some() { last.inputs[0] } else { node })
    }

    /// [`Network::preactivations`] on the device of `x`, by operations of candle; on the CPU this is slower and has the same values up to
    /// rounding.
    pub(crate) fn composed_preactivations(&self, stages: &[String], x: &Tensor) -> Result<Vec<Tensor>> {
        self.run_to_each_by(&self.preactivation_nodes(stages)?, x, Layer::run_composed)
    }

    fn preactivation_nodes(&self, stages: &[String]) -> Result<Vec<NodeId>> {
        stages.iter().map(|name| self.preactivation_node(name)).collect()
    }

    pub(super) fn run_to(&self, node: NodeId, x: &Tensor) -> Result<Tensor> {
        self.check_input_shape(x)?;
        run_nodes(self.nodes(), &ancestors(self.nodes(), node), node, x, |_, _| {})
    }

    fn check_input_shape(&self, x: &Tensor) -> Result<()> {
        let shape = self.input().shape();
        if x.dims().len() != shape.len() + 1 || x.dims()[1..] != shape {
            let expected = format!("[batch, {}]", shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
            return Err(Error::shape(format!("the input of {}", self.name()), expected, x.dims()));
        }
        Ok(())
    }
}

/// Computes the value of node `last` from the `needed` nodes; calls `visit` with each.
pub(super) fn run_nodes(
    nodes: &[Node],
    needed: &[usize],
    last: NodeId,
    x: &Tensor,
    visit: impl FnMut(usize, &Tensor),
) -> Result<Tensor> {
    run_nodes_by(nodes, needed, last, x, visit, Layer::run)
}

/// [`run_nodes`] with a function that computes the output of a layer.
fn run_nodes_by(
    nodes: &[Node],
    needed: &[usize],
    last: NodeId,
    x: &Tensor,
    mut visit: impl FnMut(usize, &Tensor),
    run: impl RunLayer,
) -> Result<Tensor> {
    let mut uses = vec![0usize; last.0 + 1];
    for &index in needed {
        nodes[index].inputs.iter().for_each(|input| uses[input.0] += 1);
    }
    let mut values: Vec<Option<Tensor>> = vec![None; last.0 + 1];
    for &index in needed {
        let node = &nodes[index];
        let output = if index == 0 {
            x.clone()
        } else {
            let inputs: Vec<&Tensor> = node.inputs.iter().filter_map(|id| values[id.0].as_ref()).collect();
            run(&node.layer, &inputs)?
        };
        visit(index, &output);
        values[index] = Some(output);
        // Frees values after their last use; candle's graph keeps those that a gradient needs.
        for id in &node.inputs {
            uses[id.0] -= 1;
            if uses[id.0] == 0 && id.0 != last.0 {
                values[id.0] = None;
            }
        }
    }
    values[last.0].take().ok_or_else(|| Error::invalid("stage", "was not computed"))
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn a_stage_computes_only_its_ancestors() {
        let net = crate::zoo::efficientnet_lite0().unwrap();
        let x = Tensor::zeros((1, 3, 224, 224), DType::F32, &Device::Cpu).unwrap();
        let executed = |stage: &str| {
            let node = net.stage(stage).unwrap().node;
            let mut seen = vec![];
            run_nodes(net.nodes(), &ancestors(net.nodes(), node), node, &x, |index, _| seen.push(index)).unwrap();
            seen.len()
        };
        // Input, scaling, convolution, rectifier.
        assert_eq!(executed("stem"), 4);
        // A block without expansion: two convolutions and a rectifier.
        assert_eq!(executed("block0"), 7);
        assert_eq!(executed("logits"), net.nodes().len());
    }
}
