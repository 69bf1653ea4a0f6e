//! Elementwise operations that are not fused into another kernel: an optional scale and the epilogue.

use super::epilogue::Epilogue;
use crate::engine::simd::{Job, LANES, Simd};

/// Applies scale and epilogue to the pixels `[first, end]`.
pub(in crate::engine) struct Elementwise {
    pub source: *const f32,
    /// Values from pixel to pixel of the source.
    pub stride: usize,
    /// A factor for each channel; null for 1.
    pub scale: *const f32,
    pub pixels: [usize; 2],
    pub blocks: usize,
    pub epilogue: Epilogue,
}

impl Job for Elementwise {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for pixel in self.pixels[0]..self.pixels[1] {
            for block in 0..self.blocks {
                // SAFETY: the caller of `run` vouches for the pointers at these pixels and blocks.
                unsafe {
                    let mut v = S::load(self.source.add(pixel * self.stride + block * LANES));
                    if !self.scale.is_null() {
                        v = S::mul(v, S::load(self.scale.add(block * LANES)));
                    }
                    self.epilogue.write::<S>(pixel, block, v);
                }
            }
        }
    }
}
