//! Matrix products in blocks of fixed size, so that the bits do not depend on the number of threads.

use rayon::prelude::*;

/// A strided view of a matrix.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub values: &'a [f32],
    pub row_stride: usize,
    pub column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix with `columns` columns.
    pub fn rows(values: &'a [f32], columns: usize) -> Self {
        Self { values, row_stride: columns, column_stride: 1 }
    }

    /// The transposed view.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self { row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }

    /// The number of values that a matrix of this size spans.
    fn span(&self, rows: usize, columns: usize) -> usize {
        (rows - 1) * self.row_stride + (columns - 1) * self.column_stride + 1
    }
}

/// The output, shared by tasks.
struct Output(*mut f32);
// SAFETY: tasks write disjoint blocks of the output.
unsafe impl Sync for Output {}
impl Output {
    /// A pointer to the element at `offset`.
    ///
    /// # Safety
    /// `offset` lies inside the output.
    unsafe fn at(&self, offset: usize) -> *mut f32 {
        // SAFETY: the caller's contract.
        unsafe { self.0.add(offset) }
    }
}

const BLOCK_ROWS: usize = 128;
const BLOCK_COLUMNS: usize = 512;

/// Computes `output = a b`, where a is m x k, b is k x n, and the output is row-major m x n.
pub(crate) fn multiply([m, k, n]: [usize; 3], a: Matrix, b: Matrix, output: &mut [f32]) {
    if m == 0 || n == 0 || k == 0 {
        // An empty sum.
        output.fill(0.0);
        return;
    }
    assert!(a.values.len() >= a.span(m, k) && b.values.len() >= b.span(k, n));
    assert_eq!(output.len(), m * n);
    let target = Output(output.as_mut_ptr());
    let (down, across) = (m.div_ceil(BLOCK_ROWS), n.div_ceil(BLOCK_COLUMNS));
    let block = |index: usize| {
        let (top, left) = (index / across * BLOCK_ROWS, index % across * BLOCK_COLUMNS);
        let (rows, columns) = (BLOCK_ROWS.min(m - top), BLOCK_COLUMNS.min(n - left));
        // SAFETY: the assertions above bound every offset of the three matrices, and blocks of the output do not overlap.
        unsafe {
            gemm::gemm(
                rows,
                columns,
                k,
                target.at(top * n + left),
                1,
                n as isize,
                false,
                a.values.as_ptr().add(top * a.row_stride),
                a.column_stride as isize,
                a.row_stride as isize,
                b.values.as_ptr().add(left * b.column_stride),
                b.column_stride as isize,
                b.row_stride as isize,
                1.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    };
    match down * across {
        1 => block(0),
        blocks => (0..blocks).into_par_iter().for_each(block),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_transposes_equal_direct_sums() {
        let value = |i: usize| ((i * 37) % 23) as f32 - 11.0;
        for [m, k, n] in [[1, 1, 1], [3, 5, 2], [130, 7, 515], [257, 3, 9]] {
            let a: Vec<f32> = (0..m * k).map(value).collect();
            let b: Vec<f32> = (0..k * n).map(|i| value(i + 5)).collect();
            let mut output = vec![f32::NAN; m * n];
            multiply([m, k, n], Matrix::rows(&a, m).transposed(), Matrix::rows(&b, n), &mut output);
            for (i, row) in output.chunks(n).enumerate() {
                for (j, &found) in row.iter().enumerate() {
                    // Small integers have no rounding error.
                    assert_eq!(
                        found,
                        (0..k).map(|l| a[l * m + i] * b[l * n + j]).sum::<f32>(),
                        "{i}, {j} of {m} {k} {n}"
                    );
                }
            }
        }
    }

    #[test]
    fn an_empty_sum_is_zero() {
        let mut output = [f32::NAN; 6];
        multiply([2, 0, 3], Matrix::rows(&[], 0), Matrix::rows(&[], 3), &mut output);
        assert_eq!(output, [0.0; 6]);
    }
}
