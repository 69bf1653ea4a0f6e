//! The module of a page that makes metamers in a browser.
//!
//! The page's worker calls [`allocate`] for a request as JSON and for its bytes, fills both, and calls [`handle`]. Then it reads the reply
//! as JSON from part 0 and the bytes beside it from parts 1 and up ([`num_parts`], [`part`], [`part_length`]), all valid until the next call.
//! A panic traps; the worker then shows the message that [`last_panic`] holds, and refuses further requests.

mod request;
mod session;

use std::sync::{Mutex, PoisonError};

use request::Reply;
use session::{Answer, Session};

/// The buffers that the page fills, and the parts of the last reply.
struct Exchange {
    session: Session,
    request: Vec<u8>,
    bytes: Vec<u8>,
    parts: Vec<Vec<u8>>,
}

static EXCHANGE: Mutex<Option<Exchange>> = Mutex::new(None);
static PANIC: Mutex<String> = Mutex::new(String::new());

fn with_exchange<T>(f: impl FnOnce(&mut Exchange) -> T) -> T {
    let mut exchange = EXCHANGE.lock().unwrap_or_else(PoisonError::into_inner);
    f(exchange.get_or_insert_with(|| {
        std::panic::set_hook(Box::new(|info| {
            *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
        }));
        Exchange { session: Session::default(), request: vec![], bytes: vec![], parts: vec![] }
    }))
}

/// Makes room for a request and for its bytes; returns the address of the request. [`bytes`] is that of the bytes.
#[unsafe(no_mangle)]
pub extern "C" fn allocate(request: usize, bytes: usize) -> *mut u8 {
    with_exchange(|exchange| {
        (exchange.request, exchange.bytes) = (vec![0; request], vec![0; bytes]);
        exchange.request.as_mut_ptr()
    })
}

/// The address of the bytes of the request.
#[unsafe(no_mangle)]
pub extern "C" fn bytes() -> *mut u8 {
    with_exchange(|exchange| exchange.bytes.as_mut_ptr())
}

/// Handles the request.
#[unsafe(no_mangle)]
pub extern "C" fn handle() {
    with_exchange(|exchange| {
        let (request, bytes) = (std::mem::take(&mut exchange.request), std::mem::take(&mut exchange.bytes));
        let answer = match serde_json::from_slice(&request) {
            Ok(request) => exchange.session.handle(request, bytes),
            Err(e) => Answer { reply: Reply::Error { error: format!("invalid request: {e}") }, parts: vec![] },
        };
        let json = serde_json::to_vec(&answer.reply).unwrap_or_default();
        exchange.parts = std::iter::once(json).chain(answer.parts).collect();
    });
}

/// The number of parts of the last reply.
#[unsafe(no_mangle)]
pub extern "C" fn num_parts() -> usize {
    with_exchange(|exchange| exchange.parts.len())
}

/// The address of a part of the last reply; null if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn part(index: usize) -> *const u8 {
    with_exchange(|exchange| exchange.parts.get(index).map_or(std::ptr::null(), |part| part.as_ptr()))
}

/// The length of a part of the last reply in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn part_length(index: usize) -> usize {
    with_exchange(|exchange| exchange.parts.get(index).map_or(0, Vec::len))
}

/// The address of the message of the last panic, for a page whose module has trapped.
#[unsafe(no_mangle)]
pub extern "C" fn last_panic() -> *const u8 {
    PANIC.lock().unwrap_or_else(PoisonError::into_inner).as_ptr()
}

/// The length of the message of the last panic in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn last_panic_length() -> usize {
    PANIC.lock().unwrap_or_else(PoisonError::into_inner).len()
}

/// Makes room that stays, of this size and alignment, for the stack or the variables of a thread; null if there is not enough.
#[unsafe(no_mangle)]
pub extern "C" fn allocate_for_thread(bytes: usize, alignment: usize) -> *mut u8 {
    match std::alloc::Layout::from_size_align(bytes.max(1), alignment) {
        // SAFETY: the size of the layout is not 0.
        Ok(layout) => unsafe { std::alloc::alloc(layout) },
        Err(_) => std::ptr::null_mut(),
    }
}

/// Sets the number of threads, before a network is loaded; see [`metamers::browser::expect_threads`].
#[cfg(target_family = "wasm")]
#[unsafe(no_mangle)]
pub extern "C" fn expect_threads(threads: usize) {
    metamers::browser::expect_threads(threads);
}

/// Computes what other threads give this one; see [`metamers::browser::serve_as_thread`].
#[cfg(target_family = "wasm")]
#[unsafe(no_mangle)]
pub extern "C" fn serve_as_thread(index: usize) {
    metamers::browser::serve_as_thread(index);
}

#[cfg(target_family = "wasm")]
fn provide_file(path: String, bytes: Vec<u8>) {
    metamers::browser::provide_file(path, bytes);
}

/// Outside a browser the library reads files itself.
#[cfg(not(target_family = "wasm"))]
fn provide_file(_: String, _: Vec<u8>) {}
