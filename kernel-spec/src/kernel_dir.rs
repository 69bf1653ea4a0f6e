//! The build directory of a kernel: starting evcxr in it, and loading the prelude.

use crate::build_cache::BuildCache;
use crate::cell_map::CellMap;
use crate::comms::COMM_VAR;
use crate::display_hook::WrappedCell;
use crate::error_report::ErrorReport;
use crate::event::EVENT_KEY_VAR;
use crate::live::NONCE_VAR;
use crate::prelude::{FLUSH_LIBRARY_SOURCE, prelude_source};
use crate::supervisor::{CONTROL_DIR_VAR, FLUSH_LIBRARY, READY_FLAG, SKIP_FLAG};
use crate::{cell_runtime, process, tool_shims, toolchain};
use anyhow::{Context, Result};
use evcxr::{CommandContext, EvalContext, EvalContextOutputs};
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// glibc's thresholds for returning memory to the system, in bytes. Returned memory costs page faults when the next tensor is allocated.
const MALLOC_THRESHOLD: &str = "1073741824";

/// A kernel's build directory and its secrets.
#[derive(Clone)]
pub struct KernelDir {
    /// The project's root.
    pub home: PathBuf,
    /// The build directory.
    pub path: PathBuf,
    /// Key of the supervisor's events.
    pub event_key: String,
    /// Nonce of the library's live frames.
    pub nonce: String,
    /// Address of the comms, see [`crate::comms`]; empty where there are none.
    pub comm_address: String,
}

impl KernelDir {
    /// A kernel directory at `path`, with new secrets.
    #[must_use]
    pub fn new(home: &Path, path: &Path) -> KernelDir {
        KernelDir {
            home: home.to_owned(),
            path: path.to_owned(),
            event_key: uuid::Uuid::new_v4().simple().to_string(),
            nonce: uuid::Uuid::new_v4().simple().to_string(),
            comm_address: String::new(),
        }
    }

    /// The directory of the files that the kernel shares with the supervisor and the compiler shims.
    #[must_use]
    pub fn control_dir(&self) -> PathBuf {
        self.path.join(toolchain::CONTROL_DIR)
    }

    /// The file that keeps a built cell from being run.
    #[must_use]
    pub fn skip_flag(&self) -> PathBuf {
        self.control_dir().join(SKIP_FLAG)
    }

    /// Starts evcxr, with the supervisor as its child.
    pub fn start_evcxr(&self) -> Result<(CommandContext, EvalContextOutputs)> {
        let control_dir = self.control_dir();
        tool_shims::install(&self.path).with_context(|| format!("cannot write to {}", self.path.display()))?;
        std::fs::create_dir_all(&control_dir).with_context(|| format!("cannot write to {}", control_dir.display()))?;
        for flag in [READY_FLAG, SKIP_FLAG] {
            let _ = std::fs::remove_file(control_dir.join(flag));
        }
        let mut command = Command::new(process::current_program()?);
        command
            .env(EVENT_KEY_VAR, &self.event_key)
            .env(NONCE_VAR, &self.nonce)
            .env(COMM_VAR, &self.comm_address)
            .env(CONTROL_DIR_VAR, &control_dir)
            .env("MALLOC_TRIM_THRESHOLD_", MALLOC_THRESHOLD)
            .env("MALLOC_MMAP_THRESHOLD_", MALLOC_THRESHOLD)
            // Interrupts are sent to this group: they reach all processes that a cell started, and no others.
            .process_group(0);
        match std::env::var_os("LD_LIBRARY_PATH").and_then(|paths| exclude_library_dirs(&paths)) {
            Some(paths) => command.env("LD_LIBRARY_PATH", paths),
            None => command.env_remove("LD_LIBRARY_PATH"),
        };
        let (context, outputs) =
            EvalContext::with_subprocess_command(command).map_err(|error| anyhow::anyhow!("{error}"))?;
        std::fs::write(control_dir.join(READY_FLAG), "")?;
        Ok((CommandContext::with_eval_context(context), outputs))
    }

    /// Compiles what the cells share, unless that has been done.
    pub fn build_shared_libraries(&self) -> Result<()> {
        if cell_runtime::library(&self.control_dir()).exists() && self.control_dir().join(FLUSH_LIBRARY).exists() {
            return Ok(());
        }
        std::fs::create_dir_all(self.control_dir())?;
        cell_runtime::build(&self.control_dir())?;
        self.build_flush_library()
    }

    /// Compiles the flush library with rustc, because it must share the cells' standard library, which this program does not.
    fn build_flush_library(&self) -> Result<()> {
        let arguments = ["--crate-name", "flush", "--crate-type", "cdylib", "-Cprefer-dynamic"];
        toolchain::compile_source(FLUSH_LIBRARY_SOURCE, &arguments, &self.control_dir().join(FLUSH_LIBRARY))
    }

    /// Adds the library as a dependency and loads its prelude.
    pub fn load_prelude(&self, context: &mut CommandContext) -> Result<(), ErrorReport> {
        // evcxr's own first cell has no dependencies and empties the lock file.
        let _ = std::fs::copy(BuildCache::new(&self.home).lock_file(), self.path.join("Cargo.lock"));
        let prelude = prelude_source(&self.home);
        context.execute(&prelude).map(drop).map_err(|error| match error {
            evcxr::Error::CompilationErrors(errors) => {
                let (wrapped, cells) = (WrappedCell::verbatim(&prelude), CellMap::new(&self.path));
                let report = ErrorReport::from_compile_errors(&errors, &wrapped, &prelude, &cells);
                ErrorReport {
                    name: "Prelude".into(),
                    value: format!("metamers does not compile: {}", report.value),
                    ..report
                }
            }
            error => ErrorReport::new("Prelude", format!("metamers could not be loaded.\n{error}")),
        })
    }
}

/// Removes directories that contain another build of the library, which cells would load instead of the one they were linked with.
/// `cargo test` and `cargo run` add such a directory. Returns `None` if no directory is left.
fn exclude_library_dirs(paths: &OsStr) -> Option<OsString> {
    let library = format!("{DLL_PREFIX}metamers{DLL_SUFFIX}");
    let kept: Vec<_> = std::env::split_paths(paths).filter(|dir| !dir.join(&library).exists()).collect();
    std::env::join_paths(kept).ok().filter(|paths| !paths.is_empty())
}

/// Sets the build directory of evcxr, which reads it from the environment only, and installs the tool shims in PATH.
///
/// # Safety
/// No other thread may read or write the environment during the call.
pub unsafe fn set_environment(build_dir: &Path) {
    // SAFETY: the caller guarantees that no other thread uses the environment.
    unsafe {
        std::env::set_var("EVCXR_TMPDIR", build_dir);
        std::env::set_var("EVCXR_CONFIG_DIR", build_dir.join("no-config"));
        toolchain::set_environment(build_dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_with_another_build_of_the_library_are_excluded() {
        let (with, without) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(with.path().join(format!("{DLL_PREFIX}metamers{DLL_SUFFIX}")), "").unwrap();
        let paths = std::env::join_paths([with.path(), without.path()]).unwrap();
        assert_eq!(exclude_library_dirs(&paths).unwrap(), without.path());
        assert_eq!(exclude_library_dirs(with.path().as_os_str()), None);
    }
}
