//! The end of a kernel: at once, and nothing is left.

mod common;

use common::{Client, descendants, figure, until};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

fn gone(pid: u32) {
    until("a process to end", Duration::from_secs(10), || !Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_shutdown_in_the_middle_of_a_cell_leaves_no_process_and_no_folder() {
    let mut kernel = Client::start();
    let id = kernel.begin("println!(\"running\"); loop { std::thread::sleep(std::time::Duration::from_millis(5)); }");
    kernel.wait_for(&id, "running");
    let (processes, folder) = (descendants(kernel.kernel.id()), kernel.build_folder());
    assert!(processes.len() >= 2 && folder.exists());
    assert_eq!(kernel.shut_down()["status"], "ok");
    let status = kernel.kernel.wait().unwrap();
    assert!(status.success());
    processes.into_iter().for_each(gone);
    assert!(!folder.exists());
}

#[test]
fn a_killed_kernel_leaves_no_process_and_the_next_one_removes_its_folder() {
    let mut kernel = Client::start();
    kernel.run("1").ok();
    let (processes, folder) = (descendants(kernel.kernel.id()), kernel.build_folder());
    assert!(folder.exists());
    kernel.kernel.kill().unwrap();
    kernel.kernel.wait().unwrap();
    processes.into_iter().for_each(gone);
    // Another test's kernel may be the next one.
    Client::start().run("1").ok();
    assert!(!folder.exists());
}

/// The packages of a folder's lock file, each with its version.
fn versions(folder: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(folder.join("Cargo.lock")).unwrap();
    let value = |line: &str| line.split('"').nth(1).unwrap().to_owned();
    let mut lines = text.lines();
    let mut found = BTreeSet::new();
    while let Some(line) = lines.next() {
        if line.starts_with("name = ") {
            found.insert(format!("{} {}", value(line), value(lines.next().unwrap())));
        }
    }
    found
}

#[test]
fn dependencies_survive_the_process_that_ran_the_cells() {
    let mut kernel = Client::start();
    kernel.run(":dep itoa = \"1\"").ok();
    // The library's own versions stay: others would be compiled anew, with the library, under the process that has it loaded.
    let (ours, project) = (versions(&kernel.build_folder()), versions(&kernel.home));
    let foreign: Vec<_> = ours.difference(&project).filter(|package| !package.starts_with("ctx ")).collect();
    assert!(ours.len() > 100 && foreign.is_empty(), "{} packages, among them {foreign:?}", ours.len());
    kernel.run("fn text(number: u32) -> String { itoa::Buffer::new().format(number).to_owned() }").ok();
    assert_eq!(kernel.run("text(41)").ok().result(), "\"41\"");
    let (name, text) = kernel.run("std::process::abort();").error();
    assert_eq!(name, "ProcessEnded");
    assert!(text.contains("dependencies and the prelude are kept"), "{text}");
    assert_eq!(kernel.run("text(42)").ok().result(), "\"42\"");
    assert_eq!(kernel.run("itoa::Buffer::new().format(43u8).to_owned()").ok().result(), "\"43\"");
}

/// Lets a process have this much more memory than it has taken.
fn leave(pid: u32, megabytes: u64) {
    let bytes = (figure(pid, "VmSize:") << 10) + (megabytes << 20);
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: it reads one structure, and the old limits are not asked for.
    let answer = unsafe { libc::prlimit(pid as libc::pid_t, libc::RLIMIT_AS, &limit, std::ptr::null_mut()) };
    assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn memory_that_runs_out_is_said_and_survived() {
    let mut kernel = Client::start();
    let pid: u32 = kernel.run("std::process::id()").ok().result().parse().unwrap();
    leave(pid, 700);
    let outcome = kernel.run(
        "let mut taken: Vec<Vec<u8>> = vec![];\n\
         loop { taken.push(vec![1; 64 << 20]); println!(\"{}\", taken.len()); }",
    );
    let (name, text) = outcome.error();
    assert_eq!(name, "ProcessEnded");
    assert!(text.contains("memory ran out") && text.contains("variables are lost"), "{text}");
    assert_eq!(outcome.text("stderr"), "", "one message, and no addresses");
    assert!(outcome.text("stdout").lines().count() >= 3, "it took memory: {:?}", outcome.text("stdout"));
    // The process that comes next is not the one that was limited.
    let tensor = "Tensor::ones((1 << 14, 1 << 14), DType::F32, &Device::Cpu)?.elem_count()";
    assert_eq!(kernel.run(tensor).ok().result(), (1 << 28).to_string());
}
