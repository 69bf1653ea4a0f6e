//! Networks from candle modules: they equal networks built from layers, and invalid modules and gradients are errors.

use std::sync::atomic::{AtomicUsize, Ordering};

use metamers::candle::{D, Module};
use metamers::candle_nn::{self, Conv2dConfig, VarBuilder, VarMap};
use metamers::engine::Compiled;
use metamers::hearing::{Cochleagram, LogMel, LogMelConfig};
use metamers::network::{Builder, Input, StageMarker, WeightsSource};
use metamers::ops::{self, Frozen, MaxPool2d, Padding, Relu, Window};
use metamers::prelude::*;

const SIZE: usize = 24;
const INPUT: Input = Input::Image { shape: [3, SIZE, SIZE], resize: SIZE };

/// Deterministic pseudo-random weights.
fn weights(shape: &[usize], seed: u64) -> Tensor {
    let fan_in: usize = shape[1..].iter().product();
    let value = |i: u64| {
        let z = (i + 1 + 1_000_003 * seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((z >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * (12.0 / fan_in as f32).sqrt()
    };
    let count: usize = shape.iter().product();
    Tensor::from_vec((0..count as u64).map(value).collect::<Vec<_>>(), shape, &Device::Cpu).unwrap()
}

fn conv(outputs: usize, inputs: usize, side: usize, seed: u64) -> candle_nn::Conv2d {
    candle_nn::Conv2d::new(weights(&[outputs, inputs, side, side], seed), None, Conv2dConfig::default())
}

fn overlapping() -> MaxPool2d {
    MaxPool2d::new(Window::square(3).stride(2))
}

/// Two convolutions with the library's max pool between them, and four classes.
fn small(name: &str, seed: u64) -> Result<Network> {
    let (conv1, conv2) = (conv(8, 3, 5, seed), conv(12, 8, 3, seed + 1));
    let head = candle_nn::Linear::new(weights(&[4, 12], seed + 2), None);
    Network::from_module(name, INPUT, move |x, mark| {
        let x = mark.relu("relu1", conv1.forward(&((x - 0.5)? / 0.25)?)?)?;
        let x = mark.stage("pool1", overlapping().apply(&x)?)?;
        let x = mark.relu("relu2", conv2.forward(&x)?)?;
        mark.stage("logits", head.forward(&x.mean((2, 3))?)?)
    })
}

/// The network of [`small`], built from layers.
fn small_as_layers(seed: u64) -> Network {
    let conv = |shape: &[usize], seed| ops::Conv2d::new(&weights(shape, seed), None, Default::default()).unwrap();
    let mut b = Builder::new("layers", INPUT);
    let x = b.channel_affine(b.input(), ops::ChannelAffine::new(&[4.0; 3], &[-2.0; 3]).unwrap()).unwrap();
    let x = b.conv2d(x, conv(&[8, 3, 5, 5], seed)).unwrap();
    let x = b.relu(x, Relu::UNBOUNDED).unwrap();
    b.stage("relu1", x).unwrap();
    let x = b.max_pool2d(x, overlapping()).unwrap();
    b.stage("pool1", x).unwrap();
    let x = b.conv2d(x, conv(&[12, 8, 3, 3], seed + 1)).unwrap();
    let x = b.relu(x, Relu::UNBOUNDED).unwrap();
    b.stage("relu2", x).unwrap();
    let x = b.global_avg_pool(x).unwrap();
    let x = b.linear(x, ops::Linear::new(&weights(&[4, 12], seed + 2), None).unwrap()).unwrap();
    b.stage("logits", x).unwrap();
    b.finish().unwrap()
}

fn dog() -> Image {
    Image::open("photos/dog.jpg").unwrap()
}

fn off(a: &[f32], b: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b))) / norm(&mut b.iter().map(|&b| f64::from(b)))
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn rejection_of<F>(function: F) -> String
where
    F: Fn(&Tensor, &mut StageMarker) -> Result<Tensor> + Send + Sync + 'static,
{
    Network::from_module("mine", INPUT, function).expect_err("the module must be rejected").to_string()
}

fn assert_contains(message: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(message.contains(part), "\"{part}\" is missing in: {message}"));
}

#[test]
fn a_module_equals_the_same_network_built_from_layers() {
    let (module, layers) = (small("mine", 3).unwrap(), small_as_layers(3));
    let x = module.prepare(dog()).unwrap().to_tensor().unwrap();
    for (stage, other) in module.stages().iter().zip(layers.stages()) {
        assert_eq!((&stage.name, &stage.shape), (&other.name, &other.shape));
        let [a, b] = [&module, &layers].map(|net| flat(&net.forward_to(&stage.name, &x).unwrap()));
        assert!(off(&a, &b) < 1e-5, "{}: off by {}", stage.name, off(&a, &b));
        let compiled = flat(&Compiled::new(&module, &stage.name).unwrap().apply(&x).unwrap());
        assert!(off(&compiled, &a) < 1e-6, "{}: the compiled run is off by {}", stage.name, off(&compiled, &a));
    }
    let names: Vec<&str> = module.stages().iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["relu1", "pool1", "relu2", "logits"]);
    let each = module.forward_to_each(&names, &x).unwrap();
    assert_eq!(flat(&each[2]), flat(&module.forward_to("relu2", &x).unwrap()));
    // Inputs below the maximum of a max pool have no gradient, so a field measured by the gradient can be one or two pixels too
    // small.
    let fields = |net: &Network| net.stages().iter().map(|s| s.receptive_field.size).collect::<Vec<_>>();
    println!("measured {:?}, computed {:?}", fields(&module), fields(&layers));
    assert_eq!(fields(&module)[0], Some([5, 5]));
    for (measured, computed) in fields(&module).into_iter().zip(fields(&layers)).take(3) {
        let pairs = measured.unwrap().into_iter().zip(computed.unwrap());
        assert!(pairs.into_iter().all(|(m, c)| m <= c && c <= m + 2), "{measured:?} of {computed:?}");
    }
    assert_eq!(fields(&module)[3], None);
}

#[test]
fn gradients_equal_those_of_the_network_built_from_layers() {
    let (module, layers) = (small("mine", 3).unwrap(), small_as_layers(3));
    let x = module.prepare(dog()).unwrap().to_tensor().unwrap();
    for stage in ["relu1", "pool1", "relu2", "logits"] {
        let gradient = |net: &Network, compiled: bool| {
            let x = Var::from_tensor(&x).unwrap();
            let y = match compiled {
                true => Compiled::new(net, stage).unwrap().apply(&x).unwrap(),
                false => net.forward_to(stage, &x).unwrap(),
            };
            let cotangent = weights(y.dims(), 9);
            flat(&ops::vjp(&y, &cotangent, &x).unwrap())
        };
        let reference = gradient(&layers, false);
        for compiled in [false, true] {
            let off = off(&gradient(&module, compiled), &reference);
            assert!(off < 1e-5, "{stage}, compiled {compiled}: off by {off}");
        }
    }
}

#[test]
fn a_forward_pass_stops_at_the_requested_stage() {
    static LATER_RUNS: AtomicUsize = AtomicUsize::new(0);
    let conv1 = conv(4, 3, 3, 1);
    let net = Network::from_module("mine", INPUT, move |x, mark| {
        let x = mark.relu("relu1", conv1.forward(x)?)?;
        LATER_RUNS.fetch_add(1, Ordering::Relaxed);
        mark.stage("sum", x.sum_keepdim(D::Minus1)?)
    })
    .unwrap();
    let x = net.prepare(dog()).unwrap().to_tensor().unwrap();
    let before = LATER_RUNS.load(Ordering::Relaxed);
    net.forward_to("relu1", &x).unwrap();
    assert_eq!(LATER_RUNS.load(Ordering::Relaxed), before);
    net.forward_to("sum", &x).unwrap();
    assert_eq!(LATER_RUNS.load(Ordering::Relaxed), before + 1);
}

#[test]
fn a_synthesis_is_saved_resumed_and_classified() {
    let net = small("mine", 3).unwrap().with_classes(["cat", "dog", "horse", "panda"]).unwrap();
    assert!(net.classify(dog(), 2).unwrap().scores().len() == 2);
    let recipe = Recipe::feather2023().steps(20);
    let mut run = Synthesis::new(&net, "relu2", dog()).unwrap().recipe(recipe).seed(5).quiet().start().unwrap();
    run.step(3).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.run");
    run.save(&path).unwrap();
    run.step(17).unwrap();
    let metamer = run.finish().unwrap();
    let (before, after) = (run.history()[0].snr_db, metamer.similarity().snr_db.unwrap());
    println!("SNR {before:.1} -> {after:.1} dB in 20 steps");
    assert!(after > before + 5.0, "{before} -> {after}");
    assert!(metamer.original_class().is_some() && metamer.metamer_class().is_some());
    // A new network, as after a restart of the notebook.
    let rebuilt = small("mine", 3).unwrap();
    let mut resumed = Run::resume(&path, &rebuilt).unwrap().quiet();
    resumed.step(17).unwrap();
    assert!(resumed.pixels() == run.pixels(), "the resumed run differs");
    let error = Run::resume(&path, &small("mine", 4).unwrap()).unwrap_err().to_string();
    assert_contains(&error, &["was made with mine of weights"]);
}

#[test]
fn a_marked_relu_is_detected_and_an_unmarked_one_is_not() {
    // Without the mark, the pre-activation is unknown, and inactive units have no gradient.
    let conv1 = conv(4, 3, 3, 1);
    let unmarked =
        Network::from_module("unmarked", INPUT, move |x, mark| mark.stage("relu1", conv1.forward(x)?.relu()?));
    let conv1 = conv(4, 3, 3, 1);
    let marked = Network::from_module("marked", INPUT, move |x, mark| mark.relu("relu1", conv1.forward(x)?)).unwrap();
    let x = marked.prepare(dog()).unwrap().to_tensor().unwrap();
    let unmarked = unmarked.unwrap();
    assert_eq!(flat(&marked.forward_to("relu1", &x).unwrap()), flat(&unmarked.forward_to("relu1", &x).unwrap()));
    assert_eq!(Compiled::new(&marked, "relu1").unwrap().relu(), Some(Relu::UNBOUNDED));
    assert_eq!(Compiled::new(&unmarked, "relu1").unwrap().relu(), None);
}

#[test]
fn candles_overlapping_max_pool_is_rejected_and_the_librarys_is_accepted() {
    let conv1 = conv(4, 3, 3, 1);
    let message = rejection_of(move |x, mark| {
        let x = conv1.forward(x)?.relu()?;
        mark.stage("pool1", x.max_pool2d_with_stride(3, 2)?)
    });
    assert_contains(&message, &["pool1", "candle has no gradient", "metamers::ops", "MaxPool2d::new"]);
    let conv1 = conv(4, 3, 3, 1);
    let net = Network::from_module("mine", INPUT, move |x, mark| {
        let x = conv1.forward(x)?.relu()?;
        mark.stage("pool1", overlapping().apply(&x)?)
    });
    assert_eq!(net.unwrap().stages()[0].shape, [4, 10, 10]);
}

#[test]
fn candles_non_overlapping_max_pool_is_rejected_with_its_gradient_error() {
    let conv1 = conv(4, 3, 3, 1);
    let message = rejection_of(move |x, mark| {
        let x = mark.relu("relu1", conv1.forward(x)?)?;
        mark.stage("pool1", x.max_pool2d(2)?)
    });
    println!("{message}");
    assert_contains(&message, &["stage \"pool1\" of mine", "off by", "%", "finite differences", "MaxPool2d"]);
}

#[test]
fn fully_and_partly_detached_gradients_are_rejected() {
    let message = rejection_of(|x, mark| mark.stage("a", x.detach().affine(2.0, 0.0)?));
    assert_contains(&message, &["stage \"a\"", "does not depend on this input"]);
    let message = rejection_of(|x, mark| {
        let first = mark.stage("first", (x * 2.0)?)?;
        mark.stage("second", ((x * 1e-6)? + first.detach())?)
    });
    assert_contains(&message, &["stage \"second\"", "off by", "detach"]);
    // One of two branches of equal weight is detached: an error of about 70 %.
    let (a, b) = (conv(4, 3, 3, 1), conv(4, 3, 3, 2));
    let message = rejection_of(move |x, mark| mark.stage("sum", (a.forward(x)? + b.forward(x)?.detach())?));
    println!("{message}");
    assert_contains(&message, &["stage \"sum\"", "off by"]);
    // A tenth of the gradient is detached.
    let a = conv(4, 3, 3, 1);
    let message = rejection_of(move |x, mark| {
        let y = a.forward(x)?;
        mark.stage("share", ((&y * 0.9)? + (&y * 0.1)?.detach())?)
    });
    println!("{message}");
    assert_contains(&message, &["stage \"share\"", "off by"]);
}

#[test]
fn candles_wrong_convolution_gradient_for_non_square_images_is_rejected() {
    // candle's strided convolution has a wrong gradient for images that are not square.
    let input = Input::Image { shape: [3, 29, 36], resize: 36 };
    let conv = candle_nn::Conv2d::new(
        weights(&[4, 3, 7, 7], 1),
        None,
        Conv2dConfig { stride: 2, padding: 3, ..Default::default() },
    );
    let message = Network::from_module("mine", input, move |x, mark| mark.stage("conv1", conv.forward(x)?));
    let message = message.expect_err("the module must be rejected").to_string();
    println!("{message}");
    assert_contains(&message, &["stage \"conv1\"", "Conv2d"]);
}

#[test]
fn a_straight_through_gradient_is_rejected() {
    // A straight-through ReLU passes the incoming gradient where the true gradient is 0.
    let first = conv(8, 3, 3, 1);
    let message = rejection_of(move |x, mark| {
        let z = first.forward(&(x - 0.5)?)?;
        let rectified = (&z + (z.relu()? - &z)?.detach())?;
        mark.stage("through", rectified)
    });
    assert_contains(&message, &["stage \"through\"", "off by", "StageMarker::relu"]);
}

#[test]
fn small_networks_are_accepted_for_forty_random_weights() {
    // Changes nearly cancel in means over an image, so finite differences are close to rounding error.
    for seed in 0..40 {
        let conv = conv(4, 3, 3, seed);
        let net = Network::from_module("small", INPUT, move |x, mark| {
            let x = mark.relu("relu", conv.forward(&(x - 0.5)?)?)?;
            mark.stage("mean", x.mean((2, 3))?)
        });
        assert!(net.is_ok(), "seed {seed}: {net:?}");
    }
}

#[test]
fn a_deep_network_is_accepted_with_a_small_gradient_error() {
    // Finite differences cross many kinks of twelve ReLUs and two max pools.
    let convs: Vec<candle_nn::Conv2d> = (0..12)
        .map(|i| {
            let config = Conv2dConfig { padding: 1, ..Default::default() };
            candle_nn::Conv2d::new(weights(&[8, if i == 0 { 3 } else { 8 }, 3, 3], i), None, config)
        })
        .collect();
    let net = Network::from_module("deep", INPUT, move |x, mark| {
        let mut x = (x - 0.5)?;
        for (i, conv) in convs.iter().enumerate() {
            x = mark.relu(&format!("relu{i}"), conv.forward(&x)?)?;
            if i % 5 == 4 {
                x = MaxPool2d::new(Window::square(3).stride(2).padding(Padding::all(1))).apply(&x)?;
            }
        }
        Ok(x)
    })
    .unwrap();
    let found = net.inspect_on(dog()).unwrap();
    let errors: Vec<f64> = found.stages().iter().map(|s| s.module_gradient_error.unwrap()).collect();
    println!("off by {errors:?}");
    assert_eq!(errors.len(), 12);
    assert!(errors.iter().all(|&off| off < 0.02), "{errors:?}");
}

#[test]
fn other_stages_in_a_later_run_are_an_error() {
    for first in [1, 2, 3, 4, 10] {
        let runs = AtomicUsize::new(0);
        let message = rejection_of(move |x, mark| {
            let x = mark.stage("a", (x * 2.0)?)?;
            if runs.fetch_add(1, Ordering::Relaxed) < first {
                return Ok(x);
            }
            mark.stage("b", (x + 1.0)?)
        });
        assert_contains(&message, &["marks other stages", "the same stages in every run"]);
    }
}

#[test]
fn non_finite_random_batch_dependent_and_unnamed_outputs_are_errors() {
    let message = rejection_of(|x, mark| mark.stage("norm", (x / 0.0)?));
    assert_contains(&message, &["norm", "not finite"]);
    let message = rejection_of(|x, mark| mark.stage("mean", x.mean_all()?.reshape((1, 1))?));
    assert_contains(&message, &["stage \"mean\"", "batch of 2"]);
    let message = rejection_of(|x, mark| mark.stage("vector", x.flatten_all()?));
    assert_contains(&message, &["stage \"vector\"", "does not keep the batch", "[1728]"]);
    let message = rejection_of(|x, mark| mark.stage("noisy", (x + x.rand_like(0.0, 0.1)?)?));
    assert_contains(&message, &["stage \"noisy\"", "second run", "dropout"]);
    // Batch normalisation in training mode normalises each input by the statistics of the batch.
    let message = rejection_of(|x, mark| mark.stage("norm", x.broadcast_sub(&x.mean_keepdim(0)?)?.affine(1.0, 0.5)?));
    assert!(message.contains("stage \"norm\""), "{message}");
    let message = rejection_of(|x, mark| mark.stage("halves", x.broadcast_add(&x.mean_keepdim(0)?)?));
    assert_contains(&message, &["stage \"halves\"", "one input of a batch", "forward_t"]);
    let message = rejection_of(|x, mark| {
        let x = mark.stage("a", (x * 2.0)?)?;
        mark.stage("a", (x * 2.0)?)
    });
    assert_contains(&message, &["\"a\" is taken"]);
    let message = rejection_of(|x, _| Ok((x * 2.0)?));
    assert_contains(&message, &["mine", "names no stage"]);
    let message = rejection_of(|x, mark| mark.stage("wide", x.to_dtype(DType::F64)?));
    assert_contains(&message, &["stage \"wide\"", "F32"]);
    let message = rejection_of(|x, mark| mark.stage("a", x.matmul(&x.narrow(1, 0, 1)?)?));
    assert_contains(&message, &["cannot be run"]);
}

#[test]
fn invalid_stages_classes_hashes_and_inputs_are_errors() {
    let net = small("mine", 3).unwrap();
    let message = net.stage("relu3").unwrap_err().to_string();
    assert_contains(&message, &["no stage named \"relu3\"", "relu1", "relu2"]);
    let message = net.clone().with_classes(["one", "two"]).unwrap_err().to_string();
    assert_contains(&message, &["4 units for 2 classes"]);
    let wrong = WeightsSource { source: "mine".into(), weights_sha256: "abc".into() };
    assert_contains(&net.clone().with_weights_source(wrong).unwrap_err().to_string(), &["no SHA-256", "abc"]);
    let x = Tensor::zeros((1, 3, SIZE, SIZE + 1), DType::F32, &Device::Cpu).unwrap();
    assert_contains(&net.forward_to("relu1", &x).unwrap_err().to_string(), &["the input of mine"]);
    assert_contains(&net.classify(dog(), 1).unwrap_err().to_string(), &["no class names"]);
}

#[test]
fn weight_changes_after_construction_are_detected() {
    let vars = VarMap::new();
    let builder = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
    let conv1 = candle_nn::conv2d(3, 4, 3, Conv2dConfig::default(), builder.pp("conv1")).unwrap();
    let net = Network::from_module("mine", INPUT, move |x, mark| mark.relu("relu1", conv1.forward(x)?)).unwrap();
    assert!(Synthesis::new(&net, "relu1", dog()).unwrap().quiet().start().is_ok());
    let before = WeightsSource::from_vars("mine", &vars).unwrap();
    assert_eq!(before, WeightsSource::from_vars("mine", &vars).unwrap());
    let var = vars.all_vars().into_iter().find(|var| var.rank() == 4).unwrap();
    var.set(&(var.as_tensor() * 1.01).unwrap()).unwrap();
    assert_ne!(before, WeightsSource::from_vars("mine", &vars).unwrap());
    let message = Synthesis::new(&net, "relu1", dog()).unwrap().quiet().start().unwrap_err().to_string();
    assert_contains(&message, &["stage \"relu1\" of mine", "other values than when the network was made"]);
}

#[test]
fn the_hash_depends_on_the_weights_and_can_be_that_of_a_file() {
    let hash = |net: &Network| net.weights_source().weights_sha256.clone();
    let net = small("mine", 3).unwrap();
    assert_eq!(hash(&net), hash(&small("mine", 3).unwrap()));
    assert_ne!(hash(&net), hash(&small("mine", 4).unwrap()));
    assert!(net.weights_source().source.contains("fixed input"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.safetensors");
    candle::safetensors::save(&[("w", weights(&[4, 3, 3, 3], 1))].into(), &path).unwrap();
    let net = net.with_weights_source(WeightsSource::from_file(&path).unwrap()).unwrap();
    assert_eq!(net.weights_source().source, "mine.safetensors");
    assert_eq!(hash(&net), metamers::network::Checkpoint::open(&path).unwrap().weights_source().weights_sha256);
}

#[test]
fn a_module_can_follow_a_log_mel_front_end() {
    let config =
        LogMelConfig { sample_rate: 8_000, samples: 4_000, win_length: 200, hop_length: 80, n_fft: 256, n_mels: 20 };
    let log_mel = LogMel::new(config.clone()).unwrap();
    let mut b = Builder::new("log-mel network", Input::Sound { samples: 4_000, sample_rate: 8_000 });
    let x = b.layer(log_mel, &[b.input()]).unwrap();
    b.stage("mel", x).unwrap();
    let conv1 = candle_nn::Conv2d::new(weights(&[6, 1, 3, 3], 1), None, Conv2dConfig::default());
    let x = b.module(x, move |x, mark| mark.relu("relu1", conv1.forward(&(x / 10.0)?)?)).unwrap();
    let x = b.global_avg_pool(x).unwrap();
    b.stage("pool", x).unwrap();
    let net = b.finish().unwrap();
    assert_eq!(net.stage("relu1").unwrap().shape, [6, config.frames() - 2, 18]);
    assert_eq!(net.stage("pool").unwrap().shape, [6]);
    let word = Sound::open("speech/seven.wav").unwrap();
    let mut run = Synthesis::new(&net, "relu1", &word).unwrap().quiet().start().unwrap();
    run.step(10).unwrap();
    assert!(run.snr_db().unwrap() > run.history()[0].snr_db);
    // The table marks the unknown properties of a module.
    let text = net.mime_bundles()[0].plain().to_owned();
    assert_contains(&text, &["relu1", "not known"]);
}

#[test]
fn a_cochleagram_is_rejected_inside_a_module_and_accepted_before_it() {
    let cochleagram = Cochleagram::feather2023().unwrap();
    let input = zoo::cochleagram(&cochleagram).unwrap().input().clone();
    let inside = cochleagram.clone();
    let message = Network::from_module("cochleagram network", input.clone(), move |x, mark| {
        mark.stage("cochleagram", inside.apply(x)?)
    });
    let message = message.expect_err("the module must be rejected").to_string();
    println!("{message}");
    assert_contains(&message, &["stage \"cochleagram\"", "off by", "Builder::module"]);
    let mut b = Builder::new("cochleagram network", input);
    let x = b.layer(cochleagram, &[b.input()]).unwrap();
    b.module(x, |x, mark| mark.stage("bands", x.mean(3)?)).unwrap();
    assert_eq!(b.finish().unwrap().stage("bands").unwrap().shape, [1, 211]);
}

#[test]
#[ignore = "a minute; smaller networks are tested in each run"]
fn correct_full_size_networks_are_accepted() {
    for net in [zoo::efficientnet_lite0().unwrap(), zoo::alexnet_random(1).unwrap()] {
        let (inner, input) = (net.clone(), net.input().clone());
        let started = std::time::Instant::now();
        let module = Network::from_module("wrapped", input, move |x, mark| {
            let names: Vec<&str> = inner.stages().iter().map(|stage| stage.name.as_str()).collect();
            let mut last = x.clone();
            for (name, value) in names.iter().zip(inner.forward_to_each(&names, x)?) {
                last = mark.stage(name, value)?;
            }
            Ok(last)
        })
        .unwrap();
        println!("{}: built in {:.1} s", net.name(), started.elapsed().as_secs_f64());
        let shapes = |net: &Network| net.stages().iter().map(|s| s.shape.clone()).collect::<Vec<_>>();
        assert_eq!(shapes(&module), shapes(&net));
        let dog = net.prepare(dog()).unwrap();
        let found = module.inspect_on(dog).unwrap();
        let errors: Vec<_> = found.stages().iter().map(|s| (s.stage.name.clone(), s.module_gradient_error)).collect();
        println!("{errors:?}");
        assert!(errors.iter().all(|(_, off)| off.is_some_and(|off| off < 0.02)), "{errors:?}");
    }
}
