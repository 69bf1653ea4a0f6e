//! The layers of a network's graph, generated from one table of operations.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;

use candle_core::Tensor;

use crate::network::CandleModule;
use crate::ops::{
    AvgPool2d, ChannelAffine, Conv2d, Frozen, FrozenOp, GlobalAvgPool, L2Norm, Linear, Locality, MaxPool2d, MinMaxNorm,
    Relu, Standardize,
};
use crate::{Error, Result};

/// Generates [`Layer`] from one line an operation; all else that a network needs to know comes from [`FrozenOp`].
macro_rules! layers {
    ($($(#[$doc:meta])* $variant:ident($op:ty),)*) => {
        /// A layer with its frozen weights.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum Layer {
            /// The network's input, always the first node.
            Input,
            $($(#[$doc])* $variant($op),)*
            /// Any other operation, such as a front end of [`hearing`](crate::hearing); see [`Layer::from_op`].
            Op(Arc<dyn FrozenOp>),
            /// A custom function, written in candle.
            Module(CandleModule),
            /// The sum of two inputs of the same shape.
            Add,
            /// The concatenation of the inputs along the channels.
            Concat,
            /// `[batch, a, b, c]` becomes `[batch, a * b * c]`.
            Flatten,
        }

        impl Layer {
            fn op(&self) -> Option<&dyn FrozenOp> {
                match self {
                    $(Self::$variant(op) => Some(op),)*
                    Self::Op(op) => Some(&**op),
                    Self::Module(op) => Some(op),
                    Self::Input | Self::Add | Self::Concat | Self::Flatten => None,
                }
            }

            /// The operation, if the layer is one.
            pub(crate) fn shared_op(&self) -> Option<Arc<dyn FrozenOp>> {
                match self {
                    $(Self::$variant(op) => Some(Arc::new(op.clone())),)*
                    Self::Op(op) => Some(op.clone()),
                    Self::Module(op) => Some(Arc::new(op.clone())),
                    Self::Input | Self::Add | Self::Concat | Self::Flatten => None,
                }
            }
        }
    };
}

layers! {
    /// A scale and a shift for each channel.
    ChannelAffine(ChannelAffine),
    /// Standardization of each frame: the front end of a network on raw samples.
    Standardize(Standardize),
    /// Min-max normalization of each input to the range from -1 to 1.
    MinMaxNorm(MinMaxNorm),
    /// L2 normalization of each input.
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
}

impl Layer {
    /// A layer that applies an operation for which there is no variant.
    #[must_use]
    pub fn from_op(op: impl FrozenOp) -> Self {
        Self::Op(Arc::new(op))
    }

    /// The layer's operation, if it is of this type.
    #[must_use]
    pub fn as_op<T: FrozenOp>(&self) -> Option<&T> {
        let op: &dyn Any = self.op()?;
        op.downcast_ref()
    }

    /// The number of parameters.
    #[must_use]
    pub fn num_parameters(&self) -> usize {
        self.op().map_or(0, FrozenOp::num_parameters)
    }

    /// The number of parameters of several layers; weights that layers share count once.
    pub(in crate::network) fn count_parameters<'a>(layers: impl Iterator<Item = &'a Self>) -> usize {
        let mut seen = HashSet::new();
        let weights = |layer: &Self| Some(layer.op()?.shared_weights()?.as_ptr());
        layers.filter(|layer| weights(layer).is_none_or(|at| seen.insert(at))).map(Self::num_parameters).sum()
    }

    /// The multiply-accumulate operations for one input; `output_shape` is without the batch.
    pub(in crate::network) fn macs(&self, output_shape: &[usize]) -> usize {
        self.op().map_or(0, |op| op.macs(output_shape))
    }

    /// The settings and arrays that, with the name, enter the network's fingerprint.
    pub(in crate::network) fn identity(&self) -> (Vec<usize>, Vec<&[f32]>) {
        self.op().map(FrozenOp::identity).unwrap_or_default()
    }

    /// The inputs that one output depends on.
    pub(in crate::network) fn locality(&self) -> Locality {
        match self {
            Self::Flatten => Locality::Global,
            _ => self.op().map_or(Locality::Pointwise, FrozenOp::locality),
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
            Self::Add => Ok((inputs[0] + inputs[1])?),
            Self::Concat => Ok(Tensor::cat(inputs, 1)?),
            Self::Flatten => Ok(inputs[0].flatten_from(1)?),
            // A module reports its errors, which `FrozenOp::forward` cannot, and keeps candle's graph.
            Self::Module(module) => module.run(inputs[0]),
            _ => {
                let op = self.shared_op().ok_or_else(|| Error::invalid(self.name(), "is not a frozen operation"))?;
                op.apply(inputs[0])
            }
        }
    }
}
