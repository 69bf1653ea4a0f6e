//! Makes a metamer of a custom network: a small candle CNN with weights from a file, as after training.
//!
//! Run: `cargo run --release --example own_network -- metamer.png`

use metamers::candle_nn::{Conv2d, Conv2dConfig, Linear, Module, VarBuilder, VarMap, conv2d, linear};
use metamers::network::{Input, StageMarker, WeightsSource};
use metamers::ops::{Frozen, MaxPool2d, Window};
use metamers::prelude::*;

struct Cnn {
    conv1: Conv2d,
    conv2: Conv2d,
    head: Linear,
}

impl Cnn {
    fn load(weights: VarBuilder) -> candle::Result<Self> {
        let config = Conv2dConfig { padding: 2, ..Default::default() };
        Ok(Self {
            conv1: conv2d(3, 16, 5, Conv2dConfig { stride: 2, ..config }, weights.pp("conv1"))?,
            conv2: conv2d(16, 32, 5, config, weights.pp("conv2"))?,
            head: linear(32, 4, weights.pp("head"))?,
        })
    }

    /// The forward pass, with marks that name the stages.
    fn forward(&self, x: &Tensor, mark: &mut StageMarker) -> Result<Tensor> {
        let x = ((x - 0.5)? / 0.25)?;
        let x = mark.relu("relu1", self.conv1.forward(&x)?)?;
        // Not candle's max_pool2d: its gradient is wrong, and from_module rejects it.
        let x = MaxPool2d::new(Window::square(3).stride(2)).apply(&x)?;
        let x = mark.relu("relu2", self.conv2.forward(&x)?)?;
        let x = mark.stage("pool", x.mean((2, 3))?)?;
        mark.stage("logits", self.head.forward(&x)?)
    }
}

/// Writes random weights, so that this example needs no download.
fn untrained(path: &std::path::Path) -> candle::Result<()> {
    let vars = VarMap::new();
    Cnn::load(VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu))?;
    vars.save(path)
}

fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "own_metamer.png".into());
    let file = std::env::temp_dir().join("own_network.safetensors");
    untrained(&file)?;

    // Tensors instead of variables, because a network is frozen.
    let tensors = candle::safetensors::load(&file, &Device::Cpu)?;
    let cnn = Cnn::load(VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu))?;
    let net = Network::from_module("my CNN", Input::Image { shape: [3, 64, 64], resize: 64 }, move |x, mark| {
        cnn.forward(x, mark)
    })?
    .with_classes(["cat", "dog", "horse", "panda"])?
    .with_weights_source(WeightsSource::from_file(&file)?)?;
    net.show();

    let dog = Image::open("photos/dog.jpg")?;
    let mut run = Synthesis::new(&net, "relu2", &dog)?.seed(7).quiet().start()?;
    println!("{}", run.step(20)?);
    let metamer = run.finish()?;
    metamer.show();
    metamer.export(&path)?;
    println!("{path}");
    Ok(())
}
