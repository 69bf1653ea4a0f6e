//! Activations and input gradients of Inception-V3, ResNet-101-V2 and CORnet-S at every stage, layer by layer and compiled, against
//! PyTorch with the same seeded weights (scripts/reference/zoo_with_gradients.py).

use crate::common::{assert_agrees, flat, json, relative, tensors};
use metamers::engine::Compiled;
use metamers::ops::vjp;
use metamers::prelude::*;

/// The image of the reference script.
fn image(side: usize) -> Var {
    let pixels: Vec<f32> = (0..3 * side * side).map(|i: usize| (i * 7919 % 1009) as f32 / 1009.0).collect();
    Var::from_vec(pixels, (1, 3, side, side), &Device::Cpu).unwrap()
}

/// The cotangent of the reference script.
fn cotangent(y: &Tensor) -> Tensor {
    let weights = (0..y.elem_count()).map(|i| (((i * 7919) % 1009) as f64 / 1008.0 - 0.5) as f32).collect();
    Tensor::from_vec(weights, y.shape(), &Device::Cpu).unwrap()
}

/// Maximum relative error of activations.
const VALUES: f64 = 1e-4;

/// Maximum relative error of the gradients of the first two stages.
const EARLY_GRADIENTS: f64 = 1e-4;

/// Maximum relative error of the gradients of later stages. Some of the millions of inputs of ReLUs and max pools are so near a kink
/// that rounding decides where the gradient passes: with activations equal to 3e-6, PyTorch's float32 gradients differ from float64
/// by up to 6.5e-3 (`float32` in the reference), depending on the image.
const GRADIENTS: f64 = 2e-2;

fn compare(key: &str, net: &Network, side: usize) {
    let (facts, samples) = (json("zoo_gradients.json"), tensors("zoo_gradients.safetensors"));
    let names: Vec<&str> = net.stages().iter().map(|s| s.name.as_str()).collect();
    let known = facts.as_object().unwrap().keys().filter(|k| k.starts_with(&format!("{key}."))).count();
    assert_eq!(known, 2 * names.len(), "{key}: the stages differ from those of the reference");
    let x = image(side);
    let plain = net.forward_to_each(&names, &x).unwrap();
    for (index, (stage, plain)) in names.into_iter().zip(plain).enumerate() {
        let limit = if index < 2 { EARLY_GRADIENTS } else { GRADIENTS };
        let compiled = Compiled::new(net, stage).unwrap().apply(&x).unwrap();
        let key = format!("{key}.{stage}");
        let mut off = vec![];
        let mut gradients = vec![];
        for (how, y) in [("plain", &plain), ("compiled", &compiled)] {
            off.push(assert_agrees(&format!("{key}, {how}"), &flat(y), &facts[&key], &samples[&key], VALUES));
            let gradient = flat(&vjp(y, &cotangent(y), &x).unwrap());
            let key = format!("{key}.gradient");
            off.push(assert_agrees(&format!("{key}, {how}"), &gradient, &facts[&key], &samples[&key], limit));
            gradients.push(gradient);
        }
        let values = relative(&flat(&compiled), &flat(&plain));
        assert!(values < VALUES, "{key}: the compiled run differs from the layer-by-layer run by {values}");
        let gradient = relative(&gradients[1], &gradients[0]);
        assert!(gradient < limit, "{key}: the compiled gradient differs from the layer-by-layer one by {gradient}");
        println!(
            "{key}: plain {:.1e}, gradient {:.1e}; compiled {:.1e}, gradient {:.1e}; difference {values:.1e}, gradient {gradient:.1e}",
            off[0], off[1], off[2], off[3]
        );
    }
}

#[test]
fn inception_v3_equals_pytorch() {
    let net = zoo::inception_v3_random(0).unwrap();
    assert_eq!(net.stage("Mixed_7c").unwrap().shape, [2048, 8, 8]);
    compare("inception_v3", &net, 299);
}

#[test]
#[ignore = "half a minute; Inception-v3 and CORnet-S are tested in each run"]
fn resnet101_v2_equals_pytorch() {
    let net = zoo::resnet101_v2_random(0).unwrap();
    assert_eq!(net.classes().unwrap()[..2], ["background", "tench"]);
    compare("resnet101_v2", &net, 299);
}

#[test]
fn cornet_s_equals_pytorch() {
    let net = zoo::cornet_s_random(0).unwrap();
    // The published network has 53,416,616 parameters. Weights that the time steps of an area share count once, and batch
    // normalisation has two parameters a channel: there weight and bias, here scale and shift.
    let input_normalization = 6;
    assert_eq!(net.num_parameters(), 53_416_616 + input_normalization);
    compare("cornet_s", &net, 224);
}

#[test]
fn cornet_s_loads_the_published_tensor_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cornet_s.safetensors");
    let random = metamers::network::Checkpoint::random(0);
    let mut shapes = vec![("V1.conv1.weight", vec![64, 3, 7, 7]), ("V1.conv2.weight", vec![64, 64, 3, 3])]
        .into_iter()
        .map(|(name, shape)| (name.to_owned(), shape))
        .collect::<Vec<_>>();
    let mut norms = vec![("V1.norm1".to_owned(), 64), ("V1.norm2".to_owned(), 64)];
    for (area, inputs, outputs, times) in [("V2", 64, 128, 2), ("V4", 128, 256, 4), ("IT", 256, 512, 2)] {
        let wide = 4 * outputs;
        for (conv, shape) in [
            ("conv_input", [outputs, inputs, 1, 1]),
            ("skip", [outputs, outputs, 1, 1]),
            ("conv1", [wide, outputs, 1, 1]),
            ("conv2", [wide, wide, 3, 3]),
            ("conv3", [outputs, wide, 1, 1]),
        ] {
            shapes.push((format!("{area}.{conv}.weight"), shape.to_vec()));
        }
        norms.push((format!("{area}.norm_skip"), outputs));
        for time in 0..times {
            norms.extend([(1, wide), (2, wide), (3, outputs)].map(|(i, n)| (format!("{area}.norm{i}_{time}"), n)));
        }
    }
    for (name, channels) in norms {
        shapes.extend(
            ["weight", "bias", "running_mean", "running_var"].map(|part| (format!("{name}.{part}"), vec![channels])),
        );
    }
    shapes.extend([("decoder.linear.weight".into(), vec![1000, 512]), ("decoder.linear.bias".into(), vec![1000])]);
    let named = |(name, shape): (String, Vec<usize>)| {
        let tensor = random.tensor(&name, &shape).unwrap();
        (format!("module.{name}"), tensor)
    };
    let file: std::collections::HashMap<String, Tensor> = shapes.into_iter().map(named).collect();
    metamers::candle::safetensors::save(&file, &path).unwrap();
    let [from_file, random] = [zoo::cornet_s_from(&path).unwrap(), zoo::cornet_s_random(0).unwrap()];
    drop(folder);
    assert_eq!(from_file.num_parameters(), random.num_parameters());
    let x = image(224);
    let [here, there] = [&from_file, &random].map(|net| flat(&net.forward_to("V2", &x).unwrap()));
    assert_eq!(here, there);
}
