//! The source that evcxr generates for a cell: its preparation for rustc, and the copies by which positions in messages are found later.

use crate::cell_runtime;
use crate::toolchain::CONTROL_DIR;
use std::path::{Path, PathBuf};

/// Directory of the copies in the control directory.
const COPIES_DIR: &str = "sources";
/// The generated function of a cell, up to its number.
const FUNCTION: &str = "pub extern \"C\" fn run_user_code_";
/// Start of the directory under which a cell's source appears in messages; the cell's number follows.
const DIR_PREFIX: &str = "cell-";
/// The file's name in messages. evcxr recognises the cells' messages by it.
const FILE_NAME: &str = "lib.rs";
/// Separators of directories in messages: those of Windows are backslashes.
const SEPARATORS: [char; 2] = ['/', '\\'];

/// The source of the current cell in a build directory.
pub struct CellSource {
    file: PathBuf,
    control_dir: PathBuf,
}

impl CellSource {
    /// The source in this build directory.
    #[must_use]
    pub fn new(build_dir: &Path) -> CellSource {
        CellSource { file: build_dir.join("src").join(FILE_NAME), control_dir: build_dir.join(CONTROL_DIR) }
    }

    /// The file that evcxr writes.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Makes the source use the compiled variable store, and keeps a copy of it. Without the store's library the source stays as it is.
    pub fn prepare(&self, source: &str) {
        let has_library = cell_runtime::library(&self.control_dir).exists();
        let replaced = has_library.then(|| cell_runtime::replace_module(source)).flatten();
        if let Some(replaced) = &replaced {
            let _ = std::fs::write(&self.file, replaced);
        }
        if let Some(number) = function_number(source) {
            // Without a copy, messages lack positions.
            let copy = self.copy(number);
            let _ = copy.parent().map(std::fs::create_dir_all);
            let _ = std::fs::write(copy, replaced.as_deref().unwrap_or(source));
        }
    }

    /// The arguments with which rustc compiles the prepared source. Warnings are left out: evcxr would report them as errors, and many are
    /// about earlier cells.
    #[must_use]
    pub fn rustc_arguments(&self) -> Vec<String> {
        let mut arguments = vec!["-Awarnings".into()];
        if cell_runtime::library(&self.control_dir).exists() {
            arguments.extend(cell_runtime::rustc_arguments(&self.control_dir));
        }
        let source = std::fs::read_to_string(&self.file).unwrap_or_default();
        if let Some(number) = function_number(&source) {
            arguments.push(format!("--remap-path-prefix=src={DIR_PREFIX}{number}"));
        }
        arguments
    }

    /// The copy of the source with this number.
    #[must_use]
    pub fn copy(&self, number: u64) -> PathBuf {
        self.control_dir.join(COPIES_DIR).join(format!("{number}.rs"))
    }

    /// The number of the source that was compiled last, if it was to be run.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        function_number(&std::fs::read_to_string(&self.file).ok()?)
    }
}

/// The number of the function that runs the cell. evcxr counts it up from cell to cell.
fn function_number(source: &str) -> Option<u64> {
    let (_, rest) = source.rsplit_once(FUNCTION)?;
    rest.split_once('(')?.0.parse().ok()
}

/// A position in the source of a cell, as it stands in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourcePosition {
    /// Number of the source; `None` for the latest one.
    pub number: Option<u64>,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
}

impl SourcePosition {
    /// Parses a position of the form `FILE:LINE:COLUMN`; `None` if the file is not the source of a cell.
    #[must_use]
    pub fn parse(text: &str) -> Option<SourcePosition> {
        let mut parts = text.rsplitn(3, ':');
        let (column, line) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let (dir, file) = parts.next()?.split_once(SEPARATORS)?;
        let number = match dir.strip_prefix(DIR_PREFIX) {
            Some(number) => Some(number.parse().ok()?),
            None if dir == "src" => None,
            None => return None,
        };
        (file == FILE_NAME).then_some(SourcePosition { number, line, column })
    }

    /// Searches a text for the first position; returns it with the range of its text.
    #[must_use]
    pub fn find(text: &str) -> Option<(SourcePosition, std::ops::Range<usize>)> {
        let marker = format!("{FILE_NAME}:");
        text.match_indices(&marker).find_map(|(at, _)| {
            let dir = text[..at].strip_suffix(SEPARATORS)?;
            let start = dir.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '-').len();
            // A longer path is another file.
            if text[..start].ends_with(SEPARATORS) {
                return None;
            }
            let rest = &text[at + marker.len()..];
            let len = rest.find(|c: char| !(c.is_ascii_digit() || c == ':')).unwrap_or(rest.len());
            let end = at + marker.len() + rest[..len].trim_end_matches(':').len();
            Some((SourcePosition::parse(&text[start..end])?, start..end))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_found_in_messages() {
        let position = |number, line, column| SourcePosition { number, line, column };
        let text = "thread '<unnamed>' (5) panicked at cell-12/lib.rs:40:5:\nno";
        let (found, range) = SourcePosition::find(text).unwrap();
        assert_eq!((found, &text[range]), (position(Some(12), 40, 5), "cell-12/lib.rs:40:5"));
        assert_eq!(SourcePosition::find("[src/lib.rs:3:1] x = 1").unwrap().0, position(None, 3, 1));
        assert_eq!(SourcePosition::find("üsrc/lib.rs:3:1"), Some((position(None, 3, 1), 2..16)));
        for text in
            ["/a/src/lib.rs:3:1", "lib.rs:3:1", "src/lib.rs:3", "cell-x/lib.rs:1:1", "src/lib.rs", "ü/lib.rs:1:1"]
        {
            assert_eq!(SourcePosition::find(text), None, "{text}");
        }
    }

    #[test]
    fn positions_are_found_in_messages_of_windows() {
        let position = |number, line, column| SourcePosition { number, line, column };
        let text = r"thread '<unnamed>' (5) panicked at cell-12\lib.rs:40:5:";
        let (found, range) = SourcePosition::find(text).unwrap();
        assert_eq!((found, &text[range]), (position(Some(12), 40, 5), r"cell-12\lib.rs:40:5"));
        assert_eq!(SourcePosition::parse(r"cell-12\lib.rs:40:5"), Some(position(Some(12), 40, 5)));
        assert_eq!(SourcePosition::find(r"[src\lib.rs:3:1] x = 1").unwrap().0, position(None, 3, 1));
        for text in [r"C:\a\src\lib.rs:3:1", r"a\cell-1\lib.rs:3:1", r"src\\lib.rs:3:1", r"src\mylib.rs:3:1"] {
            assert_eq!(SourcePosition::find(text), None, "{text}");
        }
    }

    #[test]
    fn the_source_is_prepared_and_copied() {
        let dir = tempfile::tempdir().unwrap();
        let source = CellSource::new(dir.path());
        std::fs::create_dir_all(source.file().parent().unwrap()).unwrap();
        let text = format!("{FUNCTION}7(x: u8) {{}}\n");
        std::fs::write(source.file(), &text).unwrap();
        source.prepare(&text);
        assert_eq!(source.number(), Some(7));
        assert_eq!(std::fs::read_to_string(source.copy(7)).unwrap(), text);
        assert_eq!(source.rustc_arguments(), ["-Awarnings", "--remap-path-prefix=src=cell-7"]);
    }
}
