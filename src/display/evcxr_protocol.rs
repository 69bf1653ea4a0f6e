//! The text protocol of the stock evcxr kernel.
//!
//! A block of lines on standard output carries one MIME type. The kernel keeps only the last block of each type until the cell ends, so
//! several outputs are joined into one.

use std::io::{self, Write};

use super::MimeBundle;
use super::mime::{HTML, PNG, TEXT};

const BEGIN: &str = "EVCXR_BEGIN_CONTENT";
const END: &str = "EVCXR_END_CONTENT";

/// Returns whether evcxr runs this process; it sets the variable for the process that runs the cells.
pub(crate) fn is_on() -> bool {
    std::env::var_os("EVCXR_IS_RUNTIME").is_some()
}

pub(crate) fn send(bundles: &[MimeBundle]) {
    let mut out = io::stdout().lock();
    // An error means that the reader has closed the pipe; nothing can be displayed then.
    let _ = out.write_all(encode(bundles).as_bytes()).and_then(|()| out.flush());
}

/// Encodes `bundles`, joined into one output if there are several.
fn encode(bundles: &[MimeBundle]) -> String {
    match bundles {
        [] => String::new(),
        [one] => [HTML, PNG, TEXT].iter().filter_map(|mime| Some(block(mime, one.data().get(*mime)?))).collect(),
        many => {
            let one = join(many);
            encode(&[one])
        }
    }
}

/// Joins any number of outputs into one; with HTML it also keeps the first picture, for formats without HTML.
pub(crate) fn joined(bundles: &[MimeBundle]) -> MimeBundle {
    match bundles {
        [] => MimeBundle::text(""),
        [one] => one.clone(),
        many => match many.iter().find(|bundle| bundle.data().contains_key(PNG)) {
            Some(picture) => join(many).with_picture_of(picture),
            None => join(many),
        },
    }
}

/// Joins outputs vertically into one.
fn join(bundles: &[MimeBundle]) -> MimeBundle {
    let text: Vec<_> = bundles.iter().map(MimeBundle::plain).collect();
    let html: Vec<_> = bundles.iter().map(|bundle| format!("<div>{}</div>", bundle.to_html())).collect();
    MimeBundle::text(text.join("\n")).html(html.join("\n"))
}

/// Encodes the content of one MIME type.
fn block(mime: &str, content: &str) -> String {
    // The kernel ends the block at the first line that equals END, so a content line must not equal it.
    let lines: Vec<_> =
        content.lines().map(|line| if line == END { format!("{END} ") } else { line.to_owned() }).collect();
    format!("{BEGIN} {mime}\n{}\n{END}\n", lines.join("\n"))
}
