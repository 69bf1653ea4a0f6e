//! WebAssembly: a vector is four registers of 4 lanes.

use std::arch::wasm32::*;

use super::{Job, Simd};

#[derive(Clone, Copy)]
pub(super) struct Wasm;

/// Runs a job with this instruction set.
///
/// # Safety
/// As [`Job::run`].
#[inline(never)]
pub(super) unsafe fn run<J: Job>(job: J) {
    // SAFETY: the caller's contract; a module with these instructions is only compiled where they exist.
    unsafe { job.run::<Wasm>() }
}

/// All bits of lane `i` set where bit `4 * register + i` of the mask is set.
#[inline(always)]
fn expand_mask(mask: u16, register: usize) -> v128 {
    let bits = u32x4(1, 2, 4, 8);
    u32x4_eq(v128_and(u32x4_splat(u32::from(mask) >> (4 * register)), bits), bits)
}

/// The lanes of four registers, each all ones or all zeros, as a mask.
#[inline(always)]
fn to_mask(lanes: [v128; 4]) -> u16 {
    lanes
        .into_iter()
        .enumerate()
        .fold(0, |mask, (register, lanes)| mask | u16::from(i32x4_bitmask(lanes)) << (4 * register))
}

#[inline(always)]
fn per_register<T>(f: impl FnMut(usize) -> T) -> [T; 4] {
    std::array::from_fn(f)
}

impl Simd for Wasm {
    type V = [v128; 4];
    // Engines map these to 16 registers on x86-64: 12 hold sums.
    const ROWS: usize = 3;
    const BLOCKS: usize = 1;

    #[inline(always)]
    unsafe fn run_outlined<J: Job>(job: J) {
        // SAFETY: the caller's contract.
        unsafe { run(job) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [f32x4_splat(x); 4]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        // SAFETY: the caller vouches for 16 values at the pointer; the load needs no alignment.
        per_register(|i| unsafe { v128_load(from.add(4 * i).cast()) })
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        for (i, v) in v.into_iter().enumerate() {
            // SAFETY: the caller vouches for 16 values at the pointer; the store needs no alignment.
            unsafe { v128_store(to.add(4 * i).cast(), v) };
        }
    }

    #[inline(always)]
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // The relaxed instruction rounds once where the processor can.
        #[cfg(target_feature = "relaxed-simd")]
        let mul_add = f32x4_relaxed_madd;
        #[cfg(not(target_feature = "relaxed-simd"))]
        let mul_add = |a, b, c| f32x4_add(f32x4_mul(a, b), c);
        per_register(|i| mul_add(a[i], b[i], c[i]))
    }

    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        per_register(|i| f32x4_add(a[i], b[i]))
    }

    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        per_register(|i| f32x4_mul(a[i], b[i]))
    }

    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        // `b < a ? a : b`, which is `b` if either is NaN.
        per_register(|i| f32x4_pmax(b[i], a[i]))
    }

    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        // `a < b ? a : b`, which is `b` if either is NaN.
        per_register(|i| f32x4_pmin(b[i], a[i]))
    }

    #[inline(always)]
    unsafe fn greater(a: Self::V, b: Self::V) -> u16 {
        to_mask(per_register(|i| f32x4_gt(a[i], b[i])))
    }

    #[inline(always)]
    unsafe fn masked(mask: u16, v: Self::V) -> Self::V {
        per_register(|i| v128_and(expand_mask(mask, i), v[i]))
    }

    #[inline(always)]
    unsafe fn select(mask: u16, a: Self::V, b: Self::V) -> Self::V {
        per_register(|i| v128_bitselect(a[i], b[i], expand_mask(mask, i)))
    }

    #[inline(always)]
    unsafe fn is_nan(v: Self::V) -> u16 {
        to_mask(per_register(|i| f32x4_ne(v[i], v[i])))
    }
}
