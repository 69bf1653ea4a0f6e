//! Activations at every stage of AlexNet, VGG, ResNet and CochResNet50 against torchvision with the same seeded weights
//! (scripts/reference/zoo.py), and of CREPE against torchcrepe (scripts/reference/crepe.py).

use crate::common::{flat, json, relative, seeded_file, state_dict, tensors, waveforms};
use metamers::prelude::*;

fn compare(name: &str, net: &Network) {
    let pixels: Vec<f32> = (0..3 * 224 * 224).map(|i: usize| (i * 7919 % 1009) as f32 / 1009.0).collect();
    let x = Tensor::from_vec(pixels, (1, 3, 224, 224), &Device::Cpu).unwrap();
    compare_stages(name, net, |stage| metamers::engine::Compiled::new(net, stage).unwrap().apply(&x).unwrap());
}

fn compare_stages(name: &str, net: &Network, activations: impl Fn(&str) -> Tensor) {
    let (facts, samples) = (json("zoo.json"), tensors("zoo.safetensors"));
    let facts = facts[name].as_object().unwrap();
    let stages: Vec<&str> = net.stages().iter().map(|s| s.name.as_str()).collect();
    assert_eq!(stages.len(), facts.len(), "{name}: the stages differ from those of the reference");
    for stage in stages {
        let what = format!("{name}, {stage}");
        crate::common::assert_agrees(
            &what,
            &flat(&activations(stage)),
            &facts[stage],
            &samples[&format!("{name}.{stage}")],
            1e-4,
        );
    }
}

#[test]
fn alexnet_equals_pytorch() {
    compare("alexnet", &zoo::alexnet_random(0).unwrap());
}

#[test]
#[ignore = "a minute; VGG-19 is tested in each run"]
fn vgg16_with_classifier_equals_pytorch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vgg16.safetensors");
    seeded_file(&path, state_dict("vgg16"));
    let net = zoo::vgg16_from(&path).unwrap();
    drop(folder);
    compare("vgg16", &net);
}

#[test]
fn vgg19_equals_pytorch() {
    compare("vgg19", &zoo::vgg19_random(0).unwrap());
}

#[test]
fn resnet50_equals_pytorch() {
    compare("resnet50", &zoo::resnet50_random(0).unwrap());
}

#[test]
#[ignore = "half a minute; ResNet-50 is tested in each run"]
fn resnet101_equals_pytorch() {
    compare("resnet101", &zoo::resnet101_random(0).unwrap());
}

#[test]
fn cochresnet50_equals_pytorch() {
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
fn crepe_equals_torchcrepe() {
    let net = zoo::crepe_tiny().unwrap();
    let expected = tensors("crepe.safetensors");
    for (name, wave) in waveforms() {
        let frame = Tensor::from_slice(&wave[12_000..13_024], (1, 1024), &Device::Cpu).unwrap();
        for stage in net.stages() {
            let plain = net.forward_to(&stage.name, &frame).unwrap();
            let compiled = metamers::engine::Compiled::new(&net, &stage.name).unwrap().apply(&frame).unwrap();
            for (how, values) in [("plain", flat(&plain)), ("compiled", flat(&compiled))] {
                let sample: Vec<f32> = values.iter().step_by(7).copied().collect();
                let off = relative(&sample, &flat(&expected[&format!("{name}.{}", stage.name)]));
                assert!(off < 1e-4, "{name}, {}, {how}: off by {off}", stage.name);
                println!("{name}, {}, {how}: off by {off:.1e}", stage.name);
            }
        }
    }
}
