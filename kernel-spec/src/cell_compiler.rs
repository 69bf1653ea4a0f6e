//! A cell is compiled: by cargo the first time with these dependencies, and then by rustc alone, with the arguments that cargo gave it.

use crate::tool_cache::{Answer, Answers};
use crate::tool_shims::{self, BUILD_VAR};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The name under which this program notes what cargo has rustc do.
pub const RECORDER: &str = "rustc-recorder";
/// The environment variable with the file for that note.
const RECORD_VAR: &str = "METAMERS_RECORD";
/// With this environment variable, what becomes of cells is kept: for the template, whose first cells are those of every kernel.
pub const KEEP_VAR: &str = "METAMERS_KEEP_CELLS";
/// evcxr's name for the crate of each cell.
const CRATE: &str = "ctx";
const LIBRARY: &str = if cfg!(target_os = "macos") { "libctx.dylib" } else { "libctx.so" };

/// How cargo started rustc.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    program: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
}

impl Record {
    fn after(&self, flag: &str) -> Option<&str> {
        let at = self.arguments.iter().position(|argument| argument == flag)?;
        self.arguments.get(at + 1).map(String::as_str)
    }

    /// Whether the libraries are still there.
    fn is_good(&self) -> bool {
        let mut pairs = self.arguments.windows(2).filter(|pair| pair[0] == "--extern");
        pairs.all(|pair| pair[1].split_once('=').is_none_or(|(_, path)| Path::new(path).exists()))
    }
}

/// The manifest of the cells, if they have dependencies.
pub fn manifest(build: &Path) -> Option<String> {
    let text = std::fs::read_to_string(build.join("Cargo.toml")).ok()?;
    let depends = text.split_once("[dependencies]").is_some_and(|(_, list)| !list.trim().is_empty());
    depends.then_some(text)
}

/// Notes how cargo starts rustc for a cell, and becomes rustc.
pub fn record(arguments: &[OsString]) -> i32 {
    let texts: Vec<String> = arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let Some((program, rest)) = texts.split_first() else { return 1 };
    let of_cell = rest.windows(2).any(|pair| pair[0] == "--crate-name" && pair[1] == CRATE);
    if let Some(file) = std::env::var_os(RECORD_VAR).filter(|_| of_cell && rest.iter().any(|part| part == "cdylib")) {
        let file = PathBuf::from(file);
        let wanted = |name: &str| {
            name == "LD_LIBRARY_PATH"
                || name == "DYLD_FALLBACK_LIBRARY_PATH"
                || name.starts_with("CARGO_PKG_")
                || ["CARGO_CRATE_NAME", "CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PRIMARY_PACKAGE"]
                    .contains(&name)
        };
        let environment = std::env::vars().filter(|(name, _)| wanted(name)).collect();
        let record = Record { program: program.clone(), arguments: rest.to_vec(), environment };
        if let Some(build) = std::env::var_os(BUILD_VAR) {
            Answers::of(Path::new(&build)).keep(&file, &record);
        }
    }
    let error = Command::new(&arguments[0]).args(&arguments[1..]).env_remove(RECORD_VAR).env_remove(BUILD_VAR).exec();
    eprintln!("error: {program}: {error}");
    127
}

/// What `cargo build` or `cargo check` with these arguments would do and say.
pub fn cell(build: &Path, check: bool, arguments: &[&str]) -> i32 {
    let answers = Answers::of(build);
    let manifest = std::fs::read_to_string(build.join("Cargo.toml")).unwrap_or_default();
    let source = std::fs::read_to_string(build.join("src").join("lib.rs")).unwrap_or_default();
    let note = answers.file("compiler", &[&manifest]);
    let known = || answers.read::<Record>(&note).filter(Record::is_good);
    let keeps = std::env::var_os(KEEP_VAR).is_some();
    let mut record = known();
    if record.is_none() {
        let mut cargo = tool_shims::real("cargo");
        cargo.arg(if check { "check" } else { "build" }).args(arguments);
        cargo.env("RUSTC_WRAPPER", build.join("tools/bin").join(RECORDER)).env(RECORD_VAR, &note).env(BUILD_VAR, build);
        cargo.stdout(if keeps { Stdio::null() } else { Stdio::inherit() });
        let status = cargo.status().map_or(127, |status| status.code().unwrap_or(1));
        record = known().filter(|_| keeps);
        if record.is_none() {
            return status;
        }
    }
    let Some(record) = record else { return 1 };
    let folder = record.after("--out-dir").map(|folder| build.join(folder)).unwrap_or_default();
    let kept = answers.file(if check { "check" } else { "cell" }, &[&manifest, &source]);
    if let Some(answer) = answers.read::<Answer>(&kept)
        && (check || answer.status != 0 || replace(&kept.with_extension("so"), &folder.join(LIBRARY)).is_ok())
    {
        return answer.give();
    }
    let Some(answer) = compiled(&record, build, check, &folder) else { return 1 };
    if keeps && (check || answer.status != 0 || replace(&folder.join(LIBRARY), &kept.with_extension("so")).is_ok()) {
        answers.keep(&kept, &answer);
    }
    answer.give()
}

/// Runs rustc, and says it as cargo would.
fn compiled(record: &Record, build: &Path, check: bool, folder: &Path) -> Option<Answer> {
    // An earlier cell may have it under another name, and loaded.
    let _ = std::fs::remove_file(folder.join(LIBRARY));
    let mut rustc = Command::new(&record.program);
    tool_shims::restore(&mut rustc).envs(&record.environment).current_dir(build);
    for argument in &record.arguments {
        match argument.strip_prefix("--emit=") {
            Some(_) => rustc.arg(if check { "--emit=metadata" } else { "--emit=link" }),
            None => rustc.arg(argument),
        };
    }
    let output = rustc.stdin(Stdio::null()).stdout(Stdio::null()).output().ok()?;
    let mut answer = Answer { status: 0, stdout: String::new(), stderr: String::new() };
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            answer.stderr += line;
            answer.stderr.push('\n');
            continue;
        };
        if message["$message_type"].as_str().is_none_or(|kind| kind == "diagnostic") {
            answer.stdout += &json!({ "reason": "compiler-message", "message": message }).to_string();
            answer.stdout.push('\n');
        }
    }
    if output.status.success() {
        let files = [folder.join(LIBRARY)];
        let artifact = json!({ "reason": "compiler-artifact", "target": { "name": CRATE }, "filenames": files });
        answer.stdout += &format!("{artifact}\n");
    } else {
        // As cargo does.
        answer.status = 101;
    }
    Some(answer)
}

fn replace(from: &Path, to: &Path) -> std::io::Result<()> {
    let _ = std::fs::remove_file(to);
    std::fs::copy(from, to).map(drop)
}
