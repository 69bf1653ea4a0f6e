//! Convolution instructions: GEMM, col2im, Winograd and depthwise.

use super::{BatchEpilogue, Executor, SharedPtr};
use crate::engine::codegen::{BufferView, EpilogueSpec, RowBand};
use crate::engine::kernel::col2im::Col2im;
use crate::engine::kernel::depthwise::{Depthwise, DepthwiseJob};
use crate::engine::kernel::gemm::{Gemm, GemmJob, GemmTask};
use crate::engine::kernel::winograd::{AllStages, Chunk, InputTransform, Multiply, OutputTransform, Tiles, Winograd};
use crate::ops::Window;

impl Executor {
    pub(super) fn gemm(
        &mut self,
        gemm: &Gemm,
        tasks: &[GemmTask],
        [from, to]: [&BufferView; 2],
        epilogue: &EpilogueSpec,
    ) {
        let source = self.ptr(from);
        let epilogues = self.batch_epilogue(to, epilogue);
        let scratch = self.scratch_ptrs();
        self.parallel(tasks.len(), |thread, index| {
            let task = tasks[index];
            GemmJob {
                gemm,
                task,
                source: source.image(from, task.image),
                epilogue: epilogues.for_image(task.image),
                target_width: epilogues.width,
                scratch: scratch[thread].get(),
            }
        });
    }

    pub(super) fn col2im(&mut self, window: &Window, from: &BufferView, channels: usize, size: [usize; 2]) {
        let source = self.ptr(from);
        let gradient = SharedPtr(self.gradient.as_mut_ptr());
        let parts = size[0].min(16);
        let [columns, image] = [from.pixels() * from.stride, channels * size[0] * size[1]];
        assert_eq!(self.gradient.len(), from.batch * image, "the gradient of all images");
        self.parallel(from.batch * parts, |_, task| {
            let (index, part) = (task / parts, task % parts);
            Col2im {
                window,
                channels,
                size,
                windows: from.size,
                rows: [part * size[0] / parts, (part + 1) * size[0] / parts],
                source: source.wrapping_add(index * columns).cast_const(),
                stride: from.stride,
                target: gradient.wrapping_add(index * image),
            }
        });
    }

    /// Winograd convolution in which each thread takes its chunks of tiles through all three stages.
    pub(super) fn winograd_per_thread(
        &mut self,
        conv: &Winograd,
        chunk: usize,
        [from, to]: [&BufferView; 2],
        epilogue: &EpilogueSpec,
    ) {
        let chunks = self.winograd_chunks(conv, chunk, [from, to], epilogue);
        let [inputs, _] = conv.scratch(chunk);
        let scratch = self.scratch_ptrs();
        self.parallel(chunks.count, |thread, task| {
            let first = scratch[thread];
            let second = SharedPtr(first.wrapping_add(inputs));
            AllStages(chunks.chunk(task, [first, second]))
        });
    }

    /// Winograd convolution in which all threads share each chunk of tiles, stage by stage.
    pub(super) fn winograd_shared(
        &mut self,
        conv: &Winograd,
        chunk: usize,
        [from, to]: [&BufferView; 2],
        epilogue: &EpilogueSpec,
        scratch: [usize; 2],
    ) {
        let chunks = self.winograd_chunks(conv, chunk, [from, to], epilogue);
        let scratch = scratch.map(|buffer| SharedPtr(self.buffers[buffer].as_mut_ptr()));
        let (points, parts) = (conv.scheme.points(), conv.blocks.div_ceil(8));
        for task in 0..chunks.count {
            let chunk = || chunks.chunk(task, scratch);
            let count = chunk().count;
            let tiles = |i: usize| [i * count / count.min(16), (i + 1) * count / count.min(16)];
            self.parallel(count.min(16), |_, i| InputTransform(chunk(), tiles(i)));
            self.parallel(points * parts, |_, i| {
                let blocks = [i % parts * conv.blocks / parts, (i % parts + 1) * conv.blocks / parts];
                Multiply(chunk(), i / parts, blocks)
            });
            self.parallel(count.min(16), |_, i| OutputTransform(chunk(), tiles(i)));
        }
    }

    fn winograd_chunks<'a>(
        &mut self,
        conv: &'a Winograd,
        chunk: usize,
        [from, to]: [&'a BufferView; 2],
        epilogue: &EpilogueSpec,
    ) -> WinogradChunks<'a> {
        let source = self.ptr(from);
        let epilogues = self.batch_epilogue(to, epilogue);
        let tiles = Tiles::new(conv.scheme, from.batch, to.size);
        WinogradChunks { conv, tiles, count: tiles.count.div_ceil(chunk), source, views: [from, to], epilogues }
    }

    pub(super) fn depthwise(
        &mut self,
        conv: &Depthwise,
        bands: &[RowBand],
        [from, to]: [&BufferView; 2],
        epilogue: &EpilogueSpec,
    ) {
        let source = self.ptr(from);
        let epilogues = self.batch_epilogue(to, epilogue);
        self.parallel(bands.len(), |_, task| {
            let band = bands[task];
            DepthwiseJob {
                conv,
                phase: band.phase,
                rows: band.rows,
                source: source.image(from, band.image),
                epilogue: epilogues.for_image(band.image),
                target_width: epilogues.width,
            }
        });
    }
}

/// The tiles of a Winograd convolution, split into `count` nearly equal chunks.
struct WinogradChunks<'a> {
    conv: &'a Winograd,
    tiles: Tiles,
    count: usize,
    source: SharedPtr<f32>,
    /// Views of the source and of the target.
    views: [&'a BufferView; 2],
    epilogues: BatchEpilogue,
}

impl<'a> WinogradChunks<'a> {
    fn chunk(&self, index: usize, scratch: [SharedPtr<f32>; 2]) -> Chunk<'a> {
        let [from, to] = self.views;
        let (first, end) = (index * self.tiles.count / self.count, (index + 1) * self.tiles.count / self.count);
        Chunk {
            conv: self.conv,
            tiles: self.tiles,
            first,
            count: end - first,
            source: self.source.image(from, 0),
            scratch: scratch.map(SharedPtr::get),
            epilogue: self.epilogues.for_image(0),
            target: to.size,
        }
    }
}
