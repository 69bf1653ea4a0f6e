//! Runs: resumption, reproducibility, stop criteria, and errors.

use crate::common::flat;
use metamers::engine::Compiled;
use metamers::network::{Builder, Input};
use metamers::ops::{Conv2d, Conv2dConfig, Padding, Relu};
use metamers::prelude::{recipes::*, *};
use metamers::synthesis::{Loss, Norm, Optimizer, StopReason};
use rand::{RngExt, SeedableRng};

/// A small random network of two convolutions with ReLUs.
fn small() -> Network {
    random_network("small", 5)
}

fn random_network(name: &str, seed: u64) -> Network {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut weight = |shape: [usize; 4]| {
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| random.random_range(-0.4..0.4)).collect();
        Tensor::from_vec(values, shape.as_slice(), &Device::Cpu).unwrap()
    };
    let same = |stride| Conv2dConfig { stride: [stride; 2], padding: Padding::all(1), ..Default::default() };
    let mut b = Builder::new(name, Input::Image { shape: [3, 20, 16], resize: 20 });
    let x = b.conv2d(b.input(), Conv2d::new(&weight([6, 3, 3, 3]), None, same(1)).unwrap()).unwrap();
    let x = b.relu(x, Relu::UNBOUNDED).unwrap();
    b.stage("relu1", x).unwrap();
    let x = b.conv2d(x, Conv2d::new(&weight([8, 6, 3, 3]), None, same(2)).unwrap()).unwrap();
    let x = b.relu(x, Relu::UNBOUNDED).unwrap();
    b.stage("relu2", x).unwrap();
    b.finish().unwrap()
}

fn noise_image(seed: u64) -> Image {
    Image::noise(16, 20, Noise::Uniform { low: 0.1, high: 0.9 }, seed).unwrap().with_name("target")
}

fn plan(recipe: Recipe) -> Synthesis {
    Synthesis::new(&small(), "relu2", noise_image(1)).unwrap().recipe(recipe).seed(3).quiet()
}

fn bits(run: &Run) -> Vec<u32> {
    run.pixels().iter().map(|x| x.to_bits()).collect()
}

#[test]
fn a_resumed_run_continues_bit_identically() {
    let folder = tempfile::tempdir().unwrap();
    for recipe in Recipe::presets() {
        for layer_by_layer in [false, true] {
            let name = format!("{}{}", recipe.name, if layer_by_layer { ", layer by layer" } else { "" });
            let plan = || {
                let plan = plan(recipe.clone().steps(60));
                if layer_by_layer { plan.layer_by_layer() } else { plan }
            };
            for before in [0, 1, 7, 33] {
                let path = folder.path().join(format!("{name}-{before}.run"));
                let mut straight = plan().start().unwrap();
                straight.step(before).unwrap();
                straight.save(&path).unwrap();
                let mut resumed = Run::resume(&path, &small()).unwrap().quiet();
                straight.step(12).unwrap();
                resumed.step(12).unwrap();
                assert_eq!(bits(&straight), bits(&resumed), "{name}, saved after {before} steps");
                assert_eq!(straight.evaluations(), resumed.evaluations());
                assert_eq!(straight.best(), resumed.best());
                let losses = |run: &Run| run.history().iter().map(|p| p.loss).collect::<Vec<_>>();
                assert_eq!(losses(&straight), losses(&resumed));
            }
        }
    }
}

/// The test above needs this difference to detect which of the two a resumed run uses.
#[test]
fn layer_by_layer_and_compiled_runs_differ_in_their_last_bits() {
    let after = |plan: Synthesis| {
        let mut run = plan.start().unwrap();
        run.step(12).unwrap();
        bits(&run)
    };
    assert_ne!(after(plan(Recipe::natural_prior())), after(plan(Recipe::natural_prior()).layer_by_layer()));
}

#[test]
fn a_seed_gives_bit_identical_runs_for_any_number_of_threads() {
    let net = zoo::efficientnet_lite0().unwrap();
    let photo = Image::open("photos/dog.jpg").unwrap();
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut run = Synthesis::new(&net, "block5", &photo).unwrap().seed(11).quiet().start().unwrap();
            run.step(6).unwrap();
            bits(&run)
        })
    };
    let one = with(1);
    assert!(one == with(2), "the results of one and two threads differ");
    assert!(one == with(3), "the results of one and three threads differ");
}

#[test]
fn another_seed_gives_another_image() {
    let start = |seed| bits(&plan(Recipe::natural_prior()).seed(seed).start().unwrap());
    assert_ne!(start(1), start(2));
    assert_eq!(start(1), start(1));
}

/// The 30,000 values of an initial image, with their minimum, maximum, mean and standard deviation.
fn initial_image(recipe: Recipe) -> (Vec<f32>, [f64; 4]) {
    let mut b = Builder::new("one", Input::Image { shape: [3, 100, 100], resize: 100 });
    let weight = Tensor::ones((1, 3, 1, 1), DType::F32, &Device::Cpu).unwrap();
    let x = b.conv2d(b.input(), Conv2d::new(&weight, None, Conv2dConfig::default()).unwrap()).unwrap();
    b.stage("sum", x).unwrap();
    let photo = Image::noise(100, 100, Noise::Uniform { low: 0.1, high: 0.9 }, 1).unwrap();
    let plan = Synthesis::new(&b.finish().unwrap(), "sum", &photo).unwrap().recipe(recipe).seed(5).quiet();
    let values = plan.start().unwrap().pixels().to_vec();
    assert_eq!(values.len(), 30_000);
    let mean = |f: &dyn Fn(f64) -> f64| values.iter().map(|&v| f(f64::from(v))).sum::<f64>() / values.len() as f64;
    let average = mean(&|v| v);
    let deviation = mean(&|v| (v - average).powi(2)).sqrt();
    let minimum = values.iter().copied().fold(f32::INFINITY, f32::min);
    let maximum = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let numbers = [f64::from(minimum), f64::from(maximum), average, deviation];
    (values, numbers)
}

fn near(found: f64, expected: f64, within: f64) {
    assert!((found - expected).abs() < within, "{found}, expected {expected} within {within}");
}

/// Tolerances are at least five standard errors of 30,000 draws.
#[test]
fn presets_start_from_their_published_noise() {
    let (_, [minimum, maximum, mean, deviation]) = initial_image(Recipe::feather2019());
    assert!(
        minimum >= f64::from(0.5f32) && maximum < f64::from(0.6f32),
        "uniform in [0.5, 0.6): {minimum} to {maximum}"
    );
    near(minimum, 0.5, 1e-4);
    near(maximum, 0.6, 1e-4);
    near(mean, 0.55, 1e-3);
    near(deviation, 0.1 / 12f64.sqrt(), 5e-4);

    for recipe in [Recipe::feather2023(), Recipe::natural_prior()] {
        let (values, [minimum, maximum, mean, deviation]) = initial_image(recipe);
        assert!(
            minimum > 0.2 && maximum < 0.8 && maximum - minimum > 0.3,
            "normal, deviation 0.05: {minimum} to {maximum}"
        );
        near(mean, 0.5, 2e-3);
        near(deviation, 0.05, 1e-3);
        let inside = values.iter().filter(|&&v| (v - 0.5).abs() < 0.05).count() as f64 / values.len() as f64;
        near(inside, 0.6827, 0.014);
    }

    let (_, [minimum, maximum, mean, deviation]) = initial_image(Recipe::plenoptic());
    assert_eq!((minimum, maximum), (0.0, 1.0), "rescaled to the whole range");
    near(mean, 0.5, 1e-2);
    near(deviation, 1.0 / 12f64.sqrt(), 5e-3);
}

#[test]
fn normal_noise_is_clamped_to_the_range_of_pixels() {
    let wide = Initialization::Noise(Noise::Normal { mean: 0.5, deviation: 0.5 });
    let (values, [minimum, maximum, ..]) = initial_image(Recipe::feather2023().start(wide));
    assert_eq!((minimum, maximum), (0.0, 1.0));
    // Values beyond one deviation on either side are at the bound.
    for bound in [0.0, 1.0] {
        near(values.iter().filter(|&&v| v == bound).count() as f64 / values.len() as f64, 0.1587, 0.011);
    }
}

#[test]
fn every_preset_improves_the_match() {
    for recipe in Recipe::presets() {
        let name = recipe.name.clone();
        let mut run = plan(recipe.steps(200)).start().unwrap();
        run.step(1).unwrap();
        let first = run.snr_db().unwrap();
        run.run().unwrap();
        let last = run.snr_db().unwrap();
        assert!(last > first + 2.0, "{name}: {first} dB after one step, {last} dB at the end");
    }
}

#[test]
fn the_best_state_is_kept_when_the_run_gets_worse() {
    let mut recipe = Recipe::feather2023().steps(40);
    recipe.optimizer = Optimizer::NormalizedGradient { eta: 6.0, blocks: 1 };
    let mut run = plan(recipe).start().unwrap();
    let best = |run: &Run| run.history().iter().map(|p| p.snr_db).fold(f64::NEG_INFINITY, f64::max);
    // Steps this long overshoot, so that some step gets worse.
    while run.steps() < 40 {
        run.step(1).unwrap();
        if run.history().last().unwrap().snr_db < best(&run) - 0.1 {
            break;
        }
    }
    let best = best(&run);
    assert!(run.history().last().unwrap().snr_db < best, "the run did not get worse");
    assert_eq!(run.snr_db(), Some(best));
    assert!(run.finish().unwrap().similarity().snr_db.unwrap() >= best - 1e-6);
}

#[test]
fn a_divergence_is_an_error_and_keeps_the_last_valid_state() {
    let mut recipe = Recipe::plenoptic();
    recipe.optimizer = Optimizer::Adam { rate: 1e38, decay_per_1000: 1.0, amsgrad: false };
    let mut run = plan(recipe).start().unwrap();
    let error = loop {
        match run.step(1) {
            Ok(_) => assert!(run.steps() < 50, "no divergence in 50 steps"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("diverged at gradient evaluation"), "{error}");
    assert!(run.history().iter().all(|p| p.loss.is_finite()));
    assert!(run.pixels().iter().all(|v| v.is_finite()), "the invalid step was applied");
    let metamer = run.finish().unwrap();
    assert!(metamer.similarity().snr_db.unwrap().is_finite());
    assert!(run.step(1).is_err(), "the kept state fails again");
}

#[test]
fn an_image_one_pixel_high_is_no_sound() {
    let weight = Tensor::arange(0f32, 24.0, &Device::Cpu).unwrap().affine(0.31, -3.0).unwrap().sin().unwrap();
    let weight = weight.reshape((8, 1, 1, 3)).unwrap();
    let mut b = Builder::new("line", Input::Image { shape: [1, 1, 64], resize: 1 });
    let y = b.conv2d(b.input(), Conv2d::new(&weight, None, Conv2dConfig::default()).unwrap()).unwrap();
    b.stage("conv", y).unwrap();
    let net = b.finish().unwrap();
    // Values at both limits, which a sound would cross.
    let values = (0..64).map(|i| f32::from(i % 9 < 4)).collect();
    let line = Image::from_gray("line", 64, 1, values).unwrap();
    for recipe in [Recipe::natural_prior(), Recipe::near_start(), Recipe::nearest()] {
        let mut run = Synthesis::new(&net, "conv", &line).unwrap().recipe(recipe).seed(1).quiet().start().unwrap();
        run.step(30).unwrap();
        assert!(run.pixels().iter().all(|x| (0.0..=1.0).contains(x)), "{:?}", run.pixels());
        let best = run.snr_db().unwrap();
        let metamer = run.finish().unwrap();
        let reached = metamer.similarity().snr_db.unwrap();
        assert!((reached - best).abs() < 0.1 && reached > 3.0, "{reached} dB, recorded {best} dB");
    }
}

#[test]
fn a_call_stops_at_its_criterion_and_returns_the_reason() {
    let mut run = plan(Recipe::natural_prior()).start().unwrap();
    assert_eq!(run.step(3).unwrap().stop_reason, StopReason::Steps);
    assert_eq!(run.run_for(Duration::ZERO).unwrap().stop_reason, StopReason::Time);
    let progress = run.until(6.0).unwrap();
    assert_eq!(progress.stop_reason, StopReason::Matched);
    assert!(progress.snr_db >= 6.0);
    assert!(run.until(f64::NAN).is_err());
    let within = |snr_db: f64| Stop::snr(snr_db).or_after(Duration::ZERO);
    assert_eq!(run.advance(within(200.0)).unwrap().stop_reason, StopReason::Time);
    assert_eq!(run.advance(within(6.0)).unwrap().stop_reason, StopReason::Matched);
    assert!(run.advance(within(f64::NAN)).is_err());
}

#[test]
fn steps_count_from_the_call_and_evaluations_from_the_start() {
    let mut run = plan(Recipe::feather2023().steps(6)).start().unwrap();
    assert_eq!(run.advance(Stop::evaluations(4)).unwrap().stop_reason, StopReason::Evaluations);
    assert_eq!((run.steps(), run.evaluations()), (4, 4));
    assert_eq!(run.advance(Stop::evaluations(4)).unwrap().steps, 4);
    // The recipe's own steps also end it, unless steps are given.
    assert_eq!(run.advance(Stop::evaluations(100)).unwrap().stop_reason, StopReason::Steps);
    assert_eq!(run.steps(), 6);
    assert_eq!(run.advance(Stop::steps(3).or_evaluations(100)).unwrap().stop_reason, StopReason::Steps);
    assert_eq!(run.steps(), 9);
}

#[test]
fn the_initial_stimulus_is_known_after_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let [run_path, metamer_path] = ["a.run", "a.metamer"].map(|name| folder.path().join(name));
    let from = |plan: Synthesis| plan.start_from(noise_image(9)).unwrap();
    let within = |plan: Synthesis| plan.within(Norm::L2, 1.0, noise_image(2)).unwrap();
    let plans = [
        plan(Recipe::nearest()),
        plan(Recipe::plenoptic()),
        from(plan(Recipe::feather2023())),
        within(plan(Recipe::bounded())),
        within(from(plan(Recipe::bounded()))),
    ];
    for plan in plans {
        let mut run = plan.start().unwrap();
        let start = run.current();
        run.step(3).unwrap();
        run.save(&run_path).unwrap();
        let metamer = run.finish().unwrap();
        metamer.save(&metamer_path).unwrap();
        let (resumed, opened) = (Run::resume(&run_path, &small()).unwrap(), Metamer::open(&metamer_path).unwrap());
        for found in [run.initial(), resumed.initial(), metamer.initial(), opened.initial()] {
            assert_eq!(found.unwrap().values(), start.values(), "{metamer:?}");
        }
        assert_ne!(run.current().values(), start.values());
        assert_eq!((metamer.steps(), opened.steps()), (Some(3), Some(3)));
    }
}

#[test]
fn steps_pass_a_plateau() {
    let recipe = Recipe { plateau: Some(Plateau { window: 2, below: 1e9 }), ..Recipe::feather2023().steps(20) };
    let mut run = plan(recipe).start().unwrap();
    for _ in 0..2 {
        let progress = run.run().unwrap();
        assert_eq!((progress.stop_reason, progress.steps), (StopReason::Plateau, 3));
    }
    let progress = run.step(5).unwrap();
    assert_eq!((progress.stop_reason, progress.steps), (StopReason::Steps, 8));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("past.metamer");
    run.finish().unwrap().save(&path).unwrap();
    assert!(Metamer::reproduce_with(&path, &small()).unwrap().is_identical());
    assert_eq!(run.run().unwrap().stop_reason, StopReason::Plateau);
}

#[test]
fn invalid_recipes_are_errors() {
    let mut without_return = Recipe::nearest();
    if let Optimizer::Lbfgs(lbfgs) = &mut without_return.optimizer {
        lbfgs.nearest_at = None;
    }
    assert!(plan(without_return).start().unwrap_err().to_string().contains("earlier_steps: needs nearest_at"));
    let error_after = |change: fn(&mut Recipe)| {
        let mut recipe = Recipe::natural_prior();
        change(&mut recipe);
        plan(recipe).start().unwrap_err().to_string()
    };
    assert!(error_after(|r| r.steps = 0).contains("recipe.steps"));
    assert!(error_after(|r| r.identity_gradient = false).contains("identity_gradient"));
    for rms in [0.0, -0.1, 1.5, f32::NAN] {
        let recipe = Recipe { sound_rms: Some(rms), ..Recipe::natural_prior() };
        assert!(recipe.check().unwrap_err().to_string().contains("recipe.sound_rms: must be above 0"), "{rms}");
    }
    assert!(error_after(|r| r.loss = Loss::NormRatio).contains("L-BFGS"));
    assert!(
        error_after(|r| r.optimizer = Optimizer::Adam { rate: f64::NAN, decay_per_1000: 1.0, amsgrad: false })
            .contains("rate")
    );
    assert!(error_after(|r| r.optimizer = Optimizer::NormalizedGradient { eta: 1.0, blocks: 0 }).contains("blocks"));
    let plateau = |window, below| Some(Plateau { window, below });
    for (plateau, got) in [(plateau(0, 1e-4), "0 and 0.0001"), (plateau(50, f64::INFINITY), "50 and inf")] {
        let message = plan(Recipe { plateau, ..Recipe::plenoptic() }).start().unwrap_err().to_string();
        assert!(message.contains("plateau") && message.contains(got), "{message}");
    }
}

#[test]
fn an_unknown_stage_lists_similar_ones() {
    let error = Synthesis::new(&small(), "relu3", noise_image(1)).unwrap_err().to_string();
    assert_eq!(error, "no stage named \"relu3\"; did you mean relu1, relu2?");
}

#[test]
fn a_silent_stage_is_an_error() {
    let black = Image::from_planes("black", 16, 20, vec![0.0; 3 * 320]).unwrap();
    let error = Synthesis::new(&small(), "relu2", &black).unwrap().start().unwrap_err().to_string();
    assert!(error.contains("silent"), "{error}");
}

#[test]
fn a_metamer_is_saved_without_loss() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.metamer");
    let start = noise_image(9).with_name("another");
    let mut run = plan(Recipe::natural_prior()).start_from(&start).unwrap().start().unwrap();
    run.step(5).unwrap();
    let metamer = run.finish().unwrap();
    metamer.save(&path).unwrap();
    let back = Metamer::open(&path).unwrap();
    assert_eq!(back, metamer);
    let upper_case = folder.path().join("A.METAMER");
    metamer.save(&upper_case).unwrap();
    assert_eq!(Metamer::open(upper_case).unwrap(), metamer);
    let provenance = back.provenance();
    assert_eq!((provenance.network.as_str(), provenance.stage.as_str(), provenance.seed), ("small", "relu2", 3));
    assert_eq!((provenance.original.as_str(), provenance.start.as_str()), ("target", "another"));
    assert_eq!(provenance.recipe, Recipe::natural_prior());
}

#[test]
fn a_wrong_extension_is_an_error_that_names_the_correct_call() {
    let folder = tempfile::tempdir().unwrap();
    let run = plan(Recipe::natural_prior()).start().unwrap();
    let metamer = run.finish().unwrap();
    for name in ["a.html", "a.wav", "a.run", "a"] {
        let error = metamer.save(folder.path().join(name)).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(".metamer"), "{error}");
        assert!(error.contains("metamer.export(\"x.html\")") && error.contains("metamer.sound()?.save"), "{error}");
    }
    for name in ["a.html", "a.metamer", "a.safetensors"] {
        let error = run.save(folder.path().join(name)).unwrap_err().to_string();
        assert!(error.contains(".run") && error.contains("run.export(\"run.html\")"), "{error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // Files may be renamed afterwards.
    let path = folder.path().join("a.metamer");
    metamer.save(&path).unwrap();
    std::fs::rename(&path, folder.path().join("renamed")).unwrap();
    assert_eq!(Metamer::open(folder.path().join("renamed")).unwrap(), metamer);
}

#[test]
fn the_similarity_is_computed_from_the_final_pixels() {
    let mut run = plan(Recipe::plenoptic()).start().unwrap();
    run.run().unwrap();
    let metamer = run.finish().unwrap();
    let stage = Compiled::new(&small(), "relu2").unwrap();
    let at = |image: &metamers::stimulus::Stimulus| flat(&stage.apply(&image.to_tensor().unwrap()).unwrap());
    let again = Similarity::between(&at(metamer.original()), &at(metamer.stimulus())).unwrap();
    assert_eq!(metamer.similarity(), again);
}

#[test]
fn a_run_is_not_resumed_with_another_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.run");
    let run = plan(Recipe::natural_prior()).start().unwrap();
    run.save(&path).unwrap();
    let error = Run::resume(&path, &zoo::efficientnet_lite0().unwrap()).unwrap_err().to_string();
    assert!(error.contains("weights"), "{error}");
}

#[test]
fn a_run_resumes_only_with_a_network_of_the_same_hash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.run");
    plan(Recipe::natural_prior()).start().unwrap().save(&path).unwrap();
    assert_eq!(small().weights_source().weights_sha256.len(), 64);
    assert!(Run::resume(&path, &small()).is_ok());
    for other in [random_network("small", 6), random_network("another", 5)] {
        let error = Run::resume(&path, &other).unwrap_err().to_string();
        assert!(error.contains("was made with small of weights") && error.contains(other.name()), "{error}");
    }
    // The same weights with another stride or another stage name.
    let weight = Tensor::ones((2, 3, 3, 3), DType::F32, &Device::Cpu).unwrap();
    let with = |stride: usize, stage: &str| {
        let config = Conv2dConfig { stride: [stride; 2], ..Default::default() };
        let mut b = Builder::new("one", Input::Image { shape: [3, 9, 9], resize: 9 });
        let x = b.conv2d(b.input(), Conv2d::new(&weight, None, config).unwrap()).unwrap();
        b.stage(stage, x).unwrap();
        b.finish().unwrap().weights_source().weights_sha256.clone()
    };
    assert_eq!(with(1, "a"), with(1, "a"));
    assert_ne!(with(1, "a"), with(2, "a"));
    assert_ne!(with(1, "a"), with(1, "b"));
}

#[test]
fn a_perfect_match_is_saved_without_loss() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("perfect.metamer");
    let run = plan(Recipe::feather2023()).start_from(noise_image(1)).unwrap().start().unwrap();
    let metamer = run.finish().unwrap();
    assert_eq!(metamer.similarity().snr_db, Some(f64::INFINITY));
    metamer.save(&path).unwrap();
    assert_eq!(Metamer::open(&path).unwrap(), metamer);
}

#[test]
fn a_recipe_that_cannot_be_saved_is_an_error() {
    let mut recipe = Recipe::natural_prior();
    recipe.start = Initialization::Noise(Noise::Normal { mean: f32::NAN, deviation: 0.1 });
    // Even when the run starts from an image and the noise is never drawn.
    let plan = plan(recipe).start_from(noise_image(4)).unwrap();
    assert!(plan.start().unwrap_err().to_string().contains("noise"));
}

#[test]
fn the_gradient_is_available_after_the_first_step() {
    let mut run = plan(Recipe::natural_prior()).start().unwrap();
    assert!(run.gradient().unwrap_err().to_string().contains("run.step(1)"));
    run.step(1).unwrap();
    assert!(run.gradient().is_ok());
}

#[test]
fn progress_does_not_change_while_the_run_continues() {
    let mut run = plan(Recipe::natural_prior()).start().unwrap();
    let progress = run.step(2).unwrap();
    let before = progress.mime_bundles();
    run.step(5).unwrap();
    assert_eq!(progress.mime_bundles(), before);
    assert_ne!(run.step(1).unwrap().mime_bundles(), before);
}

/// Every field of the provenance, as other programs read it from the file's header under the name "stamp".
#[test]
fn saved_files_hold_their_provenance() {
    let folder = tempfile::tempdir().unwrap();
    for (path, kind) in [("a.metamer", "metamers metamer 1"), ("a.run", "metamers run 1")] {
        let path = folder.path().join(path);
        let run = plan(Recipe::plenoptic().steps(9)).start().unwrap();
        if kind.contains("run") {
            run.save(&path).unwrap()
        } else {
            run.finish().unwrap().save(&path).unwrap()
        }
        let bytes = std::fs::read(&path).unwrap();
        let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        let notes = &header["__metadata__"];
        assert_eq!(notes["kind"], kind);
        let provenance: serde_json::Value = serde_json::from_str(notes["stamp"].as_str().unwrap()).unwrap();
        let expected = serde_json::json!({
            "network": "small",
            "weights_sha256": small().weights_source().weights_sha256,
            "stage": "relu2",
            "original": "target",
            "start": "noise",
            "recipe": Recipe::plenoptic().steps(9),
            "seed": 3,
            "metamers": env!("CARGO_PKG_VERSION"),
            "candle": "0.11.1",
            "device": format!("CPU, {} {}", std::env::consts::OS, std::env::consts::ARCH),
            "instructions": metamers::session_info::session_info().instructions,
        });
        assert_eq!(provenance, expected);
    }
}

/// Replaces an integer in a file.
fn with_number(file: &[u8], name: &str, value: u64) -> Vec<u8> {
    let length = u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let start = 8 + length + header[name]["data_offsets"][0].as_u64().unwrap() as usize;
    let mut changed = file.to_vec();
    changed[start..start + 8].copy_from_slice(&value.to_le_bytes());
    changed
}

#[test]
fn invalid_numbers_in_a_file_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let (path, changed) = (folder.path().join("a.run"), folder.path().join("changed.run"));
    for recipe in [Recipe::feather2019(), Recipe::natural_prior()] {
        let mut run = plan(recipe).start().unwrap();
        run.step(65).unwrap();
        run.save(&path).unwrap();
        let file = std::fs::read(&path).unwrap();
        let assert_rejected = |name: &str, value: u64| {
            std::fs::write(&changed, with_number(&file, name, value)).unwrap();
            let error = Run::resume(&changed, &small()).unwrap_err().to_string();
            assert!(error.contains("changed.run"), "{name}: {error}");
        };
        for name in ["steps", "evaluations"] {
            assert_rejected(name, u64::MAX);
        }
        assert_rejected("evaluations", 0);
        assert_rejected("over", 9);
        assert_rejected("layer_by_layer", 2);
        assert_rejected("gradient", u64::from(f32::NAN.to_bits()));
        assert_rejected("best.x", u64::from(f32::INFINITY.to_bits()));
        assert_rejected("best.snr_db", f64::NAN.to_bits());
        assert_rejected("history.evaluation", (-1f64).to_bits());
        assert_rejected("optimiser.x", u64::from(f32::NAN.to_bits()));
        if run.steps() == 65 && file.windows(16).any(|w| w == b"optimiser.memory") {
            for name in ["optimiser.memory", "optimiser.warmed", "optimiser.stalls"] {
                assert_rejected(name, u64::MAX);
            }
        }
    }
}

#[test]
fn damaged_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let (run_path, metamer_path) = (folder.path().join("a.run"), folder.path().join("a.metamer"));
    let mut run = plan(Recipe::natural_prior()).start().unwrap();
    run.step(3).unwrap();
    run.save(&run_path).unwrap();
    run.finish().unwrap().save(&metamer_path).unwrap();
    assert!(Run::resume(&metamer_path, &small()).unwrap_err().to_string().contains("expected \"metamers run 1\""));
    assert!(Metamer::open(&run_path).is_err());
    assert!(Metamer::open(folder.path().join("none")).unwrap_err().to_string().contains("none"));
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let broken = folder.path().join("broken");
    for path in [&run_path, &metamer_path] {
        let whole = std::fs::read(path).unwrap();
        for _ in 0..300 {
            let mut bytes = whole.clone();
            if random.random::<bool>() {
                bytes.truncate(random.random_range(0..bytes.len()));
            } else {
                // Half of the damage hits the header, which holds the structure.
                let limit = if random.random::<bool>() { 4000.min(bytes.len()) } else { bytes.len() };
                for _ in 0..random.random_range(1..20) {
                    bytes[random.random_range(0..limit)] = random.random();
                }
            }
            std::fs::write(&broken, &bytes).unwrap();
            // Damage inside a pixel cannot be detected; nothing may panic, and no truncated file may pass.
            let mut resumed = Run::resume(&broken, &small()).map(Run::quiet);
            if let Ok(run) = &mut resumed {
                // It may diverge but not panic, and it still gives a stimulus.
                let _ = run.step(2);
                assert!(run.finish().is_ok());
            }
            let opened = Metamer::open(&broken);
            assert!(bytes.len() == whole.len() || (resumed.is_err() && opened.is_err()));
        }
    }
}

#[test]
fn a_run_that_goes_on_elsewhere_records_what_began_it() {
    let folder = tempfile::tempdir().unwrap();
    let (here, elsewhere) = (folder.path().join("here.run"), folder.path().join("elsewhere.run"));
    let mut run = plan(Recipe::natural_prior()).start().unwrap();
    run.step(3).unwrap();
    run.save(&here).unwrap();
    assert!(Run::resume(&here, &small()).unwrap().finish().unwrap().provenance().begun_by.is_empty());
    // The same file as of another machine.
    let mut bytes = std::fs::read(&here).unwrap();
    let [name, other] = [std::env::consts::ARCH, &"another_machine"[..std::env::consts::ARCH.len()]];
    let at = bytes.windows(name.len()).position(|part| part == name.as_bytes()).unwrap();
    bytes[at..at + name.len()].copy_from_slice(other.as_bytes());
    std::fs::write(&elsewhere, bytes).unwrap();
    let mut run = Run::resume(&elsewhere, &small()).unwrap().quiet();
    run.step(1).unwrap();
    let metamer = run.finish().unwrap();
    let [part] = &metamer.provenance().begun_by[..] else { panic!("{:?}", metamer.provenance().begun_by) };
    assert!(part.contains(other), "{part}");
    assert!(metamer.provenance().to_string().contains(&format!("begun by  {part}")));
    // Saved again, it is not said twice.
    run.save(&here).unwrap();
    let again = Run::resume(&here, &small()).unwrap().finish().unwrap();
    assert_eq!(again.provenance().begun_by, metamer.provenance().begun_by);
    let file = folder.path().join("x.metamer");
    metamer.save(&file).unwrap();
    let reproduction = Metamer::reproduce_with(&file, &small()).unwrap();
    assert!(reproduction.changes().iter().any(|change| change.contains("begun by")), "{:?}", reproduction.changes());
}

#[test]
fn a_given_start_is_not_taken_for_the_noise_of_the_recipe() {
    let start = noise_image(5).with_name("noise");
    let run = plan(Recipe::natural_prior()).start_from(start).unwrap().start().unwrap();
    assert_eq!(run.finish().unwrap().provenance().start, "noise (given)");
    assert_eq!(plan(Recipe::natural_prior()).start().unwrap().finish().unwrap().provenance().start, "noise");
}

#[test]
fn a_film_begins_where_it_is_asked_for() {
    let mut run = plan(Recipe::natural_prior()).start().unwrap();
    run.step(3).unwrap();
    run.record_every(5).unwrap();
    run.step(10).unwrap();
    assert_eq!(run.finish().unwrap().film().unwrap().steps(), [3, 8, 13]);
}
