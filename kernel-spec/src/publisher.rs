//! The way out: everything that the kernel sends, in the order in which it was said.

use jupyter_protocol::{JupyterMessage, JupyterMessageContent, UnknownMessage};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc::UnboundedSender;

/// The sockets that the kernel writes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Channel {
    /// Replies to requests for work.
    Shell,
    /// Replies to requests that do not wait for work.
    Control,
    /// Questions to the person.
    Stdin,
    /// What everybody sees.
    IoPub,
}

/// Sends messages; the clones share one queue.
#[derive(Clone)]
pub struct Output {
    queue: UnboundedSender<(Channel, JupyterMessage)>,
    /// The request under way, to which what is printed belongs.
    cell: Arc<Mutex<Option<JupyterMessage>>>,
}

impl Output {
    /// An output into a queue.
    pub fn new(queue: UnboundedSender<(Channel, JupyterMessage)>) -> Output {
        Output { queue, cell: Arc::default() }
    }

    /// Sends a message of any type as an answer to `parent`.
    pub fn send(&self, channel: Channel, kind: &str, content: Value, parent: Option<&JupyterMessage>) {
        let content = JupyterMessageContent::UnknownMessage(UnknownMessage { msg_type: kind.to_owned(), content });
        let mut message = JupyterMessage::new(content, parent);
        message.header.username = "kernel".into();
        if channel == Channel::IoPub {
            message.zmq_identities = vec![kind.as_bytes().to_vec().into()];
        }
        // The queue closes when the kernel ends.
        let _ = self.queue.send((channel, message));
    }

    /// Answers a request on the channel on which it came.
    pub fn reply(&self, channel: Channel, request: &JupyterMessage, content: Value) {
        let kind = request.header.msg_type.replace("_request", "_reply");
        self.send(channel, &kind, content, Some(request));
    }

    /// Says what the kernel does: `starting`, `busy` or `idle`.
    pub fn status(&self, state: &str, parent: Option<&JupyterMessage>) {
        self.send(Channel::IoPub, "status", json!({ "execution_state": state }), parent);
    }

    /// From now on, what is printed belongs to this request.
    pub fn begin_cell(&self, request: &JupyterMessage) {
        *lock(&self.cell) = Some(request.clone());
    }

    /// The request that printed text belongs to; the last one, between two cells.
    pub fn cell(&self) -> Option<JupyterMessage> {
        lock(&self.cell).clone()
    }

    /// Publishes something that belongs to the cell.
    pub fn publish(&self, kind: &str, content: Value) {
        self.send(Channel::IoPub, kind, content, self.cell().as_ref());
    }

    /// Publishes printed text; before the first cell there is nobody to show it to.
    pub fn stream(&self, name: &str, text: &str) {
        if !text.is_empty() && lock(&self.cell).is_some() {
            self.publish("stream", json!({ "name": name, "text": text }));
        }
    }

    /// Says something in the kernel's own voice.
    pub fn notice(&self, text: &str) {
        self.stream("stderr", &format!("{text}\n"));
    }
}

/// Locks, whatever happened to whoever held the lock.
pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
