//! Vectors in single precision with sums in double precision: the arithmetic of the optimizers.
//!
//! Sums are taken over blocks of fixed size and in lanes of a fixed number, so that they depend neither on the number of threads nor on
//! the instruction set. A block of all vectors of a pass fits in the cache of a core.

use std::sync::{Mutex, PoisonError};

use super::simd::{Job, LANES, Simd, run_selected};
use crate::parallel::{for_each_chunk, map};

/// Values of a block.
const BLOCK: usize = 4096;

/// Partial sums of a dot product: two vectors.
const PARTS: usize = 2 * LANES;

/// Partial sums in double precision, which the compiler keeps in vector registers.
const EXACT_PARTS: usize = 8;

/// The most vectors whose memory is kept.
const MAX_SPARE: usize = 8;

/// Memory of vectors that are no longer needed, for later ones: to allocate and clear it takes as long as a pass over it.
#[derive(Default)]
pub(crate) struct Spare(Mutex<Vec<Vec<f32>>>);

impl Spare {
    /// A vector of arbitrary values.
    pub fn take(&self, length: usize) -> Vec<f32> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        values.resize(length, 0.0);
        values
    }

    pub fn give(&self, values: Vec<f32>) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MAX_SPARE {
            spare.push(values);
        }
    }
}

/// The dot product.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    dots(&[a], &[b])[0][0]
}

/// The dot products of each of `vectors` with each of `others`, in one pass: `result[i][j] = vectors[i]'others[j]`.
pub(crate) fn dots<const N: usize>(vectors: &[&[f32]], others: &[&[f32]; N]) -> Vec<[f64; N]> {
    let blocks = others.first().map_or(0, |other| other.len().div_ceil(BLOCK));
    let sums = map(blocks, |i| {
        let others = others.map(|other| block(other, i));
        let mut sums = vec![[0.0; N]; vectors.len()];
        // At least two products at once: the sums of one wait for each other.
        let (pairs, last) = sums.as_chunks_mut::<2>();
        for (sums, vectors) in pairs.iter_mut().zip(vectors.chunks_exact(2)) {
            let vectors = [0, 1].map(|k| block(vectors[k], i));
            if N == 1 {
                run(DotsOfBlock { vectors, others, sums });
            } else {
                let [first, second] = sums;
                run(DotsOfBlock { vectors: [vectors[0]], others, sums: std::array::from_mut(first) });
                run(DotsOfBlock { vectors: [vectors[1]], others, sums: std::array::from_mut(second) });
            }
        }
        if let ([sums], [.., vector]) = (last, vectors) {
            let sums = std::array::from_mut(sums);
            run(DotsOfBlock { vectors: [block(vector, i)], others, sums });
        }
        sums
    });
    let sum = |i: usize, j: usize| sums.iter().map(|sums| sums[i][j]).sum::<f64>();
    (0..vectors.len()).map(|i| std::array::from_fn(|j| sum(i, j))).collect()
}

/// The sum of the squared differences.
pub(crate) fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let sums = map(a.len().div_ceil(BLOCK), |i| {
        let mut sum = 0.0;
        run(DistanceOfBlock { a: block(a, i), b: block(b, i), sum: &mut sum });
        sum
    });
    sums.iter().sum()
}

/// Adds `factor * vector` for each term to `target`.
pub(crate) fn add_all(target: &mut [f32], terms: &[(f64, &[f32])]) {
    for_each_chunk(target, BLOCK, |i, target| run(AddToBlock { target, terms, i }));
}

/// `a + factor * b`.
pub(crate) fn sum(spare: &Spare, a: &[f32], factor: f64, b: &[f32]) -> Vec<f32> {
    let mut target = spare.take(a.len());
    let factor = factor as f32;
    for_each_chunk(&mut target, BLOCK, |i, target| {
        for ((t, a), b) in target.iter_mut().zip(block(a, i)).zip(block(b, i)) {
            *t = a + factor * b;
        }
    });
    target
}

/// `factor * a`.
pub(crate) fn scaled(spare: &Spare, factor: f64, a: &[f32]) -> Vec<f32> {
    let mut target = spare.take(a.len());
    let factor = factor as f32;
    for_each_chunk(&mut target, BLOCK, |i, target| {
        target.iter_mut().zip(block(a, i)).for_each(|(t, a)| *t = factor * a);
    });
    target
}

fn block(vector: &[f32], i: usize) -> &[f32] {
    &vector[i * BLOCK..vector.len().min((i + 1) * BLOCK)]
}

fn run(job: impl Job) {
    // SAFETY: the jobs of this module hold slices.
    unsafe { run_selected(job) }
}

/// The dot products of blocks: single precision in each lane, over 128 values at most, then double precision.
struct DotsOfBlock<'a, const M: usize, const N: usize> {
    vectors: [&'a [f32]; M],
    others: [&'a [f32]; N],
    sums: &'a mut [[f64; N]; M],
}

impl<const M: usize, const N: usize> Job for DotsOfBlock<'_, M, N> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Some(length) = self.vectors.iter().chain(&self.others).map(|block| block.len()).min() else { return };
        let whole = length / PARTS * PARTS;
        // SAFETY: the processor has the instruction set; all reads are below `whole`, the writes within `parts`.
        unsafe {
            let mut sums = [[[S::splat(0.0); 2]; N]; M];
            for first in (0..whole).step_by(PARTS) {
                for i in 0..2 {
                    let at = first + i * LANES;
                    for (vector, sums) in self.vectors.iter().zip(&mut sums) {
                        let value = S::load(vector.as_ptr().add(at));
                        for (other, sums) in self.others.iter().zip(sums) {
                            let product = S::mul(value, S::load(other.as_ptr().add(at)));
                            sums[i] = S::add(sums[i], product);
                        }
                    }
                }
            }
            for (m, n) in (0..M).flat_map(|m| (0..N).map(move |n| (m, n))) {
                let mut parts = [0f32; PARTS];
                for (i, sum) in sums[m][n].into_iter().enumerate() {
                    S::store(parts.as_mut_ptr().add(i * LANES), sum);
                }
                let rest = self.vectors[m][whole..].iter().zip(&self.others[n][whole..]);
                self.sums[m][n] = parts.iter().map(|&v| f64::from(v)).sum::<f64>();
                self.sums[m][n] += rest.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
            }
        }
    }
}

/// The sum of the squared differences of a block.
struct DistanceOfBlock<'a> {
    a: &'a [f32],
    b: &'a [f32],
    sum: &'a mut f64,
}

impl Job for DistanceOfBlock<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let square = |a: f32, b: f32| f64::from(a - b).powi(2);
        let (a, a_rest) = self.a.as_chunks::<EXACT_PARTS>();
        let (b, b_rest) = self.b.as_chunks::<EXACT_PARTS>();
        let mut sums = [0.0; EXACT_PARTS];
        for (a, b) in a.iter().zip(b) {
            for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
                *sum += square(a, b);
            }
        }
        *self.sum = sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(&a, &b)| square(a, b)).sum::<f64>();
    }
}

/// Adds the terms to block `i`.
struct AddToBlock<'a> {
    target: &'a mut [f32],
    terms: &'a [(f64, &'a [f32])],
    i: usize,
}

impl Job for AddToBlock<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // All terms of a few values at once: memory answers several streams sooner than one after the other.
        let (parts, rest) = self.target.as_chunks_mut::<PARTS>();
        let done = parts.len() * PARTS;
        for (at, part) in parts.iter_mut().enumerate() {
            let to = part.as_mut_ptr();
            // SAFETY: the processor has the instruction set; a part has two vectors, as has its slice of each term.
            unsafe {
                let mut sums = [S::load(to), S::load(to.add(LANES))];
                for &(factor, vector) in self.terms {
                    let from = vector[self.i * BLOCK + at * PARTS..][..PARTS].as_ptr();
                    let factor = S::splat(factor as f32);
                    for (i, sum) in sums.iter_mut().enumerate() {
                        *sum = S::add(*sum, S::mul(factor, S::load(from.add(i * LANES))));
                    }
                }
                S::store(to, sums[0]);
                S::store(to.add(LANES), sums[1]);
            }
        }
        for &(factor, vector) in self.terms {
            let factor = factor as f32;
            rest.iter_mut().zip(&block(vector, self.i)[done..]).for_each(|(t, v)| *t += factor * v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Isa;

    fn values(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37 + seed * 11) % 101) as f32 / 101.0 - 0.45).collect()
    }

    #[test]
    fn sums_equal_plain_ones() {
        for n in [0, 1, 31, 4097, 20_000] {
            let (a, b, c) = (values(n, 1), values(n, 2), values(n, 3));
            let plain = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
            let close = |x: f64, y: f64| (x - y).abs() <= 1e-5 * (1.0 + y.abs());
            assert!(close(dot(&a, &b), plain(&a, &b)), "{n}");
            let found = dots(&[&a, &b], &[&b, &c]);
            let expected = [[plain(&a, &b), plain(&a, &c)], [plain(&b, &b), plain(&b, &c)]];
            let pairs = found.iter().flatten().zip(expected.iter().flatten());
            assert!(pairs.into_iter().all(|(&x, &y)| close(x, y)), "{n}: {found:?} and {expected:?}");
            // A single product of each of three vectors: a pair and one alone.
            let single = dots(&[&a, &b, &c], &[&c]);
            let expected = [plain(&a, &c), plain(&b, &c), plain(&c, &c)];
            assert!(single.iter().zip(expected).all(|(&[x], y)| close(x, y)), "{n}: {single:?} and {expected:?}");
            let mut total = a.clone();
            add_all(&mut total, &[(2.0, &b), (-0.5, &c)]);
            assert!((0..n).all(|i| (total[i] - (a[i] + 2.0 * b[i] - 0.5 * c[i])).abs() < 1e-6));
            let distance = squared_distance(&a, &b);
            let expected: f64 = a.iter().zip(&b).map(|(&a, &b)| f64::from(a - b).powi(2)).sum();
            assert!(close(distance, expected), "{n}: {distance} and {expected}");
            let spare = Spare::default();
            spare.give(vec![f32::NAN; 7]);
            let (sum, scaled) = (sum(&spare, &a, 3.0, &b), scaled(&spare, 2.0, &a));
            assert!((0..n).all(|i| (sum[i] - (a[i] + 3.0 * b[i])).abs() < 1e-6 && scaled[i] == 2.0 * a[i]));
        }
    }

    #[test]
    fn sums_are_the_same_on_every_instruction_set() {
        let (a, b) = (values(3001, 1), values(3001, 2));
        let found = Isa::available().into_iter().map(|isa| {
            let (mut products, mut distance, mut target) = ([[0.0]; 2], 0.0, a.clone());
            // SAFETY: the processor has the available instruction sets.
            unsafe {
                isa.run(DotsOfBlock { vectors: [&a, &b], others: [&b], sums: &mut products });
                isa.run(DistanceOfBlock { a: &a, b: &b, sum: &mut distance });
                isa.run(AddToBlock { target: &mut target, terms: &[(0.3, &b), (-0.7, &b)], i: 0 });
            }
            (products.map(|[product]| product.to_bits()), distance.to_bits(), target)
        });
        let found: Vec<_> = found.collect();
        assert!(found.iter().all(|sums| *sums == found[0]));
    }
}
