//! Building a network, layer by layer.

use std::sync::Arc;

use super::{Layer, ReceptiveField, Stage};
use crate::fs::sha256;
use crate::network::weights::{NOT_STATED, fingerprint};
use crate::network::{Inner, Input, Network, Node, WeightsSource};
use crate::ops::{AvgPool2d, ChannelAffine, Conv2d, GlobalAvgPool, Linear, Locality, MaxPool2d, Relu};
use crate::{Error, Result};

/// Maximum number of values of a node for one input.
const MAX_VALUES: usize = 1 << 31;

/// A node of a [`Builder`]'s graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeId(pub(crate) usize);

/// Builds a [`Network`] layer by layer, and checks the shapes of each layer as it is added.
///
/// ```
/// use metamers::candle::{Device, Tensor};
/// use metamers::network::{Builder, Input};
/// use metamers::ops::{Relu, Conv2d, Conv2dConfig};
///
/// let weight = Tensor::randn(0f32, 1.0, (8, 3, 3, 3), &Device::Cpu)?;
/// let mut b = Builder::new("tiny", Input::Image { shape: [3, 32, 32], resize: 32 });
/// let x = b.conv2d(b.input(), Conv2d::new(&weight, None, Conv2dConfig::default())?)?;
/// let x = b.relu(x, Relu::UNBOUNDED)?;
/// b.stage("conv1", x)?;
/// let net = b.finish()?;
/// assert_eq!(net.stage("conv1")?.shape, [8, 30, 30]);
/// # Ok::<(), metamers::Error>(())
/// ```
pub struct Builder {
    pub(in crate::network) name: String,
    pub(in crate::network) input: Input,
    pub(in crate::network) nodes: Vec<Node>,
    pub(in crate::network) stages: Vec<Stage>,
    classes: Option<Arc<[String]>>,
    pub(in crate::network) provenance: WeightsSource,
}

impl Builder {
    /// A builder for a network with this name and input.
    #[must_use]
    pub fn new(name: impl Into<String>, input: Input) -> Self {
        let shape = input.shape();
        let first = Node { layer: Layer::Input, inputs: vec![], shape, field: ReceptiveField::PIXEL };
        let provenance = WeightsSource { source: NOT_STATED.into(), weights_sha256: String::new() };
        Self { name: name.into(), input, nodes: vec![first], stages: vec![], classes: None, provenance }
    }

    /// The input node.
    #[must_use]
    pub fn input(&self) -> NodeId {
        NodeId(0)
    }

    /// The shape of a node's output, without the batch; `None` if this builder has no such node.
    #[must_use]
    pub fn shape(&self, node: NodeId) -> Option<&[usize]> {
        self.nodes.get(node.0).map(|node| node.shape.as_slice())
    }

    /// Adds a layer of any kind.
    ///
    /// # Errors
    /// When the shapes of `inputs` do not match the layer, and when the network's input or the output is empty or exceeds 2^31 values.
    pub fn layer(&mut self, layer: impl Into<Layer>, inputs: &[NodeId]) -> Result<NodeId> {
        self.check_input()?;
        let layer = layer.into();
        let mut shapes = Vec::with_capacity(inputs.len());
        for id in inputs {
            let node = self.nodes.get(id.0);
            shapes.push(node.ok_or_else(|| Error::invalid("node", "comes from another builder"))?.shape.as_slice());
        }
        let shape = layer.output_shape(&shapes)?;
        check_size(|| format!("the output of {}", layer.name()), &shape)?;
        let fields = inputs.iter().map(|id| self.nodes[id.0].field);
        let field = fields.reduce(ReceptiveField::union).unwrap_or(ReceptiveField::PIXEL);
        let field = match layer.locality() {
            Locality::Pointwise => field,
            Locality::Window(window) => field.through(window),
            Locality::Global => ReceptiveField::WHOLE_INPUT,
            // Behind a front end, receptive fields are counted in its cells.
            Locality::FrontEnd { .. } => ReceptiveField::PIXEL,
        };
        self.nodes.push(Node { layer, inputs: inputs.to_vec(), shape, field });
        Ok(NodeId(self.nodes.len() - 1))
    }

    /// Adds a per-channel scale and shift.
    ///
    /// # Errors
    /// As [`Builder::layer`].
    pub fn channel_affine(&mut self, x: NodeId, op: ChannelAffine) -> Result<NodeId> {
        self.layer(op, &[x])
    }

    /// Adds a convolution.
    ///
    /// # Errors
    /// As [`Builder::layer`].
    pub fn conv2d(&mut self, x: NodeId, op: Conv2d) -> Result<NodeId> {
        self.layer(op, &[x])
    }

    /// Adds a fully connected layer.
    ///
    /// # Errors
    /// As [`Builder::layer`].
    pub fn linear(&mut self, x: NodeId, op: Linear) -> Result<NodeId> {
        self.layer(op, &[x])
    }

    /// Adds a rectifier.
    ///
    /// # Errors
    /// As [`Builder::layer`].
    pub fn relu(&mut self, x: NodeId, op: Relu) -> Result<NodeId> {
        self.layer(op, &[x])
    }

    /// Adds max pooling.
    ///
    /// # Errors
    /// As [`Builder::layer`].
    pub fn max_pool2d(&mut self, x: NodeId, op: MaxPool2d) -> Result<NodeId> {
        self.layer(op, &[x])
    }

    /// Adds average pooling.
    ///
    /// # Errors
    /// As [`Builder::layer`].
    pub fn avg_pool2d(&mut self, x: NodeId, op: AvgPool2d) -> Result<NodeId> {
        self.layer(op, &[x])
    }

    /// Adds global average pooling: the mean over the whole image.
    ///
    /// # Errors
    /// As [`Builder::layer`].
    pub fn global_avg_pool(&mut self, x: NodeId) -> Result<NodeId> {
        self.layer(GlobalAvgPool, &[x])
    }

    /// Adds the sum of two nodes of the same shape.
    ///
    /// # Errors
    /// As [`Builder::layer`].
    pub fn add(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.layer(Layer::Add, &[a, b])
    }

    /// Checks the size of the input, which [`Builder::new`] cannot report.
    pub(in crate::network) fn check_input(&self) -> Result<()> {
        check_size(|| format!("the input of {}", self.name), &self.input.shape())
    }

    /// Returns whether a node is a stage.
    pub(in crate::network) fn is_stage(&self, node: NodeId) -> bool {
        self.stages.iter().any(|stage| stage.node == node)
    }

    /// Makes a node a stage with this name. Name the stages in order from the input to the output.
    ///
    /// # Errors
    /// When the name is taken, and when the network's input is empty or exceeds 2^31 values.
    pub fn stage(&mut self, name: impl Into<String>, node: NodeId) -> Result<()> {
        self.check_input()?;
        let name = name.into();
        if self.stages.iter().any(|s| s.name == name) {
            return Err(Error::invalid("stage", format!("the name \"{name}\" is taken")));
        }
        let Some(at) = self.nodes.get(node.0) else {
            return Err(Error::invalid("stage", "the node comes from another builder"));
        };
        let needed = ancestors(&self.nodes, node);
        let parameters = Layer::count_parameters(needed.iter().map(|&index| &self.nodes[index].layer));
        let macs = needed.iter().map(|&index| self.nodes[index].layer.macs(&self.nodes[index].shape)).sum();
        let (shape, receptive_field) = (at.shape.clone(), at.field);
        self.stages.push(Stage { name, shape, receptive_field, num_parameters: parameters, macs, node });
        Ok(())
    }

    /// Sets the class names, one for each unit of the last stage.
    pub fn classes<T: Into<String>>(&mut self, names: impl IntoIterator<Item = T>) {
        self.classes = Some(names.into_iter().map(Into::into).collect());
    }

    /// Sets the source of the weights.
    ///
    /// If `weights_sha256` is not a valid SHA-256, [`Builder::finish`] replaces it with the SHA-256 of the layers and their values.
    pub fn weights_source(&mut self, provenance: WeightsSource) {
        self.provenance = provenance;
    }

    /// Builds the network.
    ///
    /// # Errors
    /// When no stage was named, or the last stage's number of units differs from the number of classes.
    pub fn finish(self) -> Result<Network> {
        if self.stages.is_empty() {
            return Err(Error::invalid("network", "has no stage; name one with Builder::stage"));
        }
        if let Some(classes) = &self.classes {
            check_classes(&self.stages, classes)?;
        }
        let Self { name, input, nodes, stages, classes, mut provenance } = self;
        if !sha256::is_valid(&provenance.weights_sha256) {
            provenance.weights_sha256 = fingerprint::network(&input, &nodes, &stages);
        }
        Ok(Network(Arc::new(Inner { name, input, nodes, stages, classes, provenance })))
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Builder({}, {} layers, {} stages)", self.name, self.nodes.len() - 1, self.stages.len())
    }
}

/// Checks that a shape has from 1 to [`MAX_VALUES`] values, so that no size computed from it overflows.
fn check_size(what: impl FnOnce() -> String, shape: &[usize]) -> Result<()> {
    match shape.iter().try_fold(1usize, |all, &side| all.checked_mul(side)) {
        Some(1..=MAX_VALUES) => Ok(()),
        _ => Err(Error::shape(what(), format!("at least one and up to {MAX_VALUES} values"), shape)),
    }
}

/// Checks that the last stage has one unit for each class.
pub(in crate::network) fn check_classes(stages: &[Stage], classes: &[String]) -> Result<()> {
    match stages.last() {
        Some(last) if last.units() != classes.len() => {
            let reason = format!("stage \"{}\" has {} units for {} classes", last.name, last.units(), classes.len());
            Err(Error::invalid("classes", reason))
        }
        _ => Ok(()),
    }
}

/// The nodes that `last` depends on, including `last`, in topological order.
pub(crate) fn ancestors(nodes: &[Node], last: NodeId) -> Vec<usize> {
    let mut needed = vec![false; last.0 + 1];
    needed[last.0] = true;
    for index in (0..=last.0).rev() {
        if needed[index] {
            nodes[index].inputs.iter().for_each(|input| needed[input.0] = true);
        }
    }
    (0..=last.0).filter(|&index| needed[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_huge_inputs_are_errors_without_overflow() {
        let huge = usize::MAX;
        for shape in [[3, 0, 5], [3, 1 << 20, 1 << 20], [3, huge, 2], [huge, huge, huge]] {
            let input = Input::Image { shape, resize: 1 };
            let mut b = Builder::new("sizes", input.clone());
            let message = b.layer(Relu::UNBOUNDED, &[b.input()]).unwrap_err().to_string();
            assert!(message.starts_with("the input of sizes has shape"), "{message}");
            assert!(b.stage("input", b.input()).is_err(), "{shape:?}");
            assert!(Network::from_module("sizes", input, |x, _| Ok(x.clone())).is_err(), "{shape:?}");
        }
    }
}
