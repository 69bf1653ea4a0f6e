//! Max pooling and global average pooling.

use super::epilogue::Epilogue;
use super::gemm::Pixels;
use crate::engine::geometry::Phase;
use crate::engine::simd::{Job, LANES, Simd};

/// Max pooling for rows `rows` of the output; records the tap of each maximum.
pub(in crate::engine) struct MaxPool<'a> {
    pub phase: &'a Phase,
    pub rows: [usize; 2],
    pub source: Pixels,
    pub blocks: usize,
    pub epilogue: Epilogue,
    /// `[pixel][block][tap]`: one bit for each channel whose maximum is at this tap.
    pub argmax: *mut u16,
}

impl Job for MaxPool<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Pixels { at, size: [height, width], stride } = self.source;
        let phase = self.phase;
        let [_, columns] = phase.count;
        let count = phase.taps.len();
        for row in self.rows[0]..self.rows[1] {
            for column in 0..columns {
                let pixel = row * columns + column;
                for block in 0..self.blocks {
                    // SAFETY: the caller of `run` vouches for the pointers; taps outside of the image are skipped.
                    unsafe {
                        let argmax = self.argmax.add((pixel * self.blocks + block) * count);
                        let mut best = S::splat(f32::NEG_INFINITY);
                        let mut is_first = u16::MAX;
                        for (t, tap) in phase.taps.iter().enumerate() {
                            let y = (row * phase.input_stride[0]) as isize + tap.dy;
                            let x = (column * phase.input_stride[1]) as isize + tap.dx;
                            let mut wins = 0;
                            if y >= 0 && x >= 0 && (y as usize) < height && (x as usize) < width {
                                let v = S::load(at.add((y as usize * width + x as usize) * stride + block * LANES));
                                // NaN wins over everything; the first pixel wins even if it is minus infinity.
                                wins = S::greater(v, best) | S::is_nan(v) | is_first;
                                is_first = 0;
                                best = S::select(wins, v, best);
                            }
                            *argmax.add(t) = wins;
                        }
                        // The last tap that won holds the maximum; the earlier ones are cleared.
                        let mut taken = 0;
                        for t in (0..count).rev() {
                            let wins = *argmax.add(t) & !taken;
                            taken |= wins;
                            *argmax.add(t) = wins;
                        }
                        self.epilogue.write::<S>(pixel, block, best);
                    }
                }
            }
        }
    }
}

/// Gradient of max pooling for rows `rows` of the input: each pixel sums the gradients of the windows whose maximum it is.
pub(in crate::engine) struct MaxPoolBackward<'a> {
    pub phase: &'a Phase,
    pub rows: [usize; 2],
    /// The gradient of the output.
    pub source: Pixels,
    pub blocks: usize,
    pub epilogue: Epilogue,
    /// Pixels in a row of the target.
    pub target_width: usize,
    /// The number of taps in the window.
    pub taps: usize,
    /// The argmax that [`MaxPool`] recorded.
    pub argmax: *const u16,
}

impl Job for MaxPoolBackward<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Pixels { at, size: [height, width], stride } = self.source;
        let phase = self.phase;
        for row in self.rows[0]..self.rows[1] {
            for column in 0..phase.count[1] {
                let to = (phase.first[0] + row * phase.output_stride[0]) * self.target_width
                    + phase.first[1]
                    + column * phase.output_stride[1];
                for block in 0..self.blocks {
                    // SAFETY: the caller of `run` vouches for the pointers; windows outside of the output are skipped.
                    unsafe {
                        let mut sum = S::splat(0.0);
                        for tap in &phase.taps {
                            let y = (row * phase.input_stride[0]) as isize + tap.dy;
                            let x = (column * phase.input_stride[1]) as isize + tap.dx;
                            if y >= 0 && x >= 0 && (y as usize) < height && (x as usize) < width {
                                let pixel = y as usize * width + x as usize;
                                let wins = *self.argmax.add((pixel * self.blocks + block) * self.taps + tap.weight);
                                let g = S::load(at.add(pixel * stride + block * LANES));
                                sum = S::add(sum, S::masked(wins, g));
                            }
                        }
                        self.epilogue.write::<S>(to, block, sum);
                    }
                }
            }
        }
    }
}

/// The number of pixels that [`GlobalAvgPool`] sums in one go.
const PART: usize = 1024;

/// Mean over the pixels of one image, for the blocks `[first, end]`.
pub(in crate::engine) struct GlobalAvgPool {
    pub source: Pixels,
    pub blocks: [usize; 2],
    pub epilogue: Epilogue,
}

impl Job for GlobalAvgPool {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let count = self.source.size[0] * self.source.size[1];
        for block in self.blocks[0]..self.blocks[1] {
            // SAFETY: the caller of `run` vouches for the pointers at all pixels of these blocks.
            unsafe {
                // Sums of parts, added with what rounding lost (Kahan, 1965): of a large, even image a single sum would be off by 1 %.
                let (mut sum, mut lost, minus) = (S::splat(0.0), S::splat(0.0), S::splat(-1.0));
                for first in (0..count).step_by(PART) {
                    let mut part = S::splat(0.0);
                    for pixel in first..count.min(first + PART) {
                        part = S::add(part, S::load(self.source.at.add(pixel * self.source.stride + block * LANES)));
                    }
                    let part = S::mul_add(lost, minus, part);
                    let next = S::add(sum, part);
                    lost = S::mul_add(part, minus, S::mul_add(sum, minus, next));
                    sum = next;
                }
                self.epilogue.write::<S>(0, block, S::mul(sum, S::splat(1.0 / count as f32)));
            }
        }
    }
}

/// Gradient of the mean over `count` pixels, for the pixels `[first, end]`.
pub(in crate::engine) struct GlobalAvgPoolBackward {
    pub gradient: *const f32,
    pub count: usize,
    pub pixels: [usize; 2],
    pub blocks: usize,
    pub epilogue: Epilogue,
}

impl Job for GlobalAvgPoolBackward {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for pixel in self.pixels[0]..self.pixels[1] {
            for block in 0..self.blocks {
                // SAFETY: the caller of `run` vouches for the pointers at these pixels and blocks.
                unsafe {
                    let g = S::load(self.gradient.add(block * LANES));
                    self.epilogue.write::<S>(pixel, block, S::mul(g, S::splat(1.0 / self.count as f32)));
                }
            }
        }
    }
}
