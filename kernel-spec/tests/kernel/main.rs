//! Tests of real kernels over real sockets.
//!
//! One binary, so that the tests of all modules share its limits: tests of one module share a kernel, only one shared kernel exists at a
//! time, and tests that start separate kernels wait for a [`client::turn`].

mod book;
mod cells;
mod client;
mod cold_start;
mod input;
mod interrupts;
mod isolation;
mod shutdown;
mod tensors;
