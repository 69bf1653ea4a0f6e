//! Debug output of types: one short line, for values of any size.

use std::fmt::Debug;

use metamers::display::MimeBundle;
use metamers::network::{Builder, Checkpoint, Input, Layer};
use metamers::ops::{ChannelAffine, GlobalAvgPool, Linear};
use metamers::prelude::{plots::*, *};

fn line(value: &dyn Debug) -> String {
    let line = format!("{value:?}");
    assert!(line.len() < 200 && !line.contains('\n'), "{} bytes: {line:.300}", line.len());
    line
}

fn network() -> Network {
    let mut b = Builder::new("means", Input::Image { shape: [3, 20, 16], resize: 20 });
    let x = b.global_avg_pool(b.input()).unwrap();
    b.stage("mean", x).unwrap();
    line(&b);
    b.finish().unwrap()
}

#[test]
fn values_with_large_buffers_print_one_short_line() {
    let photo = Image::noise(16, 20, Noise::Uniform { low: 0.2, high: 0.8 }, 1).unwrap().with_name("noise");
    let plan = Synthesis::new(&network(), "mean", &photo).unwrap().seed(7).quiet();
    assert_eq!(line(&plan), "Synthesis(noise at mean of means, recipe nearest, seed 7)");
    let mut run = plan.start().unwrap();
    assert_eq!(line(&run), "Run(mean of means, recipe nearest, 0 steps)");
    let progress = run.step(2).unwrap();
    assert!(line(&progress).starts_with("Progress(2 steps, 2 gradient evaluations"));
    assert!(line(&run).contains("2 steps, SNR"));
    assert!(line(&run.finish().unwrap()).starts_with("Metamer(noise at mean of means, SNR"));
    assert_eq!(line(&run.gradient().unwrap()), r#"HeatMap("gradient of the loss", 20 x 16 values)"#);
    assert_eq!(line(&network()), "Network(means, 1 stages, 0 parameters)");
    assert_eq!(line(&photo), r#"Image("noise", 16 x 20 pixels)"#);
}

#[test]
fn display_types_print_one_short_line() {
    let many = vec![(0.0, 1.0); 10_000];
    let plot = LinePlot::new("loss").series("a", many);
    assert_eq!(line(&plot), r#"LinePlot("loss", 1 series, 10000 points)"#);
    let raster = metamers::display::Raster::from_gray(100, 50, &[0.5; 5000]);
    assert_eq!(line(&raster), "Raster(100 x 50 pixels)");
    let figure = Figure::new("two").row([Panel::picture("grey", raster), Panel::plot(plot)]);
    assert_eq!(line(&figure), r#"Figure("two", 2 panels in 1 rows)"#);
    let bars = (0..500).fold(Bars::new("classes"), |bars, i| bars.bar(format!("class {i}"), 0.1));
    assert_eq!(line(&bars), r#"Bars("classes", 500 bars)"#);
    let table = (0..500).fold(Table::new(["a", "b"]), |table, i| table.row([i.to_string(), "x".into()]));
    assert_eq!(line(&table), "Table(2 columns, 500 rows)");
    let bundle: MimeBundle = table.mime_bundles().remove(0);
    assert!(line(&bundle).starts_with("MimeBundle("));
    line(&shipped_photos().unwrap());
}

#[test]
fn layers_and_weights_print_one_short_line() {
    let weight = Tensor::zeros((40, 50), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(line(&Layer::from(Linear::new(&weight, None).unwrap())), "Op(Linear(50 -> 40))");
    let affine = ChannelAffine::new(&[1.0; 999], &[0.0; 999]).unwrap();
    assert_eq!(line(&affine), "ChannelAffine(999 channels)");
    line(&Layer::from(GlobalAvgPool));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/networks/efficientnet_lite0.safetensors");
    let weights = Checkpoint::open(path).unwrap();
    assert!(format!("{weights:?}").ends_with("tensors)"));
    assert_eq!(line(&weights.batch_norm("_bn0", 32, 1e-3).unwrap()), "BatchNorm(32 channels)");
    let net = zoo::efficientnet_lite0().unwrap();
    assert!(line(&net).starts_with("Network(EfficientNet-Lite0, 20 stages, "));
    let answer = net.classify(Image::open("photos/giant_panda.jpg").unwrap(), 1000).unwrap();
    assert!(line(&answer).contains("giant panda") && line(&answer).contains("999 less likely"));
}
