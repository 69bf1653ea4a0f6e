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

use std::sync::OnceLock;

use crate::{Error, Result};

/// Lanes of a vector, on every instruction set.
pub(crate) const LANES: usize = 16;

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

    /// Transposes 8 rows of 8 values: rows are `from_stride` values apart, columns `to_stride`.
    ///
    /// # Safety
    /// The pointers are valid for 8 values at each row and at each column.
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        // Blocks of four by four values, which the compiler transposes in vector registers.
        for (row, column) in [(0, 0), (0, 4), (4, 0), (4, 4)] {
            // SAFETY: the caller's contract.
            unsafe {
                let [a, b, c, d] = std::array::from_fn(|i| {
                    from.add((row + i) * from_stride + column).cast::<[f32; 4]>().read_unaligned()
                });
                for (j, (((a, b), c), d)) in a.into_iter().zip(b).zip(c).zip(d).enumerate() {
                    to.add((column + j) * to_stride + row).cast::<[f32; 4]>().write_unaligned([a, b, c, d]);
                }
            }
        }
    }
}

/// A kernel with its arguments, compiled for every instruction set. `run` and everything that it calls must be `#[inline(always)]`.
pub(super) trait Job {
    /// Runs the job.
    ///
    /// # Safety
    /// The processor has the instruction set, and the job's pointers are valid for its reads and writes.
    unsafe fn run<S: Simd>(self);
}

/// Environment variable that names the instruction set of compiled networks.
const ISA_VAR: &str = "METAMERS_ISA";

/// An instruction set of compiled networks.
///
/// [`Isa::selected`] is the fastest one of the processor, or the one that the environment variable `METAMERS_ISA` names: `portable`,
/// `neon`, `avx2`, `avx512` or `wasm`. The variable is read once, at the first use. Instruction sets differ in the last bits of results
/// only: a result that depends on more than that is a bug, which `METAMERS_ISA=portable` helps to find.
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

/// All instruction sets, of all processors.
const ALL: [Isa; 5] = [Isa::Portable, Isa::Neon, Isa::Avx2, Isa::Avx512, Isa::Wasm];

/// The value of `METAMERS_ISA`; `None` if it is unset or empty.
fn forced() -> Option<&'static str> {
    // Read once, so that all networks of a process are compiled alike.
    static FORCED: OnceLock<Option<String>> = OnceLock::new();
    let read = || std::env::var_os(ISA_VAR).filter(|name| !name.is_empty());
    FORCED.get_or_init(|| read().map(|name| name.to_string_lossy().into_owned())).as_deref()
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
            let has_avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if has_avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
                found.push(Self::Avx512);
            }
            if has_avx2 {
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

    /// The instruction set of compiled networks: the one that `METAMERS_ISA` names, otherwise [`Isa::best`].
    ///
    /// # Errors
    /// [`Error::Unknown`] if `METAMERS_ISA` is not the name of an instruction set; [`Error::Invalid`] if the processor lacks it.
    pub fn selected() -> Result<Self> {
        match forced() {
            Some(name) => Self::from_name(name),
            None => Ok(Self::best()),
        }
    }

    /// The instruction set of this processor with a name that `METAMERS_ISA` can have, such as `avx2`.
    ///
    /// ```
    /// use metamers::engine::Isa;
    ///
    /// assert_eq!(Isa::from_name("portable")?, Isa::Portable);
    /// assert!(Isa::from_name("mmx").is_err());
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unknown`] if there is no instruction set of this name; [`Error::Invalid`] if the processor lacks it.
    pub fn from_name(name: &str) -> Result<Self> {
        let Some(isa) = ALL.into_iter().find(|isa| isa.name() == name) else {
            return Err(Error::unknown("instruction set (METAMERS_ISA)", name, ALL.map(|isa| isa.name())));
        };
        let available = Self::available();
        if available.contains(&isa) {
            return Ok(isa);
        }
        let names: Vec<&str> = available.iter().map(Self::name).collect();
        let reason =
            format!("this processor lacks it; {ISA_VAR} can be {}, or unset for the fastest", names.join(" or "));
        Err(Error::invalid(format!("instruction set \"{name}\""), reason))
    }

    /// The name in `METAMERS_ISA`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Wasm => "wasm",
        }
    }

    /// The selected instruction set for a listing, with a note if `METAMERS_ISA` has selected it.
    pub(crate) fn describe_selected() -> String {
        match (Self::selected(), forced()) {
            (Ok(isa), None) => isa.to_string(),
            (Ok(isa), Some(name)) => format!("{isa} ({ISA_VAR}={name})"),
            // Nothing is compiled with an invalid name.
            (Err(_), name) => format!("invalid {ISA_VAR}={}", name.unwrap_or_default()),
        }
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

/// Runs a job with the selected instruction set.
///
/// # Safety
/// The job's pointers are valid for its reads and writes.
pub(super) unsafe fn run_selected(job: impl Job) {
    static ISA: OnceLock<Isa> = OnceLock::new();
    // A synthesis reports an invalid selection before it comes here.
    let isa = ISA.get_or_init(|| Isa::selected().unwrap_or_else(|_| Isa::best()));
    // SAFETY: `selected` and `best` are instruction sets of this processor; the rest is the caller's contract.
    unsafe { isa.run(job) }
}
