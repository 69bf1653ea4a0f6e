//! Errors for missing prerequisites, and for invalid arguments. Shell scripts play the programs.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// A directory with links to these programs, found in PATH.
fn dir_with(programs: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for program in programs {
        let paths = std::env::var_os("PATH").unwrap();
        let found = std::env::split_paths(&paths).map(|path| path.join(program)).find(|path| path.exists());
        symlink(
            found.unwrap_or_else(|| panic!("this test needs {program}, which is not in PATH")),
            folder.path().join(program),
        )
        .unwrap();
    }
    folder
}

fn script(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The error message of `--setup` with this PATH.
fn set_up_error(path: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_metamers-lab"))
        .arg("--setup")
        .env_remove("RUST_SRC_PATH")
        // Ends the set-up at the latest where it would build.
        .env("CARGO", "/not-installed/cargo")
        .env("PATH", path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_missing_compiler_is_an_error_with_install_instructions() {
    let text = set_up_error(dir_with(&[]).path());
    assert!(text.contains("a C compiler and linker (cc) is missing; install it with"), "{text}");
}

#[test]
fn a_missing_python_is_an_error_with_install_instructions() {
    let folder = dir_with(&[]);
    script(folder.path(), "cc", "exit 0");
    let text = set_up_error(folder.path());
    assert!(text.contains("Python 3.9 or newer with venv is missing; install it with"), "{text}");
}

/// A directory with a compiler, a Python that cannot create environments, and a rustc with this sysroot.
fn dir_with_rustc(sysroot: &Path) -> tempfile::TempDir {
    let folder = dir_with(&["mkdir"]);
    script(folder.path(), "cc", "exit 0");
    script(folder.path(), "python3", "[ \"$1\" = -c ]");
    script(folder.path(), "rustc", &format!("echo \"{}\"", sysroot.display()));
    folder
}

#[test]
fn a_missing_rustc_is_an_error_with_install_instructions() {
    let folder = dir_with(&[]);
    script(folder.path(), "cc", "exit 0");
    script(folder.path(), "python3", "exit 0");
    let text = set_up_error(folder.path());
    assert!(text.contains("rustc is missing; install Rust as described at https://rustup.rs"), "{text}");
}

#[test]
fn missing_standard_library_sources_are_added_by_rustup_to_the_active_toolchain_alone() {
    let rustup_home = tempfile::tempdir().unwrap();
    let sysroot = rustup_home.path().join("toolchains/stable of mine");
    let library = sysroot.join("lib/rustlib/src/rust/library");
    fs::create_dir_all(&sysroot).unwrap();
    let folder = dir_with_rustc(&sysroot);
    let log = rustup_home.path().join("log");
    let rustup = |then: &str| {
        let text = format!("for word in \"$@\"; do echo \"$word\" >> \"{}\"; done\n{then}", log.display());
        script(folder.path(), "rustup", &text);
    };
    rustup("exit 1");
    let text = set_up_error(folder.path());
    assert!(
        text.contains("cannot add the sources of Rust's standard library (rustup ended with exit status: 1"),
        "{text}"
    );
    assert!(text.contains("try\n  rustup component add rust-src"), "{text}");

    fs::remove_file(&log).unwrap();
    rustup(&format!("mkdir -p \"{}\"", library.display()));
    let text = set_up_error(folder.path());
    assert!(text.contains("Adding rust-src"), "{text}");
    assert!(!text.contains("standard library is missing"), "{text}");
    let asked = fs::read_to_string(&log).unwrap();
    assert_eq!(asked, "component\nadd\nrust-src\n--toolchain\nstable of mine\n");
    // The second time there is nothing to add.
    fs::remove_file(&log).unwrap();
    let text = set_up_error(folder.path());
    assert!(!text.contains("Adding") && !log.exists(), "{text}");
}

#[test]
fn the_package_of_the_distribution_is_named_when_rust_does_not_come_from_rustup() {
    let sysroot = tempfile::tempdir().unwrap();
    let folder = dir_with_rustc(sysroot.path());
    script(folder.path(), "rustup", "echo rustup was run >&2");
    let text = set_up_error(folder.path());
    assert!(
        text.contains("the package with the sources of Rust's standard library is missing")
            && text.contains("install rust-src"),
        "{text}"
    );
    assert!(!text.contains("rustup was run"), "{text}");
}

#[test]
fn an_ambiguous_notebook_name_is_an_error_before_the_set_up() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["05_a.ipynb", "05_b.ipynb"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    let output =
        Command::new(env!("CARGO_BIN_EXE_metamers-lab")).arg("--run").arg(folder.path().join("05")).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"".as_slice()));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.ends_with("ambiguous, several notebooks match: 05_a.ipynb, 05_b.ipynb\n"), "{text}");
}

#[test]
fn a_missing_notebook_is_an_error_before_the_set_up() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_metamers-lab")).args(["--run", "no-such-notebook.ipynb"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("error: no-such-notebook.ipynb: cannot be opened"), "{text}");
}

#[test]
fn help_documents_the_exit_status_and_invalid_options_are_rejected() {
    let lab = |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_metamers-lab")).args(arguments).output().unwrap();
    let help = String::from_utf8(lab(&["--help"]).stdout).unwrap();
    assert!(help.contains("Exit status: ") && help.contains("--out <DIR>"), "{help}");
    for wrong in [
        &["--out", "copies"][..],
        &["--keep"],
        &["--setup", "--run", "a.ipynb"],
        &["--no-such-option"],
        &["--export", "a.ipynb"],
        &["--html"],
        &["--export", "a.ipynb", "--html", "--run", "a.ipynb"],
        &["--strip"],
    ] {
        assert_eq!(lab(wrong).status.code(), Some(2), "{wrong:?}");
    }
}
