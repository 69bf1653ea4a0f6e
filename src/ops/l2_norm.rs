//! L2 normalisation, the last layer of networks that compare embeddings by cosine.

use super::frozen::FrozenOp;
use crate::{Error, Result};

/// The smallest divisor, as in PyTorch's `normalize`.
const MIN_NORM: f64 = 1e-12;

/// L2 normalisation of each input of a batch, `y = x / max(norm2(x), 1e-12)`, as PyTorch's `normalize`; keeps the shape.
#[derive(Clone, Copy, Debug, Default)]
pub struct L2Norm;

impl L2Norm {
    fn norm(x: &[f32]) -> f64 {
        x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt()
    }

    fn input_len(shape: &[usize]) -> usize {
        shape[1..].iter().product::<usize>().max(1)
    }
}

impl FrozenOp for L2Norm {
    fn name(&self) -> &'static str {
        "unit norm"
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        match shape.len() {
            0 | 1 => Err(Error::shape("the input of L2 norm", "[batch, ..]", shape)),
            _ => Ok(shape.to_vec()),
        }
    }

    fn forward(&self, input: &[f32], shape: &[usize]) -> Vec<f32> {
        let mut output = Vec::with_capacity(input.len());
        for x in input.chunks(Self::input_len(shape)) {
            let scale = 1.0 / Self::norm(x).max(MIN_NORM);
            output.extend(x.iter().map(|&v| (f64::from(v) * scale) as f32));
        }
        output
    }

    fn backward(&self, input: &[f32], output: &[f32], gradient: &[f32], shape: &[usize]) -> Vec<f32> {
        let size = Self::input_len(shape);
        let mut input_gradient = Vec::with_capacity(input.len());
        for ((x, y), gradient) in input.chunks(size).zip(output.chunks(size)).zip(gradient.chunks(size)) {
            let norm = Self::norm(x);
            let along: f64 = gradient.iter().zip(y).map(|(&g, &y)| f64::from(g) * f64::from(y)).sum();
            // Below its minimum, the divisor is constant.
            let radial = if norm > MIN_NORM { along } else { 0.0 };
            let scale = 1.0 / norm.max(MIN_NORM);
            input_gradient
                .extend(gradient.iter().zip(y).map(|(&g, &y)| ((f64::from(g) - f64::from(y) * radial) * scale) as f32));
        }
        input_gradient
    }

    /// The Jacobian is symmetric.
    fn tangent(&self, input: &[f32], output: &[f32], tangent: &[f32], shape: &[usize]) -> Option<Vec<f32>> {
        Some(self.backward(input, output, tangent, shape))
    }
}
