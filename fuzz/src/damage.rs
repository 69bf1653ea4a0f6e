//! Damage to the bytes of a valid input.

/// Numbers at the ends of their ranges.
const EXTREMES: [u64; 9] = [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, u64::MAX, i64::MAX as u64, 1 << 62];

/// Returns a copy of `seed` with one to five kinds of damage: bits flipped, bytes replaced, numbers replaced by extreme ones, parts cut out,
/// repeated, or copied from `other`. `below(n)` returns a random number below `n`.
pub fn damaged(seed: &[u8], other: &[u8], below: &mut dyn FnMut(usize) -> usize) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..1 + below(5) {
        if bytes.is_empty() {
            break;
        }
        // Half of the time near the start, where headers are.
        let end = if below(2) == 0 { bytes.len() } else { bytes.len().min(512) };
        let at = below(end);
        damage(&mut bytes, at, other, below);
    }
    bytes
}

fn damage(bytes: &mut Vec<u8>, at: usize, other: &[u8], below: &mut dyn FnMut(usize) -> usize) {
    match below(7) {
        0 => bytes[at] ^= 1 << below(8),
        1 => bytes[at] = below(256) as u8,
        2 => bytes.truncate(at),
        3 => {
            let value = EXTREMES[below(EXTREMES.len())].to_le_bytes();
            let width = [1, 2, 4, 8][below(4)];
            for (byte, value) in bytes[at..].iter_mut().zip(&value[..width]) {
                *byte = *value;
            }
        }
        4 => {
            let length = below((bytes.len() - at).min(64) + 1);
            drop(bytes.drain(at..at + length));
        }
        5 => {
            let length = below((bytes.len() - at).min(64) + 1);
            let part = bytes[at..at + length].to_vec();
            bytes.splice(at..at, part);
        }
        _ if !other.is_empty() => {
            let from = below(other.len());
            let length = below((other.len() - from).min(256) + 1);
            bytes.splice(at..at, other[from..from + length].iter().copied());
        }
        _ => {}
    }
}
