//! An adaptive preconditioner: the curvature of the loss for each frequency band and each cell of the image, estimated during the run.

use super::parametrization::Parametrization;

/// The weight of a pair of step and gradient change relative to the next pair.
const DECAY: f64 = 0.9;

/// Regularisation: the fraction of the mean added to each cell, so that noisy cells cannot give extreme ratios. A band averages over
/// many more values and needs less.
const CELL_REGULARIZATION: f64 = 0.05;
const BAND_REGULARIZATION: f64 = 1e-4;

/// A positive definite estimate of the inverse Hessian, `B^(1/2) P B^(1/2)`, the initial matrix of the two-loop recursion.
///
/// `B` is diagonal in the frequencies, with one value for each band, and `P` is diagonal in the pixels, with one value for each cell.
/// Each value is `norm2(s) / norm2(y)` within the band or cell, over the recent steps `s` and gradient changes `y`. The usual estimate
/// is a multiple of the identity; a network is far more sensitive to some frequencies, colors and places than to others.
pub struct Preconditioner {
    /// Decayed sums of `s^2 / s'y` and `y^2 / s'y`.
    pub bands: Vec<[f64; 2]>,
    pub cells: Vec<[f64; 2]>,
    /// The scale at which the estimate is exact along the newest pair.
    pub scale: f64,
}

impl Preconditioner {
    /// The identity.
    pub fn new(parametrization: &Parametrization) -> Self {
        let zeros = |indices: &[u32]| vec![[0.0; 2]; indices.iter().max().map_or(0, |&last| last as usize + 1)];
        Self { bands: zeros(parametrization.bands()), cells: zeros(parametrization.cells()), scale: 1.0 }
    }

    /// Updates the estimate by a step `s` and a gradient change `y` with `s'y > 0`.
    pub fn update(&mut self, s: &[f64], y: &[f64], sy: f64, parametrization: &Parametrization) {
        add(&mut self.bands, s, y, sy, parametrization.bands());
        let roots = roots(&self.bands, parametrization.bands());
        let mut s: Vec<f64> = s.iter().zip(&roots).map(|(s, r)| s / r).collect();
        let mut y: Vec<f64> = y.iter().zip(&roots).map(|(y, r)| y * r).collect();
        parametrization.to_pixels(&mut s);
        parametrization.to_pixels(&mut y);
        add(&mut self.cells, &s, &y, sy, parametrization.cells());
        let gains = ratios(&self.cells, CELL_REGULARIZATION);
        let estimate: f64 = y.iter().zip(parametrization.cells()).map(|(y, &cell)| gains[cell as usize] * y * y).sum();
        self.scale = sy / estimate;
    }

    /// Multiplies by the estimate, in place.
    pub fn apply(&self, q: &mut [f64], parametrization: &Parametrization) {
        let roots = roots(&self.bands, parametrization.bands());
        q.iter_mut().zip(&roots).for_each(|(q, r)| *q *= r);
        parametrization.to_pixels(q);
        let gains = ratios(&self.cells, CELL_REGULARIZATION);
        q.iter_mut().zip(parametrization.cells()).for_each(|(q, &cell)| *q *= gains[cell as usize]);
        parametrization.to_frequencies(q);
        q.iter_mut().zip(&roots).for_each(|(q, r)| *q *= self.scale * r);
    }
}

fn add(sums: &mut [[f64; 2]], s: &[f64], y: &[f64], sy: f64, indices: &[u32]) {
    sums.iter_mut().for_each(|sum| *sum = sum.map(|v| DECAY * v));
    for ((s, y), &index) in s.iter().zip(y).zip(indices) {
        let sum = &mut sums[index as usize];
        sum[0] += s * s / sy;
        sum[1] += y * y / sy;
    }
}

/// `norm2(s) / norm2(y)` of each band or cell, relative to the mean.
fn ratios(sums: &[[f64; 2]], regularization: f64) -> Vec<f64> {
    let mean = [0, 1].map(|i| sums.iter().map(|sum| sum[i]).sum::<f64>() / sums.len() as f64);
    if !(mean[0] > 0.0 && mean[1] > 0.0) {
        return vec![1.0; sums.len()];
    }
    let relative = |sum: &[f64; 2], i: usize| sum[i] / mean[i] + regularization;
    sums.iter().map(|sum| (relative(sum, 0) / relative(sum, 1)).sqrt()).collect()
}

fn roots(sums: &[[f64; 2]], indices: &[u32]) -> Vec<f64> {
    let ratios: Vec<f64> = ratios(sums, BAND_REGULARIZATION).iter().map(|r| r.sqrt()).collect();
    indices.iter().map(|&index| ratios[index as usize]).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn noise(n: usize, seed: u64) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..n).map(|_| random.random::<f64>() - 0.5).collect()
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    fn trained(curvature: impl Fn(&Parametrization, &[f64]) -> Vec<f64>) -> (Parametrization, Preconditioner) {
        let parametrization = Parametrization::new((3, [16, 16]), vec![0.0; 768]);
        let mut preconditioner = Preconditioner::new(&parametrization);
        for seed in 1..6 {
            let s = noise(768, seed);
            let y = curvature(&parametrization, &s);
            preconditioner.update(&s, &y, dot(&s, &y), &parametrization);
        }
        (parametrization, preconditioner)
    }

    fn cosine(
        parametrization: &Parametrization,
        preconditioner: &Preconditioner,
        curvature: impl Fn(&Parametrization, &[f64]) -> Vec<f64>,
    ) -> f64 {
        let s = noise(768, 77);
        let mut found = curvature(parametrization, &s);
        preconditioner.apply(&mut found, parametrization);
        dot(&found, &s) / (dot(&found, &found) * dot(&s, &s)).sqrt()
    }

    #[test]
    fn the_estimate_learns_the_curvature_of_bands_and_cells() {
        let by_band = |parametrization: &Parametrization, s: &[f64]| -> Vec<f64> {
            s.iter().zip(parametrization.bands()).map(|(s, &band)| s * 0.6f64.powi(band as i32 % 10)).collect()
        };
        let by_cell = |parametrization: &Parametrization, s: &[f64]| -> Vec<f64> {
            let mut y = s.to_vec();
            parametrization.to_pixels(&mut y);
            y.iter_mut()
                .zip(parametrization.cells())
                .for_each(|(y, &cell)| *y *= if cell % 2 == 0 { 30.0 } else { 1.0 });
            parametrization.to_frequencies(&mut y);
            y
        };
        let (parametrization, preconditioner) = trained(by_band);
        assert!(cosine(&parametrization, &Preconditioner::new(&parametrization), by_band) < 0.7);
        assert!(
            cosine(&parametrization, &preconditioner, by_band) > 0.9,
            "bands {}",
            cosine(&parametrization, &preconditioner, by_band)
        );
        let (parametrization, preconditioner) = trained(by_cell);
        assert!(cosine(&parametrization, &Preconditioner::new(&parametrization), by_cell) < 0.75);
        assert!(
            cosine(&parametrization, &preconditioner, by_cell) > 0.8,
            "cells {}",
            cosine(&parametrization, &preconditioner, by_cell)
        );
    }

    #[test]
    fn the_estimate_is_symmetric_and_exact_along_the_newest_pair() {
        let curvature =
            |_: &Parametrization, s: &[f64]| s.iter().enumerate().map(|(i, s)| s * (1 + i % 5) as f64).collect();
        let (parametrization, preconditioner) = trained(curvature);
        let s = noise(768, 5);
        let y: Vec<f64> = curvature(&parametrization, &s);
        let mut estimate = y.clone();
        preconditioner.apply(&mut estimate, &parametrization);
        assert!((dot(&estimate, &y) / dot(&s, &y) - 1.0).abs() < 1e-9);
        let (a, b) = (noise(768, 8), noise(768, 9));
        let (mut ma, mut mb) = (a.clone(), b.clone());
        preconditioner.apply(&mut ma, &parametrization);
        preconditioner.apply(&mut mb, &parametrization);
        assert!((dot(&ma, &b) - dot(&a, &mb)).abs() < 1e-9 * dot(&ma, &a).abs());
        assert!(dot(&ma, &a) > 0.0);
    }

    #[test]
    fn cells_without_curvature_keep_the_estimate_finite_and_positive() {
        let parametrization = Parametrization::new((3, [16, 16]), vec![0.0; 768]);
        let mut preconditioner = Preconditioner::new(&parametrization);
        let mut s = vec![0.0; 768];
        s[3] = 1.0;
        preconditioner.update(&s, &s, 1.0, &parametrization);
        let mut q = noise(768, 1);
        preconditioner.apply(&mut q, &parametrization);
        assert!(q.iter().all(|q| q.is_finite()) && dot(&q, &noise(768, 1)) > 0.0);
    }
}
