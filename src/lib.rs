//! Model metamers in Rust and in Rust notebooks.
//!
//! A *model metamer* is a stimulus with the same activations as a natural stimulus at a stage of a neural network, synthesized from
//! noise by gradient descent. The network is invariant to the differences between the two (Feather, Durango, Gonzalez & McDermott,
//! NeurIPS 2019).
//!
//! ```
//! use metamers::prelude::*;
//!
//! let net = zoo::efficientnet_lite0()?;                       // trained on ImageNet, ships with the project
//! let photo = Image::open("photos/dog.jpg")?;                 // one of 110 shipped photos
//! let mut run = Synthesis::new(&net, "block2", &photo)?.seed(7).start()?;
//! run.step(20)?;                                              // a notebook displays image, gradient and curves live
//! let metamer = run.finish()?;
//! let found = metamer.similarity();                           // Spearman's rho, Pearson's r, SNR in dB
//! assert!(found.snr_db.unwrap() > 3.0);
//! # Ok::<(), metamers::Error>(())
//! ```
//!
//! # A tour
//!
//! **A [network](network::Network) is a graph with named stages** and frozen weights. It crops and resizes an image to its input size,
//! resamples a sound to its sample rate, and returns the activations at a stage.
//!
//! ```
//! # use metamers::prelude::*;
//! let net = zoo::cochcnn_words()?;                            // spoken words; its first stage is the cochleagram
//! let word = Sound::open("speech/november.wav")?.prepare(20_000, 40_000)?;
//! assert_eq!(net.classify(&word, 1)?.top().name, "november");
//! let activations = net.forward_to("relu2", &word.to_tensor()?)?;
//! # Ok::<(), metamers::Error>(())
//! ```
//!
//! **A [synthesis](synthesis::Synthesis) generates a metamer from noise** by a [recipe](synthesis::Recipe). Its [run](synthesis::Run) can
//! be stepped, interrupted, saved and resumed.
//!
//! ```
//! # use metamers::prelude::*;
//! # let net = zoo::cochcnn_words()?;
//! # let word = Sound::open("speech/november.wav")?.prepare(20_000, 40_000)?;
//! let mut run = Synthesis::new(&net, "relu0", &word)?.recipe(Recipe::feather2023_sound()).seed(7).start()?;
//! run.step(5)?;                                               // or run_for(duration), until(20.0), run(), advance(stop)
//! let metamer = run.finish()?;                                // .save("november.metamer"), .stimulus(), .similarity()
//! # Ok::<(), metamers::Error>(())
//! ```
//!
//! **A [verdict](verdict::Verdict)** tests whether the match is better than that of pairs of natural stimuli, and whether the class is
//! the same.
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
//! **Your own network** is loaded from a checkpoint, from an ONNX file ([`Network::from_onnx`](network::Network::from_onnx)) or from a
//! candle function ([`Network::from_module`](network::Network::from_module)), or [trained](training) here.
//! [`Network::inspect`](network::Network::inspect) checks it for problems.
//!
//! **Many metamers**: [`Sweep`](sweep::Sweep). **Recognition by people**: [`RecognitionTask`](experiment::RecognitionTask) and its
//! [analysis](experiment::analysis). **Reproducibility**: [`session_info`](session_info::session_info) and
//! [`Metamer::reproduce`](synthesis::Metamer::reproduce).
//!
//! # Modules
//!
//! | module | contents |
//! | --- | --- |
//! | [`stimulus`] | images, sounds and noise |
//! | [`ops`] | differentiable operations with frozen parameters |
//! | [`hearing`] | cochleagrams and log-mel spectrograms |
//! | [`network`] | networks as graphs with named stages; checkpoints, ONNX and candle modules |
//! | [`zoo`] | ready-made networks |
//! | [`inspection`] | checks of a network: cost, gradients, warnings |
//! | [`engine`] | networks compiled up to a stage |
//! | [`synthesis`] | recipes, runs and metamers |
//! | [`similarity`] | correlation and signal-to-noise ratio of activations, distributions, proportions |
//! | [`verdict`] | null distributions, verdicts, and classification of metamers by other networks |
//! | [`sweep`] | metamers of many stimuli, stages, seeds and networks, on one machine or by Slurm |
//! | [`explorer`] | tools that make metamers, in a notebook and as a page for a browser |
//! | [`experiment`] | the recognition task as a web page, and the analysis of its answers |
//! | [`session_info`] | versions, machine and runs of a session |
//! | [`training`] | training of small networks |
//! | [`display`] | plots, images, tables, players and live output |
//! | [`prelude`] | the names that a notebook imports at its start |
//! | [`coming_from`], [`teaching`] | guides: from plenoptic or the authors' code, and a lesson of 90 minutes |
//!
//! # Interrupts
//!
//! A notebook's interrupt, or Ctrl-C, ends a long operation after its current step. The first such operation installs a handler of SIGINT,
//! which stays. In a program, a second Ctrl-C during the same step, and one between two operations, end the process with status 130. If the
//! program has a handler of its own before its first operation, or ignores SIGINT, they do not (on Windows they do): that handler is called
//! at each Ctrl-C, and decides.
//!
//! # candle
//!
//! Tensors are those of candle. Use it through [`candle`] and [`candle_nn`]: a notebook cell that links its own copy of candle numbers
//! its tensors separately, which gives wrong gradients without an error.

pub use candle_core as candle;
pub use candle_nn;

#[cfg(target_os = "unknown")]
pub mod browser;
mod clock;

#[doc = include_str!("../docs/coming_from.md")]
pub mod coming_from {}
pub mod display;
pub mod engine;
mod error;
pub mod experiment;
pub mod explorer;
mod finite;
mod fs;
pub mod hearing;
pub mod inspection;
mod interrupt;
pub mod network;
pub mod ops;
mod parallel;
mod platform;
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
