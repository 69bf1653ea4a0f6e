//! What the stages of a network do for a stimulus.

use std::time::Duration;

use crate::Result;
use crate::network::{Network, Stage};
use crate::ops::{Relu, values};
use crate::stimulus::Stimulus;

/// More silent units than this share leave little to match.
const SILENT: f64 = 0.99;
/// More units at their ceiling than this share say little.
const SATURATED: f64 = 0.5;
/// Activations that differ by a smaller share do not depend on the input.
const SAME: f64 = 1e-6;

/// A stage, with what was measured there.
#[derive(Clone, Debug)]
pub struct InspectedStage {
    /// The stage: name, shape, receptive field, parameters, multiply-adds.
    pub stage: Stage,
    /// The rectifier that it ends in, if it does: the recipes' gradient passes it unchanged.
    pub rectifier: Option<Relu>,
    /// The share of its units that are 0 for the stimulus, from 0 to 1.
    pub silent: f64,
    /// The time of one gradient evaluation; `None` where there could be none.
    pub evaluation: Option<Duration>,
    /// SNR in dB at the start and after 20 steps, where a metamer was tried.
    pub snr_db: Option<[f64; 2]>,
    /// How far the gradients of modules of one's own are off, the largest, as a share of the change that finite differences measure.
    pub module_gradient_error: Option<f64>,
    /// Whether it lies behind a module of one's own, whose parameters and multiply-adds are not known.
    pub behind_module: bool,
}

/// What the stages give for a stimulus, and what is suspicious about it.
pub(super) fn activations(
    network: &Network,
    stimulus: &Stimulus,
    noise: &Stimulus,
    warnings: &mut Vec<String>,
) -> Result<Vec<InspectedStage>> {
    let names: Vec<&str> = network.stages().iter().map(|stage| stage.name.as_str()).collect();
    let x = stimulus.to_tensor()?;
    let of = |x| network.forward_to_each(&names, x);
    let (natural, other, nothing) = (of(&x)?, of(&noise.to_tensor()?)?, of(&x.zeros_like()?)?);
    let mut stages = vec![];
    for (index, stage) in network.stages().iter().enumerate() {
        let name = &stage.name;
        let [natural, other, nothing] = [&natural[index], &other[index], &nothing[index]].map(values);
        let (natural, other, nothing) = (natural?, other?, nothing?);
        let share = |test: &dyn Fn(f32) -> bool| {
            natural.iter().filter(|&&v| test(v)).count() as f64 / natural.len().max(1) as f64
        };
        let rectifier = network.rectifier(name)?;
        let silent = share(&|v| v == 0.0);
        let saturated = rectifier.map_or(0.0, |clip| share(&|v| v >= clip.max));
        let length = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
        let apart = length(&mut natural.iter().zip(&other).map(|(&a, &b)| f64::from(a) - f64::from(b)));
        let size = length(&mut natural.iter().map(|&a| f64::from(a)));
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        if natural.iter().any(|v| !v.is_finite()) {
            warnings.push(format!("{name}: holds values that are not finite for {}", stimulus.name()));
        } else if silent == 1.0 {
            warnings.push(format!("{name}: every unit is 0 for {}: there is nothing to match", stimulus.name()));
        } else if apart <= SAME * size {
            warnings.push(format!(
                "{name}: gives the same for {} and for noise: it does not depend on its input",
                stimulus.name()
            ));
        } else if silent > SILENT {
            warnings.push(format!("{name}: {} of the units are 0 for {}", percent(silent), stimulus.name()));
        }
        if saturated > SATURATED {
            warnings.push(format!(
                "{name}: {} of the units are at their ceiling for {}",
                percent(saturated),
                stimulus.name()
            ));
        }
        if nothing.iter().any(|v| !v.is_finite()) {
            let nothing = if matches!(stimulus, Stimulus::Image(_)) { "a black picture" } else { "silence" };
            warnings.push(format!("{name}: holds values that are not finite for {nothing}"));
        }
        let modules = network.modules(name)?;
        let errors = modules.iter().filter_map(|module| module.gradient_error());
        stages.push(InspectedStage {
            stage: stage.clone(),
            rectifier,
            silent,
            evaluation: None,
            snr_db: None,
            module_gradient_error: errors.reduce(f64::max),
            behind_module: !modules.is_empty(),
        });
    }
    Ok(stages)
}
