//! The loss at the matched stage and its gradient.

use super::recipe::Loss;
use crate::engine::Residuals;
use crate::ops::Relu;
use crate::parallel::{for_each_chunk, map_chunks};

/// Units of a task.
const BLOCK: usize = 4096;

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
    /// `norm2(A - A')^2 / norm2(A)^2`.
    pub relative_square: f64,
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
        let sums = match (self.rectifier, self.identity_gradient) {
            (None, _) => self.residuals(z, gradient, |z| z, |_| true),
            (Some(rectifier), true) => self.residuals(z, gradient, |z| rectifier.value(z), |_| true),
            (Some(rectifier), false) => self.residuals(z, gradient, |z| rectifier.value(z), |z| rectifier.passes(z)),
        };
        let (square, matching) = (sums.square, sums.matching);
        let (norm, units) = (self.norm, self.target.len() as f64);
        let (loss, scale) = match self.loss {
            Loss::HalfSquaredError => (0.5 * square, 1.0),
            Loss::NormRatio => (square.sqrt() / norm, 1.0 / (square.sqrt() * norm).max(f64::MIN_POSITIVE)),
            Loss::MeanSquaredError { .. } => (square / units, 2.0 / units),
            Loss::Matching => (matching / (norm * norm), 1.0 / (norm * norm)),
        };
        for_each_chunk(gradient, BLOCK, |_, gradient| {
            gradient.iter_mut().for_each(|g| *g = (f64::from(*g) * scale) as f32);
        });
        Distance { loss, snr_db: 20.0 * (norm / square.sqrt()).log10(), relative_square: square / (norm * norm) }
    }

    /// Writes the residual of each unit to `residuals`, or 0 where the gradient does not pass, and sums over all units.
    fn residuals(
        &self,
        z: &[f32],
        residuals: &mut [f32],
        activation: impl Fn(f32) -> f32 + Sync,
        passes: impl Fn(f32) -> bool + Sync,
    ) -> Sums {
        let with_matching = self.loss == Loss::Matching;
        let blocks = map_chunks(residuals, BLOCK, |i, residuals| {
            let units = i * BLOCK..i * BLOCK + residuals.len();
            let (z, target) = (&z[units.clone()], &self.target[units]);
            let [square, matching] =
                Residuals { z, target, activation: &activation, passes: &passes, with_matching }.write(residuals);
            Sums { square, matching }
        });
        let sum = |of: fn(&Sums) -> f64| blocks.iter().map(of).sum();
        Sums { square: sum(|sums| sums.square), matching: sum(|sums| sums.matching) }
    }
}

/// Sums over units, in blocks of fixed size so that they do not depend on the number of threads.
#[derive(Default)]
struct Sums {
    square: f64,
    matching: f64,
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
