//! Four registers of four.

use std::arch::aarch64::*;

use super::{Job, Simd};

#[derive(Clone, Copy)]
pub(super) struct Neon;

#[inline(never)]
pub(super) unsafe fn run<J: Job>(job: J) {
    // SAFETY: the caller's promise.
    unsafe { job.run::<Neon>() }
}

const BITS: [u32; 4] = [1, 2, 4, 8];

/// All bits of lane `i` where bit `i` of the mask, shifted by four for each register, is set.
#[inline(always)]
unsafe fn expand_mask(mask: u16, register: usize) -> uint32x4_t {
    unsafe { vtstq_u32(vdupq_n_u32(u32::from(mask) >> (4 * register)), vld1q_u32(BITS.as_ptr())) }
}

#[inline(always)]
unsafe fn to_mask(lanes: [uint32x4_t; 4]) -> u16 {
    let mut mask = 0;
    for (register, lanes) in lanes.into_iter().enumerate() {
        let four = unsafe { vaddvq_u32(vandq_u32(lanes, vld1q_u32(BITS.as_ptr()))) };
        mask |= (four as u16) << (4 * register);
    }
    mask
}

#[inline(always)]
fn each<T>(f: impl FnMut(usize) -> T) -> [T; 4] {
    std::array::from_fn(f)
}

// SAFETY: every 64-bit ARM has these instructions.
impl Simd for Neon {
    type V = [float32x4_t; 4];
    // 24 sums of the 32 registers.
    const ROWS: usize = 6;
    const BLOCKS: usize = 1;

    #[inline(always)]
    unsafe fn run_outlined<J: Job>(job: J) {
        unsafe { run(job) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        unsafe { [vdupq_n_f32(x); 4] }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        each(|i| unsafe { vld1q_f32(from.add(4 * i)) })
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        for (i, v) in v.into_iter().enumerate() {
            unsafe { vst1q_f32(to.add(4 * i), v) };
        }
    }

    #[inline(always)]
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        each(|i| unsafe { vfmaq_f32(c[i], a[i], b[i]) })
    }

    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        each(|i| unsafe { vaddq_f32(a[i], b[i]) })
    }

    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        each(|i| unsafe { vmulq_f32(a[i], b[i]) })
    }

    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        // By comparison, for NEON's own maximum has another rule for NaN.
        each(|i| unsafe { vbslq_f32(vcgtq_f32(a[i], b[i]), a[i], b[i]) })
    }

    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        each(|i| unsafe { vbslq_f32(vcltq_f32(a[i], b[i]), a[i], b[i]) })
    }

    #[inline(always)]
    unsafe fn greater(a: Self::V, b: Self::V) -> u16 {
        unsafe { to_mask(each(|i| vcgtq_f32(a[i], b[i]))) }
    }

    #[inline(always)]
    unsafe fn masked(mask: u16, v: Self::V) -> Self::V {
        each(|i| unsafe { vreinterpretq_f32_u32(vandq_u32(expand_mask(mask, i), vreinterpretq_u32_f32(v[i]))) })
    }

    #[inline(always)]
    unsafe fn select(mask: u16, a: Self::V, b: Self::V) -> Self::V {
        each(|i| unsafe { vbslq_f32(expand_mask(mask, i), a[i], b[i]) })
    }

    #[inline(always)]
    unsafe fn is_nan(v: Self::V) -> u16 {
        unsafe { !to_mask(each(|i| vceqq_f32(v[i], v[i]))) }
    }
}
