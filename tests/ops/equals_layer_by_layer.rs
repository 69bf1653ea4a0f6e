//! Values and gradients of the compiled engine against the layer-by-layer run, on every instruction set, for networks of
//! random shapes and for the networks of the zoo.

use crate::common::{flat, random_tensor, relative};
use metamers::candle::{Device, Tensor, Var};
use metamers::engine::{Compiled, Isa};
use metamers::network::{Builder, Input, Layer, Network, NodeId};
use metamers::ops::{
    AvgPool2d, ChannelAffine, Conv2d, Conv2dConfig, FrozenOp, GlobalAvgPool, Linear, MaxPool2d, Padding, Relu, Window,
    vjp,
};
use metamers::prelude::{Noise, Sound, zoo};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Compares values and gradients of every stage, compiled for each instruction set, with the layer-by-layer run.
fn compare(net: &Network, batch: usize, random: &mut ChaCha8Rng) {
    compare_within(net, batch, random, [1e-5, 1e-4]);
}

fn compare_within(net: &Network, batch: usize, random: &mut ChaCha8Rng, [value_error, gradient_error]: [f64; 2]) {
    let shape: Vec<usize> = std::iter::once(batch).chain(net.input().shape()).collect();
    let x = (random_tensor(&shape, random).affine(0.5, 0.5)).unwrap();
    compare_at(net, &x, random, [value_error, gradient_error]);
}

fn compare_at(net: &Network, x: &Tensor, random: &mut ChaCha8Rng, [value_error, gradient_error]: [f64; 2]) {
    let batch = x.dims()[0];
    for stage in net.stages() {
        let var = Var::from_tensor(x).unwrap();
        let expected = net.forward_to(&stage.name, &var).unwrap();
        let cotangent = random_tensor(expected.dims(), random);
        let expected_gradient = flat(&vjp(&expected, &cotangent, &var).unwrap());
        for isa in Isa::available() {
            let what = format!("{net:?}, stage {}, batch {batch}, {isa:?}", stage.name);
            let compiled = Compiled::with_isa(net, &stage.name, isa).unwrap();
            let var = Var::from_tensor(x).unwrap();
            let values = compiled.apply(&var).unwrap();
            assert_eq!(values.dims(), expected.dims(), "{what}");
            let off = relative(&flat(&values), &flat(&expected));
            assert!(off < value_error, "{what}: values are off by {off}");
            let gradient = flat(&vjp(&values, &cotangent, &var).unwrap());
            let off = relative(&gradient, &expected_gradient);
            assert!(off < gradient_error, "{what}: the gradient is off by {off}");
        }
    }
}

/// Splits the rows and columns of an image: `[n, c, 6, 10]` becomes `[n, c, 3, 4, 5]`.
#[derive(Clone, Debug)]
struct Fold;

impl FrozenOp for Fold {
    fn name(&self) -> &'static str {
        "fold"
    }

    fn output_shape(&self, shape: &[usize]) -> metamers::Result<Vec<usize>> {
        Ok(vec![shape[0], shape[1], 3, 4, 5])
    }

    fn forward(&self, input: &[f32], _: &[usize]) -> Vec<f32> {
        input.to_vec()
    }

    fn backward(&self, _: &[f32], _: &[f32], gradient: &[f32], _: &[usize]) -> Vec<f32> {
        gradient.to_vec()
    }
}

/// Twice a vector; refuses anything else.
#[derive(Clone, Debug)]
struct TwiceAVector;

impl FrozenOp for TwiceAVector {
    fn name(&self) -> &'static str {
        "twice a vector"
    }

    fn output_shape(&self, shape: &[usize]) -> metamers::Result<Vec<usize>> {
        Ok(shape.to_vec())
    }

    fn forward(&self, input: &[f32], shape: &[usize]) -> Vec<f32> {
        assert_eq!(shape.len(), 2, "{shape:?}");
        input.iter().map(|x| 2.0 * x).collect()
    }

    fn backward(&self, _: &[f32], _: &[f32], gradient: &[f32], shape: &[usize]) -> Vec<f32> {
        assert_eq!(shape.len(), 2, "{shape:?}");
        gradient.iter().map(|g| 2.0 * g).collect()
    }
}

struct NetworkBuilder<'a> {
    b: Builder,
    random: &'a mut ChaCha8Rng,
    /// Channels of each node.
    channels: Vec<usize>,
}

impl NetworkBuilder<'_> {
    fn conv(&mut self, x: NodeId, inputs: usize, outputs: usize, config: Conv2dConfig, kernel: [usize; 2]) -> NodeId {
        let weight = random_tensor(&[outputs, inputs / config.groups, kernel[0], kernel[1]], self.random);
        let scale = (inputs / config.groups * kernel[0] * kernel[1]) as f64;
        let weight = (weight * (2.0 / scale.sqrt())).unwrap();
        let bias = random_tensor(&[outputs], self.random);
        self.channels.push(outputs);
        self.b.conv2d(x, Conv2d::new(&weight, Some(&bias), config).unwrap()).unwrap()
    }
}

fn config(stride: [usize; 2], padding: Padding, groups: usize) -> Conv2dConfig {
    Conv2dConfig { stride, padding, groups, ..Conv2dConfig::default() }
}

fn network_builder<'a>(name: &str, shape: [usize; 3], random: &'a mut ChaCha8Rng) -> NetworkBuilder<'a> {
    NetworkBuilder { b: Builder::new(name, Input::Image { shape, resize: shape[1] }), random, channels: vec![] }
}

#[test]
fn convolutions_of_random_shapes_equal_the_layer_by_layer_run() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut tested = 0;
    while tested < 40 {
        let mut pair = |low: usize, high: usize| [random.random_range(low..=high), random.random_range(low..=high)];
        let (kernel, stride, dilation) = (pair(1, 5), pair(1, 3), pair(1, 2));
        let (before, after, size) = (pair(0, 3), pair(0, 3), pair(4, 17));
        let padding = Padding { top: before[0], left: before[1], bottom: after[0], right: after[1] };
        let window = Window::new(kernel).strides(stride).dilations(dilation).padding(padding);
        if window.output(size).is_err() {
            continue;
        }
        let (inputs, outputs) = (random.random_range(1..40), random.random_range(1..40));
        let depthwise = tested % 3 == 0;
        let (outputs, groups) = if depthwise { (inputs, inputs) } else { (outputs, 1) };
        let mut m = network_builder("convolution", [inputs, size[0], size[1]], &mut random);
        let config = Conv2dConfig { stride, dilation, padding, groups };
        let x = m.b.input();
        let y = m.conv(x, inputs, outputs, config, kernel);
        let z = m.b.relu(y, Relu { max: 0.5 }).unwrap();
        m.b.stage("conv", y).unwrap();
        m.b.stage("clip", z).unwrap();
        // After another layer, so that the gradient passes a ReLU mask.
        let w = m.conv(z, outputs, 5, Conv2dConfig::default(), [1, 1]);
        m.b.stage("after", w).unwrap();
        let net = m.b.finish().unwrap();
        compare(&net, 1 + tested % 2, &mut random);
        tested += 1;
    }
}

#[test]
fn a_convolution_of_few_channels_plus_its_own_input_equals_the_layer_by_layer_run() {
    let mut random = ChaCha8Rng::seed_from_u64(12);
    for (channels, has_affine) in [(3, false), (3, true), (1, false), (16, false)] {
        let mut m = network_builder("residual input", [channels, 12, 9], &mut random);
        let mut x = m.b.input();
        if has_affine {
            let affine = ChannelAffine::new(&vec![0.5; channels], &vec![0.2; channels]).unwrap();
            x = m.b.channel_affine(x, affine).unwrap();
        }
        let y = m.conv(x, channels, channels, config([1, 1], Padding::all(1), 1), [3, 3]);
        let y = m.b.add(y, x).unwrap();
        m.b.stage("sum", y).unwrap();
        let net = m.b.finish().unwrap();
        compare(&net, 2, &mut random);
    }
}

#[test]
fn an_affine_layer_of_a_tensor_of_four_dimensions_equals_the_layer_by_layer_run() {
    let mut random = ChaCha8Rng::seed_from_u64(13);
    let mut m = network_builder("volume", [2, 6, 10], &mut random);
    let x = m.b.input();
    let x = m.conv(x, 2, 2, Conv2dConfig::default(), [1, 1]);
    let x = m.b.layer(Layer::from(Fold), &[x]).unwrap();
    let x = m.b.channel_affine(x, ChannelAffine::new(&[2.0, -3.0], &[0.5, 1.0]).unwrap()).unwrap();
    m.b.stage("affine", x).unwrap();
    let net = m.b.finish().unwrap();
    compare(&net, 1, &mut random);
}

#[test]
fn an_operation_after_flatten_sees_a_vector() {
    let mut random = ChaCha8Rng::seed_from_u64(15);
    for between in ["nothing", "affine", "sum"] {
        let mut m = network_builder(between, [3, 4, 5], &mut random);
        let input = m.b.input();
        let mut vector = || {
            let x = m.conv(input, 3, 7, Conv2dConfig::default(), [4, 5]);
            m.b.layer(Layer::Flatten, &[x]).unwrap()
        };
        let [a, b] = [vector(), vector()];
        let x = match between {
            "affine" => m.b.channel_affine(a, ChannelAffine::new(&[0.7; 7], &[0.1; 7]).unwrap()).unwrap(),
            "sum" => m.b.add(a, b).unwrap(),
            _ => a,
        };
        let x = m.b.layer(Layer::from(TwiceAVector), &[x]).unwrap();
        m.b.stage("twice", x).unwrap();
        let net = m.b.finish().unwrap();
        compare(&net, 2, &mut random);
    }
}

#[test]
fn the_mean_of_a_large_even_image_is_exact() {
    let mut random = ChaCha8Rng::seed_from_u64(14);
    let mut m = network_builder("mean", [1, 1000, 1000], &mut random);
    let x = m.b.input();
    let x = m.b.channel_affine(x, ChannelAffine::new(&[1.0], &[0.0]).unwrap()).unwrap();
    let x = m.b.layer(Layer::from(GlobalAvgPool), &[x]).unwrap();
    m.b.stage("mean", x).unwrap();
    let net = m.b.finish().unwrap();
    let x = Tensor::full(0.1f32, (1, 1, 1000, 1000), &Device::Cpu).unwrap();
    compare_at(&net, &x, &mut random, [1e-5, 1e-4]);
}

#[test]
fn a_network_with_every_layer_equals_the_layer_by_layer_run() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut m = network_builder("every layer", [3, 23, 30], &mut random);
    let x = m.b.input();
    let x = m.b.channel_affine(x, ChannelAffine::new(&[2.0, 1.5, 1.0], &[-1.0, 0.1, 0.0]).unwrap()).unwrap();
    let x = m.conv(x, 3, 20, config([2, 2], Padding::all(3), 1), [7, 7]);
    let x = m.b.channel_affine(x, ChannelAffine::new(&[0.7; 20], &[0.1; 20]).unwrap()).unwrap();
    let x = m.b.relu(x, Relu::UNBOUNDED).unwrap();
    m.b.stage("conv1", x).unwrap();
    let x = m.b.max_pool2d(x, MaxPool2d::new(Window::square(3).stride(2).padding(Padding::all(1)))).unwrap();
    m.b.stage("pool1", x).unwrap();
    // A residual block: both branches read x, and a ReLU follows the sum.
    let y = m.conv(x, 20, 33, config([1, 1], Padding::all(1), 1), [3, 3]);
    let y = m.b.relu(y, Relu::RELU6).unwrap();
    let y = m.conv(y, 33, 20, Conv2dConfig::default(), [1, 1]);
    let x = m.b.add(y, x).unwrap();
    let x = m.b.relu(x, Relu::UNBOUNDED).unwrap();
    m.b.stage("block1", x).unwrap();
    // A residual block whose shortcut is a convolution, computed after the branch.
    let y = m.conv(x, 20, 20, config([1, 1], Padding::all(1), 20), [3, 3]);
    let y = m.b.relu(y, Relu::UNBOUNDED).unwrap();
    let y = m.conv(y, 20, 16, config([2, 1], Padding::default(), 1), [1, 1]);
    let s = m.conv(x, 20, 16, config([2, 1], Padding::default(), 1), [1, 1]);
    let x = m.b.add(y, s).unwrap();
    m.b.stage("block2", x).unwrap();
    // Sums that cannot be fused, a ReLU whose input is used twice, and a sum of a tensor with itself.
    let r = m.b.relu(x, Relu::UNBOUNDED).unwrap();
    let x = m.b.add(r, x).unwrap();
    let x = m.b.add(x, x).unwrap();
    m.b.stage("sums", x).unwrap();
    let x = m.b.channel_affine(x, ChannelAffine::new(&[1.2; 16], &[-0.3; 16]).unwrap()).unwrap();
    let x = m.b.relu(x, Relu { max: 2.0 }).unwrap();
    m.b.stage("affine", x).unwrap();
    // Grouped convolutions have no kernel and run through their layer-by-layer implementation.
    let g = m.conv(x, 16, 12, config([1, 1], Padding::all(1), 4), [3, 3]);
    let x = m.b.layer(Layer::Concat, &[x, g, x]).unwrap();
    m.b.stage("concat", x).unwrap();
    let x = m.b.avg_pool2d(x, AvgPool2d::new(Window::square(2).padding(Padding::all(1)))).unwrap();
    let x = m.b.relu(x, Relu::UNBOUNDED).unwrap();
    m.b.stage("average", x).unwrap();
    let [c, h, w] = m.b_shape(x);
    let f = m.b.layer(Layer::Flatten, &[x]).unwrap();
    m.b.stage("flat", f).unwrap();
    let weight = (random_tensor(&[37, c * h * w], m.random) * 0.05).unwrap();
    let y = m.b.linear(f, Linear::new(&weight, Some(&random_tensor(&[37], m.random))).unwrap()).unwrap();
    let y = m.b.relu(y, Relu::UNBOUNDED).unwrap();
    m.b.stage("fc1", y).unwrap();
    let z = m.b.global_avg_pool(x).unwrap();
    let z = m.b.linear(z, Linear::new(&random_tensor(&[37, c], m.random), None).unwrap()).unwrap();
    let y = m.b.add(y, z).unwrap();
    let y = m.b.linear(y, Linear::new(&random_tensor(&[5, 37], m.random), None).unwrap()).unwrap();
    m.b.stage("fc2", y).unwrap();
    let net = m.b.finish().unwrap();
    for batch in [1, 3] {
        compare(&net, batch, &mut random);
    }
}

impl NetworkBuilder<'_> {
    /// The shape of a node, from a stage that marks it.
    fn b_shape(&mut self, node: NodeId) -> [usize; 3] {
        self.b.shape(node).unwrap().try_into().unwrap()
    }
}

#[test]
fn stages_at_and_directly_after_the_input_equal_the_layer_by_layer_run() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut m = network_builder("input", [5, 6, 9], &mut random);
    let x = m.b.input();
    m.b.stage("input", x).unwrap();
    let y = m.b.relu(x, Relu { max: 0.7 }).unwrap();
    m.b.stage("clip", y).unwrap();
    let z = m.b.avg_pool2d(x, AvgPool2d::new(Window::square(2))).unwrap();
    m.b.stage("average", z).unwrap();
    let p = m.b.max_pool2d(x, MaxPool2d::new(Window::square(2))).unwrap();
    let s = m.b.add(z, p).unwrap();
    m.b.stage("sum", s).unwrap();
    let g = m.b.global_avg_pool(x).unwrap();
    m.b.stage("mean", g).unwrap();
    let f = m.b.layer(Layer::Flatten, &[x]).unwrap();
    m.b.stage("flat", f).unwrap();
    let net = m.b.finish().unwrap();
    compare(&net, 2, &mut random);
}

#[test]
fn winograd_convolutions_equal_the_layer_by_layer_run() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    // Narrow layers, which each thread computes alone, and wide ones, which the threads share; different paddings, numbers of
    // tiles and image sizes, so that each scheme is selected.
    let cases = [
        (3, 20, 33, [25, 30], [1, 1, 1, 1]),
        (3, 70, 80, [23, 31], [0, 2, 1, 0]),
        (3, 16, 130, [30, 21], [2, 1, 0, 2]),
        (3, 80, 70, [14, 13], [1, 1, 1, 1]),
        (5, 20, 33, [25, 30], [2, 2, 2, 2]),
        (5, 130, 70, [27, 17], [4, 0, 1, 3]),
    ];
    for (side, inputs, outputs, size, [top, bottom, left, right]) in cases {
        let mut m = network_builder("tiles", [5, size[0], size[1]], &mut random);
        let x = m.b.input();
        let x = m.conv(x, 5, inputs, Conv2dConfig::default(), [1, 1]);
        let x = m.b.relu(x, Relu::UNBOUNDED).unwrap();
        let y = m.conv(x, inputs, outputs, config([1, 1], Padding { top, bottom, left, right }, 1), [side, side]);
        m.b.stage("conv", y).unwrap();
        let y = m.b.relu(y, Relu { max: 0.5 }).unwrap();
        let y = m.conv(y, outputs, 16, config([1, 1], Padding::all(1), 1), [3, 3]);
        m.b.stage("after", y).unwrap();
        let net = m.b.finish().unwrap();
        for batch in [1, 2] {
            compare(&net, batch, &mut random);
        }
    }
}

#[test]
fn hearing_networks_equal_the_layer_by_layer_run() {
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let words = ["speech/seven.wav", "speech/november.wav"];
    // With noise, because in silence many values in a max pool's window are equal up to rounding.
    let noise = Sound::noise(20_000, 40_000, Noise::Pink { rms: 0.01 }, 1).unwrap().to_tensor().unwrap();
    let word = |name| Sound::open(name).unwrap().prepare(20_000, 40_000).unwrap().to_tensor().unwrap();
    let words = words.map(|name| (word(name) + &noise).unwrap());
    let two = Tensor::cat(&words, 0).unwrap();
    for net in [zoo::cochcnn_words().unwrap(), zoo::cochcnn_words_hann().unwrap()] {
        compare_at(&net, &words[0], &mut random, [1e-5, 1e-4]);
        compare_at(&net, &two, &mut random, [1e-5, 1e-4]);
    }
    let frames = zoo::crepe_tiny().unwrap();
    let tone = Sound::tone(16_000, 1024.0 / 16_000.0, 440.0, 0.5).unwrap().to_tensor().unwrap();
    compare_at(&frames, &tone, &mut random, [1e-5, 1e-4]);
}

#[test]
fn results_are_bit_identical_for_one_and_two_threads() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let net = zoo::efficientnet_lite0().unwrap();
    let x = flat(&random_tensor(&[1, 3, 224, 224], &mut random));
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let compiled = Compiled::new(&net, "features").unwrap();
            let gradient = compiled.evaluate(&x, |z, g| g.copy_from_slice(z)).unwrap().gradient;
            (compiled.values(&x).unwrap(), gradient)
        })
    };
    let (one, two) = (with(1), with(2));
    let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert!(bits(&one.0) == bits(&two.0) && bits(&one.1) == bits(&two.1));
}

#[test]
fn a_later_forward_pass_does_not_change_an_earlier_gradient() {
    let mut random = ChaCha8Rng::seed_from_u64(8);
    let net = zoo::efficientnet_lite0().unwrap();
    let compiled = Compiled::new(&net, "stem").unwrap();
    let [a, b] = [0, 1].map(|_| Var::from_tensor(&random_tensor(&[1, 3, 224, 224], &mut random)).unwrap());
    let gradient = |x: &Var, y: &Tensor| flat(y.sum_all().unwrap().backward().unwrap().get(x).unwrap());
    let alone = gradient(&a, &compiled.apply(&a).unwrap());
    let (ya, yb) = (compiled.apply(&a).unwrap(), compiled.apply(&b).unwrap());
    let other = gradient(&b, &yb);
    assert_eq!(gradient(&a, &ya), alone);
    assert_ne!(other, alone);
}

#[test]
fn invalid_inputs_and_stages_are_errors() {
    let net = zoo::efficientnet_lite0().unwrap();
    let compiled = Compiled::new(&net, "stem").unwrap();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, metamers::candle::DType::F32, &Device::Cpu).unwrap();
    assert!(compiled.apply(&zeros(&[1, 3, 200, 224])).unwrap_err().to_string().contains("[batch, 3, 224, 224]"));
    assert!(compiled.apply(&zeros(&[3, 224, 224])).is_err());
    let doubles = zeros(&[1, 3, 224, 224]).to_dtype(metamers::candle::DType::F64).unwrap();
    assert!(compiled.apply(&doubles).unwrap_err().to_string().contains("F64"));
    assert!(compiled.values(&[]).is_err());
    assert!(compiled.evaluate(&[0.0; 7], |_, _| ()).is_err());
    assert!(Compiled::new(&net, "stm").unwrap_err().to_string().contains("stem"));
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    shared(&compiled);
}

#[test]
fn efficientnet_lite0_equals_the_layer_by_layer_run_at_every_stage() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let net = zoo::efficientnet_lite0().unwrap();
    // Rounding flips some of the six million ReLUs (see deep_networks.rs). tests/networks/equals_pytorch.rs also runs the compiled
    // engine, with stricter tolerances.
    compare_within(&net, 1, &mut random, [1e-5, 5e-3]);
}
