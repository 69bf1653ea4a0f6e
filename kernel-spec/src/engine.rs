//! evcxr with the prelude loaded: runs cells, completes code and looks up documentation.

use crate::build_cache::BuildCache;
use crate::cell::Cell;
use crate::cell_input::Reply;
use crate::cell_items::{ImplBlocks, collision_note};
use crate::cell_map::CellMap;
use crate::display_hook::{WrappedCell, is_command};
use crate::error_report::ErrorReport;
use crate::event_handler::EventHandler;
use crate::interrupt::Interrupter;
use crate::kernel_dir::KernelDir;
use crate::lost_variables::LostVariables;
use crate::nesting::{MAX_NESTING, nesting};
use crate::output_pump::ESCAPED_COLON;
use crate::publisher::Publisher;
use crate::shared_statics;
use crate::sync::lock;
use crate::{platform, toolchain};
use evcxr::{CommandContext, Completions, Error, EvalCallbacks, EvalOutputs};
use serde_json::{Map, Value, json};
use std::io::BufRead;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

const VARIABLES_LOST: &str =
    "All variables are lost; functions, types, dependencies and the prelude are kept, and the next cell works.";
const INPUT_INTERRUPTED: &str =
    "The cell was interrupted while it waited for input. The variables of earlier cells are kept.";
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
        let Some(context) = &mut self.context else {
            return Err(ErrorReport::new("KernelError", "evcxr is not running; restart the kernel"));
        };
        check_nesting(code)?;
        let _ = std::fs::remove_file(self.kernel_dir.skip_flag());
        let mut cell = lock(&self.cell);
        if cell.is_wait_interrupted() {
            return Err(build_interrupted());
        }
        cell.begin();
        drop(cell);
        let mut commands = code.lines().filter(|line| is_command(line)).map(str::trim);
        self.evcxr_format |=
            commands.clone().any(|line| [":fmt ", ":types"].iter().any(|command| line.starts_with(command)));
        if commands.any(|line| line == ":clear") {
            // Clears the prelude as well.
            self.prelude_loaded = false;
            self.impl_blocks = ImplBlocks::default();
            self.lost_variables = LostVariables::default();
        }
        let mut impl_blocks = self.impl_blocks.clone();
        let wrapped = if self.evcxr_format {
            WrappedCell::verbatim(code)
        } else {
            WrappedCell::with_impl_blocks(code, &mut impl_blocks)
        };
        let before = variable_names(context);
        shared_statics::begin_cell(&self.kernel_dir.control_dir(), code);
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
        // `:clear` starts a new process too.
        let is_process_new = is_process_ended || !self.prelude_loaded;
        shared_statics::end_cell(&self.kernel_dir.control_dir(), lock(&self.cell).started, is_process_new);
        let report = self.finish_cell(result, &wrapped, code);
        match &report {
            Ok(_) => self.lost_variables.record_success(&before, &after, code),
            Err(_) if is_process_ended => self.lost_variables.record_process_end(&before),
            Err(error) if ["Panic", "Error", "Interrupted"].contains(&error.name.as_str()) => {
                self.lost_variables.record_failure(&after, code);
            }
            Err(_) => {}
        }
        lock(&self.cells).end();
        report
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
        match result {
            Ok(Ok(outputs)) => Ok(outputs.content_by_mime_type.into_iter().map(representation).collect()),
            Ok(Err(Error::CompilationErrors(errors))) if !errors.is_empty() => {
                let mut report = ErrorReport::from_compile_errors(&errors, wrapped, code, &lock(&self.cells));
                let mut notes = Vec::new();
                for error in &errors {
                    notes.extend(self.lost_variables.note(error.code(), &error.message()).map(str::to_owned));
                    notes.extend(collision_note(error.code()).map(str::to_owned));
                }
                notes.dedup();
                report.traceback.append(&mut notes);
                Err(report)
            }
            Ok(Err(Error::SubprocessTerminated(_))) => {
                let reason = cell.exit_reason.take().unwrap_or_else(|| "unknown reason".into());
                let message = format!("The process that runs the cells ended: {reason}. {VARIABLES_LOST}");
                Err(ErrorReport::new("ProcessEnded", message))
            }
            Ok(Err(_)) if cell.interrupted_at.is_some() => Err(build_interrupted()),
            Ok(Err(error)) => Err(ErrorReport::new("Error", error.to_string().replace(" evcxr ", " the kernel "))),
            Err(_) => {
                let message = "evcxr panicked while it handled this cell; if the next cells fail, restart the kernel.";
                Err(ErrorReport::new("KernelError", message))
            }
        }
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
