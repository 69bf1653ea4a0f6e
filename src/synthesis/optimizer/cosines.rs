//! The orthonormal cosine transform of images and sounds, in single precision.

use std::cell::RefCell;
use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};
use std::sync::Arc;

use rustdct::{DctPlanner, TransformType2And3};

use super::planes::Planes;
use crate::engine::vectors::Spare;
use crate::engine::{CosineTransform, LANES, transpose};
use crate::parallel::{for_each_chunk, for_each_chunk_of_planes};

/// The longest part of a line that is multiplied with a matrix, which takes time proportional to its square; above, lines are transformed
/// one at a time by FFT.
const MAX_MATRIX_SIZE: usize = 512;

/// The cosine transform (DCT-II) of each plane, orthonormal.
///
/// Frequencies of images are stored as `[plane][x group][y frequency][x frequency]` with groups of 16 x frequencies, the lines that are
/// transformed at once. [`Cosines::frequency`] gives the frequency of a stored value. The functions that a transform takes must not
/// transform themselves.
pub struct Cosines {
    planes: usize,
    /// Height and width.
    size: [usize; 2],
    method: Method,
    spare: Arc<Spare>,
}

enum Method {
    /// Along y and along x, 16 lines at a time.
    Lanes(Box<[CosineTransform; 2]>),
    /// Along y and along x, one line at a time.
    Fft([Arc<dyn TransformType2And3<f64>>; 2]),
}

/// Calls `work` with memory of these sizes, whose values are arbitrary. `work` must not call this function again: it would panic.
fn with_scratch(sizes: [usize; 2], work: impl FnOnce([&mut [f32]; 2])) {
    thread_local! {
        static SCRATCH: RefCell<[Vec<f32>; 2]> = const { RefCell::new([vec![], vec![]]) };
    }
    SCRATCH.with_borrow_mut(|scratch| {
        for (values, size) in scratch.iter_mut().zip(sizes) {
            if values.len() < size {
                values.resize(size, 0.0);
            }
        }
        let [a, b] = scratch;
        work([&mut a[..sizes[0]], &mut b[..sizes[1]]]);
    });
}

impl Cosines {
    pub fn new(Planes { count: planes, size, .. }: Planes, spare: Arc<Spare>) -> Self {
        let is_fast = |&n: &usize| n > 1 && CosineTransform::matrix_size(n) <= MAX_MATRIX_SIZE;
        let method = if size.iter().all(is_fast) {
            Method::Lanes(Box::new(size.map(CosineTransform::new)))
        } else {
            let mut planner = DctPlanner::new();
            Method::Fft(size.map(|n| planner.plan_dct2(n) as Arc<dyn TransformType2And3<f64>>))
        };
        Self { planes, size, method, spare }
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
            Method::Lanes(_) => {
                let first = at / (LANES * height) * LANES;
                let (rest, across) = (at - first * height, LANES.min(width - first));
                [rest / across, first + rest % across]
            }
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
        let [_, width] = self.size;
        let chunk = LANES * width;
        match &self.method {
            Method::Lanes(lines) => {
                let mut lanes = self.spare.take(self.padded());
                self.for_each_group(&mut lanes, |i, lanes, rows, scratch| {
                    pixels(i * chunk, rows);
                    self.forward_along_x(&lines[1], rows, lanes, scratch);
                });
                let frequencies = self.forward_along_y(&lines[0], &lanes, finish);
                self.spare.give(lanes);
                frequencies
            }
            Method::Fft(transforms) => {
                let mut values = self.spare.take(self.planes * self.area());
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
        let chunk = LANES * width;
        match &self.method {
            Method::Lanes(lines) => {
                let columns = self.backward_along_y(&lines[0], frequencies);
                let mut pixels = self.spare.take(self.planes * self.area());
                for_each_chunk_of_planes(&mut pixels, self.planes, chunk, |i, rows| {
                    with_scratch([chunk, chunk], |[lanes, scratch]| {
                        self.backward_along_x(&lines[1], &columns, i, rows, [lanes, scratch]);
                    });
                    finish(i * chunk, rows);
                });
                self.spare.give(columns);
                pixels
            }
            Method::Fft(transforms) => {
                let mut values = self.spare.take(self.planes * self.area());
                let chunk = LANES * width.max(height);
                for_each_chunk(&mut values, chunk, |i, values| frequencies(i * chunk, values));
                self.for_each_line(&mut values, transforms, |transform, line, scratch| {
                    let scale = (2.0 / line.len() as f64).sqrt();
                    line.iter_mut().for_each(|v| *v *= scale);
                    line[0] *= SQRT_2;
                    transform.process_dct3_with_scratch(line, scratch);
                });
                let chunk = LANES * width;
                for_each_chunk_of_planes(&mut values, self.planes, chunk, |i, rows| finish(i * chunk, rows));
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
        let Method::Lanes(lines) = &self.method else {
            let values = self.to_pixels(frequencies, pixels);
            let found = self.to_frequencies(|first, rows| self.copy_rows(&values, first, rows), finish);
            self.spare.give(values);
            return found;
        };
        let columns = self.backward_along_y(&lines[0], frequencies);
        let mut lanes = self.spare.take(self.padded());
        self.for_each_group(&mut lanes, |i, lanes, rows, scratch| {
            let free = &mut lanes[..LANES * self.size[1]];
            self.backward_along_x(&lines[1], &columns, i, rows, [free, scratch]);
            pixels(i * LANES * self.size[1], rows);
            self.forward_along_x(&lines[1], rows, lanes, scratch);
        });
        self.spare.give(columns);
        let frequencies = self.forward_along_y(&lines[0], &lanes, finish);
        self.spare.give(lanes);
        frequencies
    }

    /// Writes rows of all planes from pixel `first` of a plane on, from all pixels.
    pub fn copy_rows(&self, pixels: &[f32], first: usize, rows: &mut [&mut [f32]]) {
        for (plane, rows) in rows.iter_mut().enumerate() {
            rows.copy_from_slice(&pixels[plane * self.area() + first..][..rows.len()]);
        }
    }

    /// The size of `[group of 16 rows][plane][x][row]`.
    fn padded(&self) -> usize {
        self.size[0].next_multiple_of(LANES) * self.planes * self.size[1]
    }

    /// Calls `work(group, lanes, rows, scratch)` for each group of 16 rows: `lanes` are its values in `[group][plane][x][row]`, `rows` is
    /// memory for its rows in each plane, fewer in the last group, and `scratch` for a transform along x.
    fn for_each_group(
        &self,
        lanes: &mut [f32],
        work: impl Fn(usize, &mut [f32], &mut [&mut [f32]], &mut [f32]) + Sync,
    ) {
        let [height, width] = self.size;
        let chunk = LANES * width;
        for_each_chunk(lanes, self.planes * chunk, |i, lanes| {
            let count = LANES.min(height - i * LANES) * width;
            with_scratch([self.planes * count, chunk], |[rows, scratch]| {
                let mut rows: Vec<&mut [f32]> = rows.chunks_exact_mut(count).collect();
                work(i, lanes, &mut rows, scratch);
            });
        });
    }

    /// Transforms rows of pixels of all planes along x, to `lanes` of a group.
    fn forward_along_x(&self, x: &CosineTransform, rows: &[&mut [f32]], lanes: &mut [f32], scratch: &mut [f32]) {
        let [_, width] = self.size;
        for (rows, lanes) in rows.iter().zip(lanes.chunks_exact_mut(LANES * width)) {
            transpose(rows, width, [rows.len() / width, width], lanes, LANES);
            x.forward(lanes, scratch);
        }
    }

    /// Transforms the frequencies along x of group `i` of 16 rows back, to rows of pixels of all planes.
    fn backward_along_x(
        &self,
        x: &CosineTransform,
        columns: &[f32],
        i: usize,
        rows: &mut [&mut [f32]],
        [lanes, scratch]: [&mut [f32]; 2],
    ) {
        let [height, width] = self.size;
        for (plane, rows) in rows.iter_mut().enumerate() {
            let count = rows.len() / width;
            for first in (0..width).step_by(LANES) {
                let across = LANES.min(width - first);
                let from = &columns[plane * self.area() + first * height + i * LANES * across..];
                transpose(from, across, [count, across], &mut lanes[first * LANES..], LANES);
            }
            x.backward(lanes, scratch);
            transpose(lanes, LANES, [width, count], rows, width);
        }
    }

    /// Transforms all lanes along y, to frequencies.
    fn forward_along_y(
        &self,
        y: &CosineTransform,
        lanes: &[f32],
        finish: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Vec<f32> {
        let [height, width] = self.size;
        let chunk = LANES * height;
        let mut frequencies = self.spare.take(self.planes * self.area());
        for_each_chunk_of_planes(&mut frequencies, self.planes, chunk, |i, groups| {
            with_scratch([chunk, chunk], |[values, scratch]| {
                for (plane, group) in groups.iter_mut().enumerate() {
                    let across = group.len() / height;
                    let transform = |values: &mut [f32], scratch: &mut [f32]| {
                        for first in (0..height).step_by(LANES) {
                            let from = &lanes[(first * self.planes + plane * LANES) * width + i * LANES * LANES..];
                            let count = LANES.min(height - first);
                            transpose(from, LANES, [across, count], &mut values[first * LANES..], LANES);
                        }
                        y.forward(values, scratch);
                    };
                    if across == LANES {
                        transform(group, scratch);
                    } else {
                        transform(values, scratch);
                        copy_lanes(values, LANES, group, across);
                    }
                    finish(plane * self.area() + i * chunk, group);
                }
            });
        });
        frequencies
    }

    /// Transforms frequencies along y back: `[plane][x group][y][x frequency]`.
    fn backward_along_y(&self, y: &CosineTransform, frequencies: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
        let [height, _] = self.size;
        let chunk = LANES * height;
        let mut columns = self.spare.take(self.planes * self.area());
        for_each_chunk_of_planes(&mut columns, self.planes, chunk, |i, groups| {
            with_scratch([chunk, chunk], |[values, scratch]| {
                for (plane, group) in groups.iter_mut().enumerate() {
                    let across = group.len() / height;
                    frequencies(plane * self.area() + i * chunk, group);
                    if across == LANES {
                        y.backward(group, scratch);
                    } else {
                        copy_lanes(group, across, values, LANES);
                        y.backward(values, scratch);
                        copy_lanes(values, LANES, group, across);
                    }
                }
            });
        });
        columns
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

/// Copies as many values of each line as both have; lines are `stride` apart.
fn copy_lanes(from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize) {
    let count = from_stride.min(to_stride);
    for (from, to) in from.chunks_exact(from_stride).zip(to.chunks_exact_mut(to_stride)) {
        to[..count].copy_from_slice(&from[..count]);
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    /// Memory that holds no valid values.
    fn used_memory() -> Arc<Spare> {
        let spare = Arc::<Spare>::default();
        (0..4).for_each(|_| spare.give(vec![f32::NAN; 5000]));
        spare
    }

    fn ramp(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37) % 101) as f32 / 101.0 - 0.4).collect()
    }

    fn frequencies(cosines: &Cosines, values: Vec<f32>) -> Vec<f32> {
        cosines.to_frequencies(|first, rows| cosines.copy_rows(&values, first, rows), |_, _| {})
    }

    #[test]
    fn the_transform_is_the_sum_of_cosines() {
        for size in [[6, 9], [31, 40], [2, 2], [1, 12], [521, 3], [3, 521]] {
            let cosines = Cosines::new(Planes::of_image(2, size), used_memory());
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
        let sizes =
            [(1, [1, 500]), (3, [6, 9]), (3, [57, 30]), (2, [1, 1]), (1, [1500, 3]), (1, [521, 3]), (3, [3, 521])];
        for (planes, size) in sizes {
            let cosines = Cosines::new(Planes::of_image(planes, size), used_memory());
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
        let cosines = Cosines::new(Planes::of_image(2, [40, 5]), Arc::default());
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
