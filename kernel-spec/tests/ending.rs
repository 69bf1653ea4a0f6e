//! The end of a kernel: at once, and nothing is left.

mod common;

use common::{Client, descendants};
use std::path::Path;
use std::time::{Duration, Instant};

fn gone(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what} is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
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
    for pid in processes {
        gone("a process", || !Path::new(&format!("/proc/{pid}")).exists());
    }
    assert!(!folder.exists());
}

#[test]
fn a_killed_kernel_leaves_no_process_and_the_next_one_removes_its_folder() {
    let mut kernel = Client::start();
    kernel.run("1").ok();
    let (processes, folder) = (descendants(kernel.kernel.id()), kernel.build_folder());
    kernel.kernel.kill().unwrap();
    kernel.kernel.wait().unwrap();
    for pid in processes {
        gone("a process", || !Path::new(&format!("/proc/{pid}")).exists());
    }
    assert!(folder.exists());
    Client::start().run("1").ok();
    assert!(!folder.exists());
}
