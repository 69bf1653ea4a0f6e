//! Between planes, as tensors have them outside, and channels side by side.

use super::{CHUNK, Shared, Workspace};
use crate::engine::codegen::BufferView;
use crate::engine::thread_pool::thread_pool;

impl Workspace {
    /// Planes to channels side by side, scaled and shifted; the padding of channels becomes 0.
    pub(super) fn gather(&mut self, planes: &[f32], to: &BufferView, affine: Option<(&[f32], &[f32])>) {
        let target = self.at(to);
        let (count, channels, step) = (to.pixels(), to.channels, to.stride);
        let affine = affine.filter(|(scale, _)| !scale.is_empty());
        let parts = count.div_ceil(CHUNK);
        thread_pool().run(self.threads, to.batch * parts, &|_, task| {
            let (image, part) = (task / parts, task % parts);
            let planes = &planes[image * channels * count..][..channels * count];
            let Shared(target) = { target };
            let (first, end) = (part * CHUNK, (part * CHUNK + CHUNK).min(count));
            // SAFETY: each task has pixels of its own in the target.
            let pixels = unsafe {
                std::slice::from_raw_parts_mut(target.add((image * count + first) * step), (end - first) * step)
            };
            for (c, plane) in planes.chunks_exact(count).enumerate() {
                let (scale, shift) = affine.map_or((1.0, 0.0), |(scale, shift)| (scale[c], shift[c]));
                let values = pixels[c..].iter_mut().step_by(step).zip(&plane[first..end]);
                values.for_each(|(value, &x)| *value = x * scale + shift);
            }
            for c in channels..step {
                pixels[c..].iter_mut().step_by(step).for_each(|value| *value = 0.0);
            }
        });
    }

    /// Channels side by side to planes; with `scale`, scaled and added to what the planes hold.
    pub(super) fn scatter(&mut self, from: &BufferView, planes: &mut [f32], scale: Option<&[f32]>) {
        let source = self.at(from);
        let (count, channels, step) = (from.pixels(), from.channels, from.stride);
        let target = Shared(planes.as_mut_ptr());
        debug_assert_eq!(planes.len(), from.batch * channels * count);
        let parts = count.div_ceil(CHUNK);
        thread_pool().run(self.threads, from.batch * parts, &|_, task| {
            let (image, part) = (task / parts, task % parts);
            let (Shared(source), Shared(target)) = ({ source }, { target });
            let (first, end) = (part * CHUNK, (part * CHUNK + CHUNK).min(count));
            for c in 0..channels {
                // SAFETY: each task has columns of its own in every plane.
                let (plane, pixels) = unsafe {
                    let plane = target.add((image * channels + c) * count + first);
                    let pixels = source.add((image * count + first) * step).cast_const();
                    (
                        std::slice::from_raw_parts_mut(plane, end - first),
                        std::slice::from_raw_parts(pixels, (end - first) * step),
                    )
                };
                let pairs = plane.iter_mut().zip(pixels[c..].iter().step_by(step));
                match scale {
                    None => pairs.for_each(|(y, &x)| *y = x),
                    Some([]) => pairs.for_each(|(y, &x)| *y += x),
                    Some(scale) => pairs.for_each(|(y, &x)| *y += x * scale[c]),
                }
            }
        });
    }
}
