//! The stdin of the cells: empty, because a program cannot replace the system's function that reads it.

use std::fs::File;
use std::io::{Read, Result, Write};
use std::os::windows::io::{AsHandle, AsRawHandle, IntoRawHandle};
use std::process::Command;
use windows_sys::Win32::Foundation::{HANDLE_FLAG_INHERIT, SetHandleInformation};
use windows_sys::Win32::System::Console::{STD_INPUT_HANDLE, SetStdHandle};

/// True if a read of stdin in a cell asks the front end for a line.
pub const CELLS_READ_STDIN: bool = false;

/// The supervisor's end of the connection on which the evaluating process would request input.
pub struct InputConnection;

/// The evaluating process's end.
pub struct ChildEnd;

impl ChildEnd {
    /// Does nothing: there is no connection.
    pub fn close(self) {}
}

impl InputConnection {
    /// Opens no connection.
    pub fn open(_command: &mut Command) -> Result<(InputConnection, ChildEnd)> {
        Ok((InputConnection, ChildEnd))
    }

    /// A writer that drops its input.
    pub fn replies(&self) -> Result<Box<dyn Write + Send>> {
        Ok(Box::new(std::io::sink()))
    }
}

/// Makes stdin empty for the cells and for programs that they start; returns the pipe on which evcxr's commands arrive. Must be called
/// before a thread is started.
pub fn serve_stdin(_start: impl FnOnce(Box<dyn Write + Send>, Box<dyn Read + Send>)) -> Result<File> {
    let stdin = std::io::stdin();
    let commands = stdin.as_handle().try_clone_to_owned()?;
    // SAFETY: the handle is open. It was inherited, and must not reach the programs that a cell starts.
    unsafe { SetHandleInformation(stdin.as_raw_handle(), HANDLE_FLAG_INHERIT, 0) };
    let null = File::open("NUL")?;
    // SAFETY: the handle is open, and stays open for as long as this process lives.
    if unsafe { SetStdHandle(STD_INPUT_HANDLE, null.into_raw_handle()) } == 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(File::from(commands))
}
