//! Accumulated rounding error of the compiled engine in networks of published depth and width.
//!
//! If no preactivation is near zero, values and gradients differ by rounding alone. In a real network some preactivations are so
//! near zero that rounding decides whether the ReLU is active, and the gradient differs by more.

use crate::common::{flat, random_tensor, relative};
use metamers::candle::{Tensor, Var};
use metamers::engine::Compiled;
use metamers::network::{Builder, Input, Network, NodeId};
use metamers::ops::{AvgPool2d, Conv2d, Conv2dConfig, Frozen, Padding, Relu, Window, vjp};
use metamers::prelude::{Noise, Sound, zoo};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The relative errors of the compiled values and gradient against the layer-by-layer run.
fn error(net: &Network, stage: &str, x: &Tensor, random: &mut ChaCha8Rng) -> [f64; 2] {
    let var = Var::from_tensor(x).unwrap();
    let expected = net.forward_to(stage, &var).unwrap();
    let cotangent = random_tensor(expected.dims(), random);
    let values = Compiled::new(net, stage).unwrap().apply(&var).unwrap();
    let [exact, ours] = [&expected, &values].map(|y| flat(&vjp(y, &cotangent, &var).unwrap()));
    let errors = [relative(&flat(&values), &flat(&expected)), relative(&ours, &exact)];
    println!("{net:?} {stage}: values {:.1e}, gradient {:.1e}", errors[0], errors[1]);
    errors
}

/// Builds a network together with the activations of one input, with biases that keep every preactivation away from zero.
struct MarginBuilder<'a> {
    b: Builder,
    random: &'a mut ChaCha8Rng,
}

/// A node, and its activations for the builder's input.
type Known = (NodeId, Tensor);

impl MarginBuilder<'_> {
    fn conv(&mut self, (node, x): &Known, outputs: usize, side: usize, stride: usize) -> Known {
        self.conv_and(*node, x, outputs, side, stride, None)
    }

    /// A convolution whose bias makes half of the channels positive everywhere and the others negative, after adding `other`.
    fn conv_and(
        &mut self,
        node: NodeId,
        x: &Tensor,
        outputs: usize,
        side: usize,
        stride: usize,
        other: Option<&Tensor>,
    ) -> Known {
        let config = Conv2dConfig { stride: [stride; 2], padding: Padding::all(side / 2), ..Conv2dConfig::default() };
        let inputs = x.dims()[1];
        let weight = random_tensor(&[outputs, inputs, side, side], self.random);
        let before = Conv2d::new(&weight, None, config).unwrap().apply(x).unwrap();
        let spread = before.sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
        let weight = (weight / f64::from(spread)).unwrap();
        let y = (before / f64::from(spread)).unwrap();
        let sum = other.map_or(y.clone(), |other| (&y + other).unwrap());
        let channels = sum.transpose(0, 1).unwrap().flatten_from(1).unwrap();
        let extremes = [channels.min(1).unwrap(), channels.max(1).unwrap()].map(|values| flat(&values));
        let bias = (0..outputs).map(|c| {
            let margin = 0.1 * (extremes[1][c] - extremes[0][c]);
            if c % 2 == 0 { margin - extremes[0][c] } else { -margin - extremes[1][c] }
        });
        let bias = Tensor::from_iter(bias, x.device()).unwrap();
        let conv = Conv2d::new(&weight, Some(&bias), config).unwrap();
        let y = y.broadcast_add(&bias.reshape((1, outputs, 1, 1)).unwrap()).unwrap();
        (self.b.conv2d(node, conv).unwrap(), y)
    }

    fn rectify(&mut self, (node, y): Known) -> Known {
        (self.b.relu(node, Relu::UNBOUNDED).unwrap(), y.relu().unwrap())
    }

    fn add(&mut self, (a, x): Known, (b, y): &Known) -> Known {
        (self.b.add(a, *b).unwrap(), (x + y).unwrap())
    }

    fn average(&mut self, (node, y): Known) -> Known {
        let pool = AvgPool2d::new(Window::square(2));
        (self.b.avg_pool2d(node, pool).unwrap(), pool.apply(&y).unwrap())
    }

    fn bottleneck(&mut self, x: Known, narrow: usize, stride: usize) -> Known {
        let wide = 4 * narrow;
        let y = self.conv(&x, narrow, 1, 1);
        let y = self.rectify(y);
        let y = self.conv(&y, narrow, 3, stride);
        let y = self.rectify(y);
        let shortcut = if x.1.dims()[1] == wide && stride == 1 { x } else { self.conv(&x, wide, 1, stride) };
        let y = self.conv_and(y.0, &y.1, wide, 1, 1, Some(&shortcut.1));
        let y = self.add(y, &shortcut);
        self.rectify(y)
    }
}

fn margin_builder<'a>(name: &str, side: usize, random: &'a mut ChaCha8Rng) -> (MarginBuilder<'a>, Known) {
    let x = random_tensor(&[1, 3, side, side], random).affine(0.5, 0.5).unwrap();
    let b = Builder::new(name, Input::Image { shape: [3, side, side], resize: side });
    let node = b.input();
    (MarginBuilder { b, random }, (node, x))
}

/// Tolerances for rounding alone: a hundredth of the 1e-3 that one flipped ReLU can cause.
const ROUNDING: [f64; 2] = [1e-5, 3e-5];

fn assert_only_rounding(net: &Network, stages: &[&str], x: &Tensor, random: &mut ChaCha8Rng) {
    for stage in stages {
        let [values, gradient] = error(net, stage, x, random);
        assert!(values < ROUNDING[0] && gradient < ROUNDING[1], "{stage}: {values:.1e}, {gradient:.1e}");
    }
}

#[test]
#[ignore = "a minute; ResNet-50 is tested in each run"]
fn vgg19_without_flipped_relus_differs_by_rounding_only() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    // Average pools, because rounding also decides the argmax of a max pool with nearly equal values.
    let (mut d, input) = margin_builder("VGG-19 with average pools", 128, &mut random);
    let mut x = input.clone();
    for (group, (layers, channels)) in [2, 2, 4, 4, 4].into_iter().zip([64, 128, 256, 512, 512]).enumerate() {
        for layer in 0..layers {
            x = d.conv(&x, channels, 3, 1);
            x = d.rectify(x);
            if layer + 1 == layers {
                d.b.stage(format!("group{}", group + 1), x.0).unwrap();
            }
        }
        x = d.average(x);
    }
    let net = d.b.finish().unwrap();
    assert_only_rounding(&net, &["group2", "group5"], &input.1, &mut random);
}

#[test]
fn resnet50_without_flipped_relus_differs_by_rounding_only() {
    let mut random = ChaCha8Rng::seed_from_u64(12);
    let (mut d, input) = margin_builder("ResNet-50 with an average pool", 224, &mut random);
    let x = d.conv(&input, 64, 7, 2);
    let x = d.rectify(x);
    let mut x = d.average(x);
    for (group, blocks) in [3, 4, 6, 3].into_iter().enumerate() {
        for index in 0..blocks {
            x = d.bottleneck(x, 64 << group, if group > 0 && index == 0 { 2 } else { 1 });
        }
        d.b.stage(format!("layer{}", group + 1), x.0).unwrap();
    }
    let net = d.b.finish().unwrap();
    assert_only_rounding(&net, &["layer2", "layer4"], &input.1, &mut random);
}

#[test]
fn flipped_relus_cause_a_bounded_gradient_error() {
    let mut random = ChaCha8Rng::seed_from_u64(6);
    for (net, stages) in [
        (zoo::vgg19_random(1).unwrap(), ["conv1_2", "conv3_4", "conv5_4"]),
        (zoo::resnet50_random(1).unwrap(), ["conv1", "layer2", "layer4"]),
    ] {
        let x = (random_tensor(&[1, 3, 224, 224], &mut random).affine(0.5, 0.5)).unwrap();
        for stage in stages {
            assert_few_flipped_relus(&net, stage, &x, &mut random);
        }
    }
}

#[test]
fn hearing_networks_of_published_width_have_a_bounded_gradient_error() {
    let mut random = ChaCha8Rng::seed_from_u64(13);
    let noise = Sound::noise(20_000, 40_000, Noise::Pink { rms: 0.01 }, 1).unwrap().to_tensor().unwrap();
    let word = Sound::open("speech/november.wav").unwrap().prepare(20_000, 40_000).unwrap().to_tensor().unwrap();
    let x = (word + noise).unwrap();
    for (net, stage) in [(zoo::cochcnn9_random(1).unwrap(), "relu4"), (zoo::cochresnet50_random(1).unwrap(), "layer4")]
    {
        assert_few_flipped_relus(&net, stage, &x, &mut random);
    }
}

/// Values agree; of ten million ReLUs a few may flip, each with all of the gradient that passes through it. The gradients of
/// PyTorch in float32 differ from float64 by up to 1.2e-2: `scripts/gradient_error.py`, benches/README.md.
fn assert_few_flipped_relus(net: &Network, stage: &str, x: &Tensor, random: &mut ChaCha8Rng) {
    let [values, gradient] = error(net, stage, x, random);
    assert!(values < 1e-4, "{net:?}, {stage}: values are off by {values}");
    assert!(gradient < 1e-2, "{net:?}, {stage}: the gradient is off by {gradient}");
}
