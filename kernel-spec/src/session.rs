//! A kernel session: the five sockets and the handling of requests.

use crate::build_cache::{BuildCache, remove_kernel_dir};
use crate::comms::Comms;
use crate::completeness::{Completeness, completeness};
use crate::evaluator::{self, EvaluatorHandle, Job};
use crate::kernel_dir::KernelDir;
use crate::publisher::{Channel, Publisher};
use crate::receive::{ReceiveError, receive};
use crate::recent_signatures::RecentSignatures;
use crate::sync::lock;
use crate::{panics, platform};
use anyhow::{Context, Result};
use jupyter_protocol::{JupyterMessage, JupyterMessageContent as Content};
use jupyter_zmq_client::{self as jupyter, ConnectionInfo, RouterRecvConnection, RouterSendConnection};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zeromq::{SocketRecv, SocketSend};

/// Maximum delay of the first `kernel_info_reply`. Front ends give up on a kernel after some time, but compiling the library takes longer.
const MAX_STARTUP_WAIT: Duration = Duration::from_secs(20);

/// Serves a kernel until it is shut down.
pub async fn serve(connection: PathBuf, build_cache: BuildCache) -> Result<()> {
    let text = std::fs::read_to_string(&connection)
        .with_context(|| format!("cannot read the connection file {}", connection.display()))?;
    let info: ConnectionInfo = serde_json::from_str(&text)
        .with_context(|| format!("{} is not a valid Jupyter connection file", connection.display()))?;
    let id = uuid::Uuid::new_v4().to_string();
    let heartbeat =
        jupyter::create_kernel_heartbeat_connection(&info).await.context("cannot open the heartbeat port")?;
    let iopub = jupyter::create_kernel_iopub_xpub_connection(&info, &id).await.context("cannot open the iopub port")?;
    let (shell_out, shell) =
        jupyter::create_kernel_shell_connection(&info, &id).await.context("cannot open the shell port")?.split();
    let (control_out, control) =
        jupyter::create_kernel_control_connection(&info, &id).await.context("cannot open the control port")?.split();
    let (stdin_out, stdin) =
        jupyter::create_kernel_stdin_connection(&info, &id).await.context("cannot open the stdin port")?.split();

    let (queue, messages) = unbounded_channel();
    let publisher = Publisher::new(queue);
    forward_build_progress(publisher.clone())?;
    let comms = Comms::listen(publisher.clone()).context("cannot open a port for comms")?;
    let kernel_dir =
        KernelDir { comm_address: comms.address(), ..KernelDir::new(build_cache.home(), &build_cache.kernel_dir()) };
    let build_dir = kernel_dir.path.clone();
    let evaluator = evaluator::spawn(build_cache, kernel_dir, publisher.clone());
    let session = Arc::new(Session {
        publisher,
        evaluator,
        comms,
        build_dir,
        signatures: Mutex::default(),
        is_shutting_down: AtomicBool::new(false),
    });

    tokio::spawn(heartbeat_loop(heartbeat));
    let (publish, published) = unbounded_channel();
    tokio::spawn(iopub_loop(iopub, published, session.publisher.clone()));
    tokio::spawn(send_loop(messages, publish, shell_out, control_out, stdin_out));
    tokio::spawn(receive_loop(control, session.clone(), Channel::Control));
    tokio::spawn(receive_loop(stdin, session.clone(), Channel::Stdin));
    tokio::spawn(receive_loop(shell, session.clone(), Channel::Shell));
    tokio::spawn(shut_down_with_parent(session.clone()));

    platform::termination().await?;
    session.shut_down();
    Ok(())
}

struct Session {
    publisher: Publisher,
    evaluator: Arc<EvaluatorHandle>,
    comms: Arc<Comms>,
    build_dir: PathBuf,
    signatures: Mutex<RecentSignatures>,
    is_shutting_down: AtomicBool,
}

impl Session {
    fn handle(self: &Arc<Self>, channel: Channel, message: JupyterMessage) {
        let immediate = |content: Value| self.reply(channel, &message, content);
        match &message.content {
            Content::KernelInfoRequest(_) if channel == Channel::Shell && !self.evaluator.is_ready() => {
                tokio::spawn(self.clone().reply_when_ready(message));
            }
            Content::KernelInfoRequest(_) => immediate(kernel_info()),
            Content::ExecuteRequest(request) => {
                let request = request.clone();
                let number = self.evaluator.cells_requested.fetch_add(1, Ordering::SeqCst) + 1;
                let _ = self.evaluator.jobs.send(Job::Execute(message, request, number));
            }
            Content::CompleteRequest(request) if self.evaluator.is_busy() => immediate(json!({
                "status": "ok", "matches": [], "metadata": {},
                "cursor_start": request.cursor_pos, "cursor_end": request.cursor_pos,
            })),
            Content::CompleteRequest(request) => {
                let request = request.clone();
                let _ = self.evaluator.jobs.send(Job::Complete(message, request));
            }
            Content::InspectRequest(_) if self.evaluator.is_busy() => {
                let data = json!({ "text/plain": "The kernel is busy; try again when the cell has ended." });
                immediate(json!({ "status": "ok", "found": true, "data": data, "metadata": {} }));
            }
            Content::InspectRequest(request) => {
                let request = request.clone();
                let _ = self.evaluator.jobs.send(Job::Inspect(message, request));
            }
            Content::IsCompleteRequest(request) => immediate(is_complete(&request.code)),
            Content::HistoryRequest(request) => {
                let history = lock(&self.evaluator.history).find(request);
                immediate(json!({ "status": "ok", "history": history }));
            }
            Content::CommInfoRequest(request) => immediate(self.comms.info(request.target_name.as_deref())),
            // Answered while a cell runs: a button may have to stop it.
            Content::CommOpen(_) | Content::CommMsg(_) | Content::CommClose(_) => self.comms.handle(&message),
            Content::InterruptRequest(_) => {
                if let Some(event) = self.comms.handled_event() {
                    let comms = self.comms.clone();
                    let is_handled = move || comms.handled_event() == Some(event);
                    self.evaluator.interrupter.interrupt_handler(event, is_handled);
                }
                self.evaluator.interrupt();
                immediate(json!({ "status": "ok" }));
            }
            Content::ShutdownRequest(request) => {
                let content = json!({ "status": "ok", "restart": request.restart });
                immediate(content.clone());
                // All front ends learn of it, as from ipykernel.
                self.publisher.send(Channel::IoPub, "shutdown_reply", content, Some(&message));
                self.shut_down();
            }
            Content::InputReply(reply) => self.evaluator.reply_to_input(reply.value.clone()),
            _ => self.reject(channel, &message),
        }
    }

    /// Replies to a request, between a busy and an idle status.
    fn reply(&self, channel: Channel, message: &JupyterMessage, content: Value) {
        self.publisher.busy(message);
        self.publisher.reply(channel, message, content);
        self.publisher.idle(message);
    }

    /// Delays the `kernel_info_reply`, which tells front ends that the kernel is ready, until the prelude is loaded.
    async fn reply_when_ready(self: Arc<Self>, message: JupyterMessage) {
        let started = Instant::now();
        while !self.evaluator.is_ready() && started.elapsed() < MAX_STARTUP_WAIT {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.reply(Channel::Shell, &message, kernel_info());
    }

    fn reject(&self, channel: Channel, message: &JupyterMessage) {
        let kind = &message.header.msg_type;
        if kind.ends_with("_request") {
            let value = format!("{kind} is not supported, or its content is invalid");
            let content = json!({ "status": "error", "ename": "ProtocolError", "evalue": value, "traceback": [] });
            self.reply(channel, message, content);
        } else {
            eprintln!("warning: message of unknown type {kind} ignored");
        }
    }

    /// Kills the evaluating process, removes the build directory and exits.
    fn shut_down(&self) {
        if self.is_shutting_down.swap(true, Ordering::SeqCst) {
            return;
        }
        let build_dir = self.build_dir.clone();
        let interrupter = self.evaluator.interrupter.clone();
        let end = move || {
            for pid in platform::descendants(0) {
                platform::kill(pid);
            }
            interrupter.kill();
            remove_kernel_dir(&build_dir);
            std::process::exit(0);
        };
        // A cell may have used up all threads.
        if std::thread::Builder::new().spawn(end.clone()).is_err() {
            end();
        }
    }
}

fn is_complete(code: &str) -> Value {
    match panics::catch("checked if code is complete", || completeness(code)) {
        Some(Completeness::Complete) => json!({ "status": "complete" }),
        Some(Completeness::Incomplete(depth)) => json!({ "status": "incomplete", "indent": "    ".repeat(depth) }),
        Some(Completeness::Invalid) => json!({ "status": "invalid" }),
        None => json!({ "status": "unknown" }),
    }
}

fn kernel_info() -> Value {
    json!({
        "status": "ok",
        "protocol_version": "5.4",
        "implementation": "metamers-kernel",
        "implementation_version": env!("CARGO_PKG_VERSION"),
        "banner": "Rust with metamers: model metamers in a notebook. The prelude is loaded.",
        "language_info": {
            "name": "rust",
            "version": "2024",
            "mimetype": "text/rust",
            "file_extension": ".rs",
            "pygments_lexer": "rust",
            "codemirror_mode": "rust",
        },
        "help_links": [{ "text": "The Rust standard library", "url": "https://doc.rust-lang.org/std/" }],
        "debugger": false,
    })
}

/// Echoes heartbeats. A peer that sends an invalid message or leaves before its echo ends nothing.
async fn heartbeat_loop(mut heartbeat: jupyter::KernelHeartbeatConnection) {
    loop {
        let echoed = match heartbeat.socket.recv().await {
            Ok(message) => heartbeat.socket.send(message).await,
            Err(error) => Err(error),
        };
        if echoed.is_err() {
            // Keeps the loop from spinning on a closed socket.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn receive_loop(mut socket: RouterRecvConnection, session: Arc<Session>, channel: Channel) {
    loop {
        match receive(&mut socket, &session.signatures).await {
            Ok(message) => {
                panics::catch("handled a message", || session.handle(channel, message));
            }
            Err(error @ ReceiveError::Connection(_)) => {
                // Continues after a peer has disconnected; the pause keeps the loop from spinning on a closed socket.
                eprintln!("warning: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => eprintln!("warning: message dropped: {error}"),
        }
    }
}

async fn send_loop(
    mut messages: UnboundedReceiver<(Channel, JupyterMessage)>,
    iopub: UnboundedSender<JupyterMessage>,
    mut shell: RouterSendConnection,
    mut control: RouterSendConnection,
    mut stdin: RouterSendConnection,
) {
    while let Some((channel, message)) = messages.recv().await {
        let sent = match channel {
            Channel::IoPub => {
                let _ = iopub.send(message);
                continue;
            }
            Channel::Shell => shell.send(message).await,
            Channel::Control => control.send(message).await,
            Channel::Stdin => stdin.send(message).await,
        };
        if let Err(error) = sent {
            eprintln!("warning: cannot send a reply: {error}");
        }
    }
}

/// Lets output go on when broadcasts are no longer sent, also after a panic.
struct CloseOnDrop(Publisher);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

async fn iopub_loop(
    mut socket: jupyter::KernelIoPubXPubConnection,
    mut messages: UnboundedReceiver<JupyterMessage>,
    publisher: Publisher,
) {
    let _close = CloseOnDrop(publisher.clone());
    let mut started = false;
    loop {
        tokio::select! {
            message = messages.recv() => {
                let Some(message) = message else { return };
                if let Err(error) = socket.send(message).await {
                    eprintln!("warning: cannot publish a message: {error}");
                }
                publisher.record_sent();
            }
            event = socket.recv_subscription() => {
                if let Ok(jupyter::SubscriptionEvent::Subscribe(topic)) = event {
                    publisher.send(Channel::IoPub, "iopub_welcome", json!({ "subscription": topic }), None);
                    // Published only once a client can receive it.
                    if !std::mem::replace(&mut started, true) {
                        publisher.status("starting", None);
                    }
                }
            }
        }
    }
}

/// Shows the crates being compiled in the cell that waits for them; all of stderr still goes to the log.
fn forward_build_progress(publisher: Publisher) -> Result<()> {
    use std::io::{BufRead, Write};
    let (lines, mut log) = platform::capture_stderr()?;
    std::thread::spawn(move || {
        for line in std::io::BufReader::new(lines).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            let _ = writeln!(log, "{line}");
            if line.trim_start().starts_with("Compiling ") {
                publisher.notice(&line);
            }
        }
    });
    Ok(())
}

/// Shuts the kernel down when the Jupyter server that started it has exited.
async fn shut_down_with_parent(session: Arc<Session>) {
    let Ok(parent) = std::env::var("JPY_PARENT_PID") else { return };
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if !platform::is_parent_alive(&parent) {
            session.shut_down();
            return;
        }
    }
}
