//! Steps of a given length down the gradient.

use super::{Evaluate, Step};
use crate::Result;

pub struct NormalisedGradient {
    pub x: Vec<f32>,
}

impl NormalisedGradient {
    pub fn new(x: Vec<f32>) -> Self {
        Self { x }
    }

    pub fn step(&mut self, eta: f64, clamp: bool, evaluate: &mut dyn Evaluate) -> Result<Step> {
        let gradient = evaluate.evaluate(&self.x)?.gradient;
        let mut x = self.x.clone();
        descend(&mut x, &gradient, eta, clamp);
        evaluate.check(&x)?;
        self.x = x;
        Ok(Step::Moved)
    }
}

/// `x <- x - eta g / (norm2(g) + 1e-10)`, clamped to `[0, 1]` if asked.
pub fn descend(x: &mut [f32], gradient: &[f32], eta: f64, clamp: bool) {
    let norm = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
    for (x, &g) in x.iter_mut().zip(gradient) {
        let moved = f64::from(*x) - eta * f64::from(g) / (norm + 1e-10);
        *x = (if clamp { moved.clamp(0.0, 1.0) } else { moved }) as f32;
    }
}
