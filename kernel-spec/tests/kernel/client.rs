//! A Jupyter client for tests, connected to a real kernel process.
#![allow(dead_code)]

use jupyter_protocol::{
    ConnectionInfo, ExecuteRequest, InputReply, InterruptRequest, IsCompleteRequest, JupyterMessage, KernelInfoRequest,
    ShutdownRequest, connection_info::Transport,
};
use jupyter_zmq_client as jupyter;
use serde_json::Value;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Maximum time for a cell, which may have to compile the library first.
const TIMEOUT: Duration = Duration::from_secs(900);

/// A client with the kernel that it started; the kernel is killed when the client is dropped.
pub struct Client {
    pub kernel: Child,
    pub home: PathBuf,
    runtime: Runtime,
    shell: jupyter::ClientShellConnection,
    control: jupyter::ClientControlConnection,
    iopub: jupyter::ClientIoPubConnection,
    stdin: jupyter::ClientStdinConnection,
    _dir: tempfile::TempDir,
}

/// An IOPub message with its type, its content and the time since the start of its collection.
#[derive(Debug, Clone)]
pub struct Message {
    pub kind: String,
    pub content: Value,
    pub after: Duration,
}

/// The reply to a request, and its IOPub messages.
#[derive(Debug)]
pub struct Outcome {
    pub reply: Value,
    pub messages: Vec<Message>,
}

impl Outcome {
    pub fn status(&self) -> &str {
        self.reply["status"].as_str().unwrap_or("")
    }

    /// The contents of all IOPub messages of a type.
    pub fn contents(&self, kind: &str) -> Vec<&Value> {
        self.messages.iter().filter(|message| message.kind == kind).map(|message| &message.content).collect()
    }

    /// All text printed to a stream.
    pub fn text(&self, stream: &str) -> String {
        let is_from_stream = |content: &&&Value| content["name"] == stream;
        self.contents("stream").iter().filter(is_from_stream).filter_map(|content| content["text"].as_str()).collect()
    }

    /// Arrival time of the first text that contains `text`.
    #[track_caller]
    pub fn when(&self, text: &str) -> Duration {
        let has = |message: &&Message| message.content["text"].as_str().is_some_and(|all| all.contains(text));
        let found = self.messages.iter().filter(|message| message.kind == "stream").find(has);
        found.unwrap_or_else(|| panic!("no {text:?} in {:#?}", self.messages)).after
    }

    /// The cell's value as plain text.
    pub fn result(&self) -> &str {
        self.contents("execute_result").first().and_then(|content| content["data"]["text/plain"].as_str()).unwrap_or("")
    }

    /// The name and traceback of the only error.
    pub fn error(&self) -> (String, String) {
        let errors = self.contents("error");
        assert_eq!(errors.len(), 1, "expected one error: {:?}", self.messages);
        assert_eq!(self.status(), "error");
        let lines: Vec<&str> = errors[0]["traceback"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        (errors[0]["ename"].as_str().unwrap().to_owned(), lines.join("\n"))
    }

    /// Asserts that the request succeeded.
    #[track_caller]
    pub fn ok(self) -> Outcome {
        assert_eq!(self.status(), "ok", "{:#?}", self.messages);
        self
    }
}

/// The kernel that the tests of a module share, locked by the current test. It exits with the test process, as it would with its Jupyter
/// server.
pub struct SharedKernel(MutexGuard<'static, Option<(&'static str, Client)>>);

/// Locks the shared kernel of a module, given by `module_path!()`. Only one exists at a time, which bounds the memory: a kernel of another
/// module is replaced.
pub fn shared(module: &'static str) -> SharedKernel {
    static CURRENT: Mutex<Option<(&'static str, Client)>> = Mutex::new(None);
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    if current.as_ref().is_none_or(|(owner, _)| *owner != module) {
        *current = None;
        *current = Some((module, Client::start()));
    }
    SharedKernel(current)
}

impl Deref for SharedKernel {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0.as_ref().expect("set by `shared`").1
    }
}

impl DerefMut for SharedKernel {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.0.as_mut().expect("set by `shared`").1
    }
}

/// Maximum number of tests that run separate kernels at the same time.
const MAX_TURNS: usize = 2;
static TURNS: Mutex<usize> = Mutex::new(0);
static TURN_ENDED: Condvar = Condvar::new();

/// Permission to start kernels, held to the end of a test.
pub struct Turn(());

/// Waits until fewer than [`MAX_TURNS`] other tests run separate kernels.
#[must_use]
pub fn turn() -> Turn {
    let turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut turns = TURN_ENDED.wait_while(turns, |turns| *turns >= MAX_TURNS).unwrap_or_else(PoisonError::into_inner);
    *turns += 1;
    Turn(())
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TURNS.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        TURN_ENDED.notify_one();
    }
}

/// The root of the project whose library the kernel loads.
pub fn home() -> PathBuf {
    match std::env::var_os("METAMERS_TEST_HOME") {
        Some(home) => home.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned(),
    }
}

impl Client {
    /// Starts a kernel and waits until it is ready.
    pub fn start() -> Client {
        let mut program = Command::new(env!("CARGO_BIN_EXE_metamers-kernel"));
        program.arg("--connection").env("METAMERS_HOME", home()).env("METAMERS_HISTORY", "off");
        Client::spawn_ready(program)
    }

    /// Starts a program that takes the connection file as its last argument, and waits until it is ready.
    pub fn spawn_ready(program: Command) -> Client {
        let mut client = Client::spawn(program);
        let id = client.send(KernelInfoRequest {});
        client.collect(&id, TIMEOUT).expect("the kernel becomes ready");
        client.reply(&id);
        client
    }

    /// Starts a program and connects to it; it may not be ready yet.
    pub fn spawn(mut program: Command) -> Client {
        let runtime = Runtime::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("connection.json");
        let address = "127.0.0.1".parse().unwrap();
        let (ports, listeners) = runtime.block_on(jupyter::peek_ports_with_listeners(address, 5)).unwrap();
        let info = ConnectionInfo {
            ip: "127.0.0.1".into(),
            transport: Transport::TCP,
            shell_port: ports[0],
            iopub_port: ports[1],
            stdin_port: ports[2],
            control_port: ports[3],
            hb_port: ports[4],
            key: "a secret".into(),
            signature_scheme: "hmac-sha256".into(),
            kernel_name: None,
        };
        std::fs::write(&file, serde_json::to_string(&info).unwrap()).unwrap();
        drop(listeners);
        let kernel = program
            .arg(&file)
            .env("JPY_PARENT_PID", std::process::id().to_string())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let session = "test-session";
        let (shell, control, iopub, stdin) = runtime.block_on(async {
            let identity = jupyter::peer_identity_for_session(session).unwrap();
            let started = Instant::now();
            loop {
                let connected = async {
                    let iopub = jupyter::create_client_iopub_connection(&info, "", session).await?;
                    let identity = identity.clone();
                    // Input requests go to the peer that sent the cell.
                    let stdin = jupyter::create_client_stdin_connection_with_identity(&info, session, identity.clone());
                    let stdin = stdin.await?;
                    let shell = jupyter::create_client_shell_connection_with_identity(&info, session, identity).await?;
                    let control = jupyter::create_client_control_connection(&info, session).await?;
                    Ok::<_, jupyter::RuntimeError>((shell, control, iopub, stdin))
                };
                match connected.await {
                    Ok(sockets) => return sockets,
                    Err(error) => assert!(started.elapsed() < Duration::from_secs(30), "no kernel: {error}"),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let mut client = Client { kernel, home: home(), runtime, shell, control, iopub, stdin, _dir: dir };
        // The subscription takes effect after the connection: repeat a request until its messages arrive on IOPub.
        loop {
            let id = client.send(IsCompleteRequest { code: "1".into() });
            let received = client.collect(&id, Duration::from_millis(500));
            client.reply(&id);
            if received.is_some() {
                return client;
            }
        }
    }

    pub fn send(&mut self, request: impl Into<JupyterMessage>) -> String {
        let message = request.into();
        let id = message.header.msg_id.clone();
        self.runtime.block_on(self.shell.send(message)).unwrap();
        id
    }

    /// The next IOPub message of a request; `None` after the timeout.
    pub fn next(&mut self, id: &str, timeout: Duration) -> Option<(String, Value)> {
        let started = Instant::now();
        while let Some(left) = timeout.checked_sub(started.elapsed()) {
            let read = self.runtime.block_on(async { tokio::time::timeout(left, self.iopub.read()).await });
            let Ok(message) = read else { return None };
            let message = message.expect("a valid message");
            if message.parent_header.as_ref().is_some_and(|parent| parent.msg_id == id) {
                let kind = message.header.msg_type.clone();
                return Some((kind, serde_json::to_value(&message.content).unwrap()));
            }
        }
        None
    }

    /// All IOPub messages up to the end of a request; `None` after the timeout.
    pub fn collect(&mut self, id: &str, timeout: Duration) -> Option<Vec<Message>> {
        let started = Instant::now();
        let mut messages = Vec::new();
        while let Some(left) = timeout.checked_sub(started.elapsed()) {
            let (kind, content) = self.next(id, left)?;
            if kind == "status" && content["execution_state"] == "idle" {
                return Some(messages);
            }
            messages.push(Message { kind, content, after: started.elapsed() });
        }
        None
    }

    /// The reply to a request.
    pub fn reply(&mut self, id: &str) -> Value {
        let shell = &mut self.shell;
        self.runtime.block_on(async {
            loop {
                let message = tokio::time::timeout(TIMEOUT, shell.read()).await.expect("a reply").unwrap();
                if message.parent_header.as_ref().is_some_and(|parent| parent.msg_id == id) {
                    return serde_json::to_value(&message.content).unwrap();
                }
            }
        })
    }

    /// Starts a cell; returns the request's id.
    pub fn begin(&mut self, code: &str) -> String {
        self.send(ExecuteRequest { allow_stdin: true, ..ExecuteRequest::new(code.to_owned()) })
    }

    /// Waits for the end of a cell.
    pub fn end(&mut self, id: &str) -> Outcome {
        let messages = self.collect(id, TIMEOUT).expect("the cell ends");
        Outcome { reply: self.reply(id), messages }
    }

    /// Runs a cell.
    pub fn run(&mut self, code: &str) -> Outcome {
        let id = self.begin(code);
        self.end(&id)
    }

    /// Waits until the cell has printed `text`; returns everything it has printed by then.
    pub fn wait_for(&mut self, id: &str, text: &str) -> String {
        let mut seen = String::new();
        while !seen.contains(text) {
            let (kind, content) = self.next(id, TIMEOUT).expect("the cell continues");
            assert!(kind != "error", "{content}");
            if kind == "stream" {
                seen += content["text"].as_str().unwrap();
            }
        }
        seen
    }

    /// Starts a cell whose front end provides no input.
    pub fn begin_without_stdin(&mut self, code: &str) -> String {
        self.send(ExecuteRequest { allow_stdin: false, ..ExecuteRequest::new(code.to_owned()) })
    }

    /// Waits for an input request; returns its prompt.
    pub fn wait_for_input_request(&mut self) -> String {
        let stdin = &mut self.stdin;
        let read = self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), stdin.read()).await });
        let message = read.expect("an input request").expect("a valid message");
        assert_eq!(message.header.msg_type, "input_request");
        serde_json::to_value(&message.content).unwrap()["prompt"].as_str().unwrap().to_owned()
    }

    /// Answers an input request.
    pub fn answer(&mut self, value: &str) {
        let reply = InputReply { value: value.into(), ..InputReply::default() };
        self.runtime.block_on(self.stdin.send(reply.into())).unwrap();
    }

    /// Waits for an IOPub message of a type.
    pub fn wait_for_kind(&mut self, id: &str, awaited: &str) {
        while self.next(id, TIMEOUT).expect("the cell continues").0 != awaited {}
    }

    /// Waits for an IOPub message of a type, whatever its parent; returns its content.
    pub fn wait_for_broadcast(&mut self, awaited: &str) -> Value {
        let iopub = &mut self.iopub;
        self.runtime.block_on(async {
            loop {
                let read = tokio::time::timeout(Duration::from_secs(10), iopub.read()).await;
                let message = read.expect("a broadcast").expect("a valid message");
                if message.header.msg_type == awaited {
                    return serde_json::to_value(&message.content).unwrap();
                }
            }
        })
    }

    pub fn interrupt(&mut self) {
        self.request_control(InterruptRequest {});
    }

    pub fn shut_down(&mut self) -> Value {
        self.request_control(ShutdownRequest { restart: false })
    }

    fn request_control(&mut self, request: impl Into<JupyterMessage>) -> Value {
        let control = &mut self.control;
        self.runtime.block_on(async {
            control.send(request.into()).await.unwrap();
            let reply = tokio::time::timeout(Duration::from_secs(10), control.read()).await.expect("a reply");
            serde_json::to_value(&reply.unwrap().content).unwrap()
        })
    }

    /// The kernel's build directory.
    pub fn build_dir(&self) -> PathBuf {
        let prefix = format!("kernel-{}-", self.kernel.id());
        let builds = self.home.join("target/notebook");
        let is_ours = |path: &PathBuf| {
            path.is_dir() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
        };
        let found = std::fs::read_dir(&builds).unwrap().flatten().map(|entry| entry.path()).find(is_ours);
        found.unwrap_or_else(|| builds.join(format!("{prefix}removed")))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.kernel.kill();
        let _ = self.kernel.wait();
    }
}

/// All descendants of a process, from /proc.
pub fn descendants(root: u32) -> Vec<u32> {
    let mut table = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let parent: u32 =
            stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)).unwrap().parse().unwrap();
        table.push((pid, parent));
    }
    let mut found = vec![root];
    let mut at = 0;
    while at < found.len() {
        let above = found[at];
        found.extend(table.iter().filter(|(_, parent)| *parent == above).map(|(pid, _)| *pid));
        at += 1;
    }
    found.split_off(1)
}

/// Waits until a condition holds; panics after the timeout.
#[track_caller]
pub fn until(what: &str, timeout: Duration, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < timeout, "after {timeout:?} still waiting for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A number from /proc/PID/status.
pub fn proc_status(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
