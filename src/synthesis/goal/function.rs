//! Values, gradients and checks of the user's own functions.

use candle_core::{Tensor, Var};

use crate::network::check_gradient;
use crate::ops::{values, vjp};
use crate::{Error, Result};

/// The value and the gradient of a function at `at`. `name` is that of errors.
///
/// # Errors
/// [`Error::Shape`] when the function returns more than one number; otherwise the function's own errors.
pub(super) fn value_and_gradient(
    name: &str,
    at: &Tensor,
    f: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<(f64, Vec<f32>)> {
    let at = Var::from_tensor(at)?;
    let value = one_number(name, f(&at)?)?;
    let gradient = values(&vjp(&value, &value.ones_like()?, &at)?)?;
    let value = values(&value)?.first().copied().unwrap_or(f32::NAN);
    Ok((f64::from(value), gradient))
}

/// Compares candle's gradient of a function at `at` with finite differences.
pub(super) fn check_function(name: &str, at: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
    check_gradient(name, at, &|x: &Tensor| one_number(name, f(x)?))
}

fn one_number(name: &str, value: Tensor) -> Result<Tensor> {
    if value.elem_count() != 1 {
        return Err(Error::shape(name, "one number", value.dims()));
    }
    Ok(value)
}
