//! evcxr with the prelude loaded: runs cells, completes, explains.

use crate::build_cache::Builds;
use crate::cell::Cell;
use crate::display_hook::{Shown, is_command};
use crate::error_report::Report;
use crate::event_handler::Listener;
use crate::interrupt::Interrupter;
use crate::kernel_dir::Workplace;
use crate::publisher::{Output, lock};
use crate::supervisor::COLON;
use evcxr::{CommandContext, Completions, Error, EvalCallbacks};
use serde_json::{Map, Value, json};
use std::io::BufRead;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

const ALL_LOST: &str =
    "All variables are lost; functions, types, dependencies and the prelude are kept, and the next cell works.";
/// Code whose analysis makes rust-analyzer read what nearly every cell needs.
const PRIMER: &str = "let primer = Tensor::ones((2, 2), DType::F32, &Device::Cpu)?; primer";

/// A question that a cell asks the person.
pub struct Question {
    /// What is asked.
    pub prompt: String,
    /// Whether the answer is to stay hidden.
    pub is_password: bool,
}

/// evcxr in its workplace.
pub struct Engine {
    builds: Builds,
    place: Workplace,
    cell: Arc<Mutex<Cell>>,
    interrupter: Arc<Interrupter>,
    listener: Arc<Listener>,
    context: Option<CommandContext>,
    prelude_loaded: bool,
    /// Whether evcxr was asked to show values in a way of its own.
    evcxr_shows: bool,
}

impl Engine {
    /// An engine that has not started yet.
    pub fn new(builds: Builds, place: Workplace, output: Output, interrupter: Arc<Interrupter>) -> Engine {
        let listener = Arc::new(Listener::new(&place.key, output.clone(), interrupter.clone()));
        let cell = interrupter.cell.clone();
        Engine { builds, place, cell, interrupter, listener, context: None, prelude_loaded: false, evcxr_shows: false }
    }

    /// Starts evcxr and loads the prelude, as far as that has not been done.
    pub fn prepare(&mut self) -> Result<(), Report> {
        let plain = |error: anyhow::Error| Report::new("KernelError", format!("{error:#}"));
        if self.context.is_none() {
            self.builds.tidy().map_err(plain)?;
            if !self.builds.is_warm() {
                crate::tool_shims::require_sources().map_err(plain)?;
                self.warm();
            }
            self.builds.private().map_err(plain)?;
            let (context, outputs) = self.place.start().map_err(plain)?;
            let _ = self.interrupter.process.set(context.process_handle());
            self.listener.listen(outputs.stdout);
            // The relay reports stderr with the rest; here its own last words would come.
            std::thread::spawn(move || outputs.stderr.iter().for_each(|line| eprintln!("{line}")));
            self.context = Some(context);
        }
        if let Some(context) = self.context.as_mut().filter(|_| !self.prelude_loaded) {
            self.place.load_prelude(context)?;
            self.prelude_loaded = true;
        }
        Ok(())
    }

    /// Compiles the template in a process of its own, for evcxr can be started only once in each.
    fn warm(&self) {
        eprintln!("Compiling metamers for notebooks; the first time takes about four minutes on two cores.");
        let Ok(program) = crate::process::this_program() else { return };
        let child = crate::tool_shims::restore(&mut Command::new(program))
            .arg("warm")
            .env("METAMERS_HOME", self.builds.home())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else { return };
        if let Some(stderr) = child.stderr.take() {
            for line in std::io::BufReader::new(stderr).lines().map_while(Result::ok) {
                // Errors are reported by the prelude, which meets them again.
                if line.trim_start().starts_with("Compiling ") {
                    eprintln!("{line}");
                }
            }
        }
        let _ = child.wait();
    }

    /// Does in advance what the first cell would have to wait for.
    pub fn prime(&mut self) {
        let _ = self.documentation(PRIMER, PRIMER.len());
    }

    /// Runs a cell; what it shows while it runs is published on the way.
    pub fn evaluate(&mut self, code: &str, ask: &dyn Fn(Question) -> String) -> Result<Map<String, Value>, Report> {
        let Some(context) = &mut self.context else {
            return Err(Report::new("KernelError", "evcxr is not running; restart the kernel"));
        };
        let mut commands = code.lines().filter(|line| is_command(line)).map(str::trim);
        self.evcxr_shows |= commands.clone().any(|line| [":fmt ", ":types"].iter().any(|own| line.starts_with(own)));
        if commands.any(|line| line == ":clear") {
            // It clears the prelude as well.
            self.prelude_loaded = false;
        }
        let shown = if self.evcxr_shows { Shown::unchanged(code) } else { Shown::of(code) };
        let _ = std::fs::remove_file(self.place.skip());
        lock(&self.cell).begin();
        let mut callbacks = EvalCallbacks {
            input_reader: &|request| {
                ask(Question { prompt: request.prompt.replace(COLON, ":"), is_password: request.is_password })
            },
        };
        let result = catch_unwind(AssertUnwindSafe(|| context.execute_with_callbacks(&shown.code, &mut callbacks)));
        self.listener.catch_up();
        let mut cell = lock(&self.cell);
        cell.end();
        let _ = std::fs::remove_file(self.place.skip());
        if cell.killed {
            return Err(Report::new("Interrupted", format!("The cell was ended. {ALL_LOST}")));
        }
        if cell.skipped {
            return Err(not_run());
        }
        if let Some(said) = cell.panicked.take() {
            return Err(Report::panic(&said, &self.place.source(), &shown, code));
        }
        if let Some(said) = cell.failed.take() {
            return Err(Report::failure(&said));
        }
        match result {
            Ok(Ok(outputs)) => Ok(outputs.content_by_mime_type.into_iter().map(representation).collect()),
            Ok(Err(Error::CompilationErrors(errors))) if !errors.is_empty() => {
                Err(Report::compilation(&errors, &shown, code))
            }
            Ok(Err(Error::SubprocessTerminated(_))) => {
                let how = cell.ended.take().unwrap_or_else(|| "it ended".into());
                Err(Report::new("ProcessEnded", format!("The process that runs the cells ended: {how}. {ALL_LOST}")))
            }
            Ok(Err(_)) if cell.interrupted.is_some() => Err(not_run()),
            Ok(Err(error)) => Err(Report::new("Error", error.to_string())),
            Err(_) => {
                Err(Report::new("KernelError", "evcxr panicked over this cell; restart the kernel if cells fail now."))
            }
        }
    }

    /// What could be typed at this byte of the code.
    pub fn completions(&mut self, code: &str, cursor: usize) -> Option<Completions> {
        let context = self.context.as_mut()?;
        catch_unwind(AssertUnwindSafe(|| context.completions(code, cursor))).ok()?.ok()
    }

    /// The documentation of the name that ends at this byte, as text and as Markdown.
    pub fn documentation(&mut self, code: &str, cursor: usize) -> Option<(String, String)> {
        let context = self.context.as_mut()?;
        let found = catch_unwind(AssertUnwindSafe(|| context.hover_at(code, cursor))).ok()?.ok();
        found.filter(|(text, _)| text != "No documentation found")
    }

    /// The documentation of a name, for the front end to open beside the notebook.
    pub fn page(&mut self, name: &str) -> Result<Value, Report> {
        let Some((text, markdown)) = self.documentation(name, name.len()) else {
            return Err(Report::new("Error", format!("there is no documentation of `{name}`")));
        };
        Ok(json!({ "source": "page", "start": 0, "data": { "text/plain": text, "text/markdown": markdown } }))
    }
}

fn not_run() -> Report {
    Report::new("Interrupted", "The cell was stopped while it was compiled. Nothing of it ran, and nothing is lost.")
}

fn representation((mime, text): (String, String)) -> (String, Value) {
    let json = mime.ends_with("json").then(|| serde_json::from_str(&text).ok()).flatten();
    (mime, json.unwrap_or_else(|| text.into()))
}
