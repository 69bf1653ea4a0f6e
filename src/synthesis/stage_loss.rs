//! The distance between activations, and its gradient.

use super::recipe::Loss;
use crate::ops::Relu;

/// What a metamer's activations shall become, and how the distance is counted.
#[derive(Clone)]
pub(super) struct StageLoss {
    /// The original's activations, after the stage's rectifier.
    pub target: Vec<f32>,
    /// The stage's rectifier, if it has one.
    pub clip: Option<Relu>,
    pub loss: Loss,
    pub identity_gradient: bool,
    /// norm2(target).
    norm: f64,
}

/// The distance at one point.
pub(super) struct Distance {
    pub loss: f64,
    /// `20 log10(norm2(A) / norm2(A - A'))`.
    pub snr_db: f64,
}

impl StageLoss {
    pub fn new(target: Vec<f32>, clip: Option<Relu>, loss: Loss, identity_gradient: bool) -> Self {
        let norm = target.iter().map(|&a| f64::from(a).powi(2)).sum::<f64>().sqrt();
        Self { target, clip, loss, identity_gradient, norm }
    }

    pub fn norm(&self) -> f64 {
        self.norm
    }

    /// The distance of `z`, the stage's values before its rectifier; its gradient with respect to them goes to `gradient`.
    pub fn distance(&self, z: &[f32], gradient: &mut [f32]) -> Distance {
        let activation = |z: f32| self.clip.map_or(z, |clip| clip.value(z));
        let (mut square, mut matching) = (0.0, 0.0);
        for (&z, &a) in z.iter().zip(&self.target) {
            let (c, z, a) = (f64::from(activation(z)), f64::from(z), f64::from(a));
            let residual = c - a;
            square += residual * residual;
            // The factored form; expanded, it cancels near a match.
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
            let passes = self.identity_gradient || self.clip.is_none_or(|clip| clip.passes(z));
            *g = if passes { (f64::from(activation(z) - a) * scale) as f32 } else { 0.0 };
        }
        Distance { loss, snr_db: 20.0 * (norm / square.sqrt()).log10() }
    }
}

/// The squared excess of values outside the range, summed, and its gradient added to `gradient` with this weight.
pub(super) fn range_penalty(x: &[f32], [low, high]: [f32; 2], weight: f64, gradient: &mut [f32]) -> f64 {
    let mut penalty = 0.0;
    for (&x, g) in x.iter().zip(gradient) {
        let excess = f64::from(x) - f64::from(x.clamp(low, high));
        penalty += excess * excess;
        *g += (2.0 * weight * excess) as f32;
    }
    weight * penalty
}
