//! Windows: job objects, a named event for interrupts, and polled pipes (in [`streams`]).

mod stdin;
mod streams;

pub use stdin::{CELLS_READ_STDIN, InputConnection, serve_stdin};
pub use streams::Streams;

use std::ffi::c_void;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, FromRawHandle, IntoRawHandle, OwnedHandle};
use std::os::windows::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::ptr::null;
use windows_sys::Win32::Foundation::{
    FILETIME, HANDLE, INVALID_HANDLE_VALUE, STATUS_ACCESS_VIOLATION, STATUS_ILLEGAL_INSTRUCTION,
    STATUS_INTEGER_DIVIDE_BY_ZERO, STATUS_NO_MEMORY, STATUS_STACK_BUFFER_OVERRUN, STATUS_STACK_OVERFLOW, WAIT_OBJECT_0,
    WAIT_TIMEOUT,
};
use windows_sys::Win32::System::Console::{STD_ERROR_HANDLE, SetConsoleCtrlHandler, SetStdHandle};
use windows_sys::Win32::System::Diagnostics::Debug::{SEM_FAILCRITICALERRORS, SEM_NOGPFAULTERRORBOX, SetErrorMode};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_BREAKAWAY_OK, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation, SetInformationJobObject,
};
use windows_sys::Win32::System::Threading::{
    CREATE_NEW_PROCESS_GROUP, EVENT_MODIFY_STATE, GetCurrentProcess, GetProcessTimes, OpenEventW, OpenProcess,
    PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE, PROCESS_TERMINATE, SetEvent, TerminateProcess,
    WaitForSingleObject,
};

/// Environment variable with the name of the event by which the library is interrupted; the library creates it.
const INTERRUPT_EVENT_VAR: &str = "METAMERS_INTERRUPT_EVENT";

/// The running program's executable.
pub fn current_program() -> io::Result<PathBuf> {
    std::env::current_exe()
}

/// Makes a file that runs this program: a hard link, or on another volume a copy.
pub fn link_current_program(link: &Path) -> io::Result<()> {
    let program = std::env::current_exe()?;
    let _ = std::fs::remove_file(link);
    std::fs::hard_link(&program, link).or_else(|_| std::fs::copy(&program, link).map(drop))
}

/// Makes this process and its future children ignore Ctrl-C.
pub fn ignore_interrupts() {
    // SAFETY: without a handler routine the call only sets a flag of this process.
    unsafe { SetConsoleCtrlHandler(None, 1) };
}

/// Makes this process survive Ctrl-C, which no kernel sends on Windows: an interrupt is an event for the library.
pub fn survive_interrupts() {
    ignore_interrupts();
}

/// Keeps Windows from showing a dialog, which nobody would see, when this process or a child of it crashes.
pub fn disable_crash_dialogs() {
    // SAFETY: the call only sets flags of this process.
    unsafe { SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX) };
}

/// Ends the children of this process with it, and their children: a job object that ends its processes when its last handle closes.
pub fn end_children_with_this_process() -> io::Result<()> {
    // SAFETY: attributes and name may be null.
    let job = owned(unsafe { CreateJobObjectW(null(), null()) })?;
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    // A program that shall live longer can be started with CREATE_BREAKAWAY_FROM_JOB.
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_BREAKAWAY_OK;
    let (data, len) = ((&raw const limits).cast::<c_void>(), size_of_val(&limits) as u32);
    // SAFETY: `job` is open, and `data` points to `len` bytes of the structure that this class of information has.
    check(unsafe { SetInformationJobObject(job.as_raw_handle(), JobObjectExtendedLimitInformation, data, len) })?;
    // SAFETY: both handles are open.
    check(unsafe { AssignProcessToJobObject(job.as_raw_handle(), GetCurrentProcess()) })?;
    // Closed by the system when this process ends.
    let _ = job.into_raw_handle();
    Ok(())
}

/// Makes a command the leader of a group, which [`interrupt_group`] and [`kill_group`] address. The leader must call
/// [`end_children_with_this_process`]; `name` is that of the group's interrupts.
pub fn lead_group<'a>(command: &'a mut Command, name: &str) -> &'a mut Command {
    command.creation_flags(CREATE_NEW_PROCESS_GROUP).env(INTERRUPT_EVENT_VAR, event_name(name))
}

fn event_name(group: &str) -> String {
    format!("Local\\metamers-{group}")
}

/// Interrupts the library in the process that evaluates cells. Code that does not listen, and programs that a cell started, are not
/// interrupted, because Windows has no signal for one process.
pub fn interrupt_group(_leader: u32, name: &str) {
    let name = wide(&event_name(name));
    // SAFETY: `name` ends with a zero. The event exists only while the library listens.
    if let Ok(event) = owned(unsafe { OpenEventW(EVENT_MODIFY_STATE, 0, name.as_ptr()) }) {
        // SAFETY: `event` is open.
        unsafe { SetEvent(event.as_raw_handle()) };
    }
}

/// Kills the leader of a group, with which its job object ends all others.
pub fn kill_group(leader: u32) {
    kill(leader);
}

/// Kills every process of the group that this process leads. Its job object does that when it ends.
pub fn kill_own_group() {}

/// Kills the processes of a group whose leader has ended. Its job object has done that, and the leader's id may be another process's.
pub fn kill_rest_of_group(_leader: u32) {}

/// Kills a process.
pub fn kill(pid: u32) {
    if let Some(process) = open(pid, PROCESS_TERMINATE) {
        // SAFETY: `process` is open.
        unsafe { TerminateProcess(process.as_raw_handle(), 1) };
    }
}

/// Ends a process. Windows cannot ask a process without a window.
pub fn terminate(pid: u32) {
    kill(pid);
}

/// True if a process with this id is running.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    // SAFETY: `process` is open during the call.
    let is_running = |process: OwnedHandle| unsafe { WaitForSingleObject(process.as_raw_handle(), 0) } == WAIT_TIMEOUT;
    open(pid, PROCESS_SYNCHRONIZE).is_some_and(is_running)
}

/// True while the process lives that Jupyter's variable `JPY_PARENT_PID` names. On Windows the value is an inherited handle.
#[must_use]
pub fn is_parent_alive(value: &str) -> bool {
    let Ok(handle) = value.parse::<isize>() else { return true };
    // SAFETY: a value that is no handle makes the call fail; it reads nothing of ours.
    unsafe { WaitForSingleObject(handle as HANDLE, 0) != WAIT_OBJECT_0 }
}

/// Pairs of process id and parent id.
pub(super) fn process_table() -> Vec<(u32, u32)> {
    let mut table = Vec::new();
    // SAFETY: the call takes numbers only.
    let Ok(snapshot) = owned(unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) }) else { return table };
    let mut entry = PROCESSENTRY32W { dwSize: size_of::<PROCESSENTRY32W>() as u32, ..Default::default() };
    // SAFETY: `snapshot` is open, and `entry` has the size that it states.
    let mut found = unsafe { Process32FirstW(snapshot.as_raw_handle(), &mut entry) };
    while found != 0 {
        table.push((entry.th32ProcessID, entry.th32ParentProcessID));
        // SAFETY: as above.
        found = unsafe { Process32NextW(snapshot.as_raw_handle(), &mut entry) };
    }
    // The id of a parent that has ended may belong to a younger process.
    table.retain(|&(pid, parent)| match (start_time(pid), start_time(parent)) {
        (Some(child), Some(parent)) => parent <= child,
        _ => true,
    });
    table
}

/// The time at which a process was started.
fn start_time(pid: u32) -> Option<u64> {
    let process = open(pid, PROCESS_QUERY_LIMITED_INFORMATION)?;
    let [mut created, mut exited, mut kernel, mut user] = [FILETIME::default(); 4];
    // SAFETY: `process` is open, and the pointers are to four structures of our own.
    let status = unsafe { GetProcessTimes(process.as_raw_handle(), &mut created, &mut exited, &mut kernel, &mut user) };
    (status != 0).then(|| u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime))
}

/// Waits for a request to end this process: Ctrl-Break, or the end of the console or the session.
pub async fn termination() -> io::Result<()> {
    use tokio::signal::windows::{ctrl_break, ctrl_close, ctrl_logoff, ctrl_shutdown};
    let (mut ctrl_break, mut close, mut logoff, mut shutdown) =
        (ctrl_break()?, ctrl_close()?, ctrl_logoff()?, ctrl_shutdown()?);
    tokio::select! {
        _ = ctrl_break.recv() => {}
        _ = close.recv() => {}
        _ = logoff.recv() => {}
        _ = shutdown.recv() => {}
    }
    Ok(())
}

/// Redirects the stderr of this process and its children into a pipe. Returns the pipe's read end and the original stderr.
pub fn capture_stderr() -> io::Result<(File, File)> {
    let (reader, writer) = io::pipe()?;
    // A server without a console gives its kernels no stderr.
    let original = match io::stderr().as_handle().try_clone_to_owned() {
        Ok(handle) => File::from(handle),
        Err(_) => File::options().write(true).open("NUL")?,
    };
    // SAFETY: `writer` is open, and stays open for as long as this process lives.
    check(unsafe { SetStdHandle(STD_ERROR_HANDLE, writer.into_raw_handle()) })?;
    Ok((File::from(OwnedHandle::from(reader)), original))
}

/// A handle to the pipe or file that is this process's stdout now.
pub fn duplicate_stdout() -> io::Result<File> {
    io::stdout().as_handle().try_clone_to_owned().map(File::from)
}

/// A path by which this process can open a pipe or file again: none, because pipes have no names.
#[must_use]
pub fn descriptor_path(_file: &File) -> Option<PathBuf> {
    None
}

/// Does nothing: a cell cannot close the stdout of this process through Rust's standard library.
pub fn restore_stdout(_duplicate: &File) {}

/// The name of this machine, by which others can tell it apart on a network.
#[must_use]
pub fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

/// Opens a file. Others cannot read it where the user's own files are.
pub fn open_private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.open(path)
}

/// Creates a directory. Others cannot open it where the user's own files are.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    std::fs::create_dir(path)
}

/// The reason of a process's end.
#[must_use]
pub fn describe_exit(status: ExitStatus) -> String {
    match status.code().unwrap_or(-1) {
        STATUS_ACCESS_VIOLATION => "access violation (segmentation fault)".into(),
        STATUS_STACK_OVERFLOW => "stack overflow, most often caused by infinite recursion".into(),
        STATUS_ILLEGAL_INSTRUCTION => "illegal instruction".into(),
        STATUS_INTEGER_DIVIDE_BY_ZERO => "arithmetic fault".into(),
        STATUS_NO_MEMORY => "out of memory".into(),
        // What Rust's `abort` causes.
        STATUS_STACK_BUFFER_OVERRUN => "aborted".into(),
        code => format!("exit status {code}"),
    }
}

/// The argument for rustc that links a cell with the library of another cell: none, see [`library_attribute`].
#[must_use]
pub fn library_argument(_library: &Path) -> Option<String> {
    None
}

/// The arguments for rustc that name a library for those that are linked with it: none, because each library is found by its file's name.
#[must_use]
pub fn install_name_arguments(_name: &Path) -> Vec<String> {
    Vec::new()
}

/// The attribute of an `extern` block whose statics are those of another cell's library. The library is already loaded, so that the loader
/// finds it by its name.
#[must_use]
pub fn library_attribute(library: &Path) -> String {
    let name = library.file_stem().unwrap_or_default().to_string_lossy();
    format!("#[link(name = \"{name}\", kind = \"raw-dylib\")] ")
}

fn open(pid: u32, rights: u32) -> Option<OwnedHandle> {
    // SAFETY: the call takes numbers only.
    owned(unsafe { OpenProcess(rights, 0, pid) }).ok()
}

/// A new handle, or the error of the call that returned none.
fn owned(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() || handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is valid, and nothing else owns it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

fn check(status: i32) -> io::Result<()> {
    if status == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use windows_sys::Win32::System::Threading::CreateEventW;

    #[test]
    fn an_interrupt_sets_the_event_of_its_group_alone() {
        let (name, other) = (wide(&event_name("test-one")), wide(&event_name("test-two")));
        // SAFETY: both names end with a zero.
        let [event, other] =
            [name, other].map(|name| owned(unsafe { CreateEventW(null(), 0, 0, name.as_ptr()) }).unwrap());
        interrupt_group(0, "test-one");
        interrupt_group(0, "without-an-event");
        // SAFETY: both events are open.
        let is_set = |event: &OwnedHandle| unsafe { WaitForSingleObject(event.as_raw_handle(), 0) } == WAIT_OBJECT_0;
        assert!(is_set(&event) && !is_set(&event) && !is_set(&other));
    }

    #[test]
    fn a_handle_that_is_none_does_not_end_the_kernel() {
        assert!(is_parent_alive("123456789") && is_parent_alive("no number"));
        // SAFETY: the call takes numbers only.
        let own = owned(unsafe { OpenProcess(PROCESS_SYNCHRONIZE, 0, std::process::id()) }).unwrap();
        assert!(is_parent_alive(&(own.as_raw_handle() as isize).to_string()));
        let mut child = Command::new(std::env::current_exe().unwrap()).arg("--list").spawn().unwrap();
        child.wait().unwrap();
        assert!(!is_parent_alive(&(child.as_raw_handle() as isize).to_string()));
    }
}
