//! Reading of a child's pipes without waiting, and waiting for all of them by `poll`.

use super::InputConnection;
use crate::platform::Available;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::{ChildStderr, ChildStdout};
use std::time::Duration;

/// The sources that the supervisor waits for: the child's stdout and stderr, its requests for input, and its exit.
pub struct Streams {
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    input: InputConnection,
    /// Closed when the child has exited, even if a grandchild keeps the child's pipes open.
    alive: UnixStream,
}

/// Tells [`Streams`], when it is dropped, that the child has exited.
pub struct ExitNotice {
    _held: UnixStream,
}

impl Streams {
    /// The sources of a child.
    pub fn new(stdout: ChildStdout, stderr: ChildStderr, input: InputConnection) -> io::Result<(Streams, ExitNotice)> {
        let (alive, held) = UnixStream::pair()?;
        for fd in [stdout.as_raw_fd(), stderr.as_raw_fd(), alive.as_raw_fd()] {
            // SAFETY: the owners live until the end of the call, so `fd` is open; F_GETFL and F_SETFL take no pointers.
            unsafe { libc::fcntl(fd, libc::F_SETFL, libc::fcntl(fd, libc::F_GETFL) | libc::O_NONBLOCK) };
        }
        Ok((Streams { stdout: Some(stdout), stderr: Some(stderr), input, alive }, ExitNotice { _held: held }))
    }

    /// Waits until a source has something; returns false after the timeout. Without a timeout it waits forever.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let mut watched = vec![self.alive.as_raw_fd(), self.input.descriptor()];
        watched.extend(self.stdout.as_ref().map(AsRawFd::as_raw_fd));
        watched.extend(self.stderr.as_ref().map(AsRawFd::as_raw_fd));
        wait_readable(&watched, timeout)
    }

    /// Reads what has arrived on the child's stdout.
    pub fn read_stdout(&mut self) -> Available {
        read_available(&mut self.stdout)
    }

    /// Reads what has arrived on the child's stderr.
    pub fn read_stderr(&mut self) -> Available {
        read_available(&mut self.stderr)
    }

    /// True if the child has requested a line since the last call.
    pub fn take_request(&mut self) -> bool {
        wait_readable(&[self.input.descriptor()], Some(Duration::ZERO)) && self.input.read_request()
    }

    /// True once the child has exited.
    pub fn has_exited(&self) -> bool {
        matches!((&self.alive).read(&mut [0]), Ok(0))
    }
}

/// Waits until a descriptor is readable or closed; returns false after the timeout.
fn wait_readable(descriptors: &[RawFd], timeout: Option<Duration>) -> bool {
    let timeout = timeout.map_or(-1, |timeout| i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX));
    let mut polled: Vec<_> =
        descriptors.iter().map(|&fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
    // SAFETY: pointer and length describe `polled`, which lives and is not otherwise used during the call.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout) != 0 }
}

fn read_available(pipe: &mut Option<impl Read>) -> Available {
    let Some(open) = pipe else { return Available::Closed };
    let mut buffer = vec![0; 1 << 16];
    match open.read(&mut buffer) {
        Ok(count) if count > 0 => {
            buffer.truncate(count);
            return Available::Bytes(buffer);
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            return Available::Nothing;
        }
        Ok(_) | Err(_) => *pipe = None,
    }
    Available::Closed
}
