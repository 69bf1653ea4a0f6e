//! Files saved by metamers 0.1.0 before the renames of 28 November 2026 (tests/data/saved).

use std::path::{Path, PathBuf};

use metamers::network::{Builder, Input};
use metamers::ops::{Conv2d, Conv2dConfig, Linear, Padding, Relu, Standardize};
use metamers::prelude::{analysis::*, *};
use metamers::synthesis::Optimizer;
use rand::{RngExt, SeedableRng};

fn saved(name: &str) -> PathBuf {
    crate::common::data("saved").join(name)
}

fn weight(random: &mut rand_chacha::ChaCha8Rng, shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| random.random_range(-0.4..0.4)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn image_network() -> Network {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
    let same = |stride| Conv2dConfig { stride: [stride; 2], padding: Padding::all(1), ..Default::default() };
    let mut b = Builder::new("small", Input::Image { shape: [3, 20, 16], resize: 20 });
    let x = b.conv2d(b.input(), Conv2d::new(&weight(&mut random, &[6, 3, 3, 3]), None, same(1)).unwrap()).unwrap();
    let x = b.relu(x, Relu::UNBOUNDED).unwrap();
    b.stage("relu1", x).unwrap();
    let x = b.conv2d(x, Conv2d::new(&weight(&mut random, &[8, 6, 3, 3]), None, same(2)).unwrap()).unwrap();
    let x = b.relu(x, Relu { max: 0.5 }).unwrap();
    b.stage("relu2", x).unwrap();
    b.finish().unwrap()
}

fn sound_network() -> Network {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(6);
    let mut b = Builder::new("small ear", Input::Sound { samples: 256, sample_rate: 16_000 });
    let x = b.layer(Standardize { samples: 256 }, &[b.input()]).unwrap();
    let x = b.layer(metamers::network::Layer::Flatten, &[x]).unwrap();
    let x = b.linear(x, Linear::new(&weight(&mut random, &[40, 256]), None).unwrap()).unwrap();
    let x = b.relu(x, Relu::UNBOUNDED).unwrap();
    b.stage("fc", x).unwrap();
    b.finish().unwrap()
}

fn noise_image(seed: u64) -> Image {
    Image::noise(16, 20, Noise::Uniform { low: 0.1, high: 0.9 }, seed).unwrap().with_name(format!("target {seed}"))
}

fn sound() -> Sound {
    Sound::noise(16_000, 256, Noise::Pink { rms: 0.1 }, 9).unwrap().with_name("hiss")
}

fn recipes() -> Vec<(&'static str, Network, &'static str, Stimulus, Recipe)> {
    let with_image = |recipe: Recipe| (image_network(), "relu2", noise_image(1).into(), recipe.steps(60));
    let with_sound = |recipe: Recipe| (sound_network(), "fc", sound().into(), recipe.steps(60));
    let all =
        [with_image(Recipe::natural_prior()), with_image(Recipe::feather2019()), with_image(Recipe::feather2023())];
    let all = all.into_iter().chain([with_image(Recipe::plenoptic()), with_sound(Recipe::natural_prior_sound())]);
    let names = ["fast", "feather2019", "feather2023", "plenoptic", "fast_sound"];
    names
        .into_iter()
        .zip(all)
        .map(|(name, (net, stage, original, recipe))| {
            (name, net, stage, original, Recipe { name: name.into(), ..recipe })
        })
        .collect()
}

/// L-BFGS, which had its vectors in double precision when the files were saved; a run goes on within rounding.
fn was_in_double_precision(recipe: &Recipe) -> bool {
    matches!(recipe.optimizer, Optimizer::Lbfgs(_))
}

fn bits(run: &Run) -> Vec<u32> {
    run.pixels().iter().map(|x| x.to_bits()).collect()
}

fn sweep(folder: &Path) -> Sweep {
    Sweep::new(&image_network())
        .images(&[noise_image(1), noise_image(2)])
        .stages(["relu1", "relu2"])
        .recipe(Recipe { name: "fast".into(), ..Recipe::natural_prior() })
        .evaluations(6)
        .folder(folder)
        .quiet()
}

#[test]
#[ignore = "rewrites tests/data/saved; run it only before a change of the file formats, with METAMERS_REGENERATE=1"]
fn regenerate_the_saved_files() {
    if std::env::var_os("METAMERS_REGENERATE").is_none() {
        println!("skipped: it replaces the files of earlier versions, and METAMERS_REGENERATE=1 is not set");
        return;
    }
    std::fs::create_dir_all(saved("")).unwrap();
    let mut final_pixels = serde_json::Map::new();
    for (name, net, stage, original, recipe) in recipes() {
        let mut run = Synthesis::new(&net, stage, original).unwrap().recipe(recipe).seed(3).quiet().start().unwrap();
        run.step(15).unwrap();
        run.save(saved(&format!("{name}.run"))).unwrap();
        run.finish().unwrap().save(saved(&format!("{name}.metamer"))).unwrap();
        run.step(10).unwrap();
        final_pixels.insert(name.into(), bits(&run).into());
    }
    final_pixels.insert("instructions".into(), metamers::engine::Isa::selected().unwrap().to_string().into());
    std::fs::write(saved("after_ten_more_steps.json"), serde_json::to_vec(&final_pixels).unwrap()).unwrap();
    let stimuli = (0..4).map(noise_image);
    NullDistribution::builder(&image_network())
        .stimuli(stimuli)
        .unwrap()
        .build()
        .unwrap()
        .save(saved("null.json"))
        .unwrap();
    let class = SimulatedParticipants::new([("natural", 0.9), ("relu2", 0.3)]).participants(3).seed(7);
    class.answers().unwrap().save(saved("answers.json")).unwrap();
    sweep(&saved("sweep")).run().unwrap().save_csv(saved("sweep/results.csv")).unwrap();
}

#[test]
fn old_runs_resume() {
    let final_pixels: serde_json::Value = crate::common::json("saved/after_ten_more_steps.json");
    let same_processor = final_pixels["instructions"] == metamers::engine::Isa::selected().unwrap().to_string();
    for (name, net, _, _, recipe) in recipes() {
        let mut run = Run::resume(saved(&format!("{name}.run")), &net).unwrap().quiet();
        run.step(10).unwrap();
        let expected: Vec<u32> =
            final_pixels[name].as_array().unwrap().iter().map(|bits| bits.as_u64().unwrap() as u32).collect();
        if same_processor && !was_in_double_precision(&recipe) {
            assert!(bits(&run) == expected, "{name}: other bits");
        } else {
            println!("{name}: saved on {}, compared with a tolerance of 1e-3", final_pixels["instructions"]);
            let expected: Vec<f32> = expected.into_iter().map(f32::from_bits).collect();
            let off = crate::common::max_difference(run.pixels(), &expected);
            assert!(off < 1e-3, "{name}: off by {off}");
        }
    }
}

#[test]
fn old_metamers_open_and_are_reproduced() {
    for (name, net, stage, original, recipe) in recipes() {
        let metamer = Metamer::open(saved(&format!("{name}.metamer"))).unwrap();
        let provenance = metamer.provenance();
        assert_eq!((provenance.stage.as_str(), provenance.seed, &provenance.recipe), (stage, 3, &recipe), "{name}");
        assert_eq!(provenance.original, original.name());
        assert!(metamer.similarity().snr_db.unwrap() > 0.0, "{name}");
        let reproduction = Metamer::reproduce_with(saved(&format!("{name}.metamer")), &net).unwrap();
        let (drift, difference) = (reproduction.snr_drift_db().unwrap(), reproduction.max_difference());
        assert!(reproduction.is_complete(), "{name}");
        if was_in_double_precision(&recipe) {
            assert!(drift.abs() < 0.1 && difference < 1e-2, "{name}: {drift} dB, {difference}");
        } else {
            // Losses may differ in the last digit: they were sums over all units in one go.
            assert!(drift.abs() < 1e-9 && difference == 0.0, "{name}: {drift} dB, {difference}");
        }
    }
}

#[test]
fn an_old_null_distribution_opens_with_the_current_keys() {
    let old = NullDistribution::open(saved("null.json")).unwrap();
    let new = NullDistribution::builder(&image_network()).stimuli((0..4).map(noise_image)).unwrap().build().unwrap();
    assert_eq!((old.pairs(), old.stages().len(), old.stimuli().len()), (6, 2, 4));
    assert_eq!(old.weights_sha256(), new.weights_sha256());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("null.json");
    new.save(&path).unwrap();
    let json = |path: &Path| serde_json::from_slice::<serde_json::Value>(&std::fs::read(path).unwrap()).unwrap();
    let (old, new) = (json(&saved("null.json")), json(&path));
    let keys = |json: &serde_json::Value| json.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&old), keys(&new));
}

#[test]
fn old_answers_open_and_are_saved_unchanged() {
    let answers = metamers::experiment::analysis::Answers::open(saved("answers.json")).unwrap();
    assert_eq!(answers.participants().len(), 3);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.json");
    answers.save(&path).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), std::fs::read(saved("answers.json")).unwrap());
}

#[test]
fn an_old_finished_sweep_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("results")).unwrap();
    for file in ["study.json", "results.csv"] {
        std::fs::copy(saved("sweep").join(file), folder.path().join(file)).unwrap();
    }
    let results = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder.join("results")).unwrap().map(|file| file.unwrap().path()).collect()
    };
    for file in results(&saved("sweep")) {
        std::fs::copy(&file, folder.path().join("results").join(file.file_name().unwrap())).unwrap();
    }
    let written = || results(folder.path()).iter().map(|f| f.metadata().unwrap().modified().unwrap()).max();
    let before = written();
    let found = sweep(folder.path()).run().unwrap();
    assert_eq!((found.rows().len(), written()), (4, before), "tasks were repeated");
    assert_eq!(found.csv().unwrap(), std::fs::read_to_string(saved("sweep/results.csv")).unwrap());
}
