//! Partition of convolutions into tasks, sized for threads and caches.

use std::sync::Arc;

use super::{BufferView, Compiler, EpilogueSpec, Instruction, RowBand};
use crate::engine::geometry::Phase;
use crate::engine::kernel::gemm::{Gemm, GemmTask, scratch};
use crate::engine::kernel::winograd::{Tiles, Winograd};
use crate::engine::lowering::ConvLayer;
use crate::engine::simd::LANES;

/// Splits `0..count` into `parts` nearly equal ranges, or into `count` if that is less.
fn split(count: usize, parts: usize) -> impl Iterator<Item = [usize; 2]> {
    let parts = parts.clamp(1, count.max(1));
    (0..parts).map(move |i| [i * count / parts, (i + 1) * count / parts])
}

impl Compiler<'_> {
    /// Splits the rows of every image for several threads.
    pub(super) fn bands(&self, phases: &[Phase]) -> Vec<RowBand> {
        let mut bands = vec![];
        for image in 0..self.batch {
            for (phase, p) in phases.iter().enumerate() {
                bands.extend(split(p.count[0], 4 * self.threads).map(|rows| RowBand { phase, image, rows }));
            }
        }
        // Bands that are adjacent in memory go to one thread.
        bands.sort_by_key(|band| (band.image, band.rows[0] * phases[band.phase].output_stride[0]));
        bands
    }

    /// Splits a GEMM for several threads and for the caches.
    fn gemm_tasks(&mut self, gemm: &Gemm, from: BufferView) -> Vec<GemmTask> {
        let mut tasks = vec![];
        for (phase_index, packed) in gemm.packed.iter().enumerate() {
            let phase = &packed.phase;
            let taps = phase.taps.len().max(1);
            let weights = taps * gemm.depth * gemm.blocks * LANES;
            let pixels = phase.count[0] * phase.count[1];
            // With few pixels and many weights, each thread takes some output channels of all pixels; else some pixels of
            // all output channels.
            let by_blocks = weights > 2 * from.pixels() * gemm.depth && gemm.blocks >= 4 * self.threads;
            let block_parts = if by_blocks { 4 * self.threads } else { 1 };
            let (mut row_parts, mut column_parts) = (1, 1);
            if phase.count[0] == 1 {
                let cache = (pixels * gemm.depth).div_ceil(1 << 15);
                let parts: usize = if by_blocks {
                    cache
                } else {
                    cache.max(4 * self.threads).min(pixels.div_ceil(28).max(self.threads))
                };
                column_parts = parts.next_multiple_of(self.threads).min(pixels);
            } else {
                let row = from.size[1] * from.stride * phase.input_stride[0];
                let cache = (phase.count[0] * row).div_ceil(1 << 16);
                row_parts = if by_blocks { cache } else { cache.max(2 * self.threads) };
            }
            // The images of a batch follow each other, so that they share the weights in the cache.
            for blocks in split(gemm.blocks, block_parts) {
                for image in 0..from.batch {
                    for rows in split(phase.count[0], row_parts) {
                        self.scratch = self.scratch.max(scratch(phase, rows[1] - rows[0], from.size, from.stride));
                        for columns in split(phase.count[1], column_parts) {
                            tasks.push(GemmTask { phase_index, image, rows, columns, blocks });
                        }
                    }
                }
            }
        }
        tasks
    }

    /// A dense convolution, forward or backward.
    pub(super) fn gemm(
        &mut self,
        layer: &ConvLayer,
        gemm: Arc<Gemm>,
        from: BufferView,
        to: BufferView,
        epilogue: EpilogueSpec,
    ) -> Instruction {
        match layer.is_pointwise() {
            true => self.pointwise(&gemm, from, to, epilogue),
            false => {
                let tasks = self.gemm_tasks(&gemm, from);
                Instruction::Gemm { gemm, tasks, from, to, epilogue }
            }
        }
    }

    /// A 1 x 1 convolution, computed on all pixels of the batch as one row.
    pub(super) fn pointwise(
        &mut self,
        gemm: &Gemm,
        from: BufferView,
        to: BufferView,
        epilogue: EpilogueSpec,
    ) -> Instruction {
        let gemm = Arc::new(gemm.flattened(to.batch * to.pixels()));
        let (from, to) = (from.flattened(), to.flattened());
        let tasks = self.gemm_tasks(&gemm, from);
        Instruction::Gemm { gemm, tasks, from, to, epilogue }
    }

    /// A Winograd convolution, with scratch memory for its chunks of tiles.
    pub(super) fn winograd(
        &mut self,
        conv: Arc<Winograd>,
        from: BufferView,
        to: BufferView,
        epilogue: EpilogueSpec,
    ) -> Instruction {
        let tiles = Tiles::new(conv.scheme, self.batch, to.size).count;
        // If the weights fit in a core's own cache beside some tiles, each thread works on tiles of its own. Otherwise the
        // threads share each read of the weights, for as many tiles as the shared cache holds.
        let per_thread = conv.scheme.points() * conv.depth * conv.blocks * LANES <= 36 * 64 * 64;
        let channels = conv.depth.max(conv.blocks * LANES);
        let max_chunk = if per_thread { 14 } else { (900_000 / conv.scheme.points() / channels).max(32) };
        let chunk = tiles.div_ceil(tiles.div_ceil(max_chunk));
        let [inputs, outputs] = conv.scratch(chunk);
        let scratch = [self.buffers.len(), self.buffers.len() + 1];
        if per_thread {
            self.scratch = self.scratch.max(inputs + outputs);
        } else {
            self.buffers.extend([inputs, outputs]);
        }
        Instruction::Winograd { conv, chunk, per_thread, from, to, epilogue, scratch }
    }
}
