//! Networks from ONNX files: activations at every stage, layer by layer and compiled, against onnxruntime, gradients against PyTorch
//! (scripts/reference/onnx_networks.py), and errors for unsupported and damaged files.

use std::path::{Path, PathBuf};

use crate::common::{data, flat, json, optional, relative, tensors};
use metamers::engine::Compiled;
use metamers::network::{Input, OnnxOptions};
use metamers::ops::vjp;
use metamers::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn file(name: &str) -> PathBuf {
    data("onnx").join(format!("{name}.onnx"))
}

/// Compares all stages of a file, layer by layer and compiled, with onnxruntime for a batch of two images.
fn compare(name: &str, options: OnnxOptions, classes: usize) -> Network {
    let all = tensors("onnx/activations.safetensors");
    let net = Network::from_onnx(file(name), options).unwrap();
    let x = Var::from_tensor(&all[&format!("{name}.x")]).unwrap();
    let expected = all.keys().filter(|key| key.starts_with(&format!("{name}:"))).count();
    assert_eq!(net.stages().len(), expected, "{net:?}: {:?}", net.stages().iter().map(|s| &s.name).collect::<Vec<_>>());
    assert_eq!(net.stages().last().unwrap().units(), classes);
    let mut worst = [0f64; 2];
    for stage in net.stages() {
        let expected = flat(&all[&format!("{name}:{}", stage.name)]);
        let plain = net.forward_to(&stage.name, &x).unwrap();
        let compiled = Compiled::new(&net, &stage.name).unwrap().apply(&x).unwrap();
        for (how, y) in [("plain", &plain), ("compiled", &compiled)] {
            let off = relative(&flat(y), &expected);
            assert!(off < 1e-5, "{name}, {}, {how}: off by {off}", stage.name);
            worst[0] = worst[0].max(off);
        }
        let cotangent = Tensor::randn(0f32, 1.0, plain.shape(), &Device::Cpu).unwrap();
        let [here, there] = [&compiled, &plain].map(|y| flat(&vjp(y, &cotangent, &x).unwrap()));
        let off = relative(&here, &there);
        assert!(off < 1e-4, "{name}, {}: the compiled gradient is off by {off}", stage.name);
        worst[1] = worst[1].max(off);
    }
    if let Some(expected) = all.get(&format!("{name}.gradient")) {
        let last = &net.stages().last().unwrap().name;
        let y = Compiled::new(&net, last).unwrap().apply(&x).unwrap();
        let cotangent = (0..y.elem_count()).map(|i| (((i * 7919) % 1009) as f64 / 1008.0 - 0.5) as f32).collect();
        let cotangent = Tensor::from_vec(cotangent, y.shape(), &Device::Cpu).unwrap();
        let off = relative(&flat(&vjp(&y, &cotangent, &x).unwrap()), &flat(expected));
        assert!(off < 1e-4, "{name}: the gradient differs from PyTorch's by {off}");
        println!("{name}: the gradient differs from PyTorch's by {off:.1e}");
    }
    println!("{name}: activations off by at most {:.1e}, compiled gradients by {:.1e}", worst[0], worst[1]);
    net
}

#[test]
fn a_residual_network_from_pytorchs_exporter_equals_onnxruntime() {
    let net = compare("residual", OnnxOptions::default(), 5);
    assert_eq!(net.name(), "residual");
    assert_eq!(net.input(), &Input::Image { shape: [3, 41, 52], resize: 47 });
    assert_eq!(net.stage("/pool1/MaxPool").unwrap().shape, [8, 11, 13]);
    assert!(net.weights_source().source.starts_with("residual.onnx (SHA-256 "));
    let identity =
        |options| Network::from_onnx(file("residual"), options).unwrap().weights_source().weights_sha256.clone();
    assert_eq!(identity(OnnxOptions::default()), net.weights_source().weights_sha256);
    assert_ne!(identity(OnnxOptions::default().unchanged()), net.weights_source().weights_sha256);
}

#[test]
fn a_mobile_network_from_pytorchs_newer_exporter_equals_onnxruntime() {
    compare("mobile", OnnxOptions::default(), 6);
}

#[test]
fn the_remaining_operators_equal_onnxruntime() {
    compare("by_hand", OnnxOptions::default().unchanged(), 5);
}

#[test]
fn channels_last_bgr_input_equals_onnxruntime() {
    let options = OnnxOptions::default().range(-1.0, 1.0).unwrap().bgr();
    let net = compare("channels_last", options, 5);
    assert_eq!(net.input().shape(), [3, 18, 23]);
}

#[test]
fn user_defined_stages_name_nodes_of_the_graph() {
    let options = || OnnxOptions::default().stage("first", "/Relu").stage("sum", "/Add_output_0");
    let net = Network::from_onnx(file("residual"), options()).unwrap();
    let names: Vec<&str> = net.stages().iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["first", "sum"]);
    assert_eq!(net.stage("sum").unwrap().shape, [8, 11, 13]);
    let error = Network::from_onnx(file("residual"), options().stage("last", "/Relu_9")).unwrap_err().to_string();
    assert!(error.contains("no node in the ONNX file named \"/Relu_9\"; did you mean /Relu"), "{error}");
    let error = Network::from_onnx(file("residual"), options().stage("first", "/Relu_1")).unwrap_err().to_string();
    assert!(error.contains("\"first\" is taken"), "{error}");
    let error = Network::from_onnx(file("residual"), options().stage("sizes", "/Shape")).unwrap_err().to_string();
    assert!(error.contains("can be no stage"), "{error}");
    let frame = OnnxOptions::default().unchanged().stage("frame", "p2");
    let error = Network::from_onnx(file("by_hand"), frame).unwrap_err().to_string();
    assert!(error.contains("Pad \"p2\"") && error.contains("can be no stage"), "{error}");
    // Nodes after the last stage are not read, so they may be unsupported.
    let net = Network::from_onnx(file("refused/operator"), OnnxOptions::default().stage("conv", "conv")).unwrap();
    assert_eq!(net.stage("conv").unwrap().shape, [4, 6, 6]);
}

#[test]
fn class_names_and_input_sizes_can_be_set() {
    let names = ["a", "b", "c", "d", "e"];
    let net = Network::from_onnx(file("residual"), OnnxOptions::default().classes(names)).unwrap();
    let answer = net.classify(Image::open("photos/dog.jpg").unwrap(), 5).unwrap();
    assert_eq!(answer.scores().len(), 5);
    let error = Network::from_onnx(file("residual"), OnnxOptions::default().classes(["a"])).unwrap_err().to_string();
    assert!(error.contains("5 units for 1 classes"), "{error}");
    let open = |options: OnnxOptions| Network::from_onnx(file("refused/open_size"), options);
    assert_eq!(open(OnnxOptions::default().size([8, 9])).unwrap().input().shape(), [3, 8, 9]);
    let other = Network::from_onnx(file("residual"), OnnxOptions::default().size([41, 53])).unwrap_err().to_string();
    assert!(other.contains("width of 52") && other.contains("53"), "{other}");
    let net = open(OnnxOptions::default().size([8, 9]).resize(20)).unwrap();
    assert_eq!(net.input(), &Input::Image { shape: [3, 8, 9], resize: 20 });
}

#[test]
fn invalid_options_are_errors() {
    let message = |result: metamers::Result<OnnxOptions>| result.unwrap_err().to_string();
    assert!(message(OnnxOptions::default().normalize(&[0.5; 3], &[0.5; 2])).contains("for each channel"));
    assert!(message(OnnxOptions::default().normalize(&[0.5; 3], &[0.5, 0.0, 0.5])).contains("other than 0"));
    assert!(message(OnnxOptions::default().normalize(&[f32::NAN; 3], &[0.5; 3])).contains("finite"));
    assert!(message(OnnxOptions::default().range(1.0, 1.0)).contains("different"));
    let two = OnnxOptions::default().normalize(&[0.5; 2], &[0.5; 2]).unwrap();
    let error = Network::from_onnx(file("residual"), two).unwrap_err().to_string();
    assert!(error.contains("3 channels") && error.contains("2 means"), "{error}");
}

#[test]
fn unsupported_files_are_errors_with_name_and_position() {
    let expected = json("onnx/refused.json");
    let expected = expected.as_object().unwrap();
    assert!(expected.len() >= 30);
    for (name, parts) in expected {
        let error =
            Network::from_onnx(file(&format!("refused/{name}")), OnnxOptions::default()).unwrap_err().to_string();
        println!("{error}");
        assert!(error.contains(&format!("{name}.onnx")), "{error}");
        for part in parts.as_array().unwrap() {
            assert!(error.contains(part.as_str().unwrap()), "{name}: {error}");
        }
    }
}

/// Returns whether opening a file of these bytes is an error.
fn is_rejected(path: &Path, bytes: &[u8]) -> bool {
    std::fs::write(path, bytes).unwrap();
    match Network::from_onnx(path, OnnxOptions::default()) {
        Ok(net) => {
            assert!(!net.stages().is_empty());
            false
        }
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains("broken.onnx") || message.contains("stage"), "{message}");
            true
        }
    }
}

#[test]
fn damaged_files_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.onnx");
    assert!(is_rejected(&path, b""));
    assert!(is_rejected(&path, b"not an ONNX file at all"));
    assert!(is_rejected(&path, &[0xFF; 64]));
    assert!(Network::from_onnx(folder.path().join("none.onnx"), OnnxOptions::default()).is_err());
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let (mut tried, mut kept) = (0, 0);
    for name in ["residual", "mobile", "by_hand", "channels_last"] {
        let whole = std::fs::read(file(name)).unwrap();
        for _ in 0..100 {
            assert!(is_rejected(&path, &whole[..random.random_range(0..whole.len() * 9 / 10)]), "{name}, truncated");
        }
        for _ in 0..1500 {
            let mut bytes = whole.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..bytes.len());
                bytes[at] ^= 1 << random.random_range(0..8);
            }
            tried += 1;
            kept += usize::from(!is_rejected(&path, &bytes));
        }
    }
    println!("{kept} of {tried} damaged files open, because the damage is in a weight or a name");
    assert!(kept < tried);
}

/// A file of less than 2 KB: 26 concatenations of a tensor with itself and 40 products with a scalar, which need 20 GB as one value for
/// each channel.
#[test]
fn small_files_of_huge_networks_are_errors() {
    let error =
        |name: &str| Network::from_onnx(file(name), OnnxOptions::default().unchanged()).unwrap_err().to_string();
    let message = error("double");
    assert!(message.contains("double.onnx: node ") && message.contains("much larger than the file"), "{message}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.onnx");
    // Nodes without content: two bytes each, and a hundred in memory.
    let nodes = b"\x0A\x00".repeat(1 << 21);
    let length = [0x80, 0x80, 0x80, 0x02];
    std::fs::write(&path, [&[0x3A], &length[..], &nodes].concat()).unwrap();
    let message = Network::from_onnx(&path, OnnxOptions::default()).unwrap_err().to_string();
    assert!(message.contains("messages"), "{message}");
    std::fs::write(&path, "<!doctype html><title>Sign in</title>").unwrap();
    let message = Network::from_onnx(&path, OnnxOptions::default()).unwrap_err().to_string();
    assert!(message.contains("is an HTML page (\"Sign in\")"), "{message}");
}

const MAKE_PUBLISHED: &str = "python scripts/reference/onnx_real.py";

/// Compares all stages of a published network with onnxruntime; `None` if its file does not exist.
fn compare_published(name: &str, options: OnnxOptions) -> Option<Network> {
    let path = optional(&format!("target/onnx/{name}.onnx"), MAKE_PUBLISHED)?;
    let expected = optional(&format!("target/onnx/{name}.safetensors"), MAKE_PUBLISHED)?;
    let expected = metamers::candle::safetensors::load(expected, &Device::Cpu).unwrap();
    let started = std::time::Instant::now();
    let net = Network::from_onnx(path, options).unwrap();
    println!("{name}: read in {:.2} s", started.elapsed().as_secs_f64());
    assert_eq!(net.stages().len() + 1, expected.len());
    let x = &expected["x"];
    let mut worst = [0f64; 2];
    for stage in net.stages() {
        let expected = flat(&expected[&format!(":{}", stage.name)]);
        let plain = net.forward_to(&stage.name, x).unwrap();
        let compiled = Compiled::new(&net, &stage.name).unwrap().apply(x).unwrap();
        for (i, y) in [plain, compiled].iter().enumerate() {
            let off = relative(&flat(y), &expected);
            assert!(off < 1e-4, "{name}, {}: off by {off}", stage.name);
            worst[i] = worst[i].max(off);
        }
    }
    println!(
        "{name}, {} stages: plain off by at most {:.1e}, compiled by {:.1e}",
        net.stages().len(),
        worst[0],
        worst[1]
    );
    Some(net)
}

#[test]
fn open_nsfw_equals_onnxruntime() {
    let options =
        OnnxOptions::default().normalize(&[104.0, 117.0, 123.0].map(|mean| mean / 255.0), &[1.0 / 255.0; 3]).unwrap();
    let options = options.bgr().classes(["safe", "not safe"]);
    let Some(net) = compare_published("open-nsfw", options) else { return };
    let answer = net.classify(Image::open("photos/dog.jpg").unwrap(), 2).unwrap();
    println!("a dog: {answer:?}");
    assert_eq!(answer.top().name, "safe");
}

#[test]
fn the_trunk_of_a_word_network_equals_onnxruntime() {
    compare_published("word_trunk", OnnxOptions::default().unchanged());
    let Some(whole) = optional("target/onnx/word_whole.onnx", MAKE_PUBLISHED) else { return };
    let error = Network::from_onnx(whole, OnnxOptions::default().unchanged()).unwrap_err().to_string();
    println!("{error}");
    assert!(error.contains("node 2 of 141, ReduceMin \"/ReduceMin\": the operator is not supported"), "{error}");
}
