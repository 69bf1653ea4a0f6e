//! The bytes of a pickle that have not been read yet.

/// Unread bytes; each method removes what it returns.
pub(super) struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    pub fn take(&mut self, count: u64) -> Result<&'a [u8], String> {
        let count = usize::try_from(count).ok().filter(|&count| count <= self.0.len());
        let count = count.ok_or_else(|| String::from("it ends too early, or states a length beyond its end"))?;
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        Ok(taken)
    }

    /// A little-endian unsigned integer of up to eight bytes.
    pub fn uint(&mut self, size: u64) -> Result<u64, String> {
        Ok(self.take(size)?.iter().rev().fold(0, |number, &byte| (number << 8) | u64::from(byte)))
    }

    /// Bytes after their length, an integer of `size` bytes.
    pub fn sized(&mut self, size: u64) -> Result<&'a [u8], String> {
        let count = self.uint(size)?;
        self.take(count)
    }

    /// A line without its line break.
    pub fn line(&mut self) -> Result<&'a str, String> {
        let end = self.0.iter().position(|&byte| byte == b'\n').ok_or("it ends within a line")?;
        let line = self.take(end as u64 + 1)?;
        std::str::from_utf8(&line[..end]).map_err(|_| "the name of a class is not text".into())
    }
}

/// A little-endian two's complement integer; `None` beyond 64 bits.
pub(super) fn int(bytes: &[u8]) -> Option<i64> {
    let sign = bytes.last().map_or(0, |byte| (*byte as i8 >> 7) as u8);
    let mut wide = [sign; 8];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(wide))
}

#[cfg(test)]
mod tests {
    #[test]
    fn integers_have_signs_and_at_most_64_bits() {
        for (bytes, expected) in [
            (&b""[..], Some(0)),
            (b"\xff\x00", Some(255)),
            (b"\xff\x7f", Some(32_767)),
            (b"\x00\xff", Some(-256)),
            (b"\x00\x00\x00\x80", Some(-2_147_483_648)),
            (b"\x00\x00\x00\x00\x00\x00\x00\x80", Some(i64::MIN)),
            (b"\x00\x00\x00\x00\x00\x00\x00\x80\x00", None),
        ] {
            assert_eq!(super::int(bytes), expected, "{bytes:?}");
        }
    }
}
