//! How a convolution is cut, for threads and for caches.

use std::sync::Arc;

use super::{BufferView, Compiler, EpilogueSpec, Instruction, RowBand};
use crate::engine::geometry::Phase;
use crate::engine::kernel::gemm::{Gemm, Piece, scratch};
use crate::engine::kernel::winograd::{Tiles, Winograd};
use crate::engine::lowering::ConvLayer;
use crate::engine::simd::LANES;

/// Cuts `count` into `parts` nearly equal parts, fewer when there is less.
fn cut(count: usize, parts: usize) -> impl Iterator<Item = [usize; 2]> {
    let parts = parts.clamp(1, count.max(1));
    (0..parts).map(move |i| [i * count / parts, (i + 1) * count / parts])
}

impl Compiler<'_> {
    /// Rows of every image, for several threads.
    pub(super) fn bands(&self, phases: &[Phase]) -> Vec<RowBand> {
        let mut bands = vec![];
        for image in 0..self.batch {
            for (phase, p) in phases.iter().enumerate() {
                bands.extend(cut(p.count[0], 4 * self.threads).map(|rows| RowBand { phase, image, rows }));
            }
        }
        // Neighbours in memory belong to one thread.
        bands.sort_by_key(|band| (band.image, band.rows[0] * phases[band.phase].writes[0]));
        bands
    }

    /// Cuts a convolution for several threads and for the caches.
    fn pieces(&mut self, dense: &Gemm, from: BufferView) -> Vec<Piece> {
        let mut pieces = vec![];
        for (part, p) in dense.parts.iter().enumerate() {
            let phase = &p.phase;
            let taps = phase.taps.len().max(1);
            let weights = taps * dense.depth * dense.blocks * LANES;
            let pixels = phase.count[0] * phase.count[1];
            // Few pixels and many weights: each thread takes some outputs of all pixels, else some pixels of all outputs.
            let by_blocks = weights > 2 * from.pixels() * dense.depth && dense.blocks >= 4 * self.threads;
            let block_parts = if by_blocks { 4 * self.threads } else { 1 };
            let (mut rows, mut columns) = (1, 1);
            if phase.count[0] == 1 {
                let cache = (pixels * dense.depth).div_ceil(1 << 15);
                columns = if by_blocks {
                    cache
                } else {
                    cache.max(4 * self.threads).min(pixels.div_ceil(28).max(self.threads))
                };
                columns = columns.next_multiple_of(self.threads).min(pixels);
            } else {
                let row = from.size[1] * from.stride * phase.reads[0];
                let cache = (phase.count[0] * row).div_ceil(1 << 16);
                rows = if by_blocks { cache } else { cache.max(2 * self.threads) };
            }
            // The images of a batch follow each other with the same weights.
            for blocks in cut(dense.blocks, block_parts) {
                for image in 0..from.batch {
                    for rows in cut(phase.count[0], rows) {
                        self.scratch = self.scratch.max(scratch(phase, rows[1] - rows[0], from.size, from.stride));
                        for columns in cut(phase.count[1], columns) {
                            pieces.push(Piece { part, image, rows, columns, blocks });
                        }
                    }
                }
            }
        }
        pieces
    }

    /// A convolution in either direction; single pixels are taken as one row, whatever the image's shape.
    pub(super) fn dense(
        &mut self,
        layer: &ConvLayer,
        dense: Arc<Gemm>,
        from: BufferView,
        to: BufferView,
        ends: EpilogueSpec,
    ) -> Instruction {
        match layer.is_pointwise() {
            true => self.pointwise(&dense, from, to, ends),
            false => {
                let pieces = self.pieces(&dense, from);
                Instruction::Gemm { dense, pieces, from, to, ends }
            }
        }
    }

    pub(super) fn pointwise(
        &mut self,
        dense: &Gemm,
        from: BufferView,
        to: BufferView,
        ends: EpilogueSpec,
    ) -> Instruction {
        let (dense, from, to) = (Arc::new(dense.in_a_row(to.batch * to.pixels())), from.in_a_row(), to.in_a_row());
        let pieces = self.pieces(&dense, from);
        Instruction::Gemm { dense, pieces, from, to, ends }
    }

    pub(super) fn winograd(
        &mut self,
        conv: Arc<Winograd>,
        from: BufferView,
        to: BufferView,
        ends: EpilogueSpec,
    ) -> Instruction {
        let tiles = Tiles::of(conv.scheme, self.batch, to.size).count;
        // Weights that fit in a core's own cache beside some tiles: each thread goes its own way. Else the threads share the
        // reading of the weights, for as many tiles as the common cache holds.
        let alone = conv.scheme.points() * conv.depth * conv.blocks * LANES <= 36 * 64 * 64;
        let wide = conv.depth.max(conv.blocks * LANES);
        let most = if alone { 14 } else { (900_000 / conv.scheme.points() / wide).max(32) };
        let chunk = tiles.div_ceil(tiles.div_ceil(most));
        let [inputs, outputs] = conv.scratch(chunk);
        let room = [self.buffers.len(), self.buffers.len() + 1];
        if alone {
            self.scratch = self.scratch.max(inputs + outputs);
        } else {
            self.buffers.extend([inputs, outputs]);
        }
        Instruction::Winograd { conv, chunk, alone, from, to, ends, room }
    }
}
