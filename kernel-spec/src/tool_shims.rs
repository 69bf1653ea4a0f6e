//! This program in the place of `cargo`, `rustc` and `rustup`, for evcxr and rust-analyzer.
//!
//! Before and during each cell these two ask the tools about thirty questions, always the same: the answers are kept. And a cell is
//! compiled by `rustc` with the arguments that cargo gave it for the first cell with these dependencies, without having cargo look
//! at two hundred packages again. Whatever else is asked goes to the real tools, in the environment that the kernel was started in.

use crate::cargo_metadata;
use crate::cell_compiler;
use crate::tool_cache::{Answer, Answers};
use anyhow::{Context, Result};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The environment variable with the build folder.
pub const BUILD_VAR: &str = "METAMERS_BUILD";
/// Where the tools stand, in the build folder: as in a home of cargo's, for rust-analyzer looks there first.
const FOLDER: &str = "tools/bin";
/// The manifest of the standard library's sources.
const LIBRARY: &str = "library/Cargo.toml";
const NAMES: [&str; 4] = ["cargo", "rustc", "rustup", cell_compiler::RECORDER];
/// What the kernel changes in its environment, and under which name it keeps the original.
const CHANGED: [(&str, &str); 3] =
    [("PATH", "METAMERS_REAL_PATH"), ("CARGO_HOME", "METAMERS_REAL_CARGO_HOME"), ("CARGO", "METAMERS_REAL_CARGO")];

/// Becomes the tool that this process was started as. Returns in the kernel itself.
pub fn hook() {
    let name = std::env::args_os().next().map(PathBuf::from).and_then(|path| path.file_name().map(OsStr::to_owned));
    let name = name.as_deref().and_then(OsStr::to_str).unwrap_or_default();
    let Some(build) = std::env::var_os(BUILD_VAR).filter(|_| NAMES.contains(&name)) else { return };
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    std::process::exit(run(name, &arguments, Path::new(&build)));
}

/// Has this process, and what it starts, find this program where the tools should be. For the very start, before there is a second
/// thread.
pub fn set_environment(build: &Path) {
    let folder = build.join(FOLDER);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(folder.clone()).chain(std::env::split_paths(&path)));
    let home = folder.parent().unwrap_or(&folder).as_os_str().to_owned();
    let mut changes = vec![(BUILD_VAR, Some(build.as_os_str().to_owned()))];
    for ((name, kept), new) in CHANGED.into_iter().zip([path.ok(), Some(home), Some(folder.join("cargo").into())]) {
        changes.push((kept, std::env::var_os(name)));
        changes.push((name, new));
    }
    for (name, value) in changes {
        // SAFETY: no other thread reads or writes the environment yet.
        unsafe {
            match value {
                Some(value) => std::env::set_var(name, value),
                None => std::env::remove_var(name),
            }
        }
    }
}

/// A command in the environment that the kernel was started in.
pub fn restore(command: &mut Command) -> &mut Command {
    if std::env::var_os(BUILD_VAR).is_none() {
        return command;
    }
    command.env_remove(BUILD_VAR);
    for (name, kept) in CHANGED {
        match std::env::var_os(kept) {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
        command.env_remove(kept);
    }
    command
}

/// Puts this program where the tools should be.
pub fn install(build: &Path) -> std::io::Result<()> {
    let folder = build.join(FOLDER);
    std::fs::create_dir_all(&folder)?;
    let itself = crate::process::this_program_by_number()?;
    for name in NAMES {
        let link = folder.join(name);
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(&itself, link)?;
    }
    Ok(())
}

fn run(name: &str, arguments: &[OsString], build: &Path) -> i32 {
    let texts: Option<Vec<&str>> = arguments.iter().map(|argument| argument.to_str()).collect();
    let texts = texts.unwrap_or_default();
    match (name, texts.as_slice()) {
        (cell_compiler::RECORDER, _) => cell_compiler::record(arguments),
        ("rustup", ["which", "cargo"]) => {
            println!("{}", build.join(FOLDER).join("cargo").display());
            0
        }
        ("rustup", ["which", _]) => ask(name, &texts, build),
        // A person may have cargo do other things, elsewhere.
        _ if !is_here(build) && !texts.iter().any(|text| text.ends_with(LIBRARY)) => pass_on(name, arguments),
        // evcxr first of all runs a cell without dependencies; rust-analyzer need not read the standard library for that.
        ("rustc", ["--print", "sysroot"]) if cell_compiler::manifest(build).is_none() => 1,
        ("rustc", ["--print", "sysroot"] | ["-vV"] | ["-Vv"]) => ask(name, &texts, build),
        ("cargo", ["build", rest @ ..]) => cell_compiler::cell(build, false, rest),
        ("cargo", ["check", rest @ ..]) => cell_compiler::cell(build, true, rest),
        ("cargo", ["metadata" | "locate-project" | "--version", ..] | ["-Z", ..]) => ask(name, &texts, build),
        ("cargo", ["rustc", "-Z", "unstable-options", "--print", ..]) => ask(name, &texts, build),
        _ => pass_on(name, arguments),
    }
}

fn is_here(build: &Path) -> bool {
    let same = |one: PathBuf| one == build || one.canonicalize().ok() == build.canonicalize().ok();
    std::env::current_dir().is_ok_and(same)
}

/// Gives the answer to a question that has always the same one.
fn ask(name: &str, arguments: &[&str], build: &Path) -> i32 {
    let answers = Answers::of(build);
    let manifest = std::fs::read_to_string(build.join("Cargo.toml")).unwrap_or_default();
    // What cargo says of the standard library does not depend on what the cells use.
    let library = arguments.iter().any(|argument| argument.ends_with(LIBRARY));
    let manifest = if name == "cargo" && !library { manifest.as_str() } else { "" };
    let file = answers.file(name, &[&arguments.join("\n"), manifest]);
    if let Some(answer) = answers.read::<Answer>(&file) {
        return answer.give();
    }
    // For each `:dep` evcxr asks about a manifest with that dependency alone, for which cargo would forget all other versions.
    let lock = build.join("Cargo.lock");
    let versions = std::fs::read(&lock).ok();
    let Ok(output) = real(name).args(arguments).output() else { return 127 };
    if let Some(versions) = versions
        && std::fs::read(&lock).ok().as_ref() != Some(&versions)
    {
        let _ = std::fs::write(&lock, versions);
    }
    let mut answer = Answer {
        status: output.status.code().unwrap_or(1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    if answer.status == 0 {
        // rust-analyzer asks in this way, evcxr in another.
        if arguments.contains(&"--filter-platform") && !arguments.contains(&"--no-deps") {
            let smaller = if library { cargo_metadata::trimmed_library } else { cargo_metadata::trimmed };
            answer.stdout = smaller(&answer.stdout).unwrap_or(answer.stdout);
        }
        answers.keep(&file, &answer);
    }
    answer.give()
}

fn pass_on(name: &str, arguments: &[OsString]) -> i32 {
    match real(name).args(arguments).status() {
        Ok(status) => status.code().unwrap_or(1),
        Err(error) => {
            eprintln!("error: {name}: {error}");
            127
        }
    }
}

/// Fails if the sources are missing in which rust-analyzer finds the types of variables.
pub fn require_sources() -> Result<()> {
    let output =
        real("rustc").args(["--print", "sysroot"]).output().context("rustc cannot be run; install Rust (rustup.rs)")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let found = sysroot.join("lib/rustlib/src/rust/library").is_dir() || std::env::var_os("RUST_SRC_PATH").is_some();
    anyhow::ensure!(
        found,
        "the sources of Rust's standard library are missing; install them with `rustup component add rust-src`, or with your \
         distribution's package rust-src, and restart the kernel"
    );
    Ok(())
}

/// The real tool.
pub fn real(name: &str) -> Command {
    let mut command = Command::new(path_of(name));
    restore(&mut command);
    command
}

/// Where the real tool is. Never a bare name: that would be searched in the PATH of this process, which begins with this program.
fn path_of(name: &str) -> PathBuf {
    let Some(path) = std::env::var_os(CHANGED[0].1) else { return name.into() };
    let home = std::env::var_os(CHANGED[1].1).map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo"))).map(|home| home.join("bin"));
    let found = std::env::split_paths(&path).chain(home).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| Path::new("/not-installed").join(name))
}
