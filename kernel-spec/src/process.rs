//! Operating-system interface: signals, process groups, polling of pipes.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// The running program's executable; on Linux by a path that stays valid when the file is rebuilt.
pub fn current_program() -> std::io::Result<PathBuf> {
    let link = PathBuf::from("/proc/self/exe");
    if link.exists() { Ok(link) } else { std::env::current_exe() }
}

/// The running program's executable, by a path that other processes can use while this one lives.
pub fn current_program_by_pid() -> std::io::Result<PathBuf> {
    let link = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    if link.exists() { Ok(link) } else { std::env::current_exe() }
}

/// Makes this process and its future children ignore SIGINT.
pub fn ignore_interrupts() {
    // SAFETY: SIG_IGN is a valid disposition for SIGINT and installs no handler that could run in signal context.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
}

/// Sends a signal to every process of a group; returns true if at least one received it.
pub fn signal_group(group: u32, signal: i32) -> bool {
    let Ok(group) = i32::try_from(group) else { return false };
    // SAFETY: `kill` takes integers and touches no memory of ours. -1 would address every process and 0 our own group; `group > 1`
    // excludes both.
    group > 1 && unsafe { libc::kill(-group, signal) } == 0
}

/// Sends a signal to one process.
pub fn signal(pid: u32, signal: i32) {
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
    status == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// All descendants of this process, except `excluded` and its own descendants.
#[must_use]
pub fn descendants(excluded: u32) -> Vec<u32> {
    let table = process_table();
    let mut found = vec![std::process::id()];
    let mut next = 0;
    while next < found.len() {
        let current = found[next];
        found.extend(table.iter().filter(|&&(pid, parent)| parent == current && pid != excluded).map(|&(pid, _)| pid));
        next += 1;
    }
    found.split_off(1)
}

/// Pairs of process id and parent id.
fn process_table() -> Vec<(u32, u32)> {
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

/// Makes reads return immediately when no data is available.
pub fn set_nonblocking(file: &impl AsRawFd) {
    let fd = file.as_raw_fd();
    // SAFETY: `file` is borrowed for the call, so `fd` is open and stays open; F_GETFL and F_SETFL take no pointers.
    unsafe { libc::fcntl(fd, libc::F_SETFL, libc::fcntl(fd, libc::F_GETFL) | libc::O_NONBLOCK) };
}

/// Lets programs that this process starts inherit a descriptor.
pub fn make_inheritable(file: &impl AsRawFd) {
    // SAFETY: `file` is borrowed for the call, so the descriptor is open and stays open; F_SETFD takes no pointer.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) };
}

/// Waits until a descriptor is readable or closed; returns false after the timeout. Without a timeout it waits forever.
pub fn wait_readable(descriptors: &[RawFd], timeout: Option<Duration>) -> bool {
    let timeout = timeout.map_or(-1, |timeout| i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX));
    let mut polled: Vec<_> =
        descriptors.iter().map(|&fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
    // SAFETY: pointer and length describe `polled`, which lives and is not otherwise used during the call.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout) != 0 }
}

/// Redirects the stderr of this process and its children into a pipe. Returns the pipe's read end and the original stderr.
pub fn capture_stderr() -> std::io::Result<(File, File)> {
    let (reader, writer) = std::io::pipe()?;
    let original = std::io::stderr().as_fd().try_clone_to_owned()?;
    // SAFETY: both descriptors are open: `writer` is owned here, and stderr was just cloned. `dup2` replaces stderr atomically, and no
    // Rust value owns descriptor 2.
    if unsafe { libc::dup2(writer.as_raw_fd(), libc::STDERR_FILENO) } < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok((File::from(OwnedFd::from(reader)), File::from(original)))
}
