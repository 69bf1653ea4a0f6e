//! The objective function of a synthesis: loss and gradient at a stimulus.

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};

use super::recipe::{Loss, Recipe};
use super::stage_loss::{StageLoss, range_penalty};
use crate::engine::{Compiled, Evaluated, Isa};
use crate::network::Network;
use crate::ops::{Relu, values, vjp};
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// A network up to a stage, and the loss relative to the original's activations there.
#[derive(Clone)]
pub(super) struct Problem {
    evaluator: Evaluator,
    pub stage_loss: StageLoss,
    /// The input shape of a batch of one.
    shape: Vec<usize>,
    range: [f32; 2],
}

/// The implementations of a network.
#[derive(Clone)]
enum Evaluator {
    Compiled(Compiled),
    /// Network and stage, run layer by layer; the reference implementation.
    LayerByLayer(Network, String),
    /// Network and stage, run layer by layer on a device by operations of candle.
    OnDevice(Network, String, Device),
}

/// Loss and gradient at one point.
#[derive(Clone)]
pub(super) struct Evaluation {
    pub loss: f64,
    /// The gradient with respect to the pixels or samples.
    pub gradient: Arc<Vec<f32>>,
    pub snr_db: f64,
}

impl Problem {
    pub fn new(
        network: &Network,
        stage: &str,
        original: &Stimulus,
        recipe: &Recipe,
        layer_by_layer: bool,
        device: Option<&Device>,
    ) -> Result<Self> {
        network.check_unchanged(stage)?;
        // The optimizer's own products use it too.
        Isa::selected()?;
        // candle's autograd keeps a module's forward pass for its backward pass and reports its errors; the compiled engine does neither.
        let evaluator = match (device, layer_by_layer || !network.modules(stage)?.is_empty()) {
            (Some(device), _) => Evaluator::OnDevice(network.clone(), stage.into(), device.clone()),
            (None, false) => Evaluator::Compiled(Compiled::new(network, stage)?),
            (None, true) => Evaluator::LayerByLayer(network.clone(), stage.into()),
        };
        let shape: Vec<usize> = std::iter::once(1).chain(network.input().shape()).collect();
        let (mut target, rectifier) = evaluator.preactivation(original.values(), &shape)?;
        rectify(&mut target, rectifier);
        crate::finite::check(|| format!("stage \"{stage}\" of the original"), &target)?;
        let stage_loss = StageLoss::new(target, rectifier, recipe.loss, recipe.identity_gradient);
        if stage_loss.norm() == 0.0 {
            let reason =
                "every unit is silent (0) for this stimulus, so there is nothing to match; use an earlier stage";
            return Err(Error::invalid(format!("stage \"{stage}\""), reason));
        }
        Ok(Self { evaluator, stage_loss, shape, range: original.range() })
    }

    pub fn evaluate(&self, x: &[f32]) -> Result<Evaluation> {
        let stage_loss = &self.stage_loss;
        let (mut gradient, distance) = self.evaluator.evaluate(x, &self.shape, |z, g| stage_loss.distance(z, g))?;
        let mut loss = distance.loss;
        if let Loss::MeanSquaredError { range_penalty: weight } = stage_loss.loss {
            loss += range_penalty(x, self.range, weight, &mut gradient);
        }
        Ok(Evaluation { loss, gradient: gradient.into(), snr_db: distance.snr_db })
    }

    /// The activations at the stage.
    pub fn activations(&self, x: &[f32]) -> Result<Vec<f32>> {
        let (mut values, rectifier) = self.evaluator.preactivation(x, &self.shape)?;
        rectify(&mut values, rectifier);
        Ok(values)
    }

    pub fn planes(&self) -> (usize, [usize; 2]) {
        match *self.shape {
            [_, channels, height, width] => (channels, [height, width]),
            _ => (1, [1, self.shape.iter().product()]),
        }
    }

    /// The minimum and maximum valid value of the stimulus.
    pub fn range(&self) -> [f32; 2] {
        self.range
    }
}

fn rectify(values: &mut [f32], rectifier: Option<Relu>) {
    if let Some(rectifier) = rectifier {
        values.iter_mut().for_each(|z| *z = rectifier.value(*z));
    }
}

fn tensor(x: &[f32], shape: &[usize], device: &Device) -> Result<Tensor> {
    Ok(Tensor::from_slice(x, shape, device)?)
}

impl Evaluator {
    /// The stage's values before its rectifier, and the rectifier.
    fn preactivation(&self, x: &[f32], shape: &[usize]) -> Result<(Vec<f32>, Option<Relu>)> {
        match self {
            Self::Compiled(compiled) => Ok((compiled.values(x)?, compiled.relu())),
            Self::LayerByLayer(network, stage) => {
                let z = network.preactivation(stage, &tensor(x, shape, &Device::Cpu)?)?;
                Ok((values(&z)?, network.rectifier(stage)?))
            }
            Self::OnDevice(network, stage, device) => {
                let z = network.composed_preactivation(stage, &tensor(x, shape, device)?)?;
                Ok((values(&z)?, network.rectifier(stage)?))
            }
        }
    }

    /// The gradient at `x`, given a function that writes the cotangent of the stage's values; also returns its result.
    fn evaluate<T>(
        &self,
        x: &[f32],
        shape: &[usize],
        cotangent: impl FnOnce(&[f32], &mut [f32]) -> T,
    ) -> Result<(Vec<f32>, T)> {
        match self {
            Self::Compiled(compiled) => {
                let Evaluated { gradient, value: found } = compiled.evaluate(x, cotangent)?;
                Ok((gradient, found))
            }
            Self::LayerByLayer(network, stage) => {
                differentiate(x, shape, &Device::Cpu, |input| network.preactivation(stage, input), cotangent)
            }
            Self::OnDevice(network, stage, device) => {
                differentiate(x, shape, device, |input| network.composed_preactivation(stage, input), cotangent)
            }
        }
    }
}

/// The gradient at `x` by candle's autograd on a device, and the result of `cotangent`, which runs on the CPU.
fn differentiate<T>(
    x: &[f32],
    shape: &[usize],
    device: &Device,
    preactivation: impl Fn(&Tensor) -> Result<Tensor>,
    cotangent: impl FnOnce(&[f32], &mut [f32]) -> T,
) -> Result<(Vec<f32>, T)> {
    let input = Var::from_tensor(&tensor(x, shape, device)?)?;
    let z = preactivation(&input)?;
    let mut gradient = vec![0.0; z.elem_count()];
    let found = cotangent(&values(&z)?, &mut gradient);
    let gradient = Tensor::from_vec(gradient, z.shape(), device)?;
    Ok((values(&vjp(&z, &gradient, &input)?)?, found))
}
