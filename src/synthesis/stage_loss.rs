//! The loss at the matched stage and its gradient.

use super::recipe::Loss;
use crate::ops::Relu;

/// The target activations and the loss relative to them.
#[derive(Clone)]
pub(super) struct StageLoss {
    /// The original's activations, after the stage's rectifier.
    pub target: Vec<f32>,
    /// The stage's rectifier, if it has one.
    pub rectifier: Option<Relu>,
    pub loss: Loss,
    pub identity_gradient: bool,
    /// `norm2(target)`.
    norm: f64,
}

/// Loss and signal-to-noise ratio at one point.
pub(super) struct Distance {
    pub loss: f64,
    /// `20 log10(norm2(A) / norm2(A - A'))`.
    pub snr_db: f64,
}

impl StageLoss {
    pub fn new(target: Vec<f32>, rectifier: Option<Relu>, loss: Loss, identity_gradient: bool) -> Self {
        let norm = target.iter().map(|&a| f64::from(a).powi(2)).sum::<f64>().sqrt();
        Self { target, rectifier, loss, identity_gradient, norm }
    }

    pub fn norm(&self) -> f64 {
        self.norm
    }

    /// The distance of `z`, the stage's values before its rectifier; writes the gradient with respect to `z` to `gradient`.
    pub fn distance(&self, z: &[f32], gradient: &mut [f32]) -> Distance {
        let activation = |z: f32| self.rectifier.map_or(z, |rectifier| rectifier.value(z));
        let (mut square, mut matching) = (0.0, 0.0);
        for (&z, &a) in z.iter().zip(&self.target) {
            let (c, z, a) = (f64::from(activation(z)), f64::from(z), f64::from(a));
            let residual = c - a;
            square += residual * residual;
            // The expanded form suffers from cancellation near a match.
            matching += residual * (z - 0.5 * (c + a));
        }
        let (norm, units) = (self.norm, self.target.len() as f64);
        let (loss, scale) = match self.loss {
            Loss::HalfSquaredError => (0.5 * square, 1.0),
            Loss::NormRatio => (square.sqrt() / norm, 1.0 / (square.sqrt() * norm).max(f64::MIN_POSITIVE)),
            Loss::MeanSquaredError { .. } => (square / units, 2.0 / units),
            Loss::Matching => (matching / (norm * norm), 1.0 / (norm * norm)),
        };
        for ((g, &z), &a) in gradient.iter_mut().zip(z).zip(&self.target) {
            let passes = self.identity_gradient || self.rectifier.is_none_or(|rectifier| rectifier.passes(z));
            *g = if passes { (f64::from(activation(z) - a) * scale) as f32 } else { 0.0 };
        }
        Distance { loss, snr_db: 20.0 * (norm / square.sqrt()).log10() }
    }
}

/// Returns the weighted sum of the squared excess of values outside the range, and adds its gradient to `gradient`.
pub(super) fn range_penalty(x: &[f32], [low, high]: [f32; 2], weight: f64, gradient: &mut [f32]) -> f64 {
    let mut penalty = 0.0;
    for (&x, g) in x.iter().zip(gradient) {
        let excess = f64::from(x) - f64::from(x.clamp(low, high));
        penalty += excess * excess;
        *g += (2.0 * weight * excess) as f32;
    }
    weight * penalty
}
