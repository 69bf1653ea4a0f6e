//! Training: gradients of weights, reproducibility, stop criteria, freezing, saving and errors.

use crate::common::{flat, relative};
use metamers::candle::Module;
use metamers::candle_nn::{self, Conv2dConfig, VarBuilder, VarMap};
use metamers::prelude::{training::*, *};
use metamers::synthesis::StopReason;
use metamers::training::{TrainableConv2d, TrainingRun, conv2d, init_weights};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Batch, channels, height and width; output channels; kernel; stride, padding, dilation and groups.
type Case = ([usize; 4], usize, usize, Conv2dConfig);

fn conv_config(padding: usize, stride: usize, dilation: usize, groups: usize) -> Conv2dConfig {
    Conv2dConfig { padding, stride, dilation, groups, cudnn_fwd_algo: None }
}

fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// `sum(c * conv(x, w, b))` in float64, by the definition.
fn sum_of_outputs(case: &Case, x: &[f64], w: &[f64], b: &[f64], c: &[f64]) -> f64 {
    let ([batch, channels, height, width], outputs, kernel, config) = *case;
    let out = |size: usize| (size + 2 * config.padding - config.dilation * (kernel - 1) - 1) / config.stride + 1;
    let (depth, per_group) = (channels / config.groups, outputs / config.groups);
    let (mut sum, mut index) = (0.0, 0);
    for n in 0..batch {
        for (o, &bias) in b.iter().enumerate() {
            for oy in 0..out(height) {
                for ox in 0..out(width) {
                    let mut value = bias;
                    for d in 0..depth {
                        for tap in 0..kernel * kernel {
                            let at = |o: usize, tap: usize| {
                                (o * config.stride + tap * config.dilation).checked_sub(config.padding)
                            };
                            let (Some(y), Some(x_)) = (at(oy, tap / kernel), at(ox, tap % kernel)) else { continue };
                            if y < height && x_ < width {
                                let channel = o / per_group * depth + d;
                                value += w[(o * depth + d) * kernel * kernel + tap]
                                    * x[((n * channels + channel) * height + y) * width + x_];
                            }
                        }
                    }
                    sum += c[index] * value;
                    index += 1;
                }
            }
        }
    }
    sum
}

/// A convolution with random weights, and its variables.
fn layer(case: &Case, seed: u64) -> (TrainableConv2d, VarMap) {
    let ([_, channels, ..], outputs, kernel, config) = *case;
    let vars = VarMap::new();
    let vb = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
    let layer = conv2d(channels, outputs, kernel, config, vb.pp("conv")).unwrap();
    init_weights(&vars, seed).unwrap();
    (layer, vars)
}

fn var(vars: &VarMap, name: &str) -> Var {
    vars.data().lock().unwrap()[name].clone()
}

#[test]
fn convolution_gradients_equal_float64_differences() {
    let cases: [Case; 6] = [
        ([2, 3, 9, 9], 4, 3, conv_config(1, 1, 1, 1)),
        ([3, 2, 10, 7], 5, 3, conv_config(1, 2, 1, 1)),
        ([1, 4, 11, 12], 6, 5, conv_config(2, 3, 1, 2)),
        ([2, 3, 9, 13], 3, 3, conv_config(2, 1, 2, 3)),
        ([2, 3, 6, 5], 7, 1, conv_config(0, 1, 1, 1)),
        ([1, 1, 8, 8], 2, 4, conv_config(0, 2, 1, 1)),
    ];
    for (index, case) in cases.iter().enumerate() {
        let (layer, vars) = layer(case, index as u64);
        let x = Var::from_tensor(&random(&case.0, 70 + index as u64)).unwrap();
        let y = layer.forward(&x).unwrap();
        let c = random(y.dims(), 90);
        let gradients = (y * &c).unwrap().sum_all().unwrap().backward().unwrap();
        let variables = [x, var(&vars, "conv.weight"), var(&vars, "conv.bias")];
        let wide = |t: &Tensor| flat(t).into_iter().map(f64::from).collect::<Vec<f64>>();
        let values: Vec<Vec<f64>> = variables.iter().map(|v| wide(v)).collect();
        for (which, variable) in variables.iter().enumerate() {
            let found = flat(gradients.get(variable).expect("each has a gradient"));
            let expected: Vec<f32> = (0..found.len())
                .map(|at| {
                    let moved = |by: f64| {
                        let mut values = values.clone();
                        values[which][at] += by;
                        sum_of_outputs(case, &values[0], &values[1], &values[2], &wide(&c))
                    };
                    // The sum is linear in each argument, so a large step has only rounding error.
                    ((moved(0.5) - moved(-0.5)) / 1.0) as f32
                })
                .collect();
            let off = relative(&found, &expected);
            assert!(off < 1e-5, "case {index}, {}: off by {off}", ["input", "weight", "bias"][which]);
        }
    }
}

/// For square images, candle-nn's convolution gives correct gradients, so the two can be exchanged.
#[test]
fn values_and_gradients_equal_candles_for_square_images() {
    let case = ([4, 3, 12, 12], 8, 5, conv_config(2, 2, 1, 1));
    let (ours, vars) = layer(&case, 3);
    let vb = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
    let theirs = candle_nn::conv2d(3, 8, 5, case.3, vb.pp("conv")).unwrap();
    let x = Var::from_tensor(&random(&case.0, 4)).unwrap();
    let all = |y: Tensor| {
        let g = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let of = |v: &Var| flat(g.get(v).unwrap());
        [flat(&y), of(&x), of(&var(&vars, "conv.weight")), of(&var(&vars, "conv.bias"))]
    };
    let (a, b) = (all(ours.forward(&x).unwrap()), all(theirs.forward(&x).unwrap()));
    for (a, b) in a.iter().zip(&b) {
        assert!(relative(a, b) < 1e-5);
    }
}

fn plan(examples: &Dataset) -> ConvNet {
    ConvNet::new("small", 24, examples.classes().to_vec()).conv("conv1", 6, 5, 2).conv("conv2", 8, 3, 2)
}

/// Noisy images that are redder, greener or bluer than gray.
fn color_dataset(count: usize, seed: u64) -> Dataset {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut images, mut labels) = (vec![], vec![]);
    for _ in 0..count {
        let label = random.random_range(0..3u32);
        let value = |i: usize| 0.4 + 0.15 * f32::from(u8::from(i / (24 * 24) == label as usize));
        let values = (0..3 * 24 * 24).map(|i| value(i) + random.random_range(-0.3..0.3)).collect();
        images.push(Image::from_planes("color", 24, 24, values).unwrap());
        labels.push(label);
    }
    Dataset::from_images(&images, labels, ["red", "green", "blue"]).unwrap()
}

fn started(seed: u64) -> TrainingRun {
    let examples = color_dataset(120, 1);
    Training::new(&plan(&examples), examples, color_dataset(90, 2))
        .seed(seed)
        .batch_size(8)
        .eval_every(10)
        .quiet()
        .start()
        .unwrap()
}

fn weights(run: &TrainingRun) -> Vec<u32> {
    let names = ["conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "logits.weight", "logits.bias"];
    names.iter().flat_map(|name| flat(&var(run.vars(), name))).map(|v| v.to_bits()).collect()
}

#[test]
fn training_reaches_95_percent_accuracy_on_a_color_task() {
    let mut run = started(5);
    let before = run.accuracy();
    let progress = run.step(80).unwrap();
    assert_eq!((progress.stop_reason, progress.steps(), run.losses().len()), (StopReason::Steps, 80, 80));
    assert!(before < 0.7 && run.accuracy() > 0.95, "{before} became {}", run.accuracy());
    assert!(run.losses()[70..].iter().all(|p| p.loss < run.losses()[0].loss));
    let tested: Vec<usize> = run.evaluations().iter().map(|t| t.step).collect();
    assert_eq!(tested, [0, 10, 20, 30, 40, 50, 60, 70, 80]);
}

#[test]
fn a_seed_gives_bit_identical_weights_for_any_number_of_threads_and_calls() {
    let trained = |threads: usize, portions: &[usize], seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut run = started(seed);
            portions.iter().for_each(|&n| drop(run.step(n).unwrap()));
            weights(&run)
        })
    };
    let one = trained(1, &[20], 5);
    assert!(one == trained(3, &[20], 5), "the result differs on three threads");
    assert!(one == trained(2, &[7, 0, 13], 5), "the result differs with several calls");
    assert!(one != trained(1, &[20], 6), "another seed gives the same result");
}

#[test]
fn run_for_stops_at_its_time_limit() {
    let progress = started(5).run_for(Duration::from_millis(300)).unwrap();
    assert_eq!(progress.stop_reason, StopReason::Time);
    assert!(progress.steps() > 0);
    let progress = started(5).run_for(Duration::ZERO).unwrap();
    assert_eq!((progress.stop_reason, progress.steps(), progress.loss()), (StopReason::Time, 0, None));
}

#[cfg(unix)]
#[test]
fn an_interrupt_stops_after_the_current_step_and_keeps_all_losses() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    // A signal reaches the whole process, so this test runs itself in a child process.
    if std::env::var_os("METAMERS_TEST_INTERRUPT").is_some() {
        let mut run = started(5);
        run.step(2).unwrap();
        println!("\nready");
        let progress = run.run_for(Duration::from_secs(300)).unwrap();
        println!("\n{:?} {}", progress.stop_reason, run.steps() == run.losses().len() && run.steps() >= 2);
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "training::an_interrupt_stops_after_the_current_step_and_keeps_all_losses", "--nocapture"])
        .env("METAMERS_TEST_INTERRUPT", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "ready"));
    std::thread::sleep(Duration::from_millis(300));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert!(lines.any(|line| line == "Interrupted true"), "the training did not stop, or lost losses");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_frozen_network_equals_the_module_and_ignores_further_training() {
    let mut run = started(5);
    run.step(30).unwrap();
    let net = run.freeze().unwrap();
    let x = color_dataset(5, 9).inputs().clone();
    let module = flat(&run.module().forward(&x).unwrap());
    let frozen = |net: &Network| flat(&net.forward_to("logits", &x).unwrap());
    let before = frozen(&net);
    assert!(relative(&before, &module) < 1e-5);
    run.step(30).unwrap();
    assert_eq!(frozen(&net), before, "further training must not change a frozen network");
    let later = run.freeze().unwrap();
    assert_ne!(later.weights_source(), net.weights_source());
    assert!(later.weights_source().source.contains("seed 5, 60 steps of 8"), "{}", later.weights_source().source);
    let names: Vec<&str> = net.stages().iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["conv1", "conv2", "mean", "logits"]);
}

#[test]
fn the_untrained_twin_has_the_initial_weights() {
    let run = started(5);
    let twin = plan(&color_dataset(9, 1)).untrained(5).unwrap();
    assert_eq!(twin.weights_source().weights_sha256, run.freeze().unwrap().weights_source().weights_sha256);
}

#[test]
fn a_saved_network_opens_with_the_same_hash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    let mut run = started(5);
    run.step(10).unwrap();
    run.save(&path).unwrap();
    assert!(run.save(folder.path().join("small.json")).unwrap_err().to_string().contains(".safetensors"));
    let (frozen, opened) = (run.freeze().unwrap(), ConvNet::open(&path).unwrap());
    assert_eq!((opened.weights_source(), opened.classes()), (frozen.weights_source(), frozen.classes()));
    let x = color_dataset(3, 4).inputs().clone();
    assert_eq!(flat(&opened.forward_to("mean", &x).unwrap()), flat(&frozen.forward_to("mean", &x).unwrap()));

    // A changed weight, a truncated file, and a file in another format.
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(ConvNet::open(&path).unwrap_err().to_string().contains("do not match the hash"));
    std::fs::write(&path, &bytes[..last]).unwrap();
    assert!(ConvNet::open(&path).unwrap_err().to_string().contains("safetensors"));
    run.vars().save(&path).unwrap();
    assert!(ConvNet::open(&path).unwrap_err().to_string().contains("not a file of ConvNet::save"));
}

#[test]
fn a_trained_network_supports_synthesis() {
    let mut run = started(5);
    run.step(20).unwrap();
    let net = run.freeze().unwrap();
    let photo = Image::open("photos/dog.jpg").unwrap();
    let mut synthesis = Synthesis::new(&net, "conv2", &photo).unwrap().seed(1).quiet().start().unwrap();
    synthesis.step(60).unwrap();
    assert!(synthesis.snr_db().unwrap() > 20.0, "{:?}", synthesis.snr_db());
    assert_eq!(synthesis.finish().unwrap().provenance().network, "small");
}

/// A custom module with the weights of [`plan`].
struct CustomModule(TrainableConv2d, TrainableConv2d, candle_nn::Linear);

impl Module for CustomModule {
    fn forward(&self, x: &Tensor) -> candle::Result<Tensor> {
        let x = self.0.forward(&x.affine(4.0, -2.0)?)?.relu()?;
        self.2.forward(&self.1.forward(&x)?.relu()?.mean((2, 3))?)
    }
}

fn custom_module(vars: &VarMap) -> CustomModule {
    let vb = VarBuilder::from_varmap(vars, DType::F32, &Device::Cpu);
    let conv1 = conv2d(3, 6, 5, conv_config(2, 2, 1, 1), vb.pp("conv1")).unwrap();
    let conv2 = conv2d(6, 8, 3, conv_config(1, 2, 1, 1), vb.pp("conv2")).unwrap();
    CustomModule(conv1, conv2, candle_nn::linear(8, 3, vb.pp("logits")).unwrap())
}

#[test]
fn a_custom_module_trains_identically_to_its_description() {
    let vars = VarMap::new();
    let training =
        Training::from_module("custom", custom_module(&vars), &vars, color_dataset(120, 1), color_dataset(90, 2));
    let mut run = training.seed(5).batch_size(8).quiet().start().unwrap();
    run.step(15).unwrap();
    let mut described = started(5);
    described.step(15).unwrap();
    assert!(weights(&run) == weights(&described));
    assert!(run.freeze().unwrap_err().to_string().contains("freeze_as"));
    let examples = color_dataset(9, 1);
    let net = run.freeze_as(&plan(&examples)).unwrap();
    assert_eq!(net.weights_source().weights_sha256, described.freeze().unwrap().weights_source().weights_sha256);
    // The weights also fit another stride, which is another network.
    let wrong = ConvNet::new("wrong", 24, examples.classes().to_vec()).conv("conv1", 6, 5, 2).conv("conv2", 8, 3, 1);
    assert!(run.freeze_as(&wrong).unwrap_err().to_string().contains("does not describe the module"));
    let misspelled = ConvNet::new("wrong", 24, examples.classes().to_vec()).conv("conv_1", 6, 5, 2);
    assert!(run.freeze_as(&misspelled).unwrap_err().to_string().contains("conv1.weight"));
}

#[test]
fn a_custom_module_without_a_seed_keeps_its_weights() {
    let vars = VarMap::new();
    let module = custom_module(&vars);
    init_weights(&vars, 77).unwrap();
    let run = Training::from_module("custom", module, &vars, color_dataset(20, 1), color_dataset(20, 2))
        .quiet()
        .start()
        .unwrap();
    let twin = plan(&color_dataset(9, 1)).untrained(77).unwrap();
    assert_eq!(
        run.freeze_as(&plan(&color_dataset(9, 1))).unwrap().weights_source().weights_sha256,
        twin.weights_source().weights_sha256
    );
}

#[test]
fn a_diverging_step_leaves_the_weights_unchanged() {
    let examples = color_dataset(60, 1);
    let training =
        Training::new(&plan(&examples), examples, color_dataset(30, 2)).learning_rate(1e30).batch_size(8).quiet();
    let mut run = training.start().unwrap();
    let error = loop {
        let before = weights(&run);
        if let Err(error) = run.step(1) {
            assert!(before == weights(&run));
            break error.to_string();
        }
        assert!(run.steps() < 50, "no divergence at a learning rate of 1e30");
    };
    assert!(error.contains("smaller learning rate"), "{error}");
}

#[test]
fn invalid_inputs_are_errors_with_a_reason() {
    let assert_error = |result: metamers::Result<TrainingRun>, reason: &str| {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    };
    let (a, b) = (color_dataset(9, 1), color_dataset(9, 2));
    let training = |plan: &ConvNet| Training::new(plan, a.clone(), b.clone()).quiet();
    let good = plan(&a);
    assert_error(training(&good).batch_size(0).start(), "at least 1");
    assert_error(training(&good).batch_size(usize::MAX).start(), "at most 1048576");
    assert_error(training(&good).learning_rate(f64::NAN).start(), "finite");
    assert_error(training(&good.clone().with_classes("other", ["x", "y"])).start(), "red, green, blue");
    assert_error(training(&ConvNet::new("bare", 24, a.classes().to_vec())).start(), ".conv(");
    assert_error(
        training(&ConvNet::new("even", 24, a.classes().to_vec()).conv("conv1", 4, 2, 1)).start(),
        "odd kernel",
    );
    let empty = VarMap::new();
    assert_error(
        Training::from_module("none", custom_module(&VarMap::new()), &empty, a.clone(), b.clone()).start(),
        "no variables",
    );

    let x = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
    let examples = |labels: Vec<u32>, classes: &[&str]| Dataset::new(x.clone(), labels, classes.iter().copied());
    assert!(examples(vec![0, 2], &["a", "b"]).unwrap_err().to_string().contains("2 is out of range"));
    assert!(examples(vec![0], &["a", "b"]).unwrap_err().to_string().contains("[2, 3]"));
    assert!(examples(vec![0, 0], &["a"]).unwrap_err().to_string().contains("at least 2"));
    for (size, reason) in [(0, "at least 1"), (usize::MAX, "at most 1048576")] {
        let error = examples(vec![0, 1], &["a", "b"]).unwrap().batch(size, 1, 1).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}
