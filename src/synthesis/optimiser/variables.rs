//! The variables that L-BFGS works on: a box, and weighted spatial frequencies.

use std::sync::Arc;

use rayon::prelude::*;
use rustdct::{DctPlanner, TransformType2And3};

/// Pixels are kept this far from 0 and 1, where a sigmoid has no slope left to come back by.
const MARGIN: f64 = 2e-3;

pub fn sigmoid(u: f64) -> f64 {
    1.0 / (1.0 + (-u).exp())
}

pub fn logit(x: f64) -> f64 {
    let x = x.clamp(MARGIN, 1.0 - MARGIN);
    (x / (1.0 - x)).ln()
}

/// The orthonormal cosine transform of each plane of a picture.
pub struct Cosines {
    planes: usize,
    size: [usize; 2],
    rows: Arc<dyn TransformType2And3<f64>>,
    columns: Arc<dyn TransformType2And3<f64>>,
}

impl Cosines {
    pub fn new((planes, size): (usize, [usize; 2])) -> Self {
        let mut planner = DctPlanner::new();
        let (columns, rows) = (planner.plan_dct2(size[0]), planner.plan_dct2(size[1]));
        Self { planes, size, rows, columns }
    }

    /// Pixels to frequencies, in place.
    pub fn forward(&self, values: &mut [f64]) {
        self.each_plane(values, |transform, line| {
            transform.process_dct2(line);
            let scale = (2.0 / line.len() as f64).sqrt();
            line.iter_mut().for_each(|v| *v *= scale);
            line[0] *= std::f64::consts::FRAC_1_SQRT_2;
        });
    }

    /// Frequencies to pixels, in place; the transpose and the inverse of [`Cosines::forward`].
    pub fn backward(&self, values: &mut [f64]) {
        self.each_plane(values, |transform, line| {
            let scale = (2.0 / line.len() as f64).sqrt();
            line.iter_mut().for_each(|v| *v *= scale);
            line[0] *= std::f64::consts::SQRT_2;
            transform.process_dct3(line);
        });
    }

    fn each_plane(&self, values: &mut [f64], line: impl Fn(&dyn TransformType2And3<f64>, &mut [f64]) + Sync) {
        let [height, width] = self.size;
        values.par_chunks_mut(height * width).for_each(|plane| {
            plane.chunks_mut(width).for_each(|row| line(&*self.rows, row));
            let mut turned = transpose(plane, width);
            turned.chunks_mut(height).for_each(|column| line(&*self.columns, column));
            plane.copy_from_slice(&transpose(&turned, height));
        });
    }

    /// The spatial frequency of each coefficient of one plane, in cycles a picture along the shorter side; at least 1/2.
    pub fn frequencies(&self) -> Vec<f64> {
        let [height, width] = self.size;
        let shorter = height.min(width) as f64;
        let cycles = |k: usize, n: usize| k as f64 / 2.0 * shorter / n as f64;
        let rows = (0..height).flat_map(|i| (0..width).map(move |j| (i, j)));
        rows.map(|(i, j)| cycles(i, height).hypot(cycles(j, width)).max(0.5)).collect()
    }

    pub fn planes(&self) -> usize {
        self.planes
    }

    /// Height and width of a plane.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }
}

fn transpose(values: &[f64], width: usize) -> Vec<f64> {
    let height = values.len() / width;
    let mut turned = vec![0.0; values.len()];
    for (i, row) in values.chunks(width).enumerate() {
        for (j, &v) in row.iter().enumerate() {
            turned[j * height + i] = v;
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(n: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 37) % 101) as f64 / 101.0).collect()
    }

    #[test]
    fn backward_undoes_forward_and_both_keep_the_norm() {
        let cosines = Cosines::new((2, [6, 9]));
        let original = ramp(108);
        let mut values = original.clone();
        cosines.forward(&mut values);
        let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>();
        assert!((norm(&values) - norm(&original)).abs() < 1e-10);
        cosines.backward(&mut values);
        assert!(values.iter().zip(&original).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn a_constant_plane_has_only_the_first_coefficient() {
        let cosines = Cosines::new((1, [4, 5]));
        let mut values = vec![1.0; 20];
        cosines.forward(&mut values);
        assert!((values[0] - 20f64.sqrt()).abs() < 1e-12);
        assert!(values[1..].iter().all(|v| v.abs() < 1e-12));
    }

    #[test]
    fn logit_undoes_sigmoid_inside_the_margin() {
        for x in [0.01, 0.3, 0.5, 0.99] {
            assert!((sigmoid(logit(x)) - x).abs() < 1e-12);
        }
        assert!(logit(0.0).is_finite() && logit(1.0).is_finite());
    }
}
