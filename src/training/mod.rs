//! Training a small network in a notebook, to ask what training does to its invariances.
//!
//! The model is any candle module, the optimiser candle-nn's AdamW; this module gives it data ([`Cutouts`], [`Dataset`]), a convolution
//! with right and fast gradients ([`conv2d`]), a loop that shows its loss and what the network gets right while it runs
//! ([`Training`]), and the way to a frozen [`Network`](crate::network::Network) that metamers can be made for ([`ConvNet::freeze`]).
//!
//! ```
//! use metamers::prelude::{training::*, *};
//!
//! let cut_outs = Cutouts::new(32)?;
//! let (train, held_out) = (cut_outs.generate(200, 1)?.by_material()?, cut_outs.generate_held_out(60, 2)?.by_material()?);
//! let eye = ConvNet::new("material", 32, train.classes().to_vec()).conv("conv1", 8, 5, 2).conv("conv2", 16, 3, 2);
//! let mut training = Training::new(&eye, train, held_out).seed(7).start()?;
//! training.step(20)?;                         // in a notebook: the loss and the share of right answers, live
//! let net = training.freeze()?;               // a network as any other: stages, metamers, verdicts
//! assert_eq!(net.stage("conv1")?.shape, [8, 16, 16]);
//! # Ok::<(), metamers::Error>(())
//! ```
//!
//! The same by hand, with a module of one's own:
//!
//! ```
//! use metamers::candle::Module;
//! use metamers::candle_nn::{self, AdamW, Conv2dConfig, Optimizer, VarBuilder, VarMap, loss::cross_entropy};
//! use metamers::prelude::{networks::*, training::*, *};
//! use metamers::training::{Conv2d, conv2d, draw_weights};
//!
//! struct Eye { conv1: Conv2d, logits: candle_nn::Linear }
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
//! draw_weights(&vars, 7)?;
//! let examples = Cutouts::new(32)?.draw(64, 1)?.by_material()?;
//! let mut adam = AdamW::new_lr(vars.all_vars(), 2e-3)?;
//! for step in 0..5 {
//!     let (x, y) = examples.batch(16, 7, step)?;
//!     adam.backward_step(&cross_entropy(&eye.forward(&x)?, &y)?)?;
//! }
//! let plan = ConvNet::new("eye", 32, examples.classes().to_vec()).conv("conv1", 8, 5, 2);
//! let net = plan.freeze(&vars)?;
//! assert_eq!(net.classes().unwrap().len(), 6);
//! # Ok::<(), metamers::Error>(())
//! ```

mod conv2d;
mod conv_net;
mod cutouts;
mod dataset;
mod progress;
mod run;
mod training;

pub use conv_net::{ConvNet, ConvNetModule, draw_weights};
pub use conv2d::{TrainableConv2d, conv2d};
pub use cutouts::{CutoutImages, Cutouts};
pub use dataset::Dataset;
pub use progress::TrainingProgress;
pub use run::{HeldOut, LossPoint, TrainingRun};
pub use training::Training;

use candle_core::Var;
use candle_nn::VarMap;

/// The variables of a map by name, sorted: the map itself has no order.
fn variables(vars: &VarMap) -> Vec<(String, Var)> {
    let data = vars.data().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut all: Vec<(String, Var)> = data.iter().map(|(name, var)| (name.clone(), var.clone())).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}
