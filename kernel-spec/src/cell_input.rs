//! The stdin of the cells.
//!
//! evcxr's commands arrive on the stdin of the evaluating process. They move to a handle of their own, and stdin becomes empty, so that
//! programs that a cell starts find the end of the file. Where the system allows it ([`platform::CELLS_READ_STDIN`]), a read of stdin by
//! the process itself is a request for a line, which the supervisor answers.

use crate::platform;
use crate::sync::lock;
use std::fs::File;
use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

/// Environment variable with the path of the flush library.
pub const FLUSH_LIBRARY_VAR: &str = "METAMERS_FLUSH_LIBRARY";
/// Warns about a cell that reads stdin where cells cannot.
const NO_STDIN: &str = "warning: on this system a cell cannot ask for input: a read of stdin finds the end of the file. Set the value in the \
     code.";
/// The byte that requests a line.
pub const REQUEST: u8 = b'?';

static INPUT: OnceLock<Mutex<CellInput>> = OnceLock::new();

/// The reply to a request for input.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A line, without its newline.
    Line(String),
    /// The end of the file.
    EndOfFile,
    /// The read fails.
    Interrupted,
}

impl Reply {
    /// Encodes the reply as one line of text, without a newline.
    #[must_use]
    pub fn encode(&self) -> String {
        match self {
            Reply::Line(text) => format!("L{}", text.lines().next().unwrap_or_default()),
            Reply::EndOfFile => "E".into(),
            Reply::Interrupted => "I".into(),
        }
    }

    /// Decodes a line; anything but a reply is the end of the file.
    #[must_use]
    pub fn decode(line: &str) -> Reply {
        match (line.strip_prefix('L'), line) {
            (Some(text), _) => Reply::Line(text.to_owned()),
            (None, "I") => Reply::Interrupted,
            _ => Reply::EndOfFile,
        }
    }
}

/// The warning about a cell, if it reads stdin and this system has no way to answer.
#[must_use]
pub fn warning(code: &str) -> Option<&'static str> {
    (!platform::CELLS_READ_STDIN && code.contains("stdin()")).then_some(NO_STDIN)
}

/// Gives the cells their stdin; returns the pipe on which evcxr's commands arrive. `flush` flushes the cells' stdout by the flush library.
pub fn separate_commands(flush: fn(&Path)) -> Result<File> {
    let flush_library = std::env::var_os(FLUSH_LIBRARY_VAR).map(PathBuf::from);
    let commands = platform::serve_stdin(|requests, replies| {
        let replies = BufReader::new(replies);
        let _ = INPUT.set(Mutex::new(CellInput { requests, replies, flush, flush_library, pending: Vec::new() }));
    })?;
    // SAFETY: this process has not started a thread yet.
    unsafe { std::env::remove_var(FLUSH_LIBRARY_VAR) };
    Ok(commands)
}

/// The evaluating process's end of the connection for input.
pub struct CellInput {
    requests: Box<dyn Write + Send>,
    replies: BufReader<Box<dyn Read + Send>>,
    flush: fn(&Path),
    flush_library: Option<PathBuf>,
    /// The part of a line that has not been read.
    pending: Vec<u8>,
}

impl CellInput {
    /// Up to `max_len` bytes of a line, none at the end of the file; `None` if this is not the evaluating process.
    #[allow(dead_code, reason = "called where a program can replace the system's read")]
    pub fn read_for_cell(max_len: usize) -> Option<Result<Vec<u8>>> {
        INPUT.get().map(|input| lock(input).read(max_len))
    }

    #[allow(dead_code, reason = "called by `read_for_cell`")]
    fn read(&mut self, max_len: usize) -> Result<Vec<u8>> {
        if self.pending.is_empty() {
            // The text before the cursor is the prompt.
            if let Some(library) = &self.flush_library {
                (self.flush)(library);
            }
            self.requests.write_all(&[REQUEST])?;
            let mut line = String::new();
            self.replies.read_line(&mut line)?;
            match Reply::decode(line.trim_end_matches('\n')) {
                Reply::Line(text) => self.pending = format!("{text}\n").into_bytes(),
                Reply::EndOfFile => {}
                Reply::Interrupted => return Err(Error::other("the cell was interrupted")),
            }
        }
        let rest = self.pending.split_off(max_len.min(self.pending.len()));
        Ok(std::mem::replace(&mut self.pending, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_round_trip_as_one_line() {
        for reply in [Reply::Line(String::new()), Reply::Line("I am 5".into()), Reply::EndOfFile, Reply::Interrupted] {
            assert_eq!(Reply::decode(&reply.encode()), reply);
        }
        assert_eq!(Reply::Line("one\ntwo".into()).encode(), "Lone");
        assert_eq!(Reply::decode(""), Reply::EndOfFile);
    }

    #[test]
    fn a_line_is_read_in_parts_and_an_interrupt_is_an_error() {
        let replies: Box<dyn Read + Send> = Box::new("Lfive\nE\nI\n".as_bytes());
        let mut input = CellInput {
            requests: Box::new(std::io::sink()),
            replies: BufReader::new(replies),
            flush: |_| (),
            flush_library: None,
            pending: Vec::new(),
        };
        let mut next = |max_len| input.read(max_len).map_err(|error| error.to_string());
        assert_eq!(next(3), Ok(b"fiv".to_vec()));
        assert_eq!(next(100), Ok(b"e\n".to_vec()));
        assert_eq!(next(100), Ok(Vec::new()));
        assert_eq!(next(100), Err("the cell was interrupted".into()));
    }
}
