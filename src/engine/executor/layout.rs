//! Layout conversion between NCHW, the layout of tensors outside, and NHWC, the layout of the engine's buffers.

use super::{CHUNK, Executor, SharedPtr};
use crate::engine::codegen::BufferView;
use crate::engine::kernel::transpose::{transpose, transpose_to};
use crate::parallel::thread_pool;

impl Executor {
    pub(super) fn load_input(&mut self, to: &BufferView, scale: &[f32], shift: &[f32]) {
        let input = std::mem::take(&mut self.input);
        self.nchw_to_nhwc(&input, to, Some((scale, shift)));
        self.input = input;
    }

    pub(super) fn load_cotangent(&mut self, to: &BufferView, first: usize) {
        let cotangent = std::mem::take(&mut self.cotangent);
        self.nchw_to_nhwc(&cotangent[first..][..to.batch * to.channels * to.pixels()], to, None);
        self.cotangent = cotangent;
    }

    pub(super) fn store_output(&mut self, from: &BufferView, first: usize) {
        let mut values = std::mem::take(&mut self.values);
        self.nhwc_to_nchw(from, &mut values[first..][..from.batch * from.channels * from.pixels()], None);
        self.values = values;
    }

    pub(super) fn add_to_gradient(&mut self, from: &BufferView, scale: &[f32]) {
        let mut gradient = std::mem::take(&mut self.gradient);
        self.nhwc_to_nchw(from, &mut gradient, Some(scale));
        self.gradient = gradient;
    }

    /// Converts NCHW to NHWC, applying a per-channel affine; padding channels become 0.
    pub(super) fn nchw_to_nhwc(&mut self, planes: &[f32], to: &BufferView, affine: Option<(&[f32], &[f32])>) {
        let target = self.ptr(to);
        let (count, channels, stride) = (to.pixels(), to.channels, to.stride);
        let affine = affine.filter(|(scale, _)| !scale.is_empty());
        let parts = count.div_ceil(CHUNK);
        thread_pool().run(self.threads, to.batch * parts, &|_, task| {
            let (image, part) = (task / parts, task % parts);
            let planes = &planes[image * channels * count..][..channels * count];
            let (first, end) = (part * CHUNK, (part * CHUNK + CHUNK).min(count));
            // SAFETY: the target holds `batch * count` pixels of `stride` values, and tasks take disjoint pixels of it.
            let pixels = unsafe {
                std::slice::from_raw_parts_mut(
                    target.wrapping_add((image * count + first) * stride),
                    (end - first) * stride,
                )
            };
            if let Some((scale, shift)) = affine {
                for (c, plane) in planes.chunks_exact(count).enumerate() {
                    let values = pixels[c..].iter_mut().step_by(stride).zip(&plane[first..end]);
                    values.for_each(|(value, &x)| *value = x * scale[c] + shift[c]);
                }
            } else {
                transpose(&planes[first..], count, [channels, end - first], pixels, stride);
            }
            for c in channels..stride {
                pixels[c..].iter_mut().step_by(stride).for_each(|value| *value = 0.0);
            }
        });
    }

    /// Converts NHWC to NCHW. With `scale`, multiplies each channel (an empty slice means by 1) and adds to the planes.
    pub(super) fn nhwc_to_nchw(&mut self, from: &BufferView, planes: &mut [f32], scale: Option<&[f32]>) {
        let source = self.ptr(from);
        let (count, channels, stride) = (from.pixels(), from.channels, from.stride);
        let target = SharedPtr(planes.as_mut_ptr());
        assert_eq!(planes.len(), from.batch * channels * count, "the values of all planes");
        let parts = count.div_ceil(CHUNK);
        thread_pool().run(self.threads, from.batch * parts, &|_, task| {
            let (image, part) = (task / parts, task % parts);
            let (first, end) = (part * CHUNK, (part * CHUNK + CHUNK).min(count));
            // SAFETY: the source holds `batch * count` pixels of `stride` values.
            let pixels = unsafe {
                let pixels = source.wrapping_add((image * count + first) * stride).cast_const();
                std::slice::from_raw_parts(pixels, (end - first) * stride)
            };
            let plane = |c: usize| target.wrapping_add((image * channels + c) * count + first);
            let Some(scale) = scale else {
                // SAFETY: `planes` holds `batch * channels * count` values; tasks take disjoint ranges of every plane.
                return unsafe { transpose_to(pixels, stride, [end - first, channels], plane(0), count) };
            };
            for c in 0..channels {
                // SAFETY: as above.
                let plane = unsafe { std::slice::from_raw_parts_mut(plane(c), end - first) };
                let pairs = plane.iter_mut().zip(pixels[c..].iter().step_by(stride));
                match scale {
                    [] => pairs.for_each(|(y, &x)| *y += x),
                    scale => pairs.for_each(|(y, &x)| *y += x * scale[c]),
                }
            }
        });
    }
}
