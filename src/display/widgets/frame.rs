//! Frames between the library and the kernel: a JSON header and binary buffers.
//!
//! The lengths come first, as little-endian `u32`: that of the JSON, the number of buffers, and that of each buffer.

use std::io::{Error, ErrorKind, Read, Result, Write};

use serde_json::Value;

/// Maximum size of a frame in bytes; the kernel refuses larger ones too.
const MAX_FRAME: usize = 64 << 20;
/// Maximum number of buffers.
const MAX_BUFFERS: usize = 1 << 10;

/// A message about a comm.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame {
    pub header: Value,
    pub buffers: Vec<Vec<u8>>,
}

impl Frame {
    pub fn new(header: Value) -> Self {
        Self { header, buffers: Vec::new() }
    }

    /// Writes the frame. One that the kernel would refuse is an error, and nothing is written.
    pub fn write(&self, to: &mut impl Write) -> Result<()> {
        let json = self.header.to_string();
        let size: usize = json.len() + self.buffers.iter().map(Vec::len).sum::<usize>();
        if size > MAX_FRAME || self.buffers.len() > MAX_BUFFERS {
            return Err(Error::new(ErrorKind::InvalidData, "a widget holds more than 64 MB"));
        }
        let mut bytes = Vec::with_capacity(size + 8);
        // The lengths fit, because the size does.
        bytes.extend((json.len() as u32).to_le_bytes());
        bytes.extend((self.buffers.len() as u32).to_le_bytes());
        self.buffers.iter().for_each(|buffer| bytes.extend((buffer.len() as u32).to_le_bytes()));
        bytes.extend(json.as_bytes());
        self.buffers.iter().for_each(|buffer| bytes.extend(buffer));
        to.write_all(&bytes)
    }

    /// Reads a frame; nothing is allocated before its size has been checked.
    pub fn read(from: &mut impl Read) -> Result<Self> {
        let invalid = || Error::from(ErrorKind::InvalidData);
        let (json, count) = (read_length(from)?, read_length(from)?);
        if count > MAX_BUFFERS {
            return Err(invalid());
        }
        let lengths = (0..count).map(|_| read_length(from)).collect::<Result<Vec<_>>>()?;
        if lengths.iter().fold(json, |sum, length| sum.saturating_add(*length)) > MAX_FRAME {
            return Err(invalid());
        }
        let mut part = |length: usize| {
            let mut bytes = vec![0; length];
            from.read_exact(&mut bytes).map(|()| bytes)
        };
        let header = part(json)?;
        let buffers = lengths.into_iter().map(part).collect::<Result<_>>()?;
        Ok(Self { header: serde_json::from_slice(&header).map_err(|_| invalid())?, buffers })
    }
}

fn read_length(from: &mut impl Read) -> Result<usize> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_round_trip_and_large_ones_are_refused() {
        let frame = Frame { header: serde_json::json!({ "op": "msg" }), buffers: vec![vec![1, 2], vec![]] };
        let mut bytes = Vec::new();
        frame.write(&mut bytes).unwrap();
        assert_eq!(Frame::read(&mut bytes.as_slice()).unwrap(), frame);
        assert!(Frame::read(&mut [0xFF; 32].as_slice()).is_err());
        let large = Frame { buffers: vec![vec![0; MAX_FRAME]], ..frame };
        assert_eq!(large.write(&mut Vec::new()).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
