//! Inspection of shipped and custom networks, and its warnings.

use metamers::candle_nn::{self, Conv2dConfig, Module};
use metamers::display::MimeBundle;
use metamers::inspection::Inspection;
use metamers::network::{Builder, Input};
use metamers::ops::{ChannelAffine, Conv2d, Conv2dConfig as OurConfig, Relu};
use metamers::prelude::*;

fn assert_contains(message: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(message.contains(part), "\"{part}\" is missing in: {message}"));
}

fn plain(bundles: &[MimeBundle]) -> String {
    bundles.iter().map(|bundle| bundle.plain()).collect::<Vec<_>>().join("\n")
}

/// Exports an inspection to the folder METAMERS_LOOK, if it is set, for visual checks.
fn export_if_requested(name: &str, found: &Inspection) {
    println!("{}", plain(&found.mime_bundles()));
    if let Some(folder) = std::env::var_os("METAMERS_LOOK") {
        let folder = std::path::Path::new(&folder);
        found.export(folder.join(format!("{name}.html"))).unwrap();
        found.figure().export(folder.join(format!("{name}.png"))).unwrap();
    }
}

/// A network of one convolution with this bias and ReLU.
fn one_layer(bias: f32, clip: Relu) -> Network {
    let values: Vec<f32> = (0..4 * 3 * 9).map(|i| ((i * 37 % 23) as f32 - 11.0) / 40.0).collect();
    let weight = Tensor::from_vec(values, (4, 3, 3, 3), &Device::Cpu).unwrap();
    let bias = Tensor::full(bias, 4, &Device::Cpu).unwrap();
    let mut b = Builder::new("one layer", Input::Image { shape: [3, 32, 32], resize: 32 });
    let x = b.channel_affine(b.input(), ChannelAffine::new(&[4.0, 4.0, 5.0], &[-2.0, -1.0, 0.0]).unwrap()).unwrap();
    let x = b.conv2d(x, Conv2d::new(&weight, Some(&bias), OurConfig::default()).unwrap()).unwrap();
    let x = b.relu(x, clip).unwrap();
    b.stage("relu", x).unwrap();
    b.finish().unwrap()
}

#[test]
fn the_shipped_image_network_has_no_warnings() {
    let net = zoo::efficientnet_lite0().unwrap();
    let found = net.inspect().unwrap();
    export_if_requested("efficientnet", &found);
    assert!(found.warnings().is_empty(), "{:?}", found.warnings());
    assert_eq!(found.stages().len(), net.stages().len());
    assert!(found.stages().iter().all(|stage| stage.evaluation.is_some_and(|time| !time.is_zero())));
    let tried: Vec<_> = found.stages().iter().filter_map(|s| Some((&s.stage.name, s.snr_db?))).collect();
    assert_eq!(tried.len(), 3);
    assert_eq!((tried[0].0.as_str(), tried[2].0.as_str()), ("stem", "logits"));
    assert!(tried.iter().all(|(_, [before, after])| after > before), "{tried:?}");
    assert_eq!(found.metamers().len(), 3);
    let pixels = 3.0 * 224.0 * 224.0;
    let text = plain(&found.mime_bundles());
    let stem = &net.stages()[0];
    assert_contains(
        &text,
        &[
            "stem",
            &format!("({:.2})", stem.units() as f64 / pixels),
            "mean 0.498, 0.498, 0.498",
            "1000 classes",
            "warnings",
        ],
    );
    assert_contains(&text, &["ReLU with an upper bound", "passed unchanged at the matched stage"]);
    // Two tables and an image.
    let kinds: Vec<bool> = found.mime_bundles().iter().map(|b| b.data().contains_key("image/png")).collect();
    assert_eq!(kinds, [false, false, true]);
    assert!(found.mime_bundles()[2].metadata()["image/png"]["alt"].as_str().unwrap().contains("after 20 steps"));
}

#[test]
fn the_shipped_word_network_has_no_warnings_and_lists_surrogate_gradients() {
    let found = zoo::cochcnn_words().unwrap().inspect().unwrap();
    export_if_requested("words", &found);
    assert!(found.warnings().is_empty(), "{:?}", found.warnings());
    let level = found.metamers()[0].original().sound().unwrap().rms();
    assert!((level - 0.1).abs() < 1e-5, "the recording has an rms of {level}");
    let text = plain(&found.mime_bundles());
    assert_contains(
        &text,
        &["a surrogate: that of the power 0.3 clamped to 5", "20000 Hz", "211 channels", "max pool"],
    );
}

#[test]
fn unknown_properties_of_a_custom_module_are_reported_as_unknown() {
    let weights: Vec<f32> = (0..108).map(|i| (i * 7919 % 2003) as f32 / 2003.0 - 0.5).collect();
    let weight = Tensor::from_vec(weights, (4, 3, 3, 3), &Device::Cpu).unwrap();
    let conv = candle_nn::Conv2d::new(weight, None, Conv2dConfig { stride: 2, ..Default::default() });
    let net = Network::from_module("mine", Input::Image { shape: [3, 32, 32], resize: 32 }, move |x, mark| {
        let x = mark.relu("relu1", conv.forward(&(x - 0.5)?)?)?;
        mark.stage("mean", x.mean((2, 3))?)
    })
    .unwrap();
    let found = net.inspect().unwrap();
    export_if_requested("mine", &found);
    let text = plain(&found.mime_bundles());
    assert_contains(
        &text,
        &[
            "unknown",
            "the preprocessing inside the module",
            "against finite differences when the network was built",
            "3 × 3",
        ],
    );
    assert!(found.stages().iter().all(|s| s.behind_module && s.module_gradient_error.is_some_and(|off| off < 0.02)));
    assert!(found.warnings().iter().any(|w| w.contains("with_weights_source")));
    assert!(found.warnings().iter().any(|w| w.contains("no class names")));
}

#[test]
fn dead_saturated_and_input_independent_stages_give_warnings() {
    let warnings = |net: Network| net.inspect().unwrap().warnings().join("\n");
    let fine = warnings(one_layer(0.0, Relu::UNBOUNDED));
    assert_eq!(fine.lines().count(), 1, "{fine}");
    assert_contains(
        &warnings(one_layer(-1e3, Relu::UNBOUNDED)),
        &["relu: every unit is 0 for dog", "nothing to match"],
    );
    assert_contains(
        &warnings(one_layer(1e3, Relu::RELU6)),
        &["relu: activations for dog and for noise are equal", "100.0 % of the units are at their upper bound"],
    );
    // The logarithm of a black image is not finite.
    let net = Network::from_module("log", Input::Image { shape: [3, 32, 32], resize: 32 }, |x, mark| {
        mark.stage("log", x.log()?)
    });
    assert_contains(&warnings(net.unwrap()), &["log: activations for a black image are not finite"]);
}

#[test]
fn a_stimulus_of_the_wrong_kind_is_an_error() {
    let net = one_layer(0.0, Relu::UNBOUNDED);
    let word = Sound::open("speech/seven.wav").unwrap();
    assert_contains(&net.inspect_on(word).unwrap_err().to_string(), &["takes images, not sounds"]);
    let panda = Image::open("photos/giant_panda.jpg").unwrap();
    assert!(plain(&net.inspect_on(panda).unwrap().mime_bundles()).contains("stages, for giant panda"));
}
