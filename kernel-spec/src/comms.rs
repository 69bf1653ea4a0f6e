//! Comms: messages between a front end and the objects of the cells, such as widgets.
//!
//! The library connects to a port on the loopback interface when the first widget is shown. Its first frame must hold the nonce of the
//! session, which it finds in [`COMM_VAR`]; a peer without it is disconnected, and so is a second one. From then on the kernel passes
//! messages on in both directions, while cells run and between them. It knows which comms are open, and nothing of what they carry.
//!
//! | from the library | effect |
//! | --- | --- |
//! | `{"op": "open", "comm_id", "target_name", "data", "metadata", "event"}` | publishes `comm_open`; `msg` and `close` likewise |
//! | `{"op": "done", "event"}` | the event has been handled: publishes the idle status |
//! | `{"op": "sync", "id"}` | is answered by `{"op": "synced", "id"}` when everything before it has been published |
//!
//! `event` names the front end's message that the library is handling, the parent of what is published; without it the parent is the
//! current cell. The kernel sends `{"op": "open" | "msg" | "close", "comm_id", "target_name", "data", "metadata", "event"}`.

use crate::comm_frame::{CommFrame, MAX_FRAME, MAX_HELLO};
use crate::publisher::{Channel, Publisher};
use crate::sync::lock;
use jupyter_protocol::{JupyterMessage, JupyterMessageContent as Content};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// Environment variable with the port and the nonce, separated by a space.
pub const COMM_VAR: &str = "METAMERS_COMM";
/// Time in which a peer must send its nonce.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Time that a new evaluating process waits for the end of the connection of the earlier one, whose last messages may
/// wait ten seconds for a front end that reads nothing.
const HANDOVER: Duration = Duration::from_secs(15);
/// Maximum number of peers that have not sent their nonce.
const MAX_WAITING: usize = 16;
const CLOSED: &str = "warning: the process that held the variables has ended, and its widgets with it. Run their cells again to use them.\n";

/// The open comms, and the connection to the library.
pub struct Comms {
    publisher: Publisher,
    /// The value of [`COMM_VAR`].
    address: String,
    nonce: String,
    waiting: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The targets of the open comms by id.
    open: BTreeMap<String, String>,
    /// The front end's messages that the library has not handled yet.
    events: HashMap<u64, JupyterMessage>,
    last_event: u64,
    /// The queue of frames to the library.
    library: Option<mpsc::Sender<CommFrame>>,
}

impl Comms {
    /// Listens for the library.
    pub fn listen(publisher: Publisher) -> std::io::Result<Arc<Comms>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        let address = format!("{} {nonce}", listener.local_addr()?.port());
        let comms =
            Arc::new(Comms { publisher, address, nonce, waiting: AtomicUsize::new(0), state: Mutex::default() });
        std::thread::spawn({
            let comms = comms.clone();
            move || comms.accept(&listener)
        });
        Ok(comms)
    }

    /// The value of [`COMM_VAR`] for the evaluating process.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// The open comms, all or those of a target, as the content of a `comm_info_reply`.
    #[must_use]
    pub fn info(&self, target: Option<&str>) -> Value {
        let state = lock(&self.state);
        let found = state.open.iter().filter(|(_, name)| target.is_none_or(|target| target == name.as_str()));
        let comms: Map<String, Value> = found.map(|(id, name)| (id.clone(), json!({ "target_name": name }))).collect();
        json!({ "status": "ok", "comms": comms })
    }

    /// The message of a front end that the library is handling, by its number; `None` if it is handling none.
    #[must_use]
    pub fn handled_event(&self) -> Option<u64> {
        // The library handles them in order.
        lock(&self.state).events.keys().min().copied()
    }

    /// Passes a comm message of a front end to the library. A comm that does not exist is closed at once, as the protocol requires.
    pub fn handle(&self, message: &JupyterMessage) {
        let (op, comm_id, target, data) = match &message.content {
            Content::CommOpen(open) => ("open", &open.comm_id.0, Some(&open.target_name), &open.data),
            Content::CommMsg(msg) => ("msg", &msg.comm_id.0, None, &msg.data),
            Content::CommClose(close) => ("close", &close.comm_id.0, None, &close.data),
            _ => return,
        };
        self.publisher.busy(message);
        let mut state = lock(&self.state);
        let is_known = target.is_some() || state.open.contains_key(comm_id);
        let Some(library) = state.library.clone().filter(|_| is_known) else {
            state.open.remove(comm_id);
            drop(state);
            if op != "close" {
                let close = json!({ "comm_id": comm_id, "data": {} });
                self.publisher.send(Channel::IoPub, "comm_close", close, Some(message));
            }
            self.publisher.idle(message);
            return;
        };
        state.last_event += 1;
        let event = state.last_event;
        let header = json!({
            "op": op, "comm_id": comm_id, "target_name": target, "data": data, "metadata": message.metadata, "event": event,
        });
        match target {
            Some(target) => drop(state.open.insert(comm_id.clone(), target.clone())),
            None if op == "close" => drop(state.open.remove(comm_id)),
            None => {}
        }
        // Without the buffers, which only the library needs.
        state.events.insert(event, JupyterMessage { buffers: Vec::new(), ..message.clone() });
        let buffers = message.buffers.iter().map(|buffer| buffer.to_vec()).collect();
        // A connection that has just ended finishes the event when it is cleaned up, under this lock.
        let _ = library.send(CommFrame { header, buffers });
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                std::thread::sleep(Duration::from_millis(50));
                continue;
            };
            if self.waiting.fetch_add(1, Ordering::SeqCst) >= MAX_WAITING {
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
            let comms = self.clone();
            std::thread::spawn(move || {
                let admitted = comms.admit(&stream);
                comms.waiting.fetch_sub(1, Ordering::SeqCst);
                match admitted {
                    Ok(queue) => comms.serve(stream, queue),
                    Err(error) => eprintln!("warning: a connection for comms was refused: {error}"),
                }
            });
        }
    }

    /// Checks the nonce of a peer and makes it the library's connection.
    fn admit(&self, mut stream: &TcpStream) -> std::io::Result<mpsc::Receiver<CommFrame>> {
        stream.set_read_timeout(Some(HELLO_TIMEOUT))?;
        let hello = CommFrame::read(&mut stream, MAX_HELLO)?;
        if hello.header["nonce"] != self.nonce.as_str() {
            return Err(std::io::Error::other("it did not send the nonce of this session"));
        }
        stream.set_read_timeout(None)?;
        stream.set_nodelay(true)?;
        let started = Instant::now();
        loop {
            let mut state = lock(&self.state);
            if state.library.is_none() {
                let (queue, frames) = mpsc::channel();
                state.library = Some(queue);
                return Ok(frames);
            }
            drop(state);
            if started.elapsed() > HANDOVER {
                return Err(std::io::Error::other("the library is connected already"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Exchanges frames with the library until its process ends.
    fn serve(&self, stream: TcpStream, frames: mpsc::Receiver<CommFrame>) {
        if let Ok(mut output) = stream.try_clone() {
            std::thread::spawn(move || {
                for frame in frames {
                    if frame.write(&mut output).is_err() {
                        break;
                    }
                }
                let _ = output.shutdown(std::net::Shutdown::Both);
            });
            let mut input = std::io::BufReader::new(stream);
            while let Ok(frame) = CommFrame::read(&mut input, MAX_FRAME) {
                // Before the state is locked, which the threads that send messages lock too.
                self.publisher.wait_for_room();
                self.publish(frame);
            }
        }
        self.close_all();
    }

    /// Handles a frame of the library.
    fn publish(&self, frame: CommFrame) {
        let CommFrame { header, buffers } = frame;
        let mut state = lock(&self.state);
        let event = header["event"].as_u64();
        let op = header["op"].as_str().unwrap_or_default();
        match op {
            "done" => {
                if let Some(message) = event.and_then(|event| state.events.remove(&event)) {
                    self.publisher.idle(&message);
                }
                return;
            }
            "sync" => {
                if let Some(library) = &state.library {
                    let _ = library.send(CommFrame::new(json!({ "op": "synced", "id": header["id"] })));
                }
                return;
            }
            _ => {}
        }
        let Some(comm_id) = header["comm_id"].as_str() else { return };
        let mut content = json!({ "comm_id": comm_id, "data": header["data"] });
        let kind = match op {
            "open" => {
                let target = header["target_name"].as_str().unwrap_or_default();
                content["target_name"] = target.into();
                state.open.insert(comm_id.to_owned(), target.to_owned());
                "comm_open"
            }
            "msg" if state.open.contains_key(comm_id) => "comm_msg",
            "close" if state.open.remove(comm_id).is_some() => "comm_close",
            _ => return,
        };
        let parent = event.and_then(|event| state.events.get(&event).cloned()).or_else(|| self.publisher.cell());
        let metadata = if header["metadata"].is_object() { header["metadata"].clone() } else { json!({}) };
        self.publisher.send_with_buffers(kind, content, metadata, buffers, parent.as_ref());
    }

    /// Closes all comms, which live in a process that has ended.
    fn close_all(&self) {
        let state = std::mem::take(&mut *lock(&self.state));
        lock(&self.state).last_event = state.last_event;
        for comm_id in state.open.keys() {
            let close = json!({ "comm_id": comm_id, "data": {} });
            self.publisher.send(Channel::IoPub, "comm_close", close, None);
        }
        for message in state.events.values() {
            self.publisher.idle(message);
        }
        if !state.open.is_empty() {
            self.publisher.publish_late("stream", json!({ "name": "stderr", "text": CLOSED }));
        }
    }
}
