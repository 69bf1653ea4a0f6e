//! The values of stages of a network, and gradients of functions of them.

use candle_core::{Device, Tensor, Var};

use super::execution::Execution;
use crate::Result;
use crate::engine::{Compiled, Evaluated};
use crate::network::Network;
use crate::ops::{values, vjp};

/// The implementations of a network.
#[derive(Clone)]
pub(super) enum Evaluator {
    Compiled(Compiled),
    /// Network and stages, run layer by layer; the reference implementation.
    LayerByLayer(Network, Vec<String>),
    /// Network and stages, run layer by layer on a device by operations of candle.
    OnDevice(Network, Vec<String>, Device),
}

impl Evaluator {
    pub fn new(network: &Network, stages: &[String], execution: &Execution) -> Result<Self> {
        let mut modules = false;
        for stage in stages {
            network.check_unchanged(stage)?;
            modules |= !network.modules(stage)?.is_empty();
        }
        // candle's autograd keeps a module's forward pass for its backward pass and reports its errors; the compiled engine does neither.
        match execution {
            Execution::Compiled if !modules => Ok(Self::Compiled(Compiled::at_stages(network, stages)?)),
            Execution::Compiled | Execution::LayerByLayer => Ok(Self::LayerByLayer(network.clone(), stages.to_vec())),
            Execution::OnDevice(device) => Ok(Self::OnDevice(network.clone(), stages.to_vec(), device.clone())),
        }
    }

    /// The values of all stages before their rectifiers, one stage after the other.
    pub fn preactivations(&self, x: &[f32], shape: &[usize]) -> Result<Vec<f32>> {
        match self {
            Self::Compiled(compiled) => compiled.values(x),
            Self::LayerByLayer(network, stages) => {
                values(&joined(&network.preactivations(stages, &tensor(x, shape, &Device::Cpu)?)?)?)
            }
            Self::OnDevice(network, stages, device) => {
                values(&joined(&network.composed_preactivations(stages, &tensor(x, shape, device)?)?)?)
            }
        }
    }

    /// The gradient at `x`, given a function that writes the cotangent of the stages' values; also returns its result.
    pub fn evaluate<T>(
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
            Self::LayerByLayer(network, stages) => differentiate(
                x,
                shape,
                &Device::Cpu,
                |input| joined(&network.preactivations(stages, input)?),
                cotangent,
            ),
            Self::OnDevice(network, stages, device) => differentiate(
                x,
                shape,
                device,
                |input| joined(&network.composed_preactivations(stages, input)?),
                cotangent,
            ),
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

/// The values of several stages before their rectifiers as one vector; of one stage, in its own shape.
fn joined(parts: &[Tensor]) -> Result<Tensor> {
    if let [only] = parts {
        return Ok(only.clone());
    }
    let flat = parts.iter().map(Tensor::flatten_all).collect::<candle_core::Result<Vec<_>>>()?;
    Ok(Tensor::cat(&flat, 0)?)
}

fn tensor(x: &[f32], shape: &[usize], device: &Device) -> Result<Tensor> {
    Ok(Tensor::from_slice(x, shape, device)?)
}
