//! SHA-256 digests, which identify weights, stimuli and files.

use sha2::{Digest, Sha256};

/// Formats bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the SHA-256 digest of `bytes` in lower-case hexadecimal.
pub(crate) fn hex_digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Returns whether `text` is a SHA-256 digest in hexadecimal, in either case.
pub(crate) fn is_valid(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_digest_of_empty_input_is_the_published_one() {
        let empty = super::hex_digest(b"");
        assert_eq!(empty, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert!(super::is_valid(&empty) && super::is_valid(&empty.to_uppercase()));
        assert!(!super::is_valid(&empty[1..]) && !super::is_valid(&empty.replace('a', "g")) && !super::is_valid(""));
    }
}
