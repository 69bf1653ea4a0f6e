//! Products with a fixed matrix, by the kernel of the fully connected layers.

use super::aligned::AlignedBuffer;
use super::kernel::{Epilogue, Product};
use super::simd::{Isa, Job, LANES, Simd};

/// A matrix that rows of values are multiplied with, packed once: `y[n] = sum over k of x[k] * weight(k, n)`.
pub(crate) struct PackedMatrix {
    /// `[n / 16][k][n % 16]`
    weights: AlignedBuffer,
    depth: usize,
    outputs: usize,
    isa: Isa,
}

impl PackedMatrix {
    pub fn new([depth, outputs]: [usize; 2], weight: impl Fn(usize, usize) -> f32) -> Self {
        let mut weights = AlignedBuffer::zeros(outputs.div_ceil(LANES) * depth * LANES);
        for (i, lanes) in weights.values_mut().chunks_exact_mut(LANES).enumerate() {
            let (block, k) = (i / depth, i % depth);
            for (n, value) in (block * LANES..outputs).zip(lanes) {
                *value = weight(k, n);
            }
        }
        // A synthesis reports an invalid selection before it makes a matrix.
        let isa = Isa::selected().unwrap_or_else(|_| Isa::best());
        Self { weights, depth, outputs, isa }
    }

    /// The number of values that [`PackedMatrix::multiply`] writes for a row: the outputs, rounded up to a multiple of 16.
    pub fn width(&self) -> usize {
        self.outputs.next_multiple_of(LANES)
    }

    /// Multiplies `rows` rows of `source`, `stride` values apart, and writes rows of `target`, `target_stride` values apart.
    pub fn multiply(&self, source: &[f32], stride: usize, rows: usize, target: &mut [f32], target_stride: usize) {
        if rows == 0 || self.depth == 0 || self.outputs == 0 {
            return;
        }
        assert!((rows - 1) * stride + self.depth <= source.len(), "the source is too short");
        assert!((rows - 1) * target_stride + self.width() <= target.len(), "the target is too short");
        assert!(rows == 1 || self.width() <= target_stride, "the rows of the target overlap");
        let job = Multiply {
            product: Product {
                source: source.as_ptr(),
                stride,
                taps: &[0],
                depth: self.depth,
                weights: self.weights.as_ptr(),
                epilogue: Epilogue { target: target.as_mut_ptr(), stride: target_stride, ..Epilogue::STORE },
            },
            rows,
            blocks: self.width() / LANES,
        };
        // SAFETY: `selected` and `best` are instruction sets of this processor; all rows lie within the slices, as checked above, and the packed
        // matrix has `depth` vectors for each block.
        unsafe { self.isa.run(job) }
    }
}

struct Multiply<'a> {
    product: Product<'a>,
    rows: usize,
    blocks: usize,
}

impl Job for Multiply<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's contract.
        unsafe { self.product.run::<S>(self.rows, self.blocks) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_equal_plain_sums() {
        for [depth, outputs, rows] in [[1, 1, 1], [3, 16, 2], [7, 20, 15], [112, 112, 28]] {
            let weight = |k: usize, n: usize| ((k * 7 + n * 3) % 11) as f32 - 5.0;
            let matrix = PackedMatrix::new([depth, outputs], weight);
            let source: Vec<f32> = (0..rows * (depth + 2)).map(|i| (i % 13) as f32 - 6.0).collect();
            let mut target = vec![0.0; rows * matrix.width()];
            matrix.multiply(&source, depth + 2, rows, &mut target, matrix.width());
            for row in 0..rows {
                for n in 0..outputs {
                    let sum: f32 = (0..depth).map(|k| source[row * (depth + 2) + k] * weight(k, n)).sum();
                    assert_eq!(target[row * matrix.width() + n], sum, "{depth} {outputs} {rows}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "the target is too short")]
    fn a_short_target_is_refused() {
        PackedMatrix::new([2, 3], |_, _| 1.0).multiply(&[0.0; 4], 2, 2, &mut [0.0; 16], 16);
    }
}
