//! Vectors of 16 `f32` lanes on every instruction set.
//!
//! Every kernel is written once, for [`Simd`], and compiled for each instruction set; the fastest one is selected at run time.
//! Channels are padded to a multiple of 16, so that kernels need no remainder loops.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;

/// Lanes of a vector, on every instruction set.
pub(super) const LANES: usize = 16;

/// Operations on vectors of 16 `f32` lanes. A mask has bit `i` for lane `i`.
///
/// # Safety
/// All functions require that the processor has the instruction set; `load` and `store` also require a pointer that is valid for
/// 16 values, aligned or not.
pub(super) trait Simd: Copy + Send + Sync + 'static {
    /// A vector of 16 lanes.
    type V: Copy;
    /// Rows of the largest GEMM tile whose sums fit in the registers.
    const ROWS: usize;
    /// Vectors in a row of that tile.
    const BLOCKS: usize;

    /// Runs a job in a function that is not inlined, so that the compiler keeps the sums of its inner loop in registers.
    ///
    /// # Safety
    /// As [`Job::run`].
    unsafe fn run_outlined<J: Job>(job: J);

    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(from: *const f32) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    /// `a * b + c`, rounded once if the processor has fused multiply-add.
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// The lanewise maximum; `b` if either is NaN.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// The lanewise minimum; `b` if either is NaN.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// The lanes with `a > b`.
    unsafe fn greater(a: Self::V, b: Self::V) -> u16;
    /// `v` in the lanes of the mask, 0 elsewhere.
    unsafe fn masked(mask: u16, v: Self::V) -> Self::V;
    /// `a` in the lanes of the mask, `b` elsewhere.
    unsafe fn select(mask: u16, a: Self::V, b: Self::V) -> Self::V;
    /// The lanes in which `v` is NaN.
    unsafe fn is_nan(v: Self::V) -> u16;
}

/// A kernel with its arguments, compiled for every instruction set. `run` and everything that it calls must be `#[inline(always)]`.
pub(super) trait Job {
    /// Runs the job.
    ///
    /// # Safety
    /// The processor has the instruction set, and the job's pointers are valid for its reads and writes.
    unsafe fn run<S: Simd>(self);
}

/// An instruction set of compiled networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isa {
    /// Plain Rust, for all processors.
    Portable,
    /// 128-bit vectors of 64-bit ARM.
    Neon,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// 512-bit vectors.
    Avx512,
    /// 128-bit vectors of WebAssembly, with the relaxed fused multiply-add if the module was compiled for it.
    Wasm,
}

impl std::fmt::Display for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Portable => "no vector instructions",
            Self::Neon => "NEON",
            Self::Avx2 => "AVX2",
            Self::Avx512 => "AVX-512",
            Self::Wasm => "WebAssembly SIMD",
        })
    }
}

impl Isa {
    /// The instruction sets of this processor, the fastest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut found = vec![];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
                found.push(Self::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                found.push(Self::Avx2);
            }
        }
        if cfg!(target_arch = "aarch64") {
            found.push(Self::Neon);
        }
        if cfg!(all(target_arch = "wasm32", target_feature = "simd128")) {
            found.push(Self::Wasm);
        }
        found.push(Self::Portable);
        found
    }

    /// The fastest instruction set of this processor.
    #[must_use]
    pub fn best() -> Self {
        Self::available()[0]
    }

    /// Runs a job with this instruction set.
    ///
    /// # Safety
    /// The processor has the instruction set; and as [`Job::run`].
    pub(super) unsafe fn run<J: Job>(self, job: J) {
        // SAFETY: the caller's contract.
        unsafe {
            match self {
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => avx512::run(job),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::run(job),
                #[cfg(target_arch = "aarch64")]
                Self::Neon => neon::run(job),
                #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
                Self::Wasm => wasm::run(job),
                _ => portable::run(job),
            }
        }
    }
}
