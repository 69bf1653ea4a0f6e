//! What a node of the graph computes.

use std::collections::HashSet;
use std::sync::Arc;

use candle_core::Tensor;

use crate::hearing::{Cochleagram, LogMel};
use crate::network::CandleModule;
use crate::ops::{
    AvgPool2d, ChannelAffine, Conv2d, Frozen, FrozenOp, GlobalAvgPool, L2Norm, Linear, MaxPool2d, MinMaxNorm, Relu,
    Standardize, Window,
};
use crate::{Error, Result};

/// A layer with its frozen weights.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Layer {
    /// The network's input; only the first node is one.
    Input,
    /// A scale and a shift for each channel.
    ChannelAffine(ChannelAffine),
    /// The front end of a network that hears.
    Cochleagram(Cochleagram),
    /// The front end of a network on bare samples.
    Standardize(Standardize),
    /// The front end of a network that hears as speech recognisers do.
    LogMel(LogMel),
    /// Each input stretched to the range from -1 to 1.
    MinMaxNorm(MinMaxNorm),
    /// Each input as a vector of length 1.
    L2Norm(L2Norm),
    /// A convolution.
    Conv2d(Conv2d),
    /// A fully connected layer.
    Linear(Linear),
    /// A rectifier.
    Relu(Relu),
    /// A max pool.
    MaxPool2d(MaxPool2d),
    /// An average pool.
    AvgPool2d(AvgPool2d),
    /// The mean over the whole image.
    GlobalAvgPool(GlobalAvgPool),
    /// A function of one's own, written in candle.
    Module(CandleModule),
    /// The sum of two inputs of one shape.
    Add,
    /// Inputs side by side along the channels.
    Concat,
    /// `[batch, a, b, c]` becomes `[batch, a * b * c]`.
    Flatten,
}

impl Layer {
    /// How many numbers the layer holds.
    pub fn num_parameters(&self) -> usize {
        match self {
            Self::ChannelAffine(op) => op.num_parameters(),
            Self::Conv2d(op) => op.num_parameters(),
            Self::Linear(op) => op.num_parameters(),
            _ => 0,
        }
    }

    /// Where the weights lie, of layers that can share them.
    fn weights(&self) -> Option<*const f32> {
        match self {
            Self::Conv2d(op) => Some(op.weight().as_ptr()),
            _ => None,
        }
    }

    /// How many numbers these layers hold; weights that several share count once.
    pub(in crate::network) fn num_parameters_of<'a>(layers: impl Iterator<Item = &'a Self>) -> usize {
        let mut seen = HashSet::new();
        layers.filter(|layer| layer.weights().is_none_or(|at| seen.insert(at))).map(Self::num_parameters).sum()
    }

    /// The numbers and the arrays that, with its name, tell this layer from any other.
    pub(in crate::network) fn identity(&self) -> (Vec<usize>, Vec<&[f32]>) {
        match self {
            Self::ChannelAffine(op) => op.identity(),
            Self::Cochleagram(op) => (op.config().identity(), vec![]),
            Self::Standardize(op) => (vec![op.samples], vec![]),
            Self::LogMel(op) => (op.config().identity(), vec![]),
            Self::Conv2d(op) => op.identity(),
            Self::Linear(op) => op.identity(),
            Self::Relu(op) => (vec![], vec![std::slice::from_ref(&op.max)]),
            Self::MaxPool2d(op) => op.identity(),
            Self::AvgPool2d(op) => op.identity(),
            Self::Module(op) => (op.identity(), vec![]),
            Self::Input | Self::MinMaxNorm(_) | Self::L2Norm(_) | Self::GlobalAvgPool(_) => Default::default(),
            Self::Add | Self::Concat | Self::Flatten => Default::default(),
        }
    }

    /// The window that the layer slides, if it does.
    pub(in crate::network) fn window(&self) -> Option<Window> {
        match self {
            Self::Conv2d(op) => Some(op.window()),
            Self::MaxPool2d(op) => Some(op.window()),
            Self::AvgPool2d(op) => Some(op.window()),
            Self::Module(op) => op.window(),
            _ => None,
        }
    }

    fn op(&self) -> Option<&dyn FrozenOp> {
        match self {
            Self::ChannelAffine(op) => Some(op),
            Self::Cochleagram(op) => Some(op),
            Self::Standardize(op) => Some(op),
            Self::LogMel(op) => Some(op),
            Self::MinMaxNorm(op) => Some(op),
            Self::L2Norm(op) => Some(op),
            Self::Conv2d(op) => Some(op),
            Self::Linear(op) => Some(op),
            Self::Relu(op) => Some(op),
            Self::MaxPool2d(op) => Some(op),
            Self::AvgPool2d(op) => Some(op),
            Self::GlobalAvgPool(op) => Some(op),
            Self::Module(op) => Some(op),
            Self::Input | Self::Add | Self::Concat | Self::Flatten => None,
        }
    }

    /// The operation, where the layer is one.
    pub(crate) fn shared_op(&self) -> Option<Arc<dyn FrozenOp>> {
        match self.clone() {
            Self::ChannelAffine(op) => Some(Arc::new(op)),
            Self::Cochleagram(op) => Some(Arc::new(op)),
            Self::Standardize(op) => Some(Arc::new(op)),
            Self::LogMel(op) => Some(Arc::new(op)),
            Self::MinMaxNorm(op) => Some(Arc::new(op)),
            Self::L2Norm(op) => Some(Arc::new(op)),
            Self::Conv2d(op) => Some(Arc::new(op)),
            Self::Linear(op) => Some(Arc::new(op)),
            Self::Relu(op) => Some(Arc::new(op)),
            Self::MaxPool2d(op) => Some(Arc::new(op)),
            Self::AvgPool2d(op) => Some(Arc::new(op)),
            Self::GlobalAvgPool(op) => Some(Arc::new(op)),
            Self::Module(op) => Some(Arc::new(op)),
            Self::Input | Self::Add | Self::Concat | Self::Flatten => None,
        }
    }

    /// The name in errors and listings.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Add => "add",
            Self::Concat => "concat",
            Self::Flatten => "flatten",
            _ => self.op().map_or("layer", FrozenOp::name),
        }
    }

    /// The shape of the output, without the batch, for inputs of these shapes.
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
            _ => {
                let batched: Vec<usize> = std::iter::once(1).chain(inputs[0].iter().copied()).collect();
                let op = self.op().ok_or_else(|| Error::invalid(self.name(), "is not a frozen operation"))?;
                Ok(op.output_shape(&batched)?[1..].to_vec())
            }
        }
    }

    /// The output for a batch of inputs, differentiable.
    pub(in crate::network) fn run(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        match self {
            Self::Input => Ok(inputs[0].clone()),
            Self::ChannelAffine(op) => op.apply(inputs[0]),
            Self::Cochleagram(op) => op.apply(inputs[0]),
            Self::Standardize(op) => op.apply(inputs[0]),
            Self::LogMel(op) => op.apply(inputs[0]),
            Self::MinMaxNorm(op) => op.apply(inputs[0]),
            Self::L2Norm(op) => op.apply(inputs[0]),
            Self::Conv2d(op) => op.apply(inputs[0]),
            Self::Linear(op) => op.apply(inputs[0]),
            Self::Relu(op) => op.apply(inputs[0]),
            Self::MaxPool2d(op) => op.apply(inputs[0]),
            Self::AvgPool2d(op) => op.apply(inputs[0]),
            Self::GlobalAvgPool(op) => op.apply(inputs[0]),
            Self::Module(op) => op.run(inputs[0]),
            Self::Add => Ok((inputs[0] + inputs[1])?),
            Self::Concat => Ok(Tensor::cat(inputs, 1)?),
            Self::Flatten => Ok(inputs[0].flatten_from(1)?),
        }
    }
}
