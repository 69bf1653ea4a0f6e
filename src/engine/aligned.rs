//! Buffers aligned to cache lines.

/// Float32 values aligned to a 64-byte cache line; the length is a multiple of 16.
#[derive(Clone, Default)]
pub(super) struct AlignedBuffer(Vec<Line>);

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

impl AlignedBuffer {
    /// Creates a buffer of at least `count` zeros.
    pub fn zeros(count: usize) -> Self {
        Self(vec![Line([0.0; 16]); count.div_ceil(16)])
    }

    pub fn as_ptr(&self) -> *const f32 {
        self.0.as_ptr().cast()
    }

    pub fn as_mut_ptr(&mut self) -> *mut f32 {
        self.0.as_mut_ptr().cast()
    }

    pub fn len(&self) -> usize {
        16 * self.0.len()
    }

    pub fn values_mut(&mut self) -> &mut [f32] {
        // SAFETY: each `Line` is 16 initialized `f32` without padding, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr(), self.len()) }
    }
}
