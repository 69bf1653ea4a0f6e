//! Safetensors files of named arrays and notes.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::fs::files;
use crate::{Error, Result};

/// The maximum plausible count of steps or evaluations: at a microsecond each, they would take nine years.
pub(super) const MAX_COUNT: u64 = 1 << 48;

/// Collects arrays and notes and writes them to a file.
pub(super) struct ArchiveWriter {
    arrays: Vec<(String, Dtype, Vec<usize>, Vec<u8>)>,
    notes: BTreeMap<String, String>,
}

impl ArchiveWriter {
    pub fn new(notes: BTreeMap<String, String>) -> Self {
        Self { arrays: vec![], notes }
    }

    pub fn f32(&mut self, name: &str, values: &[f32]) {
        self.f32_shaped(name, &[values.len()], values);
    }

    pub fn f32_shaped(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.arrays.push((name.into(), Dtype::F32, shape.to_vec(), bytes));
    }

    pub fn f64(&mut self, name: &str, values: &[f64]) {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.arrays.push((name.into(), Dtype::F64, vec![values.len()], bytes));
    }

    pub fn u8(&mut self, name: &str, values: &[u8]) {
        self.arrays.push((name.into(), Dtype::U8, vec![values.len()], values.to_vec()));
    }

    pub fn u64(&mut self, name: &str, value: u64) {
        self.arrays.push((name.into(), Dtype::U64, vec![1], value.to_le_bytes().to_vec()));
    }

    /// Writes a safetensors file atomically.
    pub fn write(self, path: &Path) -> Result<()> {
        crate::fs::atomic::write(path, &self.into_bytes(path)?)
    }

    /// The bytes of a safetensors file; errors name `path`.
    pub fn into_bytes(self, path: &Path) -> Result<Vec<u8>> {
        let failed = |e: safetensors::SafeTensorError| Error::file(path, format!("cannot be written ({e})"));
        let views = self
            .arrays
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?)));
        let views = views.collect::<std::result::Result<Vec<_>, _>>().map_err(failed)?;
        let bytes = safetensors::serialize(views, None).map_err(failed)?;
        with_notes(&bytes, &self.notes).map_err(|e| Error::file(path, e))
    }
}

/// Adds notes, sorted by name, to a safetensors file. The `safetensors` crate writes them in random order, which would make two
/// sweeps of the same plan differ.
fn with_notes(file: &[u8], notes: &BTreeMap<String, String>) -> std::result::Result<Vec<u8>, String> {
    let damaged = || "cannot be written: the header has an unexpected form".to_string();
    let (length, rest) = file.split_first_chunk::<8>().ok_or_else(damaged)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok().filter(|&l| l <= rest.len()).ok_or_else(damaged)?;
    let (header, arrays) = rest.split_at(length);
    let header = header.strip_prefix(b"{").ok_or_else(damaged)?.trim_ascii_end();
    let notes = serde_json::to_string(notes).map_err(|e| e.to_string())?;
    let comma = if header == b"}" { "" } else { "," };
    let mut new_header = format!("{{\"__metadata__\":{notes}{comma}").into_bytes();
    new_header.extend_from_slice(header);
    // The format aligns arrays to 8 bytes.
    new_header.resize(new_header.len().next_multiple_of(8), b' ');
    let mut bytes = (new_header.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut new_header);
    bytes.extend_from_slice(arrays);
    Ok(bytes)
}

/// The arrays and notes of a file.
pub(super) struct ArchiveReader {
    path: PathBuf,
    arrays: HashMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
    notes: HashMap<String, String>,
}

impl ArchiveReader {
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = files::read(path)?;
        let damaged =
            |e: safetensors::SafeTensorError| Error::file(path, format!("is not a valid safetensors file ({e})"));
        let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let arrays = file.tensors().into_iter().map(|(name, view)| {
            let array = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
            (name, array)
        });
        Ok(Self { path: path.into(), arrays: arrays.collect(), notes: header.metadata().clone().unwrap_or_default() })
    }

    pub fn has(&self, name: &str) -> bool {
        self.arrays.contains_key(name)
    }

    /// An error that names this file.
    pub fn error(&self, reason: impl ToString) -> Error {
        Error::file(&self.path, reason)
    }

    pub fn note(&self, name: &str) -> Result<&str> {
        let note = self.notes.get(name).map(String::as_str);
        note.ok_or_else(|| self.error(format!("was not written by metamers: it has no note \"{name}\"")))
    }

    fn bytes(&self, name: &str, dtype: Dtype) -> Result<(&[usize], &[u8])> {
        match self.arrays.get(name) {
            Some((found, shape, bytes)) if *found == dtype => Ok((shape, bytes)),
            Some((found, ..)) => Err(self.error(format!("\"{name}\" holds {found:?} values, expected {dtype:?}"))),
            None => Err(self.error(format!("has no \"{name}\""))),
        }
    }

    pub fn f32(&self, name: &str) -> Result<Vec<f32>> {
        Ok(self.f32_shaped(name)?.1)
    }

    pub fn f32_shaped(&self, name: &str) -> Result<(&[usize], Vec<f32>)> {
        let (shape, bytes) = self.bytes(name, Dtype::F32)?;
        Ok((shape, bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()))
    }

    pub fn f64(&self, name: &str) -> Result<Vec<f64>> {
        let (_, bytes) = self.bytes(name, Dtype::F64)?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect())
    }

    pub fn u8(&self, name: &str) -> Result<Vec<u8>> {
        Ok(self.bytes(name, Dtype::U8)?.1.to_vec())
    }

    /// Values in single precision, or in double precision as version 0.1 wrote them.
    pub fn f32_or_f64(&self, name: &str) -> Result<Vec<f32>> {
        match self.arrays.get(name) {
            Some((Dtype::F64, ..)) => Ok(self.f64(name)?.into_iter().map(|v| v as f32).collect()),
            _ => self.f32(name),
        }
    }

    pub fn scalar(&self, name: &str) -> Result<f64> {
        self.f64(name)?.first().copied().ok_or_else(|| self.error(format!("\"{name}\" is empty")))
    }

    /// A count of steps or the like.
    pub fn count(&self, name: &str) -> Result<usize> {
        match self.u64(name)? {
            count if count <= MAX_COUNT => Ok(count as usize),
            count => Err(self.error(format!("is damaged: \"{name}\" is {count}, expected at most {MAX_COUNT}"))),
        }
    }

    pub fn u64(&self, name: &str) -> Result<u64> {
        let (_, bytes) = self.bytes(name, Dtype::U64)?;
        let first = bytes.as_chunks::<8>().0.first();
        first.map(|b| u64::from_le_bytes(*b)).ok_or_else(|| self.error(format!("\"{name}\" is empty")))
    }
}
