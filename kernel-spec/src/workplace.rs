//! The folder in which a kernel works, what it tells evcxr about it, and the prelude.

use crate::live::NONCE_VAR;
use crate::relay::{READY, SKIP, SWITCHES_VAR};
use crate::report::Report;
use crate::template::Builds;
use crate::wire::KEY_VAR;
use anyhow::{Context, Result};
use evcxr::{CommandContext, EvalContext, EvalContextOutputs};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

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
        std::fs::create_dir_all(&switches).with_context(|| format!("cannot write to {}", switches.display()))?;
        for switch in [READY, SKIP] {
            let _ = std::fs::remove_file(switches.join(switch));
        }
        let mut command = Command::new(std::env::current_exe()?);
        command
            .env(KEY_VAR, &self.key)
            .env(NONCE_VAR, &self.nonce)
            .env(SWITCHES_VAR, self.switches())
            // Large tensors are handed back and forth inside the process: a fresh page costs more than what is computed on it.
            .env("MALLOC_TRIM_THRESHOLD_", "1073741824")
            .env("MALLOC_MMAP_THRESHOLD_", "1073741824")
            // An interrupt reaches all that a cell started, and nothing else.
            .process_group(0);
        let (context, outputs) =
            EvalContext::with_subprocess_command(command).map_err(|error| anyhow::anyhow!("{error}"))?;
        std::fs::write(self.switches().join(READY), "")?;
        Ok((CommandContext::with_eval_context(context), outputs))
    }

    /// Makes the library known and its prelude loaded.
    pub fn load_prelude(&self, context: &mut CommandContext) -> Result<(), Report> {
        // evcxr's own first cell has no dependencies and empties the lock file.
        let _ = std::fs::copy(Builds::of(&self.home).lock_file(), self.build.join("Cargo.lock"));
        let prelude = prelude(&self.home);
        context.execute(&prelude).map(drop).map_err(|error| match error {
            evcxr::Error::CompilationErrors(errors) => {
                let report = Report::compilation(&errors, &prelude);
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

fn prelude(home: &Path) -> String {
    let path = serde_json::Value::from(home.to_string_lossy().as_ref());
    format!(":dep metamers = {{ path = {path} }}\nuse metamers::prelude::*;")
}

/// Tells evcxr where to build; it takes this from the environment alone. For the very start, before there is a second thread.
pub fn set_environment(build: &Path) {
    for (name, value) in [("EVCXR_TMPDIR", build), ("EVCXR_CONFIG_DIR", &build.join("no-config"))] {
        // SAFETY: no other thread reads or writes the environment yet.
        unsafe { std::env::set_var(name, value) };
    }
}

/// Compiles everything that a notebook needs before its first cell, into the template.
pub fn warm(home: &Path) -> Result<()> {
    let builds = Builds::of(home);
    builds.tidy()?;
    set_environment(&builds.next_path());
    builds.warm(|path| {
        let place = Workplace::new(home, path);
        let (mut context, outputs) = place.start()?;
        std::thread::spawn(move || outputs.stdout.iter().for_each(drop));
        let result = place.load_prelude(&mut context);
        result.map_err(|report| anyhow::anyhow!("{}\n{}", report.value, report.traceback.join("\n")))
    })
}
