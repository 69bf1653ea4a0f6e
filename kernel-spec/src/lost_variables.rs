//! Variables of earlier cells that no longer exist, for a note on "cannot find value".

use ra_ap_syntax::ast::{self, AstNode, HasName};
use ra_ap_syntax::{Edition, SourceFile};
use std::collections::HashMap;

/// Maximum length of a line of code that is quoted in a note.
const MAX_QUOTE_LEN: usize = 80;

/// The variables that have been lost, with the reasons.
#[derive(Debug, Default)]
pub struct LostVariables {
    notes: HashMap<String, String>,
}

impl LostVariables {
    /// Records a cell that succeeded: what it defines is no longer lost, and some variables may be gone.
    pub fn record_success(&mut self, before: &[String], after: &[String], cell: &str) {
        self.notes.retain(|name, _| !after.contains(name));
        self.record_gone(before, after, cell);
    }

    /// Records the variables that a cell has moved, or whose types it has changed.
    fn record_gone(&mut self, before: &[String], after: &[String], cell: &str) {
        for name in before.iter().filter(|name| !after.contains(name)) {
            let is_mention = |line: &&str| words(line).any(|word| word == name);
            let note = match cell.lines().rfind(is_mention).map(str::trim) {
                Some(line) => {
                    let place = Some(line).filter(|line| line.len() <= MAX_QUOTE_LEN).map(|line| format!(": `{line}`"));
                    format!(
                        "note: `{name}` was moved by an earlier cell{}. Run the cell that defines it again, and move `{name}.clone()` or \
                         pass `&{name}` there.",
                        place.unwrap_or_default()
                    )
                }
                // A cell that does not name a variable cannot move it.
                None => format!(
                    "note: `{name}` was lost in an earlier cell, which defined its type anew. Run the cell that defines `{name}` again."
                ),
            };
            self.notes.insert(name.clone(), note);
        }
    }

    /// Records a cell that panicked or returned an error after it had been compiled: the variables that it defines were not stored.
    pub fn record_failure(&mut self, before: &[String], after: &[String], cell: &str) {
        self.record_gone(before, after, cell);
        for name in defined_variables(cell).into_iter().filter(|name| !after.contains(name)) {
            let note = format!(
                "note: `{name}` was defined in a cell that failed, and such a cell stores none of its variables. Mend and run that cell."
            );
            self.notes.insert(name, note);
        }
    }

    /// Records the end of the process in which the variables were, by a command of the notebook or without one.
    pub fn record_process_end(&mut self, before: &[String], command: Option<&str>) {
        let cause = command.map_or("the process of the cells ended".into(), |command| format!("`{command}` was run"));
        for name in before {
            let note = format!("note: `{name}` was lost when {cause}. Run the cell that defines it again.");
            self.notes.insert(name.clone(), note);
        }
    }

    /// The note on a compile error, given by its code and its message.
    #[must_use]
    pub fn note(&self, code: Option<&str>, message: &str) -> Option<&str> {
        let name = message.split('`').nth(1).filter(|_| code == Some("E0425"))?;
        self.notes.get(name).map(String::as_str)
    }
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|character: char| !(character.is_alphanumeric() || character == '_'))
}

/// The names that the `let` statements of a cell define.
fn defined_variables(cell: &str) -> Vec<String> {
    let parse = SourceFile::parse(&format!("fn f(){{{cell}\n}}"), Edition::Edition2024);
    let tree = parse.syntax_node();
    let Some(body) = tree.children().find_map(ast::Fn::cast).and_then(|function| function.body()?.stmt_list()) else {
        return Vec::new();
    };
    let patterns = body.syntax().children().filter_map(ast::LetStmt::cast).filter_map(|statement| statement.pat());
    let names = patterns.flat_map(|pattern| {
        pattern.syntax().descendants().filter_map(ast::IdentPat::cast).filter_map(|pattern| pattern.name())
    });
    names.map(|name| name.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_variable_is_lost_until_it_is_defined_again() {
        let mut lost = LostVariables::default();
        let message = "cannot find value `one` in this scope";
        lost.record_success(&names(&["one", "two"]), &names(&["two"]), "let once = 1;\n  first(one, once)\n");
        let note = lost.note(Some("E0425"), message).unwrap();
        assert!(note.contains("moved by an earlier cell: `first(one, once)`"), "{note}");
        assert_eq!(lost.note(Some("E0433"), message), None);
        assert_eq!(lost.note(Some("E0425"), "cannot find value `two` in this scope"), None);
        lost.record_success(&names(&["two"]), &names(&["one", "two"]), "let one = 1;");
        assert_eq!(lost.note(Some("E0425"), message), None);
        let long = format!("first(one, \"{}\")", "a".repeat(MAX_QUOTE_LEN));
        for (cell, part) in [(long.as_str(), "moved by an earlier cell."), ("struct One;", "defined its type anew")] {
            lost.record_success(&names(&["one"]), &names(&[]), cell);
            let note = lost.note(Some("E0425"), message).unwrap();
            assert!(note.contains(part) && !note.contains("aaa"), "{note}");
        }
    }

    #[test]
    fn variables_of_failed_cells_and_of_ended_processes_are_lost() {
        let mut lost = LostVariables::default();
        let failed = "let (a, kept) = (1, 2);\nlet Some(b) = c else { panic!() };";
        lost.record_failure(&names(&["c", "kept"]), &names(&["kept"]), failed);
        for name in ["a", "b"] {
            let note = lost.note(Some("E0425"), &format!("cannot find value `{name}` in this scope"));
            assert!(note.is_some_and(|note| note.contains("a cell that failed")), "{note:?}");
        }
        assert_eq!(lost.note(Some("E0425"), "cannot find value `kept` in this scope"), None);
        let note = lost.note(Some("E0425"), "cannot find value `c` in this scope").unwrap();
        assert!(note.contains("moved by an earlier cell: `let Some(b) = c else"), "{note}");
        for (command, part) in [(None, "process of the cells ended"), (Some(":clear"), "when `:clear` was run")] {
            lost.record_process_end(&names(&["kept"]), command);
            let note = lost.note(Some("E0425"), "cannot find value `kept` in this scope").unwrap();
            assert!(note.contains(part), "{note}");
        }
    }
}
