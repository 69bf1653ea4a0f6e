//! A kernel session: the five sockets, and who answers what.

use crate::build_cache::Builds;
use crate::completeness::{Completeness, completeness};
use crate::evaluator::{self, Desk, Job};
use crate::kernel_dir::Workplace;
use crate::publisher::{Channel, Output, lock};
use crate::receive::{self, Trouble};
use anyhow::{Context, Result};
use jupyter_protocol::{JupyterMessage, JupyterMessageContent as Content};
use jupyter_zmq_client::{self as jupyter, ConnectionInfo, RouterRecvConnection, RouterSendConnection};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zeromq::{SocketRecv, SocketSend};

/// A front end that waits for a kernel gives it up after a time; one that compiles the library first is called ready before that.
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// Serves one kernel until it is told to end.
pub async fn serve(connection: PathBuf, builds: Builds) -> Result<()> {
    let text = std::fs::read_to_string(&connection)
        .with_context(|| format!("cannot read the connection file {}", connection.display()))?;
    let info: ConnectionInfo = serde_json::from_str(&text)
        .with_context(|| format!("{} is not a Jupyter connection file", connection.display()))?;
    let id = uuid::Uuid::new_v4().to_string();
    let mut heartbeat = jupyter::create_kernel_heartbeat_connection(&info).await.context("heartbeat port")?;
    let iopub = jupyter::create_kernel_iopub_xpub_connection(&info, &id).await.context("iopub port")?;
    let (shell_out, shell) = jupyter::create_kernel_shell_connection(&info, &id).await.context("shell port")?.split();
    let (control_out, control) =
        jupyter::create_kernel_control_connection(&info, &id).await.context("control port")?.split();
    let (stdin_out, stdin) = jupyter::create_kernel_stdin_connection(&info, &id).await.context("stdin port")?.split();

    let (queue, messages) = unbounded_channel();
    let output = Output::new(queue);
    show_compiling(output.clone())?;
    let place = Workplace::new(builds.home(), &builds.private_path());
    let build = place.build.clone();
    let desk = evaluator::spawn(builds, place, output.clone());
    let session = Arc::new(Session { output, desk, build, ending: AtomicBool::new(false) });

    tokio::spawn(async move {
        while let Ok(message) = heartbeat.socket.recv().await {
            if heartbeat.socket.send(message).await.is_err() {
                break;
            }
        }
    });
    let (publish, published) = unbounded_channel();
    tokio::spawn(iopub_loop(iopub, published, session.output.clone()));
    tokio::spawn(send_loop(messages, publish, shell_out, control_out, stdin_out));
    tokio::spawn(receive(control, session.clone(), Channel::Control));
    tokio::spawn(receive(stdin, session.clone(), Channel::Stdin));
    tokio::spawn(receive(shell, session.clone(), Channel::Shell));
    tokio::spawn(end_with_parent(session.clone()));

    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut hangup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    session.end();
    Ok(())
}

struct Session {
    output: Output,
    desk: Arc<Desk>,
    build: PathBuf,
    ending: AtomicBool,
}

impl Session {
    fn handle(self: &Arc<Self>, channel: Channel, message: JupyterMessage) {
        let immediate = |content: Value| {
            self.output.status("busy", Some(&message));
            self.output.reply(channel, &message, content);
            self.output.status("idle", Some(&message));
        };
        match &message.content {
            // To front ends the answer says that the kernel is ready.
            Content::KernelInfoRequest(_) if channel == Channel::Shell && !self.desk.is_ready() => {
                let session = self.clone();
                tokio::spawn(async move {
                    let begun = Instant::now();
                    while !session.desk.is_ready() && begun.elapsed() < STARTS_WITHIN {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    session.output.status("busy", Some(&message));
                    session.output.reply(channel, &message, kernel_info());
                    session.output.status("idle", Some(&message));
                });
            }
            Content::KernelInfoRequest(_) => immediate(kernel_info()),
            Content::ExecuteRequest(request) => {
                let request = request.clone();
                let number = self.desk.asked.fetch_add(1, Ordering::SeqCst) + 1;
                let _ = self.desk.jobs.send(Job::Execute(message, request, number));
            }
            Content::CompleteRequest(request) if self.desk.is_busy() => immediate(json!({
                "status": "ok", "matches": [], "metadata": {},
                "cursor_start": request.cursor_pos, "cursor_end": request.cursor_pos,
            })),
            Content::CompleteRequest(request) => {
                let request = request.clone();
                let _ = self.desk.jobs.send(Job::Complete(message, request));
            }
            Content::InspectRequest(_) if self.desk.is_busy() => {
                let data = json!({ "text/plain": "The kernel is busy; ask again when the cell has ended." });
                immediate(json!({ "status": "ok", "found": true, "data": data, "metadata": {} }));
            }
            Content::InspectRequest(request) => {
                let request = request.clone();
                let _ = self.desk.jobs.send(Job::Inspect(message, request));
            }
            Content::IsCompleteRequest(request) => immediate(match completeness(&request.code) {
                Completeness::Complete => json!({ "status": "complete" }),
                Completeness::Incomplete(depth) => json!({ "status": "incomplete", "indent": "    ".repeat(depth) }),
                Completeness::Invalid => json!({ "status": "invalid" }),
            }),
            Content::HistoryRequest(request) => {
                let history = lock(&self.desk.history).answer(request);
                immediate(json!({ "status": "ok", "history": history }));
            }
            Content::CommInfoRequest(_) => immediate(json!({ "status": "ok", "comms": {} })),
            Content::CommOpen(open) => {
                // There are no comms here, and the other side has to know.
                let close = json!({ "comm_id": open.comm_id, "data": {} });
                self.output.send(Channel::IoPub, "comm_close", close, Some(&message));
            }
            Content::InterruptRequest(_) => {
                self.desk.interrupt();
                immediate(json!({ "status": "ok" }));
            }
            Content::ShutdownRequest(request) => {
                immediate(json!({ "status": "ok", "restart": request.restart }));
                self.end();
            }
            Content::InputReply(reply) => self.desk.answer(reply.value.clone()),
            _ if message.header.msg_type.ends_with("_request") => immediate(json!({
                "status": "error", "ename": "ProtocolError", "evalue": "this request was not understood", "traceback": [],
            })),
            _ => eprintln!("A message of type {} was not understood.", message.header.msg_type),
        }
    }

    /// Ends the process that runs the cells, removes the build folder, and ends the kernel.
    fn end(&self) {
        if self.ending.swap(true, Ordering::SeqCst) {
            return;
        }
        let build = self.build.clone();
        let interrupter = self.desk.interrupter.clone();
        std::thread::spawn(move || {
            for pid in crate::process::descendants(0) {
                crate::process::signal(pid, libc::SIGKILL);
            }
            interrupter.kill();
            // What was killed may still write its last file; and the reply has to leave.
            for _ in 0..20 {
                let gone = match std::fs::remove_dir_all(&build) {
                    Ok(()) => false,
                    Err(error) => error.kind() == std::io::ErrorKind::NotFound,
                };
                std::thread::sleep(Duration::from_millis(25));
                if gone {
                    break;
                }
            }
            std::process::exit(0);
        });
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

async fn receive(mut socket: RouterRecvConnection, session: Arc<Session>, channel: Channel) {
    loop {
        match receive::next(&mut socket).await {
            Ok(message) => session.handle(channel, message),
            Err(Trouble::Connection(error)) => {
                // A peer that left is no reason to stop; a socket that is gone would repeat this without end.
                eprintln!("A connection failed: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(Trouble::Message(why)) => eprintln!("A message was dropped: {why}"),
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
            eprintln!("A reply could not be sent: {error}");
        }
    }
}

async fn iopub_loop(
    mut socket: jupyter::KernelIoPubXPubConnection,
    mut messages: UnboundedReceiver<JupyterMessage>,
    output: Output,
) {
    let mut started = false;
    loop {
        tokio::select! {
            message = messages.recv() => {
                let Some(message) = message else { return };
                if let Err(error) = socket.send(message).await {
                    eprintln!("A message could not be published: {error}");
                }
            }
            event = socket.recv_subscription() => {
                if let Ok(jupyter::SubscriptionEvent::Subscribe(topic)) = event {
                    output.send(Channel::IoPub, "iopub_welcome", json!({ "subscription": topic }), None);
                    // Said when there is somebody to hear it.
                    if !std::mem::replace(&mut started, true) {
                        output.status("starting", None);
                    }
                }
            }
        }
    }
}

/// Shows what is compiled to the person whose cell waits for it, and leaves it in the log as well.
fn show_compiling(output: Output) -> Result<()> {
    use std::io::{BufRead, Write};
    let (lines, mut log) = crate::process::capture_stderr()?;
    std::thread::spawn(move || {
        for line in std::io::BufReader::new(lines).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            let _ = writeln!(log, "{line}");
            if line.trim_start().starts_with("Compiling ") {
                output.notice(&line);
            }
        }
    });
    Ok(())
}

/// A kernel without its Jupyter server is of no use to anyone.
async fn end_with_parent(session: Arc<Session>) {
    let Some(parent) = std::env::var("JPY_PARENT_PID").ok().and_then(|pid| pid.parse().ok()) else { return };
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if !crate::process::is_alive(parent) {
            session.end();
            return;
        }
    }
}
