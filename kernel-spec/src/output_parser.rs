//! Parser for the stdout of the evaluating process: text, live frames and evcxr's control lines.
//!
//! evcxr reads whole lines of UTF-8 and recognises a control line only if it stands alone: unfinished text in front of it would hang the
//! cell, and an invalid byte would end it. This parser separates the control lines and replaces invalid bytes.
//!
//! Frames and markers count only behind the kernel's nonce: a printed line that has the text of a marker is text. The exceptions are what
//! other code prints on purpose: a complete block of rich content, and a request for input, which the supervisor checks.

/// A part of the output, in the order in which it was written.
#[derive(Debug, Clone, PartialEq)]
pub enum Segment {
    /// Printed text, including newlines.
    Text(String),
    /// The JSON of a live frame.
    Live(String),
    /// A line for evcxr, without the newline. One that requests input may be text that only looks like it.
    Control(String),
}

/// Line that marks the end of a cell.
pub const COMPLETE: &str = "EVCXR_EXECUTION_COMPLETE";
/// Line that reports a panic.
pub const PANICKED: &str = "EVCXR_PANIC_NOTIFICATION";
/// Line that reports an error returned by `?`.
pub const FAILED: &str = "EVCXR_ERROR_OCCURRED";
/// Start of a line that names a variable whose type has changed.
const CHANGED_TYPE: &str = "EVCXR_VARIABLE_CHANGED_TYPE:";
/// Start of a line that requests input.
pub const INPUT_REQUEST: &str = "EVCXR_INPUT_REQUEST";
/// Start of all markers.
const MARKER: &str = "EVCXR_";
const BEGIN_CONTENT: &str = "EVCXR_BEGIN_CONTENT ";
const END_CONTENT: &str = "EVCXR_END_CONTENT";
const INPUT_REQUESTS: [&str; 2] = ["EVCXR_INPUT_REQUEST_PASSWORD:", "EVCXR_INPUT_REQUEST:"];

/// Incremental parser: emits a segment as soon as its kind is certain.
pub struct OutputParser {
    nonce: String,
    pending: Vec<u8>,
    /// The lines of a block of rich content that has not ended.
    block: Vec<String>,
}

impl OutputParser {
    /// A parser for frames and markers with this nonce; with an empty nonce nothing is one.
    #[must_use]
    pub fn new(nonce: &str) -> OutputParser {
        OutputParser { nonce: nonce.to_owned(), pending: Vec::new(), block: Vec::new() }
    }

    /// Appends bytes and returns the segments of all lines that are now complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Segment> {
        let searched = self.pending.len();
        self.pending.extend_from_slice(bytes);
        let mut segments = Vec::new();
        let (mut start, mut from) = (0, searched);
        while let Some(offset) = self.pending[from..].iter().position(|&byte| byte == b'\n') {
            let end = from + offset;
            let line = String::from_utf8_lossy(&self.pending[start..end]).into_owned();
            self.parse_line(&line, &mut segments);
            start = end + 1;
            from = start;
        }
        self.pending.drain(..start);
        segments
    }

    /// True while an unfinished line is buffered.
    #[must_use]
    pub fn has_partial_line(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The size of the unfinished line that is buffered, in bytes.
    #[must_use]
    pub fn partial_len(&self) -> usize {
        self.pending.len()
    }

    /// Returns the buffered part of a line if it can only be text, so that a progress line appears before its newline.
    pub fn take_partial_line(&mut self) -> Option<Segment> {
        self.take_partial_text(self.pending.len())
    }

    /// As [`OutputParser::take_partial_line`], while more of the line is arriving: leaves its last bytes if a signal may begin with them.
    pub fn take_start_of_line(&mut self) -> Option<Segment> {
        let begun = [self.nonce.as_bytes(), MARKER.as_bytes()].map(|signal| begun_len(&self.pending, signal));
        self.take_partial_text(self.pending.len() - begun[0].max(begun[1]))
    }

    fn take_partial_text(&mut self, len: usize) -> Option<Segment> {
        // The nonce is searched first: in a long frame it is found at once.
        if !self.block.is_empty() || self.may_be_signal() || contains(&self.pending, MARKER.as_bytes()) {
            return None;
        }
        let whole = complete_utf8_len(&self.pending[..len]);
        (whole > 0).then(|| Segment::Text(take_text(&mut self.pending, whole)))
    }

    /// Returns the rest of the buffer at the end of the stream.
    pub fn finish(&mut self) -> Option<Segment> {
        let mut segments = Vec::new();
        self.release_block(&mut segments);
        let len = self.pending.len();
        push_text(&mut segments, &take_text(&mut self.pending, len));
        segments.pop()
    }

    fn may_be_signal(&self) -> bool {
        !self.nonce.is_empty() && contains(&self.pending, self.nonce.as_bytes())
    }

    fn parse_line(&mut self, line: &str, segments: &mut Vec<Segment>) {
        if let Some((before, signal)) = self.split_signal(line) {
            if matches!(signal, Segment::Control(_)) {
                self.release_block(segments);
            }
            match self.block.as_slice() {
                [] => push_text(segments, before),
                _ if before.is_empty() => {}
                _ => self.block.push(before.to_owned()),
            }
            segments.push(signal);
        } else if let Some(at) = block_start(line).filter(|&at| at == 0 || self.block.is_empty()) {
            self.release_block(segments);
            push_text(segments, &line[..at]);
            self.block.push(line[at..].to_owned());
        } else if !self.block.is_empty() {
            self.block.push(line.to_owned());
            if line == END_CONTENT {
                segments.extend(self.block.drain(..).map(Segment::Control));
            }
        } else if let Some(at) = INPUT_REQUESTS.iter().find_map(|request| line.rfind(request)) {
            push_text(segments, &line[..at]);
            segments.push(Segment::Control(line[at..].to_owned()));
        } else {
            push_text(segments, line);
            push_text(segments, "\n");
        }
    }

    /// Turns a block that the cell has left unfinished into the text that it is.
    fn release_block(&mut self, segments: &mut Vec<Segment>) {
        for line in self.block.drain(..) {
            push_text(segments, &line);
            push_text(segments, "\n");
        }
    }

    /// Splits a line at the nonce into the text before it and the frame or marker behind it. The nonce may also occur in the text, because
    /// the environment, which a cell may print, holds it.
    fn split_signal<'a>(&self, line: &'a str) -> Option<(&'a str, Segment)> {
        if self.nonce.is_empty() {
            return None;
        }
        line.match_indices(self.nonce.as_str()).find_map(|(at, nonce)| {
            let rest = line[at + nonce.len()..].strip_prefix(' ')?;
            let signal = if is_marker(rest) {
                Segment::Control(rest.to_owned())
            } else {
                crate::live::Frame::parse(rest).map(|_| Segment::Live(rest.to_owned()))?
            };
            Some((&line[..at], signal))
        })
    }
}

/// True if the text is one of the markers that stand behind the nonce.
fn is_marker(text: &str) -> bool {
    [COMPLETE, PANICKED, FAILED].contains(&text) || text.starts_with(CHANGED_TYPE)
}

/// The offset at which a block of rich content begins in its first line, which names a MIME type.
fn block_start(line: &str) -> Option<usize> {
    let at = line.rfind(BEGIN_CONTENT)?;
    let mime = &line[at + BEGIN_CONTENT.len()..];
    (mime.contains('/') && !mime.contains(char::is_whitespace)).then_some(at)
}

fn push_text(segments: &mut Vec<Segment>, more: &str) {
    match segments.last_mut() {
        _ if more.is_empty() => {}
        Some(Segment::Text(text)) => text.push_str(more),
        _ => segments.push(Segment::Text(more.to_owned())),
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The length of the start of a signal with which the bytes end; 0 if none has begun.
fn begun_len(bytes: &[u8], signal: &[u8]) -> usize {
    (1..signal.len()).rev().find(|&len| bytes.ends_with(&signal[..len])).unwrap_or(0)
}

/// The length of the prefix that does not end inside a UTF-8 character.
#[must_use]
pub fn complete_utf8_len(bytes: &[u8]) -> usize {
    // A character has at most four bytes, and only its first is above 0xBF.
    let tail = bytes.len().saturating_sub(3);
    let last = bytes[tail..].iter().rposition(|&byte| byte > 0xBF).map_or(bytes.len(), |at| tail + at);
    match std::str::from_utf8(&bytes[last..]) {
        Err(error) if error.error_len().is_none() => last + error.valid_up_to(),
        _ => bytes.len(),
    }
}

/// Removes the first `len` bytes and returns them as text, with U+FFFD for invalid bytes.
pub fn take_text(bytes: &mut Vec<u8>, len: usize) -> String {
    let rest = bytes.split_off(len);
    String::from_utf8_lossy(&std::mem::replace(bytes, rest)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "0123456789abcdef0123456789abcdef";
    const FRAME: &str = r#"{"op":"clear_output","wait":true}"#;

    fn text(text: &str) -> Segment {
        Segment::Text(text.into())
    }

    fn live() -> Segment {
        Segment::Live(FRAME.into())
    }

    fn control(line: &str) -> Segment {
        Segment::Control(line.into())
    }

    #[test]
    fn text_and_frames_keep_their_order() {
        let input = format!("one\ntwo\n{NONCE} {FRAME}\nthree\n");
        assert_eq!(OutputParser::new(NONCE).push(input.as_bytes()), [text("one\ntwo\n"), live(), text("three\n")]);
    }

    #[test]
    fn text_before_a_frame_on_its_line_has_no_newline() {
        let input = format!("loading ... {NONCE} {FRAME}\n");
        assert_eq!(OutputParser::new(NONCE).push(input.as_bytes()), [text("loading ... "), live()]);
    }

    #[test]
    fn a_wrong_nonce_and_broken_json_are_text() {
        for line in
            [format!("{} {FRAME}\n", NONCE.replace('0', "1")), format!("{NONCE} {{\"op\"\n"), format!("{NONCE}\n")]
        {
            assert_eq!(OutputParser::new(NONCE).push(line.as_bytes()), [text(&line)]);
        }
        let line = format!(" {FRAME}\n");
        assert_eq!(OutputParser::new("").push(line.as_bytes()), [text(&line)]);
    }

    #[test]
    fn a_frame_that_arrives_in_parts_is_never_shown_as_text() {
        let mut parser = OutputParser::new(NONCE);
        let input = format!("{NONCE} {FRAME}\n");
        let (first, second) = input.split_at(50);
        assert_eq!(parser.push(first.as_bytes()), []);
        assert_eq!(parser.take_partial_line(), None);
        assert_eq!(parser.push(second.as_bytes()), [live()]);
    }

    #[test]
    fn a_progress_line_appears_before_its_newline() {
        let mut parser = OutputParser::new(NONCE);
        assert_eq!(parser.push(b"10 %"), []);
        assert_eq!(parser.take_partial_line(), Some(text("10 %")));
        assert_eq!(parser.push(b"\r20 %\n"), [text("\r20 %\n")]);
    }

    #[test]
    fn a_character_split_between_reads_is_joined() {
        let mut parser = OutputParser::new(NONCE);
        parser.push(b"5 \xc2");
        assert_eq!(parser.take_partial_line(), Some(text("5 ")));
        assert_eq!(parser.push(b"\xb5s\n"), [text("\u{b5}s\n")]);
        // Also behind an invalid byte.
        parser.push(b"\xff5 \xf0\x9f\x90");
        assert_eq!(parser.take_partial_line(), Some(text("\u{fffd}5 ")));
        assert_eq!(parser.push(b"\xbc\n"), [text("\u{1f43c}\n")]);
    }

    #[test]
    fn the_start_of_a_line_is_released_but_not_that_of_a_signal() {
        let frame = format!("{NONCE} {FRAME}\n");
        for begun in 1..NONCE.len() {
            let mut parser = OutputParser::new(NONCE);
            parser.push(format!("10 %{}", &frame[..begun]).as_bytes());
            assert_eq!(parser.take_start_of_line(), Some(text("10 %")));
            assert_eq!(parser.push(&frame.as_bytes()[begun..]), [live()]);
        }
        let content = "EVCXR_BEGIN_CONTENT text/plain\nfirst\nEVCXR_END_CONTENT\n";
        let mut parser = OutputParser::new(NONCE);
        parser.push(format!("10 %{}", &content[..4]).as_bytes());
        assert_eq!(parser.take_start_of_line(), Some(text("10 %")));
        assert_eq!(parser.push(&content.as_bytes()[4..]), content.lines().map(control).collect::<Vec<_>>());
        // The nonce begins with 0.
        parser.push(b"\r100");
        assert_eq!(parser.take_start_of_line(), Some(text("\r10")));
        parser.push(b" %");
        assert_eq!((parser.take_start_of_line(), parser.partial_len()), (Some(text("0 %")), 0));
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        assert_eq!(OutputParser::new(NONCE).push(b"a\xff\xfeb\n"), [text("a\u{fffd}\u{fffd}b\n")]);
    }

    #[test]
    fn text_without_a_newline_does_not_hide_the_end_of_a_cell() {
        let input = format!("no newline{NONCE} {COMPLETE}\n");
        assert_eq!(OutputParser::new(NONCE).push(input.as_bytes()), [text("no newline"), control(COMPLETE)]);
    }

    #[test]
    fn a_printed_nonce_does_not_hide_the_end_of_a_cell() {
        for printed in [
            format!("[(\"METAMERS_LIVE\", \"{NONCE}\")]"),
            format!("METAMERS_LIVE={NONCE} EVCXR_IS_RUNTIME=1 "),
            format!("{NONCE} {NONCE}"),
        ] {
            let input = format!("{printed}{NONCE} {COMPLETE}\n");
            assert_eq!(OutputParser::new(NONCE).push(input.as_bytes()), [text(&printed), control(COMPLETE)]);
            let input = format!("{printed}{NONCE} {FRAME}\n");
            assert_eq!(OutputParser::new(NONCE).push(input.as_bytes()), [text(&printed), live()]);
        }
    }

    #[test]
    fn a_marker_without_the_nonce_is_text() {
        for line in [COMPLETE, PANICKED, FAILED, "EVCXR_VARIABLE_CHANGED_TYPE:x", "EVCXR_BEGIN_CONTENT is a word"] {
            for line in [format!("{line}\n"), format!("so {line}\n"), format!("{} {line}\n", NONCE.replace('0', "1"))] {
                assert_eq!(OutputParser::new(NONCE).push(line.as_bytes()), [text(&line)]);
            }
        }
        let request = "EVCXR_INPUT_REQUEST:name?";
        let segments = OutputParser::new(NONCE).push(format!("a {request}\n").as_bytes());
        assert_eq!(segments, [text("a "), control(request)]);
    }

    #[test]
    fn the_content_of_a_result_is_for_evcxr() {
        let input = format!("x EVCXR_BEGIN_CONTENT text/plain\nfirst\n{NONCE} {FRAME}\nEVCXR_END_CONTENT\nafter\n");
        let segments = OutputParser::new(NONCE).push(input.as_bytes());
        let expected = ["EVCXR_BEGIN_CONTENT text/plain", "first", "EVCXR_END_CONTENT"].map(control);
        assert_eq!(segments[..2], [text("x "), live()]);
        assert_eq!(segments[2..5], expected);
        assert_eq!(segments[5..], [text("after\n")]);
    }

    #[test]
    fn content_that_a_cell_leaves_unfinished_is_text() {
        let block = "EVCXR_BEGIN_CONTENT text/plain\nfirst\n";
        let mut parser = OutputParser::new(NONCE);
        assert_eq!(parser.push(format!("{block}{NONCE} {COMPLETE}\n").as_bytes()), [text(block), control(COMPLETE)]);
        let result = "EVCXR_BEGIN_CONTENT text/plain\n\"EVCXR_BEGIN_CONTENT text/plain\"\nEVCXR_END_CONTENT\n";
        let segments = parser.push(format!("{block}{result}").as_bytes());
        assert_eq!(segments[0], text(block));
        assert_eq!(segments[1..], result.lines().map(control).collect::<Vec<_>>());
        assert_eq!(parser.push(block.as_bytes()), []);
        assert_eq!(parser.finish(), Some(text(block)));
    }
}
