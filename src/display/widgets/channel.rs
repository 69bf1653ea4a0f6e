//! The connection to the kernel, over which widgets exchange messages with the front end.
//!
//! The metamers kernel sets `METAMERS_COMM` to a port of the loopback interface and a nonce. The library connects when the first widget is
//! shown. One thread reads, so that an acknowledgement never waits for a handler; another one runs the handlers, in the order of the
//! events. Elsewhere there is no connection, and widgets show their still form.

use std::cell::Cell;
use std::io::BufReader;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::mpsc;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::events;
use super::frame::Frame;

/// The environment variable with the kernel's port and nonce, separated by a space.
const VARIABLE: &str = "METAMERS_COMM";
/// The longest wait for the kernel's acknowledgement. The kernel waits ten seconds for a front end that reads nothing,
/// and then goes on without it.
const SYNC_TIMEOUT: Duration = Duration::from_secs(15);

thread_local! {
    /// The event that this thread is handling: the parent of the messages that it sends.
    static EVENT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The connection to the kernel.
pub(super) struct Channel {
    stream: Mutex<TcpStream>,
    /// The number of acknowledgements requested and received.
    synced: Mutex<[u64; 2]>,
    acknowledged: Condvar,
}

/// The connection of this process; `None` without the metamers kernel.
pub(super) fn channel() -> Option<&'static Channel> {
    static CHANNEL: OnceLock<Option<Channel>> = OnceLock::new();
    static STARTED: OnceLock<()> = OnceLock::new();
    let channel = CHANNEL.get_or_init(|| Channel::connect().ok()).as_ref()?;
    STARTED.get_or_init(|| channel.start());
    Some(channel)
}

/// Runs `handle` as the handling of an event: messages sent by it belong to the event.
pub(super) fn during_event<T>(event: Option<u64>, handle: impl FnOnce() -> T) -> T {
    let before = EVENT.replace(event);
    let result = handle();
    EVENT.set(before);
    result
}

/// Locks a mutex, ignoring poison: a handler that panics must not end the others.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Channel {
    fn connect() -> std::io::Result<Self> {
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let address = std::env::var(VARIABLE).map_err(|_| missing())?;
        let (port, nonce) = address.split_once(' ').ok_or_else(missing)?;
        let port: u16 = port.parse().map_err(|_| missing())?;
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        Frame::new(json!({ "nonce": nonce })).write(&mut stream)?;
        Ok(Self { stream: Mutex::new(stream), synced: Mutex::default(), acknowledged: Condvar::new() })
    }

    /// Starts the threads that read and handle events.
    fn start(&'static self) {
        let Ok(stream) = lock(&self.stream).try_clone() else { return };
        let (queue, events) = mpsc::channel();
        let read = move || {
            let mut input = BufReader::new(stream);
            while let Ok(frame) = Frame::read(&mut input) {
                if frame.header["op"] == "synced" {
                    lock(&self.synced)[1] = frame.header["id"].as_u64().unwrap_or(0);
                    self.acknowledged.notify_all();
                } else if queue.send(frame).is_err() {
                    break;
                }
            }
            // No acknowledgement will arrive: the kernel refuses a program that a cell has started, for example.
            lock(&self.synced)[1] = u64::MAX;
            self.acknowledged.notify_all();
        };
        let named = |name: &str| std::thread::Builder::new().name(name.into());
        // Without threads, as in a browser, no event would arrive either.
        let _ = named("widget messages").spawn(read);
        let _ = named("widget handlers").spawn(move || events::run(self, &events));
    }

    /// Sends a message about a comm; `data` is the content that the widget protocol defines.
    pub fn send(&self, op: &str, comm_id: &str, data: Value, buffers: Vec<Vec<u8>>) {
        let mut header = json!({ "op": op, "comm_id": comm_id, "data": data });
        if op == "open" {
            header["target_name"] = super::protocol::TARGET.into();
            header["metadata"] = json!({ "version": super::protocol::VERSION });
        }
        self.write(Frame { header, buffers });
    }

    /// Tells the kernel that an event has been handled.
    pub fn done(&self, event: Option<u64>) {
        during_event(event, || self.write(Frame::new(json!({ "op": "done" }))));
    }

    fn write(&self, mut frame: Frame) {
        if let Some(event) = EVENT.get() {
            frame.header["event"] = event.into();
        }
        // Fails for a widget that is too large, and when the kernel has exited. Neither should end a cell.
        if let Err(error) = frame.write(&mut *lock(&self.stream))
            && error.kind() == std::io::ErrorKind::InvalidData
        {
            eprintln!("warning: a widget was not updated: {error}");
        }
    }

    /// Waits until the kernel has published all messages so far, because a front end needs a widget before the output that shows it.
    pub fn sync(&self) {
        let id = {
            let mut synced = lock(&self.synced);
            synced[0] += 1;
            synced[0]
        };
        self.write(Frame::new(json!({ "op": "sync", "id": id })));
        let waiting = self.acknowledged.wait_timeout_while(lock(&self.synced), SYNC_TIMEOUT, |synced| synced[1] < id);
        drop(waiting);
    }
}
