//! Number by number: sums, rectifiers and gates on their own.

use super::epilogue::Epilogue;
use crate::engine::simd::{Job, LANES, Simd};

/// Copies pixels `pixels` and finishes them.
pub(in crate::engine) struct Elementwise {
    pub source: *const f32,
    /// Numbers from pixel to pixel of the source.
    pub stride: usize,
    /// Multiplied with every pixel, `[channel]`; null for 1.
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
