//! Splits what a cell writes to stdout into text, live frames and evcxr's own control lines.
//!
//! evcxr reads whole lines of UTF-8 and takes a control line only when it stands alone, so text without a newline before it would
//! hang the cell and a stray byte would end it. Here neither can happen.

/// A part of what a cell wrote, in the order in which it was written.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Printed text, with its newlines.
    Text(String),
    /// The JSON of a live frame.
    Live(String),
    /// A line that evcxr itself reads, without its newline.
    Control(String),
}

/// The line that ends a cell's run.
pub const COMPLETE: &str = "EVCXR_EXECUTION_COMPLETE";
/// The line that says that the cell panicked.
pub const PANICKED: &str = "EVCXR_PANIC_NOTIFICATION";
/// The line that says that a `?` ended the cell.
pub const FAILED: &str = "EVCXR_ERROR_OCCURRED";
/// The beginning of a line that asks the person.
pub const INPUT_REQUEST: &str = "EVCXR_INPUT_REQUEST";
const BEGIN_CONTENT: &str = "EVCXR_BEGIN_CONTENT ";
const END_CONTENT: &str = "EVCXR_END_CONTENT";
const WITH_ARGUMENT: [&str; 3] =
    ["EVCXR_VARIABLE_CHANGED_TYPE:", "EVCXR_INPUT_REQUEST_PASSWORD:", "EVCXR_INPUT_REQUEST:"];

/// Reads bytes as they come and gives pieces as soon as they are certain.
pub struct Splitter {
    nonce: String,
    pending: Vec<u8>,
    in_content: bool,
}

impl Splitter {
    /// A splitter for the frames of one nonce; without a nonce nothing is a frame.
    pub fn new(nonce: &str) -> Splitter {
        Splitter { nonce: nonce.to_owned(), pending: Vec::new(), in_content: false }
    }

    /// Takes bytes and returns the pieces of all lines that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let searched = self.pending.len();
        self.pending.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        let (mut start, mut from) = (0, searched);
        while let Some(offset) = self.pending[from..].iter().position(|&byte| byte == b'\n') {
            let end = from + offset;
            let line = String::from_utf8_lossy(&self.pending[start..end]).into_owned();
            self.line(&line, &mut pieces);
            start = end + 1;
            from = start;
        }
        self.pending.drain(..start);
        pieces
    }

    /// Whether an unfinished line waits.
    pub fn waits(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Gives up waiting for the end of a line that can only be text: a progress line appears before its newline does.
    pub fn idle(&mut self) -> Option<Piece> {
        if self.in_content || contains(&self.pending, b"EVCXR_") || self.may_be_frame() {
            return None;
        }
        let whole = whole_characters(&self.pending);
        (whole > 0).then(|| Piece::Text(take_text(&mut self.pending, whole)))
    }

    /// What is left when nothing more can come.
    pub fn end(&mut self) -> Option<Piece> {
        let rest = self.pending.len();
        (rest > 0).then(|| Piece::Text(take_text(&mut self.pending, rest)))
    }

    fn may_be_frame(&self) -> bool {
        !self.nonce.is_empty() && contains(&self.pending, self.nonce.as_bytes())
    }

    fn line(&mut self, line: &str, pieces: &mut Vec<Piece>) {
        if self.in_content {
            self.in_content = line != END_CONTENT && line != PANICKED;
            pieces.push(Piece::Control(line.to_owned()));
        } else if let Some((before, frame)) = self.frame(line) {
            text(pieces, before);
            pieces.push(Piece::Live(frame.to_owned()));
        } else if let Some(at) = control(line) {
            text(pieces, &line[..at]);
            self.in_content = line[at..].starts_with(BEGIN_CONTENT);
            pieces.push(Piece::Control(line[at..].to_owned()));
        } else {
            text(pieces, line);
            text(pieces, "\n");
        }
    }

    fn frame<'a>(&self, line: &'a str) -> Option<(&'a str, &'a str)> {
        if self.nonce.is_empty() {
            return None;
        }
        let at = line.find(&self.nonce)?;
        let json = line[at + self.nonce.len()..].strip_prefix(' ')?;
        crate::live::Frame::parse(json).map(|_| (&line[..at], json))
    }
}

fn control(line: &str) -> Option<usize> {
    for marker in [COMPLETE, PANICKED, FAILED] {
        if line.ends_with(marker) {
            return Some(line.len() - marker.len());
        }
    }
    if let Some(at) = line.rfind(BEGIN_CONTENT) {
        let mime = &line[at + BEGIN_CONTENT.len()..];
        return (!mime.is_empty() && !mime.contains(' ')).then_some(at);
    }
    WITH_ARGUMENT.iter().find_map(|marker| line.rfind(marker))
}

fn text(pieces: &mut Vec<Piece>, more: &str) {
    match pieces.last_mut() {
        _ if more.is_empty() => {}
        Some(Piece::Text(text)) => text.push_str(more),
        _ => pieces.push(Piece::Text(more.to_owned())),
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// How many of these bytes can be shown without cutting a character in two.
pub fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

/// Removes the first `count` bytes and returns them as text, with a mark for what is no text.
pub fn take_text(bytes: &mut Vec<u8>, count: usize) -> String {
    let rest = bytes.split_off(count);
    String::from_utf8_lossy(&std::mem::replace(bytes, rest)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "0123456789abcdef0123456789abcdef";
    const FRAME: &str = r#"{"op":"clear_output","wait":true}"#;

    fn text(text: &str) -> Piece {
        Piece::Text(text.into())
    }

    fn live() -> Piece {
        Piece::Live(FRAME.into())
    }

    fn control(line: &str) -> Piece {
        Piece::Control(line.into())
    }

    #[test]
    fn text_and_frames_keep_their_order() {
        let input = format!("one\ntwo\n{NONCE} {FRAME}\nthree\n");
        assert_eq!(Splitter::new(NONCE).push(input.as_bytes()), [text("one\ntwo\n"), live(), text("three\n")]);
    }

    #[test]
    fn text_before_a_frame_on_its_line_has_no_newline() {
        let input = format!("loading ... {NONCE} {FRAME}\n");
        assert_eq!(Splitter::new(NONCE).push(input.as_bytes()), [text("loading ... "), live()]);
    }

    #[test]
    fn a_wrong_nonce_and_broken_json_are_text() {
        for line in
            [format!("{} {FRAME}\n", NONCE.replace('0', "1")), format!("{NONCE} {{\"op\"\n"), format!("{NONCE}\n")]
        {
            assert_eq!(Splitter::new(NONCE).push(line.as_bytes()), [text(&line)]);
        }
        let line = format!(" {FRAME}\n");
        assert_eq!(Splitter::new("").push(line.as_bytes()), [text(&line)]);
    }

    #[test]
    fn a_frame_that_arrives_in_parts_is_never_shown_as_text() {
        let mut splitter = Splitter::new(NONCE);
        let input = format!("{NONCE} {FRAME}\n");
        let (first, second) = input.split_at(50);
        assert_eq!(splitter.push(first.as_bytes()), []);
        assert_eq!(splitter.idle(), None);
        assert_eq!(splitter.push(second.as_bytes()), [live()]);
    }

    #[test]
    fn a_progress_line_appears_before_its_newline() {
        let mut splitter = Splitter::new(NONCE);
        assert_eq!(splitter.push(b"10 %"), []);
        assert_eq!(splitter.idle(), Some(text("10 %")));
        assert_eq!(splitter.push(b"\r20 %\n"), [text("\r20 %\n")]);
    }

    #[test]
    fn a_character_cut_in_two_is_put_together() {
        let mut splitter = Splitter::new(NONCE);
        splitter.push(b"5 \xc2");
        assert_eq!(splitter.idle(), Some(text("5 ")));
        assert_eq!(splitter.push(b"\xb5s\n"), [text("\u{b5}s\n")]);
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        assert_eq!(Splitter::new(NONCE).push(b"a\xff\xfeb\n"), [text("a\u{fffd}\u{fffd}b\n")]);
    }

    #[test]
    fn text_without_a_newline_does_not_hide_the_end_of_a_cell() {
        let input = format!("no newline{COMPLETE}\n");
        assert_eq!(Splitter::new(NONCE).push(input.as_bytes()), [text("no newline"), control(COMPLETE)]);
    }

    #[test]
    fn the_content_of_a_result_is_for_evcxr() {
        let input = format!("x EVCXR_BEGIN_CONTENT text/plain\nfirst\n{NONCE} {FRAME}\nEVCXR_END_CONTENT\nafter\n");
        let pieces = Splitter::new(NONCE).push(input.as_bytes());
        assert_eq!(pieces[0], text("x "));
        assert_eq!(pieces[1], control("EVCXR_BEGIN_CONTENT text/plain"));
        assert_eq!(pieces[2], control("first"));
        assert_eq!(pieces[4], control("EVCXR_END_CONTENT"));
        assert_eq!(pieces[5], text("after\n"));
    }
}
