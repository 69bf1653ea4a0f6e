//! Unix: signals, process groups, and `poll` (in [`streams`]).

mod stdin;
mod streams;

pub use stdin::{CELLS_READ_STDIN, InputConnection, serve_stdin};
pub use streams::Streams;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// The running program's executable; on Linux by a path that stays valid when the file is rebuilt.
pub fn current_program() -> io::Result<PathBuf> {
    let link = PathBuf::from("/proc/self/exe");
    if link.exists() { Ok(link) } else { std::env::current_exe() }
}

/// Makes a file that runs this program, for other processes, while this one lives.
pub fn link_current_program(link: &Path) -> io::Result<()> {
    let by_pid = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    let program = if by_pid.exists() { by_pid } else { std::env::current_exe()? };
    let _ = std::fs::remove_file(link);
    std::os::unix::fs::symlink(program, link)
}

/// Makes this process and its future children ignore SIGINT.
pub fn ignore_interrupts() {
    // SAFETY: SIG_IGN is a valid disposition for SIGINT and installs no handler that could run in signal context.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
}

/// Makes this process survive SIGINT, and not the programs that it starts: they inherit a signal that is ignored, but no handler.
pub fn survive_interrupts() {
    extern "C" fn nothing(_: libc::c_int) {}
    let handler: extern "C" fn(libc::c_int) = nothing;
    // SAFETY: an action of zeros is valid, and the handler does nothing, which is allowed in signal context. Calls that it interrupts are
    // restarted.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGINT, &action, std::ptr::null_mut());
    }
}

/// Prepares a process whose crash is reported by the kernel. Nothing to do on Unix.
pub fn disable_crash_dialogs() {}

/// Ends the children of this process with it. On Unix the kernel kills the process group instead.
pub fn end_children_with_this_process() -> io::Result<()> {
    Ok(())
}

/// Makes a command the leader of a new process group, which [`interrupt_group`] and [`kill_group`] address: all processes that a cell
/// starts belong to it. `name` identifies the group where an id does not.
pub fn lead_group<'a>(command: &'a mut Command, _name: &str) -> &'a mut Command {
    command.process_group(0)
}

/// Sends SIGINT to every process of a group.
pub fn interrupt_group(leader: u32, _name: &str) {
    signal_group(leader, libc::SIGINT);
}

/// Kills every process of a group.
pub fn kill_group(leader: u32) {
    signal_group(leader, libc::SIGKILL);
}

/// Kills every process of the group that this process leads, and itself; does nothing if another process leads its group.
pub fn kill_own_group() {
    // SAFETY: the call takes nothing and touches no memory of ours.
    let group = unsafe { libc::getpgrp() };
    if u32::try_from(group) == Ok(std::process::id()) {
        kill_group(std::process::id());
    }
}

/// Kills the processes of a group whose leader has ended.
pub fn kill_rest_of_group(leader: u32) {
    kill_group(leader);
}

fn signal_group(group: u32, signal: i32) {
    let Ok(group) = i32::try_from(group) else { return };
    // -1 would address every process and 0 our own group.
    if group > 1 {
        // SAFETY: `kill` takes integers and touches no memory of ours.
        unsafe { libc::kill(-group, signal) };
    }
}

/// Kills a process.
pub fn kill(pid: u32) {
    signal(pid, libc::SIGKILL);
}

/// Asks a process to end.
pub fn terminate(pid: u32) {
    signal(pid, libc::SIGTERM);
}

fn signal(pid: u32, signal: i32) {
    if let Ok(pid) = i32::try_from(pid)
        && pid > 1
    {
        // SAFETY: `kill` takes integers and touches no memory of ours; `pid` is positive, so it addresses one process.
        unsafe { libc::kill(pid, signal) };
    }
}

/// True if a process with this id exists.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return false };
    // SAFETY: `kill` takes integers and touches no memory of ours; signal 0 checks for existence and sends nothing.
    let status = unsafe { libc::kill(pid, 0) };
    status == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// True while the process lives that Jupyter's variable `JPY_PARENT_PID` names. On Unix the value is its id.
#[must_use]
pub fn is_parent_alive(value: &str) -> bool {
    value.parse().map_or(true, is_alive)
}

/// Pairs of process id and parent id.
pub(super) fn process_table() -> Vec<(u32, u32)> {
    let Ok(entries) = std::fs::read_dir("/proc").map(|entries| entries.flatten()) else {
        return process_table_from_ps();
    };
    let mut table = Vec::new();
    for entry in entries {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name is in parentheses and may contain anything; state and parent id follow it.
        let parent =
            stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)).and_then(|ppid| ppid.parse().ok());
        table.extend(parent.map(|parent| (pid, parent)));
    }
    table
}

fn process_table_from_ps() -> Vec<(u32, u32)> {
    let Ok(output) = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output() else { return Vec::new() };
    let pair = |line: &str| {
        let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(pair).collect()
}

/// Waits for a request to end this process: SIGTERM or SIGHUP.
pub async fn termination() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut hangup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}

/// Redirects the stderr of this process and its children into a pipe. Returns the pipe's read end and the original stderr.
pub fn capture_stderr() -> io::Result<(File, File)> {
    let (reader, writer) = io::pipe()?;
    let original = io::stderr().as_fd().try_clone_to_owned()?;
    // SAFETY: both descriptors are open: `writer` is owned here, and stderr was just cloned. `dup2` replaces stderr atomically, and no
    // Rust value owns descriptor 2.
    if unsafe { libc::dup2(writer.as_raw_fd(), libc::STDERR_FILENO) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((File::from(OwnedFd::from(reader)), File::from(original)))
}

/// A handle to the pipe or file that is this process's stdout now.
pub fn duplicate_stdout() -> io::Result<File> {
    io::stdout().as_fd().try_clone_to_owned().map(File::from)
}

/// A path by which this process can open a pipe or file again while it is open.
#[must_use]
pub fn descriptor_path(file: &File) -> Option<PathBuf> {
    Some(format!("/dev/fd/{}", file.as_raw_fd()).into())
}

/// Makes a duplicate the stdout of this process again if a cell has closed that.
pub fn restore_stdout(duplicate: &File) {
    // SAFETY: F_GETFD takes no pointer, and an unknown descriptor makes it fail.
    let is_open = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } >= 0;
    if !is_open {
        // SAFETY: `duplicate` is open, and descriptor 1 is not.
        unsafe { libc::dup2(duplicate.as_raw_fd(), libc::STDOUT_FILENO) };
    }
}

/// The name of this machine, by which others can tell it apart on a network.
#[must_use]
pub fn host_name() -> String {
    let mut buffer = [0u8; 256];
    // SAFETY: pointer and length describe `buffer`, less its last byte, which stays the end of the text.
    let status = unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), buffer.len() - 1) };
    let name = if status == 0 { buffer.split(|&byte| byte == 0).next().unwrap_or_default() } else { &[] };
    String::from_utf8_lossy(name).into_owned()
}

/// Opens a file that only its owner can read, also if it existed before.
pub fn open_private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.mode(0o600).open(path)?;
    let mut permissions = file.metadata()?.permissions();
    permissions.set_mode(0o600);
    file.set_permissions(permissions)?;
    Ok(file)
}

/// Creates a directory that only its owner can open.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// The reason of a process's end.
#[must_use]
pub fn describe_exit(status: ExitStatus) -> String {
    match status.signal() {
        Some(libc::SIGABRT) => "aborted".into(),
        Some(libc::SIGSEGV) => "segmentation fault, or infinite recursion in a thread".into(),
        Some(libc::SIGILL) => "illegal instruction".into(),
        Some(libc::SIGBUS) => "bus error".into(),
        Some(libc::SIGFPE) => "arithmetic fault".into(),
        Some(libc::SIGKILL) => "killed, most often because memory ran out".into(),
        Some(signal) => format!("signal {signal}"),
        None => format!("exit status {}", status.code().unwrap_or(-1)),
    }
}

/// The argument for rustc that links a cell with the library of another cell.
#[must_use]
pub fn library_argument(library: &Path) -> Option<String> {
    Some(format!("-Clink-arg={}", library.display()))
}

/// The arguments for rustc that name a library for those that are linked with it: on macOS, where the libraries of all cells would have the
/// same name, and the first one would be found for each.
#[must_use]
pub fn install_name_arguments(name: &Path) -> Vec<String> {
    if !cfg!(target_os = "macos") {
        return Vec::new();
    }
    let name = name.display().to_string();
    // Not `-Wl,`, which splits at commas. The linker takes the last name, and rustc gives one too.
    ["-Xlinker", "-install_name", "-Xlinker", name.as_str()].map(|argument| format!("-Clink-arg={argument}")).into()
}

/// The attribute of an `extern` block whose statics are those of another cell's library: none, because the linker finds them.
#[must_use]
pub fn library_attribute(_library: &Path) -> String {
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build_cache::BuildCache;

    #[test]
    fn a_private_file_can_be_read_by_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        std::fs::write(&path, "").unwrap();
        for path in [path, dir.path().join("new")] {
            open_private(File::options().create(true).append(true), &path).unwrap();
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_kernel_directory_can_be_opened_by_its_owner_only() {
        let home = tempfile::tempdir().unwrap();
        let cache = BuildCache::new(home.path());
        cache.prepare().unwrap();
        for has_template in [false, true] {
            if has_template {
                std::fs::create_dir_all(cache.root().join("template").join("src")).unwrap();
            }
            let path = cache.create_kernel_dir().unwrap();
            assert_eq!(path.join("src").exists(), has_template);
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
}
