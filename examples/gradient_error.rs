//! Computes input gradients, layer by layer and compiled, for `scripts/gradient_error.py`.
//!
//! `gradient_error ARCHITECTURE FOLDER STAGE...` reads FOLDER/weights.pth, x.npy and cotangent_STAGE.npy, and writes
//! plain_STAGE.npy and compiled_STAGE.npy, and likewise the activations.

use std::path::Path;

use metamers::candle::{Tensor, Var};
use metamers::engine::Compiled;
use metamers::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [architecture, folder, stages @ ..] = &arguments[..] else {
        return Err("gradient_error ARCHITECTURE FOLDER STAGE...".into());
    };
    let folder = Path::new(folder);
    let weights = folder.join("weights.pth");
    let net = match &architecture[..] {
        "vgg19" => zoo::vgg19_from(weights)?,
        "resnet50" => zoo::resnet50_from(weights)?,
        "alexnet" => zoo::alexnet_from(weights)?,
        other => return Err(format!("no architecture {other} here: vgg19, resnet50, alexnet").into()),
    };
    let x = Var::from_tensor(&Tensor::read_npy(folder.join("x.npy"))?)?;
    for stage in stages {
        let cotangent = Tensor::read_npy(folder.join(format!("cotangent_{stage}.npy")))?;
        let runs = [("plain", net.forward_to(stage, &x)?), ("compiled", Compiled::new(&net, stage)?.apply(&x)?)];
        for (run, y) in runs {
            y.write_npy(folder.join(format!("{run}_{stage}_values.npy")))?;
            let gradients = (y * &cotangent)?.sum_all()?.backward()?;
            let gradient = gradients.get(&x).ok_or("the stage does not depend on the input")?;
            gradient.write_npy(folder.join(format!("{run}_{stage}.npy")))?;
        }
    }
    Ok(())
}
