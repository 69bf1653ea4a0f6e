//! The folder in which a kernel works, what it tells evcxr about it, and the prelude.

use crate::build_cache::Builds;
use crate::cell_compiler::KEEP_VAR;
use crate::display_hook::{DISPLAYS, Shown};
use crate::error_report::Report;
use crate::event::KEY_VAR;
use crate::live::NONCE_VAR;
use crate::supervisor::{FLUSH, READY, SKIP, SWITCHES_VAR};
use crate::tool_shims;
use anyhow::{Context, Result};
use evcxr::{CommandContext, EvalContext, EvalContextOutputs};
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Makes the cells' stdout write what it still holds, from now on again and again: a progress line has no newline. Takes and returns
/// evcxr's variables as any cell does.
pub const FLUSH_SOURCE: &str = "
static ONCE: std::sync::Once = std::sync::Once::new();

fn write_out() {
    let _ = std::io::Write::flush(&mut std::io::stdout());
}

#[unsafe(no_mangle)]
pub extern \"C\" fn flush(store: *mut std::ffi::c_void) -> *mut std::ffi::c_void {
    write_out();
    ONCE.call_once(|| {
        let _ = std::thread::Builder::new().name(\"flush\".into()).spawn(|| loop {
            std::thread::sleep(std::time::Duration::from_millis(50));
            write_out();
        });
    });
    store
}
";

/// Makes evcxr allow `?` from the first cell on: it finds out by an error and compiles again.
const QUESTION: &str = "std::fmt::Result::Ok(())?;";

/// These folders but for those that hold another build of the library: cells would load it in place of the one that they were
/// compiled with. `cargo test` and `cargo run` put such a folder here.
fn without_the_library(paths: &OsStr) -> Option<OsString> {
    let library = format!("{DLL_PREFIX}metamers{DLL_SUFFIX}");
    let kept: Vec<_> = std::env::split_paths(paths).filter(|folder| !folder.join(&library).exists()).collect();
    std::env::join_paths(kept).ok().filter(|paths| !paths.is_empty())
}

/// The folder in which a kernel works, and its secrets.
#[derive(Clone)]
pub struct Workplace {
    /// The project.
    pub home: PathBuf,
    /// The build folder.
    pub build: PathBuf,
    /// What the relay signs with.
    pub key: String,
    /// What the library signs with.
    pub nonce: String,
}

impl Workplace {
    /// A workplace in this build folder.
    pub fn new(home: &Path, build: &Path) -> Workplace {
        Workplace {
            home: home.to_owned(),
            build: build.to_owned(),
            key: uuid::Uuid::new_v4().simple().to_string(),
            nonce: uuid::Uuid::new_v4().simple().to_string(),
        }
    }

    fn switches(&self) -> PathBuf {
        self.build.join("switches")
    }

    /// The file that keeps a cell from being run.
    pub fn skip(&self) -> PathBuf {
        self.switches().join(SKIP)
    }

    /// What evcxr compiled last.
    pub fn source(&self) -> PathBuf {
        self.build.join("src").join("lib.rs")
    }

    /// Starts evcxr.
    pub fn start(&self) -> Result<(CommandContext, EvalContextOutputs)> {
        let switches = self.switches();
        tool_shims::install(&self.build).with_context(|| format!("cannot write to {}", self.build.display()))?;
        std::fs::create_dir_all(&switches).with_context(|| format!("cannot write to {}", switches.display()))?;
        for switch in [READY, SKIP] {
            let _ = std::fs::remove_file(switches.join(switch));
        }
        let mut command = Command::new(crate::process::this_program()?);
        command
            .env(KEY_VAR, &self.key)
            .env(NONCE_VAR, &self.nonce)
            .env(SWITCHES_VAR, self.switches())
            // Large tensors are handed back and forth inside the process: a fresh page costs more than what is computed on it.
            .env("MALLOC_TRIM_THRESHOLD_", "1073741824")
            .env("MALLOC_MMAP_THRESHOLD_", "1073741824")
            // An interrupt reaches all that a cell started, and nothing else.
            .process_group(0);
        match std::env::var_os("LD_LIBRARY_PATH").and_then(|paths| without_the_library(&paths)) {
            Some(paths) => command.env("LD_LIBRARY_PATH", paths),
            None => command.env_remove("LD_LIBRARY_PATH"),
        };
        let (context, outputs) =
            EvalContext::with_subprocess_command(command).map_err(|error| anyhow::anyhow!("{error}"))?;
        std::fs::write(self.switches().join(READY), "")?;
        Ok((CommandContext::with_eval_context(context), outputs))
    }

    /// Compiles the library that flushes stdout; it has to share the standard library of the cells, which this program does not.
    fn make_flush(&self) -> Result<()> {
        std::fs::create_dir_all(self.switches())?;
        let mut rustc = tool_shims::real("rustc")
            .args(["--edition", "2024", "--crate-name", "flush", "--crate-type", "cdylib", "-Cprefer-dynamic", "-o"])
            .args([&self.switches().join(FLUSH), Path::new("-")])
            .stdin(Stdio::piped())
            .spawn()
            .context("cannot run rustc")?;
        if let Some(mut stdin) = rustc.stdin.take() {
            stdin.write_all(FLUSH_SOURCE.as_bytes())?;
        }
        anyhow::ensure!(rustc.wait()?.success(), "rustc could not compile a small library");
        Ok(())
    }

    /// Makes the library known and its prelude loaded.
    pub fn load_prelude(&self, context: &mut CommandContext) -> Result<(), Report> {
        // evcxr's own first cell has no dependencies and empties the lock file.
        let _ = std::fs::copy(Builds::of(&self.home).lock_file(), self.build.join("Cargo.lock"));
        let prelude = prelude(&self.home);
        context.execute(&prelude).map(drop).map_err(|error| match error {
            evcxr::Error::CompilationErrors(errors) => {
                let report = Report::compilation(&errors, &Shown::unchanged(&prelude), &prelude);
                Report {
                    name: "Prelude".into(),
                    value: format!("metamers does not compile: {}", report.value),
                    ..report
                }
            }
            error => Report::new("Prelude", format!("metamers could not be loaded.\n{error}")),
        })
    }
}

/// What every kernel has loaded when it is ready.
pub fn prelude(home: &Path) -> String {
    let path = serde_json::Value::from(home.to_string_lossy().as_ref());
    format!(":dep metamers = {{ path = {path} }}\nuse metamers::prelude::*;{DISPLAYS}{QUESTION}")
}

/// Tells evcxr where to build; it takes this from the environment alone. For the very start, before there is a second thread.
pub fn set_environment(build: &Path) {
    for (name, value) in [("EVCXR_TMPDIR", build), ("EVCXR_CONFIG_DIR", &build.join("no-config"))] {
        // SAFETY: no other thread reads or writes the environment yet.
        unsafe { std::env::set_var(name, value) };
    }
    tool_shims::set_environment(build);
}

/// Compiles everything that a notebook needs before its first cell, into the template.
pub fn warm(home: &Path) -> Result<()> {
    let builds = Builds::of(home);
    tool_shims::require_sources()?;
    builds.tidy()?;
    set_environment(&builds.next_path());
    // SAFETY: no other thread reads or writes the environment yet.
    unsafe { std::env::set_var(KEEP_VAR, "1") };
    builds.warm(|path| {
        let place = Workplace::new(home, path);
        place.make_flush()?;
        let (mut context, outputs) = place.start()?;
        std::thread::spawn(move || outputs.stdout.iter().for_each(drop));
        let result = place.load_prelude(&mut context);
        result.map_err(|report| anyhow::anyhow!("{}\n{}", report.value, report.traceback.join("\n")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_another_build_of_the_library_is_not_searched() {
        let (with, without) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(with.path().join(format!("{DLL_PREFIX}metamers{DLL_SUFFIX}")), "").unwrap();
        let paths = std::env::join_paths([with.path(), without.path()]).unwrap();
        assert_eq!(without_the_library(&paths).unwrap(), without.path());
        assert_eq!(without_the_library(with.path().as_os_str()), None);
    }
}
