//! Error reports: compile errors in the lines of the cell, panics and returned errors.

use crate::cell_map::{CellMap, byte_at};
use crate::cell_source::SourcePosition;
use crate::display_hook::{DISPLAY_METHOD, WrappedCell};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use evcxr::CompilationError;
use serde_json::{Value, json};
use std::ops::Range;

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

    /// Reports compile errors in the lines of the original cell. Warnings are left out.
    #[must_use]
    pub fn from_compile_errors(
        errors: &[CompilationError],
        wrapped: &WrappedCell,
        cell: &str,
        cells: &CellMap,
    ) -> ErrorReport {
        let only_warnings = errors.iter().all(is_warning);
        let errors: Vec<_> = errors.iter().filter(|error| only_warnings || !is_warning(error)).collect();
        let value = errors.first().map(|error| title(error, wrapped)).unwrap_or_default();
        let traceback = errors.iter().map(|error| render(error, wrapped, cell, cells).trim_end().to_owned()).collect();
        ErrorReport { name: "CompileError".into(), value, traceback }
    }

    /// Reports a panic; `stderr` is the text it printed.
    #[must_use]
    pub fn from_panic(stderr: &str, cells: &CellMap) -> ErrorReport {
        let (before, rest) = stderr.split_at(panic_offset(stderr).unwrap_or(stderr.len()));
        let (head, message) = rest.split_once('\n').unwrap_or((rest, ""));
        let message = message.split("\nnote: run with `RUST_BACKTRACE").next().unwrap_or_default().trim_end();
        let message = if message.is_empty() { "the cell panicked" } else { message };
        let location = head.split_once(" panicked at ").map(|(_, location)| location.trim_end_matches(':'));
        let location = location.and_then(|location| match SourcePosition::parse(location) {
            Some(position) => cell_line(position, cells),
            None => Some(format!(" --> {location}")),
        });
        let mut traceback = Vec::new();
        traceback.extend((!before.trim().is_empty()).then(|| cells.rewrite(before.trim_end())));
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

/// The offset of the standard library's line about the first panic.
fn panic_offset(stderr: &str) -> Option<usize> {
    let mut offset = 0;
    for line in stderr.split_inclusive('\n') {
        if line.starts_with("thread '") && line.contains(" panicked at ") {
            return Some(offset);
        }
        offset += line.len();
    }
    None
}

/// A position in compiled source as a line of its cell, formatted for a traceback; `None` in generated code.
fn cell_line(position: SourcePosition, cells: &CellMap) -> Option<String> {
    let found = cells.locate(position)?;
    let (cell, number) = (&found.cell, found.line);
    let gutter = " ".repeat(number.to_string().len());
    Some(format!("{gutter}--> {cell} line {number}\n{gutter} |\n{number} | {}", found.code.lines().nth(number - 1)?))
}

fn is_warning(error: &CompilationError) -> bool {
    error.level() == "warning"
}

/// The compiler's message in the terms of the cell: without the display call that wraps its value, and without the code that follows it.
fn title(error: &CompilationError, wrapped: &WrappedCell) -> String {
    let message = rename_generated(&error.message());
    if is_about_display(error) {
        return match message.split_once("for reference `&").and_then(|(_, rest)| rest.split_once('`')) {
            Some((type_name, _)) => {
                format!("`{type_name}` does not implement `Debug`, so the cell's value cannot be shown")
            }
            None => "the type of the cell's value does not implement `Debug`, so the value cannot be shown".into(),
        };
    }
    let spans = error.spanned_messages();
    if message.starts_with("mismatched closing delimiter") && spans.len() == 1 && spans[0].label == UNCLOSED {
        return UNCLOSED.into();
    }
    // Only a message about something missing is about what follows its span, which is empty.
    let span = error.primary_spanned_message().and_then(|message| message.span);
    if let (None, Some((expected, _))) = (span, message.split_once(", found "))
        && expected.starts_with("expected ")
    {
        return format!("{expected}, found the end of the cell");
    }
    let missing_at = span.filter(|span| (span.start_line, span.start_column) == (span.end_line, span.end_column));
    let offset = missing_at.and_then(|span| byte_at(&wrapped.code, span.end_line, span.end_column));
    match (message.split_once(", found "), offset.map(|offset| next_word(&wrapped.code[offset..]))) {
        (Some((expected, _)), Some("")) => format!("{expected}, found the end of the cell"),
        (Some((expected, found)), Some(next)) if !found.contains(next) => format!("{expected}, found `{next}`"),
        _ => message,
    }
}

const UNCLOSED: &str = "unclosed delimiter";

/// True if the error is that the display method does not exist for the cell's value.
fn is_about_display(error: &CompilationError) -> bool {
    error.code() == Some("E0599") && error.message().contains(DISPLAY_METHOD)
}

/// The word or sign at the start of a text, after spaces; empty at its end.
fn next_word(text: &str) -> &str {
    let text = text.trim_start();
    let len = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let first = text.chars().next().map_or(0, char::len_utf8);
    &text[..len.max(first)]
}

/// Renders a compile error with the cell as its source.
fn render(error: &CompilationError, wrapped: &WrappedCell, cell: &str, cells: &CellMap) -> String {
    let title = title(error, wrapped);
    if is_about_display(error) {
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
        // The error is in the code of an earlier cell, or in code that evcxr has generated.
        for (path, code, annotation) in earlier_cell_labels(error, cells) {
            group = group.element(Snippet::source(code).path(path).line_start(1).annotation(annotation));
        }
    } else {
        let mut snippet = Snippet::source(cell).path("cell").line_start(1);
        for Label { range, text, kind } in labels {
            let annotation = kind.span(range);
            snippet = snippet.annotation(if text.is_empty() { annotation } else { annotation.label(text) });
        }
        group = group.element(snippet);
    }
    let help = error.help().into_iter().map(|help| rename_generated(&help));
    for help in help.filter(|help| !is_about_generated_code(help)) {
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
        let text = rename_generated(message.label.trim_start_matches("error: "));
        let repeats_title = text == title || text == rename_generated(&error.message());
        let text = if repeats_title || is_about_generated_code(&text) { "" } else { &text };
        let is_known = labels.iter().any(|label| label.range == range && label.text == text);
        if range.start > range.end || is_known || (!is_primary && text.starts_with("help: ")) {
            continue;
        }
        let kind = if is_primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        labels.push(Label { range, text: text.to_owned(), kind });
    }
    labels
}

/// The error's spans in the code of earlier cells: the cell's name, its code and the labelled range.
fn earlier_cell_labels(
    error: &CompilationError,
    cells: &CellMap,
) -> Vec<(String, String, annotate_snippets::Annotation<'static>)> {
    let spans = error.json["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
    let label = |span: &Value| {
        let file = span["file_name"].as_str()?;
        let position = |which: &str| {
            let number = |name: &str| span[format!("{name}_{which}")].as_u64();
            cells.locate(SourcePosition::parse(&format!("{file}:{}:{}", number("line")?, number("column")?))?)
        };
        let from = position("start")?;
        // The rest of the cell, if the span ends in code that follows it.
        let end = position("end").map_or(from.code.len(), |to| to.byte.max(from.byte));
        let is_primary = span["is_primary"].as_bool().unwrap_or(false);
        let kind = if is_primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let mut annotation = kind.span(from.byte..end);
        if let Some(text) = span["label"].as_str().filter(|text| !is_about_generated_code(text)) {
            annotation = annotation.label(text.to_owned());
        }
        Some((from.cell, from.code, annotation))
    };
    spans.iter().filter_map(label).collect()
}

/// Names what evcxr generates around a cell as a reader of the cell would.
fn rename_generated(text: &str) -> String {
    const NAMES: [(&str, &str); 4] = [
        ("`Result<(), EvcxrUserCodeError>`", "the cell"),
        ("`EvcxrUserCodeError`", "an error of the cell, which needs `Display`"),
        ("`evcxr_variable_store`", "the end of the cell"),
        ("<end of input>", "the end of the cell"),
    ];
    NAMES.iter().fold(text.to_owned(), |text, (generated, name)| text.replace(generated, name))
}

/// True if a text names what only generated code has.
fn is_about_generated_code(text: &str) -> bool {
    ["evcxr", "Evcxr", "run_user_code", "lib.rs"].iter().any(|name| text.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_panic_is_reported_by_its_message_alone() {
        let stderr = "a warning\n\nthread 'main' (77) panicked at /src/tensor.rs:3:5:\nno such stage\nnote: run with \
                    `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        let report = ErrorReport::from_panic(stderr, &CellMap::new(Path::new("/nowhere")));
        assert_eq!(report.value, "no such stage");
        assert_eq!(report.traceback[0], "a warning");
        assert!(report.traceback[2].contains("/src/tensor.rs:3:5"), "{report:?}");
        assert!(!report.traceback.concat().contains("RUST_BACKTRACE"));
    }

    #[test]
    fn a_text_about_threads_is_not_a_panic() {
        let printed = "one thread per core\nthread 'a' has started: it panicked before";
        let stderr = format!("{printed}\n\nthread 'main' (77) panicked at /src/tensor.rs:3:5:\nno such stage\n");
        let report = ErrorReport::from_panic(&stderr, &CellMap::new(Path::new("/nowhere")));
        assert_eq!((report.value.as_str(), report.traceback[0].as_str()), ("no such stage", printed));
        assert!(report.traceback[2].contains("/src/tensor.rs:3:5"), "{report:?}");
    }

    #[test]
    fn a_panic_without_a_message_is_still_a_panic() {
        let report = ErrorReport::from_panic("", &CellMap::new(Path::new("/nowhere")));
        assert_eq!(report.value, "the cell panicked");
    }
}
