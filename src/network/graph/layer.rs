//! The layers of a network's graph.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use crate::network::CandleModule;
use crate::ops::{Frozen, FrozenOp, Locality, Relu};
use crate::{Error, Result};

/// A layer with its frozen weights.
///
/// Operations with one input implement [`FrozenOp`], so a new operation is one file and needs no change here.
///
/// ```
/// use metamers::network::Layer;
/// use metamers::ops::{MaxPool2d, Relu, Window};
///
/// let pool = Layer::from(MaxPool2d::new(Window::square(2)));
/// assert_eq!(pool.name(), "max pool");
/// assert!(pool.as_op::<MaxPool2d>().is_some() && pool.as_op::<Relu>().is_none());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Layer {
    /// The network's input, always the first node.
    Input,
    /// An operation with one input.
    Op(Arc<dyn FrozenOp>),
    /// A custom function, written in candle.
    Module(CandleModule),
    /// The sum of two inputs of the same shape.
    Add,
    /// Concatenation of the inputs along the channels.
    Concat,
    /// Reshapes `[batch, a, b, c]` to `[batch, a * b * c]`.
    Flatten,
}

impl<Op: FrozenOp> From<Op> for Layer {
    fn from(op: Op) -> Self {
        Self::Op(Arc::new(op))
    }
}

impl Layer {
    /// The layer's operation, if it has this type.
    #[must_use]
    pub fn as_op<Op: FrozenOp>(&self) -> Option<&Op> {
        match self {
            Self::Op(op) => (op.as_ref() as &dyn Any).downcast_ref(),
            _ => None,
        }
    }

    /// The layer's rectifier, if it is one.
    pub(crate) fn relu(&self) -> Option<Relu> {
        self.as_op().copied()
    }

    /// The number of parameters.
    #[must_use]
    pub fn num_parameters(&self) -> usize {
        self.op().map_or(0, FrozenOp::num_parameters)
    }

    /// The number of parameters of several layers; shared weights count once.
    pub(in crate::network) fn count_parameters<'a>(layers: impl Iterator<Item = &'a Self>) -> usize {
        let mut seen = HashSet::new();
        let weights = |layer: &Self| layer.op().and_then(FrozenOp::shared_weights).map(<[f32]>::as_ptr);
        layers.filter(|layer| weights(layer).is_none_or(|at| seen.insert(at))).map(Self::num_parameters).sum()
    }

    /// The multiply-accumulate operations for one input; `output_shape` is without the batch.
    pub(in crate::network) fn macs(&self, output_shape: &[usize]) -> u64 {
        self.op().map_or(0, |op| op.macs(output_shape))
    }

    /// The settings and arrays that, with the name, distinguish this layer from any other in a fingerprint.
    pub(in crate::network) fn identity(&self) -> (Vec<usize>, Vec<&[f32]>) {
        self.op().map_or_else(Default::default, FrozenOp::fingerprint_data)
    }

    /// The locality of the layer: the inputs that one output depends on.
    pub(in crate::network) fn locality(&self) -> Locality {
        match self {
            Self::Flatten => Locality::Global,
            _ => self.op().map_or(Locality::Pointwise, FrozenOp::locality),
        }
    }

    fn op(&self) -> Option<&dyn FrozenOp> {
        match self {
            Self::Op(op) => Some(op.as_ref()),
            Self::Module(module) => Some(module),
            Self::Input | Self::Add | Self::Concat | Self::Flatten => None,
        }
    }

    /// The operation or custom module; `None` for the input, sums, concatenations and flattening.
    pub(crate) fn shared_op(&self) -> Option<Arc<dyn FrozenOp>> {
        match self {
            Self::Op(op) => Some(op.clone()),
            Self::Module(module) => Some(Arc::new(module.clone())),
            Self::Input | Self::Add | Self::Concat | Self::Flatten => None,
        }
    }

    /// The layer's name in errors and listings.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Add => "add",
            Self::Concat => "concat",
            Self::Flatten => "flatten",
            Self::Op(op) => op.name(),
            Self::Module(module) => module.name(),
        }
    }

    /// The output shape for inputs of these shapes, without the batch.
    pub(in crate::network) fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>> {
        let expected = match self {
            Self::Input => 0..=0,
            Self::Add => 2..=2,
            Self::Concat => 1..=usize::MAX,
            _ => 1..=1,
        };
        if !expected.contains(&inputs.len()) {
            return Err(Error::invalid(self.name(), format!("cannot take {} inputs", inputs.len())));
        }
        match self {
            Self::Input => Err(Error::invalid("input", "is the first node and cannot be added")),
            Self::Add if inputs[0] != inputs[1] => {
                Err(Error::shape("the second input of add", format!("{:?}", inputs[0]), inputs[1]))
            }
            Self::Add => Ok(inputs[0].to_vec()),
            Self::Concat if inputs.iter().any(|shape| shape.is_empty()) => {
                Err(Error::shape("an input of concat", "at least one dimension", &[]))
            }
            Self::Concat => {
                let mut shape = inputs[0].to_vec();
                for other in &inputs[1..] {
                    if other.len() != shape.len() || other[1..] != shape[1..] {
                        return Err(Error::shape("an input of concat", format!("[_, {:?}]", &shape[1..]), other));
                    }
                    shape[0] += other[0];
                }
                Ok(shape)
            }
            Self::Flatten => Ok(vec![inputs[0].iter().product()]),
            Self::Op(_) | Self::Module(_) => {
                let batched: Vec<usize> = std::iter::once(1).chain(inputs[0].iter().copied()).collect();
                let op = self.op().ok_or_else(|| Error::invalid(self.name(), "is not an operation"))?;
                let output = op.output_shape(&batched)?;
                match output.split_first() {
                    Some((_, shape)) => Ok(shape.to_vec()),
                    None => Err(Error::shape(format!("the output of {}", self.name()), "[batch, ..]", &output)),
                }
            }
        }
    }

    /// Computes the output as on a device other than the CPU: by operations of candle on the inputs' device. Operations without a fallback,
    /// such as front ends, and custom modules run on the CPU. Differentiable.
    pub(in crate::network) fn run_composed(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        match self {
            Self::Op(op) if op.has_fallback() => op.fallback(inputs[0]),
            Self::Op(_) | Self::Module(_) => {
                let output = self.run(&[&inputs[0].to_device(&Device::Cpu)?])?;
                Ok(output.to_device(inputs[0].device())?)
            }
            _ => self.run(inputs),
        }
    }

    /// Computes the output for a batch of inputs; differentiable.
    pub(in crate::network) fn run(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        match self {
            Self::Input => Ok(inputs[0].clone()),
            Self::Op(op) => op.apply(inputs[0]),
            // Runs the module directly, since `FrozenOp::forward` can neither return its errors nor keep candle's graph.
            Self::Module(module) => module.run(inputs[0]),
            Self::Add => Ok((inputs[0] + inputs[1])?),
            Self::Concat => Ok(Tensor::cat(inputs, 1)?),
            Self::Flatten => Ok(inputs[0].flatten_from(1)?),
        }
    }
}
