//! What a notebook has loaded when it starts.

pub use crate::candle::{DType, Device, Tensor, Var};
pub use crate::{Error, Result, candle, candle_nn};
pub use std::time::Duration;
