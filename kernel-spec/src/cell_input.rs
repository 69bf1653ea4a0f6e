//! The stdin of the cells.
//!
//! evcxr's commands arrive on the stdin of the evaluating process. They move to a descriptor of their own, and descriptor 0 becomes
//! /dev/null, so that programs that a cell starts find the end of the file. On Linux, a read of descriptor 0 by the process itself is a
//! request for a line: this program defines `read`, which the dynamic linker prefers to libc's, and asks the supervisor over a socket.
//! On other systems a read finds the end of the file.

use crate::sync::lock;
use std::fs::File;
use std::io::{BufRead, BufReader, Error, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

/// Environment variable with the descriptor of the socket on which the evaluating process requests input.
pub const INPUT_SOCKET_VAR: &str = "METAMERS_INPUT_SOCKET";
/// Environment variable with the path of the flush library.
pub const FLUSH_LIBRARY_VAR: &str = "METAMERS_FLUSH_LIBRARY";
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

/// Gives the cells their stdin; returns the pipe on which evcxr's commands arrive. `flush` flushes the cells' stdout by the flush library.
pub fn separate_commands(flush: fn(&Path)) -> std::io::Result<File> {
    let commands = std::io::stdin().as_fd().try_clone_to_owned()?;
    let null = File::open("/dev/null")?;
    // SAFETY: `null` is open and no Rust value owns descriptor 0. The commands' descriptor was cloned before.
    if unsafe { libc::dup2(null.as_raw_fd(), libc::STDIN_FILENO) } < 0 {
        return Err(Error::last_os_error());
    }
    if let Some(socket) = std::env::var(INPUT_SOCKET_VAR).ok().and_then(|number| number.parse::<RawFd>().ok()) {
        // SAFETY: the supervisor leaves this socket open for this process, and nothing else has taken it.
        let inherited = unsafe { OwnedFd::from_raw_fd(socket) };
        // A clone is closed in the programs that a cell starts.
        let requests = UnixStream::from(inherited.try_clone()?);
        let flush_library = std::env::var_os(FLUSH_LIBRARY_VAR).map(PathBuf::from);
        let replies = BufReader::new(requests.try_clone()?);
        let _ = INPUT.set(Mutex::new(CellInput { requests, replies, flush, flush_library, pending: Vec::new() }));
    }
    for name in [INPUT_SOCKET_VAR, FLUSH_LIBRARY_VAR] {
        // SAFETY: this process has not started a thread yet.
        unsafe { std::env::remove_var(name) };
    }
    Ok(File::from(commands))
}

/// The evaluating process's end of the input socket.
struct CellInput {
    requests: UnixStream,
    replies: BufReader<UnixStream>,
    flush: fn(&Path),
    flush_library: Option<PathBuf>,
    /// The part of a line that has not been read.
    pending: Vec<u8>,
}

impl CellInput {
    /// Up to `max_len` bytes of a line, none at the end of the file.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "called by `read`"))]
    fn read(&mut self, max_len: usize) -> std::io::Result<Vec<u8>> {
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
                Reply::Interrupted => return Err(Error::from_raw_os_error(libc::ECANCELED)),
            }
        }
        let rest = self.pending.split_off(max_len.min(self.pending.len()));
        Ok(std::mem::replace(&mut self.pending, rest))
    }
}

/// libc's `read`, except for descriptor 0 of the evaluating process.
///
/// # Safety
/// As for libc's `read`: `buffer` must be valid for writing `count` bytes.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
unsafe extern "C" fn read(descriptor: libc::c_int, buffer: *mut libc::c_void, count: libc::size_t) -> libc::ssize_t {
    let Some(input) = INPUT.get().filter(|_| descriptor == libc::STDIN_FILENO && count > 0) else {
        // SAFETY: the caller's arguments, for the system call of this name.
        return unsafe { libc::syscall(libc::SYS_read, descriptor, buffer, count) as libc::ssize_t };
    };
    match lock(input).read(count) {
        Ok(bytes) => {
            // SAFETY: `bytes` has at most `count` bytes, for which the caller's buffer has room, and is a separate allocation.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.cast(), bytes.len()) };
            bytes.len() as libc::ssize_t
        }
        Err(error) => {
            // SAFETY: the location of this thread's errno is valid for writing.
            unsafe { *libc::__errno_location() = error.raw_os_error().unwrap_or(libc::EIO) };
            -1
        }
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
        let (cell, mut supervisor) = UnixStream::pair().unwrap();
        supervisor.write_all(b"Lfive\nE\nI\n").unwrap();
        let replies = BufReader::new(cell.try_clone().unwrap());
        let mut input = CellInput { requests: cell, replies, flush: |_| (), flush_library: None, pending: Vec::new() };
        let mut next = |max_len| input.read(max_len).map_err(|error| error.raw_os_error());
        assert_eq!(next(3), Ok(b"fiv".to_vec()));
        assert_eq!(next(100), Ok(b"e\n".to_vec()));
        assert_eq!(next(100), Ok(Vec::new()));
        assert_eq!(next(100), Err(Some(libc::ECANCELED)));
    }
}
