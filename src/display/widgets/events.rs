//! The thread that runs the handlers, one event after the other.

use std::collections::VecDeque;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::channel::{Channel, during_event, lock};
use super::frame::Frame;
use super::registry;
use crate::clock::Instant;

/// The longest delay of a drawing while further events arrive.
const MAX_DELAY: Duration = Duration::from_millis(100);

/// Work that follows from events. It is done once for all events that have arrived, and shows the last values.
pub(super) trait Redraw: Send + Sync {
    fn redraw(&self);
}

static REDRAWS: Mutex<Vec<Arc<dyn Redraw>>> = Mutex::new(Vec::new());

/// Requests a drawing after the events that have arrived.
pub(super) fn request(redraw: Arc<dyn Redraw>) {
    let mut redraws = lock(&REDRAWS);
    if !redraws.iter().any(|known| Arc::ptr_eq(known, &redraw)) {
        redraws.push(redraw);
    }
}

/// Makes the requested drawings.
pub(super) fn redraw_all() {
    let redraws = std::mem::take(&mut *lock(&REDRAWS));
    redraws.iter().for_each(|redraw| redraw.redraw());
}

/// Handles events until the connection ends.
pub(super) fn run(channel: &Channel, events: &Receiver<Frame>) {
    let mut arrived = VecDeque::new();
    let mut last_drawing = Instant::now();
    while let Some(frame) = arrived.pop_front().or_else(|| events.recv().ok()) {
        let event = frame.header["event"].as_u64();
        during_event(event, || {
            registry::handle(channel, &frame);
            arrived.extend(events.try_iter());
            if arrived.is_empty() || last_drawing.elapsed() >= MAX_DELAY {
                redraw_all();
                last_drawing = Instant::now();
            }
        });
        channel.done(event);
    }
}
