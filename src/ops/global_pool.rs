//! Global average pooling.

use candle_core::Tensor;

use super::frozen::{FrozenOp, Locality};
use crate::{Error, Result};

/// Global average pooling, the mean of each channel: `[batch, channels, height, width]` becomes `[batch, channels]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct GlobalAvgPool;

impl FrozenOp for GlobalAvgPool {
    fn name(&self) -> &'static str {
        "global average pool"
    }

    fn locality(&self) -> Locality {
        Locality::Global
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        match shape {
            &[batch, channels, height, width] if height > 0 && width > 0 => Ok(vec![batch, channels]),
            _ => Err(Error::shape("the input of global average pool", "[batch, channels, height, width]", shape)),
        }
    }

    fn forward(&self, input: &[f32], shape: &[usize]) -> Vec<f32> {
        let plane = shape[2] * shape[3];
        let mean = |values: &[f32]| values.iter().map(|&x| f64::from(x)).sum::<f64>() / plane as f64;
        input.chunks(plane).map(|values| mean(values) as f32).collect()
    }

    fn backward(&self, _: &[f32], _: &[f32], gradient: &[f32], shape: &[usize]) -> Vec<f32> {
        let plane = shape[2] * shape[3];
        gradient.iter().flat_map(|&g| std::iter::repeat_n(g / plane as f32, plane)).collect()
    }

    fn has_fallback(&self) -> bool {
        true
    }

    fn tangent(&self, _: &[f32], _: &[f32], tangent: &[f32], shape: &[usize]) -> Option<Vec<f32>> {
        Some(self.forward(tangent, shape))
    }

    fn fallback(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.mean((2, 3))?)
    }
}
