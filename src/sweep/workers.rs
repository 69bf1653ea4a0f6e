//! Parallel workers for tasks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::manifest::Task;
use super::task::{TaskEvent, TaskRunner};
use crate::interrupt::Listening;
use crate::{Error, Result};

/// An event of the workers.
pub(super) enum WorkerEvent {
    /// The finished fraction of a task.
    Part(usize, f64),
    /// A note for the user.
    Note(String),
    /// The row of a finished task.
    Done(Box<super::row::Row>),
    /// No event has arrived for a while.
    Idle,
}

/// Runs lists of tasks in parallel, the tasks of each in its order, and calls `handle` on this thread for each event. Returns whether
/// there was an interrupt.
///
/// Each list gets an equal number of threads, and one if there are at least as many lists as threads. On two cores this takes 0.77
/// to 0.95 of the time of running one task at a time on both cores for images, and the same time for sounds (benches/README.md).
pub(super) fn run(runner: &TaskRunner, chains: &[Vec<Task>], mut handle: impl FnMut(WorkerEvent)) -> Result<bool> {
    let listening = Listening::begin();
    let next = AtomicUsize::new(0);
    let (send, events) = mpsc::channel();
    let mut failed: Option<Error> = None;
    let mut interrupted = false;
    let pools = pools(chains.len())?;
    std::thread::scope(|scope| {
        for pool in pools {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                pool.install(|| {
                    let mine = std::iter::from_fn(|| chains.get(next.fetch_add(1, Ordering::Relaxed)));
                    for task in mine.flatten() {
                        if runner.stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let report = |event| {
                            let _ = send.send(Ok(match event {
                                TaskEvent::Part(part) => WorkerEvent::Part(task.index, part),
                                TaskEvent::Note(note) => WorkerEvent::Note(note),
                            }));
                        };
                        match runner.run(task, &report) {
                            Ok(Some(row)) => drop(send.send(Ok(WorkerEvent::Done(Box::new(row))))),
                            Ok(None) => break,
                            Err(e) => {
                                runner.stop.store(true, Ordering::Relaxed);
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
                runner.stop.store(true, Ordering::Relaxed);
            }
            match events.recv_timeout(Duration::from_millis(200)) {
                Ok(Ok(event)) => handle(event),
                Ok(Err(e)) => failed = failed.take().or(Some(e)),
                Err(mpsc::RecvTimeoutError::Timeout) => handle(WorkerEvent::Idle),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
    });
    // An interrupt may have ended a run's slice before this thread checked.
    interrupted |= listening.interrupted();
    failed.map_or(Ok(interrupted), Err)
}

/// Creates a thread pool for each worker, with the threads of this process divided equally.
pub(super) fn pools(tasks: usize) -> Result<Vec<rayon::ThreadPool>> {
    let threads = crate::parallel::threads().max(1);
    let workers = threads.min(tasks).max(1);
    let pool = || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads((threads / workers).max(1)).build();
        pool.map_err(|e| Error::invalid("threads", format!("could not be started ({e})")))
    };
    (0..workers).map(|_| pool()).collect()
}
