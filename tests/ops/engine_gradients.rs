//! The engine's convolutions, forward and backward, against a float64 reference: every kernel, odd shapes, and every
//! instruction set of this processor.

use metamers::candle::{Device, Tensor};
use metamers::engine::{Compiled, Isa};
use metamers::network::{Builder, Input};
use metamers::ops::{Conv2d, Conv2dConfig, Padding};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

struct Case {
    name: &'static str,
    /// Input channels, output channels, groups.
    channels: [usize; 3],
    size: [usize; 2],
    kernel: [usize; 2],
    stride: usize,
    pad: usize,
}

const CASES: [Case; 12] = [
    Case { name: "Winograd", channels: [19, 35, 1], size: [31, 26], kernel: [3, 3], stride: 1, pad: 1 },
    Case { name: "Winograd, small", channels: [64, 48, 1], size: [13, 14], kernel: [3, 3], stride: 1, pad: 1 },
    Case { name: "Winograd, 5 x 5", channels: [64, 70, 1], size: [27, 25], kernel: [5, 5], stride: 1, pad: 2 },
    Case { name: "Winograd, many channels", channels: [130, 70, 1], size: [25, 29], kernel: [3, 3], stride: 1, pad: 1 },
    Case { name: "pointwise", channels: [33, 50, 1], size: [13, 11], kernel: [1, 1], stride: 1, pad: 0 },
    Case { name: "pointwise, strided", channels: [40, 17, 1], size: [15, 12], kernel: [1, 1], stride: 2, pad: 0 },
    Case { name: "3 x 3, strided", channels: [20, 21, 1], size: [17, 14], kernel: [3, 3], stride: 2, pad: 1 },
    Case { name: "5 x 5", channels: [18, 37, 1], size: [13, 16], kernel: [5, 5], stride: 1, pad: 2 },
    Case { name: "2 x 5", channels: [24, 16, 1], size: [9, 17], kernel: [2, 5], stride: 1, pad: 1 },
    Case { name: "first layer, 11 x 11", channels: [3, 20, 1], size: [35, 43], kernel: [11, 11], stride: 4, pad: 2 },
    Case { name: "depthwise", channels: [37, 37, 37], size: [12, 15], kernel: [3, 3], stride: 1, pad: 1 },
    Case { name: "depthwise, strided", channels: [21, 21, 21], size: [15, 18], kernel: [5, 5], stride: 2, pad: 2 },
];

/// Calls `each(output, input, weight)` with the indices of every product in a convolution.
fn products(case: &Case, output: [usize; 2], mut each: impl FnMut(usize, usize, usize)) {
    let [inputs, outputs, groups] = case.channels;
    let ([height, width], [rows, columns]) = (case.size, case.kernel);
    let (depth, per_group) = (inputs / groups, outputs / groups);
    for o in 0..outputs {
        for i in 0..depth {
            for (y, x) in (0..output[0]).flat_map(|y| (0..output[1]).map(move |x| (y, x))) {
                for (r, c) in (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))) {
                    let row = (y * case.stride + r).checked_sub(case.pad).filter(|&row| row < height);
                    let column = (x * case.stride + c).checked_sub(case.pad).filter(|&column| column < width);
                    let (Some(row), Some(column)) = (row, column) else { continue };
                    let channel = o / per_group * depth + i;
                    let at = [(o * output[0] + y) * output[1] + x, (channel * height + row) * width + column];
                    each(at[0], at[1], ((o * depth + i) * rows + r) * columns + c);
                }
            }
        }
    }
}

fn relative_error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let square = |x: f64| x * x;
    let difference: f64 = found.iter().zip(expected).map(|(&a, b)| square(f64::from(a) - b)).sum();
    (difference / expected.iter().map(|&b| square(b)).sum::<f64>()).sqrt()
}

#[test]
fn every_convolution_kernel_equals_the_float64_reference() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    for case in &CASES {
        let [inputs, outputs, groups] = case.channels;
        let shape = [outputs, inputs / groups, case.kernel[0], case.kernel[1]];
        let mut values = |count: usize| (0..count).map(|_| random.random_range(-1.0..1.0f32)).collect::<Vec<f32>>();
        let weight = values(shape.iter().product());
        let tensor = Tensor::from_slice(&weight, &shape, &Device::Cpu).unwrap();
        let config =
            Conv2dConfig { stride: [case.stride; 2], padding: Padding::all(case.pad), groups, ..Default::default() };
        let input = Input::Image { shape: [inputs, case.size[0], case.size[1]], resize: case.size[0] };
        let mut b = Builder::new("one convolution", input);
        let y = b.conv2d(b.input(), Conv2d::new(&tensor, None, config).unwrap()).unwrap();
        b.stage("conv", y).unwrap();
        let net = b.finish().unwrap();
        let &[_, height, width] = net.stage("conv").unwrap().shape.as_slice() else { panic!("an image") };
        let x = values(inputs * case.size[0] * case.size[1]);
        let cotangent = values(outputs * height * width);
        let (mut forward, mut backward) = (vec![0.0; cotangent.len()], vec![0.0; x.len()]);
        products(case, [height, width], |o, i, w| {
            forward[o] += f64::from(x[i]) * f64::from(weight[w]);
            backward[i] += f64::from(cotangent[o]) * f64::from(weight[w]);
        });
        for isa in Isa::available() {
            let compiled = Compiled::with_isa(&net, "conv", isa).unwrap();
            let evaluated = compiled.evaluate(&x, |z, g| {
                g.copy_from_slice(&cotangent);
                z.to_vec()
            });
            let evaluated = evaluated.unwrap();
            let errors = [relative_error(&evaluated.value, &forward), relative_error(&evaluated.gradient, &backward)];
            assert!(
                errors.iter().all(|&e| e < 1e-5),
                "{}, {isa:?}: values and gradient are off by {errors:?}",
                case.name
            );
        }
    }
}
