//! The differences between operating systems: interrupts, links, and the rules for new files. The files `unix`, `windows` and `browser` have
//! the same functions.

#[cfg(target_family = "wasm")]
mod browser;
#[cfg(not(target_family = "wasm"))]
mod signals;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(target_family = "wasm")]
pub(crate) use browser::*;
#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;
