//! How strongly the loss curves along bands of frequencies and in parts of the picture, learnt on the way.

use super::parametrization::Parametrization;

/// What an older pair of steps and gradient changes counts beside the one after it.
const DECAY: f64 = 0.9;

/// How much of the mean stands in each cell, so that no ratio is one of two noises. A band has far more to average.
const CELL_SHARE: f64 = 0.05;
const BAND_SHARE: f64 = 1e-4;

/// A positive definite guess of the inverse Hessian, `B^(1/2) P B^(1/2)`, for the two-loop recursion to start from.
///
/// `B` is diagonal in the frequencies, one value a band, and `P` in the pixels, one value a cell. Each value is
/// `norm2(s) / norm2(y)` within the band or cell, over the recent steps `s` and gradient changes `y`. The classical
/// guess is one number for all; a network answers to some frequencies, colours and places far more than to others.
pub struct Preconditioner {
    /// Decayed sums of `s^2 / s'y` and `y^2 / s'y`.
    pub bands: Vec<[f64; 2]>,
    pub cells: Vec<[f64; 2]>,
    /// Makes the guess right along the newest pair.
    pub scale: f64,
}

impl Preconditioner {
    /// As if nothing were known.
    pub fn new(variables: &Parametrization) -> Self {
        let zeros = |of: &[u32]| vec![[0.0; 2]; of.iter().max().map_or(0, |&last| last as usize + 1)];
        Self { bands: zeros(variables.bands()), cells: zeros(variables.cells()), scale: 1.0 }
    }

    /// Learns from a step `s` and gradient change `y` with `s'y > 0`.
    pub fn update(&mut self, s: &[f64], y: &[f64], sy: f64, variables: &Parametrization) {
        add(&mut self.bands, s, y, sy, variables.bands());
        let roots = roots(&self.bands, variables.bands());
        let mut s: Vec<f64> = s.iter().zip(&roots).map(|(s, r)| s / r).collect();
        let mut y: Vec<f64> = y.iter().zip(&roots).map(|(y, r)| y * r).collect();
        variables.to_pixels(&mut s);
        variables.to_pixels(&mut y);
        add(&mut self.cells, &s, &y, sy, variables.cells());
        let gains = ratios(&self.cells, CELL_SHARE);
        let guess: f64 = y.iter().zip(variables.cells()).map(|(y, &cell)| gains[cell as usize] * y * y).sum();
        self.scale = sy / guess;
    }

    /// Multiplies by the guess, in place.
    pub fn apply(&self, q: &mut [f64], variables: &Parametrization) {
        let roots = roots(&self.bands, variables.bands());
        q.iter_mut().zip(&roots).for_each(|(q, r)| *q *= r);
        variables.to_pixels(q);
        let gains = ratios(&self.cells, CELL_SHARE);
        q.iter_mut().zip(variables.cells()).for_each(|(q, &cell)| *q *= gains[cell as usize]);
        variables.to_frequencies(q);
        q.iter_mut().zip(&roots).for_each(|(q, r)| *q *= self.scale * r);
    }
}

fn add(sums: &mut [[f64; 2]], s: &[f64], y: &[f64], sy: f64, place: &[u32]) {
    sums.iter_mut().for_each(|sum| *sum = sum.map(|v| DECAY * v));
    for ((s, y), &place) in s.iter().zip(y).zip(place) {
        let sum = &mut sums[place as usize];
        sum[0] += s * s / sy;
        sum[1] += y * y / sy;
    }
}

/// `norm2(s) / norm2(y)` of each place, relative to that of all.
fn ratios(sums: &[[f64; 2]], share: f64) -> Vec<f64> {
    let mean = [0, 1].map(|i| sums.iter().map(|sum| sum[i]).sum::<f64>() / sums.len() as f64);
    if !(mean[0] > 0.0 && mean[1] > 0.0) {
        return vec![1.0; sums.len()];
    }
    let relative = |sum: &[f64; 2], i: usize| sum[i] / mean[i] + share;
    sums.iter().map(|sum| (relative(sum, 0) / relative(sum, 1)).sqrt()).collect()
}

fn roots(sums: &[[f64; 2]], place: &[u32]) -> Vec<f64> {
    let ratios: Vec<f64> = ratios(sums, BAND_SHARE).iter().map(|r| r.sqrt()).collect();
    place.iter().map(|&place| ratios[place as usize]).collect()
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

    fn taught(curvature: impl Fn(&Parametrization, &[f64]) -> Vec<f64>) -> (Parametrization, Preconditioner) {
        let variables = Parametrization::new((3, [16, 16]), vec![0.0; 768]);
        let mut metric = Preconditioner::new(&variables);
        for seed in 1..6 {
            let s = noise(768, seed);
            let y = curvature(&variables, &s);
            metric.update(&s, &y, dot(&s, &y), &variables);
        }
        (variables, metric)
    }

    fn solves(
        variables: &Parametrization,
        metric: &Preconditioner,
        curvature: impl Fn(&Parametrization, &[f64]) -> Vec<f64>,
    ) -> f64 {
        let s = noise(768, 77);
        let mut found = curvature(variables, &s);
        metric.apply(&mut found, variables);
        dot(&found, &s) / (dot(&found, &found) * dot(&s, &s)).sqrt()
    }

    #[test]
    fn it_learns_which_frequencies_and_which_places_curve_more() {
        let by_band = |variables: &Parametrization, s: &[f64]| -> Vec<f64> {
            s.iter().zip(variables.bands()).map(|(s, &band)| s * 0.6f64.powi(band as i32 % 10)).collect()
        };
        let by_cell = |variables: &Parametrization, s: &[f64]| -> Vec<f64> {
            let mut y = s.to_vec();
            variables.to_pixels(&mut y);
            y.iter_mut().zip(variables.cells()).for_each(|(y, &cell)| *y *= if cell % 2 == 0 { 30.0 } else { 1.0 });
            variables.to_frequencies(&mut y);
            y
        };
        let (variables, metric) = taught(by_band);
        assert!(solves(&variables, &Preconditioner::new(&variables), by_band) < 0.7);
        assert!(solves(&variables, &metric, by_band) > 0.9, "bands {}", solves(&variables, &metric, by_band));
        let (variables, metric) = taught(by_cell);
        assert!(solves(&variables, &Preconditioner::new(&variables), by_cell) < 0.75);
        assert!(solves(&variables, &metric, by_cell) > 0.8, "cells {}", solves(&variables, &metric, by_cell));
    }

    #[test]
    fn it_is_right_along_the_newest_pair_and_symmetric() {
        let curvature =
            |_: &Parametrization, s: &[f64]| s.iter().enumerate().map(|(i, s)| s * (1 + i % 5) as f64).collect();
        let (variables, metric) = taught(curvature);
        let s = noise(768, 5);
        let y: Vec<f64> = curvature(&variables, &s);
        let mut guess = y.clone();
        metric.apply(&mut guess, &variables);
        assert!((dot(&guess, &y) / dot(&s, &y) - 1.0).abs() < 1e-9);
        let (a, b) = (noise(768, 8), noise(768, 9));
        let (mut ma, mut mb) = (a.clone(), b.clone());
        metric.apply(&mut ma, &variables);
        metric.apply(&mut mb, &variables);
        assert!((dot(&ma, &b) - dot(&a, &mb)).abs() < 1e-9 * dot(&ma, &a).abs());
        assert!(dot(&ma, &a) > 0.0);
    }

    #[test]
    fn flat_parts_leave_it_finite_and_positive() {
        let variables = Parametrization::new((3, [16, 16]), vec![0.0; 768]);
        let mut metric = Preconditioner::new(&variables);
        let mut s = vec![0.0; 768];
        s[3] = 1.0;
        metric.update(&s, &s, 1.0, &variables);
        let mut q = noise(768, 1);
        metric.apply(&mut q, &variables);
        assert!(q.iter().all(|q| q.is_finite()) && dot(&q, &noise(768, 1)) > 0.0);
    }
}
