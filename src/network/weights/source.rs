//! The source of a network's weights.

use std::path::Path;
use std::sync::PoisonError;

use candle_core::DType;
use candle_nn::VarMap;
use sha2::{Digest, Sha256};

use crate::Result;
use crate::fs::files;
use crate::fs::sha256::{self, hex};

/// The source of weights if none was given.
pub(in crate::network) const NOT_STATED: &str = "not stated";
/// The source of weights of a custom module if none was given.
pub(crate) const KNOWN_BY_VALUES: &str = "a candle module, known by its values on a fixed input";

/// The source of a network's weights, which identifies the network in saved runs and null distributions.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightsSource {
    /// The file, package or seed.
    pub source: String,
    /// Hexadecimal SHA-256 of the weights file. Without a file, the SHA-256 of the layers and their values; a custom module is
    /// represented by its output for a fixed input.
    pub weights_sha256: String,
}

impl WeightsSource {
    /// The source of weights in a file: the file's name and SHA-256.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = files::read(path)?;
        let source = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { source, weights_sha256: sha256::hex_digest(&bytes) })
    }

    /// The source of the current weights of a [`VarMap`]: SHA-256 of the names, shapes and values (as float64) of its variables, sorted
    /// by name.
    ///
    /// The hash is the same on every machine. It does not cover the code that uses the weights.
    ///
    /// # Errors
    /// When a variable cannot be read.
    pub fn from_vars(source: impl Into<String>, vars: &VarMap) -> Result<Self> {
        let vars = vars.data().lock().unwrap_or_else(PoisonError::into_inner);
        let mut named: Vec<_> = vars.iter().collect();
        named.sort_by_key(|(name, _)| *name);
        let mut hasher = Sha256::new();
        for (name, var) in named {
            hasher.update((name.len() as u64).to_le_bytes());
            hasher.update(name);
            hasher.update((var.rank() as u64).to_le_bytes());
            var.dims().iter().for_each(|&side| hasher.update((side as u64).to_le_bytes()));
            let values = var.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
            values.iter().for_each(|value| hasher.update(value.to_le_bytes()));
        }
        Ok(Self { source: source.into(), weights_sha256: hex(&hasher.finalize()) })
    }
}
