//! Limited-memory BFGS (Nocedal, 1980) with a warm-up and restarts.

use std::collections::VecDeque;

use rayon::prelude::*;

use super::line_search::{self, LinePoint};
use super::normalized_gradient::descend;
use super::parametrization::{PIXEL_MARGIN, Parametrization, is_sound};
use super::preconditioner::Preconditioner;
use super::{Objective, StepOutcome};
use crate::Result;
use crate::synthesis::archive::{ArchiveReader, ArchiveWriter};
use crate::synthesis::problem::Evaluation;
use crate::synthesis::recipe::Lbfgs;

/// The root mean square change of the logits by the first step, before any curvature is known.
const INITIAL_RMS_CHANGE: f64 = 0.05;

/// The signal-to-noise ratio at which the warm-up ends early, in dB.
const WARM_UP_SNR_DB: f64 = 3.0;

/// The number of normalised gradient steps after a stall.
const STEPS_AFTER_STALL: u64 = 10;

/// The signal-to-noise ratio in dB at which a stall is final: the limit of single precision.
const MAX_SNR_DB: f64 = 60.0;

/// The maximum number of stalls; further gradient steps would be negligibly short.
const MAX_STALLS: u64 = 12;

/// The state of the optimizer: normalised gradient steps, then L-BFGS; after a stall, shorter gradient steps, then L-BFGS again.
pub struct LbfgsState {
    x: Vec<f32>,
    /// The number of normalised gradient steps since the start or the last stall.
    gradient_steps: u64,
    stalls: u64,
    /// `None` during normalised gradient steps.
    quasi_newton: Option<QuasiNewton>,
}

/// The state of L-BFGS.
struct QuasiNewton {
    parametrization: Parametrization,
    /// The variables, and the loss and its gradient with respect to them.
    v: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
    /// Past steps `s` and gradient changes `y`, oldest first.
    memory: VecDeque<(Vec<f64>, Vec<f64>)>,
    preconditioner: Preconditioner,
    snr_db: f64,
}

/// A point of the line search, a candidate for the next state.
struct Candidate {
    x: Vec<f32>,
    v: Vec<f64>,
    gradient: Vec<f64>,
    snr_db: f64,
}

impl LbfgsState {
    pub fn new(x: Vec<f32>) -> Self {
        Self { x, gradient_steps: 0, stalls: 0, quasi_newton: None }
    }

    pub fn pixels(&self) -> &[f32] {
        &self.x
    }

    pub fn step(&mut self, parameters: &Lbfgs, objective: &mut dyn Objective) -> Result<StepOutcome> {
        let Some(quasi_newton) = &mut self.quasi_newton else {
            clamp_to_margin(&mut self.x, objective.planes().1);
            let found = objective.evaluate(&self.x)?;
            if self.is_warmed_up(parameters, &found) {
                self.quasi_newton = Some(QuasiNewton::new(&self.x, &found, objective.planes()));
            } else {
                let eta = parameters.warm_up_eta * 0.5f64.powi(self.stalls.min(MAX_STALLS) as i32);
                descend(&mut self.x, &found.gradient, eta, None);
                clamp_to_margin(&mut self.x, objective.planes().1);
                self.gradient_steps += 1;
            }
            return Ok(StepOutcome::Moved);
        };
        if let Some(x) = quasi_newton.step(parameters, objective)? {
            self.x = x;
        } else if !quasi_newton.memory.is_empty() {
            // The curvature of distant points may be wrong here.
            quasi_newton.reset_memory();
        } else if quasi_newton.snr_db >= MAX_SNR_DB || self.stalls >= MAX_STALLS {
            return Ok(StepOutcome::Stalled);
        } else {
            (self.quasi_newton, self.gradient_steps) = (None, 0);
            self.stalls += 1;
        }
        Ok(StepOutcome::Moved)
    }

    fn is_warmed_up(&self, parameters: &Lbfgs, found: &Evaluation) -> bool {
        match self.stalls {
            0 => self.gradient_steps >= parameters.warm_up as u64 || found.snr_db >= WARM_UP_SNR_DB,
            _ => self.gradient_steps >= STEPS_AFTER_STALL,
        }
    }

    pub fn save(&self, to: &mut ArchiveWriter) {
        to.f32("optimiser.x", &self.x);
        to.u64("optimiser.warmed", self.gradient_steps);
        to.u64("optimiser.stalls", self.stalls);
        if let Some(d) = &self.quasi_newton {
            to.f64("optimiser.origin", d.parametrization.origin());
            to.f64("optimiser.v", &d.v);
            to.f64("optimiser.value", &[d.value]);
            to.f64("optimiser.gradient", &d.gradient);
            to.f64("optimiser.snr_db", &[d.snr_db]);
            to.f64("optimiser.bands", d.preconditioner.bands.as_flattened());
            to.f64("optimiser.cells", d.preconditioner.cells.as_flattened());
            to.f64("optimiser.scale", &[d.preconditioner.scale]);
            to.u64("optimiser.memory", d.memory.len() as u64);
            for (i, (s, y)) in d.memory.iter().enumerate() {
                to.f64(&format!("optimiser.s{i}"), s);
                to.f64(&format!("optimiser.y{i}"), y);
            }
        }
    }

    pub fn is_consistent(&self) -> bool {
        self.quasi_newton.as_ref().is_none_or(|d| {
            let pairs = d.memory.iter().flat_map(|(s, y)| [s, y]);
            let expected = Preconditioner::new(&d.parametrization);
            let sums = [(&expected.bands, &d.preconditioner.bands), (&expected.cells, &d.preconditioner.cells)];
            d.parametrization.len() == self.x.len()
                && pairs.chain([&d.v, &d.gradient]).all(|a| a.len() == self.x.len())
                && sums.into_iter().all(|(a, b)| a.len() == b.len())
        })
    }

    pub fn load(parameters: &Lbfgs, from: &ArchiveReader, planes: (usize, [usize; 2])) -> Result<Self> {
        let quasi_newton = if from.has("optimiser.v") {
            let origin = from.f64("optimiser.origin")?;
            if planes.0 * planes.1[0] * planes.1[1] != origin.len() {
                return Err(from.error("has arrays of different sizes for one stimulus"));
            }
            let pairs = from.count("optimiser.memory")?;
            if pairs > parameters.memory {
                let limit = parameters.memory;
                return Err(from.error(format!("has {pairs} pairs of steps in memory, but its recipe allows {limit}")));
            }
            let sums =
                |name: &str| Ok::<_, crate::Error>(from.f64(&format!("optimiser.{name}"))?.as_chunks().0.to_vec());
            let memory =
                (0..pairs).map(|i| Ok((from.f64(&format!("optimiser.s{i}"))?, from.f64(&format!("optimiser.y{i}"))?)));
            Some(QuasiNewton {
                parametrization: Parametrization::new(planes, origin),
                v: from.f64("optimiser.v")?,
                value: from.scalar("optimiser.value")?,
                gradient: from.f64("optimiser.gradient")?,
                memory: memory.collect::<Result<_>>()?,
                preconditioner: Preconditioner {
                    bands: sums("bands")?,
                    cells: sums("cells")?,
                    scale: from.scalar("optimiser.scale")?,
                },
                snr_db: from.scalar("optimiser.snr_db")?,
            })
        } else {
            None
        };
        let (gradient_steps, stalls) = (from.count("optimiser.warmed")? as u64, from.count("optimiser.stalls")? as u64);
        Ok(Self { x: from.f32("optimiser.x")?, gradient_steps, stalls, quasi_newton })
    }
}

/// Clamps pixels to the margin, samples to their range.
fn clamp_to_margin(x: &mut [f32], size: [usize; 2]) {
    let [low, high] = if is_sound(size) { [-1.0, 1.0] } else { [PIXEL_MARGIN as f32, 1.0 - PIXEL_MARGIN as f32] };
    x.iter_mut().for_each(|x| *x = x.clamp(low, high));
}

impl QuasiNewton {
    /// Starts at the pixels `x`, whose evaluation is `found`.
    fn new(x: &[f32], found: &Evaluation, planes: (usize, [usize; 2])) -> Self {
        let parametrization = Parametrization::from_pixels(x, planes);
        Self {
            v: vec![0.0; x.len()],
            value: found.loss,
            gradient: parametrization.gradient(x, &found.gradient),
            memory: VecDeque::new(),
            preconditioner: Preconditioner::new(&parametrization),
            snr_db: found.snr_db,
            parametrization,
        }
    }

    fn reset_memory(&mut self) {
        self.memory.clear();
        self.preconditioner = Preconditioner::new(&self.parametrization);
    }

    /// The pixels after a step; `None` when no better point was found.
    fn step(&mut self, parameters: &Lbfgs, objective: &mut dyn Objective) -> Result<Option<Vec<f32>>> {
        let direction = self.direction();
        let slope = dot(&direction, &self.gradient);
        if !slope.is_finite() || slope >= 0.0 {
            return Ok(None);
        }
        let first =
            if self.memory.is_empty() { INITIAL_RMS_CHANGE / self.parametrization.rms_change(&direction) } else { 1.0 };
        let found = line_search::search(self.value, slope, first, |step| {
            let v: Vec<f64> = self.v.iter().zip(&direction).map(|(v, d)| v + step * d).collect();
            let x = self.parametrization.pixels(&v);
            let found = objective.evaluate(&x)?;
            let gradient = self.parametrization.gradient(&x, &found.gradient);
            let slope = dot(&gradient, &direction);
            Ok(LinePoint { step, value: found.loss, slope, data: Candidate { x, v, gradient, snr_db: found.snr_db } })
        })?;
        let Some(LinePoint { value, data: candidate, .. }) = found else {
            return Ok(None);
        };
        let s: Vec<f64> = candidate.v.iter().zip(&self.v).map(|(new, old)| new - old).collect();
        let y: Vec<f64> = candidate.gradient.iter().zip(&self.gradient).map(|(new, old)| new - old).collect();
        let sy = dot(&s, &y);
        if sy > 1e-12 * dot(&y, &y).sqrt() * dot(&s, &s).sqrt() {
            self.preconditioner.update(&s, &y, sy, &self.parametrization);
            if self.memory.len() >= parameters.memory {
                self.memory.pop_front();
            }
            self.memory.push_back((s, y));
        }
        (self.v, self.value, self.gradient, self.snr_db) = (candidate.v, value, candidate.gradient, candidate.snr_db);
        Ok(Some(candidate.x))
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
            self.preconditioner.apply(&mut q, &self.parametrization);
        }
        for ((s, y), alpha) in self.memory.iter().zip(alphas.into_iter().rev()) {
            let beta = dot(y, &q) / dot(s, y);
            q.iter_mut().zip(s).for_each(|(q, s)| *q += (alpha - beta) * s);
        }
        q
    }
}

/// The dot product, summed in blocks of fixed size so that the result does not depend on the number of threads.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    const BLOCK: usize = 1 << 14;
    let blocks = a.par_chunks(BLOCK).zip(b.par_chunks(BLOCK));
    let sums: Vec<f64> = blocks.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum()).collect();
    sums.iter().sum()
}
