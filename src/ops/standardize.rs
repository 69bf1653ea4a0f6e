//! Standardisation of frames to mean 0 and standard deviation 1, the first layer of networks on raw samples.

use candle_core::Tensor;

use super::frozen::{FrozenOp, Locality};
use crate::{Error, Result};

/// The smallest divisor, so that a silent frame stays silent.
const MIN_DEVIATION: f64 = 1e-10;

/// Standardisation of each frame, `y = (x - mean) / max(deviation, 1e-10)`: `[batch, samples]` becomes `[batch, 1, samples, 1]`.
///
/// The standard deviation has Bessel's correction (it divides by `samples - 1`), as PyTorch's `std`.
#[derive(Clone, Copy, Debug)]
pub struct Standardize {
    /// The number of samples in a frame, at least 2.
    pub samples: usize,
}

impl Standardize {
    fn mean_and_deviation(frame: &[f32]) -> (f64, f64) {
        let mean = frame.iter().map(|&v| f64::from(v)).sum::<f64>() / frame.len() as f64;
        let square: f64 = frame.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum();
        (mean, (square / (frame.len() - 1) as f64).sqrt())
    }
}

impl FrozenOp for Standardize {
    fn name(&self) -> &'static str {
        "frame norm"
    }

    fn fingerprint_data(&self) -> (Vec<usize>, Vec<&[f32]>) {
        (vec![self.samples], vec![])
    }

    fn locality(&self) -> Locality {
        Locality::FrontEnd { cells: "samples" }
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        match shape {
            &[batch, samples] if samples == self.samples && samples > 1 => Ok(vec![batch, 1, samples, 1]),
            _ => Err(Error::shape("the input of standardize", format!("[batch, {}]", self.samples), shape)),
        }
    }

    fn forward(&self, input: &[f32], _: &[usize]) -> Vec<f32> {
        let mut output = Vec::with_capacity(input.len());
        for frame in input.chunks(self.samples) {
            let (mean, deviation) = Self::mean_and_deviation(frame);
            output.extend(frame.iter().map(|&v| ((f64::from(v) - mean) / deviation.max(MIN_DEVIATION)) as f32));
        }
        output
    }

    fn backward(&self, input: &[f32], output: &[f32], gradient: &[f32], _: &[usize]) -> Vec<f32> {
        let mut input_gradient = Vec::with_capacity(input.len());
        let frames = input.chunks(self.samples).zip(output.chunks(self.samples)).zip(gradient.chunks(self.samples));
        for ((frame, y), gradient) in frames {
            let (_, deviation) = Self::mean_and_deviation(frame);
            let count = self.samples as f64;
            let mean = gradient.iter().map(|&g| f64::from(g)).sum::<f64>() / count;
            let along: f64 = gradient.iter().zip(y).map(|(&g, &y)| f64::from(g) * f64::from(y)).sum();
            // Below its minimum, the divisor is constant.
            let radial = if deviation > MIN_DEVIATION { along / (count - 1.0) } else { 0.0 };
            let scale = deviation.max(MIN_DEVIATION);
            let input_gradient_at =
                |(&g, &y): (&f32, &f32)| ((f64::from(g) - mean - f64::from(y) * radial) / scale) as f32;
            input_gradient.extend(gradient.iter().zip(y).map(input_gradient_at));
        }
        input_gradient
    }

    fn has_fallback(&self) -> bool {
        true
    }

    /// The Jacobian is symmetric.
    fn tangent(&self, input: &[f32], output: &[f32], tangent: &[f32], shape: &[usize]) -> Option<Vec<f32>> {
        Some(self.backward(input, output, tangent, shape))
    }

    fn fallback(&self, x: &Tensor) -> Result<Tensor> {
        let min_variance = (MIN_DEVIATION * MIN_DEVIATION) as f32;
        let centered = x.broadcast_sub(&x.mean_keepdim(1)?)?;
        let variance = (centered.sqr()?.sum_keepdim(1)? / (self.samples - 1) as f64)?;
        let floor = Tensor::full(min_variance, variance.shape(), x.device())?;
        let variance = variance.gt(min_variance)?.where_cond(&variance, &floor)?;
        Ok(centered.broadcast_div(&variance.sqrt()?)?.reshape((x.dims()[0], 1, self.samples, 1))?)
    }
}
