//! Camera raw photos in TIFF files: readers of TIFF would take their thumbnail for the photo.

/// The kind of an image in a file: bit 0 marks a thumbnail (TIFF 6.0).
const NEW_SUBFILE_TYPE: u16 = 254;
/// The version of a DNG file.
const DNG_VERSION: u16 = 50_706;
/// The tag of the positions of further images, among them the raw one (TIFF supplement 1).
const SUB_IFDS: u16 = 330;

/// Returns whether the first directory of a TIFF file is that of a raw photo.
pub(super) fn is_raw(bytes: &[u8]) -> bool {
    let tags = tags(bytes).unwrap_or_default();
    let has = |wanted: u16, bits: u32| tags.iter().any(|&(tag, value)| tag == wanted && value & bits == bits);
    has(DNG_VERSION, 0) || (has(NEW_SUBFILE_TYPE, 1) && has(SUB_IFDS, 0))
}

/// The tags of the first directory, and the first four bytes of their values.
fn tags(bytes: &[u8]) -> Option<Vec<(u16, u32)>> {
    let is_little = bytes.starts_with(b"II");
    let u16_at = |at: usize| {
        let pair = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if is_little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
    };
    let u32_at = |at: usize| {
        let four = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if is_little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) })
    };
    let directory = u32_at(4)? as usize;
    let count = usize::from(u16_at(directory)?);
    let entry = |i: usize| {
        let at = directory + 2 + 12 * i;
        Some((u16_at(at)?, u32_at(at + 8)?))
    };
    Some((0..count).map_while(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of these tags with values of 32 bits.
    fn tiff(entries: &[(u16, u32)]) -> Vec<u8> {
        let mut bytes = [b"MM\0*".as_slice(), &8u32.to_be_bytes(), &(entries.len() as u16).to_be_bytes()].concat();
        for (tag, value) in entries {
            bytes.extend(
                [&tag.to_be_bytes()[..], &4u16.to_be_bytes(), &1u32.to_be_bytes(), &value.to_be_bytes()].concat(),
            );
        }
        bytes
    }

    #[test]
    fn raw_photos_are_told_from_other_tiff_files() {
        assert!(is_raw(&tiff(&[(256, 100), (DNG_VERSION, 0x0104_0000)])));
        assert!(is_raw(&tiff(&[(NEW_SUBFILE_TYPE, 1), (SUB_IFDS, 900)])));
        assert!(!is_raw(&tiff(&[(NEW_SUBFILE_TYPE, 0), (SUB_IFDS, 900)])));
        assert!(!is_raw(&tiff(&[(256, 100)])) && !is_raw(b"II*\0") && !is_raw(&tiff(&[])[..9]));
        assert!(!is_raw(b"II*\0\xFF\xFF\xFF\xFF"));
    }
}
