//! Whether a piece of Rust is finished, and where a cursor is.

use crate::display_hook::rust_begins;
use ra_ap_syntax::{Edition, SourceFile, SyntaxError, SyntaxKind, SyntaxToken, T};

/// The state of a piece of code that is being typed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Completeness {
    /// It can be run.
    Complete,
    /// More has to follow, at this depth of brackets.
    Incomplete(usize),
    /// No continuation makes it right.
    Invalid,
}

/// Judges as the parser does: what is wrong before the end stays wrong, what is wrong at the end may become right.
pub fn completeness(cell: &str) -> Completeness {
    let Some(start) = rust_begins(cell).filter(|_| !cell.starts_with('?')) else { return Completeness::Complete };
    // The body of a function, without its end.
    let parse = SourceFile::parse(&format!("fn f(){{{}", &cell[start..]), Edition::Edition2024);
    let tokens: Vec<_> = parse.syntax_node().descendants_with_tokens().filter_map(|part| part.into_token()).collect();
    let errors = parse.errors();
    let Some(depth) = open_brackets(&tokens) else { return Completeness::Invalid };
    if tokens.last().is_some_and(|last| errors.iter().any(|error| is_unterminated(last, error))) {
        return Completeness::Incomplete(depth);
    }
    let end = tokens.iter().rfind(|token| !token.kind().is_trivia()).map_or(0.into(), |token| token.text_range().end());
    if errors.iter().any(|error| error.range().start() < end) {
        return Completeness::Invalid;
    }
    let whole = SourceFile::parse(&format!("fn f(){{{}\n}}", &cell[start..]), Edition::Edition2024);
    if whole.errors().is_empty() { Completeness::Complete } else { Completeness::Incomplete(depth.max(1)) }
}

/// Whether this error says that the token, the last of all, has no end.
fn is_unterminated(token: &SyntaxToken, error: &SyntaxError) -> bool {
    use SyntaxKind::{BYTE_STRING, C_STRING, COMMENT, STRING};
    let message = error.to_string();
    let says_so = message.starts_with("Missing trailing") || message.starts_with("Invalid raw string");
    let (of_token, of_error) = (token.text_range(), error.range());
    matches!(token.kind(), STRING | BYTE_STRING | C_STRING | COMMENT) && says_so && of_error.start() >= of_token.start()
}

/// How many brackets are open at the end of the function's body; none if one is closed that was not open.
fn open_brackets(function: &[SyntaxToken]) -> Option<usize> {
    let mut open = Vec::new();
    for token in function.iter().skip_while(|token| token.kind() != T!['{']).skip(1) {
        match token.kind() {
            T!['('] => open.push(T![')']),
            T!['['] => open.push(T![']']),
            T!['{'] => open.push(T!['}']),
            closing @ (T![')'] | T![']'] | T!['}']) => {
                open.pop().filter(|&expected| expected == closing)?;
            }
            _ => {}
        }
    }
    Some(open.len())
}

/// The byte at a position that Jupyter counts in characters.
pub fn byte_of(code: &str, characters: usize) -> usize {
    code.char_indices().nth(characters).map_or(code.len(), |(at, _)| at)
}

/// The position in characters of a byte.
pub fn character_of(code: &str, byte: usize) -> usize {
    code.char_indices().take_while(|&(at, _)| at < byte).count()
}

/// The end of the name in which, or right after which, the cursor stands.
pub fn end_of_name(code: &str, byte: usize) -> usize {
    let name = |character: char| character.is_alphanumeric() || character == '_';
    byte + code[byte..].find(|character| !name(character)).unwrap_or(code.len() - byte)
}

#[cfg(test)]
mod tests {
    use super::Completeness::*;
    use super::*;

    #[test]
    fn finished_code_is_complete() {
        for code in [
            "",
            "1 + 1",
            "let x = '{';",
            r#"println!("({[");"#,
            "// (",
            "/* ( /* */ */ 1",
            r##"let raw = r#"" ("#;"##,
            "fn f<'a>(x: &'a str) -> &'a str { x }",
            r"let quote = '\'';",
            "for_r(\"(\")",
            ":dep regex = \"1\"",
            "!ls (",
            "?Tensor",
            "match x {\n  1 => 2,\n  _ => 3,\n}",
            "let f: Vec<Vec<u8>> = vec![];",
            "struct A {\n    x: u8,\n}",
            "std::fs::read(\"a\")?;",
            "let x = 1;\n// a note",
        ] {
            assert_eq!(completeness(code), Complete, "{code}");
        }
    }

    #[test]
    fn unfinished_code_is_incomplete() {
        for code in [
            "fn f() {",
            "let x = (1,",
            "\"abc",
            "/* abc",
            "let x =",
            "let x = 1",
            "r#\"abc\"",
            "match x { 1 =>",
            "1 +",
            "1 + // and",
            "vec![1,",
            "#[derive(Debug)]",
            "struct A { x:",
            "if a {",
            "println!(\"a",
            ":dep x = \"1\"\nfn f() {",
        ] {
            assert!(matches!(completeness(code), Incomplete(_)), "{code}: {:?}", completeness(code));
        }
        assert_eq!(completeness("if a { if b {"), Incomplete(2));
        assert_eq!(completeness("fn f() {\n    g(\"a"), Incomplete(2));
    }

    #[test]
    fn what_no_continuation_makes_right_is_invalid() {
        for code in [
            ")",
            "fn f() { ]",
            "(1 + 2}",
            "}",
            "} fn g() {",
            "let = 1;",
            "fn 1() {}",
            "let x = 1 2;",
            "struct { }",
            "} \"a",
        ] {
            assert_eq!(completeness(code), Invalid, "{code}");
        }
    }

    #[test]
    fn positions_count_characters() {
        let code = "let µ = ü.x";
        assert_eq!(byte_of(code, 5), 6);
        assert_eq!(character_of(code, 6), 5);
        assert_eq!(byte_of(code, 99), code.len());
        assert_eq!(end_of_name("tensor.sum()", 2), 6);
        assert_eq!(end_of_name("tensor", 6), 6);
    }
}
