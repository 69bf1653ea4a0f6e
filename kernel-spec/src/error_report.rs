//! Error reports: compile errors in the lines of the cell, panics and returned errors.

use crate::display_hook::{DISPLAY_METHOD, WrappedCell};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use evcxr::CompilationError;
use serde_json::{Value, json};
use std::ops::Range;
use std::path::Path;

const RED: &str = "\x1b[1;31m";
const RESET: &str = "\x1b[0m";

/// An error in the form of Jupyter's `error` message.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorReport {
    /// Kind of error.
    pub name: String,
    /// Message, in one line or a few.
    pub value: String,
    /// Full text, with ANSI colors.
    pub traceback: Vec<String>,
}

impl ErrorReport {
    /// A report that consists of a message.
    #[must_use]
    pub fn new(name: &str, value: impl Into<String>) -> ErrorReport {
        let value = value.into();
        let traceback = vec![format!("{RED}{name}{RESET}: {value}")];
        ErrorReport { name: name.into(), value, traceback }
    }

    /// The fields of an `error` message and of a failed `execute_reply`.
    #[must_use]
    pub fn content(&self) -> Value {
        json!({ "ename": self.name, "evalue": self.value, "traceback": self.traceback })
    }

    /// Reports compile errors in the lines of the original cell.
    #[must_use]
    pub fn from_compile_errors(errors: &[CompilationError], wrapped: &WrappedCell, cell: &str) -> ErrorReport {
        let value = errors.first().map(title).unwrap_or_default();
        let traceback = errors.iter().map(|error| render(error, wrapped, cell).trim_end().to_owned()).collect();
        ErrorReport { name: "CompileError".into(), value, traceback }
    }

    /// Reports a panic; `stderr` is the text it printed, `source` the file that evcxr compiled for the cell.
    #[must_use]
    pub fn from_panic(stderr: &str, source: &Path, wrapped: &WrappedCell, cell: &str) -> ErrorReport {
        let (before, rest) = stderr.split_once("thread ").unwrap_or((stderr, ""));
        let (head, message) = rest.split_once('\n').unwrap_or((rest, ""));
        let message = message.split("\nnote: run with `RUST_BACKTRACE").next().unwrap_or_default().trim_end();
        let message = if message.is_empty() { "the cell panicked" } else { message };
        let location = head.split_once(" panicked at ").map(|(_, location)| location.trim_end_matches(':'));
        let location = location
            .map(|location| cell_line(location, source, wrapped, cell).unwrap_or_else(|| format!(" --> {location}")));
        let mut traceback = Vec::new();
        traceback.extend((!before.trim().is_empty()).then(|| before.trim_end().to_owned()));
        traceback.push(format!("{RED}panicked{RESET}: {message}"));
        traceback.extend(location);
        ErrorReport { name: "Panic".into(), value: message.into(), traceback }
    }

    /// Reports an error returned by `?`; `stderr` is the latest text on stderr.
    #[must_use]
    pub fn from_stderr(stderr: &str) -> ErrorReport {
        let message = stderr.trim_end();
        ErrorReport::new(
            "Error",
            if message.is_empty() { "the cell returned an error without a message" } else { message },
        )
    }
}

/// Maps a location in the compiled source to a line of the cell, formatted for a traceback.
fn cell_line(location: &str, source: &Path, wrapped: &WrappedCell, cell: &str) -> Option<String> {
    let mut parts = location.rsplitn(3, ':');
    let (_column, line, file) = (parts.next()?, parts.next()?.parse::<usize>().ok()?, parts.next()?);
    if file != "src/lib.rs" {
        return None;
    }
    let source = std::fs::read_to_string(source).ok()?;
    let text = source.lines().nth(line.checked_sub(1)?)?.trim();
    let mut lines = wrapped.code.lines();
    let number = lines.position(|line| !text.is_empty() && (line.trim() == text || line.contains(text)))? + 1;
    let gutter = " ".repeat(number.to_string().len());
    Some(format!("{gutter}--> cell line {number}\n{gutter} |\n{number} | {}", cell.lines().nth(number - 1)?))
}

/// The compiler's message, unless it is about the display call that wraps the cell's value.
fn title(error: &CompilationError) -> String {
    let message = error.message();
    if error.code() != Some("E0599") || !message.contains(DISPLAY_METHOD) {
        return message;
    }
    match message.split_once("for reference `&").and_then(|(_, rest)| rest.split_once('`')) {
        Some((type_name, _)) => {
            format!("`{type_name}` does not implement `Debug`, so the cell's value cannot be shown")
        }
        None => "the type of the cell's value does not implement `Debug`, so the value cannot be shown".into(),
    }
}

/// Renders a compile error with the cell as its source.
fn render(error: &CompilationError, wrapped: &WrappedCell, cell: &str) -> String {
    let title = title(error);
    if title != error.message() {
        let help = "add `#[derive(Debug)]` to the type, or end the line with `;` to show nothing";
        return Renderer::styled()
            .render(&[Group::with_title(Level::ERROR.primary_title(title)).element(Level::HELP.message(help))]);
    }
    let mut heading = Level::ERROR.primary_title(title.clone());
    if let Some(id) = error.code() {
        heading = heading.id(id.to_owned());
    }
    let mut group = Group::with_title(heading);
    let labels = labels(error, &title, wrapped);
    if labels.is_empty() {
        let rendered = error.rendered();
        if !rendered.is_empty() {
            return rendered;
        }
    } else {
        let mut snippet = Snippet::source(cell).path("cell").line_start(1);
        for Label { range, text, kind } in labels {
            let annotation = kind.span(range);
            snippet = snippet.annotation(if text.is_empty() { annotation } else { annotation.label(text) });
        }
        group = group.element(snippet);
    }
    for help in error.help() {
        let help = match help.split_once("\n\n") {
            Some((message, suggestion)) if !suggestion.is_empty() => format!("{message}: `{}`", suggestion.trim()),
            _ => help.trim_end().to_owned(),
        };
        group = group.element(Level::HELP.message(help));
    }
    if let Some(hint) = error.evcxr_extra_hint() {
        group = group.element(Level::NOTE.message(hint));
    }
    Renderer::styled().render(&[group])
}

/// A labelled range of the cell.
struct Label {
    range: Range<usize>,
    text: String,
    kind: AnnotationKind,
}

/// The error's labels that lie in the cell, each once. Suggestions are left out, because they are rendered as help.
fn labels(error: &CompilationError, title: &str, wrapped: &WrappedCell) -> Vec<Label> {
    let mut labels: Vec<Label> = Vec::new();
    let own = error.spanned_messages().iter().map(|message| (message, message.is_primary));
    for (message, is_primary) in own.chain(error.help_spanned().iter().map(|message| (message, false))) {
        let Some(range) = message.span.and_then(|span| {
            let offset = |line, column| byte_at(&wrapped.code, line, column).map(|byte| wrapped.to_cell_offset(byte));
            Some(offset(span.start_line, span.start_column)?..offset(span.end_line, span.end_column)?)
        }) else {
            continue;
        };
        let text = message.label.trim_start_matches("error: ");
        let text = if text == title { "" } else { text };
        let is_known = labels.iter().any(|label| label.range == range && label.text == text);
        if range.start > range.end || is_known || (!is_primary && text.starts_with("help: ")) {
            continue;
        }
        let kind = if is_primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        labels.push(Label { range, text: text.to_owned(), kind });
    }
    labels
}

/// The byte offset of a line and a column, both counted from 1, the column in characters.
fn byte_at(code: &str, line: usize, column: usize) -> Option<usize> {
    let start: usize = code.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let rest = code.get(start..)?;
    let within = rest.char_indices().nth(column.checked_sub(1)?).map_or(rest.len(), |(at, _)| at);
    Some(start + within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_reported_by_its_message_alone() {
        let stderr = "a warning\n\nthread 'main' (77) panicked at /src/tensor.rs:3:5:\nno such stage\nnote: run with \
                    `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        let report = ErrorReport::from_panic(stderr, Path::new("/nowhere"), &WrappedCell::new(""), "");
        assert_eq!(report.value, "no such stage");
        assert_eq!(report.traceback[0], "a warning");
        assert!(report.traceback[2].contains("/src/tensor.rs:3:5"), "{report:?}");
        assert!(!report.traceback.concat().contains("RUST_BACKTRACE"));
    }

    #[test]
    fn a_panic_without_a_message_is_still_a_panic() {
        let report = ErrorReport::from_panic("", Path::new("/nowhere"), &WrappedCell::new(""), "");
        assert_eq!(report.value, "the cell panicked");
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
