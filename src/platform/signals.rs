//! SIGINT, which Ctrl-C raises. Windows raises it in the C library.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::SIGINT;
use signal_hook::flag::{register, register_conditional_shutdown};

/// Sets a flag at each SIGINT. With `second_ends_process`, a signal while the flag is set ends the process.
pub(super) fn watch(signalled: &Arc<AtomicBool>, second_ends_process: bool) {
    // Registered first, so that it runs first and sees an earlier signal that is still pending.
    if second_ends_process {
        let _ = register_conditional_shutdown(SIGINT, 130, Arc::clone(signalled));
    }
    let _ = register(SIGINT, Arc::clone(signalled));
}
