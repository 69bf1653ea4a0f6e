//! The correlation distance from stimuli in the features of another network.

use super::Target;
use crate::network::{Input, Network};
use crate::stimulus::Stimulus;
use crate::synthesis::evaluator::Evaluator;
use crate::synthesis::execution::Execution;
use crate::synthesis::feature::Feature;
use crate::{Error, Result};

/// Features of a network, in which stimuli are apart.
#[derive(Clone)]
pub(super) struct OtherFeatures {
    pub network: Network,
    pub target: Target,
}

impl OtherFeatures {
    /// Checks that the other network takes the stimuli of `network` as they are.
    pub fn prepared(self, network: &Network) -> Result<Self> {
        let (other, own) = (self.network.input(), network.input());
        let is_same = match (other, own) {
            (Input::Image { shape, .. }, Input::Image { shape: own, .. }) => shape == own,
            (other, own) => other == own,
        };
        if !is_same {
            let reason =
                format!("takes {other}, but {} takes {own}; use a network with the same input", network.name());
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

/// The correlation of a stimulus with others in features.
#[derive(Clone)]
pub(super) struct AwayIn {
    evaluator: Evaluator,
    feature: Feature,
    /// The shape of the stimulus with a batch of one.
    shape: Vec<usize>,
    /// The features of each of the others after the stage's rectifier, of mean 0 and norm 1.
    others: Vec<Vec<f64>>,
}

impl AwayIn {
    pub fn new(features: &OtherFeatures, shape: &[usize], stimuli: &[Stimulus]) -> Result<Self> {
        let OtherFeatures { network, target } = features;
        let evaluator = Evaluator::new(network, std::slice::from_ref(&target.stage), &Execution::Compiled)?;
        let feature = Feature::new(target, network)?;
        let standardized = |stimulus: &Stimulus| -> Result<Vec<f64>> {
            let features = feature.values(&evaluator.preactivations(stimulus.values(), shape)?);
            let mut features: Vec<f64> = features.into_iter().map(f64::from).collect();
            match standardize(&mut features) > 0.0 {
                true => Ok(features),
                false => {
                    let reason = format!("has the same value everywhere for {} in {}", stimulus.name(), network.name());
                    Err(Error::invalid(format!("stage \"{target}\""), reason))
                }
            }
        };
        let others = stimuli.iter().map(standardized).collect::<Result<_>>()?;
        Ok(Self { evaluator, feature, shape: shape.to_vec(), others })
    }

    /// The mean over the others of `r - 1`, with Pearson's correlation `r` of the features of `x` and of the other, and its gradient.
    pub fn closeness(&self, x: &[f32]) -> Result<(f64, Vec<f32>)> {
        let loss = |features: &[f32]| {
            let (closeness, gradient) = closeness(features.iter().map(|&a| f64::from(a)).collect(), &self.others);
            Ok((closeness, gradient.into_iter().map(|g| g as f32).collect()))
        };
        let (gradient, closeness) = self.evaluator.evaluate(x, &self.shape, |z, gradient| {
            self.feature.differentiate(z, gradient, |z, gradient| self.feature.rectified_loss(z, gradient, loss))
        })?;
        Ok((closeness?, gradient))
    }
}

/// Subtracts the mean and divides by the norm of the rest, which is returned; values that are all equal become 0.
fn standardize(values: &mut [f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    values.iter_mut().for_each(|value| *value -= mean);
    let norm = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    if norm > 0.0 {
        values.iter_mut().for_each(|value| *value /= norm);
    }
    norm
}

/// The mean of `r - 1` and its gradient with respect to the features: of `r` it is `(b - r a) / norm2(A - mean(A))`, with the standardized
/// features `a` and `b`. `r` is 0 for features that are all equal.
fn closeness(mut features: Vec<f64>, others: &[Vec<f64>]) -> (f64, Vec<f64>) {
    let norm = standardize(&mut features);
    let mut gradient = vec![0.0; features.len()];
    let (count, mut sum) = (others.len().max(1) as f64, 0.0);
    for other in others {
        let r: f64 = features.iter().zip(other).map(|(a, b)| a * b).sum();
        sum += (r - 1.0) / count;
        if norm > 0.0 {
            let slope = |(a, b): (&f64, &f64)| (b - r * a) / (norm * count);
            gradient.iter_mut().zip(features.iter().zip(other)).for_each(|(g, ab)| *g += slope(ab));
        }
    }
    (sum, gradient)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(seed: u64) -> Vec<f64> {
        (0..12).map(|i| ((seed * 31 + i * 17) % 23) as f64 / 23.0).collect()
    }

    fn standardized(seed: u64) -> Vec<f64> {
        let mut values = values(seed);
        standardize(&mut values);
        values
    }

    #[test]
    fn the_gradient_equals_finite_differences() {
        let others = [standardized(1), standardized(2)];
        let x = values(3);
        let (_, gradient) = closeness(x.clone(), &others);
        assert!(gradient.iter().any(|g| g.abs() > 1e-3));
        for (i, g) in gradient.iter().enumerate() {
            let at = |h: f64| {
                let mut x = x.clone();
                x[i] += h;
                closeness(x, &others).0
            };
            let found = (at(1e-6) - at(-1e-6)) / 2e-6;
            assert!((found - g).abs() < 1e-7, "value {i}: gradient {g}, finite difference {found}");
        }
    }

    #[test]
    fn the_value_is_one_less_than_the_correlation() {
        let scaled = values(1).iter().map(|x| 3.0 * x + 2.0).collect();
        assert!(closeness(scaled, &[standardized(1)]).0.abs() < 1e-12);
        let opposite = values(1).iter().map(|x| -x).collect();
        assert!((closeness(opposite, &[standardized(1)]).0 + 2.0).abs() < 1e-12);
        let (value, gradient) = closeness(vec![0.5; 12], &[standardized(1)]);
        assert_eq!((value, gradient), (-1.0, vec![0.0; 12]));
    }
}
