//! From the nodes of an ONNX graph to the layers of a network, one after the other.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};

use super::constant::Constant;
use super::refusal::{Outcome, Refusal};
use super::value::{CHANNELS_LAST, Layout, Value};
use super::{OnnxOptions, Preparation, proto};
use crate::network::{Builder, Input, Layer, Network, NodeId, Provenance};
use crate::ops::{ChannelAffine, Conv2d, Conv2dConfig};
use crate::{Error, Result};

/// No layer of a classifier holds more numbers for one input.
const LARGEST: usize = 1 << 28;

/// No side of an input is longer.
const LONGEST: i64 = 1 << 16;

/// ONNX's type of float32.
const FLOAT: i32 = 1;

/// Since this version of the standard, tensors of different shapes are broadcast as today.
const OLDEST: i64 = 7;

/// What [`Import::node`] takes.
const OPERATORS: &str = "Add, AveragePool, BatchNormalization, Cast, Clip, Concat, Constant, Conv, Div, Dropout, Flatten, \
    Gather, Gemm, GlobalAveragePool, GlobalMaxPool, Identity, LogSoftmax, MatMul, MaxPool, Mul, Pad, \
    ReduceMean, Relu, Reshape, Shape, Softmax, Squeeze, Sub, Sum, Transpose, Unsqueeze";

/// What a node takes in or gives.
#[derive(Clone)]
pub(super) enum Operand {
    Value(Value),
    Constant(Constant),
}

pub(super) struct Import {
    pub b: Builder,
    operands: HashMap<String, Operand>,
    /// Read when a node asks for them.
    constants: HashMap<String, proto::Tensor>,
}

/// A node that becomes a stage of this name.
struct Chosen {
    name: String,
    node: usize,
    output: String,
}

pub(super) fn network(
    path: &Path,
    name: String,
    model: proto::Model,
    options: OnnxOptions,
    provenance: Provenance,
) -> Result<Network> {
    let damaged = |reason: String| Error::file(path, reason);
    let opset = model.opsets.iter().find(|o| o.domain.is_empty() || o.domain == "ai.onnx").map(|o| o.version);
    let Some(mut graph) = model.graph.filter(|graph| !graph.nodes.is_empty()) else {
        return Err(damaged("is no ONNX model: it holds no node".into()));
    };
    let opset =
        opset.ok_or_else(|| damaged("is no whole ONNX model: it does not say which operators it uses".into()))?;
    if opset < OLDEST {
        let reason = format!(
            "uses version {opset} of ONNX's operators; {OLDEST} and later are supported, onnx.version_converter converts"
        );
        return Err(damaged(reason));
    }
    let constants: HashMap<String, proto::Tensor> =
        std::mem::take(&mut graph.constants).into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
    let inputs: Vec<&proto::Slot> = graph.inputs.iter().filter(|slot| !constants.contains_key(&slot.name)).collect();
    let &[slot] = inputs.as_slice() else {
        let names: Vec<&str> = inputs.iter().map(|slot| slot.name.as_str()).collect();
        return Err(damaged(format!("has {} inputs ({}); one is supported", names.len(), names.join(", "))));
    };
    let chosen = chosen(&options, &graph.nodes)?;
    let goals: Vec<&str> = match chosen.is_empty() {
        true => graph.outputs.iter().map(|slot| slot.name.as_str()).collect(),
        false => chosen.iter().map(|stage| stage.output.as_str()).collect(),
    };
    let needed = needed(&graph.nodes, &goals);
    let at_input = |Refusal(reason): Refusal| damaged(format!("its input \"{}\" {reason}", slot.name));
    let (sizes, last) = input(slot, &options).map_err(at_input)?;
    let [_, height, width] = sizes;
    let resize = options.resize.unwrap_or((height.min(width) as f64 * 256.0 / 224.0).round() as usize);
    let b = Builder::new(name, Input::Image { shape: sizes, resize });
    let mut import = Import { b, operands: HashMap::new(), constants };
    let node = import.prepare(&options, sizes[0]).map_err(at_input)?;
    let mut entered = Value::image(node, sizes);
    if last {
        entered.layout = Layout::Image { sizes, axes: CHANNELS_LAST };
    }
    import.operands.insert(slot.name.clone(), Operand::Value(entered));

    let count = graph.nodes.len();
    let mut names: HashMap<&str, usize> = HashMap::new();
    graph.nodes.iter().for_each(|node| *names.entry(&node.name).or_default() += 1);
    for &index in &needed {
        let node = &graph.nodes[index];
        let here = |Refusal(reason): Refusal| {
            let name = if node.name.is_empty() { node.outputs.first() } else { Some(&node.name) };
            let name = name.map_or("", String::as_str);
            damaged(format!("node {} of {count}, {} \"{name}\": {reason}", index + 1, node.op))
        };
        let output =
            node.outputs.first().filter(|name| !name.is_empty()).ok_or_else(|| here("has no output".into()))?;
        let is_last = || !needed.iter().any(|&other| graph.nodes[other].inputs.contains(output));
        let operand = import.node(node, is_last).map_err(here)?;
        if let Operand::Value(value) = &operand {
            let stages = chosen.iter().filter(|stage| stage.node == index);
            for stage in stages {
                import.b.stage(&stage.name, value.node)?;
            }
            if chosen.is_empty() && is_stage(&node.op) {
                let named = !node.name.is_empty() && names[node.name.as_str()] == 1;
                import.b.stage(if named { &node.name } else { output }, value.node).map_err(|e| here(e.into()))?;
            }
        } else if chosen.iter().any(|stage| stage.node == index) {
            return Err(here("does not depend on the picture, and can be no stage".into()));
        }
        import.operands.insert(output.clone(), operand);
    }
    if chosen.is_empty() {
        // A classifier's answer is its first output; others are heads for training.
        for slot in graph.outputs.iter().rev() {
            import
                .output(&slot.name)
                .map_err(|Refusal(reason)| damaged(format!("its output \"{}\" {reason}", slot.name)))?;
        }
    }
    if let Some(classes) = options.classes {
        import.b.classes(classes);
    }
    import.b.provenance(provenance);
    import.b.finish()
}

/// The stages that were asked for, each with its node.
fn chosen(options: &OnnxOptions, nodes: &[proto::Node]) -> Result<Vec<Chosen>> {
    let find = |(name, wanted): &(String, String)| {
        let by_name = nodes.iter().position(|node| node.name == *wanted && !wanted.is_empty());
        let by_output = || nodes.iter().position(|node| node.outputs.first() == Some(wanted));
        let output = |node: usize| nodes[node].outputs.first().cloned().unwrap_or_default();
        match by_name.or_else(by_output) {
            Some(node) => Ok(Chosen { name: name.clone(), node, output: output(node) }),
            None => {
                let known = nodes.iter().flat_map(|node| [Some(&node.name), node.outputs.first()]);
                let known = known.flatten().filter(|name| !name.is_empty()).map(String::as_str);
                Err(Error::unknown("node in the ONNX file", wanted, known))
            }
        }
    };
    options.stages.iter().map(find).collect()
}

/// The nodes that the goals depend on, in the file's order.
fn needed(nodes: &[proto::Node], goals: &[&str]) -> Vec<usize> {
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        node.outputs.iter().for_each(|output| {
            makers.entry(output).or_insert(index);
        });
    }
    let mut wanted: Vec<&str> = goals.to_vec();
    let mut needed = vec![false; nodes.len()];
    while let Some(name) = wanted.pop() {
        if let Some(&index) = makers.get(name).filter(|&&index| !needed[index]) {
            needed[index] = true;
            wanted.extend(nodes[index].inputs.iter().map(String::as_str));
        }
    }
    (0..nodes.len()).filter(|&index| needed[index]).collect()
}

fn is_stage(op: &str) -> bool {
    matches!(op, "Relu" | "Clip") || op.ends_with("Pool") || op == "ReduceMean"
}

/// Channels, height and width of the input, and whether the channels come last.
fn input(slot: &proto::Slot, options: &OnnxOptions) -> Outcome<([usize; 3], bool)> {
    let tensor = slot.kind.as_ref().and_then(|kind| kind.tensor.as_ref()).ok_or("is no tensor")?;
    if tensor.element != FLOAT {
        return Err(format!("is of ONNX's type {}; float32 (1) is supported", tensor.element).into());
    }
    let sizes = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.sizes);
    let sizes: Vec<Option<i64>> = sizes.iter().map(|size| size.value.filter(|&n| n > 0)).collect();
    let &[_, a, b, c] = sizes.as_slice() else {
        let reason = format!("has {} axes; [batch, channels, height, width] is supported", sizes.len());
        return Err(reason.into());
    };
    let colours = |n: Option<i64>| matches!(n, Some(1 | 3));
    let last = !colours(a) && colours(c);
    let (channels, stated) = if last { (c, [a, b]) } else { (a, [b, c]) };
    let channels = channels.ok_or("leaves its number of channels open")?;
    let mut size = [0, 0];
    for axis in 0..2 {
        let side = ["height", "width"][axis];
        size[axis] = match (stated[axis], options.size.map(|size| size[axis] as i64)) {
            (Some(stated), Some(other)) if stated != other => {
                return Err(format!("has a {side} of {stated} pixels, and the options say {other}").into());
            }
            (Some(stated), _) => stated,
            (None, Some(size)) => size,
            (None, None) => return Err(format!("leaves its {side} open; state it with OnnxOptions::size").into()),
        };
    }
    let all = [channels, size[0], size[1]];
    match all.iter().all(|n| (1..=LONGEST).contains(n)) && all.iter().product::<i64>() <= LARGEST as i64 {
        true => Ok((all.map(|n| n as usize), last)),
        false => Err(format!("has the size {all:?}; sides of 1 to {LONGEST} are supported").into()),
    }
}

impl Import {
    /// From the picture to what the file wants.
    fn prepare(&mut self, options: &OnnxOptions, channels: usize) -> Outcome<NodeId> {
        let input = self.b.input();
        let (scale, shift) = match &options.preparation {
            Preparation::ImageNet if channels != 3 => {
                return Err(format!(
                    "has {channels} channels, and the default normalisation is for 3; choose another with OnnxOptions, or unchanged()"
                )
                .into());
            }
            Preparation::ImageNet => {
                let [scale, shift] =
                    [[1.0 / 0.229, 1.0 / 0.224, 1.0 / 0.225], [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]];
                (scale.to_vec(), shift.to_vec())
            }
            Preparation::Affine(scale, shift) if scale.len() == 1 => {
                (vec![scale[0]; channels], vec![shift[0]; channels])
            }
            Preparation::Affine(scale, shift) if scale.len() == channels => (scale.clone(), shift.clone()),
            Preparation::Affine(scale, _) => {
                return Err(format!("has {channels} channels, and there are {} means", scale.len()).into());
            }
            Preparation::Nothing if options.reversed => (vec![1.0; channels], vec![0.0; channels]),
            Preparation::Nothing => return Ok(input),
        };
        if !options.reversed {
            return Ok(self.b.channel_affine(input, ChannelAffine::new(&scale, &shift)?)?);
        }
        let mut weight = vec![0.0; channels * channels];
        for (channel, scale) in scale.into_iter().enumerate() {
            weight[channel * channels + channels - 1 - channel] = scale;
        }
        let weight = Tensor::from_vec(weight, (channels, channels, 1, 1), &Device::Cpu)?;
        let shift = Tensor::from_vec(shift, channels, &Device::Cpu)?;
        Ok(self.b.conv2d(input, Conv2d::new(&weight, Some(&shift), Conv2dConfig::default())?)?)
    }

    fn node(&mut self, node: &proto::Node, is_last: impl Fn() -> bool) -> Outcome<Operand> {
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

    /// The output of this name, as the last stage.
    fn output(&mut self, name: &str) -> Outcome<()> {
        let Some(Operand::Value(value)) = self.operands.get(name).cloned() else {
            return Err("is computed by no node".into());
        };
        let value = value.unpadded()?;
        if !self.b.is_stage(value.node) {
            self.b.stage(name, value.node)?;
        }
        Ok(())
    }

    /// Adds a layer; the sizes that come out stay such that numbers can be counted.
    pub fn push(&mut self, layer: Layer, inputs: &[NodeId]) -> Outcome<NodeId> {
        let node = self.b.layer(layer, inputs)?;
        let shape = self.b.shape(node).unwrap_or_default();
        match shape.iter().try_fold(1usize, |all, &n| all.checked_mul(n)) {
            Some(1..=LARGEST) => Ok(node),
            _ => Err(format!("gives {shape:?}; up to {LARGEST} numbers are supported").into()),
        }
    }

    /// An image layer's output.
    pub fn image(&self, node: NodeId) -> Outcome<Value> {
        match self.b.shape(node) {
            Some(&[channels, height, width]) => Ok(Value::image(node, [channels, height, width])),
            _ => Err("gives no image".into()),
        }
    }

    fn find(&self, node: &proto::Node, index: usize) -> Outcome<Option<Operand>> {
        let Some(name) = node.inputs.get(index).filter(|name| !name.is_empty()) else { return Ok(None) };
        if let Some(operand) = self.operands.get(name) {
            return Ok(Some(operand.clone()));
        }
        match self.constants.get(name) {
            Some(tensor) => match Constant::read(tensor) {
                Ok(constant) => Ok(Some(Operand::Constant(constant))),
                Err(Refusal(reason)) => Err(format!("the tensor \"{name}\" {reason}").into()),
            },
            None => Err(format!("its input \"{name}\" is computed by no node before it").into()),
        }
    }

    pub fn operand(&self, node: &proto::Node, index: usize) -> Outcome<Operand> {
        self.find(node, index)?.ok_or_else(|| format!("has no input {}", index + 1).into())
    }

    /// An input that depends on the picture, with no zeros around it.
    pub fn value(&self, node: &proto::Node, index: usize) -> Outcome<Value> {
        self.padded(node, index)?.unpadded()
    }

    pub fn padded(&self, node: &proto::Node, index: usize) -> Outcome<Value> {
        match self.operand(node, index)? {
            Operand::Value(value) => Ok(value),
            Operand::Constant(_) => Err(format!("its input {} does not depend on the picture", index + 1).into()),
        }
    }

    pub fn constant(&self, node: &proto::Node, index: usize) -> Outcome<Constant> {
        let missing = || Refusal(format!("has no input {}", index + 1));
        self.optional(node, index)?.ok_or_else(missing)
    }

    pub fn optional(&self, node: &proto::Node, index: usize) -> Outcome<Option<Constant>> {
        match self.find(node, index)? {
            None => Ok(None),
            Some(Operand::Constant(constant)) => Ok(Some(constant)),
            Some(Operand::Value(_)) => {
                Err(format!("its input {} (\"{}\") must be a constant", index + 1, node.inputs[index]).into())
            }
        }
    }
}
