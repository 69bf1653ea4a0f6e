//! The fully connected layer.

use std::sync::Arc;

use candle_core::Tensor;

use super::frozen::{FrozenOp, Locality, values};
use super::matmul::{Matrix, multiply};
use crate::{Error, Result};

/// A fully connected layer, `y = x W^T + b`, with frozen `W` `[outputs, inputs]` and `b` `[outputs]`, for `x` `[batch, inputs]`.
#[derive(Clone)]
pub struct Linear {
    weight: Arc<[f32]>,
    bias: Option<Arc<[f32]>>,
    outputs: usize,
    inputs: usize,
}

impl std::fmt::Debug for Linear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Linear({} -> {})", self.inputs, self.outputs)
    }
}

impl Linear {
    /// A layer with this weight `[outputs, inputs]` and bias `[outputs]`.
    ///
    /// # Errors
    /// When the shapes are inconsistent or the values are not float32.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        let &[outputs, inputs] = weight.dims() else {
            return Err(Error::shape("the weight of linear", "[outputs, inputs]", weight.dims()));
        };
        if let Some(bias) = bias
            && bias.dims() != [outputs]
        {
            return Err(Error::shape("the bias of linear", format!("[{outputs}]"), bias.dims()));
        }
        let bias = bias.map(values).transpose()?.map(Into::into);
        Ok(Self { weight: values(weight)?.into(), bias, outputs, inputs })
    }

    pub(crate) fn weight(&self) -> &Arc<[f32]> {
        &self.weight
    }

    pub(crate) fn bias(&self) -> Option<&Arc<[f32]>> {
        self.bias.as_ref()
    }
}

impl FrozenOp for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn fingerprint_data(&self) -> (Vec<usize>, Vec<&[f32]>) {
        let bias = self.bias.as_deref();
        (vec![self.outputs, self.inputs, usize::from(bias.is_some())], vec![&self.weight, bias.unwrap_or_default()])
    }

    fn num_parameters(&self) -> usize {
        self.weight.len() + self.bias.as_ref().map_or(0, |b| b.len())
    }

    fn macs(&self, _: &[usize]) -> u64 {
        self.weight.len() as u64
    }

    fn locality(&self) -> Locality {
        Locality::Global
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        match shape {
            &[batch, inputs] if inputs == self.inputs => Ok(vec![batch, self.outputs]),
            _ => Err(Error::shape("the input of linear", format!("[batch, {}]", self.inputs), shape)),
        }
    }

    fn forward(&self, input: &[f32], shape: &[usize]) -> Vec<f32> {
        let batch = shape[0];
        // The transposed product has its long side in the rows, which are split into blocks.
        let mut columns = vec![0.0; self.outputs * batch];
        let weight = Matrix::rows(&self.weight, self.inputs);
        let input = Matrix::rows(input, self.inputs).transposed();
        multiply([self.outputs, self.inputs, batch], weight, input, &mut columns);
        let mut output = vec![0.0; batch * self.outputs];
        for n in 0..batch {
            for o in 0..self.outputs {
                output[n * self.outputs + o] = columns[o * batch + n] + self.bias.as_ref().map_or(0.0, |b| b[o]);
            }
        }
        output
    }

    fn backward(&self, _: &[f32], _: &[f32], gradient: &[f32], shape: &[usize]) -> Vec<f32> {
        let mut input_gradient = vec![0.0; shape[0] * self.inputs];
        let gradient = Matrix::rows(gradient, self.outputs);
        let weight = Matrix::rows(&self.weight, self.inputs);
        multiply([shape[0], self.outputs, self.inputs], gradient, weight, &mut input_gradient);
        input_gradient
    }

    fn has_fallback(&self) -> bool {
        true
    }

    fn tangent(&self, _: &[f32], _: &[f32], tangent: &[f32], shape: &[usize]) -> Option<Vec<f32>> {
        Some(Self { bias: None, ..self.clone() }.forward(tangent, shape))
    }

    fn fallback(&self, x: &Tensor) -> Result<Tensor> {
        let y = x.matmul(&Tensor::from_slice(&self.weight, (self.outputs, self.inputs), x.device())?.t()?)?;
        match &self.bias {
            Some(bias) => Ok(y.broadcast_add(&Tensor::from_slice(bias, (1, self.outputs), x.device())?)?),
            None => Ok(y),
        }
    }
}
