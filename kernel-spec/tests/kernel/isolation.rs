//! Parallel kernels, and kernels without a network or writable user directories.

use crate::client::{Client, home, turn};
use std::process::{Command, Stdio};

#[test]
fn two_kernels_run_independently() {
    let _turn = turn();
    let mut kernels = [Client::start(), Client::start()];
    // The directories are there once the library is compiled.
    kernels.iter_mut().for_each(|kernel| drop(kernel.run("1").ok()));
    assert!(kernels.iter().all(|kernel| kernel.build_dir().is_dir()));
    for round in 0..3 {
        let cells: Vec<String> = (0..2)
            .map(|i| {
                let code = format!(
                    "let shared_name = Tensor::full({i}{round}f32, 3, &Device::Cpu)?.sum_all()?.to_scalar::<f32>()?;"
                );
                kernels[i].begin(&code)
            })
            .collect();
        for (i, cell) in cells.iter().enumerate() {
            kernels[i].end(cell).ok();
        }
        for (i, kernel) in kernels.iter_mut().enumerate() {
            let expected = 3 * (10 * i + round);
            assert_eq!(kernel.run("shared_name as usize").ok().result(), expected.to_string(), "kernel {i}");
        }
    }
    // An interrupt or shutdown of one kernel does not affect the other.
    let endless = "println!(\"running\"); loop { std::thread::sleep(Duration::from_millis(5)); }";
    let [first, second] = &mut kernels;
    let cell = first.begin(endless);
    first.wait_for(&cell, "running");
    assert_eq!(second.run("shared_name as usize").ok().result(), "36");
    first.interrupt();
    first.wait_for(&cell, "does not listen");
    first.interrupt();
    assert_eq!(first.end(&cell).status(), "error");
    assert_eq!(second.run("shared_name as usize").ok().result(), "36");
    first.shut_down();
    assert!(first.kernel.wait().unwrap().success());
    assert!(second.build_dir().is_dir());
    assert_eq!(second.run("shared_name as usize").ok().result(), "36");
}

/// Programs that a cell starts inherit the variable by which evcxr marks the process that evaluates cells.
#[test]
fn a_command_in_the_environment_of_a_cell_is_carried_out() {
    let output = Command::new(env!("CARGO_BIN_EXE_metamers-kernel"))
        .arg("--version")
        .env("EVCXR_IS_RUNTIME", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.starts_with("metamers-kernel "), "{text}");
}

#[test]
fn an_unavailable_dependency_is_one_error() {
    let _turn = turn();
    let mut program = Command::new(env!("CARGO_BIN_EXE_metamers-kernel"));
    program
        .arg("--connection")
        .env("METAMERS_HOME", home())
        .env("METAMERS_HISTORY", "off")
        .env("CARGO_NET_OFFLINE", "true");
    let mut kernel = Client::spawn_ready(program);
    kernel.run("let kept = 7;").ok();
    let (_, text) = kernel.run(":dep a_crate_that_nobody_published = \"1\"").error();
    assert!(text.contains("a_crate_that_nobody_published") && text.contains("offline"), "{text}");
    assert_eq!(kernel.run("kept").ok().result(), "7");
}

#[test]
fn a_kernel_works_without_writable_user_directories() {
    let _turn = turn();
    let mut program = Command::new(env!("CARGO_BIN_EXE_metamers-kernel"));
    let nowhere = "/proc/no-such-folder";
    program
        .arg("--connection")
        .env("METAMERS_HOME", home())
        .env("METAMERS_HISTORY", format!("{nowhere}/history"))
        .env("XDG_CACHE_HOME", nowhere)
        .env("XDG_DATA_HOME", nowhere)
        .env("JUPYTER_DATA_DIR", nowhere);
    let mut kernel = Client::spawn_ready(program);
    assert_eq!(kernel.run("zoo::efficientnet_lite0()?.name().to_owned()").ok().result(), "\"EfficientNet-Lite0\"");
    let output = Command::new(env!("CARGO_BIN_EXE_metamers-kernel"))
        .arg("install")
        .env("JUPYTER_DATA_DIR", nowhere)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("cannot create") && text.contains(nowhere), "{text}");
}
