//! Depthwise convolution.

use super::epilogue::Epilogue;
use super::gemm::Pixels;
use crate::engine::aligned::AlignedBuffer;
use crate::engine::geometry::Phase;
use crate::engine::simd::{Job, LANES, Simd};

/// The number of pixels that are computed together.
const TILE: usize = 8;

/// Weights of one direction of a depthwise convolution, `[tap][channel]`.
pub(in crate::engine) struct Depthwise {
    pub phases: Vec<Phase>,
    pub weights: AlignedBuffer,
    pub blocks: usize,
}

impl Depthwise {
    /// Packs `weight(channel, tap)`.
    pub fn pack(phases: Vec<Phase>, channels: usize, taps: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
        let blocks = channels.div_ceil(LANES);
        let mut weights = AlignedBuffer::zeros(taps * blocks * LANES);
        for (tap, values) in weights.values_mut().chunks_exact_mut(blocks * LANES).enumerate().take(taps) {
            values.iter_mut().enumerate().take(channels).for_each(|(channel, w)| *w = weight(channel, tap));
        }
        Self { phases, weights, blocks }
    }
}

/// Computes rows `rows` of one phase.
pub(in crate::engine) struct DepthwiseJob<'a> {
    pub conv: &'a Depthwise,
    pub phase: usize,
    pub rows: [usize; 2],
    pub source: Pixels,
    /// The epilogue at the first pixel of the image.
    pub epilogue: Epilogue,
    /// Pixels in a row of the target.
    pub target_width: usize,
}

/// A tap that reads inside the image in the current row: its offset from the first pixel, and its weights.
#[derive(Clone, Copy)]
struct ActiveTap {
    offset: isize,
    weights: *const f32,
    /// Columns at which the tap reads inside the image, `[first, end]`.
    columns: [usize; 2],
}

impl Job for DepthwiseJob<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let phase = &self.conv.phases[self.phase];
        let Pixels { at, size: [height, width], stride } = self.source;
        let columns = phase.count[1];
        let input_stride = phase.input_stride[1] * stride;
        let mut taps = Vec::with_capacity(phase.taps.len());
        for row in self.rows[0]..self.rows[1] {
            taps.clear();
            for tap in &phase.taps {
                let y = (row * phase.input_stride[0]) as isize + tap.dy;
                if y >= 0 && (y as usize) < height {
                    taps.push(ActiveTap {
                        offset: (y * width as isize + tap.dx) * stride as isize,
                        weights: self.conv.weights.as_ptr().wrapping_add(tap.weight * self.conv.blocks * LANES),
                        columns: phase.valid_range(1, tap.dx, width),
                    });
                }
            }
            // Between these columns all taps read inside the image.
            let left = taps.iter().map(|tap| tap.columns[0]).max().unwrap_or(0);
            let right = taps.iter().map(|tap| tap.columns[1]).min().unwrap_or(columns).max(left);
            let to = (phase.first[0] + row * phase.output_stride[0]) * self.target_width + phase.first[1];
            for block in 0..self.conv.blocks {
                // SAFETY: the caller of `run` vouches for the pointers; `taps` holds only taps inside the image's rows, and
                // `border` and `inner` are called for columns at which the taps that they use are inside too.
                unsafe {
                    let mut epilogue = self.epilogue.at(to, block);
                    epilogue.stride *= phase.output_stride[1];
                    epilogue.mask_stride *= phase.output_stride[1];
                    let source = at.add(block * LANES);
                    for column in (0..left).chain(right..columns) {
                        border::<S>(&taps, column, source, input_stride, block * LANES, &epilogue);
                    }
                    let mut column = left;
                    while column + TILE <= right {
                        inner::<S, TILE>(&taps, column, source, input_stride, block * LANES, &epilogue);
                        column += TILE;
                    }
                    if column + TILE / 2 <= right {
                        inner::<S, { TILE / 2 }>(&taps, column, source, input_stride, block * LANES, &epilogue);
                        column += TILE / 2;
                    }
                    while column < right {
                        inner::<S, 1>(&taps, column, source, input_stride, block * LANES, &epilogue);
                        column += 1;
                    }
                }
            }
        }
    }
}

/// Computes `T` pixels at which all taps read inside the image.
///
/// # Safety
/// All taps read inside the image at these columns, and the pointers are valid for this block of channels.
#[inline(always)]
unsafe fn inner<S: Simd, const T: usize>(
    taps: &[ActiveTap],
    column: usize,
    source: *const f32,
    input_stride: usize,
    channel: usize,
    epilogue: &Epilogue,
) {
    // SAFETY: the caller's contract.
    unsafe {
        let mut sums = [S::splat(0.0); T];
        let source = source.wrapping_add(column * input_stride);
        for tap in taps {
            let w = S::load(tap.weights.add(channel));
            let source = source.wrapping_offset(tap.offset);
            for (t, sum) in sums.iter_mut().enumerate() {
                *sum = S::mul_add(S::load(source.add(t * input_stride)), w, *sum);
            }
        }
        epilogue.at(column, 0).write_tile::<S, T, 1>(sums.map(|sum| [sum]));
    }
}

/// Computes one pixel at which some taps read outside the image.
///
/// # Safety
/// The pointers are valid for this block of channels at every column that a tap reads inside the image.
#[inline(always)]
unsafe fn border<S: Simd>(
    taps: &[ActiveTap],
    column: usize,
    source: *const f32,
    input_stride: usize,
    channel: usize,
    epilogue: &Epilogue,
) {
    // SAFETY: only taps that read inside the image at this column are used; the rest is the caller's contract.
    unsafe {
        let mut sum = S::splat(0.0);
        for tap in taps.iter().filter(|tap| (tap.columns[0]..tap.columns[1]).contains(&column)) {
            let x = S::load(source.wrapping_add(column * input_stride).wrapping_offset(tap.offset));
            sum = S::mul_add(x, S::load(tap.weights.add(channel)), sum);
        }
        epilogue.write::<S>(column, 0, sum);
    }
}
