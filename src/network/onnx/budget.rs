//! Limits on the sums over all nodes of an ONNX file.

use std::cell::Cell;

use super::unsupported::ImportResult;

/// Bytes that the constants of a file may take in memory, for each byte of the file: float16 takes two, and several nodes may share one.
const BYTES_FOR_EACH: usize = 16;
/// Bytes that the constants may take beyond those: scalars that become one value for each channel.
const MORE_BYTES: usize = 1 << 26;
/// Maximum number of values in the outputs of all layers for one input, which a gradient needs all at once.
const MAX_TOTAL_VALUES: usize = 1 << 31;

/// The memory that constants and activations may still take.
pub(super) struct Budget {
    file: usize,
    bytes: Cell<usize>,
    values: Cell<usize>,
}

impl Budget {
    /// The budget of a file of this size in bytes.
    pub fn new(file: usize) -> Self {
        let bytes = file.saturating_mul(BYTES_FOR_EACH).saturating_add(MORE_BYTES);
        Self { file, bytes: bytes.into(), values: MAX_TOTAL_VALUES.into() }
    }

    /// Takes the memory of `count` constant values of `size` bytes, before it is allocated.
    pub fn constants(&self, count: usize, size: usize) -> ImportResult<()> {
        match count.checked_mul(size).and_then(|bytes| self.bytes.get().checked_sub(bytes)) {
            Some(rest) => {
                self.bytes.set(rest);
                Ok(())
            }
            None => Err(format!(
                "needs a constant of {count} values; with those before it, the constants are much larger than the file ({} bytes)",
                self.file
            )
            .into()),
        }
    }

    /// Takes the memory of a layer's output.
    pub fn activations(&self, count: usize) -> ImportResult<()> {
        let rest = self.values.get().checked_sub(count);
        self.values.set(rest.ok_or_else(|| {
            format!("has an output of {count} values; up to {MAX_TOTAL_VALUES} are supported in all layers together")
        })?);
        Ok(())
    }
}
