//! Shims: this program run as `cargo`, `rustc` or `rustup` by evcxr and rust-analyzer.
//!
//! evcxr and rust-analyzer run these tools about thirty times, always with the same arguments, so their outputs are cached. A cell is
//! compiled by running `rustc` with the arguments that cargo used for the first cell with the same dependencies, because cargo would
//! check two hundred packages first. Everything else is passed on to the real tools, in the kernel's original environment.

use crate::cell_compiler::{self, CompileMode, RUSTC_WRAPPER};
use crate::tool_cache::{ToolCache, ToolOutput};
use crate::toolchain::{BUILD_DIR_VAR, NOT_FOUND_STATUS, real_tool, shim_dir};
use crate::{cargo_metadata, local_crates, platform};
use metamers_lab::platform::program;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Manifest of the standard library's sources.
const STD_MANIFEST: &str = "library/Cargo.toml";
const SHIM_NAMES: [&str; 4] = ["cargo", "rustc", "rustup", RUSTC_WRAPPER];

/// Runs the shim that this process was started as. Does nothing in the kernel.
pub fn hook() {
    let name = std::env::args_os().next().map(PathBuf::from).and_then(|path| path.file_stem().map(OsStr::to_owned));
    let name = name.as_deref().and_then(OsStr::to_str).unwrap_or_default();
    let Some(build_dir) = std::env::var_os(BUILD_DIR_VAR).filter(|_| SHIM_NAMES.contains(&name)) else { return };
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    std::process::exit(run(name, &arguments, Path::new(&build_dir)));
}

/// Links this program into the shim directory, under the names of the tools.
pub fn install(build_dir: &Path) -> std::io::Result<()> {
    let dir = shim_dir(build_dir);
    std::fs::create_dir_all(&dir)?;
    SHIM_NAMES.iter().try_for_each(|name| platform::link_current_program(&dir.join(program(name))))
}

fn run(name: &str, arguments: &[OsString], build_dir: &Path) -> i32 {
    let texts: Option<Vec<&str>> = arguments.iter().map(|argument| argument.to_str()).collect();
    let texts = texts.unwrap_or_default();
    match (name, texts.as_slice()) {
        (RUSTC_WRAPPER, _) => cell_compiler::record_rustc(arguments),
        ("rustup", ["which", "cargo"]) => {
            println!("{}", shim_dir(build_dir).join(program("cargo")).display());
            0
        }
        ("rustup", ["which", _]) => run_cached(name, &texts, build_dir),
        // A cell may run cargo in a project elsewhere.
        _ if !is_current_dir(build_dir) && !texts.iter().any(|text| text.ends_with(STD_MANIFEST)) => {
            pass_on(name, arguments)
        }
        // evcxr starts with a cell that has no dependencies; failing here keeps rust-analyzer from reading the standard library for it.
        ("rustc", ["--print", "sysroot"]) if !cell_compiler::has_dependencies(build_dir) => 1,
        ("rustc", ["--print", "sysroot"] | ["-vV"] | ["-Vv"]) => run_cached(name, &texts, build_dir),
        ("cargo", ["build", rest @ ..]) => cell_compiler::compile_cell(build_dir, CompileMode::Build, rest),
        ("cargo", ["check", rest @ ..]) => cell_compiler::compile_cell(build_dir, CompileMode::Check, rest),
        ("cargo", ["metadata" | "locate-project" | "--version", ..] | ["-Z", ..]) => {
            run_cached(name, &texts, build_dir)
        }
        ("cargo", ["rustc", "-Z", "unstable-options", "--print", ..]) => run_cached(name, &texts, build_dir),
        _ => pass_on(name, arguments),
    }
}

fn is_current_dir(build_dir: &Path) -> bool {
    let is_same = |dir: PathBuf| dir == build_dir || dir.canonicalize().ok() == build_dir.canonicalize().ok();
    std::env::current_dir().is_ok_and(is_same)
}

/// Prints the cached output of a tool, or runs the tool and caches its output; returns the exit status.
fn run_cached(name: &str, arguments: &[&str], build_dir: &Path) -> i32 {
    let cache = ToolCache::new(build_dir);
    let manifest = cell_compiler::sorted_manifest(build_dir);
    // Outputs about the standard library do not depend on the cells' manifest.
    let is_about_std = arguments.iter().any(|argument| argument.ends_with(STD_MANIFEST));
    let manifest = if name == "cargo" && !is_about_std { manifest.as_str() } else { "" };
    let file = cache.file(name, &[&arguments.join("\n"), manifest]);
    let is_current = || local_crates::is_current(&file, manifest, build_dir);
    if let Some(output) = cache.read::<ToolOutput>(&file).filter(|_| is_current()) {
        return output.print();
    }
    let Ok(mut output) = run_and_keep_lock_file(name, arguments, build_dir) else { return NOT_FOUND_STATUS };
    if output.status == 0 {
        // Only rust-analyzer passes these flags; evcxr gets the full metadata.
        if arguments.contains(&"--filter-platform") && !arguments.contains(&"--no-deps") {
            let trim = if is_about_std { cargo_metadata::trim_std_metadata } else { cargo_metadata::trim_metadata };
            output.stdout = trim(&output.stdout).unwrap_or(output.stdout);
        }
        cache.write(&file, &output);
    }
    output.print()
}

/// Runs the real tool and restores `Cargo.lock` afterwards: for each `:dep` evcxr runs cargo on a manifest with only that dependency, and
/// cargo then removes the versions of all others from the lock file.
fn run_and_keep_lock_file(name: &str, arguments: &[&str], build_dir: &Path) -> std::io::Result<ToolOutput> {
    let lock_file = build_dir.join("Cargo.lock");
    let versions = std::fs::read(&lock_file).ok();
    let output = real_tool(name).args(arguments).output()?;
    if let Some(versions) = versions
        && std::fs::read(&lock_file).ok().as_ref() != Some(&versions)
    {
        let _ = std::fs::write(&lock_file, versions);
    }
    Ok(ToolOutput {
        status: output.status.code().unwrap_or(1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn pass_on(name: &str, arguments: &[OsString]) -> i32 {
    match real_tool(name).args(arguments).status() {
        Ok(status) => status.code().unwrap_or(1),
        Err(error) => {
            eprintln!("error: cannot run {name}: {error}");
            NOT_FOUND_STATUS
        }
    }
}
