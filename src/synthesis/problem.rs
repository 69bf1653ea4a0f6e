//! The function that a synthesis minimises: pixels in, loss and gradient out.

use candle_core::{Device, Tensor, Var};

use super::objective::{Objective, range_penalty};
use super::recipe::{Loss, Recipe};
use crate::network::Network;
use crate::ops::pull_back;
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// A network up to a stage, and the activations to reach there.
#[derive(Clone)]
pub(super) struct Problem {
    pub network: Network,
    pub stage: String,
    pub objective: Objective,
    /// Of a batch of one.
    shape: Vec<usize>,
    range: [f32; 2],
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
    pub fn new(network: &Network, stage: &str, original: &Stimulus, recipe: &Recipe) -> Result<Self> {
        let x = original.to_tensor()?;
        let target = crate::ops::values(&network.forward_to(stage, &x)?)?;
        crate::finite::check(|| format!("stage \"{stage}\" of the original"), &target)?;
        let clip = network.before_activation(stage, &x)?.clip;
        let objective = Objective::new(target, clip, recipe.loss, recipe.identity_gradient);
        if objective.norm() == 0.0 {
            let reason = "every unit is silent for this stimulus: there is nothing to match; take an earlier stage";
            return Err(Error::invalid(format!("stage \"{stage}\""), reason));
        }
        let (shape, range) = (x.dims().to_vec(), original.range());
        Ok(Self { network: network.clone(), stage: stage.into(), objective, shape, range })
    }

    pub fn evaluate(&self, x: &[f32]) -> Result<Evaluation> {
        let pixels = Var::from_tensor(&self.tensor(x)?)?;
        let z = self.network.before_activation(&self.stage, &pixels)?.values;
        let distance = self.objective.distance(&crate::ops::values(&z)?);
        let cotangent = Tensor::from_vec(distance.gradient, z.shape(), &Device::Cpu)?;
        let mut gradient = crate::ops::values(&pull_back(&z, &cotangent, &pixels)?)?;
        let mut loss = distance.loss;
        if let Loss::MeanSquaredError { range_penalty: weight } = self.objective.loss {
            loss += range_penalty(x, self.range, weight, &mut gradient);
        }
        Ok(Evaluation { loss, gradient, snr_db: distance.snr_db })
    }

    /// The activations at the stage.
    pub fn activations(&self, x: &[f32]) -> Result<Vec<f32>> {
        crate::ops::values(&self.network.forward_to(&self.stage, &self.tensor(x)?)?)
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

    fn tensor(&self, x: &[f32]) -> Result<Tensor> {
        Ok(Tensor::from_slice(x, self.shape.as_slice(), &Device::Cpu)?)
    }
}
