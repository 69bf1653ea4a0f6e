//! Conversion of ONNX nodes to the layers of a network.

use std::collections::HashMap;
use std::path::Path;

use super::budget::Budget;
use super::constant::Constant;
use super::unsupported::{ImportResult, Unsupported};
use super::value::{CHANNELS_LAST, Layout, Value};
use super::{OnnxOptions, inputs, proto, reachability};
use crate::network::{Builder, Input, Layer, Network, NodeId, WeightsSource};
use crate::{Error, Result};

/// Maximum number of values in a layer's output for one input.
pub(super) const MAX_VALUES: usize = 1 << 28;

/// Minimum opset version: the first with multidirectional broadcasting.
const MIN_OPSET: i64 = 7;

/// Operators that [`Import::node`] supports.
const OPERATORS: &str = "Add, AveragePool, BatchNormalization, Cast, Clip, Concat, Constant, Conv, Div, Dropout, Flatten, \
    Gather, Gemm, GlobalAveragePool, GlobalMaxPool, Identity, LogSoftmax, MatMul, MaxPool, Mul, Pad, \
    ReduceMean, Relu, Reshape, Shape, Softmax, Squeeze, Sub, Sum, Transpose, Unsqueeze";

/// An input or output of a node.
#[derive(Clone)]
pub(super) enum Operand {
    Value(Value),
    Constant(Constant),
}

/// A network under construction, and the values of the nodes converted so far.
pub(super) struct Import {
    pub b: Builder,
    operands: HashMap<String, Operand>,
    /// Initializers by name, read when a node uses them.
    constants: HashMap<String, proto::Tensor>,
    pub budget: Budget,
}

/// Converts a model to a network.
pub(super) fn network(
    path: &Path,
    name: String,
    model: proto::Model,
    options: OnnxOptions,
    provenance: WeightsSource,
    budget: Budget,
) -> Result<Network> {
    let invalid_file = |reason: String| Error::file(path, reason);
    let opset = model.opsets.iter().find(|o| o.domain.is_empty() || o.domain == "ai.onnx").map(|o| o.version);
    let Some(mut graph) = model.graph.filter(|graph| !graph.nodes.is_empty()) else {
        return Err(invalid_file("is not an ONNX model: it has no nodes".into()));
    };
    let opset = opset.ok_or_else(|| invalid_file("is not a complete ONNX model: it has no opset version".into()))?;
    if opset < MIN_OPSET {
        let reason = format!(
            "uses version {opset} of ONNX's operators; {MIN_OPSET} and later are supported; convert the file with onnx.version_converter"
        );
        return Err(invalid_file(reason));
    }
    let constants: HashMap<String, proto::Tensor> =
        std::mem::take(&mut graph.initializers).into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
    let inputs: Vec<&proto::ValueInfo> =
        graph.inputs.iter().filter(|info| !constants.contains_key(&info.name)).collect();
    let &[input] = inputs.as_slice() else {
        let names: Vec<&str> = inputs.iter().map(|info| info.name.as_str()).collect();
        return Err(invalid_file(format!("has {} inputs ({}); one is supported", names.len(), names.join(", "))));
    };
    let selected = reachability::selected(&options, &graph.nodes)?;
    let outputs = || graph.outputs.iter().map(|info| info.name.as_str()).collect();
    let targets: Vec<&str> =
        if selected.is_empty() { outputs() } else { selected.iter().map(|stage| stage.output.as_str()).collect() };
    let needed = reachability::needed(&graph.nodes, &targets);
    let at_input = |Unsupported(reason): Unsupported| invalid_file(format!("its input \"{}\" {reason}", input.name));
    let (sizes, channels_last) = inputs::input(input, &options).map_err(at_input)?;
    let [_, height, width] = sizes;
    let resize = options.resize.unwrap_or((height.min(width) as f64 * 256.0 / 224.0).round() as usize);
    let b = Builder::new(name, Input::Image { shape: sizes, resize });
    let mut import = Import { b, operands: HashMap::new(), constants, budget };
    let node = import.prepare(&options, sizes[0]).map_err(at_input)?;
    let mut input_value = Value::image(node, sizes);
    if channels_last {
        input_value.layout = Layout::Image { sizes, axes: CHANNELS_LAST };
    }
    import.operands.insert(input.name.clone(), Operand::Value(input_value));

    import.nodes(path, &graph.nodes, &needed, &selected)?;
    if selected.is_empty() {
        // The first output holds the logits; further outputs are auxiliary heads for training.
        for info in graph.outputs.iter().rev() {
            let error =
                |Unsupported(reason): Unsupported| invalid_file(format!("its output \"{}\" {reason}", info.name));
            import.output(&info.name).map_err(error)?;
        }
    }
    if let Some(classes) = options.classes {
        import.b.classes(classes);
    }
    import.b.weights_source(provenance);
    import.b.finish()
}

/// The largest number of stages that are chosen by their operators.
const MAX_STAGES: usize = 4096;
/// The number of values up to which a constant that a node computes is a size or an axis, of which there may be any number.
const MAX_FREE_CONSTANT: usize = 64;

/// Returns whether nodes with this operator are stages by default.
fn is_stage(op: &str) -> bool {
    matches!(op, "Relu" | "Clip") || op.ends_with("Pool") || op == "ReduceMean"
}

impl Import {
    /// Adds the needed nodes in order and names the stages.
    fn nodes(
        &mut self,
        path: &Path,
        nodes: &[proto::Node],
        needed: &[usize],
        selected: &[reachability::SelectedStage],
    ) -> Result<()> {
        let invalid_file = |reason: String| Error::file(path, reason);
        let (count, mut num_stages) = (nodes.len(), 0);
        let mut names: HashMap<&str, usize> = HashMap::new();
        nodes.iter().for_each(|node| *names.entry(&node.name).or_default() += 1);
        for &index in needed {
            let node = &nodes[index];
            let at_node = |Unsupported(reason): Unsupported| {
                let name = if node.name.is_empty() { node.outputs.first() } else { Some(&node.name) };
                let name = name.map_or("", String::as_str);
                invalid_file(format!("node {} of {count}, {} \"{name}\": {reason}", index + 1, node.op))
            };
            let output =
                node.outputs.first().filter(|name| !name.is_empty()).ok_or_else(|| at_node("has no output".into()))?;
            let is_last = || !needed.iter().any(|&other| nodes[other].inputs.contains(output));
            let operand = self.node(node, is_last).map_err(at_node)?;
            if let Operand::Value(value) = &operand {
                for stage in selected.iter().filter(|stage| stage.node == index) {
                    if value.padding != Default::default() {
                        return Err(at_node("only pads the image, and can be no stage".into()));
                    }
                    self.b.stage(&stage.name, value.node)?;
                }
                if selected.is_empty() && is_stage(&node.op) {
                    num_stages += 1;
                    if num_stages > MAX_STAGES {
                        return Err(at_node(
                            format!("is one of more than {MAX_STAGES} possible stages; name those of interest").into(),
                        ));
                    }
                    let named = !node.name.is_empty() && names[node.name.as_str()] == 1;
                    self.b.stage(if named { &node.name } else { output }, value.node).map_err(|e| at_node(e.into()))?;
                }
            } else if selected.iter().any(|stage| stage.node == index) {
                return Err(at_node("does not depend on the image, and can be no stage".into()));
            }
            self.operands.insert(output.clone(), operand);
        }
        Ok(())
    }

    /// Converts one node; `is_last` returns whether no other node uses its output.
    fn node(&mut self, node: &proto::Node, is_last: impl Fn() -> bool) -> ImportResult<Operand> {
        let known = matches!(node.domain.as_str(), "" | "ai.onnx");
        let value = match node.op.as_str() {
            _ if !known => return Err(format!("operators of the domain \"{}\" are not supported", node.domain).into()),
            "Constant" | "Shape" | "Gather" | "Cast" | "Identity" | "Dropout" | "Concat" | "Squeeze" | "Unsqueeze" => {
                return self.shape_or_value(node);
            }
            "Conv" => self.conv(node)?,
            "Pad" => self.pad(node)?,
            "MaxPool" => self.max_pool(node)?,
            "AveragePool" => self.average_pool(node)?,
            "GlobalAveragePool" => self.global_average_pool(node)?,
            "GlobalMaxPool" => self.global_max_pool(node)?,
            "ReduceMean" => self.reduce_mean(node)?,
            "Gemm" => self.gemm(node)?,
            "MatMul" => self.matmul(node)?,
            "BatchNormalization" => self.batch_norm(node)?,
            "Relu" => self.relu(node)?,
            "Clip" => self.clip(node)?,
            "Add" | "Sub" | "Mul" | "Div" | "Sum" => self.arithmetic(node)?,
            "Flatten" => self.flatten(node)?,
            "Reshape" => self.reshape(node)?,
            "Transpose" => self.transpose(node)?,
            "Softmax" | "LogSoftmax" if is_last() => {
                let value = self.value(node, 0)?;
                value.as_vector()?;
                value
            }
            "Softmax" | "LogSoftmax" => return Err("is supported at the end only".into()),
            _ => return Err(format!("the operator is not supported; {OPERATORS} are").into()),
        };
        Ok(Operand::Value(value))
    }

    /// Makes the graph output with this name the last stage.
    fn output(&mut self, name: &str) -> ImportResult<()> {
        let Some(Operand::Value(value)) = self.operands.get(name).cloned() else {
            return Err("is computed by no node".into());
        };
        let value = value.unpadded()?;
        if !self.b.is_stage(value.node) {
            self.b.stage(name, value.node)?;
        }
        Ok(())
    }

    /// Adds a layer; an error if its output exceeds [`MAX_VALUES`].
    pub fn push(&mut self, layer: Layer, inputs: &[NodeId]) -> ImportResult<NodeId> {
        let node = self.b.layer(layer, inputs)?;
        let shape = self.b.shape(node).unwrap_or_default();
        match shape.iter().try_fold(1usize, |all, &n| all.checked_mul(n)) {
            Some(count @ 1..=MAX_VALUES) => self.budget.activations(count).map(|()| node),
            _ => Err(format!("has an output of shape {shape:?}; up to {MAX_VALUES} values are supported").into()),
        }
    }

    /// The output of an image layer as a [`Value`].
    pub fn image(&self, node: NodeId) -> ImportResult<Value> {
        match self.b.shape(node) {
            Some(&[channels, height, width]) => Ok(Value::image(node, [channels, height, width])),
            _ => Err("does not output an image".into()),
        }
    }

    /// A node's input; `None` if it is omitted.
    fn find(&self, node: &proto::Node, index: usize) -> ImportResult<Option<Operand>> {
        let Some(name) = node.inputs.get(index).filter(|name| !name.is_empty()) else { return Ok(None) };
        if let Some(operand) = self.operands.get(name) {
            // Each node that uses a constant has a copy. Small ones are sizes and axes.
            if let Operand::Constant(constant) = operand
                && constant.len() > MAX_FREE_CONSTANT
            {
                self.budget.constants(constant.len(), constant.value_size())?;
            }
            return Ok(Some(operand.clone()));
        }
        match self.constants.get(name) {
            Some(tensor) => match Constant::read(tensor) {
                Ok(constant) => {
                    self.budget.constants(constant.len(), constant.value_size())?;
                    Ok(Some(Operand::Constant(constant)))
                }
                Err(Unsupported(reason)) => Err(format!("the tensor \"{name}\" {reason}").into()),
            },
            None => Err(format!("its input \"{name}\" is computed by no node before it").into()),
        }
    }

    pub fn operand(&self, node: &proto::Node, index: usize) -> ImportResult<Operand> {
        self.find(node, index)?.ok_or_else(|| format!("has no input {}", index + 1).into())
    }

    /// A node's input that depends on the image; an error if it has pending padding.
    pub fn value(&self, node: &proto::Node, index: usize) -> ImportResult<Value> {
        self.padded(node, index)?.unpadded()
    }

    /// A node's input that depends on the image, with pending padding.
    pub fn padded(&self, node: &proto::Node, index: usize) -> ImportResult<Value> {
        match self.operand(node, index)? {
            Operand::Value(value) => Ok(value),
            Operand::Constant(_) => Err(format!("its input {} does not depend on the image", index + 1).into()),
        }
    }

    /// A node's required constant input.
    pub fn constant(&self, node: &proto::Node, index: usize) -> ImportResult<Constant> {
        let missing = || Unsupported(format!("has no input {}", index + 1));
        self.optional(node, index)?.ok_or_else(missing)
    }

    /// A node's optional constant input.
    pub fn optional(&self, node: &proto::Node, index: usize) -> ImportResult<Option<Constant>> {
        match self.find(node, index)? {
            None => Ok(None),
            Some(Operand::Constant(constant)) => Ok(Some(constant)),
            Some(Operand::Value(_)) => {
                Err(format!("its input {} (\"{}\") must be a constant", index + 1, node.inputs[index]).into())
            }
        }
    }
}
