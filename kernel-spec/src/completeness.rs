//! Completeness of Rust code, for `is_complete_request`.

use crate::display_hook::rust_start;
use crate::nesting::with_stack_for;
use ra_ap_syntax::{Edition, SourceFile, SyntaxError, SyntaxKind, SyntaxToken, T};

/// Completeness of code that is being typed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Completeness {
    /// The code can be run.
    Complete,
    /// The code must continue; holds the number of open brackets.
    Incomplete(usize),
    /// No continuation makes the code valid.
    Invalid,
}

/// Classifies a cell by its syntax errors: an error before the end cannot be fixed by typing on, one at the end can. A cell that is
/// nested too deeply to be parsed is complete: running it shows the reason.
#[must_use]
pub fn completeness(cell: &str) -> Completeness {
    with_stack_for(cell, || parse_completeness(cell)).unwrap_or(Completeness::Complete)
}

fn parse_completeness(cell: &str) -> Completeness {
    let Some(start) = rust_start(cell).filter(|_| !cell.starts_with('?')) else { return Completeness::Complete };
    // Parsed as a function body without the closing brace.
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

/// True if the error says that the given last token is unterminated.
fn is_unterminated(token: &SyntaxToken, error: &SyntaxError) -> bool {
    use SyntaxKind::{BYTE_STRING, C_STRING, COMMENT, STRING};
    let message = error.to_string();
    let says_so = message.starts_with("Missing trailing") || message.starts_with("Invalid raw string");
    let starts_in_token = error.range().start() >= token.text_range().start();
    matches!(token.kind(), STRING | BYTE_STRING | C_STRING | COMMENT) && says_so && starts_in_token
}

/// The number of brackets open at the end of the function body; `None` if a closing bracket does not match.
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
    fn deep_code_is_classified() {
        assert_eq!(completeness(&format!("{}1{}", "(".repeat(1000), ")".repeat(1000))), Complete);
        assert_eq!(completeness(&"(".repeat(1000)), Incomplete(1000));
        assert_eq!(completeness(&"(".repeat(5_000_000)), Complete);
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
    fn code_that_no_continuation_fixes_is_invalid() {
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
}
