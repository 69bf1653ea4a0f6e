//! Limited-memory BFGS in weighted cosine coefficients of the logits of the pixels.

use std::collections::VecDeque;

use rayon::prelude::*;

use super::line_search::{self, Point};
use super::normalised_gradient::descend;
use super::variables::{Cosines, logit, sigmoid};
use super::{Evaluate, Step};
use crate::Result;
use crate::synthesis::recipe::{Lbfgs, Weights};
use crate::synthesis::state::{Load, Save};

/// A run before, in and after its warm-up.
pub struct Minimiser {
    x: Vec<f32>,
    warmed: u64,
    descent: Option<Descent>,
}

/// The state once L-BFGS has begun.
struct Descent {
    cosines: Cosines,
    /// Logits of the pixels at which it began.
    origin: Vec<f64>,
    /// Weight of each coefficient.
    weights: Vec<f64>,
    v: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
    /// Past steps `s` and gradient changes `y`, oldest first.
    memory: VecDeque<(Vec<f64>, Vec<f64>)>,
    /// Consecutive steps that found nothing better.
    failures: u64,
}

/// A point of the line search that may become the next state.
struct Trial {
    x: Vec<f32>,
    v: Vec<f64>,
    gradient: Vec<f64>,
}

impl Minimiser {
    pub fn new(x: Vec<f32>) -> Self {
        Self { x, warmed: 0, descent: None }
    }

    pub fn pixels(&self) -> &[f32] {
        &self.x
    }

    pub fn step(&mut self, parameters: &Lbfgs, evaluate: &mut dyn Evaluate) -> Result<Step> {
        let total = parameters.warm_up as u64;
        if self.warmed < total {
            let gradient = evaluate.evaluate(&self.x)?.gradient;
            let eta = parameters.warm_up_eta * (1.0 - 0.5 * self.warmed as f64 / total as f64);
            descend(&mut self.x, &gradient, eta, true);
            self.warmed += 1;
            return Ok(Step::Moved);
        }
        let descent = match &mut self.descent {
            Some(descent) => descent,
            none => none.insert(Descent::new(&self.x, parameters, evaluate)?),
        };
        match descent.step(parameters, evaluate)? {
            Some(x) => {
                self.x = x;
                Ok(Step::Moved)
            }
            None if descent.failures > 1 => Ok(Step::Stalled),
            None => Ok(Step::Moved),
        }
    }

    pub fn save(&self, to: &mut Save) {
        to.f32("optimiser.x", &self.x);
        to.u64("optimiser.warmed", self.warmed);
        if let Some(d) = &self.descent {
            to.u64("optimiser.failures", d.failures);
            to.u64("optimiser.memory", d.memory.len() as u64);
            to.u64("optimiser.planes", d.cosines.planes() as u64);
            to.u64("optimiser.height", d.cosines.size()[0] as u64);
            to.u64("optimiser.width", d.cosines.size()[1] as u64);
            to.f64("optimiser.value", &[d.value]);
            to.f64("optimiser.origin", &d.origin);
            to.f64("optimiser.weights", &d.weights);
            to.f64("optimiser.v", &d.v);
            to.f64("optimiser.gradient", &d.gradient);
            for (i, (s, y)) in d.memory.iter().enumerate() {
                to.f64(&format!("optimiser.s{i}"), s);
                to.f64(&format!("optimiser.y{i}"), y);
            }
        }
    }

    pub fn is_consistent(&self) -> bool {
        self.descent.as_ref().is_none_or(|d| {
            let pairs = d.memory.iter().flat_map(|(s, y)| [s, y]);
            let [height, width] = d.cosines.size();
            let size = d.cosines.planes().saturating_mul(height).saturating_mul(width);
            size == self.x.len() && pairs.chain([&d.origin, &d.weights, &d.v, &d.gradient]).all(|a| a.len() == size)
        })
    }

    pub fn load(from: &Load) -> Result<Self> {
        let descent = if from.has("optimiser.v") {
            let size = |name: &str| Ok::<_, crate::Error>(from.u64(&format!("optimiser.{name}"))? as usize);
            let pairs = (0..size("memory")?)
                .map(|i| Ok((from.f64(&format!("optimiser.s{i}"))?, from.f64(&format!("optimiser.y{i}"))?)));
            Some(Descent {
                cosines: Cosines::new((size("planes")?, [size("height")?, size("width")?])),
                origin: from.f64("optimiser.origin")?,
                weights: from.f64("optimiser.weights")?,
                v: from.f64("optimiser.v")?,
                value: from.scalar("optimiser.value")?,
                gradient: from.f64("optimiser.gradient")?,
                memory: pairs.collect::<Result<_>>()?,
                failures: from.u64("optimiser.failures")?,
            })
        } else {
            None
        };
        Ok(Self { x: from.f32("optimiser.x")?, warmed: from.u64("optimiser.warmed")?, descent })
    }
}

impl Descent {
    fn new(x: &[f32], parameters: &Lbfgs, evaluate: &mut dyn Evaluate) -> Result<Self> {
        let cosines = Cosines::new(evaluate.planes());
        let origin: Vec<f64> = x.iter().map(|&x| logit(f64::from(x))).collect();
        let weights = weigh(x, &cosines, parameters.weights, evaluate)?;
        let mut descent = Self {
            cosines,
            weights,
            v: vec![0.0; origin.len()],
            origin,
            value: 0.0,
            gradient: vec![],
            memory: VecDeque::new(),
            failures: 0,
        };
        let (value, trial) = descent.evaluate(descent.v.clone(), evaluate)?;
        descent.value = value;
        descent.gradient = trial.gradient;
        Ok(descent)
    }

    /// The loss at `v`, with its gradient in these variables.
    fn evaluate(&self, v: Vec<f64>, evaluate: &mut dyn Evaluate) -> Result<(f64, Trial)> {
        let mut u: Vec<f64> = v.iter().zip(&self.weights).map(|(v, w)| v * w).collect();
        self.cosines.backward(&mut u);
        let x: Vec<f32> = u.par_iter().zip(&self.origin).map(|(u, origin)| sigmoid(u + origin) as f32).collect();
        let found = evaluate.evaluate(&x)?;
        let mut gradient: Vec<f64> = x
            .par_iter()
            .zip(&found.gradient)
            .map(|(&x, &g)| f64::from(g) * f64::from(x) * (1.0 - f64::from(x)))
            .collect();
        self.cosines.forward(&mut gradient);
        gradient.iter_mut().zip(&self.weights).for_each(|(g, w)| *g *= w);
        Ok((found.loss, Trial { x, v, gradient }))
    }

    /// The pixels after one step, or nothing when no better point was found.
    fn step(&mut self, parameters: &Lbfgs, evaluate: &mut dyn Evaluate) -> Result<Option<Vec<f32>>> {
        let mut direction = self.direction();
        let mut slope = dot(&direction, &self.gradient);
        if slope >= 0.0 {
            self.memory.clear();
            direction = self.direction();
            slope = dot(&direction, &self.gradient);
        }
        if slope == 0.0 || !slope.is_finite() {
            self.failures = 2;
            return Ok(None);
        }
        // Before the memory knows a scale, move the logits by a few hundredths each.
        let first =
            if self.memory.is_empty() { 0.05 * (self.v.len() as f64).sqrt() / self.length(&direction) } else { 1.0 };
        let found = line_search::search(self.value, slope, first, |step| {
            let v = self.v.iter().zip(&direction).map(|(v, d)| v + step * d).collect();
            let (value, trial) = self.evaluate(v, evaluate)?;
            let slope = dot(&trial.gradient, &direction);
            Ok(Point { step, value, slope, found: trial })
        })?;
        let Some(Point { value, found: trial, .. }) = found else {
            self.memory.clear();
            self.failures += 1;
            return Ok(None);
        };
        let s: Vec<f64> = trial.v.iter().zip(&self.v).map(|(new, old)| new - old).collect();
        let y: Vec<f64> = trial.gradient.iter().zip(&self.gradient).map(|(new, old)| new - old).collect();
        if dot(&s, &y) > 1e-12 * dot(&y, &y).sqrt() * dot(&s, &s).sqrt() {
            if self.memory.len() >= parameters.memory {
                self.memory.pop_front();
            }
            self.memory.push_back((s, y));
        }
        (self.v, self.value, self.gradient, self.failures) = (trial.v, value, trial.gradient, 0);
        Ok(Some(trial.x))
    }

    /// How far a direction moves the logits.
    fn length(&self, direction: &[f64]) -> f64 {
        direction.iter().zip(&self.weights).map(|(d, w)| (d * w).powi(2)).sum::<f64>().sqrt()
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
        if let Some((s, y)) = self.memory.back() {
            let scale = dot(s, y) / dot(y, y);
            q.iter_mut().for_each(|q| *q *= scale);
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

/// The weight of each coefficient, scaled so that their mean square is 1.
fn weigh(x: &[f32], cosines: &Cosines, weights: Weights, evaluate: &mut dyn Evaluate) -> Result<Vec<f64>> {
    let frequencies = cosines.frequencies();
    let mut weights: Vec<f64> = match weights {
        Weights::Flat => vec![1.0; x.len()],
        Weights::Power { exponent } => {
            let plane = frequencies.iter().map(|f| f.powf(-exponent));
            plane.cycle().take(x.len()).collect()
        }
        Weights::Measured { probes, exponent } => {
            let mut power = vec![0.0; x.len()];
            for number in 0..probes as u64 {
                let gradient = evaluate.probe(x, number)?;
                let mut gradient: Vec<f64> =
                    gradient.iter().zip(x).map(|(&g, &x)| f64::from(g) * f64::from(x) * (1.0 - f64::from(x))).collect();
                cosines.forward(&mut gradient);
                power.iter_mut().zip(&gradient).for_each(|(p, g)| *p += g * g);
            }
            let smooth = smooth_over_bands(&power, &frequencies);
            smooth.iter().map(|p| p.powf(-0.5 * exponent)).collect()
        }
    };
    let mean_square = weights.iter().map(|w| w * w).sum::<f64>() / weights.len() as f64;
    weights.iter_mut().for_each(|w| *w /= mean_square.sqrt());
    Ok(weights)
}

/// The mean power in each band of frequencies, interpolated, for each plane on its own.
fn smooth_over_bands(power: &[f64], frequencies: &[f64]) -> Vec<f64> {
    // Bands four to the octave, from half a cycle a picture on.
    let band = |f: f64| 4.0 * (f / 0.5).log2();
    let count = frequencies.iter().map(|&f| band(f)).fold(0.0, f64::max) as usize + 2;
    let mut smooth = Vec::with_capacity(power.len());
    for plane in power.chunks(frequencies.len()) {
        let (mut sums, mut counts) = (vec![0.0; count], vec![0.0; count]);
        for (&p, &f) in plane.iter().zip(frequencies) {
            let nearest = band(f).round() as usize;
            sums[nearest] += p;
            counts[nearest] += 1.0;
        }
        // Empty bands take the value of the one below.
        let mut means = vec![0.0; count];
        for i in 0..count {
            means[i] = if counts[i] > 0.0 {
                sums[i] / counts[i]
            } else if i > 0 {
                means[i - 1]
            } else {
                0.0
            };
        }
        let floor = means.iter().fold(0.0, |a: f64, &b| a.max(b)) * 1e-6;
        for &f in frequencies {
            let at = band(f).min((count - 2) as f64);
            let (below, part) = (at.floor() as usize, at.fract());
            let mean = means[below] * (1.0 - part) + means[below + 1] * part;
            smooth.push(mean.max(floor).max(f64::MIN_POSITIVE));
        }
    }
    smooth
}
