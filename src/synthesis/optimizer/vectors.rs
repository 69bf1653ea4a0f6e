//! Vectors in single precision with sums in double precision.
//!
//! Sums are taken over blocks of fixed size, so that they do not depend on the number of threads. A block of all vectors of a pass fits
//! in the cache of a core.

use crate::engine::parallel::{for_each_chunk, map};

/// Values of a block.
const BLOCK: usize = 4096;

/// Partial sums of a dot product, which the compiler keeps in vector registers.
const LANES: usize = 32;

/// The dot product.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    dots(&[a], &[b])[0][0]
}

/// The dot products of each of `vectors` with each of `others`, in one pass: `result[i][j] = vectors[i]'others[j]`.
pub fn dots<const N: usize>(vectors: &[&[f32]], others: &[&[f32]; N]) -> Vec<[f64; N]> {
    let blocks = others.first().map_or(0, |other| other.len().div_ceil(BLOCK));
    let sums = map(blocks, |i| {
        let of_vector = |vector: &&[f32]| others.map(|other| dot_of_block(block(vector, i), block(other, i)));
        vectors.iter().map(of_vector).collect::<Vec<_>>()
    });
    let sum = |i: usize, j: usize| sums.iter().map(|sums| sums[i][j]).sum::<f64>();
    (0..vectors.len()).map(|i| std::array::from_fn(|j| sum(i, j))).collect()
}

/// Adds `factor * vector` for each term to `target`.
pub fn add_all(target: &mut [f32], terms: &[(f64, &[f32])]) {
    for_each_chunk(target, BLOCK, |i, target| {
        for &(factor, vector) in terms {
            let factor = factor as f32;
            target.iter_mut().zip(block(vector, i)).for_each(|(t, v)| *t += factor * v);
        }
    });
}

/// `a + factor * b`.
pub fn sum(a: &[f32], factor: f64, b: &[f32]) -> Vec<f32> {
    let mut target = vec![0.0; a.len()];
    let factor = factor as f32;
    for_each_chunk(&mut target, BLOCK, |i, target| {
        for ((t, a), b) in target.iter_mut().zip(block(a, i)).zip(block(b, i)) {
            *t = a + factor * b;
        }
    });
    target
}

/// `factor * a`.
pub fn scaled(factor: f64, a: &[f32]) -> Vec<f32> {
    let mut target = vec![0.0; a.len()];
    let factor = factor as f32;
    for_each_chunk(&mut target, BLOCK, |i, target| {
        target.iter_mut().zip(block(a, i)).for_each(|(t, a)| *t = factor * a);
    });
    target
}

fn block(vector: &[f32], i: usize) -> &[f32] {
    &vector[i * BLOCK..vector.len().min((i + 1) * BLOCK)]
}

/// The dot product of a block: single precision in each lane, over 128 values at most, then double precision.
fn dot_of_block(a: &[f32], b: &[f32]) -> f64 {
    let mut sum = 0.0;
    for (a, b) in a.chunks(128 * LANES).zip(b.chunks(128 * LANES)) {
        let (a, a_rest) = a.as_chunks::<LANES>();
        let (b, b_rest) = b.as_chunks::<LANES>();
        let mut lanes = [0f32; LANES];
        for (a, b) in a.iter().zip(b) {
            for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
                *lane += a * b;
            }
        }
        sum += lanes.iter().map(|&v| f64::from(v)).sum::<f64>();
        sum += a_rest.iter().zip(b_rest).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let mut total = a.clone();
            add_all(&mut total, &[(2.0, &b), (-0.5, &c)]);
            assert!((0..n).all(|i| (total[i] - (a[i] + 2.0 * b[i] - 0.5 * c[i])).abs() < 1e-6));
            let (sum, scaled) = (sum(&a, 3.0, &b), scaled(2.0, &a));
            assert!((0..n).all(|i| (sum[i] - (a[i] + 3.0 * b[i])).abs() < 1e-6 && scaled[i] == 2.0 * a[i]));
        }
    }
}
