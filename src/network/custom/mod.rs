//! Custom networks, written in candle.

mod from_module;
mod gradient_check;
mod module;
mod module_check;

pub(crate) use gradient_check::check_gradient;
pub use module::{CandleModule, StageMarker};
