//! The cochleagram, hearing networks and metamers of sounds, against float64 references (scripts/reference/hearing.py).

use std::collections::HashMap;

use crate::common::{data, flat, relative, tensors};
use metamers::hearing::{Cochleagram, CochleagramConfig};
use metamers::ops::{Frozen, vjp};
use metamers::prelude::*;

type Tensors = HashMap<String, Tensor>;

fn weights(count: usize) -> Vec<f32> {
    (0..count).map(|i| (((i * 7919) % 1009) as f64 / 1008.0 - 0.5) as f32).collect()
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt()
}

fn every(values: &[f32], step: usize) -> Vec<f32> {
    values.iter().step_by(step).copied().collect()
}

fn waveform(tensors: &Tensors, name: &str) -> Var {
    Var::from_tensor(&tensors[&format!("{name}.waveform")].unsqueeze(0).unwrap()).unwrap()
}

fn gradient(cochleagram: &Cochleagram, x: &Var) -> Vec<f32> {
    let y = cochleagram.apply(x).unwrap();
    let cotangent = Tensor::from_vec(weights(y.elem_count()), y.shape(), &Device::Cpu).unwrap();
    flat(&vjp(&y, &cotangent, x).unwrap())
}

fn presets() -> [(&'static str, Cochleagram); 2] {
    [("2023", Cochleagram::feather2023().unwrap()), ("2019", Cochleagram::feather2019().unwrap())]
}

#[test]
fn cochleagram_values_equal_the_float64_reference() {
    let tensors = tensors("hearing.safetensors");
    for (preset, cochleagram) in presets() {
        for name in ["speech", "noise", "tone"] {
            let Some(expected) = tensors.get(&format!("{name}.{preset}.values")) else { continue };
            let y = flat(&cochleagram.apply(&waveform(&tensors, name)).unwrap());
            let off = relative(&every(&y, 13), &flat(expected));
            let size = f64::from(flat(&tensors[&format!("{name}.{preset}.norm")])[0]);
            println!("{name} {preset}: forward off by {off:.2e}");
            assert!(off < 1e-5, "{name}, {preset}: off by {off}");
            assert!((norm(&y) / size - 1.0).abs() < 1e-5, "{name}, {preset}: norm");
        }
    }
}

#[test]
fn cochleagram_gradients_equal_the_float64_reference() {
    let tensors = tensors("hearing.safetensors");
    for (preset, cochleagram) in presets() {
        for name in ["speech", "noise", "tone"] {
            let Some(expected) = tensors.get(&format!("{name}.{preset}.gradient")) else { continue };
            let g = gradient(&cochleagram, &waveform(&tensors, name));
            let off = relative(&every(&g, 5), &flat(expected));
            let size = f64::from(flat(&tensors[&format!("{name}.{preset}.gradient_norm")])[0]);
            println!("{name} {preset}: gradient off by {off:.2e}");
            assert!(off < 1e-5, "{name}, {preset}: off by {off}");
            assert!((norm(&g) / size - 1.0).abs() < 1e-5, "{name}, {preset}: norm");
        }
    }
}

#[test]
fn cochleagrams_are_bit_identical_for_one_and_three_threads() {
    let tensors = tensors("hearing.safetensors");
    let cochleagram = Cochleagram::feather2023().unwrap();
    let all = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let x = waveform(&tensors, "speech");
            (flat(&cochleagram.apply(&x).unwrap()), gradient(&cochleagram, &x))
        })
    };
    assert!(all(1) == all(3));
}

#[test]
fn odd_lengths_are_accepted_and_invalid_parameters_are_errors() {
    // 1013 shares no factor with the stride: every sample comes from a full inverse transform, without interpolation.
    let config = |samples, stride| CochleagramConfig {
        sample_rate: 4000,
        samples,
        frequency_range: [100.0, 1800.0],
        filters: 6,
        sample_factor: 2,
        hop_length: stride,
        taps: 101,
        ..CochleagramConfig::feather2023()
    };
    let (odd, even) = (Cochleagram::new(config(1013, 10)).unwrap(), Cochleagram::new(config(4000, 20)).unwrap());
    for (cochleagram, samples) in [(odd, 1013), (even, 4000)] {
        let noise = Sound::noise(4000, samples, Noise::Normal { mean: 0.0, deviation: 0.2 }, 5).unwrap();
        let x = Var::from_tensor(&noise.to_tensor().unwrap()).unwrap();
        let g = gradient(&cochleagram, &x);
        assert!(g.iter().all(|g| g.is_finite()) && norm(&g) > 0.0);
    }
    assert!(
        Cochleagram::new(CochleagramConfig { frequency_range: [50.0, 20_000.0], ..CochleagramConfig::feather2023() })
            .is_err()
    );
    assert!(Cochleagram::new(CochleagramConfig { taps: 0, ..CochleagramConfig::feather2023() }).is_err());
    let cochleagram = Cochleagram::feather2023().unwrap();
    assert!(cochleagram.apply(&Tensor::zeros((1, 100), DType::F32, &Device::Cpu).unwrap()).is_err());
}

#[test]
fn silence_has_a_finite_cochleagram_and_a_zero_gradient() {
    let cochleagram = Cochleagram::feather2023().unwrap();
    let x = Var::zeros((1, 40_000), DType::F32, &Device::Cpu).unwrap();
    assert!(flat(&cochleagram.apply(&x).unwrap()).iter().all(|y| y.is_finite() && *y < 0.01));
    assert!(gradient(&cochleagram, &x).iter().all(|&g| g == 0.0));
}

#[test]
fn cochcnn9_equals_pytorch_at_every_stage() {
    let tensors = tensors("hearing.safetensors");
    let net = zoo::cochcnn9_from(data("cochcnn9_narrow.safetensors")).unwrap();
    let shape = |stage: &str| net.stage(stage).unwrap().shape.clone();
    assert_eq!((shape("cochleagram"), shape("relu0")), (vec![1, 211, 390], vec![6, 71, 130]));
    assert_eq!((shape("relu1"), shape("relu4"), shape("avgpool")), (vec![8, 18, 33], vec![6, 9, 17], vec![6, 5, 9]));
    let x = waveform(&tensors, "speech");
    for stage in ["relu0", "relu1", "relu2", "relu3", "relu4", "avgpool", "relufc", "final"] {
        let y = flat(&net.forward_to(stage, &x).unwrap());
        let off = relative(&every(&y, 3), &flat(&tensors[&format!("cochcnn9.{stage}")]));
        assert!(off < 1e-4, "{stage}: off by {off}");
    }
}

#[test]
fn crepe_estimates_the_pitch_of_tones_within_one_percent() {
    let net = zoo::crepe_tiny().unwrap();
    for hz in [110.0, 220.0, 440.0, 660.0] {
        let tone = Sound::tone(44_100, 0.3, hz, 0.3).unwrap();
        let estimate = zoo::crepe_pitch(&net, &tone).unwrap();
        assert!((estimate / hz - 1.0).abs() < 0.01, "{hz} Hz was estimated as {estimate} Hz");
    }
}

#[test]
fn sound_metamers_are_synthesized_saved_and_displayed() {
    let net = zoo::cochcnn9_from(data("cochcnn9_narrow.safetensors")).unwrap();
    let word = tensors("hearing.safetensors")["speech.waveform"].clone();
    let word = Sound::from_tensor(&word.clamp(-1.0, 1.0).unwrap(), 20_000).unwrap().with_name("a word");
    let folder = tempfile::tempdir().unwrap();
    for recipe in Recipe::sound_presets() {
        let name = recipe.name.clone();
        let mut run = Synthesis::new(&net, "relu0", &word).unwrap().recipe(recipe).seed(3).quiet().start().unwrap();
        run.step(2).unwrap();
        let path = folder.path().join("half.run");
        run.save(&path).unwrap();
        let mut resumed = Run::resume(&path, &net).unwrap();
        run.step(3).unwrap();
        resumed.step(3).unwrap();
        assert_eq!(run.pixels(), resumed.pixels(), "{name}");
        let points = run.history();
        assert!(points[points.len() - 1].loss < points[0].loss, "{name}: {points:?}");
        let metamer = run.finish().unwrap();
        assert_eq!(metamer.sound().unwrap().len(), 40_000);
        assert!(metamer.image().unwrap_err().to_string().contains("not an image"));
        let path = folder.path().join("word.metamer");
        metamer.save(&path).unwrap();
        assert_eq!(Metamer::open(&path).unwrap().stimulus(), metamer.stimulus());
        let bundles = metamer.mime_bundles();
        assert_eq!(bundles[0].data()["text/html"].matches("<audio controls").count(), 2, "{name}");
        assert!(bundles[1].data().contains_key("image/png"), "{name}");
    }
    let photo = Image::noise(300, 300, Noise::Uniform { low: 0.0, high: 1.0 }, 1).unwrap();
    assert!(Synthesis::new(&net, "relu0", &photo).unwrap_err().to_string().contains("takes sounds"));
}

/// A network that consists of a small cochleagram, and a sound for it.
fn small() -> (Network, Sound) {
    let config = CochleagramConfig { samples: 4000, filters: 6, sample_factor: 2, ..CochleagramConfig::feather2023() };
    let net = zoo::cochleagram(&Cochleagram::new(config).unwrap()).unwrap();
    (net, Sound::noise(20_000, 4000, Noise::Pink { rms: 0.05 }, 4).unwrap().with_name("pink noise"))
}

#[test]
fn a_sound_does_not_start_by_a_preset_for_images() {
    let (net, noise) = small();
    let plan = |recipe: Recipe| Synthesis::new(&net, "cochleagram", &noise).unwrap().recipe(recipe).quiet();
    for recipe in [Recipe::presets(), vec![Recipe::bounded(), Recipe::feather2019().steps(3)]].concat() {
        let message = plan(recipe.clone()).start().unwrap_err().to_string();
        let remedy = match recipe.name.as_str() {
            "near_start" | "plenoptic" => "Recipe::nearest_sound(), Recipe::natural_prior_sound()".to_string(),
            name => format!("use Recipe::{name}_sound()"),
        };
        assert!(message.contains(&remedy), "{message}");
    }
    // Another start is no trap, and neither is a recipe of one's own.
    assert!(plan(Recipe::feather2023()).start_from(&noise).unwrap().start().is_ok());
    assert!(plan(Recipe { clamp: false, ..Recipe::feather2023() }).start().is_ok());
}

#[test]
fn sound_presets_have_their_published_levels() {
    let (net, noise) = small();
    let start = |recipe: Recipe, original: &Sound| {
        Synthesis::new(&net, "cochleagram", original).unwrap().recipe(recipe).seed(2).quiet().start().unwrap()
    };
    for (recipe, rms, level) in [
        (Recipe::natural_prior_sound(), 0.02, 0.05),
        (Recipe::feather2019_sound(), 0.01, 0.1),
        (Recipe::feather2023_sound(), 1e-7, 0.1),
    ] {
        let name = recipe.name.clone();
        let run = start(recipe, &noise);
        let found = norm(run.pixels()) / 4000f64.sqrt();
        assert!((found / rms - 1.0).abs() < 0.06, "{name} starts at an rms of {found}");
        let found = run.original().sound().unwrap().rms();
        assert!((found - level).abs() < 1e-5, "{name} sets the original to an rms of {found}");
    }
    // At an rms of 0.1 a click would clip: it gets the highest level that does not.
    let mut samples: Vec<f32> = noise.values().iter().map(|v| 0.1 * v).collect();
    samples[2000] = 0.5;
    let click = Sound::from_samples("click", 20_000, samples).unwrap();
    let run = start(Recipe::feather2023_sound(), &click);
    let found = run.original().sound().unwrap();
    assert!((found.peak() - 1.0).abs() < 1e-5 && found.rms() < 0.1, "peak {}, rms {}", found.peak(), found.rms());
}

#[test]
fn a_metamer_without_classes_is_displayed_without_class_names() {
    let (net, noise) = small();
    let mut run = Synthesis::new(&net, "cochleagram", &noise).unwrap().quiet().start().unwrap();
    run.step(1).unwrap();
    let progress = run.mime_bundles()[0].plain().to_owned();
    assert!(progress.starts_with("stage cochleagram, recipe nearest_sound\n"), "{progress}");
    let bundles = run.finish().unwrap().mime_bundles();
    let image = bundles.iter().find(|bundle| bundle.data().contains_key("image/png")).unwrap();
    let alt = image.metadata()["image/png"]["alt"].as_str().unwrap();
    assert!(alt.starts_with("Original and metamer of pink noise at stage cochleagram. ρ "), "{alt}");
    for text in [alt, image.plain()] {
        assert!(!text.contains("answers") && !text.contains("; .") && !text.contains("original:"), "{text}");
    }
}

#[test]
fn cochleagram_presets_have_different_hashes() {
    let networks = presets().map(|(_, cochleagram)| zoo::cochleagram(&cochleagram).unwrap());
    let [a, b] = networks.each_ref().map(|network| network.weights_source().weights_sha256.clone());
    assert!(a.len() == 64 && b.len() == 64 && a != b, "{a} {b}");
    let again = zoo::cochleagram(&Cochleagram::feather2023().unwrap()).unwrap();
    assert_eq!(again.weights_source().weights_sha256, a);
}
