//! Sixteen numbers at a time, on whatever the processor has.
//!
//! Every kernel is written once, for [`Simd`], and compiled for each instruction set; which one runs is decided when the
//! program runs. Images have their channels padded to a multiple of sixteen, so that no kernel meets a rest.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

/// Numbers in one vector, on every instruction set.
pub(super) const LANES: usize = 16;

/// Sixteen float32 numbers and what the kernels do with them. A mask has bit `i` for lane `i`.
///
/// # Safety
/// All functions need the instruction set, and pointers good for sixteen numbers.
pub(super) trait Simd: Copy + Send + Sync + 'static {
    /// Sixteen numbers.
    type V: Copy;
    /// Rows and vectors of the largest tile of a matrix product whose sums fit in the registers.
    const ROWS: usize;
    const BLOCKS: usize;

    /// Runs a job in a function of its own. The compiler keeps the sums of an inner loop in registers where it sees nothing else.
    unsafe fn run_outlined<J: Job>(job: J);

    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(from: *const f32) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    /// `a * b + c`, rounded once where the processor can.
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// The larger one; `b` when either is NaN.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// The smaller one; `b` when either is NaN.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// Where `a > b`.
    unsafe fn greater(a: Self::V, b: Self::V) -> u16;
    /// `v` where the mask is set, 0 elsewhere.
    unsafe fn masked(mask: u16, v: Self::V) -> Self::V;
    /// `a` where the mask is set, `b` elsewhere.
    unsafe fn select(mask: u16, a: Self::V, b: Self::V) -> Self::V;
    /// Where `v` is NaN.
    unsafe fn is_nan(v: Self::V) -> u16;
}

/// Work that is compiled for every instruction set. `run` must be `#[inline(always)]`, and all that it calls too.
pub(super) trait Job {
    /// # Safety
    /// As the job says, and the processor must have the instruction set.
    unsafe fn run<S: Simd>(self);
}

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isa {
    /// What every processor has.
    Portable,
    /// 128-bit vectors of 64-bit ARM.
    Neon,
    /// 256-bit vectors with fused multiplication and addition.
    Avx2,
    /// 512-bit vectors.
    Avx512,
}

impl std::fmt::Display for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Portable => "no vector instructions",
            Self::Neon => "NEON",
            Self::Avx2 => "AVX2",
            Self::Avx512 => "AVX-512",
        })
    }
}

impl Isa {
    /// Those of this processor, the fastest first.
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
        found.push(Self::Portable);
        found
    }

    /// The fastest of this processor.
    pub fn best() -> Self {
        Self::available()[0]
    }

    /// Runs a job with this instruction set.
    ///
    /// # Safety
    /// The processor must have it; and what the job asks for.
    pub(super) unsafe fn run<J: Job>(self, job: J) {
        // SAFETY: the caller vouches for both.
        unsafe {
            match self {
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => avx512::run(job),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::run(job),
                #[cfg(target_arch = "aarch64")]
                Self::Neon => neon::run(job),
                _ => portable::run(job),
            }
        }
    }
}
