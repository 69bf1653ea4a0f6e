//! Each input stretched to the range from -1 to 1: what EfficientWord-Net does to its log-mel energies.

use super::frozen::FrozenOp;
use crate::{Error, Result};

/// `y = 2 (x - min) / (max - min) - 1`, with the least and the largest value of each input of a batch; the shape stays.
///
/// The gradient goes through the least and the largest value too; of several equal ones the first has it. Where all values are equal, `y` is -1
/// and the gradient 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct MinMaxNorm;

impl MinMaxNorm {
    /// Where the least and the largest value are.
    fn ends(x: &[f32]) -> (usize, usize) {
        let mut ends = (0, 0);
        for (i, &v) in x.iter().enumerate() {
            if v < x[ends.0] {
                ends.0 = i;
            }
            if v > x[ends.1] {
                ends.1 = i;
            }
        }
        ends
    }

    fn each(shape: &[usize]) -> usize {
        shape[1..].iter().product::<usize>().max(1)
    }
}

impl FrozenOp for MinMaxNorm {
    fn name(&self) -> &'static str {
        "range norm"
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        match shape.len() {
            0 | 1 => Err(Error::shape("the input of range norm", "[batch, ..]", shape)),
            _ => Ok(shape.to_vec()),
        }
    }

    fn forward(&self, input: &[f32], shape: &[usize]) -> Vec<f32> {
        let mut output = Vec::with_capacity(input.len());
        for x in input.chunks(Self::each(shape)) {
            let (low, high) = Self::ends(x);
            let (low, range) = (f64::from(x[low]), f64::from(x[high]) - f64::from(x[low]));
            let scale = if range == 0.0 { 0.0 } else { 2.0 / range };
            output.extend(x.iter().map(|&v| ((f64::from(v) - low) * scale - 1.0) as f32));
        }
        output
    }

    fn backward(&self, input: &[f32], _: &[f32], gradient: &[f32], shape: &[usize]) -> Vec<f32> {
        let size = Self::each(shape);
        let mut pulled = vec![0.0; input.len()];
        for ((x, gradient), pulled) in input.chunks(size).zip(gradient.chunks(size)).zip(pulled.chunks_mut(size)) {
            let (low, high) = Self::ends(x);
            let range = f64::from(x[high]) - f64::from(x[low]);
            if range == 0.0 {
                continue;
            }
            let scale = 2.0 / range;
            let (mut sum, mut along) = (0.0, 0.0);
            for ((pulled, &g), &v) in pulled.iter_mut().zip(gradient).zip(x) {
                *pulled = (f64::from(g) * scale) as f32;
                sum += f64::from(g);
                along += f64::from(g) * (f64::from(v) - f64::from(x[low])) / range;
            }
            let at = |i: usize| f64::from(gradient[i]) * scale;
            // `along` is what the range's growth takes away, shared by its two ends.
            let (first, last) = (at(low) - scale * (sum - along), at(high) - scale * along);
            (pulled[low], pulled[high]) = (first as f32, last as f32);
        }
        pulled
    }
}
