//! Nodes that change only the shape or layout of a tensor, and shape arithmetic on constants.

use super::attributes::Attributes;
use super::constant::{Constant, Values};
use super::import::{Import, Operand};
use super::proto;
use super::unsupported::ImportResult;
use super::value::{CHANNELS_FIRST, Layout, Value};
use crate::network::Layer;

/// ONNX data types to which `Cast` is supported.
const FLOAT: i64 = 1;
const INT64: i64 = 7;

impl Import {
    pub(super) fn flatten(&mut self, node: &proto::Node) -> ImportResult<Value> {
        let attributes = Attributes::new(node, &["axis"])?;
        let x = self.value(node, 0)?;
        let axis = attributes.int("axis", 1);
        match x.axis(axis)? {
            0 => self.as_vector(x),
            _ => Err(format!("axis = {axis} is not supported; 1 is").into()),
        }
    }

    pub(super) fn reshape(&mut self, node: &proto::Node) -> ImportResult<Value> {
        let attributes = Attributes::new(node, &["allowzero"])?;
        let x = self.value(node, 0)?;
        let target = self.constant(node, 1)?;
        let target = target.as_ints()?;
        if attributes.flag("allowzero") && target.contains(&0) {
            return Err(format!("allowzero = 1 with {target:?} gives an empty tensor, which is not supported").into());
        }
        let (shape, count) = (x.shape(), x.count());
        let unsupported = || format!("of {shape:?} to {target:?} is not supported; to one vector for each input is");
        let Some((&batch, rest)) = target.split_first() else { return Err(unsupported().into()) };
        // The batch must be kept: 0 (copied), 1, or -1 (inferred).
        let mut sizes = vec![];
        for (axis, &size) in rest.iter().enumerate() {
            sizes.push(match size {
                0 => Some(*shape.get(axis).ok_or_else(unsupported)?),
                -1 => None,
                n => Some(usize::try_from(n).map_err(|_| unsupported())?),
            });
        }
        let known = sizes.iter().flatten().try_fold(1usize, |all, &n| all.checked_mul(n)).filter(|&n| n > 0);
        let known = known.ok_or_else(unsupported)?;
        let inferred = sizes.iter().filter(|size| size.is_none()).count();
        let fits = match (batch, inferred) {
            (-1, 0) => known == count,
            (0 | 1, 0) => known == count,
            (0 | 1, 1) => count.is_multiple_of(known),
            _ => false,
        };
        if !fits {
            return Err(unsupported().into());
        }
        let sizes: Vec<usize> = sizes.into_iter().map(|size| size.unwrap_or(count / known)).collect();
        self.reshaped(x, sizes)
    }

    /// Reshapes a value to its own shape or to a vector.
    fn reshaped(&mut self, x: Value, sizes: Vec<usize>) -> ImportResult<Value> {
        if sizes == x.shape() {
            return Ok(x);
        }
        if sizes.is_empty() || sizes.iter().filter(|&&n| n != 1).count() > 1 {
            let reason = format!("of {:?} to {sizes:?} is not supported; to one vector for each input is", x.shape());
            return Err(reason.into());
        }
        let vector = self.as_vector(x)?;
        Ok(Value { layout: Layout::Vector { sizes }, ..vector })
    }

    /// Flattens a value to a vector.
    fn as_vector(&mut self, x: Value) -> ImportResult<Value> {
        let count = x.count();
        let node = match &x.layout {
            Layout::Vector { .. } => x.node,
            Layout::Image { sizes, axes } => {
                let in_order = *axes == CHANNELS_FIRST || sizes.iter().filter(|&&n| n != 1).count() <= 1;
                if !in_order {
                    let reason = "would flatten a channels-last image, which is not supported; transpose it to channels-first before";
                    return Err(reason.into());
                }
                self.push(Layer::Flatten, &[x.node])?
            }
        };
        Ok(Value { non_negative: x.non_negative, ..Value::vector(node, vec![count]) })
    }

    pub(super) fn transpose(&mut self, node: &proto::Node) -> ImportResult<Value> {
        let attributes = Attributes::new(node, &["perm"])?;
        let x = self.value(node, 0)?;
        let order = attributes.ints("perm").ok_or("has no perm")?;
        let shape = x.shape();
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        if order.first() != Some(&0) || sorted != (0..=shape.len() as i64).collect::<Vec<_>>() {
            return Err(format!("perm = {order:?} is not supported for {shape:?}; the batch stays first").into());
        }
        let from = |axis: usize| order[axis + 1] as usize - 1;
        let layout = match &x.layout {
            Layout::Image { sizes, axes } => {
                Layout::Image { sizes: *sizes, axes: [0, 1, 2].map(|axis| axes[from(axis)]) }
            }
            Layout::Vector { sizes } => {
                Layout::Vector { sizes: (0..sizes.len()).map(|axis| sizes[from(axis)]).collect() }
            }
        };
        Ok(Value { layout, ..x })
    }

    /// Evaluates a node that accepts both constants and values that depend on the image.
    pub(super) fn shape_or_value(&mut self, node: &proto::Node) -> ImportResult<Operand> {
        let constants =
            |import: &Self| (0..node.inputs.len()).map(|i| import.constant(node, i)).collect::<ImportResult<Vec<_>>>();
        match node.op.as_str() {
            "Constant" => {
                let known = ["value", "value_float", "value_floats", "value_int", "value_ints"];
                return Ok(Operand::Constant(Attributes::new(node, &known)?.constant()?));
            }
            "Shape" => {
                Attributes::new(node, &[])?;
                let sizes = self.value(node, 0)?.shape();
                // The batch size is 1: all sizes are those of one input.
                let sizes: Vec<i64> = std::iter::once(1).chain(sizes.into_iter().map(|n| n as i64)).collect();
                return Ok(Operand::Constant(Constant::ints(sizes)));
            }
            "Gather" => {
                let gathered = gather(node, &constants(self)?)?;
                self.budget.constants(gathered.len(), gathered.value_size())?;
                return Ok(Operand::Constant(gathered));
            }
            _ => {}
        }
        match (self.operand(node, 0)?, node.op.as_str()) {
            (Operand::Constant(_), "Concat") => {
                let parts = constants(self)?;
                self.budget.constants(parts.iter().map(Constant::len).sum(), size_of::<i64>())?;
                concat_constants(node, &parts).map(Operand::Constant)
            }
            (Operand::Constant(constant), "Cast") => {
                self.budget.constants(constant.len(), size_of::<f32>())?;
                cast(node, constant).map(Operand::Constant)
            }
            (Operand::Constant(constant), "Squeeze" | "Unsqueeze") => {
                let axes = self.axes(node)?;
                let sizes = match node.op.as_str() {
                    "Squeeze" => squeezed(&constant.sizes, axes.as_deref())?,
                    _ => unsqueezed(&constant.sizes, &axes.ok_or("has no axes")?)?,
                };
                Ok(Operand::Constant(Constant { sizes, ..constant }))
            }
            (operand @ Operand::Constant(_), _) => Ok(operand),
            (_, "Concat") => self.concat(node).map(Operand::Value),
            (_, "Squeeze" | "Unsqueeze") => self.squeeze(node).map(Operand::Value),
            (Operand::Value(value), "Cast") => {
                let to = Attributes::new(node, &["saturate", "to"])?.int("to", FLOAT);
                match to {
                    FLOAT => Ok(Operand::Value(value)),
                    other => Err(format!("to ONNX's type {other} is not supported; to float32 (1) is").into()),
                }
            }
            (Operand::Value(value), _) => Ok(Operand::Value(value)),
        }
    }

    /// The axes of a node; an input since opset 13.
    fn axes(&self, node: &proto::Node) -> ImportResult<Option<Vec<i64>>> {
        let attributes = Attributes::new(node, &["axes"])?;
        match self.optional(node, 1)? {
            Some(axes) => Ok(Some(axes.as_ints()?.to_vec())),
            None => Ok(attributes.ints("axes").map(<[i64]>::to_vec)),
        }
    }

    fn squeeze(&mut self, node: &proto::Node) -> ImportResult<Value> {
        let axes = self.axes(node)?;
        let x = self.value(node, 0)?;
        let mut sizes = x.shape();
        if node.op == "Squeeze" {
            let mut removed = match axes {
                Some(axes) => axes.iter().map(|&axis| x.axis(axis)).collect::<ImportResult<Vec<usize>>>()?,
                None => (0..sizes.len()).filter(|&axis| sizes[axis] == 1).collect(),
            };
            removed.sort_unstable();
            removed.dedup();
            if let Some(&axis) = removed.iter().find(|&&axis| sizes[axis] != 1) {
                return Err(format!("of axis {} of size {} is not supported", axis + 1, sizes[axis]).into());
            }
            for axis in removed.into_iter().rev() {
                sizes.remove(axis);
            }
        } else {
            let axes = axes.ok_or("has no axes")?;
            let rank = sizes.len() + 1 + axes.len();
            let mut new = vec![];
            for &axis in &axes {
                let at = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
                new.push(
                    usize::try_from(at)
                        .ok()
                        .filter(|at| (1..rank).contains(at))
                        .ok_or("has an axis that is out of range or before the batch")?,
                );
            }
            new.sort_unstable();
            for at in new {
                if at - 1 > sizes.len() {
                    return Err(format!("axes = {axes:?} is not supported for {:?}", x.shape()).into());
                }
                sizes.insert(at - 1, 1);
            }
        }
        self.reshaped(x, sizes)
    }
}

/// The axes as indices of `rank` dimensions, in order.
fn in_order(axes: &[i64], rank: usize) -> ImportResult<Vec<usize>> {
    let index = |&axis: &i64| {
        let axis = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
        usize::try_from(axis).ok().filter(|axis| *axis < rank).ok_or("has an axis that is out of range")
    };
    let mut found = axes.iter().map(index).collect::<std::result::Result<Vec<usize>, _>>()?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The sizes of a constant without these axes of size 1, or without all.
fn squeezed(sizes: &[usize], axes: Option<&[i64]>) -> ImportResult<Vec<usize>> {
    let removed = match axes {
        Some(axes) => in_order(axes, sizes.len())?,
        None => (0..sizes.len()).filter(|&axis| sizes[axis] == 1).collect(),
    };
    if let Some(&axis) = removed.iter().find(|&&axis| sizes[axis] != 1) {
        return Err(format!("removes axis {axis} of a constant, of size {}", sizes[axis]).into());
    }
    let kept = sizes.iter().enumerate().filter(|(axis, _)| !removed.contains(axis));
    Ok(kept.map(|(_, &size)| size).collect())
}

/// The sizes of a constant with further axes of size 1.
fn unsqueezed(sizes: &[usize], axes: &[i64]) -> ImportResult<Vec<usize>> {
    let mut sizes = sizes.to_vec();
    for axis in in_order(axes, sizes.len() + axes.len())? {
        if axis > sizes.len() {
            return Err(format!("axes = {axes:?} is not supported for {sizes:?}").into());
        }
        sizes.insert(axis, 1);
    }
    Ok(sizes)
}

fn gather(node: &proto::Node, inputs: &[Constant]) -> ImportResult<Constant> {
    Attributes::new(node, &["axis"])?.only("axis", 0)?;
    let [data, indices] = inputs else { return Err("takes two inputs".into()) };
    let (values, wanted) = (data.as_ints()?, indices.as_ints()?);
    if data.sizes.len() != 1 {
        return Err("is supported for sizes of shapes only".into());
    }
    let pick = |&index: &i64| {
        let at = if index < 0 { index.saturating_add(values.len() as i64) } else { index };
        usize::try_from(at).ok().and_then(|at| values.get(at)).copied()
    };
    let picked: Option<Vec<i64>> = wanted.iter().map(pick).collect();
    let picked = picked.ok_or_else(|| format!("index {wanted:?} is out of range for {} sizes", values.len()))?;
    Ok(Constant { sizes: indices.sizes.clone(), values: Values::Ints(picked.into()) })
}

fn concat_constants(node: &proto::Node, inputs: &[Constant]) -> ImportResult<Constant> {
    Attributes::new(node, &["axis"])?.only("axis", 0)?;
    let mut all = vec![];
    for input in inputs {
        all.extend_from_slice(input.as_ints()?);
    }
    Ok(Constant::ints(all))
}

fn cast(node: &proto::Node, constant: Constant) -> ImportResult<Constant> {
    let to = Attributes::new(node, &["saturate", "to"])?.int("to", FLOAT);
    match (&constant.values, to) {
        (Values::Ints(_), INT64) | (Values::Floats(_), FLOAT) => Ok(constant),
        (Values::Ints(values), FLOAT) => {
            let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
            Ok(Constant { sizes: constant.sizes, values: Values::Floats(values.into()) })
        }
        (_, other) => Err(format!("of a constant to ONNX's type {other} is not supported").into()),
    }
}
