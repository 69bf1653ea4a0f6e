//! Weights from files: each loader gives the activations of the same seeded weights; wrapped and legacy checkpoints.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output};

use crate::common::{data, flat, optional, seeded_file, state_dict, tensors};
use metamers::candle;
use metamers::engine::Compiled;
use metamers::network::Checkpoint;
use metamers::prelude::*;

/// The name and the values of the last stage for a fixed input.
fn last(net: &Network) -> (String, Vec<f32>) {
    let stage = &net.stages().last().unwrap().name;
    let shape: Vec<usize> = std::iter::once(1).chain(net.input().shape()).collect();
    let values = match shape.len() {
        2 => flat(&tensors("hearing.safetensors")["speech.waveform"])[40_000 - shape[1]..].to_vec(),
        _ => (0..shape.iter().product()).map(|i: usize| (i * 7919 % 1009) as f32 / 1009.0).collect(),
    };
    let x = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
    (stage.clone(), flat(&Compiled::new(net, stage).unwrap().apply(&x).unwrap()))
}

/// Asserts that a network from a file of seeded weights equals the seeded network.
fn assert_loads(
    name: &str,
    shapes: Vec<(String, Vec<usize>)>,
    from: impl Fn(&Path) -> Result<Network>,
    random: &Network,
) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{name}.safetensors"));
    seeded_file(&path, shapes);
    let net = from(&path).unwrap();
    assert_eq!(net.weights_source().source, format!("{name}.safetensors"));
    assert_eq!(net.num_parameters(), random.num_parameters(), "{name}");
    let (here, there) = (last(&net), last(random));
    assert!(here.1.iter().any(|&v| v != 0.0) && here.1.iter().all(|v| v.is_finite()), "{name}");
    assert!(here == there, "{name}: {} differs between the file and the seed", here.0);
}

#[test]
fn alexnet_loads_from_a_file() {
    assert_loads("alexnet", state_dict("alexnet"), |p| zoo::alexnet_from(p), &zoo::alexnet_random(0).unwrap());
}

#[test]
fn vgg_loads_from_files_without_a_classifier() {
    let trunk = |name: &str| state_dict(name).into_iter().filter(|(name, _)| name.starts_with("features.")).collect();
    assert_loads("vgg16", trunk("vgg16"), |p| zoo::vgg16_from(p), &zoo::vgg16_random(0).unwrap());
    assert_loads("vgg19", trunk("vgg19"), |p| zoo::vgg19_from(p), &zoo::vgg19_random(0).unwrap());
}

#[test]
fn resnet_loads_from_files() {
    assert_loads("resnet50", state_dict("resnet50"), |p| zoo::resnet50_from(p), &zoo::resnet50_random(0).unwrap());
    assert_loads("resnet101", state_dict("resnet101"), |p| zoo::resnet101_from(p), &zoo::resnet101_random(0).unwrap());
}

#[test]
fn efficientnet_lite0_loads_from_a_file() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/networks/efficientnet_lite0.safetensors");
    let shapes = candle::safetensors::load(shipped, &Device::Cpu).unwrap();
    let shapes = shapes.into_iter().map(|(name, tensor)| (name, tensor.dims().to_vec())).collect();
    let random = zoo::efficientnet_lite0_random(0).unwrap();
    assert_loads("efficientnet_lite0", shapes, |p| zoo::efficientnet_lite0_from(p), &random);
    let (trained, other) = (zoo::efficientnet_lite0().unwrap(), zoo::efficientnet_lite0_random(1).unwrap());
    let layout = |net: &Network| net.stages().iter().map(|s| (s.name.clone(), s.shape.clone())).collect::<Vec<_>>();
    assert_eq!(layout(&random), layout(&trained));
    assert_eq!((random.name(), random.num_parameters()), (trained.name(), trained.num_parameters()));
    let weights = [&random, &trained, &other].map(|net| &net.weights_source().weights_sha256);
    assert!(weights[0] != weights[1] && weights[0] != weights[2], "{weights:?}");
    assert!(last(&random) != last(&other), "another seed");
}

#[test]
fn cochresnet50_loads_from_a_file() {
    let shapes = state_dict("cochresnet50");
    assert_loads("cochresnet50", shapes, |p| zoo::cochresnet50_from(p), &zoo::cochresnet50_random(0).unwrap());
}

#[test]
fn cochcnn9_has_the_published_widths_and_loads_from_a_file() {
    let random = zoo::cochcnn9_random(0).unwrap();
    let expected = [
        ("cochleagram", vec![1, 211, 390]),
        ("relu0", vec![96, 71, 130]),
        ("relu1", vec![256, 18, 33]),
        ("relu2", vec![512, 9, 17]),
        ("relu3", vec![1024, 9, 17]),
        ("relu4", vec![512, 9, 17]),
        ("avgpool", vec![512, 5, 9]),
        ("relufc", vec![4096]),
        ("final", vec![794]),
    ];
    let found: Vec<(&str, Vec<usize>)> = random.stages().iter().map(|s| (s.name.as_str(), s.shape.clone())).collect();
    assert_eq!(found, expected);
    let mut shapes = vec![
        ("conv0.weight", vec![96, 1, 7, 14]),
        ("conv1.weight", vec![256, 96, 4, 8]),
        ("conv2.weight", vec![512, 256, 2, 5]),
        ("conv3.weight", vec![1024, 512, 2, 5]),
        ("conv4.weight", vec![512, 1024, 2, 5]),
        ("fullyconnected.weight", vec![4096, 23_040]),
        ("fullyconnected.bias", vec![4096]),
        ("classification.weight", vec![794, 4096]),
        ("classification.bias", vec![794]),
    ];
    let norms: Vec<(String, usize)> = [1, 96, 256]
        .into_iter()
        .enumerate()
        .flat_map(|(i, n)| ["weight", "bias", "running_mean", "running_var"].map(|p| (format!("batchnorm{i}.{p}"), n)))
        .collect();
    shapes.extend(norms.iter().map(|(name, channels)| (name.as_str(), vec![*channels])));
    let shapes = shapes.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect();
    assert_loads("cochcnn9", shapes, |p| zoo::cochcnn9_from(p), &random);
}

#[test]
fn shipped_weights_converted_to_float64_give_the_same_activations() {
    let folder = tempfile::tempdir().unwrap();
    let assert_same = |name: &str, from: fn(&Path) -> Result<Network>, shipped: Network| {
        let file = format!("{name}.safetensors");
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/networks");
        let weights = candle::safetensors::load(assets.join(&file), &Device::Cpu).unwrap();
        let double = |(name, t): (String, Tensor)| (name, t.to_dtype(DType::F64).unwrap());
        let mut double: HashMap<String, Tensor> = weights.into_iter().map(double).collect();
        // Batch counts become floats with the weights; what lies outside the network's modules is not its own.
        for other in ["_bn0.num_batches_tracked", "conv1_BN.num_batches_tracked", "auxiliary.weight"] {
            double.insert(other.into(), Tensor::new(&[1.0f64], &Device::Cpu).unwrap());
        }
        candle::safetensors::save(&double, folder.path().join(&file)).unwrap();
        assert!(last(&from(&folder.path().join(&file)).unwrap()) == last(&shipped), "{name}");
    };
    assert_same("crepe_tiny", |p| zoo::crepe_from(p), zoo::crepe_tiny().unwrap());
    assert_same("efficientnet_lite0", |p| zoo::efficientnet_lite0_from(p), zoo::efficientnet_lite0().unwrap());
}

#[test]
fn wrapper_prefixes_of_attacker_models_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let opened = |names: &[&str]| {
        let path = folder.path().join("wrapped.safetensors");
        let at = |(i, name): (usize, &&str)| ((*name).to_owned(), Tensor::new(&[i as f32], &Device::Cpu).unwrap());
        candle::safetensors::save(&names.iter().enumerate().map(at).collect::<HashMap<_, _>>(), &path).unwrap();
        let weights = Checkpoint::open(&path).unwrap();
        let value = |name: &&str| flat(&weights.tensor(name, &[1]).unwrap())[0];
        weights.names().iter().map(|name| ((*name).to_owned(), value(name))).collect::<Vec<_>>()
    };
    let kept = |found: &[(String, f32)]| found.iter().map(|(n, v)| format!("{n} {v}")).collect::<Vec<_>>().join(", ");
    let attacker = opened(&[
        "module.attacker.model.conv1.weight",
        "module.model.conv1.weight",
        "module.normalizer.new_mean",
        "module.attacker.normalize.new_std",
        "module.model.fc.bias",
        "module.preproc.filters",
        "module.attacker.model.fc.bias",
    ]);
    assert_eq!(kept(&attacker), "conv1.weight 1, fc.bias 4");
    // Names of networks without a wrapper are kept.
    assert_eq!(kept(&opened(&["model.conv1.weight", "head.weight"])), "head.weight 1, model.conv1.weight 0");
    assert_eq!(kept(&opened(&["normalizer.weight", "conv1.weight"])), "conv1.weight 1, normalizer.weight 0");
    assert_eq!(kept(&opened(&["module.conv1.weight", "module.fc.bias"])), "conv1.weight 0, fc.bias 1");
}

#[test]
fn a_legacy_pytorch_checkpoint_is_an_error_with_a_conversion_command() {
    let message = Checkpoint::open(data("legacy.pth")).err().unwrap().to_string();
    assert!(message.contains("legacy.pth") && message.contains("before 1.6"), "{message}");
    assert!(message.contains("torch.save(torch.load("), "{message}");
}

#[test]
fn checkpoints_saved_by_pytorch_give_the_seeded_network() {
    let how = "python scripts/reference/checkpoints.py";
    let expected = last(&zoo::resnet50_random(0).unwrap());
    for file in ["resnet50.pth", "attacker.pth"] {
        let Some(path) = optional(&format!("target/checkpoints/{file}"), how) else { continue };
        assert!(last(&zoo::resnet50_from(path).unwrap()) == expected, "{file}");
        println!("{file}: bit-identical");
    }
}

#[test]
fn downloaded_trunks_hold_torchvisions_weights() {
    let how = "cargo lab --fetch";
    // The first weights of torchvision's files.
    let alexnet = ("assets/optional/alexnet.safetensors", [0.118_640, 0.094_069, 0.095_435]);
    let vgg16 = ("assets/optional/vgg16.safetensors", [-0.553_731, 0.142_705, 0.528_962]);
    for (i, (path, first)) in [alexnet, vgg16].into_iter().enumerate() {
        let Some(path) = optional(path, how) else { continue };
        let weights = Checkpoint::open(&path).unwrap();
        let shape = weights.shape("features.0.weight").unwrap().to_vec();
        let numbers = flat(&weights.tensor("features.0.weight", &shape).unwrap());
        assert!(
            numbers.iter().zip(first).all(|(a, b)| (a - b).abs() < 1e-6),
            "{:?}, expected {first:?}",
            &numbers[..3]
        );
        let net = if i == 0 { zoo::alexnet_from(&path) } else { zoo::vgg16_from(&path) }.unwrap();
        assert_eq!(net.stages().last().unwrap().name, "pool5");
        assert!(net.classes().is_none());
        let dog = net.prepare(Image::open("photos/dog.jpg").unwrap()).unwrap().to_tensor().unwrap();
        let pooled = flat(&net.forward_to("pool5", &dog).unwrap());
        // The last stage of a trained trunk is sparse: most units are inactive for a photo, but not all.
        let active = pooled.iter().filter(|&&v| v > 0.0).count() as f64 / pooled.len() as f64;
        println!("{}: {:.0} % of pool5 active", net.name(), 100.0 * active);
        assert!((0.02..0.6).contains(&active), "{}: {active}", net.name());
    }
}

/// The tests of optional files, in a child process that has or lacks the variable.
#[test]
fn a_missing_optional_file_skips_its_test_or_fails_it_if_it_is_required() {
    const FILE: &str = "assets/optional/none.safetensors";
    if std::env::var_os("METAMERS_TEST_OPTIONAL").is_some() {
        assert_eq!(optional(FILE, "cargo lab --fetch"), None);
        return;
    }
    for (required, skips) in [("0", true), ("1", false)] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "checkpoints::a_missing_optional_file_skips_its_test_or_fails_it_if_it_is_required"]);
        child.env("METAMERS_TEST_OPTIONAL", "1").env("METAMERS_REQUIRE_OPTIONAL", required);
        let Output { status, stdout, stderr } = child.output().unwrap();
        let text = String::from_utf8([stdout, stderr].concat()).unwrap();
        assert_eq!(status.success(), skips, "{text}");
        assert!(skips || (text.contains(FILE) && text.contains("cargo lab --fetch")), "{text}");
        assert!(text.contains("running 1 test"), "{text}");
    }
}

#[test]
fn a_missing_file_is_an_error_that_lists_the_searched_folders() {
    let message = Checkpoint::open("optional/none.safetensors").err().unwrap().to_string();
    assert!(message.contains("none.safetensors") && message.contains("shipped"), "{message}");
}

#[test]
fn huge_shapes_are_errors_without_overflow() {
    let random = Checkpoint::random(1);
    for shape in [vec![usize::MAX, 2], vec![0, usize::MAX, 2], vec![1 << 40]] {
        let message = random.tensor("x.weight", &shape).unwrap_err().to_string();
        assert!(message.contains("tensor \"x.weight\""), "{message}");
    }
    // An empty tensor, whose other sides are not limited by the size of the file.
    let header = r#"{"x":{"dtype":"F32","shape":[0,1099511627776,1099511627776],"data_offsets":[0,0]}}"#;
    let bytes = [(header.len() as u64).to_le_bytes().as_slice(), header.as_bytes()].concat();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.safetensors");
    std::fs::write(&path, bytes).unwrap();
    let message = Checkpoint::open(&path).unwrap_err().to_string();
    assert!(message.contains("huge.safetensors") && message.contains("invalid shape"), "{message}");
}
