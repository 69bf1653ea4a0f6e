//! Min-max normalisation to the range from -1 to 1, as EfficientWord-Net applies it to log-mel energies.

use super::frozen::FrozenOp;
use crate::{Error, Result};

/// Min-max normalisation to `[-1, 1]`, `y = 2 (x - min) / (max - min) - 1`, with the minimum and the maximum of each input of a batch;
/// keeps the shape.
///
/// The gradient includes that of the minimum and the maximum; of several equal ones, the first counts. If all values are equal, `y` is
/// -1 and the gradient 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct MinMaxNorm;

impl MinMaxNorm {
    /// The indices of the minimum and of the maximum, the first ones.
    fn extremes(x: &[f32]) -> (usize, usize) {
        let mut extremes = (0, 0);
        for (i, &v) in x.iter().enumerate() {
            if v < x[extremes.0] {
                extremes.0 = i;
            }
            if v > x[extremes.1] {
                extremes.1 = i;
            }
        }
        extremes
    }

    fn input_len(shape: &[usize]) -> usize {
        shape[1..].iter().product::<usize>().max(1)
    }
}

impl FrozenOp for MinMaxNorm {
    fn name(&self) -> &'static str {
        "range norm"
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        match shape.len() {
            0 | 1 => Err(Error::shape("the input of min-max norm", "[batch, ..]", shape)),
            _ => Ok(shape.to_vec()),
        }
    }

    fn forward(&self, input: &[f32], shape: &[usize]) -> Vec<f32> {
        let mut output = Vec::with_capacity(input.len());
        for x in input.chunks(Self::input_len(shape)) {
            let (low, high) = Self::extremes(x);
            let (low, range) = (f64::from(x[low]), f64::from(x[high]) - f64::from(x[low]));
            let scale = if range == 0.0 { 0.0 } else { 2.0 / range };
            output.extend(x.iter().map(|&v| ((f64::from(v) - low) * scale - 1.0) as f32));
        }
        output
    }

    fn backward(&self, input: &[f32], _: &[f32], gradient: &[f32], shape: &[usize]) -> Vec<f32> {
        let size = Self::input_len(shape);
        let mut input_gradient = vec![0.0; input.len()];
        for ((x, gradient), input_gradient) in
            input.chunks(size).zip(gradient.chunks(size)).zip(input_gradient.chunks_mut(size))
        {
            let (low, high) = Self::extremes(x);
            let range = f64::from(x[high]) - f64::from(x[low]);
            if range == 0.0 {
                continue;
            }
            let scale = 2.0 / range;
            let (mut sum, mut along) = (0.0, 0.0);
            for ((input_gradient, &g), &v) in input_gradient.iter_mut().zip(gradient).zip(x) {
                *input_gradient = (f64::from(g) * scale) as f32;
                sum += f64::from(g);
                along += f64::from(g) * (f64::from(v) - f64::from(x[low])) / range;
            }
            let at = |i: usize| f64::from(gradient[i]) * scale;
            // The derivative of the range, shared by minimum and maximum.
            let (first, last) = (at(low) - scale * (sum - along), at(high) - scale * along);
            (input_gradient[low], input_gradient[high]) = (first as f32, last as f32);
        }
        input_gradient
    }

    fn tangent(&self, input: &[f32], output: &[f32], tangent: &[f32], shape: &[usize]) -> Option<Vec<f32>> {
        let size = Self::input_len(shape);
        let mut found = Vec::with_capacity(input.len());
        for ((x, y), tangent) in input.chunks(size).zip(output.chunks(size)).zip(tangent.chunks(size)) {
            let (low, high) = Self::extremes(x);
            let range = f64::from(x[high]) - f64::from(x[low]);
            let scale = if range == 0.0 { 0.0 } else { 2.0 / range };
            let low = f64::from(tangent[low]);
            let half_range = 0.5 * (f64::from(tangent[high]) - low);
            let change =
                |(&y, &t): (&f32, &f32)| (scale * (f64::from(t) - low - (f64::from(y) + 1.0) * half_range)) as f32;
            found.extend(y.iter().zip(tangent).map(change));
        }
        Some(found)
    }
}
