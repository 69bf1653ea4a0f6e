//! Optimizers. A step either succeeds, or fails and leaves the state unchanged.

mod adam;
pub(super) mod cosines;
mod lbfgs;
mod line_search;
mod normalized_gradient;
mod parametrization;
mod planes;
mod preconditioner;
mod pull;

pub(super) use planes::Planes;
pub(super) use pull::Pull;

use std::sync::Arc;

use super::archive::{ArchiveReader, ArchiveWriter};
use super::recipe::{Optimizer, Recipe};
use crate::Result;

/// Loss and gradient at one point.
#[derive(Clone)]
pub(super) struct Evaluation {
    pub loss: f64,
    /// The gradient with respect to the pixels or samples.
    pub gradient: Arc<Vec<f32>>,
    pub snr_db: f64,
    /// The signal-to-noise ratio of each target; empty for one target.
    pub target_snr_db: Vec<f64>,
}

/// The objective function; an implementation also counts evaluations, detects NaN and records the best point.
pub(super) trait Objective {
    fn evaluate(&mut self, x: &[f32]) -> Result<Evaluation>;

    /// Returns whether there is an earlier stage that can be matched first.
    fn has_earlier_stage(&self) -> bool;

    /// Makes the evaluations of this step those of the earlier stage.
    fn aim_at_earlier_stage(&mut self);

    /// An error when the values after a step are not finite; called before the step is taken.
    fn check(&self, x: &[f32]) -> Result<()>;

    /// The layout of the values.
    fn planes(&self) -> Planes;

    /// The smallest and the largest valid value.
    fn range(&self) -> [f32; 2];

    /// Restricts a step from the last evaluated values to `x`: to coarse changes, and to the run's bound. `limits` is the range of
    /// values, if they are clamped.
    fn restrict(&self, x: &mut [f32], limits: Option<[f32; 2]>);

    /// Takes an evaluated point as the best one, although others may have a higher signal-to-noise ratio.
    fn keep(&mut self, x: &[f32], snr_db: f64);
}

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepOutcome {
    Moved,
    /// No better point was found.
    Stalled,
}

/// The state of an optimizer between two steps.
pub(super) enum OptimizerState {
    Adam(adam::Adam),
    NormalizedGradient(normalized_gradient::NormalizedGradient),
    Lbfgs(Box<lbfgs::LbfgsState>),
}

impl OptimizerState {
    pub fn new(recipe: &Recipe, start: Vec<f32>) -> Self {
        match recipe.optimizer {
            Optimizer::Adam { .. } => Self::Adam(adam::Adam::new(start)),
            Optimizer::NormalizedGradient { .. } => {
                Self::NormalizedGradient(normalized_gradient::NormalizedGradient::new(start))
            }
            Optimizer::Lbfgs(lbfgs) => Self::Lbfgs(Box::new(lbfgs::LbfgsState::new(&lbfgs, start))),
        }
    }

    /// The current values.
    pub fn pixels(&self) -> &[f32] {
        match self {
            Self::Adam(s) => &s.x,
            Self::NormalizedGradient(s) => &s.x,
            Self::Lbfgs(s) => s.pixels(),
        }
    }

    /// The pull towards the start, for recipes with one.
    pub fn pull(&self) -> Option<&Pull> {
        match self {
            Self::Lbfgs(s) => s.pull(),
            _ => None,
        }
    }

    /// Takes a step; `step` is its number in the run, from 0.
    pub fn step(&mut self, recipe: &Recipe, step: usize, objective: &mut dyn Objective) -> Result<StepOutcome> {
        match (self, recipe.optimizer) {
            (Self::Adam(s), Optimizer::Adam { rate, decay_per_1000, amsgrad }) => {
                let rate = rate * decay_per_1000.powf(step as f64 / 1000.0);
                s.step(rate, amsgrad, recipe.clamp, objective)
            }
            (Self::NormalizedGradient(s), Optimizer::NormalizedGradient { eta, blocks }) => {
                let block = step.saturating_mul(blocks) / recipe.steps.max(1);
                s.step(eta * 0.5f64.powi(block.min(blocks - 1) as i32), recipe.clamp, objective)
            }
            (Self::Lbfgs(s), Optimizer::Lbfgs(lbfgs)) => s.step(&lbfgs, objective),
            _ => Err(crate::Error::invalid("recipe.optimizer", "differs from the one that this run was started with")),
        }
    }

    pub fn save(&self, to: &mut ArchiveWriter) {
        match self {
            Self::Adam(s) => s.save(to),
            Self::NormalizedGradient(s) => to.f32("optimiser.x", &s.x),
            Self::Lbfgs(s) => s.save(to),
        }
    }

    /// Returns whether all arrays have the size of one stimulus.
    pub fn is_consistent(&self) -> bool {
        match self {
            Self::Adam(s) => s.is_consistent(),
            Self::NormalizedGradient(_) => true,
            Self::Lbfgs(s) => s.is_consistent(),
        }
    }

    /// Loads the state of a run on a stimulus of these color planes, height and width.
    pub fn load(recipe: &Recipe, from: &ArchiveReader, planes: Planes) -> Result<Self> {
        Ok(match recipe.optimizer {
            Optimizer::Adam { .. } => Self::Adam(adam::Adam::load(from)?),
            Optimizer::NormalizedGradient { .. } => {
                let x = from.f32("optimiser.x")?;
                Self::NormalizedGradient(normalized_gradient::NormalizedGradient::new(x))
            }
            Optimizer::Lbfgs(lbfgs) => Self::Lbfgs(Box::new(lbfgs::LbfgsState::load(&lbfgs, from, planes)?)),
        })
    }
}
