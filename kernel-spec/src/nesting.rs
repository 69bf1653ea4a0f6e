//! Nesting of cells. The parsers of this process and the compiler call themselves for each level of an expression, so deep code needs large
//! stacks, and code that no stack holds must be rejected before it is parsed: an overflow would end the kernel with all variables.

use ra_ap_parser::{Edition, LexedStr, SyntaxKind, T};
use std::thread::JoinHandle;

/// Maximum nesting of a cell; see [`nesting`].
pub const MAX_NESTING: usize = 12_000;
/// Stack size of the threads that parse, analyse and compile cells, in bytes: enough for [`MAX_NESTING`]. Only what is used is allocated.
pub const STACK_SIZE: usize = 1 << 29;
/// Nesting that fits into the stack of any thread.
const ANY_STACK_NESTING: usize = 200;
/// Stack size of all other threads of the kernel, in bytes. One of them frees the syntax trees of rust-analyzer.
pub const MIN_STACK_SIZE: usize = 1 << 26;
/// Environment variable with the stack size of the threads that a program starts, read at its first thread.
pub const STACK_VAR: &str = "RUST_MIN_STACK";

/// Starts a thread with a large stack.
///
/// # Panics
/// If the system refuses to start a thread, as [`std::thread::spawn`] does.
pub fn spawn<T: Send + 'static>(function: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::Builder::new().stack_size(STACK_SIZE).spawn(function).expect("a thread can be started")
}

/// Calls a function that parses this code, on a large stack if the code needs one; `None` if no stack is large enough.
pub fn with_stack_for<T: Send>(code: &str, parse: impl FnOnce() -> T + Send) -> Option<T> {
    match nesting(code) {
        0..=ANY_STACK_NESTING => Some(parse()),
        depth if depth <= MAX_NESTING => std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK_SIZE).spawn_scoped(scope, parse);
            thread.ok()?.join().ok()
        }),
        _ => None,
    }
}

/// An upper bound of the depth of the code's syntax tree, found without recursion: the number of tokens of unfinished expressions and
/// statements, for open brackets and for all that encloses them.
#[must_use]
pub fn nesting(code: &str) -> usize {
    let tokens = LexedStr::new(Edition::Edition2024, code);
    // The tokens of the unfinished expression in each open bracket.
    let mut open = vec![0usize];
    let (mut depth, mut max_depth, mut after_brace) = (0usize, 0, false);
    for index in 0..tokens.len() {
        let kind = tokens.kind(index);
        if kind.is_trivia() {
            continue;
        }
        let ends_statement = matches!(kind, T![,] | T![;]) || (after_brace && starts_statement(kind));
        after_brace = kind == T!['}'];
        if ends_statement && let Some(count) = open.last_mut() {
            depth -= std::mem::take(count);
        }
        if matches!(kind, T![')'] | T![']'] | T!['}']) && open.len() > 1 {
            depth -= open.pop().unwrap_or_default();
            continue;
        }
        if let Some(count) = open.last_mut() {
            *count += 1;
        }
        depth += 1;
        max_depth = max_depth.max(depth);
        if matches!(kind, T!['('] | T!['['] | T!['{']) {
            open.push(0);
        }
    }
    max_depth
}

/// True if the token starts a new statement or item after a closing brace, instead of continuing the expression before it.
fn starts_statement(kind: SyntaxKind) -> bool {
    kind == T![#]
        || kind == SyntaxKind::IDENT
        || kind.is_literal()
        || (kind.is_keyword(Edition::Edition2024) && !matches!(kind, T![else] | T![as]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_counts_unfinished_expressions() {
        for (code, expected) in [
            ("", 0),
            ("1", 1),
            ("((1))", 3),
            ("1 + 1 + 1", 5),
            ("a.b(1).c(2)", 8),
            ("1; 2; 3", 2),
            ("if a { 1 } else if b { 2 }", 8),
            ("// ((((", 0),
            ("\"((((\"", 1),
            (")))", 3),
        ] {
            assert_eq!(nesting(code), expected, "{code}");
        }
    }

    #[test]
    fn long_code_is_not_deep() {
        let table = format!("let table = [{}];", "[1.5, -2.0],\n".repeat(50_000));
        assert!(nesting(&table) < 10, "{}", nesting(&table));
        for line in [
            "let a = f(b);\n",
            "if a { b() }\n",
            "fn f(a: u8) -> u8 { a + 1 }\n",
            "#[derive(Debug)] struct A { b: u8 }\n",
        ] {
            assert!(nesting(&line.repeat(10_000)) < 20, "{line}");
        }
    }

    #[test]
    fn deep_code_is_parsed_or_rejected_but_never_overflows() {
        let parse = |code: &str| {
            with_stack_for(code, || {
                let parse = ra_ap_syntax::SourceFile::parse(code, ra_ap_syntax::Edition::Edition2024);
                let errors = parse.errors().len();
                // Trees are freed by a thread whose stack only the kernel's environment enlarges.
                std::mem::forget(parse);
                errors
            })
        };
        let nested = |depth: usize| format!("fn f() {{ {}1{} }}", "(".repeat(depth), ")".repeat(depth));
        for depth in [1, 1000, 11_000] {
            assert_eq!(parse(&nested(depth)), Some(0), "{depth}");
        }
        for unit in ["(", "-", "&", "{", "[", "|x| ", "if a {} else ", "a = ", "1 + ", "f(", "Vec<"] {
            let code = format!("fn f() {{ let a = {}1 }}", unit.repeat((MAX_NESTING - 100) / unit.len()));
            assert!(parse(&code).is_some() || nesting(&code) > MAX_NESTING, "{unit}");
        }
        assert_eq!(parse(&nested(1_000_000)), None);
    }
}
