//! AVX-512: a vector is one register, and masks are native.

use std::arch::x86_64::*;

use super::{Job, Simd};

#[derive(Clone, Copy)]
pub(super) struct Avx512;

/// Runs a job with this instruction set.
///
/// # Safety
/// As [`Job::run`].
#[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
#[inline(never)]
pub(super) unsafe fn run<J: Job>(job: J) {
    // SAFETY: the caller's contract.
    unsafe { job.run::<Avx512>() }
}

impl Simd for Avx512 {
    type V = __m512;
    // 28 of the 32 registers hold sums.
    const ROWS: usize = 14;
    const BLOCKS: usize = 2;

    #[inline(always)]
    unsafe fn run_outlined<J: Job>(job: J) {
        // SAFETY: the caller's contract.
        unsafe { run(job) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        // SAFETY: the caller vouches for the instruction set, and for 16 values at the pointer.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        // SAFETY: the caller vouches for the instruction set, and for 16 values at the pointer.
        unsafe { _mm512_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn greater(a: Self::V, b: Self::V) -> u16 {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b) }
    }

    #[inline(always)]
    unsafe fn masked(mask: u16, v: Self::V) -> Self::V {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { _mm512_maskz_mov_ps(mask, v) }
    }

    #[inline(always)]
    unsafe fn select(mask: u16, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { _mm512_mask_blend_ps(mask, b, a) }
    }

    #[inline(always)]
    unsafe fn is_nan(v: Self::V) -> u16 {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(v, v) }
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        // SAFETY: the caller's contract.
        unsafe { super::avx2::transpose(from, from_stride, to, to_stride) }
    }
}
