//! An adaptive preconditioner: the curvature of the loss for each frequency band and each cell of the image, estimated during the run.

use super::parametrization::Spectrum;

/// The weight of a pair of step and gradient change relative to the next pair.
const DECAY: f64 = 0.9;

/// Regularisation: the fraction of the mean added to each cell, so that noisy cells cannot give extreme ratios. A band averages over
/// many more values and needs less.
const CELL_REGULARIZATION: f64 = 0.05;
const BAND_REGULARIZATION: f64 = 1e-4;

/// A positive definite estimate of the inverse Hessian, `B^(1/2) P B^(1/2)`, the initial matrix of the two-loop recursion.
///
/// Without a spectrum it is a multiple of the identity, which changes no direction. `B` is diagonal in the frequencies, with one value for each band, and `P` is diagonal in the pixels, with one value for each cell.
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
    pub fn new(spectrum: Option<&Spectrum>) -> Self {
        let (bands, cells) = spectrum.map_or((0, 0), |spectrum| (spectrum.bands(), spectrum.cells()));
        Self { bands: vec![[0.0; 2]; bands], cells: vec![[0.0; 2]; cells], scale: 1.0 }
    }

    /// Updates the estimate by a step `s` and a gradient change `y` with `sy = s'y > 0` and `yy = y'y`.
    pub fn update(&mut self, [s, y]: [&[f32]; 2], [sy, yy]: [f64; 2], spectrum: Option<&Spectrum>) {
        let Some(spectrum) = spectrum else {
            self.scale = sy / yy;
            return;
        };
        let squares = |values: &[f32]| spectrum.squares_of_bands(values);
        add(&mut self.bands, &squares(s), &squares(y), sy);
        let roots = self.roots();
        let inverse: Vec<f32> = roots.iter().map(|r| r.recip()).collect();
        let squares = |values: &[f32], factors: &[f32]| {
            let pixels = spectrum.cosines().to_pixels(scaled_bands(spectrum, factors, values), |_, _| {});
            let squares = spectrum.squares_of_cells(&pixels);
            spectrum.spare().give(pixels);
            squares
        };
        let (s, y) = (squares(s, &inverse), squares(y, &roots));
        add(&mut self.cells, &s, &y, sy);
        let gains = ratios(&self.cells, CELL_REGULARIZATION);
        let estimate: f64 = y.iter().zip(gains).map(|(y, gain)| gain * y).sum();
        self.scale = sy / estimate;
    }

    /// Multiplies by the estimate.
    pub fn apply(&self, mut q: Vec<f32>, spectrum: Option<&Spectrum>) -> Vec<f32> {
        let Some(spectrum) = spectrum else {
            let scale = self.scale as f32;
            q.iter_mut().for_each(|q| *q *= scale);
            return q;
        };
        let roots = self.roots();
        let scaled: Vec<f32> = roots.iter().map(|&r| (self.scale * f64::from(r)) as f32).collect();
        let gains: Vec<f32> = ratios(&self.cells, CELL_REGULARIZATION).iter().map(|&gain| gain as f32).collect();
        let cells = |first: usize, planes: &mut [&mut [f32]]| spectrum.multiply_cells(&gains, first, planes);
        let finish = |first: usize, values: &mut [f32]| spectrum.multiply_bands(&scaled, first, values);
        let estimate = spectrum.cosines().through_pixels(scaled_bands(spectrum, &roots, &q), cells, finish);
        spectrum.spare().give(q);
        estimate
    }

    /// The square root of each band's estimate.
    fn roots(&self) -> Vec<f32> {
        ratios(&self.bands, BAND_REGULARIZATION).iter().map(|ratio| ratio.sqrt() as f32).collect()
    }
}

/// A function that writes values of the variables, multiplied by the factor of their band.
fn scaled_bands<'a>(
    spectrum: &'a Spectrum,
    factors: &'a [f32],
    values: &'a [f32],
) -> impl Fn(usize, &mut [f32]) + Sync + 'a {
    move |first, to| {
        to.copy_from_slice(&values[first..][..to.len()]);
        spectrum.multiply_bands(factors, first, to);
    }
}

/// Adds the squares of a pair to the decayed sums.
fn add(sums: &mut [[f64; 2]], s: &[f64], y: &[f64], sy: f64) {
    for ((sum, s), y) in sums.iter_mut().zip(s).zip(y) {
        *sum = [DECAY * sum[0] + s / sy, DECAY * sum[1] + y / sy];
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

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::synthesis::optimizer::Planes;
    use crate::synthesis::optimizer::parametrization::Parametrization;
    use crate::synthesis::recipe::Variables;

    fn noise(n: usize, seed: u64) -> Vec<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..n).map(|_| random.random::<f32>() - 0.5).collect()
    }

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    }

    fn parametrization() -> Parametrization {
        Parametrization::new(Variables::NaturalSpectrum, Planes::of_image(3, [16, 16]), vec![0.0; 768])
    }

    fn trained(curvature: impl Fn(&Spectrum, &[f32]) -> Vec<f32>) -> (Parametrization, Preconditioner) {
        let parametrization = parametrization();
        let mut preconditioner = Preconditioner::new(parametrization.spectrum());
        for seed in 1..6 {
            let s = noise(768, seed);
            let y = curvature(parametrization.spectrum().unwrap(), &s);
            preconditioner.update([&s, &y], [dot(&s, &y), dot(&y, &y)], parametrization.spectrum());
        }
        (parametrization, preconditioner)
    }

    fn cosine(
        parametrization: &Parametrization,
        preconditioner: &Preconditioner,
        curvature: impl Fn(&Spectrum, &[f32]) -> Vec<f32>,
    ) -> f64 {
        let s = noise(768, 77);
        let spectrum = parametrization.spectrum();
        let found = preconditioner.apply(curvature(spectrum.unwrap(), &s), spectrum);
        dot(&found, &s) / (dot(&found, &found) * dot(&s, &s)).sqrt()
    }

    #[test]
    fn the_estimate_learns_the_curvature_of_bands_and_cells() {
        let by_band = |spectrum: &Spectrum, s: &[f32]| -> Vec<f32> {
            let factors: Vec<f32> = (0..spectrum.bands()).map(|band| 0.6f32.powi(band as i32 % 10)).collect();
            let mut y = s.to_vec();
            spectrum.multiply_bands(&factors, 0, &mut y);
            y
        };
        let by_cell = |spectrum: &Spectrum, s: &[f32]| -> Vec<f32> {
            let factors: Vec<f32> = (0..spectrum.cells()).map(|cell| if cell % 2 == 0 { 30.0 } else { 1.0 }).collect();
            let cosines = spectrum.cosines();
            let cells = |first: usize, planes: &mut [&mut [f32]]| spectrum.multiply_cells(&factors, first, planes);
            let ones = vec![1.0; spectrum.bands()];
            cosines.through_pixels(scaled_bands(spectrum, &ones, s), cells, |_, _| {})
        };
        let (parametrization, preconditioner) = trained(by_band);
        assert!(cosine(&parametrization, &Preconditioner::new(parametrization.spectrum()), by_band) < 0.7);
        let found = cosine(&parametrization, &preconditioner, by_band);
        assert!(found > 0.9, "bands {found}");
        let (parametrization, preconditioner) = trained(by_cell);
        assert!(cosine(&parametrization, &Preconditioner::new(parametrization.spectrum()), by_cell) < 0.75);
        let found = cosine(&parametrization, &preconditioner, by_cell);
        assert!(found > 0.8, "cells {found}");
    }

    #[test]
    fn the_estimate_is_symmetric_and_exact_along_the_newest_pair() {
        let curvature = |_: &Spectrum, s: &[f32]| s.iter().enumerate().map(|(i, s)| s * (1 + i % 5) as f32).collect();
        let (parametrization, preconditioner) = trained(curvature);
        let s = noise(768, 5);
        let y: Vec<f32> = curvature(parametrization.spectrum().unwrap(), &s);
        let estimate = preconditioner.apply(y.clone(), parametrization.spectrum());
        assert!((dot(&estimate, &y) / dot(&s, &y) - 1.0).abs() < 1e-5);
        let (a, b) = (noise(768, 8), noise(768, 9));
        let ma = preconditioner.apply(a.clone(), parametrization.spectrum());
        let mb = preconditioner.apply(b.clone(), parametrization.spectrum());
        assert!((dot(&ma, &b) - dot(&a, &mb)).abs() < 1e-5 * dot(&ma, &a).abs());
        assert!(dot(&ma, &a) > 0.0);
    }

    #[test]
    fn cells_without_curvature_keep_the_estimate_finite_and_positive() {
        let parametrization = parametrization();
        let mut preconditioner = Preconditioner::new(parametrization.spectrum());
        let mut s = vec![0.0; 768];
        s[3] = 1.0;
        preconditioner.update([&s, &s], [1.0, 1.0], parametrization.spectrum());
        let q = preconditioner.apply(noise(768, 1), parametrization.spectrum());
        assert!(q.iter().all(|q| q.is_finite()) && dot(&q, &noise(768, 1)) > 0.0);
    }
}
