//! Forward derivatives of operations: transposes of the backward pass, which other tests compare with PyTorch and finite differences.

use crate::common::{flat, random_tensor};
use metamers::ops::{
    AvgPool2d, ChannelAffine, Conv2d, Conv2dConfig, FrozenOp, GlobalAvgPool, L2Norm, Linear, MaxPool2d, MinMaxNorm,
    Padding, Relu, Standardize, StraightThroughRelu, Window,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[test]
fn tangents_are_transposes_of_gradients() {
    let mut random = ChaCha8Rng::seed_from_u64(8);
    let mut tensor = |shape: &[usize]| random_tensor(shape, &mut random);
    let window = Window::square(3).stride(2).padding(Padding::all(1));
    let grouped = Conv2dConfig { groups: 2, padding: Padding::all(1), stride: [2, 1], ..Default::default() };
    let depthwise = Conv2dConfig { groups: 4, padding: Padding::all(1), ..Default::default() };
    let image = vec![2, 4, 7, 6];
    let cases: Vec<(Box<dyn FrozenOp>, Vec<usize>)> = vec![
        (Box::new(Conv2d::new(&tensor(&[6, 2, 3, 3]), Some(&tensor(&[6])), grouped).unwrap()), image.clone()),
        (Box::new(Conv2d::new(&tensor(&[4, 1, 3, 3]), Some(&tensor(&[4])), depthwise).unwrap()), image.clone()),
        (Box::new(Linear::new(&tensor(&[5, 9]), Some(&tensor(&[5]))).unwrap()), vec![3, 9]),
        (Box::new(ChannelAffine::new(&[1.0, -2.0, 0.5, 3.0], &[1.0; 4]).unwrap()), image.clone()),
        (Box::new(AvgPool2d::new(window).ceil_mode().exclude_padding()), image.clone()),
        (Box::new(MaxPool2d::new(window).ceil_mode()), image.clone()),
        (Box::new(GlobalAvgPool), image.clone()),
        (Box::new(Relu { max: 0.4 }), image.clone()),
        (Box::new(StraightThroughRelu(Relu::UNBOUNDED)), image.clone()),
        (Box::new(L2Norm), vec![2, 20]),
        (Box::new(MinMaxNorm), vec![2, 20]),
        (Box::new(Standardize { samples: 20 }), vec![2, 20]),
    ];
    for (op, shape) in cases {
        let (x, v) = (flat(&tensor(&shape)), flat(&tensor(&shape)));
        let y = op.forward(&x, &shape);
        let u = flat(&tensor(&[y.len()]));
        let tangent = op.tangent(&x, &y, &v, &shape).unwrap();
        assert_eq!(tangent.len(), y.len(), "{}", op.name());
        let gradient = op.backward(&x, &y, &u, &shape);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let (left, right) = (dot(&u, &tangent), dot(&gradient, &v));
        let scale = dot(&u, &u).sqrt() * dot(&tangent, &tangent).sqrt();
        assert!((left - right).abs() < 1e-5 * scale, "{}: {left} and {right}", op.name());
    }
}
