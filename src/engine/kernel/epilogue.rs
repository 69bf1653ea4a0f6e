//! The epilogue of a kernel: bias, addend, ReLU and mask, fused into the store.

use crate::engine::simd::{LANES, Simd};

/// The epilogue of a kernel's results: bias, addend, ReLU and mask, and the target. A null pointer omits a part.
///
/// All pointers point to the first pixel and the first block of 16 channels.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Epilogue {
    pub target: *mut f32,
    /// Values from pixel to pixel.
    pub stride: usize,
    pub bias: *const f32,
    /// Has the layout of `target`.
    pub addend: *const f32,
    /// The ReLU's maximum. If set, `relu_mask` is not null.
    pub relu: Option<f32>,
    /// Receives the ReLU's gradient: one bit for each channel.
    pub relu_mask: *mut u16,
    /// A ReLU mask that the results are multiplied with, in the backward pass.
    pub gate: *const u16,
    /// Mask words from pixel to pixel.
    pub mask_stride: usize,
}

impl Epilogue {
    /// A plain store; the user sets the target.
    pub const STORE: Self = Self {
        target: std::ptr::null_mut(),
        stride: 0,
        bias: std::ptr::null(),
        addend: std::ptr::null(),
        relu: None,
        relu_mask: std::ptr::null_mut(),
        gate: std::ptr::null(),
        mask_stride: 0,
    };

    /// The epilogue of another pixel and block, counted from this one.
    #[inline(always)]
    pub fn at(&self, pixel: usize, block: usize) -> Self {
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

    /// Writes 16 channels of one pixel.
    ///
    /// # Safety
    /// The non-null pointers are valid for this pixel and block, and the processor has the instruction set.
    #[inline(always)]
    pub unsafe fn write<S: Simd>(&self, pixel: usize, block: usize, sum: S::V) {
        // SAFETY: the caller's contract.
        unsafe { self.at(pixel, block).write_tile::<S, 1, 1>([[sum]]) }
    }

    /// Writes `R` pixels of `B` blocks. Each part is applied to the whole tile, so that an omitted part costs one branch.
    ///
    /// # Safety
    /// The non-null pointers are valid for these pixels and blocks, and the processor has the instruction set.
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
        // SAFETY: the caller's contract; `relu_mask` is not null where `relu` is set.
        unsafe {
            if !self.bias.is_null() {
                each!(|sum, _r, b| *sum = S::add(*sum, S::load(self.bias.add(b * LANES))));
            }
            if !self.addend.is_null() {
                each!(|sum, r, b| *sum = S::add(*sum, S::load(self.addend.add(r * self.stride + b * LANES))));
            }
            if let Some(max) = self.relu {
                let (low, high) = (S::splat(0.0), S::splat(max));
                each!(|sum, r, b| {
                    *self.relu_mask.add(r * self.mask_stride + b) = S::greater(*sum, low) & S::greater(high, *sum);
                    // With the operands in this order NaN stays NaN.
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
