//! Reproduction of saved metamers, and reports of differences.

use metamers::display::Show;
use metamers::network::{Builder, Input};
use metamers::ops::{Conv2d, Conv2dConfig, Padding, Relu};
use metamers::prelude::*;
use std::path::Path;

/// A random network of one convolution and a ReLU.
fn small(seed: u64) -> Network {
    small_of_size([20, 16], seed)
}

fn small_of_size([height, width]: [usize; 2], seed: u64) -> Network {
    let weight = Image::noise(27, 6, Noise::Uniform { low: 0.0, high: 1.0 }, seed).unwrap();
    let weight: Vec<f32> = weight.values()[..6 * 27].iter().map(|v| v - 0.5).collect();
    let weight = Tensor::from_vec(weight, (6, 3, 3, 3), &Device::Cpu).unwrap();
    let config = Conv2dConfig { padding: Padding::all(1), ..Default::default() };
    let mut b = Builder::new("small", Input::Image { shape: [3, height, width], resize: height });
    let x = b.conv2d(b.input(), Conv2d::new(&weight, None, config).unwrap()).unwrap();
    let x = b.relu(x, Relu::UNBOUNDED).unwrap();
    b.stage("relu", x).unwrap();
    b.finish().unwrap()
}

fn noise_image(seed: u64) -> Image {
    Image::noise(16, 20, Noise::Uniform { low: 0.1, high: 0.9 }, seed).unwrap().with_name("target")
}

fn plan() -> Synthesis {
    Synthesis::new(&small(5), "relu", noise_image(1)).unwrap().seed(3).quiet()
}

fn saved(plan: Synthesis, path: &Path, steps: usize) -> Metamer {
    let mut run = plan.start().unwrap();
    run.step(steps).unwrap();
    let metamer = run.finish().unwrap();
    metamer.save(path).unwrap();
    metamer
}

/// Replaces text in the header of a file by text of the same length.
fn replace_in_header(path: &Path, before: &str, after: &str) {
    let bytes = std::fs::read(path).unwrap();
    let length = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[8..length]).unwrap();
    assert!(header.contains(before) && before.len() == after.len(), "{header}");
    let header = header.replace(before, after);
    std::fs::write(path, [&bytes[..8], header.as_bytes(), &bytes[length..]].concat()).unwrap();
}

#[test]
fn a_negative_bound_in_a_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let [metamer, run] = ["a.metamer", "a.run"].map(|name| folder.path().join(name));
    let bounded = || plan().within(metamers::synthesis::Norm::Linf, 0.125, noise_image(2)).unwrap();
    saved(bounded(), &metamer, 1);
    bounded().start().unwrap().save(&run).unwrap();
    for path in [&metamer, &run] {
        replace_in_header(path, r#"\"eps\":0.125"#, r#"\"eps\":-1.25"#);
    }
    for result in [Metamer::open(&metamer).map(drop), Run::resume(&run, &small(5)).map(drop)] {
        let error = result.unwrap_err();
        assert!(matches!(error, metamers::Error::File { .. }), "{error}");
        assert!(error.to_string().contains("must be positive and finite, got -1.25"), "{error}");
    }
}

#[test]
fn a_photo_metamer_is_reproduced_bit_identically_by_the_recorded_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dog.metamer");
    let net = zoo::efficientnet_lite0().unwrap();
    let photo = Image::open("photos/dog.jpg").unwrap();
    let metamer = saved(Synthesis::new(&net, "block1", &photo).unwrap().seed(11).quiet(), &path, 4);
    let reproduction = Metamer::reproduce(&path).unwrap();
    assert!(reproduction.is_identical() && reproduction.is_complete());
    assert_eq!(*reproduction.saved(), metamer);
    assert_eq!(reproduction.reproduced().stimulus(), metamer.stimulus());
    assert_eq!((reproduction.max_difference(), reproduction.rms_difference()), (0.0, 0.0));
    assert_eq!((reproduction.snr_drift_db(), reproduction.changes()), (Some(0.0), vec![]));
    let text = reproduction.to_string();
    let evaluations = metamer.history().len();
    assert_eq!(text, format!("bit-identical: stimulus and curve, {evaluations} evaluations"));
}

#[test]
fn a_word_metamer_is_reproduced_bit_identically_with_a_fixed_sound_level() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("word.metamer");
    let net = zoo::cochcnn_words().unwrap();
    let word = Sound::open("speech/seven.wav").unwrap();
    for recipe in [
        Recipe { sound_rms: Some(0.03), ..Recipe::natural_prior_sound() },
        // The preset of earlier copies, whose files have its name.
        Recipe { sound_rms: None, ..Recipe::feather2023_sound() },
    ] {
        let metamer = saved(Synthesis::new(&net, "relu0", &word).unwrap().recipe(recipe.clone()).quiet(), &path, 2);
        let reproduction = Metamer::reproduce(&path).unwrap();
        assert!(reproduction.is_identical(), "{reproduction}");
        assert_eq!(reproduction.reproduced().original(), metamer.original());
        assert_eq!(reproduction.reproduced().provenance().recipe, recipe);
        let bundles = reproduction.mime_bundles();
        assert_eq!(bundles[0].data()["text/html"].matches("<audio").count(), 2);
        assert!(bundles[1].data().contains_key("image/png"));
    }
}

#[test]
fn a_run_stopped_by_time_is_reproduced_from_its_step_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("timed.metamer");
    for recipe in Recipe::presets().into_iter().filter(|recipe| recipe.sound_rms.is_none()) {
        let mut run = plan().recipe(recipe).start().unwrap();
        // On a busy machine the time can be over before the first step.
        while run.steps() == 0 {
            run.run_for(Duration::from_millis(20)).unwrap();
        }
        let metamer = run.finish().unwrap();
        metamer.save(&path).unwrap();
        assert!(!metamer.history().is_empty());
        let reproduction = Metamer::reproduce_with(&path, &small(5)).unwrap();
        assert!(reproduction.is_identical(), "{}: {reproduction}", metamer.provenance().recipe.name);
    }
}

#[test]
fn the_initial_image_and_the_implementation_are_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.metamer");
    for plan in [plan().start_from(noise_image(9).with_name("another")).unwrap(), plan().layer_by_layer()] {
        let metamer = saved(plan, &path, 5);
        assert_eq!(Metamer::open(&path).unwrap(), metamer);
        let reproduction = Metamer::reproduce_with(&path, &small(5)).unwrap();
        assert!(reproduction.is_identical(), "{reproduction}");
    }
}

#[test]
fn a_changed_seed_gives_a_measured_difference() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.metamer");
    let metamer = saved(plan(), &path, 5);
    replace_in_header(&path, r#"\"seed\":3"#, r#"\"seed\":4"#);
    let reproduction = Metamer::reproduce_with(&path, &small(5)).unwrap();
    assert!(!reproduction.is_identical() && reproduction.is_complete());
    assert_eq!(reproduction.first_difference(), Some(1));
    let (a, b) = (metamer.stimulus().values(), reproduction.reproduced().stimulus().values());
    let largest = crate::common::max_difference(a, b);
    assert!((reproduction.max_difference() - largest).abs() < 1e-6 && largest > 0.05);
    let square: f64 = a.iter().zip(b).map(|(a, b)| f64::from(b - a).powi(2)).sum();
    assert!((reproduction.rms_difference() - (square / a.len() as f64).sqrt()).abs() < 1e-6);
    let text = reproduction.to_string();
    for part in ["not bit-identical\n", "/255 apart", "SNR was ", "diverge at evaluation 1", "the file was changed"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn changed_pixels_in_the_file_are_detected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.metamer");
    let metamer = saved(plan(), &path, 5);
    let first = metamer.stimulus().values()[0].to_le_bytes();
    let mut bytes = std::fs::read(&path).unwrap();
    let found: Vec<usize> = (0..bytes.len() - 4).filter(|&at| bytes[at..at + 4] == first).collect();
    assert_eq!(found.len(), 1);
    bytes[found[0]] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let reproduction = Metamer::reproduce_with(&path, &small(5)).unwrap();
    assert!(!reproduction.is_identical());
    assert_eq!(reproduction.first_difference(), None);
    assert!(reproduction.max_difference() > 0.0);
    assert!(reproduction.to_string().contains("the curves are bit-identical"), "{reproduction}");
}

#[test]
fn a_different_version_is_listed_as_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.metamer");
    let metamer = saved(plan(), &path, 2);
    let version = format!(r#"\"metamers\":\"{}\""#, metamer.provenance().metamers);
    replace_in_header(&path, &version, &version.replace(|c: char| c.is_ascii_digit(), "9"));
    let reproduction = Metamer::reproduce_with(&path, &small(5)).unwrap();
    let changes = reproduction.changes();
    assert_eq!(changes.len(), 1);
    assert!(changes[0].starts_with("metamers was 9.9.9 and is "), "{changes:?}");
    assert!(reproduction.is_identical() && reproduction.to_string().contains(&changes[0]), "{reproduction}");
}

#[test]
fn other_weights_and_unshipped_networks_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.metamer");
    saved(plan(), &path, 2);
    let error = Metamer::reproduce_with(&path, &small(6)).unwrap_err().to_string();
    assert!(error.contains("a.metamer: was made with small of weights"), "{error}");
    let error = Metamer::reproduce(&path).unwrap_err().to_string();
    assert!(error.contains("small: does not ship; load the network"), "{error}");
    let net = zoo::crepe_tiny().unwrap();
    let weights = small(5).weights_source().weights_sha256.clone();
    replace_in_header(&path, r#"\"network\":\"small\""#, r#"\"network\":\"CREPE\""#);
    let error = Metamer::reproduce(&path).unwrap_err().to_string();
    let shipped = &net.weights_source().weights_sha256;
    assert!(error.contains(&format!("CREPE: ships with weights {shipped}, not with {weights}")), "{error}");
}

#[test]
fn an_original_of_the_wrong_size_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.metamer");
    let smaller = small_of_size([12, 12], 5);
    let photo = Image::noise(12, 12, Noise::Uniform { low: 0.1, high: 0.9 }, 1).unwrap();
    saved(Synthesis::new(&smaller, "relu", photo).unwrap().quiet(), &path, 1);
    let larger = small(5);
    replace_in_header(&path, &smaller.weights_source().weights_sha256, &larger.weights_source().weights_sha256);
    assert!(Metamer::reproduce_with(&path, &larger).is_err());
}

/// Versions before 0.2 saved no initial image, step count and instruction set.
#[test]
fn an_old_file_is_reproduced_from_its_evaluations_unless_its_initial_image_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.metamer");
    let old = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let mut notes = header.metadata().clone().unwrap();
        let mut provenance: serde_json::Value = serde_json::from_str(&notes["stamp"]).unwrap();
        provenance.as_object_mut().unwrap().remove("instructions").unwrap();
        notes.insert("stamp".into(), provenance.to_string());
        let kept = |name: &str| !["steps", "layer_by_layer"].contains(&name) && !name.starts_with("start");
        let tensors: Vec<_> = file.tensors().into_iter().filter(|(name, _)| kept(name)).collect();
        assert!(tensors.len() < file.len());
        std::fs::write(path, safetensors::serialize(tensors, Some(notes)).unwrap()).unwrap();
    };
    // More steps than the recipe's.
    saved(plan().recipe(Recipe::natural_prior().steps(3)), &path, 6);
    old(&path);
    let reproduction = Metamer::reproduce_with(&path, &small(5)).unwrap();
    assert!(reproduction.is_identical() && reproduction.changes().is_empty(), "{reproduction}");
    saved(plan().start_from(noise_image(9).with_name("another")).unwrap(), &path, 2);
    old(&path);
    let error = Metamer::reproduce_with(&path, &small(5)).unwrap_err().to_string();
    assert!(error.contains("does not hold \"another\", from which it started"), "{error}");
}

#[test]
fn the_session_info_lists_the_runs() {
    let net = small(77);
    for (seed, recipe) in [(1, Recipe::natural_prior()), (2, Recipe::natural_prior()), (2, Recipe::plenoptic())] {
        Synthesis::new(&net, "relu", noise_image(1)).unwrap().recipe(recipe).seed(seed).quiet().start().unwrap();
    }
    // Runs of an inspection do not count.
    net.inspect().unwrap();
    let info = session_info();
    let weights = &net.weights_source().weights_sha256;
    let used = info.networks.iter().find(|used| used.weights_sha256 == *weights).unwrap();
    assert_eq!((used.network.as_str(), used.runs, used.recipes.len()), ("small", 3, 2));
    assert_eq!(used.seeds.iter().copied().collect::<Vec<_>>(), [1, 2]);
    let text = info.to_string();
    assert!(
        text.contains(weights) && text.contains("3 runs: stage relu; recipes natural_prior, plenoptic; seeds 1, 2"),
        "{text}"
    );
    let json: serde_json::Value = serde_json::from_str(&info.to_json()).unwrap();
    assert!(json["threads"].as_u64().unwrap() > 0 && json["date"].as_str().unwrap().ends_with(" UTC"));
    let listed = json["networks"].as_array().unwrap().iter().find(|used| used["weights_sha256"] == *weights).unwrap();
    assert_eq!(serde_json::from_value::<Recipe>(listed["recipes"][0].clone()).unwrap(), Recipe::natural_prior());
    let bundle = &info.mime_bundles()[0];
    assert!(bundle.plain() == text && bundle.data()["text/html"].contains("<details>"));
}
