//! Opens a network from an ONNX file, and makes a metamer of a photo at one of its stages.
//!
//! Run: `cargo run --release --example onnx_network -- resnet18.onnx /layer2/layer2.1/relu_1/Relu metamer.png`
//!
//! Without arguments it uses a small untrained network from tests/data.

use metamers::network::OnnxOptions;
use metamers::prelude::*;

fn main() -> metamers::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| "tests/data/onnx/mobile.onnx".into());
    // The default prepares images as torchvision does; see OnnxOptions for other networks.
    let net = Network::from_onnx(file, OnnxOptions::default())?;
    net.show();

    let stage = arguments.next().unwrap_or_else(|| net.stages()[net.stages().len() / 2].name.clone());
    let photo = Image::open("photos/dog.jpg")?;
    let mut run = Synthesis::new(&net, &stage, &photo)?.seed(1).quiet().start()?;
    println!("at {stage}: {}", run.until(20.0)?);
    let metamer = run.finish()?;
    println!("{:?}", metamer.similarity());
    match arguments.next() {
        Some(path) => metamer.image()?.save(path),
        None => Ok(()),
    }
}
