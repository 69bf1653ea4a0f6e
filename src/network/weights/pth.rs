//! PyTorch checkpoints: zip archives of a pickled state dict and its values.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, copy, sink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use candle_core::pickle::{PthTensors, TensorInfo};
use candle_core::{DType, Tensor};
use zip::ZipArchive;
use zip::result::ZipResult;

use crate::{Error, Result};

/// Keys under which training programs store the state dict.
const STATE_DICT_KEYS: [&str; 3] = ["state_dict", "model", "network"];

/// The float tensors of a `.pth` file, as float32.
pub(super) fn read(path: &Path) -> Result<HashMap<String, Tensor>> {
    let damaged = |e: zip::result::ZipError| Error::file(path, format!("is not a valid zip archive ({e})"));
    let sizes = verified_sizes(path).map_err(damaged)?;
    let mut found = tensors(path, None, &sizes)?;
    for key in STATE_DICT_KEYS {
        if found.is_empty() {
            found = tensors(path, Some(key), &sizes).unwrap_or_default();
        }
    }
    let floats = found.into_iter().filter(|(_, tensor)| tensor.dtype().is_float());
    let floats: HashMap<_, _> =
        floats.map(|(name, tensor)| Ok((name, tensor.to_dtype(DType::F32)?))).collect::<Result<_>>()?;
    match floats.is_empty() {
        true => Err(Error::file(
            path,
            "has no named float tensors; save only the state dict: torch.save(model.state_dict(), file)",
        )),
        false => Ok(floats),
    }
}

/// The sizes of all entries in bytes; reads each entry to its end, where the checksum is compared.
fn verified_sizes(path: &Path) -> ZipResult<HashMap<String, u64>> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(path)?))?;
    let mut sizes = HashMap::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let size = copy(&mut entry, &mut sink())?;
        sizes.insert(entry.name()?.into_owned(), size);
    }
    Ok(sizes)
}

/// The tensors of the pickled dict, or of the dict that it stores under `key`.
fn tensors(path: &Path, key: Option<&str>, sizes: &HashMap<String, u64>) -> Result<Vec<(String, Tensor)>> {
    let read = || {
        let file = PthTensors::new(path, key)?;
        let mut tensors = vec![];
        for (name, info) in file.tensor_infos() {
            if !fits(info, sizes) {
                candle_core::bail!("tensor \"{name}\" is larger than its data in the file");
            }
            tensors.extend(file.get(name)?.map(|tensor| (name.clone(), tensor)));
        }
        Ok::<_, candle_core::Error>(tensors)
    };
    let unreadable = |reason: String| Error::file(path, format!("is not a readable state dict ({reason})"));
    // candle does not validate pickles, and panics on malformed ones.
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|e| unreadable(e.to_string())),
        Err(_) => Err(unreadable("its pickle is malformed".into())),
    }
}

/// Returns whether the entry holds all values of the tensor; otherwise candle would allocate memory for the size that the pickle states.
fn fits(info: &TensorInfo, sizes: &HashMap<String, u64>) -> bool {
    let values = info.layout.dims().iter().try_fold(1usize, |count, &side| count.checked_mul(side));
    let end = values
        .and_then(|count| count.checked_mul(info.dtype.size_in_bytes()))
        .and_then(|bytes| bytes.checked_add(info.layout.start_offset()));
    end.zip(sizes.get(&info.path)).is_some_and(|(end, &size)| end as u64 <= size)
}
