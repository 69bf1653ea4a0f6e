//! The cells of a session, and the search for the cell, line and column of a position in generated source.

use crate::cell_source::{CellSource, SourcePosition};
use crate::display_hook::WrappedCell;
use crate::nesting::with_stack_for;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

/// The note under each panic message of the standard library. A notebook cannot follow it, because the variable is read at the start.
const BACKTRACE_NOTE: &str = "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";

/// The cells that have been evaluated, in order.
pub struct CellMap {
    source: CellSource,
    cells: Vec<KnownCell>,
    /// The replacements of [`CellMap::rewrite`] since the last cell began or ended: a `dbg!` in a loop names one position again and again.
    replaced: RefCell<HashMap<SourcePosition, String>>,
}

struct KnownCell {
    /// The cell's execution count.
    count: usize,
    code: String,
    wrapped: WrappedCell,
    /// Number of the source that was compiled for the cell, once the cell has ended.
    source_number: Option<u64>,
}

/// A position in a cell.
#[derive(Debug, Clone, PartialEq)]
pub struct CellPosition {
    /// The cell's name in messages: `cell`, or `cell [3]` for an earlier one.
    pub cell: String,
    /// The cell's code.
    pub code: String,
    /// Byte offset in the code.
    pub byte: usize,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
}

impl CellMap {
    /// A map without cells, for a kernel's build directory.
    #[must_use]
    pub fn new(build_dir: &Path) -> CellMap {
        CellMap { source: CellSource::new(build_dir), cells: Vec::new(), replaced: RefCell::default() }
    }

    /// Adds the cell that is evaluated next.
    pub fn begin(&mut self, count: usize, code: &str, wrapped: &WrappedCell) {
        self.replaced.borrow_mut().clear();
        self.cells.push(KnownCell { count, code: code.into(), wrapped: wrapped.clone(), source_number: None });
    }

    /// Ends the current cell.
    pub fn end(&mut self) {
        self.replaced.borrow_mut().clear();
        let number = self.source.number();
        if let Some(cell) = self.cells.last_mut() {
            cell.source_number = number;
        }
    }

    /// Finds the cell that a position in generated source comes from; `None` if the source there is not part of a cell.
    #[must_use]
    pub fn locate(&self, position: SourcePosition) -> Option<CellPosition> {
        let file = position.number.map_or_else(|| self.source.file().to_owned(), |number| self.source.copy(number));
        let source = std::fs::read_to_string(file).ok()?;
        let offset = byte_at(&source, position.line, position.column)?;
        let owner = self.owner(position.number)?;
        let (index, byte) =
            (0..=owner).rev().find_map(|index| Some((index, self.cells[index].find(&source, offset)?)))?;
        let cell = &self.cells[index];
        let before = &cell.code[..byte];
        Some(CellPosition {
            cell: if index + 1 == self.cells.len() { "cell".into() } else { format!("cell [{}]", cell.count) },
            code: cell.code.clone(),
            byte,
            line: before.matches('\n').count() + 1,
            column: before.chars().rev().take_while(|&c| c != '\n').count() + 1,
        })
    }

    /// The index of the cell that a source was compiled for; the latest one if the source is not known.
    fn owner(&self, number: Option<u64>) -> Option<usize> {
        let latest = self.cells.len().checked_sub(1)?;
        // The number of a cell that ended the process is used again for the next one.
        let is_running = self.cells[latest].source_number.is_none() && self.source.number() == number;
        let earlier = || self.cells.iter().rposition(|cell| number.is_some() && cell.source_number == number);
        Some(if is_running { latest } else { earlier().unwrap_or(latest) })
    }

    /// Replaces positions in generated source, as `dbg!` and panics of threads print them, by positions in cells.
    #[must_use]
    pub fn rewrite(&self, text: &str) -> String {
        let mut rewritten = String::new();
        let mut rest = text;
        while let Some((position, range)) = SourcePosition::find(rest) {
            rewritten += &rest[..range.start];
            let mut replaced = self.replaced.borrow_mut();
            rewritten.push_str(replaced.entry(position).or_insert_with(|| match self.locate(position) {
                Some(found) => format!("{}:{}:{}", found.cell, found.line, found.column),
                None => "cell".into(),
            }));
            rest = &rest[range.end..];
        }
        rewritten += rest;
        if rewritten.contains(BACKTRACE_NOTE) { rewritten.replace(BACKTRACE_NOTE, "") } else { rewritten }
    }
}

impl KnownCell {
    /// Maps an offset in generated source to one in the cell, if a statement of the cell is there.
    fn find(&self, source: &str, offset: usize) -> Option<usize> {
        let wrapped = &self.wrapped;
        let statements = with_stack_for(&wrapped.code, || wrapped.statements())?;
        let texts: Vec<&str> = statements.iter().map(|range| wrapped.code[range.clone()].trim_end()).collect();
        let found = texts.iter().enumerate().find_map(|(index, &text)| {
            // Of equal statements, the first in the cell is the first in the source.
            let equal_before = texts[..index].iter().filter(|&&earlier| earlier == text).count();
            let (at, _) = occurrences(source, text).nth(equal_before)?;
            let inside = offset.checked_sub(at).filter(|&inside| inside <= text.len())?;
            Some(statements[index].start + inside)
        })?;
        Some(wrapped.to_cell_offset(found).min(self.code.len()))
    }
}

/// The occurrences of a statement that fill whole lines.
fn occurrences<'a>(source: &'a str, text: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let is_whole = move |at: usize| {
        let (before, after) = (&source[..at], &source[at + text.len()..]);
        (before.is_empty() || before.ends_with('\n')) && after.trim_start_matches([' ', '\t', '\r']).starts_with('\n')
    };
    source.match_indices(text).filter(move |&(at, text)| !text.is_empty() && is_whole(at))
}

/// The byte offset of a line and a column, both counted from 1, the column in characters.
#[must_use]
pub fn byte_at(code: &str, line: usize, column: usize) -> Option<usize> {
    let start: usize = code.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let rest = code.get(start..)?;
    let within = rest.char_indices().nth(column.checked_sub(1)?).map_or(rest.len(), |(at, _)| at);
    Some(start + within)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map with cells, whose sources are numbered from 0 and hold the statements of `sources`.
    fn map(cells: &[&str], sources: &[&str]) -> (tempfile::TempDir, CellMap) {
        let dir = tempfile::tempdir().unwrap();
        let mut map = CellMap::new(dir.path());
        std::fs::create_dir_all(map.source.file().parent().unwrap()).unwrap();
        for (number, (cell, source)) in cells.iter().zip(sources).enumerate() {
            map.begin(number + 1, cell, &WrappedCell::new(cell));
            let text = format!("use x;\npub extern \"C\" fn run_user_code_{number}(\n{source}\n}}\n");
            std::fs::write(map.source.file(), &text).unwrap();
            map.source.prepare(&text);
            if number + 1 < cells.len() {
                map.end();
            }
        }
        (dir, map)
    }

    #[test]
    fn positions_are_those_of_the_cell() {
        let cells = ["fn f() {\n    dbg!(1);\n}", "f(); dbg!(2);\ndbg!(2);\nlet x = 3; x"];
        let body = "fn f() {\n    dbg!(1);\n}\nf(); \ndbg!(2);\ndbg!(2);\nlet x = 3; \n(&(x)).evcxr_display();";
        let (_dir, map) = map(&cells, &["fn f() {\n    dbg!(1);\n}", body]);
        for (printed, expected) in [
            ("cell-1/lib.rs:4:5", "cell [1]:2:5"),
            ("cell-0/lib.rs:4:5", "cell [1]:2:5"),
            ("cell-1/lib.rs:6:1", "cell:1:1"),
            ("cell-1/lib.rs:7:1", "cell:1:6"),
            ("cell-1/lib.rs:8:6", "cell:2:6"),
            ("cell-1/lib.rs:10:4", "cell:3:12"),
            ("src/lib.rs:8:6", "cell:2:6"),
            ("cell-1/lib.rs:1:1", "cell"),
            ("cell-9/lib.rs:1:1", "cell"),
        ] {
            assert_eq!(map.rewrite(&format!("[{printed}] a\nb")), format!("[{expected}] a\nb"), "{printed}");
        }
        let panic = format!("thread 'a' panicked at cell-1/lib.rs:8:6:\nno\n{BACKTRACE_NOTE}after\n");
        assert_eq!(map.rewrite(&panic), "thread 'a' panicked at cell:2:6:\nno\nafter\n");
        assert_eq!(map.rewrite("no position"), "no position");
    }

    #[test]
    fn a_position_is_looked_up_once_in_each_cell() {
        let (_dir, mut map) = map(&["dbg!(1);"], &["dbg!(1);"]);
        let text = "[cell-0/lib.rs:3:1] 1";
        assert_eq!(map.rewrite(text), "[cell:1:1] 1");
        std::fs::remove_file(map.source.copy(0)).unwrap();
        assert_eq!(map.rewrite(text), "[cell:1:1] 1");
        map.end();
        assert_eq!(map.rewrite(text), "[cell] 1");
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(byte_at("aé\nüb", 1, 2), Some(1));
        assert_eq!(byte_at("aé\nüb", 2, 2), Some(6));
        assert_eq!(byte_at("aé\nüb", 2, 9), Some(7));
        assert_eq!(byte_at("a", 0, 1), None);
        assert_eq!(byte_at("a", 5, 1), Some(1));
    }
}
