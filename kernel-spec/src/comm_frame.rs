//! Frames between the kernel and the library: a JSON header and binary buffers.
//!
//! The lengths come first, as little-endian `u32`: that of the JSON, the number of buffers, and that of each buffer.

use serde_json::Value;
use std::io::{Error, ErrorKind, Read, Result, Write};

/// Maximum size of a frame in bytes, above that of any picture or sound of a widget.
pub const MAX_FRAME: usize = 64 << 20;
/// Maximum size of the first frame, which a peer sends before it is authenticated.
pub const MAX_HELLO: usize = 1 << 10;
/// Maximum number of buffers.
const MAX_BUFFERS: usize = 1 << 10;

/// A message about a comm.
#[derive(Debug, Clone, PartialEq)]
pub struct CommFrame {
    /// The JSON header.
    pub header: Value,
    /// The binary buffers.
    pub buffers: Vec<Vec<u8>>,
}

impl CommFrame {
    /// A frame without buffers.
    #[must_use]
    pub fn new(header: Value) -> CommFrame {
        CommFrame { header, buffers: Vec::new() }
    }

    /// Writes the frame.
    pub fn write(&self, to: &mut impl Write) -> Result<()> {
        let json = self.header.to_string();
        let lengths = [json.len(), self.buffers.len()].into_iter().chain(self.buffers.iter().map(Vec::len));
        let mut bytes = Vec::with_capacity(json.len() + 16);
        for length in lengths {
            let length = u32::try_from(length).map_err(|_| invalid("a part of a frame is larger than 4 GB"))?;
            bytes.extend(length.to_le_bytes());
        }
        bytes.extend(json.as_bytes());
        self.buffers.iter().for_each(|buffer| bytes.extend(buffer));
        to.write_all(&bytes)
    }

    /// Reads a frame of at most `max` bytes; nothing is allocated before its size has been checked.
    pub fn read(from: &mut impl Read, max: usize) -> Result<CommFrame> {
        let (json_len, count) = (read_length(from)?, read_length(from)?);
        if count > MAX_BUFFERS {
            return Err(invalid("a frame has too many buffers"));
        }
        let mut lengths = Vec::with_capacity(count);
        let mut total = json_len;
        for _ in 0..count {
            lengths.push(read_length(from)?);
            total = total.saturating_add(lengths[lengths.len() - 1]);
        }
        if total > max {
            return Err(invalid("a frame is too large"));
        }
        let mut part = |length: usize| {
            let mut bytes = vec![0; length];
            from.read_exact(&mut bytes).map(|()| bytes)
        };
        let json = part(json_len)?;
        let buffers = lengths.into_iter().map(part).collect::<Result<_>>()?;
        let header = serde_json::from_slice(&json).map_err(|_| invalid("the header of a frame is not JSON"))?;
        Ok(CommFrame { header, buffers })
    }
}

fn read_length(from: &mut impl Read) -> Result<usize> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes) as usize)
}

fn invalid(reason: &str) -> Error {
    Error::new(ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn frames_round_trip() {
        let frame = CommFrame { header: json!({ "op": "msg", "data": "ü" }), buffers: vec![vec![1, 2, 3], vec![]] };
        let mut bytes = Vec::new();
        frame.write(&mut bytes).unwrap();
        assert_eq!(CommFrame::read(&mut bytes.as_slice(), MAX_FRAME).unwrap(), frame);
        assert_eq!(
            CommFrame::read(&mut &bytes[..bytes.len() - 1], MAX_FRAME).unwrap_err().kind(),
            ErrorKind::UnexpectedEof
        );
    }

    #[test]
    fn a_frame_that_claims_to_be_large_is_refused_before_it_is_read() {
        for lengths in [vec![u32::MAX, 0], vec![2, u32::MAX], vec![2, 2, u32::MAX, u32::MAX], vec![2000, 0]] {
            let bytes: Vec<u8> = lengths.iter().flat_map(|length: &u32| length.to_le_bytes()).collect();
            let error = CommFrame::read(&mut bytes.as_slice(), MAX_HELLO).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{lengths:?}");
        }
    }
}
