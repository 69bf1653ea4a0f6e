//! Display of the value of a cell's last expression: the expression is wrapped in a method call, and source positions are mapped back.
//!
//! evcxr does this too, but it compiles twice for every type without `evcxr_display`, and falls back to `{:?}` when displaying the value
//! moves a variable.

use ra_ap_syntax::ast::{self, AstNode};
use ra_ap_syntax::{Edition, SourceFile, SyntaxNode};
use std::ops::Range;

/// Prelude source that gives every `Debug` type a display method. A type's own method takes precedence, because inherent methods come
/// before those of traits.
pub const DISPLAY_TRAIT_SOURCE: &str = r#"
mod evcxr_display_hook {
    pub trait DisplayHook {
        fn evcxr_display(&self);
    }
    impl<T: std::fmt::Debug + ?Sized> DisplayHook for T {
        fn evcxr_display(&self) {
            if std::any::type_name::<T>() != "()" {
                println!("EVCXR_BEGIN_CONTENT text/plain\n{self:?}\nEVCXR_END_CONTENT");
            }
        }
    }
}
use evcxr_display_hook::DisplayHook as _;
"#;
/// The method of [`DISPLAY_TRAIT_SOURCE`].
pub const DISPLAY_METHOD: &str = "evcxr_display";
const PREFIX: &str = "(&(";
const SUFFIX: &str = ")).evcxr_display();";
const FUNCTION_HEAD: &str = "fn f(){";

/// A cell with its last expression wrapped in a display call.
#[derive(Debug, Clone, PartialEq)]
pub struct WrappedCell {
    /// Source to compile; its lines are those of the cell.
    pub code: String,
    /// Byte range of the wrapped expression in the original cell.
    wrapped: Option<Range<usize>>,
}

impl WrappedCell {
    /// Wraps the last expression, if the cell ends with one.
    #[must_use]
    pub fn new(cell: &str) -> WrappedCell {
        let wrapped = last_expression(cell);
        let code = match &wrapped {
            Some(at) => format!("{}{PREFIX}{}{SUFFIX}{}", &cell[..at.start], &cell[at.clone()], &cell[at.end..]),
            None => cell.to_owned(),
        };
        WrappedCell { code, wrapped }
    }

    /// A cell to be compiled as it stands.
    #[must_use]
    pub fn verbatim(cell: &str) -> WrappedCell {
        WrappedCell { code: cell.to_owned(), wrapped: None }
    }

    /// Maps a byte offset in [`WrappedCell::code`] to one in the original cell.
    #[must_use]
    pub fn to_cell_offset(&self, byte: usize) -> usize {
        let Some(wrapped) = self.wrapped.clone().filter(|wrapped| byte > wrapped.start) else { return byte };
        let inside = byte.saturating_sub(PREFIX.len()).max(wrapped.start);
        if inside <= wrapped.end { inside } else { byte.saturating_sub(PREFIX.len() + SUFFIX.len()).max(wrapped.end) }
    }
}

fn last_expression(cell: &str) -> Option<Range<usize>> {
    let start = rust_start(cell)?;
    let (tree, is_valid) = parse_as_body(&cell[start..]);
    let last = statements(&tree)?.children().last().filter(|last| is_valid && ast::Expr::can_cast(last.kind()))?;
    let within = |offset| usize::from(offset) - FUNCTION_HEAD.len() + start;
    Some(within(last.text_range().start())..within(last.text_range().end()))
}

/// Parses the code as a function body; returns false with the tree if it is not one.
fn parse_as_body(code: &str) -> (SyntaxNode, bool) {
    let parse = SourceFile::parse(&format!("{FUNCTION_HEAD}{code}\n}}"), Edition::Edition2024);
    let functions = parse.syntax_node().children().count();
    (parse.syntax_node(), parse.errors().is_empty() && functions == 1)
}

fn statements(tree: &SyntaxNode) -> Option<SyntaxNode> {
    let function = tree.children().find_map(ast::Fn::cast)?;
    Some(function.body()?.stmt_list()?.syntax().clone())
}

/// The byte offset where evcxr commands end and Rust code starts, found as evcxr finds it; `None` if there is no Rust code.
#[must_use]
pub fn rust_start(cell: &str) -> Option<usize> {
    let mut start = 0;
    for line in cell.split_inclusive('\n') {
        let text = line.trim();
        if !(text.is_empty() || line.starts_with("//") || line.starts_with('!') || is_command(line)) {
            return Some(start);
        }
        start += line.len();
    }
    None
}

/// True if the line is an evcxr command.
#[must_use]
pub fn is_command(line: &str) -> bool {
    line.trim_start_matches(' ').starts_with(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_wrapped(cell: &str, expected: &str) {
        assert_eq!(WrappedCell::new(cell).code, expected);
    }

    #[test]
    fn the_last_expression_is_wrapped() {
        assert_wrapped("1 + 2", "(&(1 + 2)).evcxr_display();");
        assert_wrapped("let a = 1;\na // the value", "let a = 1;\n(&(a)).evcxr_display(); // the value");
        assert_wrapped(":dep x = \"1\"\n\nx::f()\n", ":dep x = \"1\"\n\n(&(x::f())).evcxr_display();\n");
        assert_wrapped(
            "match x {\n  1 => 2,\n  _ => 3,\n}",
            "(&(match x {\n  1 => 2,\n  _ => 3,\n})).evcxr_display();",
        );
        assert_wrapped("row([a, b])?", "(&(row([a, b])?)).evcxr_display();");
    }

    #[test]
    fn a_cell_without_a_last_expression_is_unchanged() {
        for cell in [
            "",
            "let a = 1;",
            "a;",
            "fn f() -> u8 { 1 }",
            "use std::fs;",
            ":vars",
            "!ls",
            "// 1",
            "1 +",
            "} fn g() { 1",
        ] {
            assert_wrapped(cell, cell);
        }
    }

    #[test]
    fn offsets_map_back_to_the_cell() {
        let cell = "let ü = 1;\nü + 1 // why";
        let wrapped = WrappedCell::new(cell);
        for (at, character) in cell.char_indices() {
            let text = &cell[at..at + character.len_utf8()];
            let found: Vec<usize> = (0..wrapped.code.len())
                .filter(|&byte| wrapped.code.is_char_boundary(byte) && wrapped.code[byte..].starts_with(text))
                .map(|byte| wrapped.to_cell_offset(byte))
                .collect();
            assert!(found.contains(&at), "{text} at {at}: {found:?}");
        }
        assert_eq!(wrapped.to_cell_offset(wrapped.code.len()), cell.len());
        let end = cell.find(" // why").unwrap();
        assert_eq!(wrapped.to_cell_offset(wrapped.code.find(".evcxr_display").unwrap()), end);
    }
}
