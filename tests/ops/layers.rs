//! Concat, flatten, linear and normalize against direct arithmetic, and empty batches.

use crate::common::flat;
use metamers::network::{Builder, Input, Layer};
use metamers::ops::{
    AvgPool2d, ChannelAffine, Conv2d, Conv2dConfig, Frozen, Linear, MaxPool2d, Padding, Relu, Window, vjp,
};
use metamers::prelude::*;

fn input() -> Input {
    Input::Image { shape: [2, 4, 3], resize: 4 }
}

/// Distinct values, none of them at the kink of a ReLU.
fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i as f32 * 0.37).sin()).collect()
}

fn batch(n: usize) -> Var {
    Var::from_tensor(&Tensor::from_vec(values(n * 24), (n, 2, 4, 3), &Device::Cpu).unwrap()).unwrap()
}

#[test]
fn concat_joins_inputs_along_the_channel_axis() {
    let mut b = Builder::new("joined", input());
    let relu = b.relu(b.input(), Relu::UNBOUNDED).unwrap();
    let joined = b.layer(Layer::Concat, &[b.input(), relu, b.input()]).unwrap();
    b.stage("joined", joined).unwrap();
    let net = b.finish().unwrap();
    assert_eq!(net.stage("joined").unwrap().shape, [6, 4, 3]);
    let x = batch(2);
    let y = net.forward_to("joined", &x).unwrap();
    let x_values = flat(&x);
    let expected: Vec<f32> = x_values
        .chunks(24)
        .flat_map(|x| {
            let relu: Vec<f32> = x.iter().map(|v| v.max(0.0)).collect();
            [x, &relu, x].concat()
        })
        .collect();
    assert_eq!(flat(&y), expected);
    // Each input has three paths to the output; the ReLU blocks the second where it is negative.
    let cotangent = Tensor::from_vec(values(144), (2, 6, 4, 3), &Device::Cpu).unwrap();
    let gradient = flat(&vjp(&y, &cotangent, &x).unwrap());
    for (i, (&g, &x)) in gradient.iter().zip(&x_values).enumerate() {
        let path = |k: usize| values(144)[i / 24 * 72 + k * 24 + i % 24];
        let expected = path(0) + if x > 0.0 { path(1) } else { 0.0 } + path(2);
        assert!((g - expected).abs() < 1e-6, "{i}: {g}, expected {expected}");
    }
}

#[test]
fn concat_rejects_mismatched_shapes_and_empty_lists() {
    let mut b = Builder::new("joined", input());
    let pooled = b.max_pool2d(b.input(), MaxPool2d::new(Window::square(2))).unwrap();
    let error = b.layer(Layer::Concat, &[b.input(), pooled]).unwrap_err().to_string();
    assert!(error.contains("concat") && error.contains("[2, 3, 2]"), "{error}");
    assert!(b.layer(Layer::Concat, &[]).is_err());
}

#[test]
fn flatten_is_row_major_with_an_unbounded_receptive_field() {
    let weight = Tensor::from_vec(values(72), (3, 24), &Device::Cpu).unwrap();
    let mut b = Builder::new("flat", input());
    let flattened = b.layer(Layer::Flatten, &[b.input()]).unwrap();
    b.stage("flat", flattened).unwrap();
    let bias = Tensor::new(&[0.5f32, -0.5, 1.0], &Device::Cpu).unwrap();
    let out = b.linear(flattened, Linear::new(&weight, Some(&bias)).unwrap()).unwrap();
    b.stage("out", out).unwrap();
    let net = b.finish().unwrap();
    let (flat_stage, out) = (net.stage("flat").unwrap(), net.stage("out").unwrap());
    assert_eq!((flat_stage.shape.as_slice(), flat_stage.receptive_field.size), ([24].as_slice(), None));
    assert_eq!((out.num_parameters, out.macs), (75, 72), "bias additions do not count");
    let x = batch(2);
    assert_eq!(flat(&net.forward_to("flat", &x).unwrap()), flat(&x));
    let y = flat(&net.forward_to("out", &x).unwrap());
    let (x, w) = (flat(&x), flat(&weight));
    for (i, (&y, b)) in y.iter().zip([0.5, -0.5, 1.0, 0.5, -0.5, 1.0]).enumerate() {
        let (x, w) = (&x[i / 3 * 24..][..24], &w[i % 3 * 24..][..24]);
        let sum: f64 = x.iter().zip(w).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
        assert!((f64::from(y) - sum - b).abs() < 1e-5, "{i}");
    }
}

#[test]
fn normalize_subtracts_the_mean_and_divides_by_the_deviation() {
    // ImageNet's mean and standard deviation, from torchvision.
    let (mean, deviation) = ([0.485f32, 0.456, 0.406], [0.229f32, 0.224, 0.225]);
    let op = ChannelAffine::normalize(&mean, &deviation).unwrap();
    let x = Tensor::from_vec(values(2 * 3 * 5), (2, 3, 5, 1), &Device::Cpu).unwrap();
    let y = flat(&op.apply(&x).unwrap());
    for (i, (y, x)) in y.iter().zip(flat(&x)).enumerate() {
        let channel = i / 5 % 3;
        let expected = (x - mean[channel]) / deviation[channel];
        assert!((y - expected).abs() < 1e-5, "{i}: {y}, expected {expected}");
    }
    assert!(ChannelAffine::normalize(&mean, &deviation[..2]).unwrap_err().to_string().contains("3 and 2"));
    assert!(ChannelAffine::normalize(&mean[..2], &deviation).is_err());
    assert!(ChannelAffine::normalize(&mean, &[1.0, 0.0, 1.0]).unwrap_err().to_string().contains("must not be 0"));
}

#[test]
fn every_layer_accepts_an_empty_batch() {
    let weight = |shape: &[usize]| Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap();
    let same = Conv2dConfig { padding: Padding::all(1), ..Default::default() };
    let mut b = Builder::new("all", input());
    let scaled = b.channel_affine(b.input(), ChannelAffine::new(&[2.0; 2], &[1.0; 2]).unwrap()).unwrap();
    let x = b.conv2d(scaled, Conv2d::new(&weight(&[2, 2, 3, 3]), Some(&weight(&[2])), same).unwrap()).unwrap();
    let grouped = Conv2dConfig { groups: 2, ..same };
    let x = b.conv2d(x, Conv2d::new(&weight(&[2, 1, 3, 3]), None, grouped).unwrap()).unwrap();
    let x = b.conv2d(x, Conv2d::new(&weight(&[2, 2, 1, 1]), None, Conv2dConfig::default()).unwrap()).unwrap();
    let x = b.relu(x, Relu::RELU6).unwrap();
    let x = b.add(x, scaled).unwrap();
    let x = b.layer(Layer::Concat, &[x, scaled]).unwrap();
    let x = b.max_pool2d(x, MaxPool2d::new(Window::square(2))).unwrap();
    let x = b.avg_pool2d(x, AvgPool2d::new(Window::square(2))).unwrap();
    b.stage("pooled", x).unwrap();
    let mean = b.global_avg_pool(x).unwrap();
    b.stage("mean", mean).unwrap();
    let x = b.layer(Layer::Flatten, &[x]).unwrap();
    let x = b.linear(x, Linear::new(&weight(&[5, 8]), None).unwrap()).unwrap();
    b.stage("out", x).unwrap();
    let net = b.finish().unwrap();
    let empty = Var::from_tensor(&Tensor::zeros((0, 2, 4, 3), DType::F32, &Device::Cpu).unwrap()).unwrap();
    for (stage, shape) in [("pooled", vec![0, 4, 2, 1]), ("mean", vec![0, 4]), ("out", vec![0, 5])] {
        let y = net.forward_to(stage, &empty).unwrap();
        assert_eq!(y.dims(), shape, "{stage}");
        assert_eq!(vjp(&y, &y, &empty).unwrap().dims(), [0, 2, 4, 3], "{stage}");
    }
    assert_eq!(net.forward_to("out", &batch(2)).unwrap().dims(), [2, 5]);
}
