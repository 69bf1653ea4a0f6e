//! Model metamers in Rust notebooks.

pub use candle_core as candle;
pub use candle_nn;

mod assets;
mod atomic;
mod error;
mod finite;
pub mod network;
pub mod ops;
pub mod prelude;
pub mod stimulus;
pub mod zoo;

pub use error::{Error, Result};
