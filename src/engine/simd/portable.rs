//! Plain Rust: the fallback for every processor, and the reference of the other instruction sets.

use super::{Job, LANES, Simd};

#[derive(Clone, Copy)]
pub(super) struct Portable;

/// Runs a job with this instruction set.
///
/// # Safety
/// As [`Job::run`].
#[inline(never)]
pub(super) unsafe fn run<J: Job>(job: J) {
    // SAFETY: the caller's contract.
    unsafe { job.run::<Portable>() }
}

#[inline(always)]
fn per_lane(f: impl FnMut(usize) -> f32) -> [f32; LANES] {
    std::array::from_fn(f)
}

#[inline(always)]
fn to_mask(mut f: impl FnMut(usize) -> bool) -> u16 {
    (0..LANES).fold(0, |mask, i| mask | u16::from(f(i)) << i)
}

impl Simd for Portable {
    type V = [f32; LANES];
    const ROWS: usize = 2;
    const BLOCKS: usize = 1;

    #[inline(always)]
    unsafe fn run_outlined<J: Job>(job: J) {
        // SAFETY: the caller's contract.
        unsafe { run(job) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; LANES]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        // SAFETY: the caller vouches for the instruction set, and for 16 values at the pointer.
        unsafe { from.cast::<Self::V>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        // SAFETY: the caller vouches for the instruction set, and for 16 values at the pointer.
        unsafe { to.cast::<Self::V>().write_unaligned(v) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // Not `f32::mul_add`, which is a slow library call without the instruction.
        per_lane(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        per_lane(|i| a[i] + b[i])
    }

    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        per_lane(|i| a[i] * b[i])
    }

    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        per_lane(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        per_lane(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    unsafe fn greater(a: Self::V, b: Self::V) -> u16 {
        to_mask(|i| a[i] > b[i])
    }

    #[inline(always)]
    unsafe fn masked(mask: u16, v: Self::V) -> Self::V {
        per_lane(|i| if mask >> i & 1 == 1 { v[i] } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn select(mask: u16, a: Self::V, b: Self::V) -> Self::V {
        per_lane(|i| if mask >> i & 1 == 1 { a[i] } else { b[i] })
    }

    #[inline(always)]
    unsafe fn is_nan(v: Self::V) -> u16 {
        to_mask(|i| v[i].is_nan())
    }
}
