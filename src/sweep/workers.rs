//! Many tasks, on all cores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::manifest::Task;
use super::task::{TaskEvent, TaskRunner};
use crate::interrupt::Listening;
use crate::{Error, Result};

/// What the workers tell who waits for them.
pub(super) enum WorkerEvent {
    /// Which part of a task is done.
    Part(usize, f64),
    Note(String),
    Done(Box<super::row::Row>),
    /// Nothing has happened for a while.
    Quiet,
}

/// Does tasks, and tells `watch` on this thread; whether somebody interrupted.
///
/// Tasks are done side by side, each on its share of the threads, which is one while there are as many tasks as threads: on two cores that
/// takes 0.77 to 0.95 of the time of one task after the other on both, for pictures, and the same for sounds (benches/README.md).
pub(super) fn run(desk: &TaskRunner, tasks: &[Task], mut watch: impl FnMut(WorkerEvent)) -> Result<bool> {
    let listening = Listening::begin();
    let next = AtomicUsize::new(0);
    let (send, events) = mpsc::channel();
    let mut failed: Option<Error> = None;
    let mut interrupted = false;
    let pools = pools(tasks.len())?;
    std::thread::scope(|scope| {
        for pool in pools {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                pool.install(|| {
                    while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if desk.stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let tell = |news| {
                            let _ = send.send(Ok(match news {
                                TaskEvent::Part(part) => WorkerEvent::Part(task.index, part),
                                TaskEvent::Note(note) => WorkerEvent::Note(note),
                            }));
                        };
                        match desk.work(task, &tell) {
                            Ok(Some(row)) => drop(send.send(Ok(WorkerEvent::Done(Box::new(row))))),
                            Ok(None) => break,
                            Err(e) => {
                                desk.stop.store(true, Ordering::Relaxed);
                                drop(send.send(Err(e)));
                                break;
                            }
                        }
                    }
                });
            });
        }
        drop(send);
        loop {
            if listening.interrupted() {
                interrupted = true;
                desk.stop.store(true, Ordering::Relaxed);
            }
            match events.recv_timeout(Duration::from_millis(200)) {
                Ok(Ok(event)) => watch(event),
                Ok(Err(e)) => failed = failed.take().or(Some(e)),
                Err(mpsc::RecvTimeoutError::Timeout) => watch(WorkerEvent::Quiet),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
    });
    // An interrupt ends a run's own slice too, perhaps before this thread looked.
    interrupted |= listening.interrupted();
    failed.map_or(Ok(interrupted), Err)
}

/// One pool for each worker; together they have as many threads as this process may use.
pub(super) fn pools(tasks: usize) -> Result<Vec<rayon::ThreadPool>> {
    let threads = crate::engine::threads().max(1);
    let workers = threads.min(tasks).max(1);
    let pool = || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads((threads / workers).max(1)).build();
        pool.map_err(|e| Error::invalid("threads", format!("could not be started ({e})")))
    };
    (0..workers).map(|_| pool()).collect()
}
