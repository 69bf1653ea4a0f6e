//! The GEMM microkernel: pixels by channels, times packed weights.

use super::epilogue::Epilogue;
use crate::engine::simd::{Job, LANES, Simd};

/// A product of equally spaced pixels with packed weights, summed over taps and over the channels of each tap.
///
/// `target[pixel][n] = sum over tap, k of source[pixel * stride + taps[tap] + k] * weights[n / 16][tap][k][n % 16]`
#[derive(Clone, Copy)]
pub(in crate::engine) struct Product<'a> {
    pub source: *const f32,
    /// Values from pixel to pixel.
    pub stride: usize,
    pub taps: &'a [isize],
    /// Channels at each tap.
    pub depth: usize,
    pub weights: *const f32,
    pub epilogue: Epilogue,
}

impl Product<'_> {
    /// Computes `pixels` pixels of `blocks` blocks of 16 channels.
    ///
    /// # Safety
    /// All pointers are valid for these pixels and blocks, and the processor has the instruction set.
    #[inline(always)]
    pub unsafe fn run<S: Simd>(&self, pixels: usize, blocks: usize) {
        let tiles = pixels.div_ceil(S::ROWS);
        let mut block = 0;
        while block < blocks {
            let wide = S::BLOCKS.min(blocks - block);
            for tile in 0..tiles {
                let (first, end) = (tile * pixels / tiles, (tile + 1) * pixels / tiles);
                // SAFETY: the caller's contract; the tile lies within the pixels and blocks.
                unsafe {
                    let part = self.at(first, block);
                    if wide == 2 { part.rows::<S, 2>(end - first) } else { part.rows::<S, 1>(end - first) }
                }
            }
            block += wide;
        }
    }

    #[inline(always)]
    fn at(&self, pixel: usize, block: usize) -> Self {
        Self {
            source: self.source.wrapping_add(pixel * self.stride),
            weights: self.weights.wrapping_add(block * self.taps.len() * self.depth * LANES),
            epilogue: self.epilogue.at(pixel, block),
            ..*self
        }
    }

    /// Computes one tile of `rows` pixels and `B` blocks.
    ///
    /// # Safety
    /// All pointers are valid for them, and the processor has the instruction set.
    #[inline(always)]
    unsafe fn rows<S: Simd, const B: usize>(&self, rows: usize) {
        macro_rules! dispatch {
            ($($r:literal)+) => {
                match rows {
                    // SAFETY: the caller's contract.
                    $($r if $r <= S::ROWS => unsafe { S::run_outlined(Tile::<$r, B>(self)) },)+
                    _ => {}
                }
            };
        }
        dispatch!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    }
}

/// A register tile: `R` pixels of `B` blocks.
struct Tile<'a, const R: usize, const B: usize>(&'a Product<'a>);

impl<const R: usize, const B: usize> Job for Tile<'_, R, B> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Product { source, stride, taps, depth, mut weights, epilogue } = *self.0;
        let panel = taps.len() * depth * LANES;
        // SAFETY: the caller of `run` vouches for the pointers at `R` pixels and `B` blocks; `weights` holds `depth` vectors for
        // each tap.
        unsafe {
            let mut sums = [[S::splat(0.0); B]; R];
            for &tap in taps {
                let source = source.offset(tap);
                for k in 0..depth {
                    let mut w = [S::splat(0.0); B];
                    for (b, w) in w.iter_mut().enumerate() {
                        *w = S::load(weights.add(b * panel));
                    }
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let x = S::splat(*source.add(r * stride + k));
                        for (sum, &w) in sums.iter_mut().zip(&w) {
                            *sum = S::mul_add(x, w, *sum);
                        }
                    }
                    weights = weights.add(LANES);
                }
            }
            epilogue.write_tile::<S, R, B>(sums);
        }
    }
}
