//! Reading of a child's pipes without waiting. Windows cannot wait for anonymous pipes, so they are asked again and again.

use super::InputConnection;
use crate::platform::Available;
use std::io::{self, Read};
use std::os::windows::io::AsRawHandle;
use std::process::{ChildStderr, ChildStdout};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use windows_sys::Win32::System::Pipes::PeekNamedPipe;

/// Pause between two looks at the pipes while output arrives, and while nothing has arrived for a long time.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(15)];
/// Maximum size of a read.
const MAX_READ: usize = 1 << 16;

/// The sources that the supervisor waits for: the child's stdout and stderr, and its exit.
pub struct Streams {
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    _input: InputConnection,
    has_exited: Arc<AtomicBool>,
}

/// Tells [`Streams`], when it is dropped, that the child has exited.
pub struct ExitNotice(Arc<AtomicBool>);

impl Drop for ExitNotice {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Streams {
    /// The sources of a child.
    pub fn new(stdout: ChildStdout, stderr: ChildStderr, input: InputConnection) -> io::Result<(Streams, ExitNotice)> {
        let has_exited = Arc::new(AtomicBool::new(false));
        let notice = ExitNotice(has_exited.clone());
        Ok((Streams { stdout: Some(stdout), stderr: Some(stderr), _input: input, has_exited }, notice))
    }

    /// Waits until a source has something; returns false after the timeout. Without a timeout it waits forever.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let started = Instant::now();
        let mut pause = PAUSES[0];
        loop {
            if self.has_exited() || has_arrived(self.stdout.as_ref()) || has_arrived(self.stderr.as_ref()) {
                return true;
            }
            let left = timeout.map_or(PAUSES[1], |timeout| timeout.saturating_sub(started.elapsed()));
            if left.is_zero() {
                return false;
            }
            std::thread::sleep(pause.min(left));
            pause = pause.mul_f32(1.05).min(PAUSES[1]);
        }
    }

    /// Reads what has arrived on the child's stdout.
    pub fn read_stdout(&mut self) -> Available {
        read_available(&mut self.stdout)
    }

    /// Reads what has arrived on the child's stderr.
    pub fn read_stderr(&mut self) -> Available {
        read_available(&mut self.stderr)
    }

    /// Never true, because a cell cannot request input.
    pub fn take_request(&mut self) -> bool {
        false
    }

    /// True once the child has exited.
    pub fn has_exited(&self) -> bool {
        self.has_exited.load(Ordering::SeqCst)
    }
}

/// The number of bytes in a pipe; an error once it is closed and empty.
fn arrived(pipe: &impl AsRawHandle) -> io::Result<usize> {
    let mut count = 0;
    // SAFETY: `pipe` is borrowed for the call, so its handle is open; only the count is asked for, and the other pointers may be null.
    let status = unsafe { PeekNamedPipe(pipe.as_raw_handle(), null_mut(), 0, null_mut(), &mut count, null_mut()) };
    if status == 0 { Err(io::Error::last_os_error()) } else { Ok(count as usize) }
}

/// True if a read would return at once. A closed pipe counts once, until it is read.
fn has_arrived(pipe: Option<&impl AsRawHandle>) -> bool {
    pipe.is_some_and(|pipe| !matches!(arrived(pipe), Ok(0)))
}

fn read_available<P: AsRawHandle + Read>(pipe: &mut Option<P>) -> Available {
    let Some(open) = pipe else { return Available::Closed };
    let count = match arrived(open) {
        Ok(0) => return Available::Nothing,
        Ok(count) => count.min(MAX_READ),
        Err(_) => 0,
    };
    let mut buffer = vec![0; count];
    match open.read(&mut buffer) {
        Ok(count) if count > 0 => {
            buffer.truncate(count);
            Available::Bytes(buffer)
        }
        Ok(_) | Err(_) => {
            *pipe = None;
            Available::Closed
        }
    }
}
