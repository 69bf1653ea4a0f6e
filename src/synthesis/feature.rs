//! The features that a target matches, computed from a stage's values, and the gradient of a loss of them.

use super::goal::{OwnLoss, Statistic, Target};
use super::stage_loss::{Distance, StageLoss};
use crate::Result;
use crate::network::Network;
use crate::ops::{Matrix, Relu, multiply};

/// A part of a stage's values, and a statistic of it.
#[derive(Clone)]
pub(super) struct Feature {
    /// The indices of the selected values, channel by channel; `None` for the whole stage.
    selected: Option<Vec<usize>>,
    /// The numbers of selected channels and places.
    size: [usize; 2],
    statistic: Statistic,
    rectifier: Option<Relu>,
    /// The shape of the features.
    shape: Vec<usize>,
}

impl Feature {
    /// The features of a target, which [`Target::prepared`] has checked.
    pub fn new(target: &Target, network: &Network) -> Result<Self> {
        let stage = network.stage(&target.stage)?;
        let channels = stage.shape.first().copied().unwrap_or(1);
        let places = stage.units() / channels.max(1);
        let selected_channels: Option<&[usize]> = target.channels.as_deref();
        let selected_places = target.region.as_ref().map(|region| region.places(network, stage)).transpose()?;
        let size = [
            selected_channels.map_or(channels, <[_]>::len),
            selected_places.as_ref().map_or(places, |list| list.len()),
        ];
        let selected = (selected_channels.is_some() || selected_places.is_some()).then(|| {
            let channel = |i: usize| selected_channels.map_or(i, |list| list[i]);
            let place = |i: usize| selected_places.as_ref().map_or(i, |list| list[i]);
            (0..size[0])
                .flat_map(|c| (0..size[1]).map(move |p| (c, p)))
                .map(|(c, p)| channel(c) * places + place(p))
                .collect()
        });
        let shape = match target.statistic {
            Statistic::Values if selected.is_none() => stage.shape.clone(),
            Statistic::Values => size.to_vec(),
            Statistic::Means => vec![size[0]],
            Statistic::Gram => vec![size[0]; 2],
        };
        Ok(Self { selected, size, statistic: target.statistic, rectifier: network.rectifier(&target.stage)?, shape })
    }

    /// The shape of the features.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The rectifier that a loss of the features applies: that of the stage for values, none for statistics, which are computed behind
    /// it.
    pub fn rectifier(&self) -> Option<Relu> {
        self.rectifier.filter(|_| self.statistic == Statistic::Values)
    }

    /// The features at `z`, the stage's values before its rectifier.
    pub fn values(&self, z: &[f32]) -> Vec<f32> {
        self.pooled(&self.rectified(&self.gathered(z)))
    }

    /// Calls `loss` with the features and a slice for their gradient. The features of values are those before the rectifier, which
    /// `loss` applies; it gets the others as they are. Writes the gradient with respect to `z` to `gradient`.
    pub fn differentiate<T>(&self, z: &[f32], gradient: &mut [f32], loss: impl FnOnce(&[f32], &mut [f32]) -> T) -> T {
        if self.selected.is_none() && self.statistic == Statistic::Values {
            return loss(z, gradient);
        }
        let z = self.gathered(z);
        let (found, change) = match self.statistic {
            Statistic::Values => {
                let mut change = vec![0.0; z.len()];
                (loss(&z, &mut change), change)
            }
            _ => {
                let activations = self.rectified(&z);
                let features = self.pooled(&activations);
                let mut cotangent = vec![0.0; features.len()];
                let found = loss(&features, &mut cotangent);
                let mut change = self.pooled_backward(&activations, &cotangent);
                if let Some(rectifier) = self.rectifier {
                    change
                        .iter_mut()
                        .zip(&z)
                        .filter(|(_, z)| !rectifier.passes(**z))
                        .for_each(|(change, _)| *change = 0.0);
                }
                (found, change)
            }
        };
        match &self.selected {
            None => gradient.copy_from_slice(&change),
            Some(selected) => {
                gradient.fill(0.0);
                selected.iter().zip(change).for_each(|(&index, change)| gradient[index] = change);
            }
        }
        found
    }

    /// The value of `loss`, a function of the features behind [`Feature::rectifier`] that also returns its gradient with respect to them.
    /// `z` and `gradient` are those of [`Feature::differentiate`]; writes the gradient with respect to `z`, as that of a ReLU.
    pub fn rectified_loss(
        &self,
        z: &[f32],
        gradient: &mut [f32],
        loss: impl FnOnce(&[f32]) -> Result<(f64, Vec<f32>)>,
    ) -> Result<f64> {
        let rectifier = self.rectifier();
        let activations: Vec<f32> = z.iter().map(|&z| rectifier.map_or(z, |rectifier| rectifier.value(z))).collect();
        let (value, change) = loss(&activations)?;
        for ((g, &change), &z) in gradient.iter_mut().zip(&change).zip(z) {
            *g = if rectifier.is_none_or(|rectifier| rectifier.passes(z)) { change } else { 0.0 };
        }
        Ok(value)
    }

    fn gathered(&self, z: &[f32]) -> Vec<f32> {
        match &self.selected {
            None => z.to_vec(),
            Some(selected) => selected.iter().map(|&index| z[index]).collect(),
        }
    }

    fn rectified(&self, z: &[f32]) -> Vec<f32> {
        match self.rectifier {
            Some(rectifier) => z.iter().map(|&z| rectifier.value(z)).collect(),
            None => z.to_vec(),
        }
    }

    /// The statistic of activations `[channels, places]`.
    fn pooled(&self, activations: &[f32]) -> Vec<f32> {
        let [channels, places] = self.size;
        match self.statistic {
            Statistic::Values => activations.to_vec(),
            Statistic::Means => {
                let mean = |row: &[f32]| (row.iter().map(|&a| f64::from(a)).sum::<f64>() / places as f64) as f32;
                activations.chunks_exact(places).map(mean).collect()
            }
            Statistic::Gram => {
                let mut gram = vec![0.0; channels * channels];
                let rows = Matrix::rows(activations, places);
                multiply([channels, places, channels], rows, rows.transposed(), &mut gram);
                gram.iter_mut().for_each(|g| *g /= places as f32);
                gram
            }
        }
    }

    /// The gradient with respect to the activations, given that with respect to the statistic.
    fn pooled_backward(&self, activations: &[f32], cotangent: &[f32]) -> Vec<f32> {
        let [channels, places] = self.size;
        match self.statistic {
            Statistic::Values => cotangent.to_vec(),
            Statistic::Means => cotangent.iter().flat_map(|g| std::iter::repeat_n(g / places as f32, places)).collect(),
            Statistic::Gram => {
                let both = |i: usize| cotangent[i] + cotangent[i % channels * channels + i / channels];
                let symmetric: Vec<f32> = (0..channels * channels).map(|i| both(i) / places as f32).collect();
                let mut gradient = vec![0.0; channels * places];
                let (a, b) = (Matrix::rows(&symmetric, channels), Matrix::rows(activations, places));
                multiply([channels, channels, places], a, b, &mut gradient);
                gradient
            }
        }
    }
}

/// A target with the features of the original, and the loss relative to them.
#[derive(Clone)]
pub(super) struct Term {
    /// The target as text.
    pub name: String,
    pub weight: f64,
    pub feature: Feature,
    pub stage_loss: StageLoss,
    pub own: Option<OwnLoss>,
    /// The index of the stage among those of the evaluator.
    pub tap: usize,
}

impl Term {
    /// The weighted loss at `z`, the stage's values before its rectifier; writes the gradient with respect to `z` to `gradient`.
    pub fn distance(&self, z: &[f32], gradient: &mut [f32]) -> Result<Distance> {
        let mut distance = self.feature.differentiate(z, gradient, |z, g| match &self.own {
            None => Ok(self.stage_loss.distance(z, g)),
            Some(own) => self.own_distance(own, z, g),
        })?;
        if self.weight != 1.0 {
            distance.loss *= self.weight;
            gradient.iter_mut().for_each(|g| *g = (f64::from(*g) * self.weight) as f32);
        }
        Ok(distance)
    }

    fn own_distance(&self, own: &OwnLoss, z: &[f32], gradient: &mut [f32]) -> Result<Distance> {
        // For the signal-to-noise ratio.
        let distance = self.stage_loss.distance(z, gradient);
        let (shape, target) = (self.feature.shape(), &self.stage_loss.target);
        let loss = self.feature.rectified_loss(z, gradient, |activations| own.evaluate(shape, activations, target))?;
        Ok(Distance { loss, ..distance })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthesis::recipe::Loss;

    const SIZE: [usize; 2] = [4, 6];

    fn noise(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 500.0 - 0.9037).collect()
    }

    fn feature(statistic: Statistic, selected: Option<Vec<usize>>, rectifier: Option<Relu>) -> Feature {
        // The selection has two channels of three places.
        let size = if selected.is_some() { [2, 3] } else { SIZE };
        let shape = match statistic {
            Statistic::Values => size.to_vec(),
            Statistic::Means => vec![size[0]],
            Statistic::Gram => vec![size[0]; 2],
        };
        Feature { selected, size, statistic, rectifier, shape }
    }

    /// The features in double precision; values are those before the rectifier.
    fn exact_features(feature: &Feature, z: &[f64]) -> Vec<f64> {
        let z: Vec<f64> = match &feature.selected {
            Some(selected) => selected.iter().map(|&i| z[i]).collect(),
            None => z.to_vec(),
        };
        let [channels, places] = feature.size;
        let clip = |z: f64| feature.rectifier.map_or(z, |relu| z.clamp(0.0, f64::from(relu.max)));
        let a = |c: usize, p: usize| clip(z[c * places + p]);
        let mean = |f: &dyn Fn(usize) -> f64| (0..places).map(f).sum::<f64>() / places as f64;
        match feature.statistic {
            Statistic::Values => z,
            Statistic::Means => (0..channels).map(|c| mean(&|p| a(c, p))).collect(),
            Statistic::Gram => {
                let pairs = (0..channels).flat_map(|c| (0..channels).map(move |d| (c, d)));
                pairs.map(|(c, d)| mean(&|p| a(c, p) * a(d, p))).collect()
            }
        }
    }

    /// The losses as [`Loss`] documents them, of `z` before the rectifier.
    fn exact_loss(loss: Loss, rectifier: Option<Relu>, z: &[f64], target: &[f32]) -> f64 {
        let clip = |z: f64| rectifier.map_or(z, |relu| z.clamp(0.0, f64::from(relu.max)));
        let pairs = || z.iter().zip(target).map(|(&z, &a)| (z, clip(z), f64::from(a)));
        let (square, norm) =
            (pairs().map(|(_, c, a)| (c - a).powi(2)).sum::<f64>(), pairs().map(|(_, _, a)| a * a).sum::<f64>());
        match loss {
            Loss::HalfSquaredError => 0.5 * square,
            Loss::NormRatio => (square / norm).sqrt(),
            Loss::MeanSquaredError { .. } => square / target.len() as f64,
            Loss::Matching => pairs().map(|(z, c, a)| (c - a) * (z - 0.5 * (c + a))).sum::<f64>() / norm,
        }
    }

    #[test]
    fn gradients_equal_float64_finite_differences() {
        let selected = || Some(vec![7, 8, 11, 13, 14, 17]);
        let z = noise(SIZE[0] * SIZE[1], 1);
        let exact: Vec<f64> = z.iter().map(|&z| f64::from(z)).collect();
        let losses =
            [Loss::HalfSquaredError, Loss::NormRatio, Loss::MeanSquaredError { range_penalty: 0.0 }, Loss::Matching];
        for statistic in [Statistic::Values, Statistic::Means, Statistic::Gram] {
            for (selected, rectifier) in
                [(None, Some(Relu::UNBOUNDED)), (selected(), Some(Relu { max: 0.7 })), (selected(), None)]
            {
                let feature = feature(statistic, selected, rectifier);
                let target = feature.values(&noise(z.len(), 2));
                for loss in losses {
                    let what = format!("{statistic:?}, {rectifier:?}, {loss:?}");
                    // The matching objective exists for its identity gradient.
                    let identity = loss == Loss::Matching;
                    let stage_loss = StageLoss::new(target.clone(), feature.rectifier(), loss, identity);
                    let mut gradient = vec![f32::NAN; z.len()];
                    let found = feature.differentiate(&z, &mut gradient, |z, g| stage_loss.distance(z, g));
                    let at = |z: &[f64]| exact_loss(loss, feature.rectifier(), &exact_features(&feature, z), &target);
                    assert!((found.loss - at(&exact)).abs() < 1e-5 * at(&exact).abs(), "{what}: loss {}", found.loss);
                    let scale = gradient.iter().fold(0.0f32, |most, g| most.max(g.abs()));
                    assert!(scale > 0.0, "{what}");
                    for (i, &g) in gradient.iter().enumerate() {
                        let moved = |h: f64| {
                            let mut z = exact.clone();
                            z[i] += h;
                            at(&z)
                        };
                        let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                        let off = (difference - f64::from(g)).abs();
                        assert!(off < 1e-5 * f64::from(scale), "{what}, unit {i}: {g}, finite difference {difference}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_gradient_of_an_own_loss_equals_float64_finite_differences() {
        let z = noise(24, 1);
        let feature = feature(Statistic::Values, Some(vec![7, 8, 11, 13, 14, 17]), Some(Relu::UNBOUNDED));
        let target = feature.values(&noise(24, 2));
        let own = OwnLoss::new("fourth power", |a, b| Ok((a - b)?.powf(4.0)?.sum_all()?));
        let stage_loss = StageLoss::new(target.clone(), feature.rectifier(), Loss::NormRatio, true);
        let name = "own".into();
        let term = Term { name, weight: 2.5, feature: feature.clone(), stage_loss, own: Some(own), tap: 0 };
        let mut gradient = vec![f32::NAN; 24];
        term.distance(&z, &mut gradient).unwrap();
        let at = |z: &[f64]| {
            let pairs = exact_features(&feature, z).into_iter().zip(&target);
            2.5 * pairs.map(|(z, &a)| (z.max(0.0) - f64::from(a)).powi(4)).sum::<f64>()
        };
        for (i, &g) in gradient.iter().enumerate() {
            let moved = |h: f64| {
                let mut z: Vec<f64> = z.iter().map(|&z| f64::from(z)).collect();
                z[i] += h;
                at(&z)
            };
            let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((difference - f64::from(g)).abs() < 1e-4 * (1.0 + difference.abs()), "{i}: {g} and {difference}");
        }
    }
}
