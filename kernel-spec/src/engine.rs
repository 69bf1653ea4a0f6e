//! evcxr with the prelude loaded: runs cells, completes code and looks up documentation.

use crate::build_cache::BuildCache;
use crate::cell::Cell;
use crate::cell_compiler::sorted_manifest;
use crate::cell_input::Reply;
use crate::cell_items::{ImplBlocks, collision_note};
use crate::cell_map::CellMap;
use crate::display_hook::{CellCommand, WrappedCell, blank_start, commands};
use crate::error_report::ErrorReport;
use crate::event_handler::EventHandler;
use crate::interrupt::Interrupter;
use crate::kernel_dir::KernelDir;
use crate::lost_variables::LostVariables;
use crate::nesting::{MAX_NESTING, nesting};
use crate::output_pump::ESCAPED_COLON;
use crate::publisher::Publisher;
use crate::sync::lock;
use crate::{local_crates, platform, shared_statics, toolchain};
use evcxr::{CommandContext, CompilationError, Completions, Error, EvalCallbacks, EvalOutputs};
use serde_json::{Map, Value, json};
use std::io::BufRead;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

const VARIABLES_LOST: &str =
    "All variables are lost; functions, types, dependencies and the prelude are kept, and the next cell works.";
const INPUT_INTERRUPTED: &str =
    "The cell was interrupted while it waited for input. The variables of earlier cells are kept.";
const HANDLER_KILLED: &str = "an interrupt ended the handler of a widget, and the process with it";
const RUST_UPDATED: &str = "note: Rust was updated. Restart the kernel.";
const CRATE_CHANGED: &str = "note: a local crate has changed and is compiled again. Variables of its types are still those of the earlier \
     version: run the cells that define them again.";
/// The commands that start a new process; the first one forgets everything.
const CLEAR: &str = ":clear";
const RESTART: &str = ":restart";
/// Code whose analysis makes rust-analyzer load what most cells need.
const PRIMING_CODE: &str = "let primer = Tensor::ones((2, 2), DType::F32, &Device::Cpu)?; primer";

/// A request for input, made by a cell.
pub struct InputRequest {
    /// Prompt.
    pub prompt: String,
    /// True if the input must not be echoed.
    pub is_password: bool,
}

/// evcxr in a kernel's build directory.
pub struct Engine {
    build_cache: BuildCache,
    kernel_dir: KernelDir,
    cell: Arc<Mutex<Cell>>,
    interrupter: Arc<Interrupter>,
    event_handler: Arc<EventHandler>,
    cells: Arc<Mutex<CellMap>>,
    context: Option<CommandContext>,
    prelude_loaded: bool,
    impl_blocks: ImplBlocks,
    lost_variables: LostVariables,
    /// True once a command has selected one of evcxr's own display formats.
    evcxr_format: bool,
    /// Start of the last cell.
    last_cell_at: SystemTime,
}

impl Engine {
    /// An engine that has not been started.
    pub fn new(
        build_cache: BuildCache,
        kernel_dir: KernelDir,
        publisher: Publisher,
        interrupter: Arc<Interrupter>,
    ) -> Engine {
        let cells = Arc::new(Mutex::new(CellMap::new(&kernel_dir.path)));
        let event_handler =
            Arc::new(EventHandler::new(&kernel_dir.event_key, publisher, interrupter.clone(), cells.clone()));
        Engine {
            build_cache,
            kernel_dir,
            cell: interrupter.cell.clone(),
            interrupter,
            event_handler,
            cells,
            context: None,
            prelude_loaded: false,
            impl_blocks: ImplBlocks::default(),
            lost_variables: LostVariables::default(),
            evcxr_format: false,
            last_cell_at: SystemTime::now(),
        }
    }

    /// Starts evcxr and loads the prelude, unless that has been done.
    pub fn prepare(&mut self) -> Result<(), ErrorReport> {
        if self.context.is_none() {
            let context = self.start().map_err(|error| ErrorReport::new("KernelError", format!("{error:#}")))?;
            self.context = Some(context);
        }
        if let Some(context) = self.context.as_mut().filter(|_| !self.prelude_loaded) {
            self.kernel_dir.load_prelude(context)?;
            self.prelude_loaded = true;
        }
        Ok(())
    }

    fn start(&self) -> anyhow::Result<CommandContext> {
        self.build_cache.prepare()?;
        if !self.build_cache.is_warm() {
            metamers_lab::ensure_rust_src(toolchain::real_tool)?;
            self.build_template();
        }
        self.build_cache.create_kernel_dir()?;
        self.kernel_dir.build_shared_libraries()?;
        let (context, outputs) = self.kernel_dir.start_evcxr()?;
        let _ = self.interrupter.process.set(context.process_handle());
        self.event_handler.spawn(outputs.stdout);
        // The cells' stderr arrives as events; this is what their threads print between two cells, and the supervisor's own stderr.
        let event_handler = self.event_handler.clone();
        std::thread::spawn(move || outputs.stderr.iter().for_each(|line| event_handler.handle_late_line(&line)));
        Ok(context)
    }

    /// Builds the template in a process of its own, because evcxr can be started only once in each process.
    fn build_template(&self) {
        eprintln!("Compiling metamers for notebooks; the first time takes about four minutes on two cores.");
        let Ok(program) = platform::current_program() else { return };
        let child = toolchain::restore_environment(&mut Command::new(program))
            .arg("warm")
            .env("METAMERS_HOME", self.build_cache.home())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else { return };
        if let Some(stderr) = child.stderr.take() {
            for line in std::io::BufReader::new(stderr).lines().map_while(Result::ok) {
                // Errors are omitted: loading the prelude repeats and reports them.
                if line.trim_start().starts_with("Compiling ") {
                    eprintln!("{line}");
                }
            }
        }
        let _ = child.wait();
    }

    /// Makes rust-analyzer load in advance what the first cell would wait for.
    pub fn prime(&mut self) {
        let _ = self.documentation(PRIMING_CODE, PRIMING_CODE.len());
    }

    /// Runs a cell, given its execution count, and returns its value as a MIME bundle; output is published while the cell runs.
    pub fn evaluate(
        &mut self,
        count: usize,
        code: &str,
        read_input: &dyn Fn(InputRequest) -> Reply,
    ) -> Result<Map<String, Value>, ErrorReport> {
        check_nesting(code)?;
        let _ = std::fs::remove_file(self.kernel_dir.skip_flag());
        let commands = commands(code);
        let (mut outputs, done) = self.start_new_process(code, &commands)?;
        let rest = &blank_start(code, done);
        let mut cell = lock(&self.cell);
        if cell.is_wait_interrupted() {
            return Err(match done {
                0 => build_interrupted(),
                _ => ErrorReport::new(
                    "Interrupted",
                    format!("The cell was interrupted after its first commands. {VARIABLES_LOST}"),
                ),
            });
        }
        cell.begin();
        drop(cell);
        self.follow_local_crates();
        let Some(context) = &mut self.context else { return Err(not_running()) };
        self.evcxr_format |= commands.iter().any(CellCommand::selects_format);
        let mut impl_blocks = self.impl_blocks.clone();
        let wrapped = if self.evcxr_format {
            WrappedCell::verbatim(rest)
        } else {
            WrappedCell::with_impl_blocks(rest, &mut impl_blocks)
        };
        let (before, group) = (variable_names(context), self.interrupter.process_group());
        shared_statics::begin_cell(&self.kernel_dir.control_dir(), rest);
        lock(&self.cells).begin(count, code, &wrapped);
        let mut callbacks = EvalCallbacks {
            input_reader: &|request| {
                // Text that the cell has printed is shown above the input box.
                self.event_handler.drain();
                let prompt = request.prompt.replace(ESCAPED_COLON, ":");
                read_input(InputRequest { prompt, is_password: request.is_password }).encode()
            },
        };
        let result = catch_unwind(AssertUnwindSafe(|| context.execute_with_callbacks(&wrapped.code, &mut callbacks)));
        self.event_handler.drain();
        let after = variable_names(context);
        if matches!(result, Ok(Ok(_))) {
            self.impl_blocks = impl_blocks;
        }
        let is_process_ended = matches!(result, Ok(Err(Error::SubprocessTerminated(_))));
        shared_statics::end_cell(&self.kernel_dir.control_dir(), lock(&self.cell).started, is_process_ended);
        let result = result.map(|result| {
            result.map(|own| {
                outputs.merge(own);
                outputs
            })
        });
        let report = self.finish_cell(result, &wrapped, code);
        match &report {
            Ok(_) => self.lost_variables.record_success(&before, &after, rest),
            Err(_) if is_process_ended => {
                self.lost_variables.record_process_end(&before, None);
                platform::kill_rest_of_group(group);
            }
            Err(error) if ["Panic", "Error", "Interrupted"].contains(&error.name.as_str()) => {
                self.lost_variables.record_failure(&before, &after, rest);
            }
            Err(_) => {}
        }
        lock(&self.cells).end();
        report
    }

    /// Carries out the commands of a cell up to the last one that starts a new process, before anything else of the cell, and loads the
    /// prelude if `:clear` has removed it. Returns their outputs, and the number of bytes of the cell that are done.
    fn start_new_process(&mut self, code: &str, commands: &[CellCommand]) -> Result<(EvalOutputs, usize), ErrorReport> {
        let is_clear = commands.iter().any(|command| command.name == CLEAR);
        let Some(last) = commands.iter().rfind(|command| [CLEAR, RESTART].contains(&command.name)) else {
            return Ok((EvalOutputs::new(), 0));
        };
        let Some(context) = &mut self.context else { return Err(not_running()) };
        let (before, group) = (variable_names(context), self.interrupter.process_group());
        let result = catch_unwind(AssertUnwindSafe(|| context.execute(&code[..last.end])));
        // It is still the same if a command before it has failed.
        if self.interrupter.process_group() != group {
            platform::kill_rest_of_group(group);
            self.interrupter.handler_killed.store(false, Ordering::SeqCst);
            shared_statics::end_cell(&self.kernel_dir.control_dir(), false, true);
            self.lost_variables.record_process_end(&before, Some(if is_clear { CLEAR } else { RESTART }));
            if is_clear {
                self.prelude_loaded = false;
                self.impl_blocks = ImplBlocks::default();
            }
        }
        match result {
            Ok(Ok(outputs)) => self.prepare().map(|()| (outputs, last.end)),
            Ok(Err(error)) => Err(self.report_error(&error, &WrappedCell::verbatim(code), code)),
            Err(_) => Err(evcxr_panicked()),
        }
    }

    /// Makes the analysis read local crates again that have changed since the start of the last cell.
    fn follow_local_crates(&mut self) {
        let last_cell_at = std::mem::replace(&mut self.last_cell_at, SystemTime::now());
        let build_dir = &self.kernel_dir.path;
        let changed = local_crates::last_change(&sorted_manifest(build_dir), build_dir);
        if let Some(context) = self.context.as_mut().filter(|_| changed.is_some_and(|at| at > last_cell_at)) {
            context.reload_dependencies();
            if context.variables_and_types().next().is_some() {
                self.interrupter.publisher.notice(CRATE_CHANGED);
            }
        }
    }

    /// Ends the cell and converts evcxr's result to a MIME bundle or an error report.
    fn finish_cell(
        &self,
        result: std::thread::Result<Result<EvalOutputs, Error>>,
        wrapped: &WrappedCell,
        code: &str,
    ) -> Result<Map<String, Value>, ErrorReport> {
        let mut cell = lock(&self.cell);
        cell.end();
        let _ = std::fs::remove_file(self.kernel_dir.skip_flag());
        if cell.killed {
            return Err(ErrorReport::new("Interrupted", format!("The cell was ended. {VARIABLES_LOST}")));
        }
        if cell.skipped {
            return Err(build_interrupted());
        }
        if cell.input_interrupted && (cell.panic_message.is_some() || cell.error_message.is_some()) {
            return Err(ErrorReport::new("Interrupted", INPUT_INTERRUPTED));
        }
        if let Some(message) = cell.panic_message.take() {
            return Err(ErrorReport::from_panic(&message, &lock(&self.cells)));
        }
        if let Some(message) = cell.error_message.take() {
            return Err(ErrorReport::from_stderr(&lock(&self.cells).rewrite(&message)));
        }
        let is_interrupted = cell.interrupted_at.is_some();
        match result {
            Ok(Ok(outputs)) => {
                if let Some(time) = outputs.timing {
                    self.interrupter.publisher.stream("stdout", &format!("Took {time:.1?}\n"));
                }
                Ok(outputs.content_by_mime_type.into_iter().map(representation).collect())
            }
            Ok(Err(Error::SubprocessTerminated(last_lines))) => {
                let reason = cell.exit_reason.take().or_else(|| self.event_handler.exit_reason(&last_lines));
                let was_killed = self.interrupter.handler_killed.swap(false, Ordering::SeqCst);
                let reason = reason.or_else(|| was_killed.then(|| HANDLER_KILLED.into()));
                let reason = reason.unwrap_or_else(|| "unknown reason".into());
                let end = if cell.started { "ended" } else { "had ended before this cell ran" };
                let message = format!("The process that runs the cells {end}: {reason}. {VARIABLES_LOST}");
                Err(ErrorReport::new("ProcessEnded", message))
            }
            Ok(Err(error)) if is_interrupted && compile_errors(&error).is_empty() => Err(build_interrupted()),
            Ok(Err(error)) => Err(self.report_error(&error, wrapped, code)),
            Err(_) => Err(evcxr_panicked()),
        }
    }

    /// Reports an error of evcxr in the lines of the cell.
    fn report_error(&self, error: &Error, wrapped: &WrappedCell, code: &str) -> ErrorReport {
        let errors = compile_errors(error);
        if errors.is_empty() {
            return ErrorReport::new("Error", error.to_string().replace(" evcxr ", " the kernel "));
        }
        let mut report = ErrorReport::from_compile_errors(errors, wrapped, code, &lock(&self.cells));
        let mut notes = Vec::new();
        for error in errors {
            notes.extend(self.lost_variables.note(error.code(), &error.message()).map(str::to_owned));
            notes.extend(collision_note(error.code()).map(str::to_owned));
            notes.extend(update_note(error.code()).map(str::to_owned));
        }
        notes.dedup();
        report.traceback.append(&mut notes);
        report
    }

    /// Completions at a byte offset of the code.
    pub fn completions(&mut self, code: &str, cursor: usize) -> Option<Completions> {
        check_nesting(code).ok()?;
        let context = self.context.as_mut()?;
        catch_unwind(AssertUnwindSafe(|| context.completions(code, cursor))).ok()?.ok()
    }

    /// Documentation of the identifier that ends at a byte offset, as text and as Markdown.
    pub fn documentation(&mut self, code: &str, cursor: usize) -> Option<(String, String)> {
        check_nesting(code).ok()?;
        let context = self.context.as_mut()?;
        let found = catch_unwind(AssertUnwindSafe(|| context.hover_at(code, cursor))).ok()?.ok();
        found.filter(|(text, _)| text != "No documentation found")
    }

    /// Documentation of an identifier, as a payload that opens the front end's pager.
    pub fn documentation_page(&mut self, name: &str) -> Result<Value, ErrorReport> {
        let Some((text, markdown)) = self.documentation(name, name.len()) else {
            return Err(ErrorReport::new("Error", format!("no documentation found for `{name}`")));
        };
        Ok(json!({ "source": "page", "start": 0, "data": { "text/plain": text, "text/markdown": markdown } }))
    }
}

/// The errors of the compiler; empty for an error of another kind.
fn compile_errors(error: &Error) -> &[CompilationError] {
    match error {
        Error::CompilationErrors(errors) => errors,
        _ => &[],
    }
}

/// A note on a compile error about crates that another version of the compiler has compiled, by the error's code.
fn update_note(code: Option<&str>) -> Option<&'static str> {
    (code == Some("E0514")).then_some(RUST_UPDATED)
}

fn not_running() -> ErrorReport {
    ErrorReport::new("KernelError", "evcxr is not running; restart the kernel")
}

fn evcxr_panicked() -> ErrorReport {
    let message = "evcxr panicked while it handled this cell; if the next cells fail, restart the kernel.";
    ErrorReport::new("KernelError", message)
}

fn variable_names(context: &CommandContext) -> Vec<String> {
    context.variables_and_types().map(|(name, _)| name.to_owned()).collect()
}

/// Rejects code that is nested too deeply to be parsed.
fn check_nesting(code: &str) -> Result<(), ErrorReport> {
    let depth = nesting(code);
    if depth <= MAX_NESTING {
        return Ok(());
    }
    let message = format!(
        "the cell has an expression of about {depth} nested parts, and at most {MAX_NESTING} can be compiled. Split it into \
         several statements, or compute it in a loop. The elements of a list and the statements of a cell do not count."
    );
    Err(ErrorReport::new("CompileError", message))
}

/// Reports an interrupt before the cell began.
#[must_use]
pub fn queue_interrupted() -> ErrorReport {
    let message = "The cell was interrupted before it began. None of its code ran, and nothing is lost.";
    ErrorReport::new("Interrupted", message)
}

/// Reports an interrupt before the cell's code ran.
#[must_use]
pub fn build_interrupted() -> ErrorReport {
    let message = "The cell was interrupted while it was compiled. None of its code ran, and nothing is lost.";
    ErrorReport::new("Interrupted", message)
}

fn representation((mime, text): (String, String)) -> (String, Value) {
    let json = mime.ends_with("json").then(|| serde_json::from_str(&text).ok()).flatten();
    (mime, json.unwrap_or_else(|| text.into()))
}
