//! PyTorch checkpoints: zip archives of a pickled state dict and its storages.

use std::collections::HashMap;
use std::io::{Cursor, copy, sink};
use std::path::Path;

use candle_core::{Device, Tensor};
use zip::ZipArchive;
use zip::result::ZipResult;

use super::pickle::Pickle;
use super::state_dict;
use super::tensor_view::{FloatType, TensorView, ViewType};
use super::weights_file::Contents;
use super::{foreign, wrappers};
use crate::{Error, Result};

/// Number of values beyond those of the file's size that views of shared storages may add up to.
const MAX_SHARED_VALUES: usize = 1 << 22;

/// The times that the values of a file may be converted: those of interleaved tensors are, once for each.
const SPANS: usize = 32;

/// The entries of an archive; each has the checksum that the archive states.
struct Archive<'a> {
    entries: HashMap<String, &'a [u8]>,
    /// The path of the folder that holds `data.pkl`.
    folder: String,
}

/// The network's tensors in a `.pth` file with these bytes.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Contents> {
    let archive = Archive::read(path, bytes)?;
    let file = |reason: String| Error::file(path, reason);
    if archive.entry("byteorder").is_some_and(|order| order.starts_with(b"big")) {
        let reason = "was saved on a big-endian machine, which is not supported; load it in PyTorch on another machine and save it again";
        return Err(file(reason.into()));
    }
    let pickle = archive.entry("data.pkl").unwrap_or_default();
    let pickle = Pickle::read(pickle).map_err(|reason| file(format!("has a pickle that cannot be read: {reason}")))?;
    let entries = state_dict::entries(&pickle).map_err(file)?;
    let (mut floats, mut skipped) = (vec![], HashMap::new());
    for (name, view) in entries {
        let view = view.map_err(|reason| file(format!("tensor \"{name}\" cannot be read: {reason}")))?;
        match view.dtype {
            ViewType::Float(float) => floats.push((name, (float, view))),
            ViewType::Integer => drop(skipped.insert(name, "integers".into())),
            ViewType::Unsupported => drop(skipped.insert(name, "values of a type that is not supported".into())),
        }
    }
    let unwrapped = wrappers::remove(floats);
    let budget = bytes.len() + MAX_SHARED_VALUES;
    let mut storages =
        Storages { archive: &archive, read: HashMap::new(), budget, span_budget: budget.saturating_mul(SPANS) };
    let mut tensors = HashMap::new();
    for (name, (float, view)) in unwrapped.tensors {
        let tensor = storages
            .tensor(float, view)
            .map_err(|reason| file(format!("tensor \"{name}\" cannot be read: {reason}")))?;
        tensors.insert(name, tensor);
    }
    Ok(Contents { tensors, aliases: unwrapped.aliases, skipped, metadata: HashMap::new() })
}

impl<'a> Archive<'a> {
    fn read(path: &Path, bytes: &'a [u8]) -> Result<Self> {
        let damaged = |e: zip::result::ZipError| {
            Error::file(
                path,
                format!("is not a valid zip archive ({e}): it is damaged or cut short; download or copy it again"),
            )
        };
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
        let names = archive.file_names().map(|name| Ok(name?.into_owned())).collect::<ZipResult<Vec<String>>>();
        let names = names.map_err(damaged)?;
        let folders = names.iter().filter_map(|name| name.strip_suffix("data.pkl"));
        let folder =
            folders.filter(|folder| folder.is_empty() || folder.ends_with('/')).min_by_key(|folder| folder.len());
        let Some(folder) = folder.filter(|_| !foreign::is_torchscript(&names)) else {
            return Err(Error::file(path, foreign::zip_content(&names)));
        };
        let entries = entries(&mut archive, bytes).map_err(damaged)?;
        Ok(Self { entries, folder: folder.to_owned() })
    }

    fn entry(&self, name: &str) -> Option<&'a [u8]> {
        self.entries.get(&format!("{}{name}", self.folder)).copied()
    }
}

/// The contents of all entries, each read to its end, where its checksum is compared.
fn entries<'a>(archive: &mut ZipArchive<Cursor<&'a [u8]>>, bytes: &'a [u8]) -> ZipResult<HashMap<String, &'a [u8]>> {
    let invalid = |reason: &'static str| std::io::Error::new(std::io::ErrorKind::InvalidData, reason);
    let (mut entries, mut rest) = (HashMap::new(), bytes.len() as u64);
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        if entry.size() != entry.compressed_size() {
            return Err(invalid("compressed entries, which PyTorch does not write").into());
        }
        // Entries that overlap would be read many times.
        rest = rest.checked_sub(entry.size()).ok_or_else(|| invalid("entries larger than the file"))?;
        let size = copy(&mut entry, &mut sink())?;
        let start = entry.data_start().ok_or_else(|| invalid("an entry without data"))?;
        let data = usize::try_from(start).ok().zip(usize::try_from(size).ok());
        let data = data.and_then(|(start, size)| bytes.get(start..start.checked_add(size)?));
        entries.insert(entry.name()?.into_owned(), data.ok_or_else(|| invalid("an entry beyond its end"))?);
    }
    Ok(entries)
}

/// Tensors made from the storages of an archive; equal views of a storage are one tensor.
struct Storages<'a> {
    archive: &'a Archive<'a>,
    read: HashMap<TensorView<'a>, Tensor>,
    /// The number of values that may still be read.
    budget: usize,
    /// The number of values that may still be converted, from the first to the last of each tensor.
    span_budget: usize,
}

impl<'a> Storages<'a> {
    fn tensor(&mut self, float: FloatType, view: TensorView<'a>) -> std::result::Result<Tensor, String> {
        if let Some(tensor) = self.read.get(&view) {
            return Ok(tensor.clone());
        }
        let span = view.span().and_then(|span| self.span_budget.checked_sub(span));
        self.span_budget = span.ok_or("its tensors lie too far apart in their storages")?;
        let budget = self.budget.checked_sub(view.count());
        self.budget = budget.ok_or("the tensors share their values, and have many times the size of the file")?;
        let name = format!("data/{}", view.storage);
        let storage = self.archive.entry(&name).ok_or_else(|| format!("the file has no entry \"{name}\""))?;
        let values = view.values(float, storage)?;
        let tensor = Tensor::from_vec(values, view.shape.as_slice(), &Device::Cpu).map_err(|e| e.to_string())?;
        self.read.insert(view, tensor.clone());
        Ok(tensor)
    }
}
