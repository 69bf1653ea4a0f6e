//! Reading reference files, and comparing with them.
#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use metamers::candle::{Device, Tensor};

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

/// norm2(a - b) / norm2(b), in float64.
pub fn relative(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |x: f64| x * x;
    let difference: f64 = a.iter().zip(b).map(|(&a, &b)| square(f64::from(a) - f64::from(b))).sum();
    let size: f64 = b.iter().map(|&b| square(f64::from(b))).sum();
    (difference / size.max(f64::MIN_POSITIVE)).sqrt()
}
