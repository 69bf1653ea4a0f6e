//! The text protocol of evcxr, for notebooks that run on the stock kernel.
//!
//! A block of lines on the standard output carries one MIME type. The kernel keeps one block for each type until the cell ends, so all
//! that a cell wants to show has to be in one.

use std::io::{self, Write};

use super::MimeBundle;
use super::mime::{HTML, PNG, TEXT};

const BEGIN: &str = "EVCXR_BEGIN_CONTENT";
const END: &str = "EVCXR_END_CONTENT";

/// Whether evcxr runs this process. It sets the variable for the process that runs the cells.
pub(crate) fn is_on() -> bool {
    std::env::var_os("EVCXR_IS_RUNTIME").is_some()
}

pub(crate) fn send(bundles: &[MimeBundle]) {
    let mut out = io::stdout().lock();
    // A closed pipe means that nobody looks; there is no one to tell.
    let _ = out.write_all(blocks(bundles).as_bytes()).and_then(|()| out.flush());
}

/// The protocol's text for `bundles`, composed to one output when there are several.
pub(crate) fn blocks(bundles: &[MimeBundle]) -> String {
    match bundles {
        [] => String::new(),
        [one] => [HTML, PNG, TEXT].iter().filter_map(|mime| Some(block(mime, one.data().get(*mime)?))).collect(),
        many => {
            let one = join(many);
            blocks(&[one])
        }
    }
}

/// Several outputs in one, below each other.
pub(crate) fn join(bundles: &[MimeBundle]) -> MimeBundle {
    let text: Vec<_> = bundles.iter().map(MimeBundle::plain).collect();
    let html: Vec<_> = bundles.iter().map(|bundle| format!("<div>{}</div>", bundle.to_html())).collect();
    MimeBundle::text(text.join("\n")).html(html.join("\n"))
}

fn block(mime: &str, content: &str) -> String {
    // The kernel takes the first line that equals END for the end, so no line of the content may.
    let lines: Vec<_> =
        content.lines().map(|line| if line == END { format!("{END} ") } else { line.to_owned() }).collect();
    format!("{BEGIN} {mime}\n{}\n{END}\n", lines.join("\n"))
}
