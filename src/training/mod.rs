//! Training of small networks in a notebook, to study how training changes their invariances.
//!
//! The model is any candle module and the optimiser is candle-nn's AdamW. This module adds data ([`Cutouts`], [`Dataset`]), a
//! convolution with correct and fast gradients ([`conv2d`]), a training loop with a live plot of loss and accuracy ([`Training`]), and
//! the conversion to a frozen [`Network`](crate::network::Network) for metamers ([`ConvNet::freeze`]).
//!
//! ```
//! use metamers::prelude::{training::*, *};
//!
//! let cutouts = Cutouts::new(32)?;
//! let (train, held_out) = (cutouts.generate(200, 1)?.by_material()?, cutouts.generate_held_out(60, 2)?.by_material()?);
//! let description = ConvNet::new("material", 32, train.classes().to_vec()).conv("conv1", 8, 5, 2).conv("conv2", 16, 3, 2);
//! let mut training = Training::new(&description, train, held_out).seed(7).start()?;
//! training.step(20)?;                         // a notebook shows loss and accuracy live
//! let net = training.freeze()?;               // an ordinary network: stages, metamers, verdicts
//! assert_eq!(net.stage("conv1")?.shape, [8, 16, 16]);
//! # Ok::<(), metamers::Error>(())
//! ```
//!
//! The same loop written out, with a custom module:
//!
//! ```
//! use metamers::candle::Module;
//! use metamers::candle_nn::{self, AdamW, Conv2dConfig, Optimizer, VarBuilder, VarMap, loss::cross_entropy};
//! use metamers::prelude::{networks::*, training::*, *};
//! use metamers::training::{TrainableConv2d, conv2d, init_weights};
//!
//! struct Eye { conv1: TrainableConv2d, logits: candle_nn::Linear }
//! impl Module for Eye {
//!     fn forward(&self, x: &Tensor) -> candle::Result<Tensor> {
//!         let x = self.conv1.forward(&x.affine(4.0, -2.0)?)?.relu()?;
//!         self.logits.forward(&x.mean((2, 3))?)
//!     }
//! }
//!
//! let vars = VarMap::new();
//! let vb = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
//! let stride = Conv2dConfig { stride: 2, padding: 2, ..Default::default() };
//! let eye = Eye { conv1: conv2d(3, 8, 5, stride, vb.pp("conv1"))?, logits: candle_nn::linear(8, 6, vb.pp("logits"))? };
//! init_weights(&vars, 7)?;
//! let examples = Cutouts::new(32)?.generate(64, 1)?.by_material()?;
//! let mut adam = AdamW::new_lr(vars.all_vars(), 2e-3)?;
//! for step in 0..5 {
//!     let (x, y) = examples.batch(16, 7, step)?;
//!     adam.backward_step(&cross_entropy(&eye.forward(&x)?, &y)?)?;
//! }
//! let description = ConvNet::new("eye", 32, examples.classes().to_vec()).conv("conv1", 8, 5, 2);
//! let net = description.freeze(&vars)?;
//! assert_eq!(net.classes().unwrap().len(), 6);
//! # Ok::<(), metamers::Error>(())
//! ```

mod conv2d;
mod conv_net;
mod cutouts;
mod dataset;
mod progress;
mod run;
#[expect(clippy::module_inception, reason = "a file is named after the type that it holds")]
mod training;

pub use conv_net::{ConvNet, ConvNetModule, init_weights};
pub use conv2d::{TrainableConv2d, conv2d};
pub use cutouts::{CutoutImages, Cutouts};
pub use dataset::Dataset;
pub use progress::TrainingProgress;
pub use run::{Evaluation, LossPoint, TrainingRun};
pub use training::Training;

use candle_core::Var;
use candle_nn::VarMap;

/// The variables of a map, sorted by name because the map has no order.
fn variables(vars: &VarMap) -> Vec<(String, Var)> {
    let data = vars.data().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut all: Vec<(String, Var)> = data.iter().map(|(name, var)| (name.clone(), var.clone())).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}
