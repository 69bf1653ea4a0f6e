//! Covariances of all pairs of rows, computed in chunks of columns.

use rayon::prelude::*;

use super::spill::Spill;
use crate::Result;

/// Columns in memory at a time: 8 KiB a row.
const CHUNK: usize = 1024;
/// Rows of the result that one task computes. It is fixed so that the bits do not depend on the number of threads.
const BAND: usize = 32;

/// `sum (x_i - mean_i) (x_j - mean_j)` for all rows `i` and `j` of a [`Spill`], in float64; row-major.
pub(super) fn covariances(spill: &mut Spill, columns: usize, means: &[f64]) -> Result<Vec<f64>> {
    let rows = means.len();
    let mut gram = vec![0.0; rows * rows];
    for from in (0..columns).step_by(CHUNK) {
        let count = CHUNK.min(columns - from);
        let mut chunk = spill.read(from, count)?;
        for (row, mean) in chunk.chunks_mut(count).zip(means) {
            row.iter_mut().for_each(|value| *value -= mean);
        }
        gram.par_chunks_mut(BAND * rows).enumerate().for_each(|(index, band)| {
            add_products(&chunk[index * BAND * count..], &chunk, [band.len() / rows, count, rows], band);
        });
    }
    Ok(gram)
}

/// `out += a b^T`, for `a` of `m` rows and `b` of `n` rows of `k` values.
fn add_products(a: &[f64], b: &[f64], [m, k, n]: [usize; 3], out: &mut [f64]) {
    assert!(a.len() >= m * k && b.len() == n * k && out.len() == m * n);
    // SAFETY: the assertion bounds every offset into the three matrices, and `out` is borrowed exclusively.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            true,
            a.as_ptr(),
            1,
            k as isize,
            b.as_ptr(),
            k as isize,
            1,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covariances_equal_direct_sums() {
        let (rows, columns) = (BAND + 5, 2 * CHUNK + 7);
        let value = |i: usize, j: usize| ((i * 31 + j * 17) % 29) as f32 / 7.0 - (i % 3) as f32;
        let mut spill = Spill::new(columns).unwrap();
        (0..rows).for_each(|i| spill.push((0..columns).map(|j| value(i, j))).unwrap());
        let means: Vec<f64> =
            (0..rows).map(|i| (0..columns).map(|j| f64::from(value(i, j))).sum::<f64>() / columns as f64).collect();
        let gram = covariances(&mut spill, columns, &means).unwrap();
        for (i, j) in [(0, 0), (3, 8), (BAND, 2), (BAND + 4, BAND + 4), (1, BAND + 3)] {
            let term = |k: usize| (f64::from(value(i, k)) - means[i]) * (f64::from(value(j, k)) - means[j]);
            let sum: f64 = (0..columns).map(term).sum();
            assert!((gram[i * rows + j] - sum).abs() < 1e-9 * sum.abs().max(1.0), "{i} {j}");
        }
    }
}
