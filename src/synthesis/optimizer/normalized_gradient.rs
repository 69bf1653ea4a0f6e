//! Gradient descent with steps of a given length.

use super::{Objective, StepOutcome};
use crate::Result;

pub struct NormalizedGradient {
    pub x: Vec<f32>,
}

impl NormalizedGradient {
    pub fn new(x: Vec<f32>) -> Self {
        Self { x }
    }

    pub fn step(&mut self, eta: f64, clamp: bool, objective: &mut dyn Objective) -> Result<StepOutcome> {
        let gradient = objective.evaluate(&self.x)?.gradient;
        let mut x = self.x.clone();
        descend(&mut x, &gradient, eta, clamp.then(|| objective.range()));
        objective.restrict(&mut x, clamp.then(|| objective.range()));
        objective.check(&x)?;
        self.x = x;
        Ok(StepOutcome::Moved)
    }
}

/// `x <- x - eta g / (norm2(g) + 1e-10)`, clamped to `range` if given.
pub fn descend(x: &mut [f32], gradient: &[f32], eta: f64, range: Option<[f32; 2]>) {
    let norm = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
    for (x, &g) in x.iter_mut().zip(gradient) {
        let moved = (f64::from(*x) - eta * f64::from(g) / (norm + 1e-10)) as f32;
        *x = range.map_or(moved, |[low, high]| moved.clamp(low, high));
    }
}
