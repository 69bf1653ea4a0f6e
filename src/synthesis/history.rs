//! The history of a run and its best stimulus.

use std::sync::Arc;
use std::time::Duration;

use super::optimizer::{Evaluation, Objective, Planes};
use super::problem::Problem;
use crate::{Error, Result};

/// One gradient evaluation of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Point {
    /// The number of the evaluation, from 1.
    pub evaluation: usize,
    /// The loss.
    pub loss: f64,
    /// Signal-to-noise ratio at the matched stage, in dB.
    pub snr_db: f64,
    /// Computation time since the start, in seconds.
    pub seconds: f64,
}

/// The signal-to-noise ratio of several targets at each evaluation; without rows for a single target.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TargetCurves {
    pub names: Vec<String>,
    pub snr_db: Arc<Vec<Vec<f64>>>,
}

/// The values with the highest signal-to-noise ratio so far; once a run holds its match, those nearest to the start that have it.
#[derive(Clone)]
pub(super) struct Best {
    pub x: Vec<f32>,
    pub snr_db: f64,
}

impl Best {
    fn set(&mut self, x: &[f32], snr_db: f64) {
        self.x.clear();
        self.x.extend_from_slice(x);
        self.snr_db = snr_db;
    }
}

/// All evaluations of a run, with the best stimulus and the last gradient.
#[derive(Clone, Default)]
pub(super) struct History {
    /// Shared, as the gradient is, with the snapshots of the live view.
    pub points: Arc<Vec<Point>>,
    /// The signal-to-noise ratios of several targets at each evaluation; empty for one target.
    pub target_snr_db: Arc<Vec<Vec<f64>>>,
    pub best: Option<Best>,
    /// The gradient of the last evaluation.
    pub gradient: Arc<Vec<f32>>,
    pub evaluations: usize,
    /// Time spent in completed steps.
    pub elapsed: Duration,
}

/// Evaluates a problem and records the results.
pub(super) struct Recorder<'a> {
    pub problem: &'a Problem,
    pub history: &'a mut History,
    /// The start of the current step.
    pub since: crate::clock::Instant,
    /// The number of steps before this one.
    pub step: usize,
    /// The values of the last evaluation of a run from coarse to fine.
    pub last: Vec<f32>,
    /// `true` once the run holds its match.
    pub is_holding: bool,
    /// `true` while the step matches an earlier stage.
    pub is_earlier: bool,
}

impl Recorder<'_> {
    fn diverged(&self, reason: String) -> Error {
        Error::Diverged { evaluation: self.history.evaluations, reason }
    }
}

impl Objective for Recorder<'_> {
    fn evaluate(&mut self, x: &[f32]) -> Result<Evaluation> {
        self.history.evaluations += 1;
        if self.problem.is_coarse_at(self.step) {
            self.last = x.to_vec();
        }
        let (found, [loss, snr_db]) = if self.is_earlier {
            self.problem.evaluate_earlier(x)?
        } else {
            let found = self.problem.evaluate(x)?;
            let own = [found.loss, found.snr_db];
            (found, own)
        };
        if let Some(loss) = [found.loss, loss].into_iter().find(|loss| !loss.is_finite()) {
            return Err(self.diverged(format!("the loss became {loss}")));
        }
        if let Some(i) = crate::finite::first(&found.gradient) {
            return Err(self.diverged(format!("the gradient of value {i} became {}", found.gradient[i])));
        }
        let history = &mut *self.history;
        Arc::make_mut(&mut history.points).push(Point {
            evaluation: history.evaluations,
            loss,
            snr_db,
            seconds: (history.elapsed + self.since.elapsed()).as_secs_f64(),
        });
        if !found.target_snr_db.is_empty() {
            Arc::make_mut(&mut history.target_snr_db).push(found.target_snr_db.clone());
        }
        match &mut history.best {
            Some(best) if snr_db > best.snr_db && !self.is_holding => best.set(x, snr_db),
            Some(_) => {}
            None => history.best = Some(Best { x: x.to_vec(), snr_db }),
        }
        history.gradient = Arc::clone(&found.gradient);
        Ok(found)
    }

    fn check(&self, x: &[f32]) -> Result<()> {
        match crate::finite::first(x) {
            Some(i) => Err(self.diverged(format!("value {i} would become {}", x[i]))),
            None => Ok(()),
        }
    }

    fn has_earlier_stage(&self) -> bool {
        self.problem.has_earlier_stage()
    }

    fn aim_at_earlier_stage(&mut self) {
        self.is_earlier = true;
    }

    fn planes(&self) -> Planes {
        self.problem.planes()
    }

    fn range(&self) -> [f32; 2] {
        self.problem.range()
    }

    fn restrict(&self, x: &mut [f32], limits: Option<[f32; 2]>) {
        self.problem.restrict(x, &self.last, self.step, limits);
    }

    fn keep(&mut self, x: &[f32], snr_db: f64) {
        self.is_holding = true;
        if let Some(best) = &mut self.history.best {
            best.set(x, snr_db);
        }
    }
}
