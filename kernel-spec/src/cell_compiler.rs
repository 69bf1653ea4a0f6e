//! Compilation of cells: by cargo for the first cell with given dependencies, then by rustc alone, with the arguments that cargo used.

use crate::cell_source::CellSource;
use crate::local_crates;
use crate::nesting::{STACK_SIZE, STACK_VAR};
use crate::shared_crates;
use crate::shared_statics;
use crate::tool_cache::{ToolCache, ToolOutput};
use crate::toolchain::{BUILD_DIR_VAR, NOT_FOUND_STATUS, real_tool, restore_environment, shim_dir};
use metamers_lab::platform::{LIBRARY_PATH_VAR, program, replace_process};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

/// Name of this program as cargo's rustc wrapper, which records how cargo runs rustc.
pub const RUSTC_WRAPPER: &str = "rustc-recorder";
/// Environment variable with the file for the recorded invocation.
const RECORD_FILE_VAR: &str = "METAMERS_RECORD_FILE";
/// Environment variable that turns on the cache of compiled cells. Set for the template, whose first cells are those of every kernel.
pub const CACHE_CELLS_VAR: &str = "METAMERS_CACHE_CELLS";
/// Name that evcxr gives to the crate of each cell.
const CELL_CRATE: &str = "ctx";
/// The last section of the cells' manifest.
const DEPENDENCIES: &str = "[dependencies]";
/// Exit status of cargo when a crate does not compile.
const CARGO_ERROR_STATUS: i32 = 101;

/// The cargo command that is replaced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CompileMode {
    /// `cargo build`.
    Build,
    /// `cargo check`.
    Check,
}

impl CompileMode {
    fn cargo_command(self) -> &'static str {
        match self {
            CompileMode::Build => "build",
            CompileMode::Check => "check",
        }
    }

    fn emit_argument(self) -> &'static str {
        match self {
            CompileMode::Build => "--emit=link",
            CompileMode::Check => "--emit=metadata",
        }
    }

    fn cache_kind(self) -> &'static str {
        match self {
            CompileMode::Build => "cell",
            CompileMode::Check => "check",
        }
    }
}

/// Program, arguments and environment of a rustc invocation.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct RustcInvocation {
    program: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
}

impl RustcInvocation {
    /// The argument that follows a flag.
    fn value_of(&self, flag: &str) -> Option<&str> {
        let at = self.arguments.iter().position(|argument| argument == flag)?;
        self.arguments.get(at + 1).map(String::as_str)
    }

    /// True if all libraries that the invocation links still exist.
    fn is_valid(&self) -> bool {
        let mut pairs = self.arguments.windows(2).filter(|pair| pair[0] == "--extern");
        pairs.all(|pair| pair[1].split_once('=').is_none_or(|(_, path)| Path::new(path).exists()))
    }
}

/// The cells' manifest with its dependencies in alphabetical order: evcxr writes them in any order.
#[must_use]
pub fn sorted_manifest(build_dir: &Path) -> String {
    let manifest = std::fs::read_to_string(build_dir.join("Cargo.toml")).unwrap_or_default();
    let Some((head, list)) = manifest.split_once(DEPENDENCIES) else { return manifest };
    let mut lines: Vec<&str> = list.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.sort_unstable();
    format!("{head}{DEPENDENCIES}\n{}", lines.join("\n"))
}

/// True if the cells' manifest has dependencies.
#[must_use]
pub fn has_dependencies(build_dir: &Path) -> bool {
    sorted_manifest(build_dir).split_once(DEPENDENCIES).is_some_and(|(_, list)| !list.trim().is_empty())
}

/// Records how cargo runs rustc for a cell, then replaces this process with rustc. Returns an exit status if that fails.
pub fn record_rustc(arguments: &[OsString]) -> i32 {
    let texts: Vec<String> = arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let Some((program, rest)) = texts.split_first() else { return 1 };
    let is_cell = rest.windows(2).any(|pair| pair[0] == "--crate-name" && pair[1] == CELL_CRATE)
        && rest.iter().any(|argument| argument == "cdylib");
    let mut added = Vec::new();
    if let Some(file) = std::env::var_os(RECORD_FILE_VAR).filter(|_| is_cell)
        && let Some(build_dir) = std::env::var_os(BUILD_DIR_VAR)
    {
        added = further_arguments(Path::new(&build_dir), CompileMode::Build);
        // `cargo check` names dependencies that cannot be linked.
        if rest.iter().any(|argument| argument.starts_with("--emit=") && argument.contains("link")) {
            let environment = std::env::vars().filter(|(name, _)| is_rustc_var(name)).collect();
            let invocation = RustcInvocation { program: program.clone(), arguments: rest.to_vec(), environment };
            ToolCache::new(Path::new(&build_dir)).write(Path::new(&file), &invocation);
        }
    }
    let mut rustc = Command::new(&arguments[0]);
    rustc.args(&arguments[1..]).args(added).env_remove(RECORD_FILE_VAR).env_remove(BUILD_DIR_VAR);
    eprintln!("error: cannot run {program}: {}", replace_process(&mut rustc));
    NOT_FOUND_STATUS
}

/// True for the variables that cargo sets for rustc.
fn is_rustc_var(name: &str) -> bool {
    const NAMES: [&str; 5] =
        [LIBRARY_PATH_VAR, "CARGO_CRATE_NAME", "CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PRIMARY_PACKAGE"];
    NAMES.contains(&name) || name.starts_with("CARGO_PKG_")
}

/// Compiles the current cell and prints what the replaced cargo command would print; returns the exit status.
pub fn compile_cell(build_dir: &Path, mode: CompileMode, cargo_arguments: &[&str]) -> i32 {
    let cache = ToolCache::new(build_dir);
    let manifest = sorted_manifest(build_dir);
    let source = std::fs::read_to_string(build_dir.join("src").join("lib.rs")).unwrap_or_default();
    CellSource::new(build_dir).prepare(&source);
    let record_file = cache.file("compiler", &[&manifest]);
    let recorded = || {
        let invocation = cache.read::<RustcInvocation>(&record_file).filter(RustcInvocation::is_valid);
        // Only cargo compiles a local crate again.
        invocation.filter(|_| local_crates::is_current(&record_file, &manifest, build_dir))
    };
    let caches_cells = std::env::var_os(CACHE_CELLS_VAR).is_some();
    if mode == CompileMode::Build {
        shared_statics::rewrite_source(build_dir);
    }
    let invocation = match recorded() {
        Some(invocation) => invocation,
        None => {
            if caches_cells {
                shared_crates::record(&cache);
            } else {
                shared_crates::announce_changes(&cache);
            }
            let began = SystemTime::now();
            let status = run_cargo(build_dir, mode, cargo_arguments, &record_file, caches_cells);
            // What was saved in a local crate while cargo ran may not be compiled.
            let recorded_at = record_file.metadata().and_then(|metadata| metadata.modified());
            if recorded_at.is_ok_and(|at| at > began)
                && let Ok(file) = File::options().write(true).open(&record_file)
            {
                let _ = file.set_modified(began);
            }
            // To be cached, the cell is compiled once more by rustc alone.
            match recorded().filter(|_| caches_cells) {
                Some(invocation) => invocation,
                None => return status,
            }
        }
    };
    let out_dir = invocation.value_of("--out-dir").map(|dir| build_dir.join(dir)).unwrap_or_default();
    let library = out_dir.join(format!("{DLL_PREFIX}{CELL_CRATE}{DLL_SUFFIX}"));
    let cached = cache.file(mode.cache_kind(), &[&manifest, &source]);
    let cached_library = cached.with_extension("so");
    let has_library = |output: &ToolOutput| mode == CompileMode::Build && output.status == 0;
    if let Some(output) = cache.read::<ToolOutput>(&cached)
        && (!has_library(&output) || replace_file(&cached_library, &library).is_ok())
    {
        return output.print();
    }
    let Some(output) = run_rustc(&invocation, build_dir, mode, &library) else { return 1 };
    if caches_cells && (!has_library(&output) || replace_file(&library, &cached_library).is_ok()) {
        cache.write(&cached, &output);
    }
    output.print()
}

/// Runs cargo with the recording wrapper; returns the exit status. Its stdout is dropped if the cell is compiled again to be cached.
fn run_cargo(build_dir: &Path, mode: CompileMode, arguments: &[&str], record_file: &Path, drop_stdout: bool) -> i32 {
    let mut cargo = real_tool("cargo");
    cargo.arg(mode.cargo_command()).args(arguments);
    cargo.env("RUSTC_WRAPPER", shim_dir(build_dir).join(program(RUSTC_WRAPPER)));
    cargo.env(RECORD_FILE_VAR, record_file).env(BUILD_DIR_VAR, build_dir);
    cargo.env(STACK_VAR, STACK_SIZE.to_string());
    cargo.stdout(if drop_stdout { Stdio::null() } else { Stdio::inherit() });
    cargo.status().map_or(NOT_FOUND_STATUS, |status| status.code().unwrap_or(1))
}

/// The arguments for rustc that cargo does not give: those of the prepared source and of the statics of earlier cells.
fn further_arguments(build_dir: &Path, mode: CompileMode) -> Vec<String> {
    let mut arguments = CellSource::new(build_dir).rustc_arguments();
    if mode == CompileMode::Build {
        arguments.extend(shared_statics::rustc_arguments(build_dir));
    }
    arguments
}

/// Runs rustc and formats its messages as cargo does.
fn run_rustc(invocation: &RustcInvocation, build_dir: &Path, mode: CompileMode, library: &Path) -> Option<ToolOutput> {
    // An earlier cell's file may still be loaded under another name, so it must not be overwritten.
    let _ = std::fs::remove_file(library);
    let mut rustc = Command::new(&invocation.program);
    restore_environment(&mut rustc).envs(&invocation.environment).current_dir(build_dir);
    rustc.env(STACK_VAR, STACK_SIZE.to_string());
    for argument in &invocation.arguments {
        rustc.arg(if argument.starts_with("--emit=") { mode.emit_argument() } else { argument });
    }
    rustc.args(further_arguments(build_dir, mode));
    let output = rustc.stdin(Stdio::null()).stdout(Stdio::null()).output().ok()?;
    let mut result = ToolOutput { status: 0, stdout: String::new(), stderr: String::new() };
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            result.stderr += line;
            result.stderr.push('\n');
            continue;
        };
        if message["$message_type"].as_str().is_none_or(|kind| kind == "diagnostic") {
            result.stdout += &json!({ "reason": "compiler-message", "message": message }).to_string();
            result.stdout.push('\n');
        }
    }
    if output.status.success() {
        let files: [PathBuf; 1] = [library.to_owned()];
        let artifact = json!({ "reason": "compiler-artifact", "target": { "name": CELL_CRATE }, "filenames": files });
        result.stdout += &format!("{artifact}\n");
    } else {
        result.status = CARGO_ERROR_STATUS;
    }
    Some(result)
}

/// Copies a file over another one, which may be loaded by a running process and is therefore removed first.
fn replace_file(from: &Path, to: &Path) -> std::io::Result<()> {
    let _ = std::fs::remove_file(to);
    std::fs::copy(from, to).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_dependencies_does_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = |list: &str| {
            std::fs::write(
                dir.path().join("Cargo.toml"),
                format!("[package]\nname = \"ctx\"\n\n[dependencies]\n{list}"),
            )
            .unwrap();
            (sorted_manifest(dir.path()), has_dependencies(dir.path()))
        };
        assert_eq!(manifest("a = \"1\"\nb = \"2\"\n\n"), manifest("b = \"2\"\na = \"1\"\n"));
        assert!(manifest("a = \"1\"\n").1 && !manifest("\n").1);
    }
}
