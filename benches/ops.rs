//! Measures single operations and whole steps: `cargo bench --bench ops [-- PART_OF_A_NAME]`.
//!
//! The operations are those of the layer-by-layer run, forward alone and with the gradient; the steps are those of the compiled network.

use divan::{Bencher, black_box};
use metamers::candle::{Device, Tensor, Var};
use metamers::engine::Compiled;
use metamers::ops::{AvgPool2d, Conv2d, Conv2dConfig, Frozen, MaxPool2d, Padding, Relu, Window, vjp};
use metamers::prelude::{networks::*, *};

fn main() {
    divan::main();
}

/// A tensor of deterministic values between -1 and 1.
fn tensor(shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|i| (i * 7919 % 2003) as f32 / 1001.0 - 1.0).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).expect("the number of values matches the shape")
}

fn conv(outputs: usize, depth: usize, kernel: usize, stride: usize, groups: usize) -> Conv2d {
    let padding = Padding::all(kernel / 2);
    let config = Conv2dConfig { stride: [stride; 2], padding, groups, ..Conv2dConfig::default() };
    Conv2d::new(&tensor(&[outputs, depth, kernel, kernel]), None, config).expect("a convolution")
}

/// Times the operation alone, and with the gradient of its input.
macro_rules! operation {
    ($name:ident, $op:expr, $shape:expr) => {
        mod $name {
            use super::*;

            #[divan::bench]
            fn forward(bencher: Bencher) {
                let (op, x) = ($op, tensor(&$shape));
                bencher.bench_local(|| black_box(op.apply(&x).expect("fits")));
            }

            #[divan::bench]
            fn forward_and_gradient(bencher: Bencher) {
                let (op, x) = ($op, Var::from_tensor(&tensor(&$shape)).expect("a tensor"));
                let cotangent = tensor(op.apply(&x).expect("fits").dims());
                bencher.bench_local(|| {
                    let y = op.apply(&x).expect("fits");
                    black_box(vjp(&y, &cotangent, &x).expect("depends on x"))
                });
            }
        }
    };
}

operation!(convolution_1x1, conv(256, 64, 1, 1, 1), [1, 64, 56, 56]);
operation!(convolution_3x3, conv(128, 128, 3, 1, 1), [1, 128, 28, 28]);
operation!(convolution_7x7_stride_2, conv(64, 3, 7, 2, 1), [1, 3, 224, 224]);
operation!(depthwise_3x3, conv(144, 1, 3, 1, 144), [1, 144, 56, 56]);
operation!(depthwise_5x5_stride_2, conv(240, 1, 5, 2, 240), [1, 240, 28, 28]);
operation!(max_pool_3x3, MaxPool2d::new(Window::square(3).stride(2)), [1, 64, 55, 55]);
operation!(average_pool_2x2, AvgPool2d::new(Window::square(2).stride(2)), [1, 64, 56, 56]);
operation!(activation, Relu::RELU6, [1, 144, 56, 56]);
operation!(cochleagram, Cochleagram::feather2023().expect("a cochleagram"), [1, 40_000]);

/// Runs forward to the stage, and computes the input gradient of half the squared norm of the activations.
#[divan::bench(args = [("efficientnet_lite0", "block2"), ("efficientnet_lite0", "features"), ("alexnet", "conv5"),
    ("vgg19", "conv5_4"), ("resnet50", "layer4")])]
fn step(bencher: Bencher, (name, stage): (&str, &str)) {
    let net = match name {
        "alexnet" => zoo::alexnet_random(0),
        "vgg19" => zoo::vgg19_random(0),
        "resnet50" => zoo::resnet50_random(0),
        _ => zoo::efficientnet_lite0(),
    };
    let compiled = Compiled::new(&net.expect("a network"), stage).expect("a stage");
    let x: Vec<f32> = (0..3 * 224 * 224).map(|i| (i * 7919 % 1009) as f32 / 1009.0).collect();
    bencher.bench_local(|| black_box(compiled.evaluate(&x, |z, g| g.copy_from_slice(z)).expect("one image").gradient));
}
