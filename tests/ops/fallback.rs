//! The fallback of each operation, composed of candle's operations, against its CPU implementation.

use crate::common::{flat, relative};
use crate::pools::{avg_pool, max_pool};
use metamers::candle::{Device, Tensor, Var};
use metamers::ops::{
    ChannelAffine, Conv2d, Conv2dConfig, Frozen, FrozenOp, GlobalAvgPool, Linear, MaxPool2d, Padding, Relu,
    Standardize, StraightThroughRelu, Window, vjp,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn random(shape: &[usize], random: &mut ChaCha8Rng) -> Tensor {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn compare(op: &impl Frozen, x: &Tensor) {
    let mut numbers = ChaCha8Rng::seed_from_u64(1);
    let x = Var::from_tensor(x).unwrap();
    let (native, composed) = (op.apply(&x).unwrap(), op.fallback(&x).unwrap());
    assert_eq!(native.dims(), composed.dims(), "{op:?}");
    let off = relative(&flat(&composed), &flat(&native));
    assert!(off < 1e-6, "{op:?} of {:?}: values are off by {off}", x.dims());
    let cotangent = random(native.dims(), &mut numbers);
    let [native, composed] = [&native, &composed].map(|y| flat(&vjp(y, &cotangent, &x).unwrap()));
    let off = relative(&composed, &native);
    assert!(off < 1e-6, "{op:?} of {:?}: the gradient is off by {off}", x.dims());
}

#[test]
fn convolution_and_pool_fallbacks_equal_their_implementations() {
    let mut numbers = ChaCha8Rng::seed_from_u64(2);
    let mut tested = 0;
    while tested < 40 {
        let mut pair = |low: usize, high: usize| [numbers.random_range(low..=high), numbers.random_range(low..=high)];
        let (kernel, stride, dilation) = (pair(1, 5), pair(1, 3), pair(1, 2));
        let (before, after, size) = (pair(0, 2), pair(0, 2), pair(4, 15));
        let padding = Padding { top: before[0], left: before[1], bottom: after[0], right: after[1] };
        let window = Window::new(kernel).strides(stride).dilations(dilation).padding(padding);
        if window.output(size).is_err() {
            continue;
        }
        let [groups, inputs, outputs] = [[1, 5, 7], [2, 6, 4], [3, 3, 6]][tested % 3];
        let weight = random(&[outputs, inputs / groups, kernel[0], kernel[1]], &mut numbers);
        let bias = (tested % 2 == 0).then(|| random(&[outputs], &mut numbers));
        let config = Conv2dConfig { stride, dilation, padding, groups };
        let x = random(&[2, inputs, size[0], size[1]], &mut numbers);
        compare(&Conv2d::new(&weight, bias.as_ref(), config).unwrap(), &x);
        let largest = max_pool(window, tested % 2 == 0);
        if largest.output_shape(x.dims()).is_ok() && dilation == [1, 1] {
            compare(&largest, &x);
        }
        let mean = avg_pool(window, tested % 2 == 0, tested % 4 < 2);
        if mean.output_shape(x.dims()).is_ok() {
            compare(&mean, &x);
        }
        tested += 1;
    }
}

#[test]
fn fallbacks_of_other_operations_equal_their_implementations() {
    let mut numbers = ChaCha8Rng::seed_from_u64(3);
    let x = (random(&[2, 5, 7, 9], &mut numbers) * 8.0).unwrap();
    for relu in [Relu::UNBOUNDED, Relu::RELU6] {
        compare(&relu, &x);
        compare(&StraightThroughRelu(relu), &x);
    }
    compare(&ChannelAffine::new(&[1.0, -2.0, 0.5, 3.0, 0.1], &[0.0, 1.0, -1.0, 0.3, 2.0]).unwrap(), &x);
    compare(&GlobalAvgPool, &x);
    let (weight, bias) = (random(&[11, 13], &mut numbers), random(&[11], &mut numbers));
    compare(&Linear::new(&weight, Some(&bias)).unwrap(), &random(&[3, 13], &mut numbers));
    compare(&Linear::new(&weight, None).unwrap(), &random(&[3, 13], &mut numbers));
    let frames = random(&[3, 50], &mut numbers);
    compare(&Standardize { samples: 50 }, &frames);
    // A silent frame, whose deviation is below the minimum.
    let silent = Tensor::zeros((1, 50), metamers::candle::DType::F32, &Device::Cpu).unwrap();
    let x = Var::from_tensor(&silent).unwrap();
    assert_eq!(flat(&Standardize { samples: 50 }.fallback(&x).unwrap()), vec![0.0; 50]);
}

#[test]
fn fallbacks_agree_at_bounds_ties_and_nan() {
    let x = Tensor::new(&[[[[-1f32, 0.0, 3.0, 6.0, f32::NAN, f32::INFINITY, 6.0, 6.0]]]], &Device::Cpu).unwrap();
    let x = Var::from_tensor(&x).unwrap();
    let bits = |y: Tensor| flat(&y).iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let pool = MaxPool2d::new(Window::new([1, 2]).strides([1, 2]));
    assert_eq!(bits(Relu::RELU6.fallback(&x).unwrap()), bits(Relu::RELU6.apply(&x).unwrap()));
    assert_eq!(bits(pool.fallback(&x).unwrap()), bits(pool.apply(&x).unwrap()));
    let gradient = |y: Tensor| flat(&vjp(&y, &y.ones_like().unwrap(), &x).unwrap());
    assert_eq!(gradient(Relu::RELU6.fallback(&x).unwrap())[..4], [0.0, 0.0, 1.0, 0.0]);
    // The first of two equal values is the maximum.
    assert_eq!(gradient(pool.fallback(&x).unwrap())[6..], [1.0, 0.0]);
}
