//! Each input as a vector of length 1: what networks that compare by cosine end in.

use super::frozen::FrozenOp;
use crate::{Error, Result};

/// The least length that is divided by.
const LEAST: f64 = 1e-12;

/// `y = x / max(|x|, 1e-12)` with the Euclidean length of each input of a batch, as PyTorch's `normalize`; the shape stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct L2Norm;

impl L2Norm {
    fn length(x: &[f32]) -> f64 {
        x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt()
    }

    fn each(shape: &[usize]) -> usize {
        shape[1..].iter().product::<usize>().max(1)
    }
}

impl FrozenOp for L2Norm {
    fn name(&self) -> &'static str {
        "unit norm"
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        match shape.len() {
            0 | 1 => Err(Error::shape("the input of unit norm", "[batch, ..]", shape)),
            _ => Ok(shape.to_vec()),
        }
    }

    fn forward(&self, input: &[f32], shape: &[usize]) -> Vec<f32> {
        let mut output = Vec::with_capacity(input.len());
        for x in input.chunks(Self::each(shape)) {
            let scale = 1.0 / Self::length(x).max(LEAST);
            output.extend(x.iter().map(|&v| (f64::from(v) * scale) as f32));
        }
        output
    }

    fn backward(&self, input: &[f32], output: &[f32], gradient: &[f32], shape: &[usize]) -> Vec<f32> {
        let size = Self::each(shape);
        let mut pulled = Vec::with_capacity(input.len());
        for ((x, y), gradient) in input.chunks(size).zip(output.chunks(size)).zip(gradient.chunks(size)) {
            let length = Self::length(x);
            let along: f64 = gradient.iter().zip(y).map(|(&g, &y)| f64::from(g) * f64::from(y)).sum();
            // The length moves with the values, unless it stands at its least.
            let turn = if length > LEAST { along } else { 0.0 };
            let scale = 1.0 / length.max(LEAST);
            pulled.extend(gradient.iter().zip(y).map(|(&g, &y)| ((f64::from(g) - f64::from(y) * turn) * scale) as f32));
        }
        pulled
    }
}
