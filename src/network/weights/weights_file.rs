//! A weights file of any supported format.

use std::collections::HashMap;
use std::path::Path;

use candle_core::Tensor;

use super::state_dict::listed;
use super::{foreign, pth, safetensors};
use crate::fs::sha256;
use crate::{Error, Result};

/// A file that [`Checkpoint::open`](super::Checkpoint::open) read.
pub(super) struct WeightsFile {
    pub contents: Contents,
    pub sha256: String,
}

/// The network in a weights file.
pub(super) struct Contents {
    /// The network's tensors as float32, without the names of wrappers.
    pub tensors: HashMap<String, Tensor>,
    /// Names with those of wrappers, each with its name in `tensors`.
    pub aliases: HashMap<String, String>,
    /// Tensors that are not read, each with the kind of its values.
    pub skipped: HashMap<String, String>,
    pub metadata: HashMap<String, String>,
}

impl WeightsFile {
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = crate::fs::files::read(path)?;
        if let Some(kind) = foreign::kind(&bytes) {
            return Err(Error::file(path, kind));
        }
        let contents = match bytes.starts_with(b"PK") && !foreign::is_safetensors(&bytes) {
            true => pth::read(path, &bytes)?,
            false => safetensors::read(path, &bytes)?,
        };
        if contents.tensors.is_empty() {
            return Err(Error::file(path, "has no named float tensors; save the state dict of a network"));
        }
        Ok(Self { contents, sha256: sha256::hex_digest(&bytes) })
    }
}

impl Contents {
    /// The tensor with this name, with or without the names of wrappers.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name).or_else(|| self.tensors.get(self.aliases.get(name)?))
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.tensors.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// The error for a tensor that the file does not hold: similar names, and the first of those that it holds.
    pub fn missing(&self, name: &str) -> String {
        let ends_with =
            |other: &str| other.strip_suffix(name).is_some_and(|start| start.is_empty() || start.ends_with('.'));
        if let Some((_, values)) = self.skipped.iter().find(|(other, _)| ends_with(other)) {
            return format!("tensor \"{name}\" holds {values}, expected floats");
        }
        let near = match Error::unknown("tensor", name, self.names()) {
            Error::Unknown { near, .. } if !near.is_empty() => format!("; did you mean {}?", near.join(", ")),
            _ => String::new(),
        };
        let count = self.tensors.len();
        format!("no tensor named \"{name}\"{near}; the {count} tensors of the file: {}", listed(self.names()))
    }
}
