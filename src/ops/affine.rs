//! Per-channel affine maps: input normalisation, and batch normalisation that is not folded into a convolution.

use std::sync::Arc;

use candle_core::Tensor;
use rayon::prelude::*;

use super::frozen::FrozenOp;
use crate::{Error, Result};

/// A per-channel affine map: `y[n, c, ..] = x[n, c, ..] * scale[c] + shift[c]`; keeps the shape.
#[derive(Clone)]
pub struct ChannelAffine {
    scale: Arc<[f32]>,
    shift: Arc<[f32]>,
}

impl std::fmt::Debug for ChannelAffine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChannelAffine({} channels)", self.scale.len())
    }
}

impl ChannelAffine {
    /// An operation with one scale and one shift for each channel.
    ///
    /// # Errors
    /// When the slices differ in length or are empty.
    pub fn new(scale: &[f32], shift: &[f32]) -> Result<Self> {
        if scale.len() != shift.len() || scale.is_empty() {
            let reason =
                format!("needs as many scales as shifts, at least one, got {} and {}", scale.len(), shift.len());
            return Err(Error::invalid("channel affine", reason));
        }
        Ok(Self { scale: scale.into(), shift: shift.into() })
    }

    /// The normalisation `(x - mean) / deviation` of each channel.
    ///
    /// # Errors
    /// When the slices differ in length or are empty, or a deviation is 0.
    pub fn normalize(mean: &[f32], deviation: &[f32]) -> Result<Self> {
        if deviation.contains(&0.0) {
            return Err(Error::invalid("channel affine", "a standard deviation must not be 0"));
        }
        if mean.len() != deviation.len() {
            let reason = format!("needs as many means as deviations, got {} and {}", mean.len(), deviation.len());
            return Err(Error::invalid("channel affine", reason));
        }
        let scale: Vec<f32> = deviation.iter().map(|d| 1.0 / d).collect();
        let shift: Vec<f32> = mean.iter().zip(&scale).map(|(m, s)| -m * s).collect();
        Self::new(&scale, &shift)
    }

    pub(crate) fn scale(&self) -> &[f32] {
        &self.scale
    }

    pub(crate) fn shift(&self) -> &[f32] {
        &self.shift
    }
}

impl FrozenOp for ChannelAffine {
    fn name(&self) -> &'static str {
        "channel affine"
    }

    fn fingerprint_data(&self) -> (Vec<usize>, Vec<&[f32]>) {
        (vec![], vec![&self.scale, &self.shift])
    }

    fn num_parameters(&self) -> usize {
        2 * self.scale.len()
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        if shape.len() < 2 || shape[1] != self.scale.len() {
            return Err(Error::shape("the input of channel affine", format!("[n, {}, ..]", self.scale.len()), shape));
        }
        Ok(shape.to_vec())
    }

    fn forward(&self, input: &[f32], shape: &[usize]) -> Vec<f32> {
        let mut output = input.to_vec();
        let plane = shape[2..].iter().product::<usize>().max(1);
        output.par_chunks_mut(plane).enumerate().for_each(|(i, plane)| {
            let (scale, shift) = (self.scale[i % shape[1]], self.shift[i % shape[1]]);
            plane.iter_mut().for_each(|y| *y = *y * scale + shift);
        });
        output
    }

    fn backward(&self, _: &[f32], _: &[f32], gradient: &[f32], shape: &[usize]) -> Vec<f32> {
        let mut input_gradient = gradient.to_vec();
        let plane = shape[2..].iter().product::<usize>().max(1);
        input_gradient.par_chunks_mut(plane).enumerate().for_each(|(i, plane)| {
            let scale = self.scale[i % shape[1]];
            plane.iter_mut().for_each(|g| *g *= scale);
        });
        input_gradient
    }

    fn has_fallback(&self) -> bool {
        true
    }

    /// The Jacobian is diagonal.
    fn tangent(&self, input: &[f32], output: &[f32], tangent: &[f32], shape: &[usize]) -> Option<Vec<f32>> {
        Some(self.backward(input, output, tangent, shape))
    }

    fn fallback(&self, x: &Tensor) -> Result<Tensor> {
        let mut shape = vec![1; x.dims().len()];
        shape[1] = self.scale.len();
        let row = |values: &[f32]| Tensor::from_slice(values, shape.as_slice(), x.device());
        Ok(x.broadcast_mul(&row(&self.scale)?)?.broadcast_add(&row(&self.shift)?)?)
    }
}
