//! What happens to a sum on its way to memory.

use crate::engine::simd::{LANES, Simd};

/// Bias, addend, rectifier and gate of a kernel's results, and where they go. Null pointers leave a part out.
///
/// All pointers are those of the first pixel and the first block of sixteen channels.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Epilogue {
    pub target: *mut f32,
    /// Numbers from pixel to pixel.
    pub stride: usize,
    pub bias: *const f32,
    /// Laid out as `target`.
    pub addend: *const f32,
    /// The rectifier's ceiling; then `passes` is not null.
    pub relu: Option<f32>,
    /// Where the rectifier's gradient passes, is written here: a bit for each channel.
    pub relu_mask: *mut u16,
    /// Where the gradient passes a rectifier, is read here.
    pub gate: *const u16,
    /// Masks from pixel to pixel.
    pub mask_stride: usize,
}

impl Epilogue {
    /// Nothing but a store; still without a target.
    pub const PLAIN: Self = Self {
        target: std::ptr::null_mut(),
        stride: 0,
        bias: std::ptr::null(),
        addend: std::ptr::null(),
        relu: None,
        relu_mask: std::ptr::null_mut(),
        gate: std::ptr::null(),
        mask_stride: 0,
    };

    /// The same for a pixel and a block further on.
    #[inline(always)]
    pub unsafe fn at(&self, pixel: usize, block: usize) -> Self {
        let offset = pixel * self.stride + block * LANES;
        let masks = pixel * self.mask_stride + block;
        Self {
            target: self.target.wrapping_add(offset),
            bias: if self.bias.is_null() { self.bias } else { self.bias.wrapping_add(block * LANES) },
            addend: if self.addend.is_null() { self.addend } else { self.addend.wrapping_add(offset) },
            relu_mask: if self.relu_mask.is_null() { self.relu_mask } else { self.relu_mask.wrapping_add(masks) },
            gate: if self.gate.is_null() { self.gate } else { self.gate.wrapping_add(masks) },
            ..*self
        }
    }

    /// Finishes sixteen channels of one pixel.
    ///
    /// # Safety
    /// The pointers hold for this pixel and block.
    #[inline(always)]
    pub unsafe fn write<S: Simd>(&self, pixel: usize, block: usize, sum: S::V) {
        unsafe { self.at(pixel, block).write_tile::<S, 1, 1>([[sum]]) }
    }

    /// Finishes `R` pixels of `B` blocks. A part at a time for all of them, so that what is left out costs one question.
    ///
    /// # Safety
    /// The pointers hold for these pixels and blocks.
    #[inline(always)]
    pub unsafe fn write_tile<S: Simd, const R: usize, const B: usize>(&self, mut sums: [[S::V; B]; R]) {
        macro_rules! each {
            (|$sum:ident, $r:ident, $b:ident| $do:expr) => {
                for ($r, row) in sums.iter_mut().enumerate() {
                    for ($b, $sum) in row.iter_mut().enumerate() {
                        $do;
                    }
                }
            };
        }
        unsafe {
            if !self.bias.is_null() {
                each!(|sum, _r, b| *sum = S::add(*sum, S::load(self.bias.add(b * LANES))));
            }
            if !self.addend.is_null() {
                each!(|sum, r, b| *sum = S::add(*sum, S::load(self.addend.add(r * self.stride + b * LANES))));
            }
            if let Some(ceiling) = self.relu {
                let (low, high) = (S::splat(0.0), S::splat(ceiling));
                each!(|sum, r, b| {
                    *self.relu_mask.add(r * self.mask_stride + b) = S::greater(*sum, low) & S::greater(high, *sum);
                    // In this order NaN stays NaN.
                    *sum = S::min(high, S::max(low, *sum));
                });
            }
            if !self.gate.is_null() {
                each!(|sum, r, b| *sum = S::masked(*self.gate.add(r * self.mask_stride + b), *sum));
            }
            each!(|sum, r, b| S::store(self.target.add(r * self.stride + b * LANES), *sum));
        }
    }
}
