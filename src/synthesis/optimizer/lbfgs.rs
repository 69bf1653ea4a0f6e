//! Limited-memory BFGS, with a warm-up before it and a way on when it stalls.

use std::collections::VecDeque;

use rayon::prelude::*;

use super::line_search::{self, LinePoint};
use super::normalized_gradient::descend;
use super::parametrization::{MARGIN, Parametrization, is_sound};
use super::preconditioner::Preconditioner;
use super::{Objective, StepOutcome};
use crate::Result;
use crate::synthesis::archive::{ArchiveReader, ArchiveWriter};
use crate::synthesis::problem::Evaluation;
use crate::synthesis::recipe::Lbfgs;

/// The first step, before a curvature is known, moves the logits by this much on average.
const FIRST_REACH: f64 = 0.05;

/// The warm-up ends early at this match (dB).
const WARM_DB: f64 = 3.0;

/// Normalised gradient steps after a stall.
const STEPS_AFTER_A_STALL: u64 = 10;

/// A stall at this match (dB) is the end: single precision knows nothing better.
const GOOD_ENOUGH_DB: f64 = 60.0;

/// After so many stalls the steps after a stall are too short to matter.
const MOST_STALLS: u64 = 12;

/// Normalised gradient steps, then L-BFGS; after a stall, shorter gradient steps and L-BFGS anew.
pub struct LbfgsState {
    x: Vec<f32>,
    /// Normalised gradient steps since the start or the last stall.
    warmed: u64,
    stalls: u64,
    descent: Option<Descent>,
}

/// The state once L-BFGS has begun.
struct Descent {
    variables: Parametrization,
    v: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
    /// Past steps `s` and gradient changes `y`, oldest first.
    memory: VecDeque<(Vec<f64>, Vec<f64>)>,
    metric: Preconditioner,
    snr_db: f64,
}

/// A point of the line search that may become the next state.
struct Trial {
    x: Vec<f32>,
    v: Vec<f64>,
    gradient: Vec<f64>,
    snr_db: f64,
}

impl LbfgsState {
    pub fn new(x: Vec<f32>) -> Self {
        Self { x, warmed: 0, stalls: 0, descent: None }
    }

    pub fn pixels(&self) -> &[f32] {
        &self.x
    }

    pub fn step(&mut self, parameters: &Lbfgs, evaluate: &mut dyn Objective) -> Result<StepOutcome> {
        let Some(descent) = &mut self.descent else {
            keep_inside(&mut self.x, evaluate.planes().1);
            let found = evaluate.evaluate(&self.x)?;
            if self.is_warm(parameters, &found) {
                self.descent = Some(Descent::new(&self.x, &found, evaluate.planes()));
            } else {
                let eta = parameters.warm_up_eta * 0.5f64.powi(self.stalls.min(MOST_STALLS) as i32);
                descend(&mut self.x, &found.gradient, eta, None);
                keep_inside(&mut self.x, evaluate.planes().1);
                self.warmed += 1;
            }
            return Ok(StepOutcome::Moved);
        };
        if let Some(x) = descent.step(parameters, evaluate)? {
            self.x = x;
        } else if !descent.memory.is_empty() {
            // What was learnt far away may mislead here.
            descent.forget();
        } else if descent.snr_db >= GOOD_ENOUGH_DB || self.stalls >= MOST_STALLS {
            return Ok(StepOutcome::Stalled);
        } else {
            (self.descent, self.warmed) = (None, 0);
            self.stalls += 1;
        }
        Ok(StepOutcome::Moved)
    }

    fn is_warm(&self, parameters: &Lbfgs, found: &Evaluation) -> bool {
        match self.stalls {
            0 => self.warmed >= parameters.warm_up as u64 || found.snr_db >= WARM_DB,
            _ => self.warmed >= STEPS_AFTER_A_STALL,
        }
    }

    pub fn save(&self, to: &mut ArchiveWriter) {
        to.f32("optimiser.x", &self.x);
        to.u64("optimiser.warmed", self.warmed);
        to.u64("optimiser.stalls", self.stalls);
        if let Some(d) = &self.descent {
            to.f64("optimiser.origin", d.variables.origin());
            to.f64("optimiser.v", &d.v);
            to.f64("optimiser.value", &[d.value]);
            to.f64("optimiser.gradient", &d.gradient);
            to.f64("optimiser.snr_db", &[d.snr_db]);
            to.f64("optimiser.bands", d.metric.bands.as_flattened());
            to.f64("optimiser.cells", d.metric.cells.as_flattened());
            to.f64("optimiser.scale", &[d.metric.scale]);
            to.u64("optimiser.memory", d.memory.len() as u64);
            for (i, (s, y)) in d.memory.iter().enumerate() {
                to.f64(&format!("optimiser.s{i}"), s);
                to.f64(&format!("optimiser.y{i}"), y);
            }
        }
    }

    pub fn is_consistent(&self) -> bool {
        self.descent.as_ref().is_none_or(|d| {
            let pairs = d.memory.iter().flat_map(|(s, y)| [s, y]);
            let fresh = Preconditioner::new(&d.variables);
            let sums = [(&fresh.bands, &d.metric.bands), (&fresh.cells, &d.metric.cells)];
            d.variables.len() == self.x.len()
                && pairs.chain([&d.v, &d.gradient]).all(|a| a.len() == self.x.len())
                && sums.into_iter().all(|(a, b)| a.len() == b.len())
        })
    }

    pub fn load(parameters: &Lbfgs, from: &ArchiveReader, planes: (usize, [usize; 2])) -> Result<Self> {
        let descent = if from.has("optimiser.v") {
            let origin = from.f64("optimiser.origin")?;
            if planes.0 * planes.1[0] * planes.1[1] != origin.len() {
                return Err(from.error("holds arrays of different sizes for one picture"));
            }
            let remembered = from.count("optimiser.memory")?;
            if remembered > parameters.memory {
                let most = parameters.memory;
                return Err(from.error(format!("remembers {remembered} steps where its recipe allows {most}")));
            }
            let sums =
                |name: &str| Ok::<_, crate::Error>(from.f64(&format!("optimiser.{name}"))?.as_chunks().0.to_vec());
            let pairs = (0..remembered)
                .map(|i| Ok((from.f64(&format!("optimiser.s{i}"))?, from.f64(&format!("optimiser.y{i}"))?)));
            Some(Descent {
                variables: Parametrization::new(planes, origin),
                v: from.f64("optimiser.v")?,
                value: from.scalar("optimiser.value")?,
                gradient: from.f64("optimiser.gradient")?,
                memory: pairs.collect::<Result<_>>()?,
                metric: Preconditioner {
                    bands: sums("bands")?,
                    cells: sums("cells")?,
                    scale: from.scalar("optimiser.scale")?,
                },
                snr_db: from.scalar("optimiser.snr_db")?,
            })
        } else {
            None
        };
        let (warmed, stalls) = (from.count("optimiser.warmed")? as u64, from.count("optimiser.stalls")? as u64);
        Ok(Self { x: from.f32("optimiser.x")?, warmed, stalls, descent })
    }
}

/// Pixels inside the margin, samples inside their range.
fn keep_inside(x: &mut [f32], size: [usize; 2]) {
    let [low, high] = if is_sound(size) { [-1.0, 1.0] } else { [MARGIN as f32, 1.0 - MARGIN as f32] };
    x.iter_mut().for_each(|x| *x = x.clamp(low, high));
}

impl Descent {
    /// Begins at the pixels `x`, which were evaluated already.
    fn new(x: &[f32], found: &Evaluation, planes: (usize, [usize; 2])) -> Self {
        let variables = Parametrization::around(x, planes);
        Self {
            v: vec![0.0; x.len()],
            value: found.loss,
            gradient: variables.gradient(x, &found.gradient),
            memory: VecDeque::new(),
            metric: Preconditioner::new(&variables),
            snr_db: found.snr_db,
            variables,
        }
    }

    fn forget(&mut self) {
        self.memory.clear();
        self.metric = Preconditioner::new(&self.variables);
    }

    /// The pixels after one step, or nothing when no better point was found.
    fn step(&mut self, parameters: &Lbfgs, evaluate: &mut dyn Objective) -> Result<Option<Vec<f32>>> {
        let direction = self.direction();
        let slope = dot(&direction, &self.gradient);
        if !slope.is_finite() || slope >= 0.0 {
            return Ok(None);
        }
        let first = if self.memory.is_empty() { FIRST_REACH / self.variables.reach(&direction) } else { 1.0 };
        let found = line_search::search(self.value, slope, first, |step| {
            let v: Vec<f64> = self.v.iter().zip(&direction).map(|(v, d)| v + step * d).collect();
            let x = self.variables.pixels(&v);
            let found = evaluate.evaluate(&x)?;
            let gradient = self.variables.gradient(&x, &found.gradient);
            let slope = dot(&gradient, &direction);
            Ok(LinePoint { step, value: found.loss, slope, found: Trial { x, v, gradient, snr_db: found.snr_db } })
        })?;
        let Some(LinePoint { value, found: trial, .. }) = found else {
            return Ok(None);
        };
        let s: Vec<f64> = trial.v.iter().zip(&self.v).map(|(new, old)| new - old).collect();
        let y: Vec<f64> = trial.gradient.iter().zip(&self.gradient).map(|(new, old)| new - old).collect();
        let sy = dot(&s, &y);
        if sy > 1e-12 * dot(&y, &y).sqrt() * dot(&s, &s).sqrt() {
            self.metric.update(&s, &y, sy, &self.variables);
            if self.memory.len() >= parameters.memory {
                self.memory.pop_front();
            }
            self.memory.push_back((s, y));
        }
        (self.v, self.value, self.gradient, self.snr_db) = (trial.v, value, trial.gradient, trial.snr_db);
        Ok(Some(trial.x))
    }

    /// The quasi-Newton direction, by the two-loop recursion (Nocedal, 1980).
    fn direction(&self) -> Vec<f64> {
        let mut q: Vec<f64> = self.gradient.iter().map(|g| -g).collect();
        let mut alphas = Vec::with_capacity(self.memory.len());
        for (s, y) in self.memory.iter().rev() {
            let alpha = dot(s, &q) / dot(s, y);
            q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha * y);
            alphas.push(alpha);
        }
        if !self.memory.is_empty() {
            self.metric.apply(&mut q, &self.variables);
        }
        for ((s, y), alpha) in self.memory.iter().zip(alphas.into_iter().rev()) {
            let beta = dot(y, &q) / dot(s, y);
            q.iter_mut().zip(s).for_each(|(q, s)| *q += (alpha - beta) * s);
        }
        q
    }
}

/// Summed in blocks of fixed size, so that the bits do not depend on the number of threads.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    const BLOCK: usize = 1 << 14;
    let blocks = a.par_chunks(BLOCK).zip(b.par_chunks(BLOCK));
    let sums: Vec<f64> = blocks.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum()).collect();
    sums.iter().sum()
}
