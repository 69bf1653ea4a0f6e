//! SHA-256, by which weights, stimuli and files are known.

use sha2::{Digest, Sha256};

/// Bytes in hexadecimal, two small letters each.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of bytes, in hexadecimal.
pub(crate) fn of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Whether this is a SHA-256 in hexadecimal, in small letters or capitals.
pub(crate) fn is_one(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    #[test]
    fn of_nothing_is_the_published_one() {
        let empty = super::of(b"");
        assert_eq!(empty, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert!(super::is_one(&empty) && super::is_one(&empty.to_uppercase()));
        assert!(!super::is_one(&empty[1..]) && !super::is_one(&empty.replace('a', "g")) && !super::is_one(""));
    }
}
