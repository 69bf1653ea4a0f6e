//! AVX2: a vector is two registers of 8 lanes.

use std::arch::x86_64::*;

use super::{Job, Simd};

#[derive(Clone, Copy)]
pub(super) struct Avx2;

/// Runs a job with this instruction set.
///
/// # Safety
/// As [`Job::run`].
#[target_feature(enable = "avx2,fma")]
#[inline(never)]
pub(super) unsafe fn run<J: Job>(job: J) {
    // SAFETY: the caller's contract.
    unsafe { job.run::<Avx2>() }
}

/// All bits of lane `i` set where bit `i` of the byte is set.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn expand_mask(byte: u8) -> __m256 {
    // SAFETY: the caller vouches for the instruction set.
    unsafe {
        let bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        let hit = _mm256_and_si256(_mm256_set1_epi32(i32::from(byte)), bits);
        _mm256_castsi256_ps(_mm256_cmpeq_epi32(hit, bits))
    }
}

/// The sign bits of two registers as a mask.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn to_mask(low: __m256, high: __m256) -> u16 {
    // SAFETY: the caller vouches for the instruction set.
    unsafe { _mm256_movemask_ps(low) as u16 | (_mm256_movemask_ps(high) as u16) << 8 }
}

/// As [`Simd::transpose`].
///
/// # Safety
/// The processor has AVX2, and as there.
#[inline(always)]
pub(super) unsafe fn transpose(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    // SAFETY: the caller's contract.
    unsafe {
        let rows: [__m256; 8] = std::array::from_fn(|i| _mm256_loadu_ps(from.add(i * from_stride)));
        // Pairs of rows, then groups of four, within each half of a register; then the halves.
        let pairs: [__m256; 8] = std::array::from_fn(|i| {
            let (a, b) = (rows[i / 2 * 2], rows[i / 2 * 2 + 1]);
            if i % 2 == 0 { _mm256_unpacklo_ps(a, b) } else { _mm256_unpackhi_ps(a, b) }
        });
        let fours: [__m256; 8] = std::array::from_fn(|i| {
            let (a, b) = (pairs[i / 4 * 4 + i % 4 / 2], pairs[i / 4 * 4 + i % 4 / 2 + 2]);
            if i % 2 == 0 { _mm256_shuffle_ps::<0x44>(a, b) } else { _mm256_shuffle_ps::<0xEE>(a, b) }
        });
        for i in 0..4 {
            let (a, b) = (fours[i], fours[i + 4]);
            _mm256_storeu_ps(to.add(i * to_stride), _mm256_permute2f128_ps::<0x20>(a, b));
            _mm256_storeu_ps(to.add((i + 4) * to_stride), _mm256_permute2f128_ps::<0x31>(a, b));
        }
    }
}

macro_rules! lanewise {
    ($name:ident, $intrinsic:ident, $($argument:ident),+) => {
        #[inline(always)]
        unsafe fn $name($($argument: Self::V),+) -> Self::V {
            // SAFETY: the caller vouches for the instruction set.
            unsafe { [$intrinsic($($argument[0]),+), $intrinsic($($argument[1]),+)] }
        }
    };
}

impl Simd for Avx2 {
    type V = [__m256; 2];
    // 12 of the 16 registers hold sums.
    const ROWS: usize = 6;
    const BLOCKS: usize = 1;

    #[inline(always)]
    unsafe fn run_outlined<J: Job>(job: J) {
        // SAFETY: the caller's contract.
        unsafe { run(job) }
    }

    lanewise!(mul_add, _mm256_fmadd_ps, a, b, c);
    lanewise!(add, _mm256_add_ps, a, b);
    lanewise!(mul, _mm256_mul_ps, a, b);
    lanewise!(max, _mm256_max_ps, a, b);
    lanewise!(min, _mm256_min_ps, a, b);

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { [_mm256_set1_ps(x); 2] }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        // SAFETY: the caller vouches for the instruction set, and for 16 values at the pointer.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        // SAFETY: the caller vouches for the instruction set, and for 16 values at the pointer.
        unsafe {
            _mm256_storeu_ps(to, v[0]);
            _mm256_storeu_ps(to.add(8), v[1]);
        }
    }

    #[inline(always)]
    unsafe fn greater(a: Self::V, b: Self::V) -> u16 {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { to_mask(_mm256_cmp_ps::<_CMP_GT_OQ>(a[0], b[0]), _mm256_cmp_ps::<_CMP_GT_OQ>(a[1], b[1])) }
    }

    #[inline(always)]
    unsafe fn masked(mask: u16, v: Self::V) -> Self::V {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { [_mm256_and_ps(expand_mask(mask as u8), v[0]), _mm256_and_ps(expand_mask((mask >> 8) as u8), v[1])] }
    }

    #[inline(always)]
    unsafe fn select(mask: u16, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller vouches for the instruction set.
        unsafe {
            [
                _mm256_blendv_ps(b[0], a[0], expand_mask(mask as u8)),
                _mm256_blendv_ps(b[1], a[1], expand_mask((mask >> 8) as u8)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn is_nan(v: Self::V) -> u16 {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { to_mask(_mm256_cmp_ps::<_CMP_UNORD_Q>(v[0], v[0]), _mm256_cmp_ps::<_CMP_UNORD_Q>(v[1], v[1])) }
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        // SAFETY: the caller's contract.
        unsafe { transpose(from, from_stride, to, to_stride) }
    }
}
