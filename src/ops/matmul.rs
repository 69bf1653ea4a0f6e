//! Matrix products cut into blocks of fixed size, so that the bits do not depend on the number of threads.

use rayon::prelude::*;

/// A matrix in memory: the first element, and the steps between rows and between columns.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub values: &'a [f32],
    pub row_step: usize,
    pub column_step: usize,
}

impl<'a> Matrix<'a> {
    /// Row-major with `columns` columns.
    pub fn rows(values: &'a [f32], columns: usize) -> Self {
        Self { values, row_step: columns, column_step: 1 }
    }

    /// The transpose, without moving anything.
    pub fn transposed(self) -> Self {
        Self { row_step: self.column_step, column_step: self.row_step, ..self }
    }

    fn needs(&self, rows: usize, columns: usize) -> usize {
        (rows - 1) * self.row_step + (columns - 1) * self.column_step + 1
    }
}

struct Output(*mut f32);
// SAFETY: tasks write disjoint blocks of the output.
unsafe impl Sync for Output {}
impl Output {
    fn at(&self, offset: usize) -> *mut f32 {
        // SAFETY: offsets come from blocks inside the output, whose size `multiply` checks.
        unsafe { self.0.add(offset) }
    }
}

const BLOCK_ROWS: usize = 128;
const BLOCK_COLUMNS: usize = 512;

/// `output = a b`, or `output += a b` when `add`; a is m x k, b is k x n, output row-major m x n with `row_step` between rows.
pub(crate) fn multiply([m, k, n]: [usize; 3], a: Matrix, b: Matrix, output: &mut [f32], row_step: usize, add: bool) {
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    assert!(a.values.len() >= a.needs(m, k) && b.values.len() >= b.needs(k, n));
    assert!(row_step >= n && output.len() >= (m - 1) * row_step + n);
    let target = Output(output.as_mut_ptr());
    let (down, across) = (m.div_ceil(BLOCK_ROWS), n.div_ceil(BLOCK_COLUMNS));
    let block = |index: usize| {
        let (top, left) = (index / across * BLOCK_ROWS, index % across * BLOCK_COLUMNS);
        let (rows, columns) = (BLOCK_ROWS.min(m - top), BLOCK_COLUMNS.min(n - left));
        // SAFETY: the assertions above bound every offset, and blocks do not overlap.
        unsafe {
            gemm::gemm(
                rows,
                columns,
                k,
                target.at(top * row_step + left),
                1,
                row_step as isize,
                add,
                a.values.as_ptr().add(top * a.row_step),
                a.column_step as isize,
                a.row_step as isize,
                b.values.as_ptr().add(left * b.column_step),
                b.column_step as isize,
                b.row_step as isize,
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
