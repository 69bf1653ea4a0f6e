//! Model metamers in Rust notebooks.
//!
//! A *model metamer* is a stimulus that a frozen neural network cannot tell from a natural one at some stage: it gives
//! the same activations there, and is found by gradient descent on noise. What it may differ in, the network is invariant
//! to (Feather, Durango, Gonzalez & McDermott, NeurIPS 2019).
//!
//! ```
//! use metamers::prelude::*;
//!
//! let net = zoo::efficientnet_lite0()?;                       // ImageNet-trained, ships with the project
//! let photo = Image::open("photos/dog.jpg")?;                 // so do 110 photos
//! let mut run = Synthesis::new(&net, "block2", &photo)?.seed(7).start()?;
//! run.step(20)?;                                              // in a notebook: picture, gradient and curves, live
//! let metamer = run.finish()?;
//! let found = metamer.similarity();                           // Spearman's rho, Pearson's r, SNR in dB
//! assert!(found.snr_db.unwrap() > 3.0);
//! # Ok::<(), metamers::Error>(())
//! ```
//!
//! # What is where
//!
//! | module | what |
//! | --- | --- |
//! | [`stimulus`] | pictures, sounds and noise |
//! | [`ops`] | differentiable operations with frozen parameters |
//! | [`hearing`] | the cochleagram, and the way back to the waveform |
//! | [`network`], [`zoo`] | networks as graphs with named stages, and ready-made ones |
//! | [`inspection`] | a check list for a network |
//! | [`engine`] | networks compiled for one stage, as a synthesis runs them |
//! | [`synthesis`] | recipes, runs that can be stepped, saved and resumed, and metamers |
//! | [`sweep`] | many stimuli, stages, seeds and networks, on one machine or by Slurm |
//! | [`verdict`] | whether it is a metamer: null distributions, verdicts, other networks' judgements |
//! | [`experiment`] | the recognition task as a page, and the analysis of its answers |
//! | [`surroundings`] | what it takes to run a notebook again |
//! | [`display`] | what things look like, and where they are shown |
//! | [`prelude`] | what a notebook has loaded when it starts |
//!
//! # candle
//!
//! Tensors are candle's. Use it through [`candle`] and [`candle_nn`]: a notebook cell that links a candle of its own counts
//! its tensors separately, and gradients come out wrong without a word.

pub use candle_core as candle;
pub use candle_nn;

mod assets;
mod atomic;
pub mod display;
pub mod engine;
mod error;
pub mod experiment;
mod file_name;
mod finite;
pub mod hearing;
pub mod inspection;
mod interrupt;
pub mod network;
pub mod ops;
pub mod prelude;
mod sha256;
pub mod stimulus;
pub mod surroundings;
pub mod sweep;
pub mod synthesis;
pub mod verdict;
pub mod zoo;

pub use error::{Error, Result};
