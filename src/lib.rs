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
//! # A tour
//!
//! **A network is a graph with named stages**, frozen, and takes what a person sees or hears: a photo is cut to its size, a sound brought to
//! its rate. At a stage it gives activations.
//!
//! ```
//! # use metamers::prelude::*;
//! let net = zoo::cochcnn_words()?;                            // spoken words; its first stage is the cochleagram
//! let word = Sound::open("speech/november.wav")?.prepare(20_000, 40_000)?;
//! assert_eq!(net.classify(&word, 1)?.top().name, "november");
//! let heard = net.forward_to("relu2", &word.to_tensor()?)?;
//! # Ok::<(), metamers::Error>(())
//! ```
//!
//! **A synthesis walks from noise to a metamer** by a [recipe](synthesis::Recipe), and can be stepped, interrupted, saved and gone on with.
//!
//! ```
//! # use metamers::prelude::*;
//! # let net = zoo::cochcnn_words()?;
//! # let word = Sound::open("speech/november.wav")?.prepare(20_000, 40_000)?;
//! let mut run = Synthesis::new(&net, "relu0", &word)?.recipe(Recipe::feather2023_sound()).seed(7).start()?;
//! run.step(5)?;                                               // also run_for(duration), until(20.0), run()
//! let metamer = run.finish()?;                                // .save("november.metamer"), .stimulus(), .similarity()
//! # Ok::<(), metamers::Error>(())
//! ```
//!
//! **A verdict** asks whether the match is better than that of any two natural stimuli, and whether the class is the same.
//!
//! ```
//! # use metamers::prelude::*;
//! # let net = zoo::cochcnn_words()?;
//! # let word = Sound::open("speech/november.wav")?.prepare(20_000, 40_000)?;
//! # let mut run = Synthesis::new(&net, "relu0", &word)?.seed(7).start()?;
//! # run.step(5)?;
//! # let metamer = run.finish()?;
//! let verdict = metamer.verdict(&NullDistribution::shipped(&net)?)?;
//! println!("{}: {}", verdict.outcome, verdict.reason);
//! # Ok::<(), metamers::Error>(())
//! ```
//!
//! **Your own network** comes as a checkpoint, as an ONNX file ([`Network::from_onnx`](network::Network::from_onnx)), as a function of candle
//! ([`Network::from_module`](network::Network::from_module)), or is [trained](training) here. [`Network::inspect`](network::Network::inspect) says
//! whether all is well with it.
//!
//! **Many at once**: [`Sweep`](sweep::Sweep). **What people say**: [`RecognitionTask`](experiment::RecognitionTask) and its
//! [analysis](experiment::analysis). **For others to run again**: [`provenance`](session_info::session_info) and
//! [`Metamer::reproduce`](synthesis::Metamer::reproduce).
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
//! | [`training`] | small networks that are trained in a notebook |
//! | [`display`] | what things look like, and where they are shown |
//! | [`coming_from`], [`teaching`] | pages: from plenoptic or the authors' code, and a lesson of 90 minutes |
//! | [`prelude`] | what a notebook has loaded when it starts |
//!
//! # candle
//!
//! Tensors are candle's. Use it through [`candle`] and [`candle_nn`]: a notebook cell that links a candle of its own counts
//! its tensors separately, and gradients come out wrong without a word.

pub use candle_core as candle;
pub use candle_nn;

#[doc = include_str!("../docs/coming_from.md")]
pub mod coming_from {}
pub mod display;
pub mod engine;
mod error;
pub mod experiment;
mod finite;
mod fs;
pub mod hearing;
pub mod inspection;
mod interrupt;
pub mod network;
pub mod ops;
pub mod prelude;
pub mod session_info;
pub mod similarity;
pub mod stimulus;
pub mod sweep;
pub mod synthesis;
#[doc = include_str!("../docs/teaching.md")]
pub mod teaching {}
pub mod training;
pub mod verdict;
pub mod zoo;

pub use error::{Error, Result};
