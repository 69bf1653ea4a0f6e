//! The orthonormal cosine transform of images and sounds, in single precision.

use std::f64::consts::{FRAC_1_SQRT_2, PI};
use std::sync::Arc;

use rustdct::{DctPlanner, TransformType2And3};

use crate::engine::PackedMatrix;
use crate::engine::parallel::{for_each_chunk, for_each_chunk_of_planes};

/// Rows of a task: two tiles of the matrix product.
const ROWS: usize = 28;

/// The longest side that is transformed by matrix products, which take time proportional to its square; above, by FFT.
const MAX_MATRIX_SIDE: usize = 1024;

/// The cosine transform (DCT-II) of each plane, orthonormal.
///
/// Frequencies are stored as `[plane][x frequency][y frequency]`, with the even frequencies of each axis before the odd ones, because
/// that saves passes over the data. [`Cosines::frequency`] gives the frequency of a stored value.
pub struct Cosines {
    planes: usize,
    /// Height and width.
    size: [usize; 2],
    method: Method,
}

enum Method {
    /// Lines along y and along x.
    Matrices(Box<[Line; 2]>),
    /// Along y and along x, one line at a time.
    Fft([Arc<dyn TransformType2And3<f64>>; 2]),
}

/// The transform of lines of `n` values. Even frequencies depend on the sums of values at mirrored places only, odd ones on the
/// differences, which halves the matrices.
struct Line {
    n: usize,
    even: PackedMatrix,
    odd: PackedMatrix,
    even_back: PackedMatrix,
    odd_back: PackedMatrix,
}

impl Line {
    fn new(n: usize) -> Self {
        let cosine = |k: usize, j: usize| {
            let scale = (2.0 / n as f64).sqrt() * if k == 0 { FRAC_1_SQRT_2 } else { 1.0 };
            (scale * (PI * (j as f64 + 0.5) * k as f64 / n as f64).cos()) as f32
        };
        let (even, odd) = (n.div_ceil(2), n / 2);
        Self {
            n,
            even: PackedMatrix::new([even; 2], |j, m| cosine(2 * m, j)),
            odd: PackedMatrix::new([odd; 2], |j, m| cosine(2 * m + 1, j)),
            even_back: PackedMatrix::new([even; 2], |m, j| cosine(2 * m, j)),
            odd_back: PackedMatrix::new([odd; 2], |m, j| cosine(2 * m + 1, j)),
        }
    }

    /// The numbers of even and of odd frequencies.
    fn halves(&self) -> [usize; 2] {
        [self.n.div_ceil(2), self.n / 2]
    }

    /// Transforms rows of `n` values in place.
    fn forward(&self, rows: &mut [f32]) {
        let [even, odd] = self.halves();
        let count = rows.len() / self.n;
        let mut sums = vec![0.0; count * even];
        let mut differences = vec![0.0; count * odd];
        for ((row, sums), differences) in
            rows.chunks_exact(self.n).zip(sums.chunks_exact_mut(even)).zip(differences.chunks_exact_mut(odd))
        {
            let (first, second) = row.split_at(even);
            for (((s, d), a), b) in sums.iter_mut().zip(differences).zip(first).zip(second.iter().rev()) {
                (*s, *d) = (a + b, a - b);
            }
            if even > odd {
                sums[odd] = first[odd];
            }
        }
        let (width, odd_width) = (self.even.width(), self.odd.width());
        let mut found = vec![0.0; count * width.max(odd_width)];
        self.even.multiply(&sums, even, count, &mut found, width);
        for (row, found) in rows.chunks_exact_mut(self.n).zip(found.chunks_exact(width)) {
            row[..even].copy_from_slice(&found[..even]);
        }
        self.odd.multiply(&differences, odd, count, &mut found, odd_width);
        for (row, found) in rows.chunks_exact_mut(self.n).zip(found.chunks_exact(odd_width)) {
            row[even..].copy_from_slice(&found[..odd]);
        }
    }

    /// The inverse (and transpose) of [`Line::forward`].
    fn backward(&self, rows: &mut [f32]) {
        let [even, odd] = self.halves();
        let count = rows.len() / self.n;
        let (width, odd_width) = (self.even.width(), self.odd.width());
        let mut sums = vec![0.0; count * width];
        let mut differences = vec![0.0; count * odd_width];
        self.even_back.multiply(rows, self.n, count, &mut sums, width);
        self.odd_back.multiply(&rows[even..], self.n, count, &mut differences, odd_width);
        for ((row, sums), differences) in
            rows.chunks_exact_mut(self.n).zip(sums.chunks_exact(width)).zip(differences.chunks_exact(odd_width))
        {
            let (first, second) = row.split_at_mut(even);
            for (((s, d), a), b) in sums.iter().zip(&differences[..odd]).zip(&mut *first).zip(second.iter_mut().rev()) {
                (*a, *b) = (s + d, s - d);
            }
            if even > odd {
                first[odd] = sums[odd];
            }
        }
    }

    /// The frequency at a position of a row.
    fn frequency(&self, position: usize) -> usize {
        let even = self.n.div_ceil(2);
        if position < even { 2 * position } else { 2 * (position - even) + 1 }
    }
}

impl Cosines {
    pub fn new((planes, size): (usize, [usize; 2])) -> Self {
        let method = if size[0].min(size[1]) > 1 && size[0].max(size[1]) <= MAX_MATRIX_SIDE {
            Method::Matrices(Box::new(size.map(Line::new)))
        } else {
            let mut planner = DctPlanner::new();
            Method::Fft(size.map(|n| planner.plan_dct2(n) as Arc<dyn TransformType2And3<f64>>))
        };
        Self { planes, size, method }
    }

    pub fn planes(&self) -> usize {
        self.planes
    }

    /// Height and width.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// The values of one plane.
    pub fn area(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// The y and the x frequency, in half cycles per side, of value `at` of a plane of frequencies.
    pub fn frequency(&self, at: usize) -> [usize; 2] {
        let [height, width] = self.size;
        match &self.method {
            Method::Matrices(lines) => [lines[0].frequency(at % height), lines[1].frequency(at / height)],
            Method::Fft(_) => [at / width, at % width],
        }
    }

    /// Transforms `values` to frequencies. `rows` first changes rows of pixels in place, as in [`Cosines::for_each_rows`];
    /// `finish(first, values)` then changes frequencies from index `first` on.
    pub fn to_frequencies(
        &self,
        mut values: Vec<f32>,
        rows: impl Fn(usize, &mut [&mut [f32]]) + Sync,
        finish: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Vec<f32> {
        match &self.method {
            Method::Matrices(lines) => {
                let [y, x] = &**lines;
                self.for_each_rows(&mut values, |first, chunks| {
                    rows(first, chunks);
                    chunks.iter_mut().for_each(|chunk| x.forward(chunk));
                });
                self.transposed(&values, self.size, |first, rows| {
                    y.forward(rows);
                    finish(first, rows);
                })
            }
            Method::Fft(transforms) => {
                self.for_each_rows(&mut values, |first, chunks| rows(first, chunks));
                self.for_each_line(&mut values, transforms, |transform, line, scratch| {
                    transform.process_dct2_with_scratch(line, scratch);
                    let scale = (2.0 / line.len() as f64).sqrt();
                    line.iter_mut().for_each(|v| *v *= scale);
                    line[0] *= FRAC_1_SQRT_2;
                });
                let size = ROWS * self.size[1];
                for_each_chunk(&mut values, size, |i, chunk| finish(i * size, chunk));
                values
            }
        }
    }

    /// The inverse (and transpose) of [`Cosines::to_frequencies`]: `begin` changes the frequencies, `rows` the rows of pixels.
    pub fn to_pixels(
        &self,
        mut values: Vec<f32>,
        begin: impl Fn(usize, &mut [f32]) + Sync,
        rows: impl Fn(usize, &mut [&mut [f32]]) + Sync,
    ) -> Vec<f32> {
        let [height, width] = self.size;
        match &self.method {
            Method::Matrices(lines) => {
                let [y, x] = &**lines;
                let size = ROWS * height;
                for_each_chunk(&mut values, size, |i, chunk| {
                    begin(i * size, chunk);
                    y.backward(chunk);
                });
                let mut values = self.transposed(&values, [width, height], |_, rows| x.backward(rows));
                self.for_each_rows(&mut values, rows);
                values
            }
            Method::Fft(transforms) => {
                let size = ROWS * width;
                for_each_chunk(&mut values, size, |i, chunk| begin(i * size, chunk));
                self.for_each_line(&mut values, transforms, |transform, line, scratch| {
                    let scale = (2.0 / line.len() as f64).sqrt();
                    line.iter_mut().for_each(|v| *v *= scale);
                    line[0] *= std::f64::consts::SQRT_2;
                    transform.process_dct3_with_scratch(line, scratch);
                });
                self.for_each_rows(&mut values, rows);
                values
            }
        }
    }

    /// Calls `work(first, chunks)` with some rows of pixels of all planes; `first` is the index of their first pixel in a plane.
    pub fn for_each_rows(&self, values: &mut [f32], work: impl Fn(usize, &mut [&mut [f32]]) + Sync) {
        let size = ROWS * self.size[1];
        for_each_chunk_of_planes(values, self.planes, size, |i, chunks| work(i * size, chunks));
    }

    /// The transposed planes of `[height, width]` values; `work(first, rows)` changes some rows of the result, from index `first` on.
    fn transposed(
        &self,
        values: &[f32],
        [height, width]: [usize; 2],
        work: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Vec<f32> {
        let mut transposed = vec![0.0; values.len()];
        let size = ROWS * height;
        for_each_chunk(&mut transposed, size, |i, rows| {
            for (row, to) in rows.chunks_exact_mut(height).enumerate() {
                let row = i * ROWS + row;
                let from = &values[row / width * height * width + row % width..];
                to.iter_mut().zip(from.iter().step_by(width)).for_each(|(to, &v)| *to = v);
            }
            work(i * size, rows);
        });
        transposed
    }

    fn for_each_line(
        &self,
        values: &mut [f32],
        [y, x]: &[Arc<dyn TransformType2And3<f64>>; 2],
        line: impl Fn(&dyn TransformType2And3<f64>, &mut [f64], &mut [f64]) + Sync,
    ) {
        let [height, width] = self.size;
        let area = self.area();
        for_each_chunk(values, area, |_, plane| {
            let mut exact: Vec<f64> = plane.iter().map(|&v| f64::from(v)).collect();
            let mut scratch = vec![0.0; x.get_scratch_len().max(y.get_scratch_len())];
            exact.chunks_mut(width).for_each(|row| line(&**x, row, &mut scratch[..x.get_scratch_len()]));
            if height > 1 {
                let mut column = vec![0.0; height];
                for i in 0..width {
                    column.iter_mut().enumerate().for_each(|(j, v)| *v = exact[j * width + i]);
                    line(&**y, &mut column, &mut scratch[..y.get_scratch_len()]);
                    column.iter().enumerate().for_each(|(j, &v)| exact[j * width + i] = v);
                }
            }
            plane.iter_mut().zip(exact).for_each(|(to, v)| *to = v as f32);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37) % 101) as f32 / 101.0 - 0.4).collect()
    }

    fn frequencies(cosines: &Cosines, values: Vec<f32>) -> Vec<f32> {
        cosines.to_frequencies(values, |_, _| {}, |_, _| {})
    }

    #[test]
    fn the_transform_is_the_sum_of_cosines() {
        for size in [[6, 9], [31, 40], [2, 2], [1, 12]] {
            let cosines = Cosines::new((2, size));
            let values = ramp(2 * cosines.area());
            let found = frequencies(&cosines, values.clone());
            let basis = |k: usize, j: usize, n: usize| {
                let scale = (if k == 0 { 1.0 } else { 2.0 } / n as f64).sqrt();
                scale * (PI * (j as f64 + 0.5) * k as f64 / n as f64).cos()
            };
            for (at, &found) in found.iter().enumerate() {
                let (plane, [ky, kx]) = (at / cosines.area(), cosines.frequency(at % cosines.area()));
                let pixels = values[plane * cosines.area()..].iter().take(cosines.area()).enumerate();
                let sum: f64 = pixels
                    .map(|(i, &v)| f64::from(v) * basis(ky, i / size[1], size[0]) * basis(kx, i % size[1], size[1]))
                    .sum();
                assert!((f64::from(found) - sum).abs() < 1e-5, "{size:?} at {at}: {found} and {sum}");
            }
        }
    }

    #[test]
    fn to_pixels_undoes_to_frequencies_and_both_keep_the_norm() {
        for (planes, size) in [(1, [1, 500]), (3, [6, 9]), (3, [57, 30]), (2, [1, 1]), (1, [1500, 3])] {
            let cosines = Cosines::new((planes, size));
            let values = ramp(planes * cosines.area());
            let found = frequencies(&cosines, values.clone());
            let norm = |v: &[f32]| v.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
            assert!((norm(&values) / norm(&found) - 1.0).abs() < 1e-5, "{size:?}");
            let back = cosines.to_pixels(found, |_, _| {}, |_, _| {});
            assert!(values.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-5), "{size:?}");
        }
    }

    #[test]
    fn the_functions_receive_rows_and_frequencies_in_order() {
        let cosines = Cosines::new((2, [40, 5]));
        let mut values = ramp(400);
        values.iter_mut().enumerate().for_each(|(i, v)| *v = (i % 200) as f32);
        let rows = |first: usize, chunks: &mut [&mut [f32]]| {
            for chunk in chunks {
                chunk.iter_mut().enumerate().for_each(|(i, v)| *v -= (first + i) as f32);
            }
        };
        let found = cosines.to_frequencies(values, rows, |first, values| {
            values.iter_mut().enumerate().for_each(|(i, v)| *v += (first + i) as f32);
        });
        assert!(found.iter().enumerate().all(|(i, &v)| (v - i as f32).abs() < 1e-3));
    }
}
