//! Model metamers in Rust notebooks.

pub use candle_core as candle;
pub use candle_nn;

mod assets;
mod atomic;
pub mod display;
mod error;
mod finite;
mod interrupt;
pub mod network;
pub mod ops;
pub mod prelude;
pub mod stimulus;
pub mod synthesis;
pub mod verdict;
pub mod zoo;

pub use error::{Error, Result};
