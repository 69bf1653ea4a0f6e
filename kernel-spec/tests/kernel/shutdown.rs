//! Shutdown and crashes: processes and directories are removed.

use crate::client::{Client, descendants, proc_status, turn, until};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn assert_exits(pid: u32) {
    until("a process to end", Duration::from_secs(10), || !Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_shutdown_during_a_cell_leaves_no_process_and_no_directory() {
    let _turn = turn();
    let mut kernel = Client::start();
    let id = kernel.begin("println!(\"running\"); loop { std::thread::sleep(std::time::Duration::from_millis(5)); }");
    kernel.wait_for(&id, "running");
    let (processes, build_dir) = (descendants(kernel.kernel.id()), kernel.build_dir());
    assert!(processes.len() >= 2 && build_dir.exists());
    assert_eq!(kernel.shut_down()["status"], "ok");
    assert_eq!(kernel.wait_for_broadcast("shutdown_reply")["restart"], false);
    let status = kernel.kernel.wait().unwrap();
    assert!(status.success());
    processes.into_iter().for_each(assert_exits);
    assert!(!build_dir.exists());
}

#[test]
fn a_killed_kernel_leaves_no_process_and_the_next_one_removes_its_directory() {
    let _turn = turn();
    let mut kernel = Client::start();
    // Programs that cells have started end, too.
    kernel.run("std::process::Command::new(\"sleep\").arg(\"600\").spawn()?;").ok();
    let (processes, build_dir) = (descendants(kernel.kernel.id()), kernel.build_dir());
    assert!(processes.len() >= 3 && build_dir.exists());
    kernel.kernel.kill().unwrap();
    kernel.kernel.wait().unwrap();
    processes.into_iter().for_each(assert_exits);
    Client::start().run("1").ok();
    assert!(!build_dir.exists());
}

/// The packages in a directory's lock file, with their versions.
fn locked_packages(dir: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(dir.join("Cargo.lock")).unwrap();
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
fn dependencies_survive_the_end_of_the_evaluating_process() {
    let _turn = turn();
    let mut kernel = Client::start();
    let added = kernel.run(":dep itoa = \"1\"").ok();
    assert!(!added.text("stderr").contains("Compiling metamers"), "{}", added.text("stderr"));
    // The versions of the library's dependencies must not change: the library would be recompiled while a process has it loaded.
    let (ours, project) = (locked_packages(&kernel.build_dir()), locked_packages(&kernel.home));
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

/// Limits the address space of a process to its present size and this many megabytes more.
fn limit_memory(pid: u32, megabytes: u64) {
    let bytes = (proc_status(pid, "VmSize:") << 10) + (megabytes << 20);
    let mut prlimit = Command::new("prlimit");
    let status = prlimit.args(["--pid", &pid.to_string(), &format!("--as={bytes}")]).status();
    assert!(status.expect("util-linux has prlimit").success());
}

#[test]
fn the_session_survives_out_of_memory() {
    let _turn = turn();
    let mut kernel = Client::start();
    let pid: u32 = kernel.run("std::process::id()").ok().result().parse().unwrap();
    limit_memory(pid, 700);
    let outcome = kernel.run(
        "let mut taken: Vec<Vec<u8>> = vec![];\n\
         loop { taken.push(vec![1; 64 << 20]); println!(\"{}\", taken.len()); }",
    );
    let (name, text) = outcome.error();
    assert_eq!(name, "ProcessEnded");
    assert!(text.contains("out of memory") && text.contains("variables are lost"), "{text}");
    assert_eq!(outcome.text("stderr"), "", "more than one message");
    assert!(
        outcome.text("stdout").lines().count() >= 3,
        "the cell took too little memory: {:?}",
        outcome.text("stdout")
    );
    // The next process is not limited.
    let tensor = "Tensor::ones((1 << 14, 1 << 14), DType::F32, &Device::Cpu)?.elem_count()";
    assert_eq!(kernel.run(tensor).ok().result(), (1 << 28).to_string());
}
