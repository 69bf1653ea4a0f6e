//! The thread that evaluates: cells one after the other, completions and documentation between them.

use crate::build_cache::Builds;
use crate::cell::Cell;
use crate::completeness::{byte_of, character_of, end_of_name};
use crate::engine::{Engine, Question};
use crate::error_report::Report;
use crate::history::History;
use crate::interrupt::Interrupter;
use crate::kernel_dir::Workplace;
use crate::publisher::{Channel, Output, lock};
use jupyter_protocol::{CompleteRequest, ExecuteRequest, InspectRequest, JupyterMessage};
use serde_json::{Map, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

/// Work for the evaluator.
pub enum Job {
    /// Run a cell, the n-th that was asked for.
    Execute(JupyterMessage, ExecuteRequest, u64),
    /// What could be typed here?
    Complete(JupyterMessage, CompleteRequest),
    /// What is this?
    Inspect(JupyterMessage, InspectRequest),
}

/// Where the session hands in work, and what it knows of the evaluator meanwhile.
pub struct Desk {
    /// The work.
    pub jobs: mpsc::Sender<Job>,
    /// Interrupts.
    pub interrupter: Arc<Interrupter>,
    /// How many cells have been asked for.
    pub asked: AtomicU64,
    /// What was typed.
    pub history: Mutex<History>,
    answer: Mutex<Option<mpsc::Sender<String>>>,
    ready: AtomicBool,
    working: AtomicBool,
}

impl Desk {
    /// Whether a question about code would have to wait.
    pub fn is_busy(&self) -> bool {
        !self.is_ready() || self.working.load(Ordering::SeqCst)
    }

    /// Whether the prelude is loaded, or could not be.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }

    /// Hands the person's answer to the cell that asked.
    pub fn answer(&self, value: String) {
        if let Some(waiting) = lock(&self.answer).take() {
            let _ = waiting.send(value);
        }
    }

    /// Interrupts the cell under way; one that waits for an answer gets an empty one, now and as often as it asks again.
    pub fn interrupt(&self) {
        self.interrupter.interrupt();
        drop(lock(&self.answer).take());
    }

    /// Waits for the person's answer.
    fn wait_for_answer(&self, ask: impl FnOnce()) -> String {
        let (sender, answer) = mpsc::channel();
        {
            let mut waiting = lock(&self.answer);
            if lock(&self.interrupter.cell).interrupted.is_some() {
                return String::new();
            }
            *waiting = Some(sender);
        }
        ask();
        answer.recv().unwrap_or_default()
    }
}

/// Starts the evaluator. It gets ready in the background and takes work at once.
pub fn spawn(builds: Builds, place: Workplace, output: Output) -> Arc<Desk> {
    let (jobs, work) = mpsc::channel();
    let cell: Arc<Mutex<Cell>> = Arc::default();
    let interrupter =
        Arc::new(Interrupter { cell, process: Arc::default(), skip: place.skip(), output: output.clone() });
    let desk = Arc::new(Desk {
        jobs,
        interrupter: interrupter.clone(),
        asked: AtomicU64::new(0),
        history: Mutex::new(History::open(builds.root())),
        answer: Mutex::default(),
        ready: AtomicBool::new(false),
        working: AtomicBool::new(false),
    });
    let mut engine = Engine::new(builds, place, output.clone(), interrupter);
    let (ready, arriving) = mpsc::sync_channel(1);
    // Getting ready has a thread of its own: a cell that waits for it is shown as running, with what is compiled.
    std::thread::spawn({
        let desk = desk.clone();
        move || {
            let result = engine.prepare();
            // A cell that waits already gets what it needs, and no more.
            if result.is_ok() && desk.asked.load(Ordering::SeqCst) == 0 {
                engine.prime();
            }
            desk.ready.store(true, Ordering::SeqCst);
            let _ = ready.send((engine, result));
        }
    });
    let evaluator = Evaluator { desk: desk.clone(), output, arriving, engine: None, count: 0, aborted: 0 };
    std::thread::spawn(move || evaluator.work(&work));
    desk
}

struct Evaluator {
    desk: Arc<Desk>,
    output: Output,
    arriving: mpsc::Receiver<(Engine, Result<(), Report>)>,
    engine: Option<Engine>,
    count: usize,
    /// Cells up to this one are not run, because one before them failed.
    aborted: u64,
}

impl Evaluator {
    fn work(mut self, work: &mpsc::Receiver<Job>) {
        while let Ok(job) = work.recv() {
            self.desk.working.store(true, Ordering::SeqCst);
            match job {
                Job::Execute(message, request, number) => self.execute(&message, &request, number),
                Job::Complete(message, request) => self.complete(&message, &request),
                Job::Inspect(message, request) => self.inspect(&message, &request),
            }
        }
    }

    fn finish(&self, request: &JupyterMessage, content: serde_json::Value) {
        // First of all: whoever sees the answer may ask the next thing at once.
        self.desk.working.store(false, Ordering::SeqCst);
        self.output.reply(Channel::Shell, request, content);
        self.output.status("idle", Some(request));
    }

    /// The engine with the prelude loaded; a failure is tried again by every cell, for the cause may have been removed.
    fn engine(&mut self) -> Result<&mut Engine, Report> {
        if self.engine.is_none() {
            let Ok((engine, result)) = self.arriving.recv() else {
                return Err(Report::new("KernelError", "the evaluator could not start; restart the kernel"));
            };
            self.engine = Some(engine);
            result?;
        }
        match &mut self.engine {
            Some(engine) => engine.prepare().map(|()| engine),
            None => Err(Report::new("KernelError", "the evaluator is gone; restart the kernel")),
        }
    }

    fn execute(&mut self, message: &JupyterMessage, request: &ExecuteRequest, number: u64) {
        self.output.status("busy", Some(message));
        if number <= self.aborted {
            self.finish(message, json!({ "status": "aborted", "execution_count": self.count }));
            return;
        }
        self.output.begin_cell(message);
        if request.store_history && !request.silent {
            self.count += 1;
            lock(&self.desk.history).push(self.count, &request.code);
        }
        let count = self.count;
        if !request.silent {
            self.output.publish("execute_input", json!({ "code": request.code, "execution_count": count }));
        }
        let ask = asker(self.desk.clone(), self.output.clone(), message.clone(), request.allow_stdin);
        let result = self.engine().and_then(|engine| match question(&request.code) {
            Some(name) => engine.page(name).map(|page| (Map::new(), vec![page])),
            None => engine.evaluate(&request.code, &ask).map(|data| (data, Vec::new())),
        });
        let content = match result {
            Ok((data, payload)) => {
                if !request.silent && !data.is_empty() {
                    let result = json!({ "execution_count": count, "data": data, "metadata": {} });
                    self.output.publish("execute_result", result);
                }
                json!({ "status": "ok", "execution_count": count, "payload": payload, "user_expressions": {} })
            }
            Err(report) => {
                if !request.silent {
                    self.output.publish("error", report.content());
                }
                if request.stop_on_error {
                    self.aborted = self.desk.asked.load(Ordering::SeqCst);
                }
                let mut content = report.content();
                content["status"] = "error".into();
                content["execution_count"] = count.into();
                content
            }
        };
        self.finish(message, content);
    }

    fn complete(&mut self, message: &JupyterMessage, request: &CompleteRequest) {
        self.output.status("busy", Some(message));
        let cursor = byte_of(&request.code, request.cursor_pos);
        let found = self.engine().ok().and_then(|engine| engine.completions(&request.code, cursor));
        let (matches, start, end) = match found {
            Some(found) => {
                let mut codes: Vec<_> = found.completions.into_iter().map(|completion| name(completion.code)).collect();
                codes.sort();
                codes.dedup();
                codes.retain(|code: &String| !code.starts_with("evcxr_"));
                (codes, found.start_offset, found.end_offset)
            }
            None => (Vec::new(), cursor, cursor),
        };
        let content = json!({
            "status": "ok", "matches": matches, "metadata": {},
            "cursor_start": character_of(&request.code, start), "cursor_end": character_of(&request.code, end),
        });
        self.finish(message, content);
    }

    fn inspect(&mut self, message: &JupyterMessage, request: &InspectRequest) {
        self.output.status("busy", Some(message));
        let cursor = end_of_name(&request.code, byte_of(&request.code, request.cursor_pos));
        let found = self.engine().ok().and_then(|engine| engine.documentation(&request.code, cursor));
        let data = match &found {
            Some((text, markdown)) => json!({ "text/plain": text, "text/markdown": markdown }),
            None => json!({}),
        };
        let content = json!({ "status": "ok", "found": found.is_some(), "data": data, "metadata": {} });
        self.finish(message, content);
    }
}

/// Of a function or a macro the name alone: its arguments would have to be typed over.
fn name(mut completion: String) -> String {
    let end = completion.find(|character: char| !(character.is_alphanumeric() || "_!:".contains(character)));
    if let Some(end) = end.filter(|&end| {
        end > 0 && completion[end..].starts_with(['(', '[', '{']) && completion.ends_with([')', ']', '}'])
    }) {
        completion.truncate(end);
    }
    completion
}

/// The name that a cell asks about: `?name` opens its documentation.
fn question(code: &str) -> Option<&str> {
    let name = code.trim().strip_prefix('?')?.trim();
    (!name.is_empty() && !name.contains('\n')).then_some(name)
}

/// Asks the person on behalf of a cell, and waits for the answer.
fn asker(desk: Arc<Desk>, output: Output, cell: JupyterMessage, allowed: bool) -> impl Fn(Question) -> String {
    move |question| {
        if !allowed {
            output.notice("This cell asks for input, and there is nobody to ask.");
            return String::new();
        }
        let content = json!({ "prompt": question.prompt, "password": question.is_password });
        let answer = desk.wait_for_answer(|| output.send(Channel::Stdin, "input_request", content, Some(&cell)));
        // An answer is one line to the cell; what comes after a line break would be read as a command.
        answer.lines().next().unwrap_or_default().to_owned()
    }
}
