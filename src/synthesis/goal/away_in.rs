//! The distance from stimuli in the features of another network.

use super::Target;
use super::penalty::SQUARED_DISTANCE_FLOOR;
use crate::network::Network;
use crate::stimulus::Stimulus;
use crate::synthesis::evaluator::Evaluator;
use crate::synthesis::feature::Feature;
use crate::{Error, Result};

/// Features of a network, in which stimuli are apart.
#[derive(Clone)]
pub(in crate::synthesis) struct OtherFeatures {
    pub network: Network,
    pub target: Target,
}

impl OtherFeatures {
    /// Checks that the other network takes the stimuli of `network` as they are.
    pub fn prepared(self, network: &Network) -> Result<Self> {
        let (other, own) = (self.network.input(), network.input());
        let kinds = std::mem::discriminant(other) == std::mem::discriminant(own);
        if !kinds || other.shape() != own.shape() {
            let reason = format!(
                "takes an input of {:?}, but that of {} is {:?}; use a network with the same input",
                other.shape(),
                network.name(),
                own.shape()
            );
            return Err(Error::invalid(self.network.name(), reason));
        }
        Ok(Self { target: self.target.prepared(&self.network)?, ..self })
    }
}

impl PartialEq for OtherFeatures {
    fn eq(&self, other: &Self) -> bool {
        let weights = |features: &Self| features.network.weights_source().weights_sha256.clone();
        self.target == other.target && weights(self) == weights(other)
    }
}

/// The distance of a stimulus from others in features, relative to the norm of theirs.
#[derive(Clone)]
pub(super) struct AwayIn {
    evaluator: Evaluator,
    feature: Feature,
    /// The shape of the stimulus with a batch of one.
    shape: Vec<usize>,
    references: Vec<Reference>,
}

/// The features of a stimulus, after the stage's rectifier.
#[derive(Clone)]
struct Reference {
    features: Vec<f32>,
    square: f64,
}

impl AwayIn {
    pub fn new(features: &OtherFeatures, shape: &[usize], stimuli: &[Stimulus]) -> Result<Self> {
        let OtherFeatures { network, target } = features;
        let evaluator = Evaluator::new(network, std::slice::from_ref(&target.stage), false, None)?;
        let feature = Feature::new(target, network)?;
        let reference = |stimulus: &Stimulus| -> Result<Reference> {
            let features = feature.values(&evaluator.preactivations(stimulus.values(), shape)?);
            let square = features.iter().map(|&a| f64::from(a).powi(2)).sum();
            if square > 0.0 {
                return Ok(Reference { features, square });
            }
            let reason = format!(
                "is silent (0) for {} in {}, so nothing can be far from it there",
                stimulus.name(),
                network.name()
            );
            Err(Error::invalid(format!("stage \"{target}\""), reason))
        };
        let references = stimuli.iter().map(reference).collect::<Result<_>>()?;
        Ok(Self { evaluator, feature, shape: shape.to_vec(), references })
    }

    /// Minus the mean over the stimuli of `norm2(A - B) / norm2(B)`, with the features `A` of `x` and `B` of the stimulus, and its gradient.
    pub fn closeness(&self, x: &[f32]) -> Result<(f64, Vec<f32>)> {
        let rectifier = self.feature.rectifier();
        let (gradient, closeness) = self.evaluator.evaluate(x, &self.shape, |z, gradient| {
            self.feature.differentiate(z, gradient, |z, gradient| {
                let features: Vec<f64> =
                    z.iter().map(|&z| f64::from(rectifier.map_or(z, |rectifier| rectifier.value(z)))).collect();
                let mut change = vec![0.0; features.len()];
                let closeness = closeness(&features, &self.references, &mut change);
                for ((g, change), &z) in gradient.iter_mut().zip(change).zip(z) {
                    *g = if rectifier.is_none_or(|rectifier| rectifier.passes(z)) { change as f32 } else { 0.0 };
                }
                closeness
            })
        })?;
        Ok((closeness, gradient))
    }
}

/// Minus the mean relative distance of features from those of the references; adds its gradient to `gradient`.
fn closeness(features: &[f64], references: &[Reference], gradient: &mut [f64]) -> f64 {
    let count = references.len().max(1) as f64;
    let mut sum = 0.0;
    for Reference { features: others, square } in references {
        let differences = || features.iter().zip(others).map(|(a, &b)| a - f64::from(b));
        let distance = (differences().map(|d| d * d).sum::<f64>() / square + SQUARED_DISTANCE_FLOOR).sqrt();
        sum -= distance / count;
        let scale = 1.0 / (count * square * distance);
        gradient.iter_mut().zip(differences()).for_each(|(g, d)| *g -= scale * d);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_equals_finite_differences() {
        let values = |seed: u64| (0..12).map(move |i| ((seed * 31 + i * 17) % 23) as f32 / 23.0).collect::<Vec<f32>>();
        let reference = |seed| {
            let features = values(seed);
            let square = features.iter().map(|&a| f64::from(a).powi(2)).sum();
            Reference { features, square }
        };
        let references = [reference(1), reference(2)];
        let x: Vec<f64> = values(3).into_iter().map(f64::from).collect();
        let mut gradient = vec![0.0; x.len()];
        let value = closeness(&x, &references, &mut gradient);
        let norm = |r: &Reference| {
            (x.iter().zip(&r.features).map(|(a, &b)| (a - f64::from(b)).powi(2)).sum::<f64>() / r.square).sqrt()
        };
        assert!((value + 0.5 * (norm(&references[0]) + norm(&references[1]))).abs() < 1e-6);
        for (i, g) in gradient.iter().enumerate() {
            let at = |h: f64| {
                let mut x = x.clone();
                x[i] += h;
                closeness(&x, &references, &mut vec![0.0; x.len()])
            };
            let found = (at(1e-6) - at(-1e-6)) / 2e-6;
            assert!((found - g).abs() < 1e-7, "value {i}: gradient {g}, finite difference {found}");
        }
    }
}
