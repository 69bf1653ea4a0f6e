//! Ready-made networks, one file an architecture.

mod efficientnet_lite0;

pub use efficientnet_lite0::{efficientnet_lite0, efficientnet_lite0_from};
