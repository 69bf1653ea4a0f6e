//! Networks compiled for one stage.
//!
//! A metamer takes thousands of gradient evaluations of one frozen network at one stage. [`Compiled`] does once what does not
//! change from one to the next: it fuses layers, packs the weights for the forward and the backward pass, decides where each
//! tensor lies in memory that is used again and again, and takes the kernels that this processor runs fastest.
//!
//! Between its layers an image is kept with its channels side by side, padded to a multiple of sixteen. Of the rectifiers
//! only a bit for each value is kept, of max pools which pixel won: the gradient needs no more. Running the network layer by
//! layer ([`Network::forward_to`](crate::network::Network::forward_to)) remains the reference; the two agree up to rounding.
//! Layers that the engine has no kernel for, the front ends of sounds (cochleagram, log-mel energies, norms), run inside the plan as
//! they do in the plain run. It runs on the CPU alone.
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
mod executor;
mod geometry;
mod kernel;
mod lowering;
mod simd;
mod thread_pool;

pub use compiled::{Compiled, Evaluated};
pub use simd::Isa;
pub(crate) use thread_pool::threads;
