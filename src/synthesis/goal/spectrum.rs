//! The power of a stimulus in frequency bands.

use std::sync::Arc;

use rustdct::{DctPlanner, TransformType2And3};

/// The mean square of a coefficient that is added to each band, so that the logarithm of an empty band is finite.
const FLOOR: f64 = 1e-8;

/// The power in frequency bands of each plane, by the orthonormal cosine transform.
#[derive(Clone)]
pub(in crate::synthesis) struct Bands {
    size: [usize; 2],
    /// Along y and along x.
    transforms: [Arc<dyn TransformType2And3<f64>>; 2],
    /// The band of each coefficient of a plane; `None` for the mean.
    band: Vec<Option<usize>>,
    /// The number of coefficients in each band.
    counts: Vec<f64>,
    /// The geometric mean of the limits of each band, in cycles per pixel or per sample.
    centers: Vec<f64>,
}

impl Bands {
    pub fn new(size: [usize; 2], per_octave: f64) -> Self {
        let mut planner = DctPlanner::new();
        let transforms = size.map(|n| planner.plan_dct2(n) as Arc<dyn TransformType2And3<f64>>);
        let lowest = 0.5 / size[0].max(size[1]) as f64;
        let band = |at: usize| {
            let [y, x] = [at / size[1], at % size[1]].map(|k| k as f64);
            let cycles_per_pixel = 0.5 * (y / size[0] as f64).hypot(x / size[1] as f64);
            (at > 0).then(|| (per_octave * (cycles_per_pixel / lowest).log2()).max(0.0) as usize)
        };
        let mut band: Vec<Option<usize>> = (0..size[0] * size[1]).map(band).collect();
        // Bands without a coefficient are left out.
        let mut used: Vec<usize> = band.iter().flatten().copied().collect();
        used.sort_unstable();
        used.dedup();
        let mut counts = vec![0.0; used.len()];
        for band in band.iter_mut().flatten() {
            *band = used.partition_point(|&used| used < *band);
            counts[*band] += 1.0;
        }
        let centers = used.iter().map(|&band| lowest * 2f64.powf((band as f64 + 0.5) / per_octave)).collect();
        Self { size, transforms, band, counts, centers }
    }

    /// The center of each band and its root mean square coefficient, averaged over the planes.
    pub fn amplitudes(&self, x: &[f64]) -> Vec<(f64, f64)> {
        let planes = (x.len() / self.band.len()).max(1) as f64;
        let mut powers = vec![0.0; self.counts.len()];
        for plane in x.chunks_exact(self.band.len()) {
            let found = self.powers(&self.forward(plane.to_vec()));
            powers.iter_mut().zip(found).for_each(|(sum, power)| *sum += (power - FLOOR) / planes);
        }
        self.centers.iter().zip(powers).map(|(&center, power)| (center, power.max(0.0).sqrt())).collect()
    }

    /// `ln(mean square + floor)` of each band of each plane.
    pub fn log_powers(&self, x: &[f64]) -> Vec<f64> {
        let planes = x.chunks_exact(self.band.len());
        planes.flat_map(|plane| self.powers(&self.forward(plane.to_vec())).into_iter().map(f64::ln)).collect()
    }

    fn powers(&self, coefficients: &[f64]) -> Vec<f64> {
        let mut powers = vec![FLOOR; self.counts.len()];
        for (c, band) in coefficients.iter().zip(&self.band) {
            if let Some(band) = *band {
                powers[band] += c * c / self.counts[band];
            }
        }
        powers
    }

    /// The mean over bands and planes of the squared difference of the logarithms from `target`. Adds its gradient times `weight` to
    /// `gradient`.
    pub fn deviation(&self, x: &[f64], target: &[f64], weight: f64, gradient: &mut [f64]) -> f64 {
        let count = self.counts.len();
        if count == 0 {
            // A single value has a mean only, which is in no band.
            return 0.0;
        }
        let mut sum = 0.0;
        let planes = x.chunks_exact(self.band.len()).zip(gradient.chunks_exact_mut(self.band.len()));
        for ((plane, gradient), target) in planes.zip(target.chunks_exact(count)) {
            let mut coefficients = self.forward(plane.to_vec());
            let powers = self.powers(&coefficients);
            let differences: Vec<f64> = powers.iter().zip(target).map(|(power, target)| power.ln() - target).collect();
            sum += differences.iter().map(|d| d * d).sum::<f64>();
            for (c, band) in coefficients.iter_mut().zip(&self.band) {
                *c *= band.map_or(0.0, |band| 4.0 * differences[band] / (powers[band] * self.counts[band]));
            }
            let scale = weight / target.len() as f64 / (x.len() / self.band.len()) as f64;
            let change = self.backward(coefficients);
            gradient.iter_mut().zip(change).for_each(|(g, change)| *g += scale * change);
        }
        sum / target.len().max(1) as f64
    }

    fn forward(&self, mut plane: Vec<f64>) -> Vec<f64> {
        self.for_each_line(&mut plane, |transform, line| {
            transform.process_dct2(line);
            let scale = (2.0 / line.len() as f64).sqrt();
            line.iter_mut().for_each(|v| *v *= scale);
            line[0] *= std::f64::consts::FRAC_1_SQRT_2;
        });
        plane
    }

    /// The inverse, and transpose, of `forward`.
    fn backward(&self, mut plane: Vec<f64>) -> Vec<f64> {
        self.for_each_line(&mut plane, |transform, line| {
            let scale = (2.0 / line.len() as f64).sqrt();
            line.iter_mut().for_each(|v| *v *= scale);
            line[0] *= std::f64::consts::SQRT_2;
            transform.process_dct3(line);
        });
        plane
    }

    fn for_each_line(&self, plane: &mut [f64], work: impl Fn(&dyn TransformType2And3<f64>, &mut [f64])) {
        let [height, width] = self.size;
        plane.chunks_exact_mut(width).for_each(|row| work(&*self.transforms[1], row));
        let mut column = vec![0.0; height];
        for x in 0..width {
            column.iter_mut().zip(plane[x..].iter().step_by(width)).for_each(|(to, from)| *to = *from);
            work(&*self.transforms[0], &mut column);
            column.iter().zip(plane[x..].iter_mut().step_by(width)).for_each(|(from, to)| *to = *from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_value_has_no_spectrum() {
        let bands = Bands::new([1, 1], 2.0);
        let (target, mut gradient) = (bands.log_powers(&[0.5]), [0.0]);
        assert_eq!((bands.deviation(&[0.3], &target, 1.0, &mut gradient), gradient), (0.0, [0.0]));
    }
}
