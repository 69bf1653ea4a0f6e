//! Differentiable operations with frozen parameters.
//!
//! Every operation is a candle `CustomOp1` whose backward pass computes the gradient of its **input** and none of its weights,
//! because metamers need no other. candle's own convolution and pooling have wrong or missing gradients for some inputs.
//! Tensors are float32, images `[batch, channels, height, width]`.
//!
//! On devices other than the CPU an operation is composed of candle's own ([`FrozenOp::fallback`]), with the same values and
//! gradients. The tests run the fallback on the CPU; **it has not been run on a GPU yet**.
//!
//! ```
//! use metamers::candle::{Device, Tensor, Var};
//! use metamers::ops::{Frozen, MaxPool2d, Window};
//!
//! let x = Var::from_tensor(&Tensor::new(&[[[[1f32, 4.0], [3.0, 2.0]]]], &Device::Cpu)?)?;
//! let pool = MaxPool2d::new(Window::square(2).stride(2));
//! let y = pool.apply(&x)?;
//! let gradient = y.sum_all()?.backward()?;
//! assert_eq!(gradient.get(&x).unwrap().flatten_all()?.to_vec1::<f32>()?, [0.0, 1.0, 0.0, 0.0]);
//! # Ok::<(), metamers::Error>(())
//! ```

mod affine;
mod avg_pool;
mod conv2d;
mod depthwise;
mod fallback;
mod frozen;
mod global_pool;
mod l2_norm;
mod linear;
mod matmul;
mod max_pool;
mod min_max_norm;
mod relu;
mod standardize;
mod vjp;
mod window;

pub use affine::ChannelAffine;
pub use avg_pool::AvgPool2d;
pub use conv2d::{Conv2d, Conv2dConfig};
pub use frozen::{Frozen, FrozenOp, Locality};
pub use global_pool::GlobalAvgPool;
pub use l2_norm::L2Norm;
pub use linear::Linear;
pub use max_pool::MaxPool2d;
pub use min_max_norm::MinMaxNorm;
pub use relu::{Relu, StraightThroughRelu};
pub use standardize::Standardize;
pub use vjp::vjp;
pub use window::{Padding, Window};

pub(crate) use frozen::{contiguous, values, with_values};
pub(crate) use matmul::{Matrix, multiply};
