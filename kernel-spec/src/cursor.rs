//! Cursor positions: Jupyter counts characters, evcxr counts bytes.

/// Converts a position in characters to a byte offset.
#[must_use]
pub fn byte_offset(code: &str, characters: usize) -> usize {
    code.char_indices().nth(characters).map_or(code.len(), |(at, _)| at)
}

/// Converts a byte offset to a position in characters.
#[must_use]
pub fn char_offset(code: &str, byte: usize) -> usize {
    code.char_indices().take_while(|&(at, _)| at < byte).count()
}

/// The end of the identifier at the cursor or directly before it.
#[must_use]
pub fn identifier_end(code: &str, byte: usize) -> usize {
    let in_identifier = |character: char| character.is_alphanumeric() || character == '_';
    byte + code[byte..].find(|character| !in_identifier(character)).unwrap_or(code.len() - byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        let code = "let µ = ü.x";
        assert_eq!(byte_offset(code, 5), 6);
        assert_eq!(char_offset(code, 6), 5);
        assert_eq!(byte_offset(code, 99), code.len());
        assert_eq!(identifier_end("tensor.sum()", 2), 6);
        assert_eq!(identifier_end("tensor", 6), 6);
    }
}
