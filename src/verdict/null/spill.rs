//! A temporary file for the activations of many stimuli, which may not fit in memory.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};

use crate::{Error, Result};

/// Rows of float32 values, one for each stimulus, in a temporary file that is deleted on drop.
pub(super) struct Spill {
    file: BufWriter<File>,
    columns: usize,
    rows: usize,
}

impl Spill {
    pub fn new(columns: usize) -> Result<Self> {
        let file = tempfile::tempfile().map_err(failed)?;
        Ok(Self { file: BufWriter::new(file), columns, rows: 0 })
    }

    pub fn push(&mut self, row: impl IntoIterator<Item = f32>) -> Result<()> {
        row.into_iter().try_for_each(|value| self.file.write_all(&value.to_le_bytes())).map_err(failed)?;
        self.rows += 1;
        Ok(())
    }

    /// Columns `from` to `from + count` of all rows, row by row.
    pub fn read(&mut self, from: usize, count: usize) -> Result<Vec<f64>> {
        self.file.flush().map_err(failed)?;
        let file = self.file.get_mut();
        let mut bytes = vec![0; 4 * count];
        let mut values = Vec::with_capacity(self.rows * count);
        for row in 0..self.rows {
            let at = 4 * (row * self.columns + from) as u64;
            file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut bytes)).map_err(failed)?;
            values.extend(bytes.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))));
        }
        Ok(values)
    }
}

fn failed(e: std::io::Error) -> Error {
    let reason = format!("temporary activations cannot be stored there ({e}); set TMPDIR to a folder with more space");
    Error::file(std::env::temp_dir(), reason)
}
