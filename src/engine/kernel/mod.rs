//! Compute kernels, each written once for every instruction set.

pub(super) mod col2im;
pub(super) mod depthwise;
pub(super) mod elementwise;
pub(super) mod epilogue;
pub(super) mod gemm;
mod microkernel;
pub(super) mod pool;
pub(super) mod transpose;
pub(super) mod winograd;

pub(super) use epilogue::Epilogue;
