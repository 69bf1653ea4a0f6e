//! Matrices in memory to their transposes.

use crate::engine::simd::{Job, Simd, run_selected};

/// Rows and columns of a block.
const BLOCK: usize = 8;

/// Writes rows of `columns` values as columns: `to[column][row]`. Rows are `from_stride` values apart, columns `to_stride`.
///
/// # Panics
/// If a slice is too short.
pub(crate) fn transpose(
    from: &[f32],
    from_stride: usize,
    [rows, columns]: [usize; 2],
    to: &mut [f32],
    to_stride: usize,
) {
    if rows > 0 && columns > 0 {
        let end = |lines: usize, stride: usize, length: usize| (lines - 1).checked_mul(stride)?.checked_add(length);
        let fits = |size: usize, end: Option<usize>| end.is_some_and(|end| end <= size);
        assert!(fits(from.len(), end(rows, from_stride, columns)), "the matrix has fewer values");
        assert!(fits(to.len(), end(columns, to_stride, rows)), "its transpose has fewer values");
        // SAFETY: both slices have all rows and columns.
        unsafe { transpose_to(from, from_stride, [rows, columns], to.as_mut_ptr(), to_stride) }
    }
}

/// As [`transpose`], to memory of which other threads write other values.
///
/// # Safety
/// `from` has all rows, and `to` is valid for writes of `rows` values at each of the first `columns` multiples of `to_stride`. Meanwhile
/// nothing else reads or writes those values.
pub(crate) unsafe fn transpose_to(
    from: &[f32],
    from_stride: usize,
    [rows, columns]: [usize; 2],
    to: *mut f32,
    to_stride: usize,
) {
    // SAFETY: the caller's contract.
    unsafe { run_selected(Transpose { from: from.as_ptr(), from_stride, rows, columns, to, to_stride }) }
}

/// A transpose whose pointers are valid for all of its rows and columns.
struct Transpose {
    from: *const f32,
    from_stride: usize,
    rows: usize,
    columns: usize,
    to: *mut f32,
    to_stride: usize,
}

impl Job for Transpose {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { from, from_stride, rows, columns, to, to_stride } = self;
        let whole = [rows, columns].map(|n| n / BLOCK * BLOCK);
        for row in (0..whole[0]).step_by(BLOCK) {
            for column in (0..whole[1]).step_by(BLOCK) {
                // SAFETY: the processor has the instruction set, and the block is one of the matrix.
                unsafe {
                    let (from, to) = (from.add(row * from_stride + column), to.add(column * to_stride + row));
                    S::transpose(from, from_stride, to, to_stride);
                }
            }
        }
        for row in 0..rows {
            for column in if row < whole[0] { whole[1] } else { 0 }..columns {
                // SAFETY: as above.
                unsafe { *to.add(column * to_stride + row) = *from.add(row * from_stride + column) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Isa;

    #[test]
    fn each_value_goes_to_its_place_on_every_instruction_set() {
        for [rows, columns] in [[0, 3], [1, 1], [8, 8], [7, 9], [16, 224], [19, 16], [33, 12]] {
            let (from_stride, to_stride) = (columns + 2, rows + 3);
            let from: Vec<f32> = (0..rows * from_stride).map(|i| i as f32).collect();
            let mut expected = vec![-1.0; columns * to_stride];
            for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
                expected[column * to_stride + row] = from[row * from_stride + column];
            }
            for isa in Isa::available() {
                let mut to = vec![-1.0; columns * to_stride];
                // SAFETY: the processor has the available instruction sets, and the slices have all rows and columns.
                unsafe {
                    let (from, to) = (from.as_ptr(), to.as_mut_ptr());
                    isa.run(Transpose { from, from_stride, rows, columns, to, to_stride });
                }
                assert_eq!(to, expected, "{rows} x {columns}, {isa}");
            }
            let mut to = vec![-1.0; columns * to_stride];
            transpose(&from, from_stride, [rows, columns], &mut to, to_stride);
            assert_eq!(to, expected);
        }
    }

    #[test]
    #[should_panic(expected = "its transpose has fewer values")]
    fn a_short_slice_is_refused() {
        transpose(&[0.0; 64], 8, [8, 8], &mut [0.0; 63], 8);
    }
}
