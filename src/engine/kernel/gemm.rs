//! Dense convolutions and fully connected layers as matrix products (implicit GEMM).

use std::sync::Arc;

use super::epilogue::Epilogue;
use super::microkernel::Product;
use crate::engine::aligned::AlignedBuffer;
use crate::engine::geometry::Phase;
use crate::engine::simd::{Job, LANES, Simd};

/// Packed weights of one direction of a convolution.
pub(in crate::engine) struct Gemm {
    pub packed: Vec<PackedPhase>,
    /// Input channels, over which the product sums.
    pub depth: usize,
    /// Blocks of 16 output channels.
    pub blocks: usize,
}

/// The weights of one phase: `[block][tap][channel in][channel out % 16]`.
#[derive(Clone)]
pub(in crate::engine) struct PackedPhase {
    pub phase: Phase,
    pub weights: Arc<AlignedBuffer>,
}

impl Gemm {
    /// Packs `weight(channel out, channel in, tap)`.
    pub fn pack(phases: Vec<Phase>, [outputs, depth]: [usize; 2], weight: impl Fn(usize, usize, usize) -> f32) -> Self {
        let blocks = outputs.div_ceil(LANES);
        let part = |phase: Phase| {
            let mut weights = AlignedBuffer::zeros(blocks * phase.taps.len() * depth * LANES);
            let mut packed = weights.values_mut().chunks_exact_mut(LANES);
            for block in 0..blocks {
                for tap in &phase.taps {
                    for (k, lanes) in packed.by_ref().take(depth).enumerate() {
                        for (lane, value) in lanes.iter_mut().enumerate().take(outputs - (block * LANES).min(outputs)) {
                            *value = weight(block * LANES + lane, k, tap.weight);
                        }
                    }
                }
            }
            PackedPhase { phase, weights: weights.into() }
        };
        Self { packed: phases.into_iter().map(part).collect(), depth, blocks }
    }

    /// The same weights for a 1 x 1 convolution of one row of `pixels`.
    pub fn flattened(&self, pixels: usize) -> Self {
        let mut packed = self.packed.clone();
        packed.iter_mut().for_each(|part| part.phase.count = [1, pixels]);
        Self { packed, ..*self }
    }
}

/// An NHWC image, or a batch of them.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Pixels {
    pub at: *const f32,
    pub size: [usize; 2],
    /// Values from pixel to pixel.
    pub stride: usize,
}

/// A range of rows, columns and channel blocks of one phase, computed as one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct GemmTask {
    pub phase_index: usize,
    pub image: usize,
    pub rows: [usize; 2],
    pub columns: [usize; 2],
    pub blocks: [usize; 2],
}

/// Returns whether every tap of a phase reads inside the image.
pub(in crate::engine) fn stays_inside(phase: &Phase, size: [usize; 2]) -> bool {
    (0..2).all(|axis| phase.overhang(axis, size[axis]) == [0, 0])
}

/// Scratch values that [`GemmJob`] needs for a band of `rows` rows of a phase: the padded source, or 0 without padding.
pub(in crate::engine) fn scratch(phase: &Phase, rows: usize, size: [usize; 2], stride: usize) -> usize {
    if stays_inside(phase, size) || phase.taps.is_empty() {
        return 0;
    }
    let [height, width] = band(phase, [0, rows]).1;
    height * width * stride
}

/// The source pixels that rows `first..end` of a phase read: the origin, which may lie outside, and height and width.
fn band(phase: &Phase, [first, end]: [usize; 2]) -> ([isize; 2], [usize; 2]) {
    let offsets = |axis: usize| phase.taps.iter().map(move |tap| [tap.dy, tap.dx][axis]);
    let least = [0, 1].map(|axis| offsets(axis).min().unwrap_or(0));
    let most = [0, 1].map(|axis| offsets(axis).max().unwrap_or(0));
    let spans = [end - first, phase.count[1]];
    let size =
        [0, 1].map(|axis| (spans[axis] - 1) * phase.input_stride[axis] + (most[axis] - least[axis]) as usize + 1);
    ([(first * phase.input_stride[0]) as isize + least[0], least[1]], size)
}

/// Computes one [`GemmTask`].
pub(in crate::engine) struct GemmJob<'a> {
    pub gemm: &'a Gemm,
    pub task: GemmTask,
    pub source: Pixels,
    /// The epilogue at the first pixel of the image.
    pub epilogue: Epilogue,
    /// Pixels in a row of the target.
    pub target_width: usize,
    pub scratch: *mut f32,
}

impl Job for GemmJob<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let GemmTask { phase_index, rows, columns, blocks, .. } = self.task;
        let PackedPhase { phase, weights } = &self.gemm.packed[phase_index];
        let Pixels { at, size, stride } = self.source;
        let depth = self.gemm.depth;
        let (origin, base, width) = if stays_inside(phase, size) || phase.taps.is_empty() {
            ([0, 0], at, size[1])
        } else {
            let (origin, padded) = band(phase, rows);
            // SAFETY: the caller of `run` vouches for the source, and for `scratch` values of scratch memory.
            unsafe { pad(self.source, origin, padded, self.scratch) };
            (origin, self.scratch.cast_const(), padded[1])
        };
        let taps: Vec<isize> =
            phase.taps.iter().map(|tap| (tap.dy * width as isize + tap.dx) * stride as isize).collect();
        let (taps, depth) = merge_taps(taps, depth);
        let [first, end] = blocks;
        // The weights of one group of blocks serve all rows while they are in the cache.
        for block in (first..end).step_by(S::BLOCKS) {
            let width_in_blocks = S::BLOCKS.min(end - block);
            for row in rows[0]..rows[1] {
                let y = (row * phase.input_stride[0]) as isize - origin[0];
                let x = (columns[0] * phase.input_stride[1]) as isize - origin[1];
                let to = (phase.first[0] + row * phase.output_stride[0]) * self.target_width
                    + phase.first[1]
                    + columns[0] * phase.output_stride[1];
                // SAFETY: the caller of `run` vouches for source and target; taps outside of the image read zeros in the
                // padded copy, and `weights` was packed for these taps and blocks.
                unsafe {
                    let mut epilogue = self.epilogue.at(to, block);
                    epilogue.stride *= phase.output_stride[1];
                    epilogue.mask_stride *= phase.output_stride[1];
                    Product {
                        source: base.wrapping_offset((y * width as isize + x) * stride as isize),
                        stride: stride * phase.input_stride[1],
                        taps: &taps,
                        depth,
                        weights: weights.as_ptr().add(block * taps.len() * depth * LANES),
                        epilogue,
                    }
                    .run::<S>(columns[1] - columns[0], width_in_blocks);
                }
            }
        }
    }
}

/// Merges taps whose channels are adjacent in memory into fewer taps with more channels, if all merged taps have equal lengths.
fn merge_taps(taps: Vec<isize>, depth: usize) -> (Vec<isize>, usize) {
    let follows = |pair: &[isize]| pair[1] - pair[0] == depth as isize;
    let run = 1 + taps.windows(2).take_while(|pair| follows(pair)).count();
    let mergeable = taps.len().is_multiple_of(run) && taps.chunks(run).all(|run| run.windows(2).all(follows));
    match mergeable {
        true => (taps.into_iter().step_by(run).collect(), run * depth),
        false => (taps, depth),
    }
}

/// Copies a rectangle that may extend beyond the image, with zeros outside.
///
/// # Safety
/// The source is a valid image, and `target` has space for `height * width` pixels.
#[inline(always)]
unsafe fn pad(source: Pixels, [top, left]: [isize; 2], [height, width]: [usize; 2], target: *mut f32) {
    let stride = source.stride;
    let clamp = |at: isize, size: usize| at.clamp(0, size as isize) as usize;
    let (from, to) = (clamp(left, source.size[1]), clamp(left + width as isize, source.size[1]));
    let lead = if from < to { (from as isize - left) as usize } else { width };
    for row in 0..height {
        let y = top + row as isize;
        // SAFETY: `row` lies in the target; source pixels are clamped to the image.
        unsafe {
            let target = target.add(row * width * stride);
            if y < 0 || y as usize >= source.size[0] || from >= to {
                target.write_bytes(0, width * stride);
                continue;
            }
            let pixels = source.at.add((y as usize * source.size[1] + from) * stride);
            target.write_bytes(0, lead * stride);
            target.add(lead * stride).copy_from_nonoverlapping(pixels, (to - from) * stride);
            target.add((lead + to - from) * stride).write_bytes(0, (width - lead - (to - from)) * stride);
        }
    }
}
