//! What a person relies on while a synthesis runs: nothing is lost, and a seed gives the same bits.

use crate::common::flat;
use metamers::engine::Compiled;
use metamers::network::{Builder, Input};
use metamers::ops::{Conv2d, Conv2dConfig, Padding, Relu};
use metamers::prelude::{networks::*, recipes::*, *};
use metamers::synthesis::{Loss, Optimizer, StopReason};
use rand::{RngExt, SeedableRng};

/// A small random network of two rectified convolutions.
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

fn picture(seed: u64) -> Image {
    Image::noise(16, 20, Noise::Uniform { low: 0.1, high: 0.9 }, seed).unwrap().with_name("target")
}

fn plan(recipe: Recipe) -> Synthesis {
    Synthesis::new(&small(), "relu2", picture(1)).unwrap().recipe(recipe).seed(3).quiet()
}

fn bits(run: &Run) -> Vec<u32> {
    run.pixels().iter().map(|x| x.to_bits()).collect()
}

#[test]
fn a_resumed_run_goes_on_with_the_same_bits() {
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
                let mut resumed = Run::resume(&path, &small()).unwrap();
                resumed.set_quiet(true);
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

/// Otherwise the test above would not see which of the two a resumed run does.
#[test]
fn layer_by_layer_and_compiled_differ_in_their_last_bits() {
    let after = |plan: Synthesis| {
        let mut run = plan.start().unwrap();
        run.step(12).unwrap();
        bits(&run)
    };
    assert_ne!(after(plan(Recipe::fast())), after(plan(Recipe::fast()).layer_by_layer()));
}

#[test]
fn the_same_seed_gives_the_same_bits_whatever_the_number_of_threads() {
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
    assert!(one == with(2), "two threads give other bits than one");
    assert!(one == with(3), "three threads give other bits than one");
}

#[test]
fn another_seed_gives_another_picture() {
    let start = |seed| bits(&plan(Recipe::fast()).seed(seed).start().unwrap());
    assert_ne!(start(1), start(2));
    assert_eq!(start(1), start(1));
}

/// The first picture of a run: 30,000 values, the smallest, the largest, their mean and their standard deviation.
fn first_picture(recipe: Recipe) -> (Vec<f32>, [f64; 4]) {
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
    let least = values.iter().copied().fold(f32::INFINITY, f32::min);
    let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let numbers = [f64::from(least), f64::from(most), average, deviation];
    (values, numbers)
}

fn near(found: f64, expected: f64, within: f64) {
    assert!((found - expected).abs() < within, "{found}, expected {expected} within {within}");
}

/// Tolerances are five standard errors and more of 30,000 draws.
#[test]
fn presets_start_from_the_noise_that_their_sources_state() {
    let (_, [least, most, mean, deviation]) = first_picture(Recipe::feather2019());
    assert!(least >= f64::from(0.5f32) && most < f64::from(0.6f32), "uniform in [0.5, 0.6): {least} to {most}");
    near(least, 0.5, 1e-4);
    near(most, 0.6, 1e-4);
    near(mean, 0.55, 1e-3);
    near(deviation, 0.1 / 12f64.sqrt(), 5e-4);

    for recipe in [Recipe::feather2023(), Recipe::fast()] {
        let (values, [least, most, mean, deviation]) = first_picture(recipe);
        assert!(least > 0.2 && most < 0.8 && most - least > 0.3, "normal, deviation 0.05: {least} to {most}");
        near(mean, 0.5, 2e-3);
        near(deviation, 0.05, 1e-3);
        let inside = values.iter().filter(|&&v| (v - 0.5).abs() < 0.05).count() as f64 / values.len() as f64;
        near(inside, 0.6827, 0.014);
    }

    let (_, [least, most, mean, deviation]) = first_picture(Recipe::plenoptic());
    assert_eq!((least, most), (0.0, 1.0), "stretched to the whole range");
    near(mean, 0.5, 1e-2);
    near(deviation, 1.0 / 12f64.sqrt(), 5e-3);
}

#[test]
fn normal_noise_is_clamped_to_what_a_picture_holds() {
    let wide = Initialization::Noise(Noise::Normal { mean: 0.5, deviation: 0.5 });
    let (values, [least, most, ..]) = first_picture(Recipe::feather2023().start(wide));
    assert_eq!((least, most), (0.0, 1.0));
    // What lies beyond one deviation, on either side, is at the bound.
    for bound in [0.0, 1.0] {
        near(values.iter().filter(|&&v| v == bound).count() as f64 / values.len() as f64, 0.1587, 0.011);
    }
}

#[test]
fn every_preset_comes_closer() {
    for recipe in Recipe::presets() {
        let name = recipe.name.clone();
        let mut run = plan(recipe.steps(200)).start().unwrap();
        run.step(1).unwrap();
        let first = run.snr_db().unwrap();
        run.run().unwrap();
        let last = run.snr_db().unwrap();
        assert!(last > first + 2.0, "{name}: {first} dB at first, {last} dB at last");
    }
}

#[test]
fn the_best_is_kept_even_when_the_run_gets_worse() {
    let mut recipe = Recipe::feather2023().steps(40);
    recipe.optimizer = Optimizer::NormalizedGradient { eta: 6.0, blocks: 1 };
    let mut run = plan(recipe).start().unwrap();
    let best = |run: &Run| run.history().iter().map(|p| p.snr_db).fold(f64::NEG_INFINITY, f64::max);
    // Steps this long overshoot: sooner or later one ends worse than another did.
    while run.steps() < 40 {
        run.step(1).unwrap();
        if run.history().last().unwrap().snr_db < best(&run) - 0.1 {
            break;
        }
    }
    let best = best(&run);
    assert!(run.history().last().unwrap().snr_db < best, "this run was meant to get worse");
    assert_eq!(run.snr_db(), Some(best));
    assert!(run.finish().unwrap().similarity().snr_db.unwrap() >= best - 1e-6);
}

#[test]
fn a_run_that_diverges_says_so_and_keeps_its_last_good_state() {
    let mut recipe = Recipe::plenoptic();
    recipe.optimizer = Optimizer::Adam { rate: 1e38, decay_per_1000: 1.0, amsgrad: false };
    let mut run = plan(recipe).start().unwrap();
    let error = loop {
        match run.step(1) {
            Ok(_) => assert!(run.steps() < 50, "nothing diverged"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("diverged at gradient evaluation"), "{error}");
    assert!(run.history().iter().all(|p| p.loss.is_finite()));
    assert!(run.pixels().iter().all(|v| v.is_finite()), "the bad step was taken");
    let metamer = run.finish().unwrap();
    assert!(metamer.similarity().snr_db.unwrap().is_finite());
    assert!(run.step(1).is_err(), "the state before the failure is still there, and fails again");
}

#[test]
fn budgets_end_a_call_and_say_why() {
    let mut run = plan(Recipe::fast()).start().unwrap();
    assert_eq!(run.step(3).unwrap().stop_reason, StopReason::Steps);
    assert_eq!(run.run_for(Duration::ZERO).unwrap().stop_reason, StopReason::Time);
    let progress = run.until(6.0).unwrap();
    assert_eq!(progress.stop_reason, StopReason::Matched);
    assert!(progress.snr_db >= 6.0);
    assert!(run.until(f64::NAN).is_err());
    assert_eq!(run.until_within(200.0, Duration::ZERO).unwrap().stop_reason, StopReason::Time);
    assert_eq!(run.until_within(6.0, Duration::ZERO).unwrap().stop_reason, StopReason::Matched);
    assert!(run.until_within(f64::NAN, Duration::ZERO).is_err());
}

#[test]
fn recipes_with_impossible_numbers_are_refused() {
    let refused = |change: fn(&mut Recipe)| {
        let mut recipe = Recipe::fast();
        change(&mut recipe);
        plan(recipe).start().unwrap_err().to_string()
    };
    assert!(refused(|r| r.steps = 0).contains("recipe.steps"));
    assert!(refused(|r| r.identity_gradient = false).contains("identity_gradient"));
    assert!(refused(|r| r.loss = Loss::NormRatio).contains("L-BFGS"));
    assert!(
        refused(|r| r.optimizer = Optimizer::Adam { rate: f64::NAN, decay_per_1000: 1.0, amsgrad: false })
            .contains("rate")
    );
    assert!(refused(|r| r.optimizer = Optimizer::NormalizedGradient { eta: 1.0, blocks: 0 }).contains("blocks"));
    let plateau = |window, below| Some(metamers::synthesis::Plateau { window, below });
    for plateau in [plateau(0, 1e-4), plateau(50, f64::INFINITY)] {
        let mut recipe = Recipe::plenoptic();
        recipe.plateau = plateau;
        assert!(plan(recipe).start().unwrap_err().to_string().contains("plateau"));
    }
}

#[test]
fn an_unknown_stage_lists_the_near_ones() {
    let error = Synthesis::new(&small(), "relu3", picture(1)).unwrap_err().to_string();
    assert_eq!(error, "no stage named \"relu3\"; there is relu1, relu2");
}

#[test]
fn a_silent_stage_cannot_be_matched() {
    let black = Image::from_planes("black", 16, 20, vec![0.0; 3 * 320]).unwrap();
    let error = Synthesis::new(&small(), "relu2", &black).unwrap().start().unwrap_err().to_string();
    assert!(error.contains("silent"), "{error}");
}

#[test]
fn a_metamer_comes_back_from_its_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.metamer");
    let start = picture(9).with_name("another");
    let mut run = plan(Recipe::fast()).start_from(&start).unwrap().start().unwrap();
    run.step(5).unwrap();
    let metamer = run.finish().unwrap();
    metamer.save(&path).unwrap();
    let back = Metamer::open(&path).unwrap();
    assert_eq!(back, metamer);
    let shouted = folder.path().join("A.METAMER");
    metamer.save(&shouted).unwrap();
    assert_eq!(Metamer::open(shouted).unwrap(), metamer);
    metamer.save(folder.path().join("a.htm")).unwrap();
    metamer.save(folder.path().join("a.html")).unwrap();
    assert!(std::fs::read_to_string(folder.path().join("a.html")).unwrap().contains("data:image/png;base64,"));
    assert!(metamer.save(folder.path().join("a.xyz")).unwrap_err().to_string().contains(".metamer"));
    let stamp = back.provenance();
    assert_eq!((stamp.network.as_str(), stamp.stage.as_str(), stamp.seed), ("small", "relu2", 3));
    assert_eq!((stamp.original.as_str(), stamp.start.as_str()), ("target", "another"));
    assert_eq!(stamp.recipe, Recipe::fast());
}

#[test]
fn the_saved_similarity_is_that_of_the_saved_pixels() {
    let mut run = plan(Recipe::plenoptic()).start().unwrap();
    run.run().unwrap();
    let metamer = run.finish().unwrap();
    let stage = Compiled::new(&small(), "relu2").unwrap();
    let at = |image: &metamers::stimulus::Stimulus| flat(&stage.apply(&image.to_tensor().unwrap()).unwrap());
    let again = Similarity::between(&at(metamer.original()), &at(metamer.stimulus())).unwrap();
    assert_eq!(metamer.similarity(), again);
}

#[test]
fn a_run_of_other_weights_is_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.run");
    let run = plan(Recipe::fast()).start().unwrap();
    run.save(&path).unwrap();
    let error = Run::resume(&path, &zoo::efficientnet_lite0().unwrap()).unwrap_err().to_string();
    assert!(error.contains("weights"), "{error}");
}

#[test]
fn a_run_goes_on_with_its_own_network_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.run");
    plan(Recipe::fast()).start().unwrap().save(&path).unwrap();
    assert_eq!(small().weights_source().weights_sha256.len(), 64);
    assert!(Run::resume(&path, &small()).is_ok());
    for other in [random_network("small", 6), random_network("another", 5)] {
        let error = Run::resume(&path, &other).unwrap_err().to_string();
        assert!(error.contains("was made with small of weights") && error.contains(other.name()), "{error}");
    }
    // The same values in layers that slide otherwise, or under another stage's name.
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
fn a_perfect_match_comes_back_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("perfect.metamer");
    let run = plan(Recipe::feather2023()).start_from(picture(1)).unwrap().start().unwrap();
    let metamer = run.finish().unwrap();
    assert_eq!(metamer.similarity().snr_db, Some(f64::INFINITY));
    metamer.save(&path).unwrap();
    assert_eq!(Metamer::open(&path).unwrap(), metamer);
}

#[test]
fn a_recipe_that_no_file_can_hold_is_refused() {
    let mut recipe = Recipe::fast();
    recipe.start = Initialization::Noise(Noise::Normal { mean: f32::NAN, deviation: 0.1 });
    // Also when it starts from a picture and the noise is never drawn.
    let plan = plan(recipe).start_from(picture(4)).unwrap();
    assert!(plan.start().unwrap_err().to_string().contains("noise"));
}

#[test]
fn the_gradient_is_there_after_the_first_step() {
    let mut run = plan(Recipe::fast()).start().unwrap();
    assert!(run.gradient().unwrap_err().to_string().contains("run.step(1)"));
    run.step(1).unwrap();
    assert!(run.gradient().is_ok());
}

#[test]
fn progress_stays_what_it_was_while_the_run_goes_on() {
    let mut run = plan(Recipe::fast()).start().unwrap();
    let progress = run.step(2).unwrap();
    let before = progress.mime_bundles();
    run.step(5).unwrap();
    assert_eq!(progress.mime_bundles(), before);
    assert_ne!(run.step(1).unwrap().mime_bundles(), before);
}

/// Every field of the stamp, as another program reads it from the file's header.
#[test]
fn the_file_says_where_it_comes_from() {
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
        let stamp: serde_json::Value = serde_json::from_str(notes["stamp"].as_str().unwrap()).unwrap();
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
            "instructions": metamers::engine::Isa::best().to_string(),
        });
        assert_eq!(stamp, expected);
    }
}

/// The file with the value of one of its whole numbers changed.
fn with_number(file: &[u8], name: &str, value: u64) -> Vec<u8> {
    let length = u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let start = 8 + length + header[name]["data_offsets"][0].as_u64().unwrap() as usize;
    let mut changed = file.to_vec();
    changed[start..start + 8].copy_from_slice(&value.to_le_bytes());
    changed
}

#[test]
fn impossible_numbers_in_a_file_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, changed) = (folder.path().join("a.run"), folder.path().join("changed.run"));
    for recipe in [Recipe::feather2019(), Recipe::fast()] {
        let mut run = plan(recipe).start().unwrap();
        run.step(65).unwrap();
        run.save(&path).unwrap();
        let file = std::fs::read(&path).unwrap();
        let refused = |name: &str, value: u64| {
            std::fs::write(&changed, with_number(&file, name, value)).unwrap();
            let error = Run::resume(&changed, &small()).unwrap_err().to_string();
            assert!(error.contains("changed.run"), "{name}: {error}");
        };
        for name in ["steps", "evaluations"] {
            refused(name, u64::MAX);
        }
        refused("evaluations", 0);
        refused("over", 9);
        refused("layer_by_layer", 2);
        refused("gradient", u64::from(f32::NAN.to_bits()));
        refused("best.x", u64::from(f32::INFINITY.to_bits()));
        refused("best.snr_db", f64::NAN.to_bits());
        refused("history.evaluation", (-1f64).to_bits());
        refused("optimiser.x", u64::from(f32::NAN.to_bits()));
        if run.steps() == 65 && file.windows(16).any(|w| w == b"optimiser.memory") {
            for name in ["optimiser.memory", "optimiser.warmed", "optimiser.stalls"] {
                refused(name, u64::MAX);
            }
        }
    }
}

#[test]
fn damaged_files_are_errors_wherever_they_are_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let (run_path, metamer_path) = (folder.path().join("a.run"), folder.path().join("a.metamer"));
    let mut run = plan(Recipe::fast()).start().unwrap();
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
                // Most damage shall hit the header, where the structure is.
                let limit = if random.random::<bool>() { 4000.min(bytes.len()) } else { bytes.len() };
                for _ in 0..random.random_range(1..20) {
                    bytes[random.random_range(0..limit)] = random.random();
                }
            }
            std::fs::write(&broken, &bytes).unwrap();
            // Damage inside a pixel cannot be seen; what counts is that nothing panics and no half file passes.
            let mut resumed = Run::resume(&broken, &small());
            if let Ok(run) = &mut resumed {
                run.set_quiet(true);
                // It may diverge, but not panic, and it still gives a picture.
                let _ = run.step(2);
                assert!(run.finish().is_ok());
            }
            let opened = Metamer::open(&broken);
            assert!(bytes.len() == whole.len() || (resumed.is_err() && opened.is_err()));
        }
    }
}
