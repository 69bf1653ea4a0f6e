//! Activations of the stages, with warnings about suspicious ones.

use std::time::Duration;

use crate::Result;
use crate::network::{Network, Stage};
use crate::ops::{Relu, values};
use crate::stimulus::Stimulus;

/// The fraction of silent units above which a warning is given: there is little to match.
const MAX_SILENT: f64 = 0.99;
/// The fraction of saturated units above which a warning is given: they carry little information.
const MAX_SATURATED: f64 = 0.5;
/// The relative difference of activations below which a stage is taken not to depend on its input.
const SAME_EPS: f64 = 1e-6;

/// A stage and its measurements.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InspectedStage {
    /// The stage: name, shape, receptive field, parameters, multiply-adds.
    pub stage: Stage,
    /// The ReLU that the stage ends in, if any; with the recipes' gradient, it passes gradients unchanged.
    pub rectifier: Option<Relu>,
    /// The fraction of units that are 0 for the stimulus, from 0 to 1.
    pub silent: f64,
    /// The time of one gradient evaluation; `None` if the evaluation failed.
    pub evaluation: Option<Duration>,
    /// The SNR in dB at the start and after at most 20 steps, at stages where a metamer was tried.
    pub snr_db: Option<[f64; 2]>,
    /// The largest gradient error of custom modules, relative to the change measured with finite differences.
    pub module_gradient_error: Option<f64>,
    /// `true` if the stage follows a custom module, whose parameters and multiply-adds are unknown.
    pub behind_module: bool,
}

/// Runs the stimulus, noise and an input of zeros through every stage, and warns about suspicious activations.
pub(super) fn activations(
    network: &Network,
    stimulus: &Stimulus,
    noise: &Stimulus,
    warnings: &mut Vec<String>,
) -> Result<Vec<InspectedStage>> {
    let names: Vec<&str> = network.stages().iter().map(|stage| stage.name.as_str()).collect();
    let x = stimulus.to_tensor()?;
    let forward = |x| network.forward_to_each(&names, x);
    let (natural, noise, zeros) = (forward(&x)?, forward(&noise.to_tensor()?)?, forward(&x.zeros_like()?)?);
    let mut stages = vec![];
    for (index, stage) in network.stages().iter().enumerate() {
        let activations = Activations {
            natural: values(&natural[index])?,
            noise: values(&noise[index])?,
            zeros: values(&zeros[index])?,
        };
        let rectifier = network.rectifier(&stage.name)?;
        warnings.extend(activations.warnings(rectifier, stimulus).map(|warning| format!("{}: {warning}", stage.name)));
        let modules = network.modules(&stage.name)?;
        let errors = modules.iter().filter_map(|module| module.gradient_error());
        stages.push(InspectedStage {
            stage: stage.clone(),
            rectifier,
            silent: activations.fraction(|v| v == 0.0),
            evaluation: None,
            snr_db: None,
            module_gradient_error: errors.max_by(f64::total_cmp),
            behind_module: !modules.is_empty(),
        });
    }
    Ok(stages)
}

/// Activations of one stage.
struct Activations {
    /// For the natural stimulus.
    natural: Vec<f32>,
    /// For noise of the same shape.
    noise: Vec<f32>,
    /// For an input of zeros: a black image or silence.
    zeros: Vec<f32>,
}

impl Activations {
    /// The fraction of units whose activation for the natural stimulus passes a test.
    fn fraction(&self, test: impl Fn(f32) -> bool) -> f64 {
        self.natural.iter().filter(|&&v| test(v)).count() as f64 / self.natural.len().max(1) as f64
    }

    /// Returns whether the activations for the natural stimulus and for noise are equal up to rounding.
    fn ignore_input(&self) -> bool {
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
        let distance = norm(&mut self.natural.iter().zip(&self.noise).map(|(&a, &b)| f64::from(a) - f64::from(b)));
        distance <= SAME_EPS * norm(&mut self.natural.iter().map(|&a| f64::from(a)))
    }

    /// Warnings about the activations of a stage that ends in `rectifier`.
    fn warnings(&self, rectifier: Option<Relu>, stimulus: &Stimulus) -> impl Iterator<Item = String> {
        let silent = self.fraction(|v| v == 0.0);
        let saturated = rectifier.map_or(0.0, |relu| self.fraction(|v| v >= relu.max));
        let percent = |fraction: f64| format!("{:.1} %", 100.0 * fraction);
        let name = stimulus.name();
        let natural = if self.natural.iter().any(|v| !v.is_finite()) {
            Some(format!("activations for {name} are not finite"))
        } else if silent == 1.0 {
            Some(format!("every unit is 0 for {name}, so there is nothing to match"))
        } else if self.ignore_input() {
            Some(format!("activations for {name} and for noise are equal, so the stage does not depend on its input"))
        } else if silent > MAX_SILENT {
            Some(format!("{} of the units are 0 for {name}", percent(silent)))
        } else {
            None
        };
        let upper_bound = (saturated > MAX_SATURATED)
            .then(|| format!("{} of the units are at their upper bound for {name}", percent(saturated)));
        let zeros = self.zeros.iter().any(|v| !v.is_finite()).then(|| {
            let input = if matches!(stimulus, Stimulus::Image(_)) { "a black image" } else { "silence" };
            format!("activations for {input} are not finite")
        });
        [natural, upper_bound, zeros].into_iter().flatten()
    }
}
