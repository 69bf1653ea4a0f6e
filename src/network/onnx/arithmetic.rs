//! Element-wise nodes, sums and concatenations.

use super::attributes::Attributes;
use super::constant::Constant;
use super::import::{Import, Operand};
use super::proto;
use super::unsupported::ImportResult;
use super::value::{Layout, Value};
use crate::network::Layer;
use crate::ops::{ChannelAffine, Relu};

impl Import {
    pub(super) fn relu(&mut self, node: &proto::Node) -> ImportResult<Value> {
        Attributes::new(node, &[])?;
        self.rectify(node, Relu::UNBOUNDED)
    }

    pub(super) fn clip(&mut self, node: &proto::Node) -> ImportResult<Value> {
        let attributes = Attributes::new(node, &["max", "min"])?;
        // Since opset 11 the limits are inputs.
        let limit = |index: usize, name: &str, default: f32| match self.optional(node, index)? {
            Some(limit) => limit.single(),
            None => Ok(attributes.float(name, default)),
        };
        let (low, high) = (limit(1, "min", f32::NEG_INFINITY)?, limit(2, "max", f32::INFINITY)?);
        if low != 0.0 || high.is_nan() || high <= 0.0 {
            return Err(format!("from {low} to {high} is not supported; from 0 to a positive maximum is").into());
        }
        // Exporters write the largest float for an unbounded clip.
        let ceiling = if high == f32::MAX { f32::INFINITY } else { high };
        self.rectify(node, Relu { max: ceiling })
    }

    fn rectify(&mut self, node: &proto::Node, clip: Relu) -> ImportResult<Value> {
        let x = self.value(node, 0)?;
        let y = self.push(Layer::from(clip), &[x.node])?;
        Ok(Value { node: y, non_negative: true, ..x })
    }

    pub(super) fn batch_norm(&mut self, node: &proto::Node) -> ImportResult<Value> {
        let attributes = Attributes::new(node, &["epsilon", "momentum", "spatial", "training_mode"])?;
        attributes.only("spatial", 1)?;
        attributes.only("training_mode", 0)?;
        let x = self.value(node, 0)?;
        let channels = match &x.layout {
            Layout::Image { .. } => x.as_image()?[0],
            Layout::Vector { sizes } => {
                sizes.first().copied().filter(|&n| n == x.count()).ok_or("must have its channels as the second axis")?
            }
        };
        let [weight, bias, mean, variance] = [1, 2, 3, 4].map(|index| self.constant(node, index));
        let (weight, bias, mean, variance) = (weight?, bias?, mean?, variance?);
        let parts = [weight.as_floats()?, bias.as_floats()?, mean.as_floats()?, variance.as_floats()?];
        if let Some(other) = parts.iter().find(|part| part.len() != channels) {
            return Err(format!("has {} values for {channels} channels", other.len()).into());
        }
        let epsilon = f64::from(attributes.float("epsilon", 1e-5));
        if parts[3].iter().any(|&v| f64::from(v) + epsilon <= 0.0) {
            return Err("holds negative variances".into());
        }
        let factor = |c: usize| f64::from(parts[0][c]) / (f64::from(parts[3][c]) + epsilon).sqrt();
        let scale: Vec<f32> = (0..channels).map(|c| factor(c) as f32).collect();
        let shift = |c: usize| (f64::from(parts[1][c]) - f64::from(parts[2][c]) * factor(c)) as f32;
        self.affine(x, &scale, &(0..channels).map(shift).collect::<Vec<f32>>())
    }

    pub(super) fn arithmetic(&mut self, node: &proto::Node) -> ImportResult<Value> {
        Attributes::new(node, &[])?;
        if node.inputs.len() < 2 {
            return self.value(node, 0);
        }
        let mut left = self.operand(node, 0)?;
        for index in 1..node.inputs.len() {
            let y = match (left, self.operand(node, index)?, node.op.as_str()) {
                (Operand::Value(a), Operand::Value(b), "Add" | "Sum") => self.sum(a, b)?,
                (Operand::Value(_), Operand::Value(_), op) => {
                    return Err(format!(
                        "{op} of two tensors that depend on the image is not supported; with a constant it is"
                    )
                    .into());
                }
                (Operand::Value(x), Operand::Constant(c), op) => {
                    let c = self.per_channel(&x, &c)?;
                    match op {
                        "Add" | "Sum" => self.affine(x, &vec![1.0; c.len()], &c)?,
                        "Sub" => self.affine(x, &vec![1.0; c.len()], &c.iter().map(|v| -v).collect::<Vec<_>>())?,
                        "Mul" => self.affine(x, &c, &vec![0.0; c.len()])?,
                        _ => self.affine(x, &c.iter().map(|v| 1.0 / v).collect::<Vec<_>>(), &vec![0.0; c.len()])?,
                    }
                }
                (Operand::Constant(c), Operand::Value(x), op) => {
                    let c = self.per_channel(&x, &c)?;
                    match op {
                        "Add" | "Sum" => self.affine(x, &vec![1.0; c.len()], &c)?,
                        "Sub" => self.affine(x, &vec![-1.0; c.len()], &c)?,
                        "Mul" => self.affine(x, &c, &vec![0.0; c.len()])?,
                        _ => {
                            return Err(
                                "divides a constant by a tensor that depends on the image, which is not supported"
                                    .into(),
                            );
                        }
                    }
                }
                (Operand::Constant(_), Operand::Constant(_), _) => {
                    return Err("of two constants is not supported; export with constant folding".into());
                }
            };
            left = Operand::Value(y);
        }
        match left {
            Operand::Value(value) => Ok(value),
            Operand::Constant(_) => Err("does not depend on the image".into()),
        }
    }

    /// A constant as one value per channel; the layer holds it and a second array of the same length.
    fn per_channel(&self, x: &Value, constant: &Constant) -> ImportResult<Vec<f32>> {
        self.budget.constants(channels(x), 2 * size_of::<f32>())?;
        per_channel(x, constant)
    }

    fn sum(&mut self, a: Value, b: Value) -> ImportResult<Value> {
        let (a, b) = (a.unpadded()?, b.unpadded()?);
        if a.layout != b.layout {
            return Err(
                format!("must have two inputs of the same shape, got {:?} and {:?}", a.shape(), b.shape()).into()
            );
        }
        let y = self.push(Layer::Add, &[a.node, b.node])?;
        Ok(Value { node: y, non_negative: a.non_negative && b.non_negative, ..a })
    }

    fn affine(&mut self, x: Value, scale: &[f32], shift: &[f32]) -> ImportResult<Value> {
        if scale.iter().chain(shift).any(|v| !v.is_finite()) {
            return Err("has factors that are not finite".into());
        }
        let x = x.unpadded()?;
        let y = self.push(Layer::from(ChannelAffine::new(scale, shift)?), &[x.node])?;
        Ok(Value { node: y, non_negative: false, ..x })
    }

    pub(super) fn concat(&mut self, node: &proto::Node) -> ImportResult<Value> {
        let attributes = Attributes::new(node, &["axis"])?;
        let axis = attributes.int("axis", 1);
        let mut parts = vec![];
        for index in 0..node.inputs.len() {
            parts.push(self.value(node, index)?);
        }
        let first = parts.first().ok_or("has no input")?.clone();
        let at = first.axis(axis)?;
        let same_order = |part: &Value| match (&part.layout, &first.layout) {
            (Layout::Image { axes, .. }, Layout::Image { axes: order, .. }) => axes == order && order[at] == 0,
            // Vectors are concatenated along the only axis whose size is not 1.
            (Layout::Vector { sizes }, Layout::Vector { sizes: other }) => {
                sizes.len() == other.len() && sizes[at] == part.count() && other[at] == first.count()
            }
            _ => false,
        };
        if !parts.iter().all(same_order) {
            let shapes: Vec<Vec<usize>> = parts.iter().map(Value::shape).collect();
            return Err(format!("of {shapes:?} along axis {axis} is not supported; along the channels it is").into());
        }
        let nodes: Vec<_> = parts.iter().map(|part| part.node).collect();
        let y = self.push(Layer::Concat, &nodes)?;
        let channels: usize = parts.iter().map(|part| part.shape()[at]).sum();
        let layout = match first.layout {
            Layout::Image { sizes: [_, height, width], axes } => {
                Layout::Image { sizes: [channels, height, width], axes }
            }
            Layout::Vector { mut sizes } => {
                sizes[at] = channels;
                Layout::Vector { sizes }
            }
        };
        Ok(Value { non_negative: parts.iter().all(|part| part.non_negative), ..Value::new(y, layout) })
    }
}

/// The number of channels of an image, or of values of a vector.
fn channels(x: &Value) -> usize {
    match &x.layout {
        Layout::Image { sizes, .. } => sizes[0],
        Layout::Vector { .. } => x.count(),
    }
}

/// Broadcasts a constant to one value per channel of `x`; axes are aligned from the end.
fn per_channel(x: &Value, constant: &Constant) -> ImportResult<Vec<f32>> {
    let values = constant.as_floats()?;
    let shape = x.shape();
    let channels = channels(x);
    let unsupported = || {
        format!(
            "a constant of shape {:?} for {shape:?} is not supported; a scalar or one value for each channel is",
            constant.sizes
        )
    };
    if constant.sizes.len() > shape.len() + 1 {
        return Err(unsupported().into());
    }
    if values.len() == 1 {
        return Ok(vec![values[0]; channels]);
    }
    // The constant's only axis with a size other than 1, as an axis of `x`; the batch is -1.
    let shift = shape.len() as isize - constant.sizes.len() as isize;
    let mut wide = (0..constant.sizes.len()).filter(|&axis| constant.sizes[axis] != 1);
    let (Some(axis), None) = (wide.next(), wide.next()) else { return Err(unsupported().into()) };
    let at = usize::try_from(axis as isize + shift).map_err(|_| unsupported())?;
    let is_channels = match &x.layout {
        Layout::Image { axes, .. } => axes[at] == 0,
        Layout::Vector { .. } => shape[at] == channels,
    };
    match is_channels && values.len() == channels {
        true => Ok(values.to_vec()),
        false => Err(unsupported().into()),
    }
}
