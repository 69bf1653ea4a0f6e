//! The evaluator thread: runs cells in order, and completions and inspections between them.

use crate::build_cache::BuildCache;
use crate::cell::Cell;
use crate::cell_input::{self, Reply};
use crate::cell_items::IMPL_ALIAS;
use crate::cursor::{byte_offset, char_offset, identifier_end};
use crate::engine::{Engine, InputRequest};
use crate::error_report::ErrorReport;
use crate::history::History;
use crate::interrupt::Interrupter;
use crate::kernel_dir::KernelDir;
use crate::nesting;
use crate::publisher::{Channel, Publisher};
use crate::sync::lock;
use jupyter_protocol::{CompleteRequest, ExecuteRequest, InspectRequest, JupyterMessage};
use serde_json::{Map, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

const NO_INPUT: &str = "warning: this cell reads stdin, but the front end provides no input: it reads the end of the file. Run the \
     notebook in JupyterLab to type the input, or set the value in the code.";
/// Reads in one cell that find the end of the file; further ones fail, because a loop that asks until the input is valid would never end.
const MAX_ENDS_OF_FILE: u32 = 100;

/// A request for the evaluator.
pub enum Job {
    /// Run a cell; holds its sequence number among the requested cells.
    Execute(JupyterMessage, ExecuteRequest, u64),
    /// Complete code at the cursor.
    Complete(JupyterMessage, CompleteRequest),
    /// Show documentation of the identifier at the cursor.
    Inspect(JupyterMessage, InspectRequest),
}

/// The session's handle to the evaluator: its queue and its state.
pub struct EvaluatorHandle {
    /// Queue of jobs.
    pub jobs: mpsc::Sender<Job>,
    /// Interrupter of the current cell.
    pub interrupter: Arc<Interrupter>,
    /// Number of cells requested so far.
    pub cells_requested: AtomicU64,
    /// Input history.
    pub history: Mutex<History>,
    pending_input: Mutex<Option<mpsc::Sender<String>>>,
    ready: AtomicBool,
    working: AtomicBool,
}

impl EvaluatorHandle {
    /// True if a completion or inspection would have to wait.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.is_ready() || self.working.load(Ordering::SeqCst)
    }

    /// True once the prelude has been loaded, or has failed to load.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }

    /// Passes an input reply to the cell that requested it.
    pub fn reply_to_input(&self, value: String) {
        if let Some(waiting) = lock(&self.pending_input).take() {
            let _ = waiting.send(value);
        }
    }

    /// Interrupts the current cell. A read of stdin fails, now and every time from then on.
    pub fn interrupt(&self) {
        self.interrupter.interrupt();
        drop(lock(&self.pending_input).take());
    }

    /// Sends an input request and waits for the reply.
    fn request_input(&self, send: impl FnOnce()) -> Reply {
        let (sender, reply) = mpsc::channel();
        {
            let mut pending = lock(&self.pending_input);
            let mut cell = lock(&self.interrupter.cell);
            if cell.interrupted_at.is_some() {
                cell.input_interrupted = true;
                return Reply::Interrupted;
            }
            *pending = Some(sender);
        }
        send();
        // The sender is dropped by an interrupt.
        reply.recv().map_or_else(
            |_| {
                lock(&self.interrupter.cell).input_interrupted = true;
                Reply::Interrupted
            },
            Reply::Line,
        )
    }
}

/// Starts the evaluator. It accepts jobs immediately and loads the prelude in the background.
pub fn spawn(build_cache: BuildCache, kernel_dir: KernelDir, publisher: Publisher) -> Arc<EvaluatorHandle> {
    let (jobs, queue) = mpsc::channel();
    let cell: Arc<Mutex<Cell>> = Arc::default();
    let interrupter = Arc::new(Interrupter {
        cell,
        process: Arc::default(),
        group_name: kernel_dir.group_name(),
        skip_flag: kernel_dir.skip_flag(),
        publisher: publisher.clone(),
    });
    let handle = Arc::new(EvaluatorHandle {
        jobs,
        interrupter: interrupter.clone(),
        cells_requested: AtomicU64::new(0),
        history: Mutex::new(History::open(build_cache.root())),
        pending_input: Mutex::default(),
        ready: AtomicBool::new(false),
        working: AtomicBool::new(false),
    });
    let mut engine = Engine::new(build_cache, kernel_dir, publisher.clone(), interrupter);
    let (prepared, preparing) = mpsc::sync_channel(1);
    // On a thread of its own, so that a cell that waits is shown as running, with the crates being compiled as its output.
    nesting::spawn({
        let handle = handle.clone();
        move || {
            let result = engine.prepare();
            // Priming would delay a cell that waits already.
            if result.is_ok() && handle.cells_requested.load(Ordering::SeqCst) == 0 {
                engine.prime();
            }
            handle.ready.store(true, Ordering::SeqCst);
            let _ = prepared.send((engine, result));
        }
    });
    let evaluator =
        Evaluator { handle: handle.clone(), publisher, preparing, engine: None, execution_count: 0, abort_until: 0 };
    nesting::spawn(move || evaluator.run(&queue));
    handle
}

struct Evaluator {
    handle: Arc<EvaluatorHandle>,
    publisher: Publisher,
    preparing: mpsc::Receiver<(Engine, Result<(), ErrorReport>)>,
    engine: Option<Engine>,
    execution_count: usize,
    /// Cells up to this sequence number are aborted, because an earlier one failed.
    abort_until: u64,
}

impl Evaluator {
    fn run(mut self, queue: &mpsc::Receiver<Job>) {
        while let Ok(job) = queue.recv() {
            self.handle.working.store(true, Ordering::SeqCst);
            match job {
                Job::Execute(message, request, number) => self.execute(&message, &request, number),
                Job::Complete(message, request) => self.complete(&message, &request),
                Job::Inspect(message, request) => self.inspect(&message, &request),
            }
        }
    }

    fn finish(&self, request: &JupyterMessage, content: serde_json::Value) {
        // Cleared before the reply, because the client may react to the reply immediately.
        self.handle.working.store(false, Ordering::SeqCst);
        self.publisher.reply(Channel::Shell, request, content);
        self.publisher.status("idle", Some(request));
    }

    /// The engine with the prelude loaded. After a failure every cell tries again, because the cause may have been fixed.
    fn engine(&mut self) -> Result<&mut Engine, ErrorReport> {
        if self.engine.is_none() {
            let Ok((engine, result)) = self.preparing.recv() else {
                return Err(ErrorReport::new("KernelError", "the evaluator could not start; restart the kernel"));
            };
            self.engine = Some(engine);
            result?;
        }
        match &mut self.engine {
            Some(engine) => engine.prepare().map(|()| engine),
            None => Err(ErrorReport::new("KernelError", "the evaluator has stopped; restart the kernel")),
        }
    }

    fn execute(&mut self, message: &JupyterMessage, request: &ExecuteRequest, number: u64) {
        self.publisher.status("busy", Some(message));
        if number <= self.abort_until {
            self.finish(message, json!({ "status": "aborted", "execution_count": self.execution_count }));
            return;
        }
        self.publisher.begin_cell(message);
        if request.store_history && !request.silent {
            self.execution_count += 1;
            lock(&self.handle.history).push(self.execution_count, &request.code);
        }
        let count = self.execution_count;
        if !request.silent {
            self.publisher.publish("execute_input", json!({ "code": request.code, "execution_count": count }));
        }
        if let Some(warning) = cell_input::warning(&request.code) {
            self.publisher.notice(warning);
        }
        let read_input = self.input_reader(message, request);
        let result = self.engine().and_then(|engine| match inspected_name(&request.code) {
            Some(name) => engine.documentation_page(name).map(|page| (Map::new(), vec![page])),
            None => engine.evaluate(count, &request.code, &read_input).map(|data| (data, Vec::new())),
        });
        let content = match result {
            Ok((data, payload)) => {
                if !request.silent && !data.is_empty() {
                    let result = json!({ "execution_count": count, "data": data, "metadata": {} });
                    self.publisher.publish("execute_result", result);
                }
                json!({ "status": "ok", "execution_count": count, "payload": payload, "user_expressions": {} })
            }
            Err(report) => {
                if !request.silent {
                    self.publisher.publish("error", report.content());
                }
                if request.stop_on_error {
                    self.abort_until = self.handle.cells_requested.load(Ordering::SeqCst);
                }
                let mut content = report.content();
                content["status"] = "error".into();
                content["execution_count"] = count.into();
                content
            }
        };
        self.finish(message, content);
    }

    /// A function that requests input from the front end on behalf of a cell, and waits for it.
    fn input_reader(
        &self,
        message: &JupyterMessage,
        request: &ExecuteRequest,
    ) -> impl Fn(InputRequest) -> Reply + use<> {
        let (handle, publisher, cell) = (self.handle.clone(), self.publisher.clone(), message.clone());
        let allow_stdin = request.allow_stdin;
        let refused = std::cell::Cell::new(0);
        move |request| {
            if !allow_stdin {
                if refused.get() == 0 {
                    publisher.notice(NO_INPUT);
                }
                refused.set(refused.get() + 1);
                return if refused.get() <= MAX_ENDS_OF_FILE { Reply::EndOfFile } else { Reply::Interrupted };
            }
            let content = json!({ "prompt": request.prompt, "password": request.is_password });
            handle.request_input(|| publisher.send(Channel::Stdin, "input_request", content, Some(&cell)))
        }
    }

    fn complete(&mut self, message: &JupyterMessage, request: &CompleteRequest) {
        self.publisher.status("busy", Some(message));
        let cursor = byte_offset(&request.code, request.cursor_pos);
        let found = self.engine().ok().and_then(|engine| engine.completions(&request.code, cursor));
        let (matches, start, end) = match found {
            Some(found) => {
                let mut codes: Vec<_> =
                    found.completions.into_iter().map(|completion| without_arguments(completion.code)).collect();
                codes.sort();
                codes.dedup();
                codes.retain(|code: &String| !["evcxr_", IMPL_ALIAS].iter().any(|hidden| code.starts_with(hidden)));
                (codes, found.start_offset, found.end_offset)
            }
            None => (Vec::new(), cursor, cursor),
        };
        let content = json!({
            "status": "ok", "matches": matches, "metadata": {},
            "cursor_start": char_offset(&request.code, start), "cursor_end": char_offset(&request.code, end),
        });
        self.finish(message, content);
    }

    fn inspect(&mut self, message: &JupyterMessage, request: &InspectRequest) {
        self.publisher.status("busy", Some(message));
        let cursor = identifier_end(&request.code, byte_offset(&request.code, request.cursor_pos));
        let found = self.engine().ok().and_then(|engine| engine.documentation(&request.code, cursor));
        let data = match &found {
            Some((text, markdown)) => json!({ "text/plain": text, "text/markdown": markdown }),
            None => json!({}),
        };
        let content = json!({ "status": "ok", "found": found.is_some(), "data": data, "metadata": {} });
        self.finish(message, content);
    }
}

/// Strips the arguments from the completion of a function or macro, because the user would have to delete them.
fn without_arguments(mut completion: String) -> String {
    let end = completion.find(|character: char| !(character.is_alphanumeric() || "_!:".contains(character)));
    if let Some(end) = end.filter(|&end| {
        end > 0 && completion[end..].starts_with(['(', '[', '{']) && completion.ends_with([')', ']', '}'])
    }) {
        completion.truncate(end);
    }
    completion
}

/// The name in a cell of the form `?name`, which shows documentation.
fn inspected_name(code: &str) -> Option<&str> {
    let name = code.trim().strip_prefix('?')?.trim();
    (!name.is_empty() && !name.contains('\n')).then_some(name)
}
