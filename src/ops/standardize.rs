//! Frames of samples without a mean and with a deviation of 1: what a network on bare samples begins with.

use candle_core::Tensor;

use super::frozen::{FrozenOp, Locality};
use crate::{Error, Result};

/// The least deviation: a silent frame stays silent.
const LEAST: f64 = 1e-10;

/// `y = (x - mean) / max(deviation, 1e-10)` over each frame: `[batch, samples]` becomes `[batch, 1, samples, 1]`.
///
/// The deviation is that of a sample (divided by one less than the number of samples), as PyTorch's `std`.
#[derive(Clone, Copy, Debug)]
pub struct Standardize {
    /// Samples of a frame, at least 2.
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

    fn identity(&self) -> (Vec<usize>, Vec<&[f32]>) {
        (vec![self.samples], vec![])
    }

    fn locality(&self) -> Locality {
        Locality::FrontEnd { cells: "samples" }
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        match shape {
            &[batch, samples] if samples == self.samples && samples > 1 => Ok(vec![batch, 1, samples, 1]),
            _ => Err(Error::shape("the input of frame norm", format!("[batch, {}]", self.samples), shape)),
        }
    }

    fn forward(&self, input: &[f32], _: &[usize]) -> Vec<f32> {
        let mut output = Vec::with_capacity(input.len());
        for frame in input.chunks(self.samples) {
            let (mean, deviation) = Self::mean_and_deviation(frame);
            output.extend(frame.iter().map(|&v| ((f64::from(v) - mean) / deviation.max(LEAST)) as f32));
        }
        output
    }

    fn backward(&self, input: &[f32], output: &[f32], gradient: &[f32], _: &[usize]) -> Vec<f32> {
        let mut pulled = Vec::with_capacity(input.len());
        let frames = input.chunks(self.samples).zip(output.chunks(self.samples)).zip(gradient.chunks(self.samples));
        for ((frame, y), gradient) in frames {
            let (_, deviation) = Self::mean_and_deviation(frame);
            let count = self.samples as f64;
            let mean = gradient.iter().map(|&g| f64::from(g)).sum::<f64>() / count;
            let along: f64 = gradient.iter().zip(y).map(|(&g, &y)| f64::from(g) * f64::from(y)).sum();
            // The deviation moves with the samples, unless it stands at its least.
            let turn = if deviation > LEAST { along / (count - 1.0) } else { 0.0 };
            let scale = deviation.max(LEAST);
            let pull = |(&g, &y): (&f32, &f32)| ((f64::from(g) - mean - f64::from(y) * turn) / scale) as f32;
            pulled.extend(gradient.iter().zip(y).map(pull));
        }
        pulled
    }

    fn fallback(&self, x: &Tensor) -> Result<Tensor> {
        let least = (LEAST * LEAST) as f32;
        let centred = x.broadcast_sub(&x.mean_keepdim(1)?)?;
        let variance = (centred.sqr()?.sum_keepdim(1)? / (self.samples - 1) as f64)?;
        let floor = Tensor::full(least, variance.shape(), x.device())?;
        let variance = variance.gt(least)?.where_cond(&variance, &floor)?;
        Ok(centred.broadcast_div(&variance.sqrt()?)?.reshape((x.dims()[0], 1, self.samples, 1))?)
    }
}
