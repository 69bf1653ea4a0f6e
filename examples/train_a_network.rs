//! The cells of notebook 8: a small network trained on two tasks, and the metamers of both.
//!
//! Run: `cargo run --release --example train_a_network -- OUTPUT_FOLDER`; each figure becomes a PNG file there.

use std::path::Path;

use metamers::candle::Module;
use metamers::candle_nn::{AdamW, Conv2dConfig, Linear, Optimizer, VarBuilder, VarMap, linear, loss::cross_entropy};
use metamers::prelude::{networks::*, plots::*, training::*, *};
use metamers::training::{TrainableConv2d, TrainingRun, conv2d, init_weights};

fn keep(value: &impl Show, folder: &Path, name: &str) -> Result<()> {
    let bundles = value.mime_bundles();
    println!("{}", bundles[0].plain());
    match bundles[0].data().contains_key("image/png") {
        true => bundles[0].export(folder.join(format!("{name}.png"))),
        false => Ok(()),
    }
}

struct Cnn {
    convolutions: Vec<TrainableConv2d>,
    logits: Linear,
}

impl Cnn {
    fn new(vars: &VarMap) -> candle::Result<Self> {
        let vb = VarBuilder::from_varmap(vars, DType::F32, &Device::Cpu);
        let config = |kernel: usize, stride| Conv2dConfig { padding: kernel / 2, stride, ..Default::default() };
        let convolutions = vec![
            conv2d(3, 16, 5, config(5, 2), vb.pp("conv1"))?,
            conv2d(16, 32, 3, config(3, 2), vb.pp("conv2"))?,
            conv2d(32, 64, 3, config(3, 2), vb.pp("conv3"))?,
            conv2d(64, 64, 3, config(3, 1), vb.pp("conv4"))?,
        ];
        Ok(Self { convolutions, logits: linear(64, 6, vb.pp("logits"))? })
    }
}

impl Module for Cnn {
    fn forward(&self, x: &Tensor) -> candle::Result<Tensor> {
        let mut x = x.affine(4.0, -2.0)?;
        for convolution in &self.convolutions {
            x = convolution.forward(&x)?.relu()?;
        }
        self.logits.forward(&x.mean((2, 3))?)
    }
}

fn start(task: &str, examples: Dataset, held_out: Dataset) -> Result<TrainingRun> {
    let vars = VarMap::new();
    let cnn = Cnn::new(&vars)?;
    Training::from_module(task, cnn, &vars, examples, held_out).seed(7).learning_rate(3e-3).start()
}

fn metamer(net: &Network, stage: &str, image: &Image) -> Result<Metamer> {
    let mut run = Synthesis::new(net, stage, image)?.seed(3).quiet().start()?;
    run.advance(Stop::snr(20.0).or_evaluations(200))?;
    run.finish()
}

fn compare(stage: &str, images: &[Image], nets: [&Network; 3]) -> Result<Figure> {
    let mut figure = Figure::new(format!(
        "Cut-outs, and their metamers at {stage} of three networks: trained on shape, trained on material, untrained"
    ));
    figure.push(images.iter().map(Panel::from));
    for net in nets {
        let mut row = vec![];
        for image in images {
            let made = metamer(net, stage, image)?;
            let snr = made.similarity().snr_db.unwrap_or(f64::NAN);
            row.push(Panel::from(made.stimulus()).with_title(net.name()).caption(format!("SNR {snr:.0} dB")));
        }
        figure.push(row);
    }
    Ok(figure)
}

fn main() -> Result<()> {
    let folder = std::path::PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".into()));
    let cut_outs = Cutouts::new(48)?;
    let images = cut_outs.generate(3000, 1)?;
    let held_out = cut_outs.generate_held_out(300, 2)?;
    keep(&images, &folder, "01_images")?;

    let vars = VarMap::new();
    let cnn = Cnn::new(&vars)?;
    init_weights(&vars, 7)?;
    let mut adam = AdamW::new_lr(vars.all_vars(), 3e-3)?;
    let (batch, answers) = images.by_shape()?.batch(32, 7, 0)?;
    for step in 0..12 {
        let loss = cross_entropy(&cnn.forward(&batch)?, &answers)?;
        println!("step {step:2}: loss {:.3}", loss.to_scalar::<f32>()?);
        adam.backward_step(&loss)?;
    }

    let mut shape = start("shape", images.by_shape()?, held_out.by_shape()?)?;
    keep(&shape.step(800)?, &folder, "02_shape")?;

    let mut material = start("material", images.by_material()?, held_out.by_material()?)?;
    keep(&material.step(800)?, &folder, "03_material")?;

    let (shapes, materials) = (held_out.by_shape()?.classes().to_vec(), held_out.by_material()?.classes().to_vec());
    let plan = ConvNet::new("shape", 48, shapes.clone())
        .conv("conv1", 16, 5, 2)
        .conv("conv2", 32, 3, 2)
        .conv("conv3", 64, 3, 2)
        .conv("conv4", 64, 3, 1);
    let by_shape = shape.freeze_as(&plan)?;
    let by_material = material.freeze_as(&plan.clone().with_classes("material", materials))?;
    let untrained = plan.clone().with_classes("untrained", shapes).untrained(7)?;
    keep(&by_shape, &folder, "04_by_shape")?;

    let mut correct: Vec<Image> = vec![];
    for image in held_out.images() {
        let (shape, material) = (by_shape.classify(image, 1)?, by_material.classify(image, 1)?);
        if image.name() == format!("{} of {}", shape.top().name, material.top().name) {
            correct.push(image.clone());
        }
    }
    println!("both networks are correct on {} of {} images", correct.len(), held_out.images().len());

    let at_conv3 = compare("conv3", &correct[..6], [&by_shape, &by_material, &untrained])?;
    keep(&at_conv3, &folder, "05_at_conv3")?;

    let at_mean = compare("mean", &correct[..6], [&by_shape, &by_material, &untrained])?;
    keep(&at_mean, &folder, "06_at_mean")?;

    let mut made = vec![];
    let mut failed = 0;
    for net in [&by_shape, &by_material, &untrained] {
        for stage in ["conv1", "conv2", "conv3", "mean"] {
            for image in &correct[..12] {
                let metamer = metamer(net, stage, image)?;
                match metamer.similarity().snr_db {
                    Some(snr) if snr >= 20.0 => made.push(metamer),
                    _ => failed += 1,
                }
            }
        }
    }
    println!("{} metamers; {failed} synthesis runs below 20 dB", made.len());
    let judged = CrossNetwork::new(&made, &[by_shape.clone(), by_material.clone()])?;
    keep(&judged, &folder, "07_judged")?;
    Ok(())
}
