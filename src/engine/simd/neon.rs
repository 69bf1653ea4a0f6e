//! NEON: a vector is four registers of 4 lanes. Every 64-bit ARM processor has it.

use std::arch::aarch64::*;

use super::{Job, Simd};

#[derive(Clone, Copy)]
pub(super) struct Neon;

/// Runs a job with this instruction set.
///
/// # Safety
/// As [`Job::run`].
#[inline(never)]
pub(super) unsafe fn run<J: Job>(job: J) {
    // SAFETY: the caller's contract.
    unsafe { job.run::<Neon>() }
}

const BITS: [u32; 4] = [1, 2, 4, 8];

/// All bits of lane `i` set where bit `4 * register + i` of the mask is set.
///
/// # Safety
/// The processor has NEON.
#[inline(always)]
unsafe fn expand_mask(mask: u16, register: usize) -> uint32x4_t {
    // SAFETY: `BITS` holds the four values that are loaded.
    unsafe { vtstq_u32(vdupq_n_u32(u32::from(mask) >> (4 * register)), vld1q_u32(BITS.as_ptr())) }
}

/// The lanes of four registers as a mask.
///
/// # Safety
/// The processor has NEON, and each lane is all ones or all zeros.
#[inline(always)]
unsafe fn to_mask(lanes: [uint32x4_t; 4]) -> u16 {
    let mut mask = 0;
    for (register, lanes) in lanes.into_iter().enumerate() {
        // SAFETY: `BITS` holds the four values that are loaded.
        let four = unsafe { vaddvq_u32(vandq_u32(lanes, vld1q_u32(BITS.as_ptr()))) };
        mask |= (four as u16) << (4 * register);
    }
    mask
}

#[inline(always)]
fn per_register<T>(f: impl FnMut(usize) -> T) -> [T; 4] {
    std::array::from_fn(f)
}

impl Simd for Neon {
    type V = [float32x4_t; 4];
    // 24 of the 32 registers hold sums.
    const ROWS: usize = 6;
    const BLOCKS: usize = 1;

    #[inline(always)]
    unsafe fn run_outlined<J: Job>(job: J) {
        // SAFETY: the caller's contract.
        unsafe { run(job) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { [vdupq_n_f32(x); 4] }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        // SAFETY: the caller vouches for the instruction set, and for 16 values at the pointer.
        per_register(|i| unsafe { vld1q_f32(from.add(4 * i)) })
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        for (i, v) in v.into_iter().enumerate() {
            // SAFETY: the caller vouches for the instruction set, and for 16 values at the pointer.
            unsafe { vst1q_f32(to.add(4 * i), v) };
        }
    }

    #[inline(always)]
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: the caller vouches for the instruction set.
        per_register(|i| unsafe { vfmaq_f32(c[i], a[i], b[i]) })
    }

    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller vouches for the instruction set.
        per_register(|i| unsafe { vaddq_f32(a[i], b[i]) })
    }

    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller vouches for the instruction set.
        per_register(|i| unsafe { vmulq_f32(a[i], b[i]) })
    }

    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        // By comparison, because NEON's own maximum propagates NaN.
        // SAFETY: the caller vouches for the instruction set.
        per_register(|i| unsafe { vbslq_f32(vcgtq_f32(a[i], b[i]), a[i], b[i]) })
    }

    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller vouches for the instruction set.
        per_register(|i| unsafe { vbslq_f32(vcltq_f32(a[i], b[i]), a[i], b[i]) })
    }

    #[inline(always)]
    unsafe fn greater(a: Self::V, b: Self::V) -> u16 {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { to_mask(per_register(|i| vcgtq_f32(a[i], b[i]))) }
    }

    #[inline(always)]
    unsafe fn masked(mask: u16, v: Self::V) -> Self::V {
        // SAFETY: the caller vouches for the instruction set.
        per_register(|i| unsafe { vreinterpretq_f32_u32(vandq_u32(expand_mask(mask, i), vreinterpretq_u32_f32(v[i]))) })
    }

    #[inline(always)]
    unsafe fn select(mask: u16, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller vouches for the instruction set.
        per_register(|i| unsafe { vbslq_f32(expand_mask(mask, i), a[i], b[i]) })
    }

    #[inline(always)]
    unsafe fn is_nan(v: Self::V) -> u16 {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { !to_mask(per_register(|i| vceqq_f32(v[i], v[i]))) }
    }
}
