//! The engine: networks compiled up to a stage, or up to several.
//!
//! A metamer takes thousands of gradient evaluations of one frozen network at one stage. [`Compiled`] does their common work
//! once: it fuses layers, packs the weights for the forward and the backward pass, plans the memory of all tensors, and
//! selects the fastest kernels of the processor.
//!
//! Activations are channels-last (NHWC), with channels padded to a multiple of 16. The gradient needs one bit for each value of a
//! ReLU and the argmax of each max pool; nothing else is saved. The layer-by-layer run
//! ([`Network::forward_to`](crate::network::Network::forward_to)) is the reference; the two agree up to rounding. Operations
//! without a kernel in the engine, such as the auditory front ends (cochleagram, log-mel energies, norms), run through their
//! layer-by-layer implementation. The engine runs on the CPU only.
//!
//! ```
//! use metamers::engine::Compiled;
//! use metamers::prelude::*;
//!
//! let net = zoo::efficientnet_lite0()?;
//! let block = Compiled::new(&net, "block2")?;
//! let x = net.prepare(&Image::open("photos/dog.jpg")?)?.to_tensor()?;
//! let y = block.apply(&x)?;
//! assert_eq!(y.dims(), [1, 24, 56, 56]);
//! # Ok::<(), metamers::Error>(())
//! ```

mod aligned;
mod codegen;
mod compiled;
mod cosine_transform;
mod executor;
mod geometry;
mod kernel;
mod lowering;
mod residuals;
mod simd;
pub(crate) mod vectors;

pub use compiled::{Compiled, Evaluated, Tap};
pub(crate) use cosine_transform::CosineTransform;
pub(crate) use kernel::transpose::transpose;
pub(crate) use residuals::Residuals;
pub use simd::Isa;
pub(crate) use simd::LANES;
