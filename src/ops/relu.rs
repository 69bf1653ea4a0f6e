//! ReLU, and its straight-through form.

use candle_core::Tensor;
use rayon::prelude::*;

use super::frozen::FrozenOp;
use crate::Result;

/// Values of one parallel task.
const CHUNK: usize = 1 << 14;

/// ReLU, `y = min(max(x, 0), max)`, unbounded or with an upper limit such as ReLU6's 6; keeps the shape.
///
/// As in PyTorch, the gradient is 1 strictly between the limits and 0 elsewhere, and NaN stays NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Relu {
    /// The upper limit; infinite for an unbounded ReLU.
    pub max: f32,
}

impl Relu {
    /// The unbounded ReLU, `max(x, 0)`.
    pub const UNBOUNDED: Self = Self { max: f32::INFINITY };
    /// ReLU6, `min(max(x, 0), 6)`.
    pub const RELU6: Self = Self { max: 6.0 };

    /// The output for `x`.
    #[must_use]
    #[inline]
    pub fn value(&self, x: f32) -> f32 {
        // By comparison, because `f32::max` would replace NaN with 0.
        if x <= 0.0 {
            0.0
        } else if x >= self.max {
            self.max
        } else {
            x
        }
    }

    /// Returns whether the gradient at `x` is 1.
    #[must_use]
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

    fn fingerprint_data(&self) -> (Vec<usize>, Vec<&[f32]>) {
        (vec![], vec![std::slice::from_ref(&self.max)])
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        Ok(shape.to_vec())
    }

    fn forward(&self, input: &[f32], _: &[usize]) -> Vec<f32> {
        map(input, |x| self.value(x))
    }

    fn backward(&self, input: &[f32], _: &[f32], gradient: &[f32], _: &[usize]) -> Vec<f32> {
        let mut input_gradient = vec![0.0; input.len()];
        let chunks = input_gradient.par_chunks_mut(CHUNK).zip(input.par_chunks(CHUNK)).zip(gradient.par_chunks(CHUNK));
        chunks.for_each(|((input_gradient, input), gradient)| {
            for ((p, &x), &g) in input_gradient.iter_mut().zip(input).zip(gradient) {
                *p = if self.passes(x) { g } else { 0.0 };
            }
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
        let constant = |value: f32| Tensor::full(value, x.shape(), x.device());
        // Every comparison with NaN is false, so NaN stays.
        let y = x.le(0f32)?.where_cond(&constant(0.0)?, x)?;
        Ok(x.ge(self.max)?.where_cond(&constant(self.max)?, &y)?)
    }
}

/// A [`Relu`] with the identity as its backward pass (a straight-through estimator), for hand-written losses at a ReLU stage.
///
/// A unit that is silent in the metamer and active in the original has no gradient through a ReLU and would never be matched.
/// Feather et al. (2019, 2023) therefore pass the gradient through the ReLU of the matched stage, and only that one. A
/// [`Synthesis`](crate::synthesis::Synthesis) does this itself and does not need this layer. Products with Jacobians use the identity, too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StraightThroughRelu(pub Relu);

impl FrozenOp for StraightThroughRelu {
    fn name(&self) -> &'static str {
        "matched clip"
    }

    fn fingerprint_data(&self) -> (Vec<usize>, Vec<&[f32]>) {
        self.0.fingerprint_data()
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

    fn has_fallback(&self) -> bool {
        true
    }

    fn tangent(&self, _: &[f32], _: &[f32], tangent: &[f32], _: &[usize]) -> Option<Vec<f32>> {
        Some(tangent.to_vec())
    }

    fn fallback(&self, x: &Tensor) -> Result<Tensor> {
        Ok((self.0.fallback(&x.detach())? + (x - x.detach())?)?)
    }
}
