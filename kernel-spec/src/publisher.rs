//! Sending of messages, in the order in which they were published.

use crate::sync::lock;
use jupyter_protocol::{JupyterMessage, JupyterMessageContent, UnknownMessage};
use serde_json::{Value, json};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use tokio::sync::mpsc::UnboundedSender;

/// Number of unsent broadcasts from which output waits.
const MAX_UNSENT: usize = 256;

/// The sockets that the kernel writes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Channel {
    /// Replies to requests that are queued behind running cells.
    Shell,
    /// Replies to requests that are not queued.
    Control,
    /// Input requests to the front end.
    Stdin,
    /// Broadcasts to all front ends.
    IoPub,
}

/// Sends messages; clones share one queue.
#[derive(Clone)]
pub struct Publisher {
    queue: UnboundedSender<(Channel, JupyterMessage)>,
    /// The latest execute request, the parent of printed text.
    cell: Arc<Mutex<Option<JupyterMessage>>>,
    /// The execute request whose code ran last, the parent of what its threads print after its end.
    last_run: Arc<Mutex<Option<JupyterMessage>>>,
    /// The requests and comm messages that are being handled, the newest last.
    handled: Arc<Mutex<Vec<JupyterMessage>>>,
    backlog: Arc<Backlog>,
}

/// The broadcasts that have been published and not sent.
struct Backlog {
    /// Their number; `None` once nothing sends them any more.
    unsent: Mutex<Option<usize>>,
    /// Notified when a broadcast has been sent, or none will be.
    sent: Condvar,
}

impl Publisher {
    /// A publisher that writes to a queue.
    pub fn new(queue: UnboundedSender<(Channel, JupyterMessage)>) -> Publisher {
        Publisher {
            queue,
            cell: Arc::default(),
            last_run: Arc::default(),
            handled: Arc::default(),
            backlog: Arc::new(Backlog { unsent: Mutex::new(Some(0)), sent: Condvar::new() }),
        }
    }

    /// Waits until few enough broadcasts are unsent for more output, so that output that is faster than the front ends waits where it is
    /// made. Must not be called where messages are received or sent, nor under a lock that these threads take.
    pub fn wait_for_room(&self) {
        let unsent = lock(&self.backlog.unsent);
        let has_room = self.backlog.sent.wait_while(unsent, |unsent| unsent.is_some_and(|count| count >= MAX_UNSENT));
        drop(has_room.unwrap_or_else(PoisonError::into_inner));
    }

    /// Records that a broadcast has been sent, or cannot be.
    pub fn record_sent(&self) {
        let mut unsent = lock(&self.backlog.unsent);
        *unsent = unsent.map(|count| count.saturating_sub(1));
        self.backlog.sent.notify_all();
    }

    /// Records that nothing sends broadcasts any more, so that no output waits for it.
    pub fn close(&self) {
        *lock(&self.backlog.unsent) = None;
        self.backlog.sent.notify_all();
    }

    fn enqueue(&self, channel: Channel, message: JupyterMessage) {
        if channel == Channel::IoPub {
            let mut unsent = lock(&self.backlog.unsent);
            *unsent = unsent.map(|count| count + 1);
        }
        // The queue closes when the kernel exits.
        if self.queue.send((channel, message)).is_err() && channel == Channel::IoPub {
            self.record_sent();
        }
    }

    /// Sends a message of any type, with the given parent.
    pub fn send(&self, channel: Channel, kind: &str, content: Value, parent: Option<&JupyterMessage>) {
        let content = JupyterMessageContent::UnknownMessage(UnknownMessage { msg_type: kind.to_owned(), content });
        let mut message = JupyterMessage::new(content, parent);
        message.header.username = "kernel".into();
        if channel == Channel::IoPub {
            message.zmq_identities = vec![kind.as_bytes().to_vec().into()];
        }
        self.enqueue(channel, message);
    }

    /// Publishes a message with metadata and binary buffers.
    pub fn send_with_buffers(
        &self,
        kind: &str,
        content: Value,
        metadata: Value,
        buffers: Vec<Vec<u8>>,
        parent: Option<&JupyterMessage>,
    ) {
        let content = JupyterMessageContent::UnknownMessage(UnknownMessage { msg_type: kind.to_owned(), content });
        let mut message = JupyterMessage::new(content, parent);
        message.header.username = "kernel".into();
        message.zmq_identities = vec![kind.as_bytes().to_vec().into()];
        message.metadata = metadata;
        message.buffers = buffers.into_iter().map(Into::into).collect();
        self.enqueue(Channel::IoPub, message);
    }

    /// Replies to a request on the channel it came from.
    pub fn reply(&self, channel: Channel, request: &JupyterMessage, content: Value) {
        let kind = request.header.msg_type.replace("_request", "_reply");
        self.send(channel, &kind, content, Some(request));
    }

    /// Publishes the execution state: `starting`, `busy` or `idle`.
    pub fn status(&self, state: &str, parent: Option<&JupyterMessage>) {
        self.send(Channel::IoPub, "status", json!({ "execution_state": state }), parent);
    }

    /// Publishes that a request or a comm message is being handled.
    pub fn busy(&self, request: &JupyterMessage) {
        let mut handled = lock(&self.handled);
        // Without the buffers, which may be large.
        handled.push(JupyterMessage { buffers: Vec::new(), ..request.clone() });
        self.status("busy", Some(request));
    }

    /// Publishes that a request or a comm message has been handled. Front ends take the latest status for that of the kernel, whatever its
    /// parent: if others are still being handled, busy is published for one of them again, a cell if there is one.
    pub fn idle(&self, request: &JupyterMessage) {
        // Locked to the end, so that none is busy again after its own idle.
        let mut handled = lock(&self.handled);
        if let Some(at) = handled.iter().position(|other| other.header.msg_id == request.header.msg_id) {
            handled.remove(at);
        }
        self.status("idle", Some(request));
        let cell = handled.iter().rfind(|other| other.header.msg_type == "execute_request");
        if let Some(other) = cell.or(handled.last()) {
            self.status("busy", Some(other));
        }
    }

    /// Makes the request the parent of all output from now on.
    pub fn begin_cell(&self, request: &JupyterMessage) {
        *lock(&self.cell) = Some(request.clone());
    }

    /// Records that the code of the current cell runs.
    pub fn begin_run(&self) {
        *lock(&self.last_run) = self.cell();
    }

    /// The parent of printed text: the current execute request, or the last one between two cells.
    #[must_use]
    pub fn cell(&self) -> Option<JupyterMessage> {
        lock(&self.cell).clone()
    }

    /// Publishes a message that belongs to the cell.
    pub fn publish(&self, kind: &str, content: Value) {
        self.send(Channel::IoPub, kind, content, self.cell().as_ref());
    }

    /// Publishes a message that belongs to the cell whose code ran last.
    pub fn publish_late(&self, kind: &str, content: Value) {
        let parent = lock(&self.last_run).clone();
        if parent.is_some() {
            self.send(Channel::IoPub, kind, content, parent.as_ref());
        }
    }

    /// Publishes printed text; text before the first cell is dropped, since no cell could show it.
    pub fn stream(&self, name: &str, text: &str) {
        if !text.is_empty() && lock(&self.cell).is_some() {
            self.publish("stream", json!({ "name": name, "text": text }));
        }
    }

    /// Publishes a message of the kernel itself, on stderr.
    pub fn notice(&self, text: &str) {
        self.stream("stderr", &format!("{text}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jupyter_protocol::{ExecuteRequest, IsCompleteRequest};
    use std::time::Duration;

    #[test]
    fn output_waits_until_broadcasts_have_been_sent() {
        let (queue, _sent) = tokio::sync::mpsc::unbounded_channel();
        let publisher = Publisher::new(queue);
        for _ in 0..MAX_UNSENT {
            // Has room, and replies take none of it.
            publisher.wait_for_room();
            publisher.send(Channel::Control, "interrupt_reply", json!({}), None);
            publisher.status("busy", None);
        }
        let waiting = std::thread::spawn({
            let publisher = publisher.clone();
            move || publisher.wait_for_room()
        });
        std::thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        publisher.record_sent();
        waiting.join().unwrap();
        // Nothing waits when nothing is sent any more.
        publisher.status("busy", None);
        let waiting = std::thread::spawn({
            let publisher = publisher.clone();
            move || publisher.wait_for_room()
        });
        publisher.close();
        waiting.join().unwrap();
        publisher.status("busy", None);
        publisher.wait_for_room();
    }

    #[test]
    fn nothing_waits_for_a_queue_that_is_closed() {
        let (queue, sent) = tokio::sync::mpsc::unbounded_channel();
        let publisher = Publisher::new(queue);
        drop(sent);
        for _ in 0..=MAX_UNSENT {
            publisher.wait_for_room();
            publisher.status("busy", None);
        }
    }

    #[test]
    fn the_latest_status_is_busy_until_everything_has_been_handled() {
        let (queue, mut sent) = tokio::sync::mpsc::unbounded_channel();
        let publisher = Publisher::new(queue);
        let cell: JupyterMessage = ExecuteRequest::new("1".into()).into();
        let [a, b]: [JupyterMessage; 2] = ["1", "2"].map(|code| IsCompleteRequest { code: code.into() }.into());
        publisher.busy(&cell);
        publisher.busy(&a);
        publisher.idle(&a);
        publisher.busy(&b);
        publisher.idle(&cell);
        publisher.idle(&b);
        let mut states = Vec::new();
        while let Ok((_, message)) = sent.try_recv() {
            let id = message.parent_header.unwrap().msg_id;
            let names = [("cell", &cell), ("a", &a), ("b", &b)];
            let name = names.iter().find(|(_, parent)| parent.header.msg_id == id).unwrap().0;
            let JupyterMessageContent::UnknownMessage(status) = message.content else { panic!("a status") };
            states.push(format!("{name} {}", status.content["execution_state"].as_str().unwrap()));
        }
        let expected = ["cell busy", "a busy", "a idle", "cell busy", "b busy", "cell idle", "b busy", "b idle"];
        assert_eq!(states, expected);
    }
}
