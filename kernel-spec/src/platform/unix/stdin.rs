//! The stdin of the cells, on Linux by a `read` of our own: the dynamic linker prefers it to libc's, and it asks the supervisor over a
//! socket. On other systems a read finds the end of the file.

use crate::cell_input::REQUEST;
use std::fs::File;
use std::io::{Error, Read, Result, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::Command;

/// True if a read of stdin in a cell asks the front end for a line.
pub const CELLS_READ_STDIN: bool = cfg!(target_os = "linux");
/// Environment variable with the descriptor of the socket on which the evaluating process requests input.
const INPUT_SOCKET_VAR: &str = "METAMERS_INPUT_SOCKET";

/// The supervisor's end of the connection on which the evaluating process requests input.
pub struct InputConnection(UnixStream);

/// The evaluating process's end, held open until that process has started and inherited it.
pub struct ChildEnd(UnixStream);

impl ChildEnd {
    /// Closes this process's copy.
    pub fn close(self) {
        drop(self.0);
    }
}

impl InputConnection {
    /// Opens a connection to the process that a command will start.
    pub fn open(command: &mut Command) -> Result<(InputConnection, ChildEnd)> {
        let (input, socket) = UnixStream::pair()?;
        // SAFETY: `socket` is borrowed for the call, so the descriptor is open and stays open; F_SETFD takes no pointer.
        unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_SETFD, 0) };
        command.env(INPUT_SOCKET_VAR, socket.as_raw_fd().to_string());
        Ok((InputConnection(input), ChildEnd(socket)))
    }

    /// The writer of replies.
    pub fn replies(&self) -> Result<Box<dyn Write + Send>> {
        Ok(Box::new(self.0.try_clone()?))
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Reads a byte; true if it is a request.
    pub(super) fn read_request(&mut self) -> bool {
        let mut byte = [0];
        matches!(self.0.read(&mut byte), Ok(1)) && byte[0] == REQUEST
    }
}

/// Makes stdin empty for programs that the cells start, and lets the cells themselves request input; returns the pipe on which evcxr's
/// commands arrive. Must be called before a thread is started.
pub fn serve_stdin(start: impl FnOnce(Box<dyn Write + Send>, Box<dyn Read + Send>)) -> Result<File> {
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
        start(Box::new(requests.try_clone()?), Box::new(requests));
    }
    // SAFETY: this process has not started a thread yet.
    unsafe { std::env::remove_var(INPUT_SOCKET_VAR) };
    Ok(File::from(commands))
}

/// libc's `read`, except for descriptor 0 of the evaluating process.
///
/// # Safety
/// As for libc's `read`: `buffer` must be valid for writing `count` bytes.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
unsafe extern "C" fn read(descriptor: libc::c_int, buffer: *mut libc::c_void, count: libc::size_t) -> libc::ssize_t {
    if descriptor == libc::STDIN_FILENO
        && count > 0
        && let Some(line) = crate::cell_input::CellInput::read_for_cell(count)
    {
        return match line {
            Ok(bytes) => {
                // SAFETY: `bytes` has at most `count` bytes, for which the caller's buffer has room, and is a separate allocation.
                unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.cast(), bytes.len()) };
                bytes.len() as libc::ssize_t
            }
            Err(error) => {
                // SAFETY: the location of this thread's errno is valid for writing.
                unsafe { *libc::__errno_location() = error.raw_os_error().unwrap_or(libc::ECANCELED) };
                -1
            }
        };
    }
    // SAFETY: the caller's arguments, for the system call of this name.
    unsafe { libc::syscall(libc::SYS_read, descriptor, buffer, count) as libc::ssize_t }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    #[test]
    fn requests_and_replies_cross_the_connection() {
        let (input, cell) = UnixStream::pair().unwrap();
        let mut connection = InputConnection(input);
        (&cell).write_all(&[REQUEST]).unwrap();
        assert!(connection.read_request());
        writeln!(connection.replies().unwrap(), "Lfive").unwrap();
        let mut line = String::new();
        BufReader::new(cell).read_line(&mut line).unwrap();
        assert_eq!(line, "Lfive\n");
    }
}
