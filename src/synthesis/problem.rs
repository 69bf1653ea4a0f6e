//! The function that a synthesis minimises: pixels in, loss and gradient out.

use candle_core::{Device, Tensor, Var};

use super::recipe::{Loss, Recipe};
use super::stage_loss::{StageLoss, range_penalty};
use crate::engine::{Compiled, Evaluated};
use crate::network::Network;
use crate::ops::{Relu, values, vjp};
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// A network up to a stage, and the activations to reach there.
#[derive(Clone)]
pub(super) struct Problem {
    runs: Evaluator,
    pub objective: StageLoss,
    /// Of a batch of one.
    shape: Vec<usize>,
    range: [f32; 2],
}

/// How the network is run.
#[derive(Clone)]
enum Evaluator {
    Compiled(Compiled),
    /// Layer by layer: the reference.
    LayerByLayer(Network, String),
}

/// One evaluation.
#[derive(Clone)]
pub(super) struct Evaluation {
    pub loss: f64,
    /// With respect to the pixels.
    pub gradient: Vec<f32>,
    pub snr_db: f64,
}

impl Problem {
    pub fn new(network: &Network, stage: &str, original: &Stimulus, recipe: &Recipe, plainly: bool) -> Result<Self> {
        network.check_unchanged(stage)?;
        // A module's forward pass is kept for its backward one, and what is wrong with it is said, only where candle runs it.
        let runs = match plainly || !network.modules(stage)?.is_empty() {
            false => Evaluator::Compiled(Compiled::new(network, stage)?),
            true => Evaluator::LayerByLayer(network.clone(), stage.into()),
        };
        let shape: Vec<usize> = std::iter::once(1).chain(network.input().shape()).collect();
        let (mut target, clip) = runs.preactivation(original.values(), &shape)?;
        rectify(&mut target, clip);
        crate::finite::check(|| format!("stage \"{stage}\" of the original"), &target)?;
        let objective = StageLoss::new(target, clip, recipe.loss, recipe.identity_gradient);
        if objective.norm() == 0.0 {
            let reason = "every unit is silent for this stimulus: there is nothing to match; take an earlier stage";
            return Err(Error::invalid(format!("stage \"{stage}\""), reason));
        }
        Ok(Self { runs, objective, shape, range: original.range() })
    }

    pub fn evaluate(&self, x: &[f32]) -> Result<Evaluation> {
        let objective = &self.objective;
        let (mut gradient, distance) = self.runs.evaluate(x, &self.shape, |z, g| objective.distance(z, g))?;
        let mut loss = distance.loss;
        if let Loss::MeanSquaredError { range_penalty: weight } = self.objective.loss {
            loss += range_penalty(x, self.range, weight, &mut gradient);
        }
        Ok(Evaluation { loss, gradient, snr_db: distance.snr_db })
    }

    /// The activations at the stage.
    pub fn activations(&self, x: &[f32]) -> Result<Vec<f32>> {
        let (mut values, clip) = self.runs.preactivation(x, &self.shape)?;
        rectify(&mut values, clip);
        Ok(values)
    }

    pub fn planes(&self) -> (usize, [usize; 2]) {
        match *self.shape {
            [_, channels, height, width] => (channels, [height, width]),
            _ => (1, [1, self.shape.iter().product()]),
        }
    }

    /// The values that the stimulus can hold.
    pub fn range(&self) -> [f32; 2] {
        self.range
    }
}

fn rectify(values: &mut [f32], clip: Option<Relu>) {
    if let Some(clip) = clip {
        values.iter_mut().for_each(|z| *z = clip.value(*z));
    }
}

fn tensor(x: &[f32], shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::from_slice(x, shape, &Device::Cpu)?)
}

impl Evaluator {
    /// The stage's values before its rectifier, and the rectifier.
    fn preactivation(&self, x: &[f32], shape: &[usize]) -> Result<(Vec<f32>, Option<Relu>)> {
        match self {
            Self::Compiled(compiled) => Ok((compiled.values(x)?, compiled.relu())),
            Self::LayerByLayer(network, stage) => {
                let z = network.preactivation(stage, &tensor(x, shape)?)?;
                Ok((values(&z)?, network.rectifier(stage)?))
            }
        }
    }

    /// The gradient at `x` of what `cotangent` says about the stage's values, and what it returned.
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
                let values_in = Var::from_tensor(&tensor(x, shape)?)?;
                let z = network.preactivation(stage, &values_in)?;
                let mut gradient = vec![0.0; z.elem_count()];
                let found = cotangent(&values(&z)?, &mut gradient);
                let gradient = Tensor::from_vec(gradient, z.shape(), &Device::Cpu)?;
                Ok((values(&vjp(&z, &gradient, &values_in)?)?, found))
            }
        }
    }
}
