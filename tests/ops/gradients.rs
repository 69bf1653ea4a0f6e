//! Input gradients of every operation against finite differences of an independent float64 implementation, on random odd
//! shapes.

use crate::common::flat;
use crate::pools::{avg_pool, max_pool};
use metamers::candle::{Device, Tensor, Var};
use metamers::ops::{
    ChannelAffine, Conv2d, Conv2dConfig, Frozen, GlobalAvgPool, L2Norm, Linear, MaxPool2d, MinMaxNorm, Padding, Relu,
    Standardize, StraightThroughRelu, Window, vjp,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Shape = [usize; 4];

/// A float64 input that is 0 outside its bounds.
struct Field<'a> {
    values: &'a [f64],
    shape: Shape,
}

impl Field<'_> {
    fn at(&self, n: usize, c: usize, y: isize, x: isize) -> Option<f64> {
        let [_, channels, height, width] = self.shape;
        let inside = y >= 0 && x >= 0 && (y as usize) < height && (x as usize) < width;
        inside.then(|| self.values[((n * channels + c) * height + y as usize) * width + x as usize])
    }
}

/// The input pixel that tap (ky, kx) of output (oy, ox) reads.
fn place(w: &Window, oy: usize, ox: usize, ky: usize, kx: usize) -> (isize, isize) {
    let along = |o: usize, k: usize, axis: usize, before: usize| {
        (o * w.stride[axis] + k * w.dilation[axis]) as isize - before as isize
    };
    (along(oy, ky, 0, w.padding.top), along(ox, kx, 1, w.padding.left))
}

fn convolve(
    x: &[f64],
    shape: Shape,
    weight: &[f64],
    bias: &[f64],
    depth: usize,
    w: &Window,
    out: &[usize],
) -> Vec<f64> {
    let field = Field { values: x, shape };
    let per_group = out[1] / (shape[1] / depth);
    let mut y = vec![];
    for n in 0..out[0] {
        for (o, &start) in bias.iter().enumerate().take(out[1]) {
            for oy in 0..out[2] {
                for ox in 0..out[3] {
                    let mut sum = start;
                    for d in 0..depth {
                        for ky in 0..w.kernel[0] {
                            for kx in 0..w.kernel[1] {
                                let (iy, ix) = place(w, oy, ox, ky, kx);
                                let channel = o / per_group * depth + d;
                                let tap = ((o * depth + d) * w.kernel[0] + ky) * w.kernel[1] + kx;
                                sum += weight[tap] * field.at(n, channel, iy, ix).unwrap_or(0.0);
                            }
                        }
                    }
                    y.push(sum);
                }
            }
        }
    }
    y
}

fn pool(x: &[f64], shape: Shape, w: &Window, out: &[usize], reduce: impl Fn(&[f64], usize, usize) -> f64) -> Vec<f64> {
    let field = Field { values: x, shape };
    let mut y = vec![];
    for n in 0..out[0] {
        for c in 0..out[1] {
            for oy in 0..out[2] {
                for ox in 0..out[3] {
                    let taps = (0..w.kernel[0]).flat_map(|ky| (0..w.kernel[1]).map(move |kx| (ky, kx)));
                    let seen: Vec<f64> = taps
                        .filter_map(|(ky, kx)| {
                            let (iy, ix) = place(w, oy, ox, ky, kx);
                            field.at(n, c, iy, ix)
                        })
                        .collect();
                    y.push(reduce(&seen, oy, ox));
                }
            }
        }
    }
    y
}

/// Compares the gradient of `sum(cotangent * y)` with central differences of `reference` in float64.
fn check(
    name: &str,
    x: &Tensor,
    apply: impl Fn(&Var) -> Tensor,
    reference: impl Fn(&[f64]) -> Vec<f64>,
    random: &mut ChaCha8Rng,
) {
    let var = Var::from_tensor(x).unwrap();
    let y = apply(&var);
    let values: Vec<f64> = flat(x).iter().map(|&v| f64::from(v)).collect();
    let expected = reference(&values);
    for (i, (a, b)) in flat(&y).iter().zip(&expected).enumerate() {
        assert!((f64::from(*a) - b).abs() < 1e-4 * b.abs().max(1.0), "{name}: value {i} is {a}, expected {b}");
    }
    assert_eq!(y.elem_count(), expected.len(), "{name}: number of outputs");
    let cotangent: Vec<f32> = (0..expected.len()).map(|_| random.random_range(-1.0..1.0)).collect();
    let seed = Tensor::from_slice(&cotangent, y.shape(), &Device::Cpu).unwrap();
    let gradient = flat(&vjp(&y, &seed, &var).unwrap());
    let sum =
        |values: &[f64]| -> f64 { reference(values).iter().zip(&cotangent).map(|(y, &c)| y * f64::from(c)).sum() };
    let step = 1e-6;
    for i in 0..values.len() {
        let (mut above, mut below) = (values.clone(), values.clone());
        above[i] += step;
        below[i] -= step;
        let difference = (sum(&above) - sum(&below)) / (2.0 * step);
        let error = (f64::from(gradient[i]) - difference).abs();
        assert!(error < 1e-4 * difference.abs().max(1.0), "{name}: input {i}: {}, expected {difference}", gradient[i]);
    }
}

fn random_tensor(shape: &[usize], random: &mut ChaCha8Rng) -> Tensor {
    // Multiples of 1/64 differ by more than the finite difference's step, so that no maximum or ReLU flips.
    let count: usize = shape.iter().product();
    let mut values: Vec<f32> = (0..count).map(|i| (i as f32 - count as f32 / 2.0 + 0.25) / 64.0).collect();
    for i in (1..count).rev() {
        values.swap(i, random.random_range(0..=i));
    }
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn random_window(random: &mut ChaCha8Rng, dilate: bool) -> Window {
    let mut pair = |low: usize, high: usize| [random.random_range(low..=high), random.random_range(low..=high)];
    let (kernel, stride) = (pair(1, 4), pair(1, 3));
    let dilation = if dilate { pair(1, 2) } else { [1, 1] };
    let (before, after) = (pair(0, 2), pair(0, 2));
    let most = |k: usize| (k.max(1)) - 1;
    let padding = Padding {
        top: before[0].min(most(kernel[0])),
        bottom: after[0].min(most(kernel[0])),
        left: before[1].min(most(kernel[1])),
        right: after[1].min(most(kernel[1])),
    };
    Window::new(kernel).strides(stride).dilations(dilation).padding(padding)
}

fn widened(tensor: &Tensor) -> Vec<f64> {
    flat(tensor).iter().map(|&v| f64::from(v)).collect()
}

#[test]
fn convolution_gradients_equal_finite_differences() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let (mut tested, mut depthwise) = (0, 0);
    while tested < 40 {
        let w = random_window(&mut random, true);
        let groups = random.random_range(1..=3);
        let (depth, per_group) = (random.random_range(1..=3), random.random_range(1..=3));
        let shape =
            [random.random_range(1..=2), groups * depth, random.random_range(3..=9), random.random_range(3..=8)];
        if w.output([shape[2], shape[3]]).is_err() {
            continue;
        }
        let weight = random_tensor(&[groups * per_group, depth, w.kernel[0], w.kernel[1]], &mut random);
        let bias = random_tensor(&[groups * per_group], &mut random);
        let config = Conv2dConfig { stride: w.stride, dilation: w.dilation, padding: w.padding, groups };
        let conv = Conv2d::new(&weight, Some(&bias), config).unwrap();
        let x = random_tensor(&shape, &mut random);
        let out = conv.apply(&x).unwrap().dims().to_vec();
        let reference = |v: &[f64]| convolve(v, shape, &widened(&weight), &widened(&bias), depth, &w, &out);
        check(&format!("{conv:?} {w:?}"), &x, |x| conv.apply(x).unwrap(), reference, &mut random);
        tested += 1;
        depthwise += usize::from(depth == 1);
    }
    assert!(depthwise > 5, "too few depthwise cases");
}

#[test]
fn pool_gradients_equal_finite_differences() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut tested = 0;
    while tested < 40 {
        let ceil = random.random::<bool>();
        let w = random_window(&mut random, false);
        let shape = [random.random_range(1..=2), 2, random.random_range(2..=9), random.random_range(3..=8)];
        let size = [shape[2], shape[3]];
        if (if ceil { w.output_ceil(size) } else { w.output(size) }).is_err() {
            continue;
        }
        let x = random_tensor(&shape, &mut random);
        let max = max_pool(w, ceil);
        let out = max.apply(&x).unwrap().dims().to_vec();
        let largest = |seen: &[f64], _, _| seen.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        check(&format!("{max:?}"), &x, |x| max.apply(x).unwrap(), |v| pool(v, shape, &w, &out, largest), &mut random);

        for count in [true, false] {
            let avg = avg_pool(w, ceil, count);
            let mean = |seen: &[f64], oy: usize, ox: usize| {
                let reach = |o: usize, axis: usize, size: usize, pads: usize| {
                    let start = o * w.stride[axis];
                    (start + w.kernel[axis]).min(size + pads) - start
                };
                let rows = reach(oy, 0, shape[2], w.padding.top + w.padding.bottom);
                let columns = reach(ox, 1, shape[3], w.padding.left + w.padding.right);
                let divisor = if count { rows * columns } else { seen.len() };
                seen.iter().sum::<f64>() / divisor as f64
            };
            check(&format!("{avg:?}"), &x, |x| avg.apply(x).unwrap(), |v| pool(v, shape, &w, &out, mean), &mut random);
        }
        tested += 1;
    }
}

#[test]
fn elementwise_global_and_linear_gradients_equal_finite_differences() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let shape = [2, 3, 5, 4];
    let x = random_tensor(&shape, &mut random);
    check("relu", &x, |x| Relu::UNBOUNDED.apply(x).unwrap(), |v| v.iter().map(|x| x.max(0.0)).collect(), &mut random);
    let ceiling = Relu { max: 0.5 };
    let clipped = |v: &[f64]| v.iter().map(|x| x.clamp(0.0, 0.5)).collect();
    check("ReLU with an upper bound", &x, |x| ceiling.apply(x).unwrap(), clipped, &mut random);

    let affine = ChannelAffine::new(&[2.0, -0.5, 3.0], &[0.25, 1.0, -1.0]).unwrap();
    let scaled = |v: &[f64]| {
        let at = |i: usize| [(2.0, 0.25), (-0.5, 1.0), (3.0, -1.0)][i / 20 % 3];
        v.iter().enumerate().map(|(i, x)| x * at(i).0 + at(i).1).collect()
    };
    check("affine", &x, |x| affine.apply(x).unwrap(), scaled, &mut random);

    let means = |v: &[f64]| v.chunks(20).map(|plane| plane.iter().sum::<f64>() / 20.0).collect();
    check("global", &x, |x| GlobalAvgPool.apply(x).unwrap(), means, &mut random);

    let (weight, bias) = (random_tensor(&[7, 11], &mut random), random_tensor(&[7], &mut random));
    let linear = Linear::new(&weight, Some(&bias)).unwrap();
    let (w, b) = (widened(&weight), widened(&bias));
    let product = |v: &[f64]| {
        let rows = v.chunks(11).flat_map(|x| (0..7).map(move |o| (x, o)));
        rows.map(|(x, o)| b[o] + (0..11).map(|i| w[o * 11 + i] * x[i]).sum::<f64>()).collect()
    };
    check("linear", &random_tensor(&[3, 11], &mut random), |x| linear.apply(x).unwrap(), product, &mut random);
}

#[test]
fn normalization_gradients_equal_finite_differences() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let x = random_tensor(&[3, 13], &mut random);
    let each = |f: fn(&[f64]) -> Vec<f64>| move |v: &[f64]| v.chunks(13).flat_map(f).collect::<Vec<f64>>();
    let deviations = each(|x| {
        let mean = x.iter().sum::<f64>() / 13.0;
        let deviation = (x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 12.0).sqrt();
        x.iter().map(|v| (v - mean) / deviation).collect()
    });
    check("standardize", &x, |x| Standardize { samples: 13 }.apply(x).unwrap(), deviations, &mut random);
    let range = each(|x| {
        let (low, high) = x.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)));
        x.iter().map(|v| 2.0 * (v - low) / (high - low) - 1.0).collect()
    });
    check("min-max norm", &x, |x| MinMaxNorm.apply(x).unwrap(), range, &mut random);
    let unit = each(|x| {
        let length = x.iter().map(|v| v * v).sum::<f64>().sqrt();
        x.iter().map(|v| v / length).collect()
    });
    check("L2 norm", &x, |x| L2Norm.apply(x).unwrap(), unit, &mut random);
}

#[test]
fn normalization_of_silence_has_finite_values_and_gradients() {
    let zeros = Var::zeros((1, 5), metamers::candle::DType::F32, &Device::Cpu).unwrap();
    let seed = Tensor::new(&[[1f32, -2.0, 3.0, 0.5, 0.25]], &Device::Cpu).unwrap();
    let stretched = MinMaxNorm.apply(&zeros).unwrap();
    assert_eq!(flat(&stretched), [-1.0; 5]);
    assert_eq!(flat(&vjp(&stretched, &seed, &zeros).unwrap()), [0.0; 5]);
    let frame = Standardize { samples: 5 }.apply(&zeros).unwrap();
    assert_eq!(flat(&frame), [0.0; 5]);
    let cotangent = seed.reshape((1, 1, 5, 1)).unwrap();
    // The gradient minus its mean, 0.55, is divided by the minimum deviation.
    let expected = [0.45f64, -2.55, 2.45, -0.05, -0.3].map(|g| g / 1e-10);
    let gradient = flat(&vjp(&frame, &cotangent, &zeros).unwrap());
    gradient
        .iter()
        .zip(expected)
        .for_each(|(&g, e)| assert!((f64::from(g) / e - 1.0).abs() < 1e-5, "{g}, expected {e}"));
    let unit = L2Norm.apply(&zeros).unwrap();
    assert_eq!(flat(&unit), [0.0; 5]);
    let gradient = flat(&vjp(&unit, &seed, &zeros).unwrap());
    assert!((f64::from(gradient[2]) / 3e12 - 1.0).abs() < 1e-6, "{gradient:?}");
}

#[test]
fn the_straight_through_relu_passes_gradients_unchanged() {
    let x = Var::new(&[-2f32, -0.0, 0.5, 6.0, 9.0], &Device::Cpu).unwrap();
    let y = StraightThroughRelu(Relu::RELU6).apply(&x).unwrap();
    assert_eq!(flat(&y), [0.0, 0.0, 0.5, 6.0, 6.0]);
    let gradient = (&y * 3.0).unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(flat(gradient.get(&x).unwrap()), [3.0; 5]);
}

#[test]
fn relu_and_max_pool_propagate_nan() {
    let x = Tensor::new(&[f32::NAN, 1.0], &Device::Cpu).unwrap();
    assert!(flat(&Relu::UNBOUNDED.apply(&x).unwrap())[0].is_nan());
    let plane = Tensor::new(&[[[[f32::NAN, 1.0], [2.0, 3.0]]]], &Device::Cpu).unwrap();
    assert!(flat(&MaxPool2d::new(Window::square(2)).apply(&plane).unwrap())[0].is_nan());
}

#[test]
fn invalid_shapes_and_types_are_errors() {
    let weight = Tensor::zeros((4, 3, 3, 3), metamers::candle::DType::F32, &Device::Cpu).unwrap();
    let conv = Conv2d::new(&weight, None, Conv2dConfig::default()).unwrap();
    let message = |x: Tensor| conv.apply(&x).unwrap_err().to_string();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, metamers::candle::DType::F32, &Device::Cpu).unwrap();
    assert!(message(zeros(&[1, 4, 8, 8])).contains("[batch, 3, height, width]"));
    assert!(message(zeros(&[3, 8, 8])).contains("[3, 8, 8]"));
    assert!(message(zeros(&[1, 3, 2, 8])).contains("height"));
    let doubles = zeros(&[1, 3, 8, 8]).to_dtype(metamers::candle::DType::F64).unwrap();
    assert!(message(doubles).contains("F64"));
    assert!(Conv2d::new(&weight, None, Conv2dConfig { groups: 3, ..Default::default() }).is_err());
    assert!(Conv2d::new(&zeros(&[4, 3]), None, Conv2dConfig::default()).is_err());
    assert!(Linear::new(&zeros(&[4, 3]), Some(&zeros(&[3]))).is_err());
    assert!(MaxPool2d::new(Window::square(2).padding(Padding::all(2))).apply(&zeros(&[1, 1, 8, 8])).is_err());
}

#[test]
fn a_noncontiguous_tensor_gives_the_same_values() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let x = random_tensor(&[1, 3, 6, 5], &mut random);
    let weight = random_tensor(&[2, 3, 3, 3], &mut random);
    let conv = Conv2d::new(&weight, None, Conv2dConfig::default()).unwrap();
    let transposed = x.transpose(2, 3).unwrap().contiguous().unwrap().transpose(2, 3).unwrap();
    assert!(!transposed.is_contiguous());
    assert_eq!(flat(&conv.apply(&transposed).unwrap()), flat(&conv.apply(&x).unwrap()));
}
