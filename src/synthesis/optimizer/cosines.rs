//! The orthonormal cosine transform of images and sounds, in single precision.

use std::cell::RefCell;
use std::f64::consts::{FRAC_1_SQRT_2, PI};
use std::sync::{Arc, Mutex, PoisonError};

use rustdct::{DctPlanner, TransformType2And3};

use crate::engine::PackedMatrix;
use crate::engine::parallel::{for_each_chunk, for_each_chunk_of_planes};

/// Rows of a task: two tiles of the matrix product.
const ROWS: usize = 28;

/// Values of a row that are transposed at a time, so that the lines that they come from stay in the cache.
const TRANSPOSED: usize = 8;

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
    /// The values between the two directions of the last transform: memory for the next one.
    between: Mutex<Vec<f32>>,
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
        let (width, odd_width) = (self.even.width(), self.odd.width());
        with_scratch([count * even, count * odd, count * width.max(odd_width)], |[sums, differences, found]| {
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
            if (width, odd_width) == (even, odd) {
                self.even.multiply(sums, even, count, rows, self.n);
                return self.odd.multiply(differences, odd, count, &mut rows[even..], self.n);
            }
            // Products are wider than their rows, and would overlap.
            self.even.multiply(sums, even, count, found, width);
            for (row, found) in rows.chunks_exact_mut(self.n).zip(found.chunks_exact(width)) {
                row[..even].copy_from_slice(&found[..even]);
            }
            self.odd.multiply(differences, odd, count, found, odd_width);
            for (row, found) in rows.chunks_exact_mut(self.n).zip(found.chunks_exact(odd_width)) {
                row[even..].copy_from_slice(&found[..odd]);
            }
        });
    }

    /// The inverse (and transpose) of [`Line::forward`].
    fn backward(&self, rows: &mut [f32]) {
        let [even, odd] = self.halves();
        let count = rows.len() / self.n;
        let (width, odd_width) = (self.even.width(), self.odd.width());
        with_scratch([count * width, count * odd_width, 0], |[sums, differences, _]| {
            self.even_back.multiply(rows, self.n, count, sums, width);
            self.odd_back.multiply(&rows[even..], self.n, count, differences, odd_width);
            for ((row, sums), differences) in
                rows.chunks_exact_mut(self.n).zip(sums.chunks_exact(width)).zip(differences.chunks_exact(odd_width))
            {
                let (first, second) = row.split_at_mut(even);
                for (((s, d), a), b) in
                    sums.iter().zip(&differences[..odd]).zip(&mut *first).zip(second.iter_mut().rev())
                {
                    (*a, *b) = (s + d, s - d);
                }
                if even > odd {
                    first[odd] = sums[odd];
                }
            }
        });
    }

    /// The frequency at a position of a row.
    fn frequency(&self, position: usize) -> usize {
        let even = self.n.div_ceil(2);
        if position < even { 2 * position } else { 2 * (position - even) + 1 }
    }
}

/// Calls `work` with memory of these sizes, whose values are arbitrary.
fn with_scratch(sizes: [usize; 3], work: impl FnOnce([&mut [f32]; 3])) {
    thread_local! {
        static SCRATCH: RefCell<[Vec<f32>; 3]> = const { RefCell::new([vec![], vec![], vec![]]) };
    }
    SCRATCH.with_borrow_mut(|scratch| {
        for (values, size) in scratch.iter_mut().zip(sizes) {
            if values.len() < size {
                values.resize(size, 0.0);
            }
        }
        let [a, b, c] = scratch;
        work([&mut a[..sizes[0]], &mut b[..sizes[1]], &mut c[..sizes[2]]]);
    });
}

impl Cosines {
    pub fn new((planes, size): (usize, [usize; 2])) -> Self {
        let method = if size[0].min(size[1]) > 1 && size[0].max(size[1]) <= MAX_MATRIX_SIDE {
            Method::Matrices(Box::new(size.map(Line::new)))
        } else {
            let mut planner = DctPlanner::new();
            Method::Fft(size.map(|n| planner.plan_dct2(n) as Arc<dyn TransformType2And3<f64>>))
        };
        Self { planes, size, method, between: Mutex::new(vec![]) }
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

    /// Transforms pixels to frequencies. `pixels(first, rows)` writes some rows of pixels of all planes, over values that are arbitrary;
    /// `first` is the index of their first pixel in a plane. `finish(first, values)` then changes frequencies from index `first` on.
    pub fn to_frequencies(
        &self,
        pixels: impl Fn(usize, &mut [&mut [f32]]) + Sync,
        finish: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Vec<f32> {
        let [height, width] = self.size;
        let chunk = ROWS * width;
        match &self.method {
            Method::Matrices(lines) => {
                let [y, x] = &**lines;
                let mut values = self.take_between();
                for_each_chunk_of_planes(&mut values, self.planes, chunk, |i, chunks| {
                    pixels(i * chunk, chunks);
                    chunks.iter_mut().for_each(|rows| x.forward(rows));
                });
                let mut frequencies = vec![0.0; values.len()];
                let chunk = ROWS * height;
                for_each_chunk(&mut frequencies, chunk, |i, rows| {
                    transpose(&values, self.size, i * chunk, rows);
                    y.forward(rows);
                    finish(i * chunk, rows);
                });
                self.give_between(values);
                frequencies
            }
            Method::Fft(transforms) => {
                let mut values = vec![0.0; self.planes * self.area()];
                for_each_chunk_of_planes(&mut values, self.planes, chunk, |i, chunks| pixels(i * chunk, chunks));
                self.for_each_line(&mut values, transforms, |transform, line, scratch| {
                    transform.process_dct2_with_scratch(line, scratch);
                    let scale = (2.0 / line.len() as f64).sqrt();
                    line.iter_mut().for_each(|v| *v *= scale);
                    line[0] *= FRAC_1_SQRT_2;
                });
                for_each_chunk(&mut values, chunk, |i, values| finish(i * chunk, values));
                values
            }
        }
    }

    /// The inverse (and transpose) of [`Cosines::to_frequencies`]: `frequencies(first, values)` writes frequencies from index `first` on,
    /// over values that are arbitrary; `finish(first, rows)` then changes rows of pixels of all planes.
    pub fn to_pixels(
        &self,
        frequencies: impl Fn(usize, &mut [f32]) + Sync,
        finish: impl Fn(usize, &mut [&mut [f32]]) + Sync,
    ) -> Vec<f32> {
        let [height, width] = self.size;
        let rows_of_pixels = ROWS * width;
        match &self.method {
            Method::Matrices(lines) => {
                let [y, x] = &**lines;
                let mut values = self.take_between();
                let chunk = ROWS * height;
                for_each_chunk(&mut values, chunk, |i, rows| {
                    frequencies(i * chunk, rows);
                    y.backward(rows);
                });
                let mut pixels = vec![0.0; values.len()];
                for_each_chunk_of_planes(&mut pixels, self.planes, rows_of_pixels, |i, chunks| {
                    for (plane, rows) in chunks.iter_mut().enumerate() {
                        transpose(&values, [width, height], plane * self.area() + i * rows_of_pixels, rows);
                        x.backward(rows);
                    }
                    finish(i * rows_of_pixels, chunks);
                });
                self.give_between(values);
                pixels
            }
            Method::Fft(transforms) => {
                let mut values = vec![0.0; self.planes * self.area()];
                for_each_chunk(&mut values, rows_of_pixels, |i, values| frequencies(i * rows_of_pixels, values));
                self.for_each_line(&mut values, transforms, |transform, line, scratch| {
                    let scale = (2.0 / line.len() as f64).sqrt();
                    line.iter_mut().for_each(|v| *v *= scale);
                    line[0] *= std::f64::consts::SQRT_2;
                    transform.process_dct3_with_scratch(line, scratch);
                });
                for_each_chunk_of_planes(&mut values, self.planes, rows_of_pixels, |i, chunks| {
                    finish(i * rows_of_pixels, chunks);
                });
                values
            }
        }
    }

    /// As [`Cosines::to_pixels`] and back: `pixels` changes rows of pixels of all planes, `finish` the new frequencies.
    pub fn through_pixels(
        &self,
        frequencies: impl Fn(usize, &mut [f32]) + Sync,
        pixels: impl Fn(usize, &mut [&mut [f32]]) + Sync,
        finish: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Vec<f32> {
        let Method::Matrices(lines) = &self.method else {
            let values = self.to_pixels(frequencies, pixels);
            return self.to_frequencies(|first, rows| self.copy_rows(&values, first, rows), finish);
        };
        let [y, x] = &**lines;
        let [height, width] = self.size;
        let (columns, rows_of_pixels) = (ROWS * height, ROWS * width);
        let mut values = self.take_between();
        for_each_chunk(&mut values, columns, |i, rows| {
            frequencies(i * columns, rows);
            y.backward(rows);
        });
        let mut changed = vec![0.0; values.len()];
        for_each_chunk_of_planes(&mut changed, self.planes, rows_of_pixels, |i, chunks| {
            for (plane, rows) in chunks.iter_mut().enumerate() {
                transpose(&values, [width, height], plane * self.area() + i * rows_of_pixels, rows);
                x.backward(rows);
            }
            pixels(i * rows_of_pixels, chunks);
            chunks.iter_mut().for_each(|rows| x.forward(rows));
        });
        for_each_chunk(&mut values, columns, |i, rows| {
            transpose(&changed, self.size, i * columns, rows);
            y.forward(rows);
            finish(i * columns, rows);
        });
        self.give_between(changed);
        values
    }

    /// Writes rows of all planes from pixel `first` of a plane on, from all pixels.
    pub fn copy_rows(&self, pixels: &[f32], first: usize, rows: &mut [&mut [f32]]) {
        for (plane, rows) in rows.iter_mut().enumerate() {
            rows.copy_from_slice(&pixels[plane * self.area() + first..][..rows.len()]);
        }
    }

    fn take_between(&self) -> Vec<f32> {
        let mut values = std::mem::take(&mut *self.between.lock().unwrap_or_else(PoisonError::into_inner));
        values.resize(self.planes * self.area(), 0.0);
        values
    }

    fn give_between(&self, values: Vec<f32>) {
        *self.between.lock().unwrap_or_else(PoisonError::into_inner) = values;
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

/// Writes `rows` of the transposed planes of `[height, width]` values, from index `first` of the result on.
fn transpose(values: &[f32], [height, width]: [usize; 2], first: usize, rows: &mut [f32]) {
    let (mut row, mut rest) = (first / height, rows);
    while !rest.is_empty() {
        let (plane, column) = (row / width, row % width);
        // The rows may be columns of several planes.
        let count = (width - column).min(rest.len() / height);
        let (rows, after) = rest.split_at_mut(count * height);
        let plane = &values[plane * height * width..][..height * width];
        for y in (0..height).step_by(TRANSPOSED) {
            for (i, row) in rows.chunks_exact_mut(height).enumerate() {
                let from = plane[y * width + column + i..].iter().step_by(width);
                row[y..].iter_mut().take(TRANSPOSED).zip(from).for_each(|(to, &v)| *to = v);
            }
        }
        (row, rest) = (row + count, after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37) % 101) as f32 / 101.0 - 0.4).collect()
    }

    fn frequencies(cosines: &Cosines, values: Vec<f32>) -> Vec<f32> {
        cosines.to_frequencies(|first, rows| cosines.copy_rows(&values, first, rows), |_, _| {})
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
            let copy = |first: usize, values: &mut [f32]| values.copy_from_slice(&found[first..][..values.len()]);
            let back = cosines.to_pixels(copy, |_, _| {});
            assert!(values.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-5), "{size:?}");
            let halve = |_: usize, rows: &mut [&mut [f32]]| {
                rows.iter_mut().flat_map(|rows| rows.iter_mut()).for_each(|v| *v *= 0.5);
            };
            let halved = cosines.through_pixels(copy, halve, |_, _| {});
            assert!(found.iter().zip(&halved).all(|(a, b)| (0.5 * a - b).abs() < 1e-5), "{size:?}");
        }
    }

    #[test]
    fn the_functions_receive_rows_and_frequencies_in_order() {
        let cosines = Cosines::new((2, [40, 5]));
        let mut values = ramp(400);
        values.iter_mut().enumerate().for_each(|(i, v)| *v = (i % 200) as f32);
        let rows = |first: usize, chunks: &mut [&mut [f32]]| {
            cosines.copy_rows(&values, first, chunks);
            for chunk in chunks {
                chunk.iter_mut().enumerate().for_each(|(i, v)| *v -= (first + i) as f32);
            }
        };
        let found = cosines.to_frequencies(rows, |first, values| {
            values.iter_mut().enumerate().for_each(|(i, v)| *v += (first + i) as f32);
        });
        assert!(found.iter().enumerate().all(|(i, &v)| (v - i as f32).abs() < 1e-3));
    }
}
