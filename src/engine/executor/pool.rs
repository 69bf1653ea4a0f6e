//! Pooling instructions.

use super::Executor;
use crate::engine::codegen::{BufferView, EpilogueSpec, RowBand};
use crate::engine::geometry::Phase;
use crate::engine::kernel::pool::{GlobalAvgPool, GlobalAvgPoolBackward, MaxPool, MaxPoolBackward};

impl Executor {
    pub(super) fn max_pool(
        &mut self,
        phases: &[Phase],
        bands: &[RowBand],
        [from, to]: [&BufferView; 2],
        epilogue: &EpilogueSpec,
        argmax: usize,
    ) {
        let source = self.ptr(from);
        let epilogues = self.batch_epilogue(to, epilogue);
        let argmax = self.mask_ptr(argmax);
        let words = to.pixels() * to.blocks() * phases[0].taps.len();
        self.parallel(bands.len(), |_, task| {
            let band = bands[task];
            MaxPool {
                phase: &phases[band.phase],
                rows: band.rows,
                source: source.image(from, band.image),
                blocks: from.blocks(),
                epilogue: epilogues.for_image(band.image),
                argmax: argmax.wrapping_add(band.image * words),
            }
        });
    }

    pub(super) fn max_pool_backward(
        &mut self,
        phases: &[Phase],
        bands: &[RowBand],
        [from, to]: [&BufferView; 2],
        epilogue: &EpilogueSpec,
        argmax: usize,
        taps: usize,
    ) {
        let source = self.ptr(from);
        let epilogues = self.batch_epilogue(to, epilogue);
        let argmax = self.mask_ptr(argmax);
        let words = from.pixels() * from.blocks() * taps;
        self.parallel(bands.len(), |_, task| {
            let band = bands[task];
            MaxPoolBackward {
                phase: &phases[band.phase],
                rows: band.rows,
                source: source.image(from, band.image),
                blocks: from.blocks(),
                epilogue: epilogues.for_image(band.image),
                target_width: epilogues.width,
                taps,
                argmax: argmax.wrapping_add(band.image * words).cast_const(),
            }
        });
    }

    pub(super) fn global_avg_pool(&mut self, from: &BufferView, to: &BufferView, epilogue: &EpilogueSpec) {
        let source = self.ptr(from);
        let epilogues = self.batch_epilogue(to, epilogue);
        let parts = from.blocks().div_ceil(4);
        self.parallel(from.batch * parts, |_, task| {
            let (image, part) = (task / parts, task % parts);
            let blocks = [4 * part, (4 * part + 4).min(from.blocks())];
            GlobalAvgPool { source: source.image(from, image), blocks, epilogue: epilogues.for_image(image) }
        });
    }

    pub(super) fn global_avg_pool_backward(&mut self, from: &BufferView, to: &BufferView, epilogue: &EpilogueSpec) {
        let source = self.ptr(from);
        let epilogues = self.batch_epilogue(to, epilogue);
        let count = to.pixels();
        for image in 0..from.batch {
            self.parallel_chunks(count, |pixels| GlobalAvgPoolBackward {
                gradient: source.image(from, image).at,
                count,
                pixels,
                blocks: from.blocks(),
                epilogue: epilogues.for_image(image),
            });
        }
    }
}
