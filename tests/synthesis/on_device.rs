//! Syntheses on a device of candle. On the CPU, `on` runs the same operations as on a GPU; with `METAMERS_TEST_DEVICE` set to `cuda` or
//! `metal`, the tests run there.

use crate::common::relative;
use metamers::network::{Builder, Input, Layer};
use metamers::ops::{
    AvgPool2d, ChannelAffine, Conv2d, Conv2dConfig, GlobalAvgPool, Linear, MaxPool2d, Padding, Relu, Window,
};
use metamers::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn device() -> Device {
    match std::env::var("METAMERS_TEST_DEVICE").as_deref() {
        Ok("cuda") => Device::new_cuda(0).unwrap(),
        Ok("metal") => Device::new_metal(0).unwrap(),
        _ => Device::Cpu,
    }
}

/// A network with every layer of an image network.
fn every_layer() -> Network {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let mut tensor = |shape: &[usize]| (crate::common::random_tensor(shape, &mut random) * 0.4).unwrap();
    let config =
        |stride, groups| Conv2dConfig { stride: [stride; 2], padding: Padding::all(1), groups, ..Default::default() };
    let mut b = Builder::new("every layer", Input::Image { shape: [3, 23, 19], resize: 23 });
    let x = b.layer(ChannelAffine::new(&[2.0, 1.5, 3.0], &[-0.5, 0.1, -1.0]).unwrap(), &[b.input()]).unwrap();
    let x = b.conv2d(x, Conv2d::new(&tensor(&[8, 3, 3, 3]), Some(&tensor(&[8])), config(1, 1)).unwrap()).unwrap();
    let x = b.relu(x, Relu::UNBOUNDED).unwrap();
    b.stage("relu1", x).unwrap();
    let y = b.conv2d(x, Conv2d::new(&tensor(&[8, 1, 3, 3]), None, config(1, 8)).unwrap()).unwrap();
    let y = b.relu(y, Relu::RELU6).unwrap();
    let x = b.add(x, y).unwrap();
    b.stage("sum", x).unwrap();
    let large = b.layer(MaxPool2d::new(Window::square(3).stride(2)), &[x]).unwrap();
    let mean = b.layer(AvgPool2d::new(Window::square(3).stride(2)), &[x]).unwrap();
    let x = b.layer(Layer::Concat, &[large, mean]).unwrap();
    b.stage("pools", x).unwrap();
    let x = b.conv2d(x, Conv2d::new(&tensor(&[12, 4, 3, 3]), None, config(2, 4)).unwrap()).unwrap();
    let x = b.layer(GlobalAvgPool, &[x]).unwrap();
    let x = b.layer(Linear::new(&tensor(&[9, 12]), Some(&tensor(&[9]))).unwrap(), &[x]).unwrap();
    b.stage("logits", x).unwrap();
    b.finish().unwrap()
}

/// The relative differences of the first gradient, and of the pixels after three steps, on the device and compiled.
fn differences(plan: &Synthesis) -> [f64; 2] {
    let [mut compiled, mut on_device] =
        [plan.clone(), plan.clone().on(&device())].map(|plan| plan.quiet().start().unwrap());
    compiled.step(1).unwrap();
    on_device.step(1).unwrap();
    let gradient = relative(on_device.gradient_values(), compiled.gradient_values());
    compiled.step(2).unwrap();
    on_device.step(2).unwrap();
    assert_eq!(on_device.evaluations(), compiled.evaluations());
    [gradient, relative(on_device.pixels(), compiled.pixels())]
}

#[test]
fn gradients_and_steps_on_a_device_are_those_of_the_compiled_network() {
    let net = every_layer();
    let image = Image::noise(19, 23, Noise::Uniform { low: 0.1, high: 0.9 }, 1).unwrap();
    for stage in net.stages() {
        for recipe in Recipe::presets() {
            let plan = Synthesis::new(&net, &stage.name, image.clone()).unwrap().recipe(recipe.clone()).seed(3);
            let [gradient, pixels] = differences(&plan);
            assert!(
                gradient < 1e-4 && pixels < 1e-4,
                "{}, {}: off by {gradient} and {pixels}",
                stage.name,
                recipe.name
            );
        }
    }
}

#[test]
fn networks_of_the_zoo_run_on_a_device() {
    let photo = Image::open("photos/dog.jpg").unwrap();
    let word = Sound::open("speech/seven.wav").unwrap();
    let plans = [
        Synthesis::new(&zoo::efficientnet_lite0().unwrap(), "block2", &photo).unwrap(),
        Synthesis::new(&zoo::alexnet_random(0).unwrap(), "conv2", &photo).unwrap(),
        Synthesis::new(&zoo::cochcnn_words().unwrap(), "relu2", &word).unwrap(),
    ];
    for plan in plans {
        let [gradient, _] = differences(&plan);
        // Of the many rectifiers some have a pre-activation near zero, and open or close by rounding, as in ops/equals_layer_by_layer.rs.
        assert!(gradient < 5e-3, "{plan:?}: the gradient is off by {gradient}");
    }
}

#[test]
fn a_run_on_a_device_is_saved_and_continues_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.run");
    let net = every_layer();
    let image = Image::noise(19, 23, Noise::Uniform { low: 0.1, high: 0.9 }, 2).unwrap();
    let start = || Synthesis::new(&net, "pools", image.clone()).unwrap().seed(3).quiet().on(&device()).start().unwrap();
    let (mut straight, mut saved) = (start(), start());
    straight.step(9).unwrap();
    saved.step(4).unwrap();
    saved.save(&path).unwrap();
    let mut resumed = Run::resume(&path, &net).unwrap().quiet();
    resumed.move_to(&device()).unwrap();
    resumed.step(5).unwrap();
    let bits = |run: &Run| run.pixels().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    if device().is_cpu() {
        assert_eq!(bits(&resumed), bits(&straight));
    } else {
        assert!(relative(resumed.pixels(), straight.pixels()) < 1e-3);
    }
    let metamer = resumed.finish().unwrap();
    assert!(metamer.provenance().begun_by.is_empty(), "one device made all of it: {:?}", metamer.provenance().begun_by);
    let found = metamer.provenance().device.clone();
    let expected = if device().is_cpu() { "CPU by operations of candle" } else { "device 0" };
    assert!(found.contains(expected), "{found}");
}

#[test]
fn a_device_takes_precedence_over_layer_by_layer_in_either_order() {
    let image = Image::noise(19, 23, Noise::Uniform { low: 0.1, high: 0.9 }, 2).unwrap();
    let plan = Synthesis::new(&every_layer(), "pools", image).unwrap().quiet();
    for plan in [plan.clone().on(&device()).layer_by_layer(), plan.layer_by_layer().on(&device())] {
        let mut run = plan.start().unwrap();
        run.step(1).unwrap();
        let found = run.finish().unwrap().provenance().device.clone();
        let expected = if device().is_cpu() { "CPU by operations of candle" } else { "device 0" };
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn a_null_distribution_on_a_device_is_that_of_the_cpu() {
    let net = every_layer();
    let image =
        |seed| Image::noise(19, 23, Noise::Uniform { low: 0.1, high: 0.9 }, seed).unwrap().with_name(format!("{seed}"));
    let builder = NullDistribution::builder(&net).stimuli((0..6).map(image)).unwrap();
    let [cpu, on_device] = [builder.clone(), builder.on(&device())].map(|builder| builder.build().unwrap());
    for stage in net.stages() {
        let [cpu, on_device] = [&cpu, &on_device].map(|null| null.stage(&stage.name).unwrap().pearson.clone());
        assert_eq!(cpu.count(), 15);
        for (a, b) in [(cpu.mean(), on_device.mean()), (cpu.min(), on_device.min()), (cpu.max(), on_device.max())] {
            assert!((a - b).abs() < 1e-5, "{}: {a} and {b}", stage.name);
        }
    }
}

#[test]
fn a_sweep_on_a_device_is_that_of_single_runs() {
    let net = every_layer();
    let image = Image::noise(19, 23, Noise::Uniform { low: 0.1, high: 0.9 }, 3).unwrap().with_name("noise");
    let sweep = Sweep::new(&net).images([&image]).stages(["pools"]).seeds([5]).evaluations(12).quiet().on(&device());
    let results = sweep.run().unwrap();
    let metamer = results.metamer(0).unwrap();
    let plan = Synthesis::new(&net, "pools", &image).unwrap().seed(5).quiet().on(&device());
    let mut run = plan.start().unwrap();
    run.advance(Stop::evaluations(12)).unwrap();
    assert_eq!(metamer.provenance().device, run.finish().unwrap().provenance().device);
    let expected = run.finish().unwrap();
    assert!(relative(metamer.stimulus().values(), expected.stimulus().values()) < 1e-3);
}
