//! Networks compiled up to several stages: values and gradients against float64 finite differences and the layer-by-layer run.

use crate::common::{flat, random_tensor, relative};
use metamers::candle::{Device, Tensor, Var};
use metamers::engine::Compiled;
use metamers::network::{Builder, Input, Layer, Network};
use metamers::ops::{AvgPool2d, ChannelAffine, Conv2d, Conv2dConfig, Linear, MaxPool2d, Padding, Relu, Window, vjp};
use metamers::prelude::zoo;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Values and gradient of random cotangents at all these stages, against the layer-by-layer run.
fn compare(net: &Network, stages: &[&str], batch: usize, random: &mut ChaCha8Rng) {
    compare_within(net, stages, batch, random, 1e-4);
}

fn compare_within(net: &Network, stages: &[&str], batch: usize, random: &mut ChaCha8Rng, gradient_error: f64) {
    let shape: Vec<usize> = std::iter::once(batch).chain(net.input().shape()).collect();
    let x = random_tensor(&shape, random).affine(0.5, 0.5).unwrap();
    let compiled = Compiled::at_stages(net, stages).unwrap();
    let rectifiers: Vec<Option<Relu>> = compiled.taps().iter().map(|tap| tap.relu).collect();
    let var = Var::from_tensor(&x).unwrap();
    let expected: Vec<Tensor> = stages.iter().map(|stage| net.forward_to(stage, &var).unwrap()).collect();
    let cotangents: Vec<Tensor> = expected.iter().map(|y| random_tensor(y.dims(), random)).collect();
    let mut sum = vec![0.0; flat(&x).len()];
    for (y, cotangent) in expected.iter().zip(&cotangents) {
        let gradient = flat(&vjp(y, cotangent, &var).unwrap());
        sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
    }
    let found = compiled.evaluate(&flat(&x), |z, gradient| {
        // The outputs are values before rectifiers, whose gradients a caller applies.
        let (mut first, mut values) = (0, vec![]);
        for ((y, cotangent), rectifier) in expected.iter().zip(&cotangents).zip(&rectifiers) {
            let count = y.elem_count();
            let (z, g) = (&z[first..first + count], &mut gradient[first..first + count]);
            for ((g, u), &z) in g.iter_mut().zip(flat(cotangent)).zip(z) {
                *g = if rectifier.is_none_or(|relu| relu.passes(z)) { u } else { 0.0 };
            }
            values.push(z.iter().map(|&z| rectifier.map_or(z, |relu| relu.value(z))).collect::<Vec<f32>>());
            first += count;
        }
        assert_eq!(first, z.len());
        values
    });
    let found = found.unwrap();
    for ((values, expected), stage) in found.value.iter().zip(&expected).zip(stages) {
        let off = relative(values, &flat(expected));
        assert!(off < 1e-5, "{net:?} at {stages:?}, batch {batch}: values at {stage} are off by {off}");
    }
    let off = relative(&found.gradient, &sum);
    assert!(off < gradient_error, "{net:?} at {stages:?}, batch {batch}: the gradient is off by {off}");
}

/// Every pair of stages of a network with taps where layers would otherwise be fused or share memory.
#[test]
fn pairs_of_stages_equal_the_layer_by_layer_run() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let same = Conv2dConfig { padding: Padding::all(1), ..Default::default() };
    let mut b = Builder::new("taps", Input::Image { shape: [3, 13, 10], resize: 13 });
    let mut tensor = |shape: &[usize]| random_tensor(shape, &mut random);
    let affine = ChannelAffine::new(&[2.0, 0.5, 1.0], &[-1.0, 0.1, 0.0]).unwrap();
    let scaled = b.channel_affine(b.input(), affine).unwrap();
    let conv = |weight: &Tensor| Conv2d::new(weight, None, same).unwrap();
    let z1 = b.conv2d(scaled, conv(&tensor(&[20, 3, 3, 3]))).unwrap();
    let a1 = b.relu(z1, Relu::UNBOUNDED).unwrap();
    let z2 = b.conv2d(a1, conv(&tensor(&[20, 20, 3, 3]))).unwrap();
    let sum = b.add(a1, z2).unwrap();
    let a2 = b.relu(sum, Relu::RELU6).unwrap();
    let pool = b.max_pool2d(a2, MaxPool2d::new(Window::square(2).stride(2))).unwrap();
    let mean = b.avg_pool2d(a2, AvgPool2d::new(Window::square(2).stride(2))).unwrap();
    let both = b.layer(Layer::Concat, &[pool, mean]).unwrap();
    let z3 = b.conv2d(both, conv(&tensor(&[6, 40, 3, 3]))).unwrap();
    let vector = b.layer(Layer::Flatten, &[z3]).unwrap();
    let a3 = b.relu(vector, Relu::UNBOUNDED).unwrap();
    let count = b.shape(a3).unwrap()[0];
    let fc = b.linear(a3, Linear::new(&tensor(&[7, count]), None).unwrap()).unwrap();
    let nodes = [
        ("input", b.input()),
        ("scaled", scaled),
        ("z1", z1),
        ("a1", a1),
        ("z2", z2),
        ("sum", sum),
        ("a2", a2),
        ("pool", pool),
        ("mean", mean),
        ("concat", both),
        ("z3", z3),
        ("vector", vector),
        ("a3", a3),
        ("fc", fc),
    ];
    for (name, node) in nodes {
        b.stage(name, node).unwrap();
    }
    let net = b.finish().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(4);
    for (i, (first, _)) in nodes.iter().enumerate() {
        for (second, _) in &nodes[i + 1..] {
            compare(&net, &[first, second], 1, &mut random);
        }
    }
    let all: Vec<&str> = nodes.iter().map(|(name, _)| *name).collect();
    compare(&net, &all, 3, &mut random);
    compare(&net, &["fc", "a1", "sum"], 2, &mut random);
}

#[test]
fn stages_of_zoo_networks_equal_the_layer_by_layer_run() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let net = zoo::efficientnet_lite0().unwrap();
    // Rounding flips some of the ReLUs, as in equals_layer_by_layer.rs.
    compare_within(&net, &["stem", "block2", "block5"], 1, &mut random, 5e-3);
    compare_within(&net, &["block1", "block10", "logits"], 2, &mut random, 5e-3);
}

/// A convolution, a rectifier, a strided convolution, a rectifier and a linear layer in double precision.
struct Reference {
    weights: [Vec<f64>; 3],
}

const SIZE: [usize; 2] = [6, 5];

impl Reference {
    fn conv(x: &[f64], weight: &[f64], [inputs, outputs]: [usize; 2], size: [usize; 2], stride: usize) -> Vec<f64> {
        let out = size.map(|n| (n - 1) / stride + 1);
        let mut y = vec![0.0; outputs * out[0] * out[1]];
        for (at, y) in y.iter_mut().enumerate() {
            let (o, row, column) = (at / (out[0] * out[1]), at / out[1] % out[0], at % out[1]);
            for (i, r, c) in (0..inputs).flat_map(|i| (0..9).map(move |tap| (i, tap / 3, tap % 3))) {
                let inside = |at: usize, n: usize| at.checked_sub(1).filter(|&at| at < n);
                let (Some(v), Some(h)) = (inside(row * stride + r, size[0]), inside(column * stride + c, size[1]))
                else {
                    continue;
                };
                *y += weight[(o * inputs + i) * 9 + r * 3 + c] * x[(i * size[0] + v) * size[1] + h];
            }
        }
        y
    }

    /// The values before the first rectifier, before the second, and of the linear layer.
    fn values(&self, x: &[f64]) -> Vec<f64> {
        let relu = |z: &[f64]| z.iter().map(|z| z.max(0.0)).collect::<Vec<f64>>();
        let z1 = Self::conv(x, &self.weights[0], [2, 4], SIZE, 1);
        let z2 = Self::conv(&relu(&z1), &self.weights[1], [4, 3], SIZE, 2);
        let a2 = relu(&z2);
        let fc = self.weights[2].chunks(a2.len()).map(|row| row.iter().zip(&a2).map(|(w, a)| w * a).sum());
        let fc: Vec<f64> = fc.collect();
        [z1, z2, fc].concat()
    }
}

#[test]
fn the_gradient_of_several_taps_equals_float64_finite_differences() {
    let mut random = ChaCha8Rng::seed_from_u64(6);
    let weights = [vec![4, 2, 3, 3], vec![3, 4, 3, 3], vec![5, 27]].map(|shape| random_tensor(&shape, &mut random));
    let doubles = |t: &Tensor| flat(t).iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    let reference = Reference { weights: [0, 1, 2].map(|i| doubles(&weights[i])) };
    let mut b = Builder::new("reference", Input::Image { shape: [2, SIZE[0], SIZE[1]], resize: 6 });
    let config = |stride| Conv2dConfig { stride: [stride; 2], padding: Padding::all(1), ..Default::default() };
    let z = b.conv2d(b.input(), Conv2d::new(&weights[0], None, config(1)).unwrap()).unwrap();
    let a = b.relu(z, Relu::UNBOUNDED).unwrap();
    b.stage("relu1", a).unwrap();
    let z = b.conv2d(a, Conv2d::new(&weights[1], None, config(2)).unwrap()).unwrap();
    let a = b.relu(z, Relu::UNBOUNDED).unwrap();
    b.stage("relu2", a).unwrap();
    let a = b.layer(Layer::Flatten, &[a]).unwrap();
    let fc = b.linear(a, Linear::new(&weights[2], None).unwrap()).unwrap();
    b.stage("fc", fc).unwrap();
    let net = b.finish().unwrap();
    let x = flat(&random_tensor(&[60], &mut random));
    let exact: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
    let count = reference.values(&exact).len();
    let cotangent = flat(&random_tensor(&[count], &mut random));
    let compiled = Compiled::at_stages(&net, ["relu1", "relu2", "fc"]).unwrap();
    let found = compiled.evaluate(&x, |z, gradient| {
        gradient.copy_from_slice(&cotangent);
        z.to_vec()
    });
    let found = found.unwrap();
    let expected: Vec<f32> = reference.values(&exact).iter().map(|&v| v as f32).collect();
    assert!(relative(&found.value, &expected) < 1e-6);
    let objective =
        |x: &[f64]| -> f64 { reference.values(x).iter().zip(&cotangent).map(|(z, &u)| z * f64::from(u)).sum() };
    let difference = |i: usize| {
        let at = |h: f64| {
            let mut x = exact.clone();
            x[i] += h;
            objective(&x)
        };
        ((at(1e-7) - at(-1e-7)) / 2e-7) as f32
    };
    let differences: Vec<f32> = (0..60).map(difference).collect();
    let off = relative(&found.gradient, &differences);
    assert!(off < 1e-5, "the gradient is off by {off}");
}

/// The mean of each channel of an image of 4 x 4 pixels.
fn means() -> Network {
    let mut b = Builder::new("means", Input::Image { shape: [3, 4, 4], resize: 4 });
    let mean = b.global_avg_pool(b.input()).unwrap();
    b.stage("mean", mean).unwrap();
    b.finish().unwrap()
}

#[test]
fn a_function_that_evaluates_its_own_network_gets_an_error() {
    let net = means();
    let (compiled, again) = (Compiled::new(&net, "mean").unwrap(), Compiled::new(&net, "mean").unwrap());
    let (clone, x) = (compiled.clone(), [0.5f32; 48]);
    let tensor = Tensor::from_slice(&x, (1, 3, 4, 4), &Device::Cpu).unwrap();
    let evaluated = compiled.evaluate(&x, |z, gradient| {
        gradient.fill(1.0);
        assert_eq!(again.values(&x).unwrap(), z);
        let errors = [clone.values(&x).err(), clone.evaluate(&x, |_, _| ()).err(), clone.apply(&tensor).err()];
        errors.map(|error| error.unwrap().to_string())
    });
    for message in evaluated.unwrap().value {
        assert!(message.starts_with("means: is in use by the evaluation that calls"), "{message}");
    }
    let evaluated = clone.evaluate(&x, |z, gradient| {
        gradient.fill(0.0);
        z.len()
    });
    assert_eq!(format!("{:?}", evaluated.unwrap()), "Evaluated(3, gradient of 48 values)");
}

#[test]
fn a_network_can_be_evaluated_after_a_panic_in_its_function() {
    let compiled = Compiled::new(&means(), "mean").unwrap();
    let panics = || compiled.evaluate(&[0.5; 48], |_, _| -> f64 { panic!("a function of the user") }).is_ok();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
    assert_eq!(compiled.values(&[0.5; 48]).unwrap(), [0.5; 3]);
}

#[test]
fn stages_are_checked() {
    let net = zoo::efficientnet_lite0().unwrap();
    let error = Compiled::at_stages(&net, Vec::<String>::new()).unwrap_err().to_string();
    assert!(error.contains("at least one"), "{error}");
    assert!(Compiled::at_stages(&net, ["stem", "blok2"]).unwrap_err().to_string().contains("block2"));
    let both = Compiled::at_stages(&net, ["stem", "block0"]).unwrap();
    let x = Tensor::zeros((1, 3, 224, 224), metamers::candle::DType::F32, &Device::Cpu).unwrap();
    assert!(both.apply(&x).unwrap_err().to_string().contains("stem and block0"));
}
