//! The vector-Jacobian product.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, Var};

use crate::{Error, Result};

/// Computes the vector-Jacobian product: the gradient of `sum(output * cotangent)` with respect to `input`.
///
/// `cotangent` has the shape of `output`; the result has the shape of `input`.
///
/// # Errors
/// When the shapes differ, or when `output` does not depend on `input`.
pub fn vjp(output: &Tensor, cotangent: &Tensor, input: &Var) -> Result<Tensor> {
    if output.shape() != cotangent.shape() {
        return Err(Error::shape("the cotangent", format!("{:?}", output.dims()), cotangent.dims()));
    }
    let cotangent = cotangent.detach();
    let gradients = match output.device().is_cpu() {
        true => output.contiguous()?.apply_op1(Seed(cotangent))?.backward()?,
        false => (output * cotangent)?.sum_all()?.backward()?,
    };
    let gradient = gradients.get(input).cloned();
    gradient.ok_or_else(|| Error::invalid("vjp", "the output does not depend on this input"))
}

/// A scalar function of the output whose gradient is the cotangent; its value is never used.
struct Seed(Tensor);

impl CustomOp1 for Seed {
    fn name(&self) -> &'static str {
        "seed"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(())))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.0.clone()))
    }
}
