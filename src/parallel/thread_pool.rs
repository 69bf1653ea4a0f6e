//! A thread pool that splits the work of one layer into tasks.
//!
//! A network has over a hundred layers of some ten microseconds each. Waking a sleeping thread for each would cost as much as the
//! layer, so the workers spin for a while before they go to sleep.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, TryLockError};
use std::thread::Thread;

/// The number of spins of a worker before it sleeps: some tenths of a millisecond.
const MAX_SPINS: usize = 20_000;

/// The bits of `Shared::state` that count the workers that joined the batch.
const JOINED_MASK: usize = (1 << 15) - 1;
/// The bit of `Shared::state` that closes the batch to further workers.
const CLOSED: usize = 1 << 15;
/// The batch id is in the bits of `Shared::state` from here on.
const ID_SHIFT: u32 = 16;

type Work<'a> = &'a (dyn Fn(usize, usize) + Sync);

#[repr(align(128))]
#[derive(Default)]
struct Counter(AtomicUsize);

/// The tasks of one call of [`ThreadPool::run`].
struct Batch {
    work: *const (dyn Fn(usize, usize) + Sync),
    tasks: usize,
    threads: usize,
}

struct Worker {
    /// The id of the last batch given to this worker.
    latest_batch: AtomicUsize,
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

struct Shared {
    batch: UnsafeCell<Batch>,
    /// The next task of each thread's share.
    next: Vec<Counter>,
    /// The batch id, [`CLOSED`], and the number of workers that joined ([`JOINED_MASK`]).
    state: Counter,
    /// The number of workers that have finished the current batch.
    finished: Counter,
    failed: AtomicBool,
    workers: Vec<Worker>,
}

// SAFETY: `batch` is written only while `busy` is held and no worker runs a batch, and read only by that writer and by workers
// that joined the batch; all other fields are atomic or immutable.
unsafe impl Sync for Shared {}
// SAFETY: as for `Sync`; the pointer in `batch` is used only while the caller of `run` waits.
unsafe impl Send for Shared {}

/// A pool of threads that run one batch of tasks at a time.
pub(crate) struct ThreadPool {
    shared: Arc<Shared>,
    /// Held while the workers run a batch.
    busy: Mutex<()>,
}

/// The number of threads of a library in a browser, where the page starts all but one.
static THREADS_IN_BROWSER: AtomicUsize = AtomicUsize::new(1);

/// The number of threads that run tasks: at most the processor's cores and `RAYON_NUM_THREADS`.
pub(crate) fn threads() -> usize {
    let threads = thread_pool().shared.next.len();
    if cfg!(target_family = "wasm") { threads } else { threads.min(rayon::current_num_threads()) }
}

/// Sets the number of threads of a library in a browser, where it cannot start any: each of the others calls [`serve_as_thread`].
/// Without effect once a network has run.
#[cfg(target_os = "unknown")]
pub fn expect_threads(threads: usize) {
    THREADS_IN_BROWSER.store(threads.max(1), Ordering::Relaxed);
}

/// Runs tasks on this thread of a browser from now on: thread `index`, from 1 on, of those expected.
///
/// # Panics
/// If there is no such thread, or it serves already.
#[cfg(target_os = "unknown")]
pub fn serve_as_thread(index: usize) {
    let shared = &thread_pool().shared;
    let worker = index.checked_sub(1).and_then(|i| shared.workers.get(i));
    let worker = worker.expect("the index must be at least 1 and below the number of expected threads");
    worker.thread.set(std::thread::current()).expect("the index must not be that of a thread that serves already");
    shared.worker_loop(index - 1);
}

/// The thread pool of the process; its threads start at the first call.
pub(crate) fn thread_pool() -> &'static ThreadPool {
    static POOL: OnceLock<ThreadPool> = OnceLock::new();
    POOL.get_or_init(|| {
        if cfg!(target_family = "wasm") {
            return ThreadPool::new(THREADS_IN_BROWSER.load(Ordering::Relaxed));
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // On a thread of its own: inside a rayon pool this would return that pool's size, and this pool outlives it.
        let allowed = std::thread::scope(|scope| scope.spawn(rayon::current_num_threads).join().unwrap_or(1));
        ThreadPool::new(cores.min(allowed.max(1)))
    })
}

impl ThreadPool {
    fn new(threads: usize) -> Self {
        let worker =
            || Worker { latest_batch: AtomicUsize::new(0), asleep: AtomicBool::new(false), thread: OnceLock::new() };
        let nothing: *const (dyn Fn(usize, usize) + Sync) = &|_: usize, _: usize| {};
        let shared = Arc::new(Shared {
            batch: UnsafeCell::new(Batch { work: nothing, tasks: 0, threads: 0 }),
            next: (0..threads).map(|_| Counter::default()).collect(),
            state: Counter(AtomicUsize::new(CLOSED)),
            finished: Counter::default(),
            failed: AtomicBool::new(false),
            workers: (1..threads).map(|_| worker()).collect(),
        });
        for index in 0..shared.workers.len() {
            let mine = shared.clone();
            let started = std::thread::Builder::new()
                .name(format!("metamers-{}", index + 1))
                .spawn(move || mine.worker_loop(index));
            if let Ok(handle) = started {
                let _ = shared.workers[index].thread.set(handle.thread().clone());
            }
        }
        Self { shared, busy: Mutex::new(()) }
    }

    /// Calls `work(thread, task)` once for each task below `tasks`, on up to `threads` threads, until all are done.
    ///
    /// Each thread takes the tasks of its own share first, because what it wrote for the layer before is still in its cache;
    /// then it steals from the other shares. If the workers are busy with another caller's batch, this thread runs all tasks.
    pub fn run(&self, threads: usize, tasks: usize, work: Work) {
        let run_serially = || (0..tasks).for_each(|task| work(0, task));
        let ready = self.shared.workers.iter().take_while(|worker| worker.thread.get().is_some()).count() + 1;
        let threads = threads.min(ready).min(tasks);
        if threads <= 1 {
            return run_serially();
        }
        let _busy = match self.busy.try_lock() {
            Ok(busy) => busy,
            // A task has panicked; all workers had finished by then.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return run_serially(),
        };
        let shared = &*self.shared;
        for thread in 0..threads {
            shared.next[thread].0.store(thread * tasks / threads, Ordering::Relaxed);
        }
        // SAFETY: `busy` is held and every worker of the last batch has finished, so no one reads `batch`; the lifetime of `work`
        // may be extended because this function returns only after all workers that joined have finished.
        unsafe {
            let work = std::mem::transmute::<Work<'_>, Work<'static>>(work);
            *shared.batch.get() = Batch { work, tasks, threads };
        }
        shared.finished.0.store(0, Ordering::Relaxed);
        let id = (shared.state.0.load(Ordering::Relaxed) >> ID_SHIFT).wrapping_add(1);
        shared.state.0.store(id << ID_SHIFT, Ordering::Release);
        for worker in &shared.workers[..threads - 1] {
            worker.latest_batch.store(id, Ordering::SeqCst);
            if worker.asleep.load(Ordering::SeqCst)
                && let Some(thread) = worker.thread.get()
            {
                thread.unpark();
            }
        }
        let own = catch_unwind(AssertUnwindSafe(|| shared.work(0)));
        // Workers that have not joined by now are not waited for: their cores may be busy with something else.
        let joined = shared.state.0.fetch_or(CLOSED, Ordering::AcqRel) & JOINED_MASK;
        let mut spins = 0usize;
        while shared.finished.0.load(Ordering::Acquire) < joined {
            spins += 1;
            if spins < MAX_SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        let failed = shared.failed.swap(false, Ordering::Relaxed);
        if let Err(panic) = own {
            std::panic::resume_unwind(panic);
        }
        assert!(!failed, "a worker thread panicked");
    }
}

impl Shared {
    /// Runs the tasks of the batch on thread `thread` until none is left.
    fn work(&self, thread: usize) {
        // SAFETY: the batch stays until all threads that joined it have finished.
        let (batch, work) = unsafe {
            let batch = &*self.batch.get();
            (batch, &*batch.work)
        };
        for share in 0..batch.threads {
            let share = (thread + share) % batch.threads;
            let end = (share + 1) * batch.tasks / batch.threads;
            loop {
                let task = self.next[share].0.fetch_add(1, Ordering::Relaxed);
                if task >= end {
                    break;
                }
                work(thread, task);
            }
        }
    }

    fn worker_loop(&self, index: usize) {
        let worker = &self.workers[index];
        let mut done = 0;
        loop {
            let mut spins = 0;
            while worker.latest_batch.load(Ordering::Acquire) == done {
                spins += 1;
                if spins < MAX_SPINS {
                    std::hint::spin_loop();
                    continue;
                }
                worker.asleep.store(true, Ordering::SeqCst);
                if worker.latest_batch.load(Ordering::SeqCst) == done {
                    std::thread::park();
                }
                worker.asleep.store(false, Ordering::SeqCst);
            }
            done = worker.latest_batch.load(Ordering::Acquire);
            if !self.join(done) {
                continue;
            }
            if catch_unwind(AssertUnwindSafe(|| self.work(index + 1))).is_err() {
                self.failed.store(true, Ordering::Relaxed);
            }
            self.finished.0.fetch_add(1, Ordering::Release);
        }
    }

    /// Joins batch `id` if it is still open.
    fn join(&self, id: usize) -> bool {
        let open = |state: usize| state & CLOSED == 0 && state >> ID_SHIFT == id << ID_SHIFT >> ID_SHIFT;
        let joined = self.state.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |s| open(s).then_some(s + 1));
        joined.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn every_task_runs_once() {
        let pool = ThreadPool::new(3);
        for tasks in [0, 1, 2, 7, 100] {
            for threads in 1..5 {
                let done: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                pool.run(threads, tasks, &|_, task| {
                    done[task].fetch_add(1, Ordering::Relaxed);
                });
                assert!(done.iter().all(|d| d.load(Ordering::Relaxed) == 1), "{tasks} tasks, {threads} threads");
            }
        }
    }

    /// Returns whether a worker takes part: the calling thread waits for it in its first task.
    fn is_helped(pool: &ThreadPool) -> bool {
        let helped = AtomicBool::new(false);
        pool.run(2, 8, &|thread, _| {
            let deadline = Instant::now() + Duration::from_secs(20);
            helped.fetch_or(thread != 0, Ordering::SeqCst);
            while !helped.load(Ordering::SeqCst) && Instant::now() < deadline {
                std::thread::yield_now();
            }
        });
        helped.into_inner()
    }

    #[test]
    fn sleeping_workers_are_woken() {
        let pool = ThreadPool::new(2);
        for _ in 0..3 {
            assert!(is_helped(&pool));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_leaves_the_pool_usable() {
        let pool = ThreadPool::new(2);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            pool.run(2, 8, &|_, task| assert!(task != 7, "the task that fails"));
        }));
        assert!(panicked.is_err());
        assert!(is_helped(&pool), "after a panic all work was done by one thread");
    }
}
