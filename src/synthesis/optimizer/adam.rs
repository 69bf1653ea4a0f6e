//! Adam (Kingma & Ba, 2015) and AMSGrad (Reddi, Kale & Kumar, 2018) on the pixels.

use super::{Objective, StepOutcome};
use crate::Result;
use crate::synthesis::archive::{ArchiveReader, ArchiveWriter};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

pub struct Adam {
    pub x: Vec<f32>,
    /// First and second moments of the gradient, and the maximum of the second moment.
    moments: [Vec<f64>; 3],
    steps: u64,
}

impl Adam {
    pub fn new(x: Vec<f32>) -> Self {
        let zeros = || vec![0.0; x.len()];
        Self { moments: [zeros(), zeros(), zeros()], x, steps: 0 }
    }

    pub fn step(
        &mut self,
        rate: f64,
        amsgrad: bool,
        clamp: bool,
        objective: &mut dyn Objective,
    ) -> Result<StepOutcome> {
        let gradient = objective.evaluate(&self.x)?.gradient;
        let steps = self.steps + 1;
        let exponent = steps.min(i32::MAX as u64) as i32;
        let (correction1, correction2) = (1.0 - BETA1.powi(exponent), 1.0 - BETA2.powi(exponent));
        let [low, high] = objective.range().map(f64::from);
        let (mut x, mut moments) = (self.x.clone(), self.moments.clone());
        let [first, second, maximum] = &mut moments;
        for (i, x) in x.iter_mut().enumerate() {
            let g = f64::from(gradient[i]);
            first[i] = BETA1 * first[i] + (1.0 - BETA1) * g;
            second[i] = BETA2 * second[i] + (1.0 - BETA2) * g * g;
            maximum[i] = if amsgrad { maximum[i].max(second[i]) } else { second[i] };
            let moved = f64::from(*x) - rate * (first[i] / correction1) / ((maximum[i] / correction2).sqrt() + EPSILON);
            *x = (if clamp { moved.clamp(low, high) } else { moved }) as f32;
        }
        objective.restrict(&mut x, clamp.then(|| objective.range()));
        objective.check(&x)?;
        (self.x, self.moments, self.steps) = (x, moments, steps);
        Ok(StepOutcome::Moved)
    }

    pub fn save(&self, to: &mut ArchiveWriter) {
        to.f32("optimiser.x", &self.x);
        to.u64("optimiser.steps", self.steps);
        for (name, moment) in ["first", "second", "largest"].iter().zip(&self.moments) {
            to.f64(&format!("optimiser.{name}"), moment);
        }
    }

    pub fn is_consistent(&self) -> bool {
        self.moments.iter().all(|m| m.len() == self.x.len())
    }

    pub fn load(from: &ArchiveReader) -> Result<Self> {
        let moment = |name: &str| from.f64(&format!("optimiser.{name}"));
        Ok(Self {
            x: from.f32("optimiser.x")?,
            moments: [moment("first")?, moment("second")?, moment("largest")?],
            steps: from.count("optimiser.steps")? as u64,
        })
    }
}
