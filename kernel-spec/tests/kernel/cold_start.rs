//! Build progress in the notebook while the kernel compiles the library.

use crate::client::{Client, turn};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Writes a project whose library compiles in a second, once the file `go` exists.
fn write_project(home: &Path) {
    let write = |name: &str, text: &str| {
        let path = home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "Cargo.toml",
        "[package]\nname = \"metamers\"\nversion = \"0.0.1\"\nedition = \"2024\"\n\
         [lib]\ncrate-type = [\"lib\", \"dylib\"]\n[dependencies]\nslow = { path = \"slow\" }\n",
    );
    write(
        "Cargo.lock",
        "version = 4\n\n[[package]]\nname = \"metamers\"\nversion = \"0.0.1\"\ndependencies = [\n \"slow\",\n]\n\n\
         [[package]]\nname = \"slow\"\nversion = \"0.0.2\"\n",
    );
    write("src/lib.rs", "pub mod prelude {\n    pub fn greeting() -> &'static str { \"from the prelude\" }\n}\n");
    write("slow/Cargo.toml", "[package]\nname = \"slow\"\nversion = \"0.0.2\"\nedition = \"2024\"\n");
    write("slow/src/lib.rs", "");
    write(
        "slow/build.rs",
        "fn main() {\n    println!(\"cargo::rerun-if-changed=build.rs\");\n    for _ in 0..6000 {\n        \
         if std::path::Path::new(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/go\")).exists() { return; }\n        \
         std::thread::sleep(std::time::Duration::from_millis(10));\n    }\n}\n",
    );
}

#[test]
fn build_progress_is_shown_in_the_waiting_cell() {
    let _turn = turn();
    let home = tempfile::tempdir().unwrap();
    write_project(home.path());
    let mut program = Command::new(env!("CARGO_BIN_EXE_metamers-kernel"));
    program.arg("--connection").env("METAMERS_HOME", home.path()).env("METAMERS_HISTORY", "off");
    let mut kernel = Client::spawn(program);
    let cell = kernel.begin("greeting()");
    kernel.wait_for_kind(&cell, "execute_input");
    fs::write(home.path().join("slow/go"), "").unwrap();
    // Progress arrives while the cell waits.
    let seen = kernel.wait_for(&cell, "Compiling metamers v0.0.1");
    assert!(seen.lines().all(|line| line.trim_start().starts_with("Compiling ")), "{seen}");
    let outcome = kernel.end(&cell).ok();
    assert_eq!(outcome.result(), "\"from the prelude\"");
    assert_eq!(outcome.text("stdout"), "");
    // Only the first cell waits.
    assert_eq!(kernel.run("1 + 1").ok().text("stderr"), "");
    kernel.shut_down();
    kernel.kernel.wait().unwrap();
}

#[test]
fn a_project_path_may_be_long_and_contain_spaces_and_umlauts() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("Jörg Müllers  Übungen (1)").join("ein langer Name ".repeat(10).trim_end());
    write_project(&home);
    fs::write(home.join("slow/go"), "").unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_metamers-kernel"));
    program.arg("--connection").env("METAMERS_HOME", &home).env("METAMERS_HISTORY", "off");
    let mut kernel = Client::spawn(program);
    assert_eq!(kernel.run("let kept = greeting(); kept.len()").ok().result(), "16");
    // The kernel flushes text without a newline by a library of its own, whose path has the spaces, too.
    assert_eq!(kernel.run("print!(\"no newline\");").ok().text("stdout"), "no newline");
    assert_eq!(kernel.run("kept").ok().result(), "\"from the prelude\"");
    let (_, text) = kernel.run("let wrong: u8 = kept;").error();
    assert!(text.contains("mismatched types"), "{text}");
    kernel.shut_down();
    kernel.kernel.wait().unwrap();
}

#[test]
fn a_library_that_no_longer_compiles_is_an_error_until_it_is_mended() {
    let _turn = turn();
    let home = tempfile::tempdir().unwrap();
    write_project(home.path());
    fs::write(home.path().join("slow/go"), "").unwrap();
    let start = || {
        let mut program = Command::new(env!("CARGO_BIN_EXE_metamers-kernel"));
        program.arg("--connection").env("METAMERS_HOME", home.path()).env("METAMERS_HISTORY", "off");
        Client::spawn(program)
    };
    let mut kernel = start();
    assert_eq!(kernel.run("greeting()").ok().result(), "\"from the prelude\"");
    kernel.shut_down();
    kernel.kernel.wait().unwrap();

    // The template of the first kernel holds compiled cells that call the library as it was.
    let write_greeting = |value: &str| {
        let source = format!("pub mod prelude {{\n    pub fn greeting() -> &'static str {{ {value} }}\n}}\n");
        fs::write(home.path().join("src/lib.rs"), source).unwrap();
    };
    write_greeting("1");
    let mut kernel = start();
    let (name, text) = kernel.run("greeting()").error();
    assert!(name == "Prelude" && text.contains("mismatched types"), "{name}: {text}");
    write_greeting("\"mended\"");
    assert_eq!(kernel.run("greeting()").ok().result(), "\"mended\"");
    kernel.shut_down();
    kernel.kernel.wait().unwrap();
}
