//! Reads reference files and compares values with them.
#![allow(dead_code, reason = "each test file uses some of the functions")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use metamers::candle::{Device, Tensor};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The path of a file under tests/data.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The JSON document `name` of tests/data.
pub fn json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(data(name)).unwrap()).unwrap()
}

/// The tensors of the safetensors file `name` of tests/data.
pub fn tensors(name: &str) -> HashMap<String, Tensor> {
    metamers::candle::safetensors::load(data(name), &Device::Cpu).unwrap()
}

/// All values of a tensor, row-major.
pub fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// A tensor of uniform random values between -1 and 1.
pub fn random_tensor(shape: &[usize], random: &mut ChaCha8Rng) -> Tensor {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| random.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The waveforms of scripts/reference/log_mel.py, 1.5 s at 16 kHz: a word in digital silence, a noise-like signal, and
/// tones.
pub fn waveforms() -> [(&'static str, Vec<f32>); 3] {
    let speech = flat(&tensors("hearing.safetensors")["speech.waveform"])[8_000..32_000].to_vec();
    let noise = |i: u64| (0.1 * ((i * i * 7919 % 65_537) as f64 / 65_536.0 - 0.5)) as f32;
    let tone = |i: u64| {
        let wave = |hz: f64| 0.1 * (std::f64::consts::TAU * hz * i as f64 / 16_000.0).sin();
        [215.3, 1003.7, 3207.9].map(wave).iter().sum::<f64>() as f32
    };
    [("speech", speech), ("noise", (0..24_000).map(noise).collect()), ("tone", (0..24_000).map(tone).collect())]
}

/// The path of a file that `cargo lab --fetch` downloads or a reference script makes; `None`, as [`skip`] allows, if the file does
/// not exist.
pub fn optional(path: &str, how: &str) -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if !found.exists() {
        skip(&format!("{path} does not exist; `{how}` makes it"));
        return None;
    }
    Some(found)
}

/// Prints why a test is skipped. With `METAMERS_REQUIRE_OPTIONAL=1`, which is for machines that have all optional files, it fails instead.
pub fn skip(reason: &str) {
    let required = std::env::var_os("METAMERS_REQUIRE_OPTIONAL").is_some_and(|value| value == "1");
    assert!(!required, "METAMERS_REQUIRE_OPTIONAL=1, but {reason}");
    println!("skipped: {reason}");
}

/// Writes the weights of `Checkpoint::random(0)` for tensors of these names and shapes.
pub fn seeded_file(path: &Path, shapes: impl IntoIterator<Item = (String, Vec<usize>)>) {
    let random = metamers::network::Checkpoint::random(0);
    let draw = |(name, shape): (String, Vec<usize>)| {
        let tensor = random.tensor(&name, &shape).unwrap();
        (name, tensor)
    };
    let tensors: HashMap<String, Tensor> = shapes.into_iter().map(draw).collect();
    metamers::candle::safetensors::save(&tensors, path).unwrap();
}

/// The names and shapes of a network's tensors in torchvision's state dict (scripts/reference/zoo.py).
pub fn state_dict(network: &str) -> Vec<(String, Vec<usize>)> {
    let all = json("state_dicts.json");
    let sizes =
        |shape: &serde_json::Value| shape.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
    all[network].as_object().unwrap().iter().map(|(name, shape)| (name.clone(), sizes(shape))).collect()
}

/// Asserts that values equal a reference, which holds samples `stride` apart and a projection of all values; returns the larger
/// relative error.
pub fn assert_agrees(what: &str, values: &[f32], fact: &serde_json::Value, samples: &Tensor, limit: f64) -> f64 {
    let count: u64 = fact["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).product();
    assert_eq!(values.len() as u64, count, "{what}");
    let samples = flat(samples);
    let stride = fact["stride"].as_u64().unwrap() as usize;
    let here: Vec<f32> = values.iter().step_by(stride).take(samples.len()).copied().collect();
    let off = relative(&here, &samples);
    assert!(off < limit, "{what}: off by {off}");
    let weight = |i: usize| ((i * 7919) % 1009) as f64 / 1008.0 - 0.5;
    let whole: f64 = values.iter().enumerate().map(|(i, &v)| f64::from(v) * weight(i)).sum();
    let whole = (whole - fact["projection"].as_f64().unwrap()).abs() / fact["norm"].as_f64().unwrap();
    assert!(whole < limit, "{what}: the projection is off by {whole}");
    off.max(whole)
}

/// The largest absolute difference; NaN if a value is NaN, which `f64::max` would ignore.
pub fn max_difference(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs());
    differences.max_by(f64::total_cmp).expect("at least one value")
}

/// norm2(a - b) / norm2(b), in float64.
pub fn relative(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |x: f64| x * x;
    let difference: f64 = a.iter().zip(b).map(|(&a, &b)| square(f64::from(a) - f64::from(b))).sum();
    let size: f64 = b.iter().map(|&b| square(f64::from(b))).sum();
    (difference / size.max(f64::MIN_POSITIVE)).sqrt()
}
