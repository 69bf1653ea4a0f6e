//! What went wrong, in words that a person can use.

use crate::display_hook::{METHOD, Shown};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use evcxr::CompilationError;
use serde_json::{Value, json};
use std::ops::Range;
use std::path::Path;

const RED: &str = "\x1b[1;31m";
const PLAIN: &str = "\x1b[0m";

/// An error as Jupyter shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What kind of error.
    pub name: String,
    /// It, in one line or a few.
    pub value: String,
    /// It, in full and in colour.
    pub traceback: Vec<String>,
}

impl Report {
    /// An error that needs no more than a message.
    pub fn new(name: &str, value: impl Into<String>) -> Report {
        let value = value.into();
        let traceback = vec![format!("{RED}{name}{PLAIN}: {value}")];
        Report { name: name.into(), value, traceback }
    }

    /// The fields of an `error` message and of an `execute_reply`.
    pub fn content(&self) -> Value {
        json!({ "ename": self.name, "evalue": self.value, "traceback": self.traceback })
    }

    /// What the compiler said about a cell, in the cell's own lines.
    pub fn compilation(errors: &[CompilationError], shown: &Shown, cell: &str) -> Report {
        let value = errors.first().map(title).unwrap_or_default();
        let traceback = errors.iter().map(|error| rendered(error, shown, cell).trim_end().to_owned()).collect();
        Report { name: "CompileError".into(), value, traceback }
    }

    /// A panic; `said` is what it wrote to stderr, `source` what evcxr compiled of the cell.
    pub fn panic(said: &str, source: &Path, shown: &Shown, cell: &str) -> Report {
        let (before, rest) = said.split_once("thread ").unwrap_or((said, ""));
        let (head, message) = rest.split_once('\n').unwrap_or((rest, ""));
        let message = message.split("\nnote: run with `RUST_BACKTRACE").next().unwrap_or_default().trim_end();
        let message = if message.is_empty() { "the cell panicked" } else { message };
        let place = head.split_once(" panicked at ").map(|(_, place)| place.trim_end_matches(':'));
        let place = place.map(|place| in_cell(place, source, shown, cell).unwrap_or_else(|| format!(" --> {place}")));
        let mut traceback = Vec::new();
        traceback.extend((!before.trim().is_empty()).then(|| before.trim_end().to_owned()));
        traceback.push(format!("{RED}panicked{PLAIN}: {message}"));
        traceback.extend(place);
        Report { name: "Panic".into(), value: message.into(), traceback }
    }

    /// A `?` that met an error; `said` is what was last on stderr.
    pub fn failure(said: &str) -> Report {
        let said = said.trim_end();
        Report::new("Error", if said.is_empty() { "the cell ended with an error" } else { said })
    }
}

/// The line of the cell that a place in the compiled source comes from.
fn in_cell(place: &str, source: &Path, shown: &Shown, cell: &str) -> Option<String> {
    let mut parts = place.rsplitn(3, ':');
    let (_column, line, file) = (parts.next()?, parts.next()?.parse::<usize>().ok()?, parts.next()?);
    if file != "src/lib.rs" {
        return None;
    }
    let source = std::fs::read_to_string(source).ok()?;
    let text = source.lines().nth(line.checked_sub(1)?)?.trim();
    let mut lines = shown.code.lines();
    let number = lines.position(|line| !text.is_empty() && (line.trim() == text || line.contains(text)))? + 1;
    let gutter = " ".repeat(number.to_string().len());
    Some(format!("{gutter}--> cell line {number}\n{gutter} |\n{number} | {}", cell.lines().nth(number - 1)?))
}

/// What is wrong, in the compiler's words where they speak of the cell and not of what is put around it.
fn title(error: &CompilationError) -> String {
    let message = error.message();
    if error.code() != Some("E0599") || !message.contains(METHOD) {
        return message;
    }
    match message.split_once("for reference `&").and_then(|(_, rest)| rest.split_once('`')) {
        Some((type_name, _)) => {
            format!("`{type_name}` does not implement `Debug`, so the cell's value cannot be shown")
        }
        None => "the cell's value cannot be shown, for its type does not implement `Debug`".into(),
    }
}

fn rendered(error: &CompilationError, shown: &Shown, cell: &str) -> String {
    let title = title(error);
    if title != error.message() {
        let help = "put `#[derive(Debug)]` before the type, or end the line with `;` to show nothing";
        return Renderer::styled()
            .render(&[Group::with_title(Level::ERROR.primary_title(title)).element(Level::HELP.message(help))]);
    }
    let mut heading = Level::ERROR.primary_title(title.clone());
    if let Some(id) = error.code() {
        heading = heading.id(id.to_owned());
    }
    let mut group = Group::with_title(heading);
    let mut seen: Vec<(Range<usize>, String)> = Vec::new();
    let mut snippet = Snippet::source(cell).path("cell").line_start(1);
    let own = error.spanned_messages().iter().map(|message| (message, message.is_primary));
    for (message, primary) in own.chain(error.help_spanned().iter().map(|message| (message, false))) {
        let Some(range) = message.span.and_then(|span| {
            let place = |line, column| offset(&shown.code, line, column).map(|byte| shown.in_cell(byte));
            Some(place(span.start_line, span.start_column)?..place(span.end_line, span.end_column)?)
        }) else {
            continue;
        };
        let label = message.label.trim_start_matches("error: ");
        let label = if label == title { "" } else { label };
        if range.start > range.end || seen.contains(&(range.clone(), label.to_owned())) {
            continue;
        }
        // A suggestion has its own place below.
        if !primary && label.starts_with("help: ") {
            continue;
        }
        seen.push((range.clone(), label.to_owned()));
        let kind = if primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let annotation = kind.span(range);
        snippet = snippet.annotation(if label.is_empty() { annotation } else { annotation.label(label.to_owned()) });
    }
    if seen.is_empty() {
        let rendered = error.rendered();
        if !rendered.is_empty() {
            return rendered;
        }
    } else {
        group = group.element(snippet);
    }
    for help in error.help() {
        let help = match help.split_once("\n\n") {
            Some((what, how)) if !how.is_empty() => format!("{what}: `{}`", how.trim()),
            _ => help.trim_end().to_owned(),
        };
        group = group.element(Level::HELP.message(help));
    }
    if let Some(hint) = error.evcxr_extra_hint() {
        group = group.element(Level::NOTE.message(hint));
    }
    Renderer::styled().render(&[group])
}

/// The byte at a line and a column, both counted from 1, the column in characters.
fn offset(code: &str, line: usize, column: usize) -> Option<usize> {
    let start: usize = code.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let rest = code.get(start..)?;
    let within = rest.char_indices().nth(column.checked_sub(1)?).map_or(rest.len(), |(at, _)| at);
    Some(start + within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_says_its_message_alone() {
        let said = "a warning\n\nthread 'main' (77) panicked at /src/tensor.rs:3:5:\nno such stage\nnote: run with \
                    `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        let report = Report::panic(said, Path::new("/nowhere"), &Shown::of(""), "");
        assert_eq!(report.value, "no such stage");
        assert_eq!(report.traceback[0], "a warning");
        assert!(report.traceback[2].contains("/src/tensor.rs:3:5"), "{report:?}");
        assert!(!report.traceback.concat().contains("RUST_BACKTRACE"));
    }

    #[test]
    fn a_panic_without_words_is_still_a_panic() {
        assert_eq!(Report::panic("", Path::new("/nowhere"), &Shown::of(""), "").value, "the cell panicked");
    }

    #[test]
    fn places_are_found_in_text_of_any_language() {
        assert_eq!(offset("aé\nüb", 1, 2), Some(1));
        assert_eq!(offset("aé\nüb", 2, 2), Some(6));
        assert_eq!(offset("aé\nüb", 2, 9), Some(7));
        assert_eq!(offset("a", 0, 1), None);
        assert_eq!(offset("a", 5, 1), Some(1));
    }
}
