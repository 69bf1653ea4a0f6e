//! AlexNet, VGG, ResNet and CochResNet50 give torchvision's activations at every stage, with the same seeded weights on both sides
//! (scripts/reference/zoo.py).

mod common;

use common::{data, flat, json, relative, tensors};
use metamers::network::Checkpoint;
use metamers::prelude::*;

fn projection(values: &[f32]) -> f64 {
    let weight = |i: usize| ((i * 7919) % 1009) as f64 / 1008.0 - 0.5;
    values.iter().enumerate().map(|(i, &v)| f64::from(v) * weight(i)).sum()
}

fn compare(name: &str, net: &Network) {
    let pixels: Vec<f32> = (0..3 * 224 * 224).map(|i: usize| (i * 7919 % 1009) as f32 / 1009.0).collect();
    let x = Tensor::from_vec(pixels, (1, 3, 224, 224), &Device::Cpu).unwrap();
    compare_stages(name, net, |stage| metamers::engine::Compiled::new(net, stage).unwrap().apply(&x).unwrap());
}

fn compare_stages(name: &str, net: &Network, activations: impl Fn(&str) -> Tensor) {
    let (facts, samples) = (json("zoo.json"), tensors("zoo.safetensors"));
    let facts = facts[name].as_object().unwrap();
    let stages: Vec<&str> = net.stages().iter().map(|s| s.name.as_str()).collect();
    assert_eq!(stages.len(), facts.len(), "{name}: a stage is missing here or there");
    for stage in stages {
        let values = flat(&activations(stage));
        let fact = &facts[stage];
        let count: u64 = fact["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).product();
        assert_eq!(values.len() as u64, count, "{name}, {stage}");
        let sample: Vec<f32> =
            values.iter().step_by(fact["stride"].as_u64().unwrap() as usize).take(128).copied().collect();
        let off = relative(&sample, &flat(&samples[&format!("{name}.{stage}")]));
        assert!(off < 1e-4, "{name}, {stage}: off by {off}");
        let size = fact["norm"].as_f64().unwrap();
        let off = (projection(&values) - fact["projection"].as_f64().unwrap()).abs() / size;
        assert!(off < 1e-4, "{name}, {stage}: the whole is off by {off}");
    }
}

#[test]
fn alexnet() {
    compare("alexnet", &zoo::alexnet_random(0).unwrap());
}

#[test]
fn vgg16() {
    compare("vgg16", &zoo::vgg16_random(0).unwrap());
}

#[test]
fn vgg19() {
    compare("vgg19", &zoo::vgg19_random(0).unwrap());
}

#[test]
fn resnet50() {
    compare("resnet50", &zoo::resnet50_random(0).unwrap());
}

#[test]
fn resnet101() {
    compare("resnet101", &zoo::resnet101_random(0).unwrap());
}

#[test]
fn cochresnet50() {
    let net = zoo::cochresnet50_random(0).unwrap();
    let sizes = [
        ("cochleagram", vec![1, 211, 390]),
        ("conv1", vec![64, 106, 195]),
        ("layer1", vec![256, 53, 98]),
        ("layer2", vec![512, 27, 49]),
        ("layer3", vec![1024, 14, 25]),
        ("layer4", vec![2048, 7, 13]),
        ("avgpool", vec![2048]),
        ("final", vec![794]),
    ];
    let found: Vec<(&str, Vec<usize>)> = net.stages().iter().map(|s| (s.name.as_str(), s.shape.clone())).collect();
    assert_eq!(found, sizes);
    let word = tensors("hearing.safetensors")["speech.waveform"].unsqueeze(0).unwrap();
    compare_stages("cochresnet50", &net, |stage| net.forward_to(stage, &word).unwrap());
}

#[test]
fn zip_checkpoints_of_pytorch_are_read() {
    let weights = Checkpoint::open(data("tiny.pth")).unwrap();
    assert_eq!(weights.names(), ["conv.weight"]);
    let tensor = weights.tensor("conv.weight", &[2, 2, 1, 3]).unwrap();
    assert_eq!(flat(&tensor), (0..12).map(|i| i as f32).collect::<Vec<_>>());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.pth");
    let bytes = std::fs::read(data("tiny.pth")).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(Checkpoint::open(&path).err().unwrap().to_string().contains("cut.pth"));
}
