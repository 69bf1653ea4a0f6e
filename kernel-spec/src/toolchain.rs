//! The real `cargo`, `rustc` and `rustup`, and the environment variables with which the kernel hides them behind its shims.

use crate::nesting::{MIN_STACK_SIZE, STACK_VAR};
use anyhow::{Context, Result};
use metamers_lab::platform::program;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Exit status of a shell that does not find a command.
pub const NOT_FOUND_STATUS: i32 = 127;
/// Environment variable with the kernel's build directory.
pub const BUILD_DIR_VAR: &str = "METAMERS_BUILD_DIR";
/// Name of the directory for the supervisor's files in the build directory.
pub const CONTROL_DIR: &str = "control";
/// Name of the shims' directory in the build directory. Its layout is that of a cargo home, because rust-analyzer looks there first.
pub const SHIM_HOME: &str = "shims";
/// Variables that the kernel changes, and those in which it keeps their original values.
const CHANGED_VARS: [(&str, &str); 4] = [
    (PATH, ORIGINAL_PATH),
    (CARGO_HOME, ORIGINAL_CARGO_HOME),
    ("CARGO", "METAMERS_ORIGINAL_CARGO"),
    (STACK_VAR, "METAMERS_ORIGINAL_STACK"),
];
const PATH: &str = "PATH";
const ORIGINAL_PATH: &str = "METAMERS_ORIGINAL_PATH";
const CARGO_HOME: &str = "CARGO_HOME";
const ORIGINAL_CARGO_HOME: &str = "METAMERS_ORIGINAL_CARGO_HOME";

/// The directory of the shims in a build directory.
#[must_use]
pub fn shim_dir(build_dir: &Path) -> PathBuf {
    build_dir.join(SHIM_HOME).join("bin")
}

/// Makes this process and its children find the shims instead of the real tools, and gives this process larger stacks.
///
/// # Safety
/// No other thread may read or write the environment during the call.
pub unsafe fn set_environment(build_dir: &Path) {
    let dir = shim_dir(build_dir);
    let path = std::env::var_os(PATH).unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(dir.clone()).chain(std::env::split_paths(&path)));
    let home = dir.parent().unwrap_or(&dir).as_os_str().to_owned();
    let mut changes = vec![(BUILD_DIR_VAR, Some(build_dir.as_os_str().to_owned()))];
    let new = [path.ok(), Some(home), Some(dir.join(program("cargo")).into()), Some(MIN_STACK_SIZE.to_string().into())];
    for ((name, original), new) in CHANGED_VARS.into_iter().zip(new) {
        changes.push((original, std::env::var_os(name)));
        changes.push((name, new));
    }
    // A kernel started by `cargo run` or `cargo test` would recompile the library at the next `:dep`.
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(metamers_lab::is_set_by_cargo_run))
    {
        // SAFETY: the caller guarantees that no other thread uses the environment.
        unsafe { std::env::remove_var(name) };
    }
    for (name, value) in changes {
        // SAFETY: the caller guarantees that no other thread uses the environment.
        unsafe {
            match value {
                Some(value) => std::env::set_var(name, value),
                None => std::env::remove_var(name),
            }
        }
    }
}

/// Gives a command the environment in which the kernel was started.
pub fn restore_environment(command: &mut Command) -> &mut Command {
    if std::env::var_os(BUILD_DIR_VAR).is_none() {
        return command;
    }
    command.env_remove(BUILD_DIR_VAR);
    for (name, original) in CHANGED_VARS {
        match std::env::var_os(original) {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
        command.env_remove(original);
    }
    command
}

/// This process's PATH without the shims.
#[must_use]
pub fn path_without_shims() -> OsString {
    let path = std::env::var_os(PATH).unwrap_or_default();
    let Some(build_dir) = std::env::var_os(BUILD_DIR_VAR).map(PathBuf::from) else { return path };
    let shims = shim_dir(&build_dir);
    let kept = std::env::split_paths(&path).filter(|dir| *dir != shims);
    std::env::join_paths(kept).unwrap_or(path)
}

/// A command that runs the real tool of this name in the original environment.
#[must_use]
pub fn real_tool(name: &str) -> Command {
    let mut command = Command::new(find_tool(name));
    restore_environment(&mut command);
    command
}

/// Compiles a small crate that all cells share with the user's rustc, whose standard library the cells have.
pub fn compile_source(source: &str, arguments: &[&str], output: &Path) -> Result<()> {
    let mut rustc = real_tool("rustc")
        .args(["--edition", "2024"])
        .args(arguments)
        .args([Path::new("-o"), output, Path::new("-")])
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot run rustc")?;
    if let Some(mut stdin) = rustc.stdin.take() {
        stdin.write_all(source.as_bytes())?;
    }
    anyhow::ensure!(rustc.wait()?.success(), "rustc could not compile what the cells share; its errors are above");
    Ok(())
}

/// The path of the real tool. A bare name would be searched in the PATH of this process, which starts with the shims.
fn find_tool(name: &str) -> PathBuf {
    let Some(path) = std::env::var_os(ORIGINAL_PATH) else { return name.into() };
    let cargo_home = std::env::var_os(ORIGINAL_CARGO_HOME).filter(|home| !home.is_empty()).map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let mut dirs = std::env::split_paths(&path).chain(cargo_home.map(|home| home.join("bin")));
    let name = program(name);
    let found = dirs.find_map(|dir| Some(dir.join(&name)).filter(|file| file.is_file()));
    found.unwrap_or_else(|| Path::new("/not-installed").join(&name))
}
