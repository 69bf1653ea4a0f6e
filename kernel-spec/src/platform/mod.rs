//! The operating system: processes, pipes, signals. Its two halves, `unix` and `windows`, have the same functions.
//!
//! Programs and paths are in [`metamers_lab::platform`].

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
pub use windows::*;

/// The result of a read that does not wait.
#[derive(Debug, PartialEq)]
pub enum Available {
    /// The bytes that had arrived.
    Bytes(Vec<u8>),
    /// Nothing has arrived.
    Nothing,
    /// The other end is closed, and everything has been read.
    Closed,
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::{Command, Stdio};

    /// Runs only the test of this name, in a process of its own.
    fn this_test(name: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &format!("platform::tests::{name}"), "--nocapture"]);
        command
    }

    #[test]
    fn a_child_is_a_descendant_until_it_is_killed() {
        const ROLE: &str = "METAMERS_TEST_SLEEPER";
        if std::env::var_os(ROLE).is_some() {
            std::thread::sleep(std::time::Duration::from_secs(60));
            return;
        }
        let mut child = this_test("a_child_is_a_descendant_until_it_is_killed")
            .env(ROLE, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = child.id();
        assert!(is_alive(pid) && descendants(0).contains(&pid) && !descendants(pid).contains(&pid));
        kill(pid);
        assert!(!child.wait().unwrap().success());
        assert!(!is_alive(pid) && !descendants(0).contains(&pid));
    }

    #[test]
    fn a_killed_group_leaves_no_process() {
        const ROLE: &str = "METAMERS_TEST_GROUP";
        let name = "a_killed_group_leaves_no_process";
        let role = std::env::var(ROLE).unwrap_or_default();
        if !role.is_empty() {
            if role == "leader" {
                end_children_with_this_process().unwrap();
                // Killed with the group.
                drop(this_test(name).env(ROLE, "member").spawn().unwrap().stdin.take());
            }
            println!("{role} is running");
            std::thread::sleep(std::time::Duration::from_secs(60));
            return;
        }
        let mut command = this_test(name);
        let mut leader = lead_group(&mut command, name).env(ROLE, "leader").stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = leader.stdout.take().unwrap();
        let mut printed = Vec::new();
        while !String::from_utf8_lossy(&printed).contains("member is running") {
            let mut byte = [0];
            stdout.read_exact(&mut byte).unwrap();
            printed.extend(byte);
        }
        let killed = std::time::Instant::now();
        kill_group(leader.id());
        leader.wait().unwrap();
        // The pipe closes when no process has it any more.
        stdout.read_to_end(&mut printed).unwrap();
        assert!(killed.elapsed().as_secs() < 30, "a member of the group has outlived it");
    }

    #[test]
    fn everything_printed_before_the_end_of_a_process_is_read() {
        const ROLE: &str = "METAMERS_TEST_PRINTER";
        if std::env::var_os(ROLE).is_some() {
            eprint!("to stderr");
            print!("to stdout");
            return;
        }
        let mut command = this_test("everything_printed_before_the_end_of_a_process_is_read");
        command.env(ROLE, "1").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (input, child_end) = InputConnection::open(&mut command).unwrap();
        let mut child = command.spawn().unwrap();
        child_end.close();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (mut streams, exit) = Streams::new(stdout, stderr, input).unwrap();
        let waiter = std::thread::spawn(move || {
            let status = child.wait();
            drop(exit);
            status
        });
        let (mut printed, mut errors) = (Vec::new(), Vec::new());
        loop {
            assert!(streams.wait(Some(std::time::Duration::from_secs(20))), "nothing arrives");
            // Read before the output, so that all output before the exit is found.
            let has_exited = streams.has_exited();
            while let Available::Bytes(mut bytes) = streams.read_stderr() {
                errors.append(&mut bytes);
            }
            while let Available::Bytes(mut bytes) = streams.read_stdout() {
                printed.append(&mut bytes);
            }
            if has_exited {
                break;
            }
        }
        assert!(waiter.join().unwrap().unwrap().success());
        assert!(!streams.take_request());
        assert_eq!(String::from_utf8(errors).unwrap(), "to stderr");
        assert!(String::from_utf8(printed).unwrap().contains("to stdout"));
    }

    #[test]
    fn a_captured_stderr_is_read_from_the_pipe() {
        const ROLE: &str = "METAMERS_TEST_CAPTURE";
        if std::env::var_os(ROLE).is_some() {
            let (mut pipe, mut original) = capture_stderr().unwrap();
            // As a child, because the test harness keeps what a test prints itself.
            Command::new(current_program().unwrap()).arg("--no-such-option").status().unwrap();
            let mut bytes = [0; 5];
            pipe.read_exact(&mut bytes).unwrap();
            std::io::Write::write_all(&mut original, b"<").unwrap();
            std::io::Write::write_all(&mut original, &bytes).unwrap();
            std::io::Write::write_all(&mut original, b">").unwrap();
            return;
        }
        let output = this_test("a_captured_stderr_is_read_from_the_pipe").env(ROLE, "1").output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && text.contains("<error>"), "{text}");
    }
}
