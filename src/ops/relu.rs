//! Rectifiers, and the form they take at the stage that a metamer matches.

use candle_core::Tensor;
use rayon::prelude::*;

use super::frozen::FrozenOp;
use crate::Result;

const CHUNK: usize = 1 << 14;

/// `y = min(max(x, 0), ceiling)`: ReLU, or with a ceiling ReLU6.
///
/// The gradient is 1 strictly between the limits and 0 elsewhere, at the limits too, as in PyTorch. NaN stays NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Relu {
    /// The largest value that passes; infinite for a plain ReLU.
    pub max: f32,
}

impl Relu {
    /// `max(x, 0)`.
    pub const UNBOUNDED: Self = Self { max: f32::INFINITY };
    /// `min(max(x, 0), 6)`.
    pub const RELU6: Self = Self { max: 6.0 };

    /// The clipped value.
    #[inline]
    pub fn value(&self, x: f32) -> f32 {
        // Comparisons, for `f32::max` would turn NaN into 0 and hide it.
        if x <= 0.0 {
            0.0
        } else if x >= self.max {
            self.max
        } else {
            x
        }
    }

    /// Whether a gradient passes at `x`.
    #[inline]
    pub fn passes(&self, x: f32) -> bool {
        x > 0.0 && x < self.max
    }
}

fn map(input: &[f32], f: impl Fn(f32) -> f32 + Sync) -> Vec<f32> {
    let mut output = vec![0.0; input.len()];
    output.par_chunks_mut(CHUNK).zip(input.par_chunks(CHUNK)).for_each(|(output, input)| {
        for (y, &x) in output.iter_mut().zip(input) {
            *y = f(x);
        }
    });
    output
}

impl FrozenOp for Relu {
    fn name(&self) -> &'static str {
        if self.max == f32::INFINITY { "relu" } else { "clip" }
    }

    fn identity(&self) -> (Vec<usize>, Vec<&[f32]>) {
        (vec![], vec![std::slice::from_ref(&self.max)])
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        Ok(shape.to_vec())
    }

    fn forward(&self, input: &[f32], _: &[usize]) -> Vec<f32> {
        map(input, |x| self.value(x))
    }

    fn backward(&self, input: &[f32], _: &[f32], gradient: &[f32], _: &[usize]) -> Vec<f32> {
        let mut pulled = vec![0.0; input.len()];
        let chunks = pulled.par_chunks_mut(CHUNK).zip(input.par_chunks(CHUNK)).zip(gradient.par_chunks(CHUNK));
        chunks.for_each(|((pulled, input), gradient)| {
            for ((p, &x), &g) in pulled.iter_mut().zip(input).zip(gradient) {
                *p = if self.passes(x) { g } else { 0.0 };
            }
        });
        pulled
    }

    fn fallback(&self, x: &Tensor) -> Result<Tensor> {
        let constant = |value: f32| Tensor::full(value, x.shape(), x.device());
        // No comparison holds for NaN, so it stays.
        let y = x.le(0f32)?.where_cond(&constant(0.0)?, x)?;
        Ok(x.ge(self.max)?.where_cond(&constant(self.max)?, &y)?)
    }
}

/// A [`Relu`] whose backward is the identity: the rectifier of the matched stage, in a loss written by hand.
///
/// A unit that is silent in the metamer and active in the original has no gradient through a true ReLU and could never
/// be matched; Feather et al. (2019, 2023) therefore let the gradient pass at the matched stage, and only there. A
/// [`Synthesis`](crate::synthesis::Synthesis) does that itself and needs no such layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StraightThroughRelu(pub Relu);

impl FrozenOp for StraightThroughRelu {
    fn name(&self) -> &'static str {
        "matched clip"
    }

    fn identity(&self) -> (Vec<usize>, Vec<&[f32]>) {
        self.0.identity()
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        Ok(shape.to_vec())
    }

    fn forward(&self, input: &[f32], _: &[usize]) -> Vec<f32> {
        map(input, |x| self.0.value(x))
    }

    fn backward(&self, _: &[f32], _: &[f32], gradient: &[f32], _: &[usize]) -> Vec<f32> {
        gradient.to_vec()
    }

    fn fallback(&self, x: &Tensor) -> Result<Tensor> {
        Ok((self.0.fallback(&x.detach())? + (x - x.detach())?)?)
    }
}
