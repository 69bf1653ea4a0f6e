//! The evaluator thread: runs cells in order, and completions and inspections between them.

use crate::build_cache::BuildCache;
use crate::cell::Cell;
use crate::cell_input::{self, Reply};
use crate::cell_items::IMPL_ALIAS;
use crate::cursor::{byte_offset, char_offset, identifier_end};
use crate::engine::{Engine, InputRequest, build_interrupted, queue_interrupted};
use crate::error_report::ErrorReport;
use crate::history::History;
use crate::interrupt::Interrupter;
use crate::kernel_dir::KernelDir;
use crate::publisher::{Channel, Publisher};
use crate::sync::lock;
use crate::{nesting, panics};
use jupyter_protocol::{CompleteRequest, ExecuteRequest, InspectRequest, JupyterMessage};
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

const NO_INPUT: &str = "warning: this cell reads stdin, but the front end provides no input: it reads the end of the file. Run the \
     notebook in JupyterLab to type the input, or set the value in the code.";
/// Reads in one cell that find the end of the file; further ones fail, because a loop that asks until the input is valid would never end.
const MAX_ENDS_OF_FILE: u32 = 100;
/// Time between two looks for an interrupt, while a cell waits for the engine.
const INTERRUPT_POLL: Duration = Duration::from_millis(50);
const PANICKED: &str = "the kernel panicked while it handled this request; its log has the message. If the next cells fail, restart the \
     kernel.";

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

    /// Interrupts the current cell, or the next one that is queued. A read of stdin fails, now and every time from then on.
    pub fn interrupt(&self) {
        self.interrupter.interrupt(self.cells_requested.load(Ordering::SeqCst));
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
        interrupted_handler: Mutex::default(),
        handler_killed: AtomicBool::new(false),
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
            let result = panics::catch("prepared the evaluator", || engine.prepare());
            let result = result.unwrap_or_else(|| Err(ErrorReport::new("KernelError", PANICKED)));
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
            self.reply_to_panics(&job, |evaluator| match &job {
                Job::Execute(message, request, number) => evaluator.execute(message, request, *number),
                Job::Complete(message, request) => evaluator.complete(message, request),
                Job::Inspect(message, request) => evaluator.inspect(message, request),
            });
        }
    }

    /// Carries out a job. If that panics, the request gets a reply all the same, and the jobs behind it are carried out.
    fn reply_to_panics(&mut self, job: &Job, carry_out: impl FnOnce(&mut Evaluator)) {
        if panics::catch("handled a request", || carry_out(self)).is_some() {
            return;
        }
        lock(&self.handle.interrupter.cell).end();
        let report = ErrorReport::new("KernelError", PANICKED);
        let (message, content) = match job {
            Job::Execute(message, request, _) => (message, self.fail(request, &report)),
            Job::Complete(message, _) | Job::Inspect(message, _) => (message, error_reply(&report)),
        };
        self.finish(message, content);
    }

    fn finish(&self, request: &JupyterMessage, content: Value) {
        // Cleared before the reply, because the client may react to the reply immediately.
        self.handle.working.store(false, Ordering::SeqCst);
        self.publisher.reply(Channel::Shell, request, content);
        self.publisher.idle(request);
    }

    /// The engine with the prelude loaded. After a failure every cell tries again, because the cause may have been fixed.
    fn engine(&mut self) -> Result<&mut Engine, ErrorReport> {
        if self.engine.is_none() {
            let (engine, result) = self.wait_for_engine()?;
            self.engine = Some(engine);
            result?;
        }
        match &mut self.engine {
            Some(engine) => engine.prepare().map(|()| engine),
            None => Err(ErrorReport::new("KernelError", "the evaluator has stopped; restart the kernel")),
        }
    }

    /// Waits for the engine, which may take minutes. An interrupt ends the wait; the next cell waits again.
    fn wait_for_engine(&self) -> Result<(Engine, Result<(), ErrorReport>), ErrorReport> {
        loop {
            match self.preparing.recv_timeout(INTERRUPT_POLL) {
                Ok(prepared) => return Ok(prepared),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(ErrorReport::new("KernelError", "the evaluator could not start; restart the kernel"));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            if lock(&self.handle.interrupter.cell).is_wait_interrupted() {
                return Err(build_interrupted());
            }
        }
    }

    fn execute(&mut self, message: &JupyterMessage, request: &ExecuteRequest, number: u64) {
        self.publisher.busy(message);
        if number <= self.abort_until {
            self.finish(message, json!({ "status": "aborted", "execution_count": self.execution_count }));
            return;
        }
        self.publisher.begin_cell(message);
        let was_interrupted = {
            let mut cell = lock(&self.handle.interrupter.cell);
            cell.wait(number, request.silent);
            cell.is_wait_interrupted()
        };
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
        let engine = if was_interrupted { Err(queue_interrupted()) } else { self.engine() };
        let result = engine.and_then(|engine| match inspected_name(&request.code) {
            Some(name) => engine.documentation_page(name).map(|page| (Map::new(), vec![page])),
            None => engine.evaluate(count, &request.code, &read_input).map(|data| (data, Vec::new())),
        });
        // A cell that was not evaluated waits still.
        lock(&self.handle.interrupter.cell).end();
        let content = match result {
            Ok((data, payload)) => {
                if !request.silent && !data.is_empty() {
                    let result = json!({ "execution_count": count, "data": data, "metadata": {} });
                    self.publisher.publish("execute_result", result);
                }
                let expressions = user_expressions(request);
                json!({ "status": "ok", "execution_count": count, "payload": payload, "user_expressions": expressions })
            }
            Err(report) => self.fail(request, &report),
        };
        self.finish(message, content);
    }

    /// Publishes the error of a cell and aborts the queued ones, for a silent cell neither, as ipykernel does; returns the reply's content.
    fn fail(&mut self, request: &ExecuteRequest, report: &ErrorReport) -> Value {
        if !request.silent {
            self.publisher.publish("error", report.content());
            if request.stop_on_error {
                self.abort_until = self.handle.cells_requested.load(Ordering::SeqCst);
            }
        }
        let mut content = error_reply(report);
        content["execution_count"] = self.execution_count.into();
        content
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
        self.publisher.busy(message);
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
        self.publisher.busy(message);
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

/// The content of a reply that reports an error.
fn error_reply(report: &ErrorReport) -> Value {
    let mut content = report.content();
    content["status"] = "error".into();
    content
}

/// An error for each expression that a request asks to be evaluated after its cell.
fn user_expressions(request: &ExecuteRequest) -> Map<String, Value> {
    let message = "the kernel evaluates no user expressions; put the expression at the end of the cell";
    let error = json!({ "status": "error", "ename": "NotSupported", "evalue": message, "traceback": [] });
    request.user_expressions.iter().flatten().map(|(name, _)| (name.clone(), error.clone())).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Phase;
    use jupyter_protocol::JupyterMessageContent;
    use std::collections::HashMap;
    use std::time::Instant;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    /// The thread that starts the engine; the evaluator waits for it until this is dropped.
    type Starting = mpsc::SyncSender<(Engine, Result<(), ErrorReport>)>;

    /// An evaluator without an engine, and what it sends.
    struct Fixture {
        evaluator: Evaluator,
        sent: UnboundedReceiver<(Channel, JupyterMessage)>,
    }

    fn waiting_evaluator() -> (Fixture, Starting) {
        let (queue, sent) = unbounded_channel();
        let publisher = Publisher::new(queue);
        let interrupter = Interrupter::of_nothing(publisher.clone());
        let handle = Arc::new(EvaluatorHandle {
            jobs: mpsc::channel().0,
            interrupter,
            cells_requested: AtomicU64::new(0),
            history: Mutex::default(),
            pending_input: Mutex::default(),
            ready: AtomicBool::new(false),
            working: AtomicBool::new(false),
        });
        let (starting, preparing) = mpsc::sync_channel(1);
        let evaluator = Evaluator { handle, publisher, preparing, engine: None, execution_count: 0, abort_until: 0 };
        (Fixture { evaluator, sent }, starting)
    }

    impl Fixture {
        fn run(&mut self, silent: bool, number: u64) {
            let (message, request) = cell(silent);
            self.evaluator.execute(&message, &request, number);
        }

        /// The contents of the messages of a channel that have been sent, in order, with their types.
        fn sent_to(&mut self, wanted: Channel) -> Vec<(String, Value)> {
            let mut found = Vec::new();
            while let Ok((channel, message)) = self.sent.try_recv() {
                if let JupyterMessageContent::UnknownMessage(unknown) = message.content
                    && channel == wanted
                {
                    found.push((unknown.msg_type, unknown.content));
                }
            }
            found
        }

        /// The statuses of the replies that have been sent.
        fn statuses(&mut self) -> Vec<String> {
            let replies = self.sent_to(Channel::Shell);
            replies.iter().map(|(_, content)| content["status"].as_str().unwrap().to_owned()).collect()
        }
    }

    fn cell(silent: bool) -> (JupyterMessage, ExecuteRequest) {
        let request = ExecuteRequest { silent, ..ExecuteRequest::new("1".into()) };
        (request.clone().into(), request)
    }

    #[test]
    fn a_silent_cell_that_fails_publishes_no_error_and_aborts_nothing() {
        let (mut fixture, starting) = waiting_evaluator();
        // Every cell fails, because the engine cannot start.
        drop(starting);
        fixture.evaluator.handle.cells_requested.store(4, Ordering::SeqCst);
        fixture.run(true, 1);
        assert!(fixture.sent_to(Channel::IoPub).iter().all(|(kind, _)| kind == "status"));
        fixture.run(true, 2);
        fixture.run(false, 3);
        fixture.run(false, 4);
        assert_eq!(fixture.statuses(), ["error", "error", "aborted"]);
    }

    #[test]
    fn each_user_expression_gets_an_error() {
        let (_, mut request) = cell(false);
        assert!(user_expressions(&request).is_empty());
        request.user_expressions = Some(HashMap::from([("sum".to_owned(), "1 + 1".to_owned())]));
        assert_eq!(Value::from(user_expressions(&request))["sum"]["ename"], "NotSupported");
    }

    #[test]
    fn a_job_that_panics_gets_a_reply() {
        let (mut fixture, _starting) = waiting_evaluator();
        let (message, request) = cell(false);
        let complete = CompleteRequest { code: "a".into(), cursor_pos: 1 };
        for job in [Job::Execute(message.clone(), request, 1), Job::Complete(message, complete)] {
            fixture.evaluator.reply_to_panics(&job, |evaluator| {
                lock(&evaluator.handle.interrupter.cell).begin();
                panic!("on purpose");
            });
            assert_eq!(lock(&fixture.evaluator.handle.interrupter.cell).phase, Phase::Idle);
            let replies = fixture.sent_to(Channel::Shell);
            assert_eq!(replies.len(), 1);
            assert_eq!(replies[0].1["status"], "error");
            assert_eq!(replies[0].1["ename"], "KernelError");
        }
    }

    #[test]
    fn an_interrupt_before_queued_cells_ends_the_silent_ones_and_the_first_other() {
        let (mut fixture, starting) = waiting_evaluator();
        drop(starting);
        let handle = fixture.evaluator.handle.clone();
        // Nothing is queued.
        handle.interrupt();
        handle.cells_requested.store(3, Ordering::SeqCst);
        // The other cells fail, because the engine cannot start. Silent ones abort none.
        fixture.run(true, 1);
        handle.interrupt();
        fixture.run(true, 2);
        fixture.run(false, 3);
        handle.interrupt();
        fixture.run(true, 4);
        let replies = fixture.sent_to(Channel::Shell);
        let names: Vec<_> = replies.iter().map(|(_, content)| content["ename"].as_str().unwrap()).collect();
        assert_eq!(names, ["KernelError", "Interrupted", "Interrupted", "KernelError"]);
    }

    #[test]
    fn an_interrupt_ends_a_cell_that_waits_for_the_engine() {
        let (mut fixture, _starting) = waiting_evaluator();
        let handle = fixture.evaluator.handle.clone();
        // Where no cell is queued, an interrupt has no effect.
        handle.interrupt();
        let mut evaluator = fixture.evaluator;
        let waiting = std::thread::spawn(move || {
            let (message, request) = cell(false);
            evaluator.execute(&message, &request, 1);
            evaluator
        });
        let started = Instant::now();
        while lock(&handle.interrupter.cell).phase != Phase::Waiting {
            assert!(started.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(1));
        }
        handle.interrupt();
        fixture.evaluator = waiting.join().unwrap();
        assert_eq!(lock(&handle.interrupter.cell).phase, Phase::Idle);
        let replies = fixture.sent_to(Channel::Shell);
        assert_eq!(replies.len(), 1);
        assert_eq!(replies[0].1["ename"], "Interrupted");
    }
}
