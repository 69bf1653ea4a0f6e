//! Elementwise instructions and channel copies.

use super::{Executor, SharedPtr};
use crate::engine::aligned::AlignedBuffer;
use crate::engine::codegen::{BufferView, EpilogueSpec};
use crate::engine::kernel::elementwise::Elementwise;
use crate::engine::simd::LANES;

impl Executor {
    pub(super) fn elementwise(
        &mut self,
        from: &BufferView,
        to: &BufferView,
        scale: Option<&AlignedBuffer>,
        epilogue: &EpilogueSpec,
    ) {
        let source = self.ptr(from);
        let to = to.flattened();
        let epilogues = self.batch_epilogue(&to, epilogue);
        let scale = SharedPtr(scale.map_or(std::ptr::null_mut(), |scale| scale.as_ptr().cast_mut()));
        self.parallel_chunks(to.pixels(), |pixels| Elementwise {
            source: source.image(from, 0).at,
            stride: from.stride,
            scale: scale.get().cast_const(),
            pixels,
            blocks: from.blocks(),
            epilogue: epilogues.for_image(0),
        });
    }

    /// Copies `count` channels from `from[first[0]..]` to `to[first[1]..]` and zeroes the rest of the target's last block.
    pub(super) fn copy_channels(&mut self, from: &BufferView, to: &BufferView, first: [usize; 2], count: usize) {
        let (source, target) = (self.ptr(from).0, self.ptr(to).0);
        let rest = (first[1] + count).next_multiple_of(LANES).min(to.stride) - first[1] - count;
        for pixel in 0..from.batch * from.pixels() {
            // SAFETY: both tensors have these channels at each of these pixels, and their buffers differ.
            unsafe {
                let target = target.add(pixel * to.stride + first[1]);
                target.copy_from_nonoverlapping(source.add(pixel * from.stride + first[0]), count);
                target.add(count).write_bytes(0, rest);
            }
        }
    }
}
