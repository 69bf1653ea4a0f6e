//! Limited-memory BFGS (Nocedal, 1980) with a warm-up and restarts.

use std::collections::VecDeque;

use super::line_search::{self, LinePoint};
use super::normalized_gradient::descend;
use super::parametrization::{PIXEL_MARGIN, Parametrization};
use super::planes::Planes;
use super::preconditioner::Preconditioner;
use super::pull::Pull;
use super::{Evaluation, Objective, StepOutcome};
use crate::engine::vectors::{add_all, dot, dots, scaled, sum};
use crate::synthesis::archive::{ArchiveReader, ArchiveWriter};
use crate::synthesis::recipe::{Lbfgs, Variables};
use crate::{Error, Result};

/// The root mean square change of the logits by the first step, before any curvature is known.
const INITIAL_RMS_CHANGE: f64 = 0.05;

/// The signal-to-noise ratio at which the warm-up ends early, in dB.
const WARM_UP_SNR_DB: f64 = 3.0;

/// The signal-to-noise ratio at the earlier stage at which its steps end, in dB.
const EARLIER_SNR_DB: f64 = 10.0;

/// The number of normalised gradient steps after a stall.
const STEPS_AFTER_STALL: u64 = 10;

/// The signal-to-noise ratio in dB at which a stall is final: the limit of single precision.
const MAX_SNR_DB: f64 = 60.0;

/// The maximum number of stalls; further gradient steps would be negligibly short.
const MAX_STALLS: u64 = 12;

/// The state of the optimizer: normalised gradient steps, then L-BFGS; after a stall, shorter gradient steps, then L-BFGS again.
pub struct LbfgsState {
    x: Vec<f32>,
    /// The number of steps that matched an earlier stage; `None` when the matched stage's own steps have begun.
    earlier_steps: Option<u64>,
    /// The number of normalised gradient steps since the start, the last stall or the change to the matched stage.
    gradient_steps: u64,
    stalls: u64,
    /// `None` during normalised gradient steps.
    quasi_newton: Option<QuasiNewton>,
    pull: Option<Pull>,
}

/// The state of L-BFGS.
struct QuasiNewton {
    parametrization: Parametrization,
    /// The variables, and the objective (the loss and the pull) and its gradient with respect to them.
    v: Vec<f32>,
    value: f64,
    gradient: Vec<f32>,
    /// Past steps, oldest first.
    memory: VecDeque<Pair>,
    /// `s'gradient` of each pair in memory.
    slopes: Vec<f64>,
    preconditioner: Preconditioner,
    snr_db: f64,
}

/// A step `s` and the gradient change `y`.
struct Pair {
    s: Vec<f32>,
    y: Vec<f32>,
    /// The dot products of `y` with the steps in memory, up to `s`.
    products: VecDeque<f64>,
}

/// A point of the line search, a candidate for the next state.
struct Candidate {
    x: Vec<f32>,
    v: Vec<f32>,
    gradient: Vec<f32>,
    found: Evaluation,
    /// The mean squared distance to the start, for recipes with a pull; otherwise 0.
    distance: f64,
}

impl LbfgsState {
    pub fn new(parameters: &Lbfgs, x: Vec<f32>) -> Self {
        let pull = parameters.nearest_at.map(|_| Pull::new(x.clone()));
        let earlier_steps = (parameters.earlier_steps > 0).then_some(0);
        Self { x, earlier_steps, gradient_steps: 0, stalls: 0, quasi_newton: None, pull }
    }

    /// The pull towards the start, for recipes with one.
    pub fn pull(&self) -> Option<&Pull> {
        self.pull.as_ref()
    }

    pub fn pixels(&self) -> &[f32] {
        &self.x
    }

    pub fn step(&mut self, parameters: &Lbfgs, objective: &mut dyn Objective) -> Result<StepOutcome> {
        let Some(steps) = self.earlier_steps.filter(|_| objective.has_earlier_stage()) else {
            self.earlier_steps = None;
            return self.step_at_stage(parameters, objective);
        };
        objective.aim_at_earlier_stage();
        // The pull is that of the matched stage.
        let pull = self.pull.take();
        let outcome = self.step_at_stage(parameters, objective);
        self.pull = pull;
        let is_matched = self.quasi_newton.as_ref().is_some_and(|state| state.snr_db >= EARLIER_SNR_DB);
        let ends = outcome? == StepOutcome::Stalled || is_matched || steps + 1 >= parameters.earlier_steps as u64;
        self.earlier_steps = (!ends).then_some(steps + 1);
        if ends {
            (self.quasi_newton, self.gradient_steps, self.stalls) = (None, 0, 0);
        }
        Ok(StepOutcome::Moved)
    }

    fn step_at_stage(&mut self, parameters: &Lbfgs, objective: &mut dyn Objective) -> Result<StepOutcome> {
        let Some(quasi_newton) = &mut self.quasi_newton else {
            clamp_to_margin(&mut self.x, objective.planes());
            let found = objective.evaluate(&self.x)?;
            if self.is_warmed_up(parameters, &found) {
                let planes = objective.planes();
                self.quasi_newton =
                    Some(QuasiNewton::new(parameters.variables, self.pull.as_ref(), &self.x, &found, planes));
            } else {
                let eta = parameters.warm_up_eta * 0.5f64.powi(self.stalls.min(MAX_STALLS) as i32);
                descend(&mut self.x, &found.gradient, eta, None);
                clamp_to_margin(&mut self.x, objective.planes());
                self.gradient_steps += 1;
            }
            return Ok(StepOutcome::Moved);
        };
        if let Some(x) = quasi_newton.step(parameters, self.pull.as_mut(), objective)? {
            quasi_newton.parametrization.spare().give(std::mem::replace(&mut self.x, x));
        } else if !quasi_newton.memory.is_empty() {
            // The curvature of distant points may be wrong here.
            quasi_newton.reset_memory();
        } else if let Some(pull) = self.pull.as_mut().filter(|pull| pull.is_holding()) {
            pull.settle();
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
        if let Some(steps) = self.earlier_steps {
            to.u64("optimiser.earlier", steps);
        }
        if let Some(pull) = &self.pull {
            pull.save(to);
        }
        if let Some(d) = &self.quasi_newton {
            let variables = |values: &[f32]| d.parametrization.to_file_order(values);
            to.f32("optimiser.origin", d.parametrization.origin());
            to.f32("optimiser.v", &variables(&d.v));
            to.f64("optimiser.value", &[d.value]);
            to.f32("optimiser.gradient", &variables(&d.gradient));
            to.f64("optimiser.snr_db", &[d.snr_db]);
            to.f64("optimiser.bands", d.preconditioner.bands.as_flattened());
            to.f64("optimiser.cells", d.preconditioner.cells.as_flattened());
            to.f64("optimiser.scale", &[d.preconditioner.scale]);
            to.u64("optimiser.memory", d.memory.len() as u64);
            for (i, pair) in d.memory.iter().enumerate() {
                to.f32(&format!("optimiser.s{i}"), &variables(&pair.s));
                to.f32(&format!("optimiser.y{i}"), &variables(&pair.y));
            }
        }
    }

    pub fn is_consistent(&self) -> bool {
        self.quasi_newton.as_ref().is_none_or(|d| d.parametrization.len() == self.x.len())
            && self.pull.as_ref().is_none_or(|pull| pull.len() == self.x.len())
    }

    /// Loads a state; those of version 0.1 are in double precision.
    pub fn load(parameters: &Lbfgs, from: &ArchiveReader, planes: Planes) -> Result<Self> {
        let quasi_newton =
            if from.has("optimiser.v") { Some(QuasiNewton::load(parameters, from, planes)?) } else { None };
        let x = from.f32("optimiser.x")?;
        // Earlier copies had other variables for images one pixel high: L-BFGS begins anew there.
        let quasi_newton = quasi_newton.filter(|found| found.is_at(&x));
        let (gradient_steps, stalls) = (from.count("optimiser.warmed")? as u64, from.count("optimiser.stalls")? as u64);
        let pull = parameters.nearest_at.map(|_| Pull::load(from)).transpose()?;
        let earlier_steps = from
            .has("optimiser.earlier")
            .then(|| from.count("optimiser.earlier"))
            .transpose()?
            .map(|steps| steps as u64);
        Ok(Self { x, earlier_steps, gradient_steps, stalls, quasi_newton, pull })
    }
}

/// The loss and the pull at the pixels `x`, and their gradient with respect to the variables. `distance` is that of `x` to the start.
fn objective_at(
    parametrization: &Parametrization,
    pull: Option<&Pull>,
    (x, distance): (&[f32], f64),
    found: &Evaluation,
) -> (f64, Vec<f32>) {
    let value = found.loss + pull.map_or(0.0, |pull| pull.value(distance));
    (value, parametrization.gradient(x, &found.gradient, pull.map(Pull::gradient)))
}

/// The mean squared distance of `x` to the start, for recipes with a pull; otherwise 0.
fn distance_to_start(pull: Option<&Pull>, x: &[f32]) -> f64 {
    pull.map_or(0.0, |pull| pull.distance(x))
}

/// Clamps pixels and samples to the margin of their range.
fn clamp_to_margin(x: &mut [f32], planes: Planes) {
    let margin = PIXEL_MARGIN as f32;
    let [low, high] = [if planes.is_sound { margin - 1.0 } else { margin }, 1.0 - margin];
    x.iter_mut().for_each(|x| *x = x.clamp(low, high));
}

impl QuasiNewton {
    /// Starts at the pixels `x`, whose evaluation is `found`.
    fn new(variables: Variables, pull: Option<&Pull>, x: &[f32], found: &Evaluation, planes: Planes) -> Self {
        let parametrization = Parametrization::from_pixels(variables, x, planes);
        let distance = distance_to_start(pull, x);
        let (value, gradient) = objective_at(&parametrization, pull, (x, distance), found);
        Self {
            v: vec![0.0; x.len()],
            value,
            gradient,
            memory: VecDeque::new(),
            slopes: vec![],
            preconditioner: Preconditioner::new(parametrization.spectrum()),
            snr_db: found.snr_db,
            parametrization,
        }
    }

    fn load(parameters: &Lbfgs, from: &ArchiveReader, planes: Planes) -> Result<Self> {
        let origin = from.f32_or_f64("optimiser.origin")?;
        let sizes = || from.error("has arrays of different sizes for one stimulus");
        if planes.len() != origin.len() {
            return Err(sizes());
        }
        let parametrization = Parametrization::new(parameters.variables, planes, origin);
        let variables = |name: &str| {
            let values = from.f32_or_f64(&format!("optimiser.{name}"))?;
            if values.len() == parametrization.len() { Ok(parametrization.in_own_order(&values)) } else { Err(sizes()) }
        };
        let sums = |name: &str, expected: usize| -> Result<Vec<[f64; 2]>> {
            let sums = from.f64(&format!("optimiser.{name}"))?.as_chunks().0.to_vec();
            if sums.len() == expected { Ok(sums) } else { Err(sizes()) }
        };
        let pairs = from.count("optimiser.memory")?;
        if pairs > parameters.memory {
            let limit = parameters.memory;
            return Err(from.error(format!("has {pairs} pairs of steps in memory, but its recipe allows {limit}")));
        }
        let identity = Preconditioner::new(parametrization.spectrum());
        let mut state = Self {
            v: variables("v")?,
            value: from.scalar("optimiser.value")?,
            gradient: variables("gradient")?,
            memory: VecDeque::new(),
            slopes: vec![],
            preconditioner: Preconditioner {
                bands: sums("bands", identity.bands.len())?,
                cells: sums("cells", identity.cells.len())?,
                scale: from.scalar("optimiser.scale")?,
            },
            snr_db: from.scalar("optimiser.snr_db")?,
            parametrization,
        };
        for i in 0..pairs {
            let read = |name: &str| {
                let values = from.f32_or_f64(&format!("optimiser.{name}{i}"))?;
                if values.len() == state.v.len() {
                    Ok(state.parametrization.in_own_order(&values))
                } else {
                    Err(sizes())
                }
            };
            let (s, y) = (read("s")?, read("y")?);
            state.memory.push_back(Pair { s, y, products: VecDeque::new() });
            state.update_products();
        }
        Ok(state)
    }

    /// Returns whether the variables are those of these pixels.
    fn is_at(&self, x: &[f32]) -> bool {
        let pixels = self.parametrization.pixels(&self.v);
        pixels.len() == x.len() && pixels.iter().zip(x).all(|(a, b)| (a - b).abs() <= 1e-3)
    }

    fn reset_memory(&mut self) {
        self.memory.clear();
        self.slopes.clear();
        self.preconditioner = Preconditioner::new(self.parametrization.spectrum());
    }

    /// The pixels after a step; `None` when no better point was found.
    fn step(
        &mut self,
        parameters: &Lbfgs,
        mut pull: Option<&mut Pull>,
        objective: &mut dyn Objective,
    ) -> Result<Option<Vec<f32>>> {
        let direction = self.direction();
        let slope = dot(&direction, &self.gradient);
        if !slope.is_finite() || slope >= 0.0 {
            return Ok(None);
        }
        let first =
            if self.memory.is_empty() { INITIAL_RMS_CHANGE / self.parametrization.rms_change(&direction) } else { 1.0 };
        let found = line_search::search(self.value, slope, first, |step| {
            let v = sum(self.parametrization.spare(), &self.v, step, &direction);
            let x = self.parametrization.pixels(&v);
            let found = match objective.evaluate(&x) {
                Err(Error::Diverged { .. }) => return Ok(None),
                found => found?,
            };
            let distance = distance_to_start(pull.as_deref(), &x);
            let (value, gradient) = objective_at(&self.parametrization, pull.as_deref(), (&x, distance), &found);
            let slope = dot(&gradient, &direction);
            Ok(Some(LinePoint { step, value, slope, data: Candidate { x, v, gradient, found, distance } }))
        })?;
        let Some(LinePoint { step, value, data: candidate, .. }) = found else {
            return Ok(None);
        };
        let spare = self.parametrization.spare();
        let s = scaled(spare, step, &direction);
        let y = sum(spare, &candidate.gradient, -1.0, &self.gradient);
        let Candidate { x, v, gradient, found, distance } = candidate;
        (self.value, self.snr_db) = (value, found.snr_db);
        let former = [std::mem::replace(&mut self.v, v), std::mem::replace(&mut self.gradient, gradient), direction];
        former.into_iter().for_each(|values| spare.give(values));
        if let (Some(pull), Some(required)) = (&mut pull, parameters.nearest_at) {
            // The pair above has the weight that both of its gradients had.
            if pull.count(distance, [found.loss, found.snr_db], required, objective.has_earlier_stage()) {
                (self.value, self.gradient) = objective_at(&self.parametrization, Some(pull), (&x, distance), &found);
            }
            if found.snr_db >= required && pull.is_nearest(distance) {
                objective.keep(&x, found.snr_db);
            }
        }
        let products = dots(&[&s, &y], &[&s, &y]);
        let [[ss, sy], [_, yy]] = [products[0], products[1]];
        if sy > 1e-12 * yy.sqrt() * ss.sqrt() {
            self.preconditioner.update([&s, &y], [sy, yy], self.parametrization.spectrum());
            if self.memory.len() >= parameters.memory {
                if let Some(Pair { s, y, .. }) = self.memory.pop_front() {
                    [s, y].into_iter().for_each(|values| spare.give(values));
                }
                self.memory.iter_mut().for_each(|pair| {
                    pair.products.pop_front();
                });
            }
            self.memory.push_back(Pair { s, y, products: VecDeque::new() });
            self.update_products();
        } else {
            self.slopes = dots(&self.steps(), &[&self.gradient]).iter().map(|[slope]| *slope).collect();
        }
        Ok(Some(x))
    }

    fn steps(&self) -> Vec<&[f32]> {
        self.memory.iter().map(|pair| &pair.s[..]).collect()
    }

    /// Computes the dot products of the newest pair, and the slopes.
    fn update_products(&mut self) {
        let Some(newest) = self.memory.back() else { return };
        let found = dots(&self.steps(), &[&self.gradient, &newest.y]);
        self.slopes = found.iter().map(|[slope, _]| *slope).collect();
        if let Some(newest) = self.memory.back_mut() {
            newest.products = found.iter().map(|[_, product]| *product).collect();
        }
    }

    /// The quasi-Newton direction, by the two-loop recursion (Nocedal, 1980).
    ///
    /// The recursion's dot products follow from those of the pairs in memory, so that it takes four passes over the pairs in place
    /// of eight.
    fn direction(&self) -> Vec<f32> {
        let pairs = &self.memory;
        let mut q = scaled(self.parametrization.spare(), -1.0, &self.gradient);
        if pairs.is_empty() {
            return q;
        }
        let curvature = |i: usize| pairs[i].products[i];
        let mut alphas = vec![0.0; pairs.len()];
        for i in (0..pairs.len()).rev() {
            let newer: f64 = (i + 1..pairs.len()).map(|j| alphas[j] * pairs[j].products[i]).sum();
            alphas[i] = (-self.slopes[i] - newer) / curvature(i);
        }
        let terms: Vec<(f64, &[f32])> = pairs.iter().zip(&alphas).map(|(pair, alpha)| (-alpha, &pair.y[..])).collect();
        add_all(&mut q, &terms);
        let mut q = self.preconditioner.apply(q, self.parametrization.spectrum());
        let changes: Vec<&[f32]> = pairs.iter().map(|pair| &pair.y[..]).collect();
        let products = dots(&changes, &[&q]);
        let mut factors: Vec<f64> = vec![];
        for i in 0..pairs.len() {
            let older: f64 = factors.iter().zip(&pairs[i].products).map(|(factor, product)| factor * product).sum();
            factors.push(alphas[i] - (products[i][0] + older) / curvature(i));
        }
        let terms: Vec<(f64, &[f32])> = factors.into_iter().zip(self.steps()).collect();
        add_all(&mut q, &terms);
        q
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::synthesis::recipe::{Optimizer, Recipe};

    /// The squared distance to medium gray, which is not finite at one of the evaluations.
    struct Gray {
        evaluations: usize,
        diverges_at: usize,
        /// The loss of each evaluation.
        losses: Vec<f64>,
    }

    impl Objective for Gray {
        fn evaluate(&mut self, x: &[f32]) -> Result<Evaluation> {
            self.evaluations += 1;
            let loss = x.iter().map(|&x| (f64::from(x) - 0.5).powi(2)).sum();
            self.losses.push(loss);
            if self.evaluations == self.diverges_at {
                return Err(Error::Diverged { evaluation: self.evaluations, reason: "the loss became NaN".into() });
            }
            let gradient: Vec<f32> = x.iter().map(|x| 2.0 * (x - 0.5)).collect();
            Ok(Evaluation { loss, gradient: Arc::new(gradient), snr_db: -10.0 * loss.log10(), target_snr_db: vec![] })
        }

        fn has_earlier_stage(&self) -> bool {
            false
        }

        fn aim_at_earlier_stage(&mut self) {}

        fn check(&self, _: &[f32]) -> Result<()> {
            Ok(())
        }

        fn planes(&self) -> Planes {
            Planes::of_image(1, [4, 4])
        }

        fn range(&self) -> [f32; 2] {
            [0.0, 1.0]
        }

        fn restrict(&self, _: &mut [f32], _: Option<[f32; 2]>) {}

        fn keep(&mut self, _: &[f32], _: f64) {}
    }

    #[test]
    fn a_line_search_backs_off_from_a_loss_that_is_not_finite() {
        let Optimizer::Lbfgs(parameters) = Recipe::near_start().optimizer else { unreachable!("L-BFGS") };
        let parameters = Lbfgs { warm_up: 0, ..parameters };
        let start: Vec<f32> = (0..16).map(|i| 0.1 + 0.05 * i as f32).collect();
        let mut state = LbfgsState::new(&parameters, start);
        // The first evaluation is that of the start.
        let mut gray = Gray { evaluations: 0, diverges_at: 2, losses: vec![] };
        for _ in 0..3 {
            assert_eq!(state.step(&parameters, &mut gray).unwrap(), StepOutcome::Moved);
        }
        let found = &gray.losses;
        assert!(found[2] > found[1] && found[2] < found[0], "the next trial is nearer to the start: {found:?}");
        assert!(found[found.len() - 1] < found[2], "{found:?}");
    }
}
