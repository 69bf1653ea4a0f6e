//! The inner loops.

pub(super) mod dense;
pub(super) mod depthwise;
pub(super) mod finish;
pub(super) mod overlap;
pub(super) mod pool;
pub(super) mod simple;
mod tile;
pub(super) mod winograd;

pub(super) use finish::Epilogue;
