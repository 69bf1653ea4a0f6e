//! The value of a cell's last expression is shown: what is put around that expression, and how places in the result lead back.
//!
//! evcxr does this too, but compiles a second time for every value without a display of its own, and when showing the value moves a
//! variable it gives up the picture for `{:?}`.

use ra_ap_syntax::ast::{self, AstNode};
use ra_ap_syntax::{Edition, SourceFile, SyntaxNode};
use std::ops::Range;

/// What every cell can call on every value: a display of the value's own comes first, for methods of a type come before those of traits.
pub const DISPLAYS: &str = r#"
mod evcxr_shown {
    pub trait Shown {
        fn evcxr_display(&self);
    }
    impl<T: std::fmt::Debug + ?Sized> Shown for T {
        fn evcxr_display(&self) {
            if std::any::type_name::<T>() != "()" {
                println!("EVCXR_BEGIN_CONTENT text/plain\n{self:?}\nEVCXR_END_CONTENT");
            }
        }
    }
}
use evcxr_shown::Shown as _;
"#;
/// The method of [`DISPLAYS`].
pub const METHOD: &str = "evcxr_display";
const BEFORE: &str = "(&(";
const AFTER: &str = ")).evcxr_display();";
const FUNCTION: &str = "fn f(){";

/// A cell as it is compiled.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// What is compiled; it has the lines of the cell.
    pub code: String,
    /// The last expression, where the cell has it.
    last: Option<Range<usize>>,
}

impl Shown {
    /// A cell that shows the value of its last expression, if it ends with one.
    pub fn of(cell: &str) -> Shown {
        let last = last_expression(cell);
        let code = match &last {
            Some(at) => format!("{}{BEFORE}{}{AFTER}{}", &cell[..at.start], &cell[at.clone()], &cell[at.end..]),
            None => cell.to_owned(),
        };
        Shown { code, last }
    }

    /// A cell as it is.
    pub fn unchanged(cell: &str) -> Shown {
        Shown { code: cell.to_owned(), last: None }
    }

    /// Where a byte of what is compiled is in the cell.
    pub fn in_cell(&self, byte: usize) -> usize {
        let Some(last) = self.last.clone().filter(|last| byte > last.start) else { return byte };
        let inside = byte.saturating_sub(BEFORE.len()).max(last.start);
        if inside <= last.end { inside } else { byte.saturating_sub(BEFORE.len() + AFTER.len()).max(last.end) }
    }
}

fn last_expression(cell: &str) -> Option<Range<usize>> {
    let start = rust_begins(cell)?;
    let (tree, good) = parsed(&cell[start..]);
    let last = statements(&tree)?.children().last().filter(|last| good && ast::Expr::can_cast(last.kind()))?;
    let within = |offset| usize::from(offset) - FUNCTION.len() + start;
    Some(within(last.text_range().start())..within(last.text_range().end()))
}

/// The code as the body of a function, and whether it can be one.
fn parsed(code: &str) -> (SyntaxNode, bool) {
    let parse = SourceFile::parse(&format!("{FUNCTION}{code}\n}}"), Edition::Edition2024);
    let functions = parse.syntax_node().children().count();
    (parse.syntax_node(), parse.errors().is_empty() && functions == 1)
}

fn statements(tree: &SyntaxNode) -> Option<SyntaxNode> {
    let function = tree.children().find_map(ast::Fn::cast)?;
    Some(function.body()?.stmt_list()?.syntax().clone())
}

/// Where the commands to evcxr end and Rust begins; none if there is no Rust. evcxr reads cells in the same way.
pub fn rust_begins(cell: &str) -> Option<usize> {
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

/// Whether a line is a command to evcxr.
pub fn is_command(line: &str) -> bool {
    line.trim_start_matches(' ').starts_with(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn compiled(cell: &str, expected: &str) {
        assert_eq!(Shown::of(cell).code, expected);
    }

    #[test]
    fn the_last_expression_is_shown() {
        compiled("1 + 2", "(&(1 + 2)).evcxr_display();");
        compiled("let a = 1;\na // the value", "let a = 1;\n(&(a)).evcxr_display(); // the value");
        compiled(":dep x = \"1\"\n\nx::f()\n", ":dep x = \"1\"\n\n(&(x::f())).evcxr_display();\n");
        compiled("match x {\n  1 => 2,\n  _ => 3,\n}", "(&(match x {\n  1 => 2,\n  _ => 3,\n})).evcxr_display();");
        compiled("row([a, b])?", "(&(row([a, b])?)).evcxr_display();");
    }

    #[test]
    fn a_cell_without_one_stays_as_it_is() {
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
            compiled(cell, cell);
        }
    }

    #[test]
    fn places_lead_back_to_the_cell() {
        let cell = "let ü = 1;\nü + 1 // why";
        let shown = Shown::of(cell);
        for (at, character) in cell.char_indices() {
            let text = &cell[at..at + character.len_utf8()];
            let found: Vec<usize> = (0..shown.code.len())
                .filter(|&byte| shown.code.is_char_boundary(byte) && shown.code[byte..].starts_with(text))
                .map(|byte| shown.in_cell(byte))
                .collect();
            assert!(found.contains(&at), "{text} at {at}: {found:?}");
        }
        assert_eq!(shown.in_cell(shown.code.len()), cell.len());
        let end = cell.find(" // why").unwrap();
        assert_eq!(shown.in_cell(shown.code.find(".evcxr_display").unwrap()), end);
    }
}
