//! Display of the value of a cell's last expression: the expression is wrapped in a method call, and source positions are mapped back.
//!
//! evcxr does this too, but it compiles twice for every type without `evcxr_display`, and falls back to `{:?}` when displaying the value
//! moves a variable.

use crate::cell_items::{ImplBlocks, main_call};
use ra_ap_syntax::ast::{self, AstNode};
use ra_ap_syntax::{Edition, SourceFile, SyntaxNode};
use std::ops::Range;

/// Prelude source that gives every `Debug` type a display method. A type's own method takes precedence, and so does one of a trait that the
/// library implements for the type: they take a reference to the value, and this one takes a reference to that.
#[must_use]
pub fn display_trait_source() -> String {
    format!("\n{DISPLAY_MODULE}\nuse evcxr_display_hook::DisplayHook as _;\n")
}

/// The module of [`display_trait_source`].
pub const DISPLAY_MODULE: &str = r#"mod evcxr_display_hook {
    pub trait DisplayHook {
        fn evcxr_display(&self);
    }
    impl<T: std::fmt::Debug + ?Sized> DisplayHook for &T {
        fn evcxr_display(&self) {
            if std::any::type_name::<T>() != "()" {
                println!("EVCXR_BEGIN_CONTENT text/plain\n{self:?}\nEVCXR_END_CONTENT");
            }
        }
    }
}"#;
/// The method of [`display_trait_source`].
pub const DISPLAY_METHOD: &str = "evcxr_display";
const PREFIX: &str = "(&(";
const SUFFIX: &str = ")).evcxr_display();";
const FUNCTION_HEAD: &str = "fn f(){";

/// A cell as it is compiled: with its last expression wrapped in a display call, and with what [`crate::cell_items`] adds.
#[derive(Debug, Clone, PartialEq)]
pub struct WrappedCell {
    /// Source to compile; its lines are those of the cell.
    pub code: String,
    /// Positions in the original cell at which text was inserted, in order, with the lengths of the text.
    insertions: Vec<(usize, usize)>,
}

impl WrappedCell {
    /// As [`WrappedCell::with_impl_blocks`], for the first cell.
    #[cfg(test)]
    pub fn new(cell: &str) -> WrappedCell {
        WrappedCell::with_impl_blocks(cell, &mut ImplBlocks::default())
    }

    /// Wraps the last expression, if the cell ends with one, or else calls `main`, if the cell only defines it. Its `impl` blocks replace
    /// earlier ones.
    #[must_use]
    pub fn with_impl_blocks(cell: &str, blocks: &mut ImplBlocks) -> WrappedCell {
        let mut insertions: Vec<(usize, String)> = Vec::new();
        if let Some((start, statements)) = parse_statements(cell) {
            let in_cell = |offset: usize| offset - FUNCTION_HEAD.len() + start;
            insertions.extend(blocks.add(&statements).into_iter().map(|(at, text)| (in_cell(at), text)));
            if let Some(range) = last_expression(&statements) {
                insertions.push((in_cell(range.start), PREFIX.into()));
                insertions.push((in_cell(range.end), SUFFIX.into()));
            } else if let Some(call) = main_call(&statements) {
                insertions.push((cell.len(), call.into()));
            }
        }
        let mut code = String::with_capacity(cell.len() + 64);
        let mut from = 0;
        for (at, text) in &insertions {
            code.push_str(&cell[from..*at]);
            code.push_str(text);
            from = *at;
        }
        code.push_str(&cell[from..]);
        WrappedCell { code, insertions: insertions.into_iter().map(|(at, text)| (at, text.len())).collect() }
    }

    /// A cell to be compiled as it stands.
    #[must_use]
    pub fn verbatim(cell: &str) -> WrappedCell {
        WrappedCell { code: cell.to_owned(), insertions: Vec::new() }
    }

    /// The byte ranges of the statements in [`WrappedCell::code`], split as evcxr splits them: each extends to the next.
    #[must_use]
    pub fn statements(&self) -> Vec<Range<usize>> {
        let Some(start) = rust_start(&self.code) else { return Vec::new() };
        let (tree, _) = parse_as_body(&self.code[start..]);
        let Some(list) = statements(&tree) else { return Vec::new() };
        let starts =
            list.children().skip(1).map(|child| usize::from(child.text_range().start()) - FUNCTION_HEAD.len() + start);
        let bounds: Vec<usize> = std::iter::once(start).chain(starts).chain([self.code.len()]).collect();
        bounds.windows(2).map(|pair| pair[0]..pair[1].max(pair[0])).collect()
    }

    /// Maps a byte offset in [`WrappedCell::code`] to one in the original cell.
    #[must_use]
    pub fn to_cell_offset(&self, byte: usize) -> usize {
        let mut inserted = 0;
        for &(at, len) in self.insertions.iter().take_while(|&&(at, _)| at < byte) {
            if byte <= at + inserted {
                break;
            }
            if byte < at + inserted + len {
                return at;
            }
            inserted += len;
        }
        byte - inserted
    }
}

/// The byte offset at which Rust code starts, and its statements in a function with [`FUNCTION_HEAD`], if it is valid.
#[must_use]
pub fn parse_statements(cell: &str) -> Option<(usize, SyntaxNode)> {
    let start = rust_start(cell)?;
    let (tree, is_valid) = parse_as_body(&cell[start..]);
    statements(&tree).filter(|_| is_valid).map(|statements| (start, statements))
}

fn last_expression(statements: &SyntaxNode) -> Option<Range<usize>> {
    let last = statements.children().last().filter(|last| ast::Expr::can_cast(last.kind()))?;
    Some(usize::from(last.text_range().start())..usize::from(last.text_range().end()))
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
fn is_command(line: &str) -> bool {
    line.trim_start_matches(' ').starts_with(':')
}

/// A command at the start of a cell.
#[derive(Debug, PartialEq)]
pub struct CellCommand<'a> {
    /// The command with its colon.
    pub name: &'a str,
    /// The rest of the line, without spaces around it.
    pub arguments: &'a str,
    /// The byte offset in the cell at which its line ends.
    pub end: usize,
}

impl CellCommand<'_> {
    /// True if the command selects one of evcxr's own display formats.
    #[must_use]
    pub fn selects_format(&self) -> bool {
        self.name == ":types" || (self.name == ":fmt" && !self.arguments.is_empty())
    }
}

/// The commands with which a cell starts, found as evcxr finds them.
#[must_use]
pub fn commands(cell: &str) -> Vec<CellCommand<'_>> {
    let head = &cell[..rust_start(cell).unwrap_or(cell.len())];
    let mut end = 0;
    let mut found = Vec::new();
    for line in head.split_inclusive('\n') {
        end += line.len();
        if is_command(line) {
            let line = line.trim_end_matches(['\n', '\r']).trim_start_matches(' ');
            let (name, arguments) = line.split_once(' ').unwrap_or((line, ""));
            found.push(CellCommand { name, arguments: arguments.trim(), end });
        }
    }
    found
}

/// The cell with spaces in place of its first bytes, which end with a line, so that all positions stay.
#[must_use]
pub fn blank_start(cell: &str, bytes: usize) -> String {
    let (done, rest) = cell.split_at(bytes);
    let lines: Vec<String> = done.split('\n').map(|line| " ".repeat(line.len())).collect();
    lines.join("\n") + rest
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
    fn a_main_alone_is_called() {
        for (cell, call) in [
            ("fn main() { println!(\"hi\"); }", "\nmain();"),
            (
                "use std::io;\n\n#[derive(Debug)]\nstruct A;\nfn main() -> io::Result<()> { Ok(()) } // end",
                "\nmain()?;",
            ),
            ("fn main() -> Result<(), Box<dyn std::error::Error>> { Ok(()) }", "\nmain()?;"),
            ("fn main() -> std::process::ExitCode { helper() }", "\nmain();"),
            ("#[tokio::main]\nasync fn main() {}", "\nmain();"),
        ] {
            assert_wrapped(cell, &format!("{cell}{call}"));
            assert_eq!(WrappedCell::new(cell).to_cell_offset(cell.len() + 3), cell.len());
        }
        for cell in [
            "fn main() {}\nmain();",
            "fn main() {}\nlet a = 1;",
            "fn main(a: u8) {}",
            "async fn main() {}",
            "mod main {}",
        ] {
            assert_wrapped(cell, cell);
        }
    }

    #[test]
    fn an_impl_block_replaces_the_one_that_it_collides_with() {
        let mut blocks = ImplBlocks::default();
        let mut code = |cell: &str| WrappedCell::with_impl_blocks(cell, &mut blocks).code;
        let alias = |number: usize| format!("type MetamersImpl{number} = (); ");
        assert_eq!(code("impl A { fn a() {} }"), format!("{}impl A {{ fn a() {{}} }}", alias(0)));
        assert_eq!(code("impl  A { fn b() {} }"), format!("{}impl  A {{ fn b() {{}} }}", alias(1)), "other functions");
        assert_eq!(code("impl A { fn a() { 1; } }"), format!("{}impl A {{ fn a() {{ 1; }} }}", alias(0)));
        let both = "/// B\nimpl Display for A { fn f() {} }\nimpl A { fn a() {} fn b() {} }\nA";
        let expected = both.replace("impl Display", &format!("{}impl Display", alias(2)));
        let expected = expected.replace("impl A", &format!("{}{}impl A", alias(1), alias(0)));
        assert_eq!(code(both), expected.replace("\nA", "\n(&(A)).evcxr_display();"));
        assert_eq!(
            code("impl Display for A { fn g() {} }"),
            format!("{}impl Display for A {{ fn g() {{}} }}", alias(2))
        );
        assert_eq!(code("struct B; impl B {}"), "struct B; impl B {}", "evcxr adds it to the struct");
    }

    #[test]
    fn statements_extend_to_the_next() {
        let cell = WrappedCell::new(":vars\n\nlet a = 1; // one\nfn f() {}\na");
        let texts: Vec<&str> = cell.statements().into_iter().map(|range| &cell.code[range]).collect();
        assert_eq!(texts, ["let a = 1; ", "// one\nfn f() {}\n", "(&(a)).evcxr_display();"]);
        assert!(WrappedCell::new(":vars").statements().is_empty());
    }

    #[test]
    fn commands_are_found_at_the_start_only() {
        let cell = "// first\n  :clear // all\r\n!ls\n:dep a = \"1\"\n\nlet ü = \"\n:restart\";";
        let found = commands(cell);
        let expected = [(":clear", "// all", 26), (":dep", "a = \"1\"", 43)];
        let expected = expected.map(|(name, arguments, end)| CellCommand { name, arguments, end });
        assert_eq!(found, expected);
        assert!(commands("let a = 1;\n:clear").is_empty() && commands("").is_empty());
        let rest = blank_start(cell, found[0].end);
        assert_eq!((rest.len(), rest.lines().count()), (cell.len(), cell.lines().count()));
        assert_eq!((rest.find("!ls"), rest[..26].trim()), (cell.find("!ls"), ""));
        assert_eq!(commands(&rest).as_slice(), &expected[1..]);
        assert_eq!(blank_start(cell, 0), cell);
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
