//! Measures a training step with this library's convolution and with candle's, on the same weights and images.
//!
//! Run: `cargo run --release --example training_step`

use std::time::Instant;

use metamers::candle::Module;
use metamers::candle_nn::{self, AdamW, Conv2dConfig, Optimizer, VarBuilder, VarMap, loss::cross_entropy};
use metamers::prelude::{training::*, *};
use metamers::training::init_weights;

/// Outputs, kernel and stride of the convolutions of notebook 8.
const LAYERS: [(usize, usize, usize); 4] = [(16, 5, 2), (32, 3, 2), (64, 3, 2), (64, 3, 1)];

struct Net {
    convolutions: Vec<Box<dyn Module>>,
    logits: candle_nn::Linear,
}

impl Module for Net {
    fn forward(&self, x: &Tensor) -> candle::Result<Tensor> {
        let mut x = x.affine(4.0, -2.0)?;
        for convolution in &self.convolutions {
            x = convolution.forward(&x)?.relu()?;
        }
        self.logits.forward(&x.mean((2, 3))?)
    }
}

fn main() -> metamers::Result<()> {
    let examples = Cutouts::new(48)?.generate(200, 1)?.by_shape()?;
    for (name, steps) in [("this library's", 20), ("candle's", 4)] {
        let vars = VarMap::new();
        let vb = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
        let mut convolutions: Vec<Box<dyn Module>> = vec![];
        let mut channels = 3;
        for (index, (outputs, kernel, stride)) in LAYERS.into_iter().enumerate() {
            let config = Conv2dConfig { padding: kernel / 2, stride, ..Conv2dConfig::default() };
            let vb = vb.pp(format!("conv{}", index + 1));
            convolutions.push(match name {
                "candle's" => Box::new(candle_nn::conv2d(channels, outputs, kernel, config, vb)?),
                _ => Box::new(metamers::training::conv2d(channels, outputs, kernel, config, vb)?),
            });
            channels = outputs;
        }
        let net = Net { convolutions, logits: candle_nn::linear(channels, 6, vb.pp("logits"))? };
        init_weights(&vars, 7)?;
        let mut adam = AdamW::new_lr(vars.all_vars(), 2e-3)?;
        let mut times = vec![];
        let mut last = 0.0;
        for step in 0..steps {
            let (x, y) = examples.batch(32, 7, step)?;
            let started = Instant::now();
            let loss = cross_entropy(&net.forward(&x)?, &y)?;
            adam.backward_step(&loss)?;
            times.push(started.elapsed().as_secs_f64() * 1e3);
            if step < 4 {
                last = loss.to_scalar::<f32>()?;
            }
        }
        times.sort_by(f64::total_cmp);
        println!(
            "{name} convolution: {:.1} ms per step of 32 images (median); loss of the 4th step {last}",
            times[times.len() / 2]
        );
    }
    Ok(())
}
