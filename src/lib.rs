//! Model metamers in Rust notebooks.

pub use candle_core as candle;
pub use candle_nn;

pub mod display;
mod error;
pub mod prelude;

pub use error::{Error, Result};
