//! The few things that only the operating system can do: signals, process groups, waiting for several pipes.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::process::Command;

/// This program, as something to start: on Linux by a name that stays right when the file is built anew under a running kernel.
pub fn this_program() -> std::io::Result<PathBuf> {
    let itself = PathBuf::from("/proc/self/exe");
    if itself.exists() { Ok(itself) } else { std::env::current_exe() }
}

/// This program, as something for other processes to start while this one lives.
pub fn this_program_by_number() -> std::io::Result<PathBuf> {
    let itself = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    if itself.exists() { Ok(itself) } else { std::env::current_exe() }
}

/// Makes this process, and what it starts, deaf to SIGINT.
pub fn ignore_interrupts() {
    // SAFETY: setting a disposition to SIG_IGN installs no code of ours.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
}

/// Sends a signal to every process of a group; whether anyone received it.
pub fn signal_group(group: u32, signal: i32) -> bool {
    let Ok(group) = i32::try_from(group) else { return false };
    // SAFETY: kill reads its arguments and nothing else. Groups 0 and 1 would mean other things than a group.
    group > 1 && unsafe { libc::kill(-group, signal) } == 0
}

/// Sends a signal to one process.
pub fn signal(pid: u32, signal: i32) {
    if let Ok(pid) = i32::try_from(pid)
        && pid > 1
    {
        // SAFETY: kill reads its arguments and nothing else.
        unsafe { libc::kill(pid, signal) };
    }
}

/// Whether a process of this number exists.
pub fn is_alive(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return false };
    // SAFETY: signal 0 only asks.
    let answer = unsafe { libc::kill(pid, 0) };
    answer == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// Every process that this one started, directly or not, except `spare` and what it started.
pub fn descendants(spare: u32) -> Vec<u32> {
    let table = process_table();
    let mut found = vec![std::process::id()];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(table.iter().filter(|&&(pid, of)| of == parent && pid != spare).map(|&(pid, _)| pid));
        next += 1;
    }
    found.split_off(1)
}

/// Pairs of process and parent.
fn process_table() -> Vec<(u32, u32)> {
    let Ok(entries) = std::fs::read_dir("/proc").map(|entries| entries.flatten()) else {
        return process_table_of_ps();
    };
    let mut table = Vec::new();
    for entry in entries {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name, in parentheses, may hold anything; the state and the parent follow it.
        let parent =
            stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)).and_then(|ppid| ppid.parse().ok());
        table.extend(parent.map(|parent| (pid, parent)));
    }
    table
}

fn process_table_of_ps() -> Vec<(u32, u32)> {
    let Ok(output) = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output() else { return Vec::new() };
    let pair = |line: &str| {
        let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(pair).collect()
}

/// Makes reads return at once when there is nothing to read.
pub fn set_nonblocking(file: &impl AsRawFd) {
    let fd = file.as_raw_fd();
    // SAFETY: fcntl on a descriptor that `file` keeps open.
    unsafe { libc::fcntl(fd, libc::F_SETFL, libc::fcntl(fd, libc::F_GETFL) | libc::O_NONBLOCK) };
}

/// Waits until one of these can be read or is closed; false after `timeout` milliseconds (never for -1).
pub fn wait_readable(descriptors: &[RawFd], timeout: i32) -> bool {
    let mut polled: Vec<_> =
        descriptors.iter().map(|&fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
    // SAFETY: the pointer and the length are those of a live vector.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout) != 0 }
}

/// Sends everything that this process and what it starts write to stderr into a pipe. Returns the pipe's end to read and the stderr
/// that there was.
pub fn capture_stderr() -> std::io::Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: pipe fills two integers; the descriptors that it and dup return are ours alone and are wrapped at once.
    unsafe {
        if libc::pipe(ends.as_mut_ptr()) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        let (read, write) = (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]));
        libc::fcntl(ends[0], libc::F_SETFD, libc::FD_CLOEXEC);
        libc::fcntl(ends[1], libc::F_SETFD, libc::FD_CLOEXEC);
        let original = libc::fcntl(libc::STDERR_FILENO, libc::F_DUPFD_CLOEXEC, 3);
        if original < 0 || libc::dup2(write.as_raw_fd(), libc::STDERR_FILENO) < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok((File::from(read), File::from_raw_fd(original)))
    }
}
