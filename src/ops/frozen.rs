//! [`FrozenOp`]: operations on slices, and their use in candle's graph.

use std::any::Any;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Storage, Tensor};

use super::window::Window;
use crate::{Error, Result};

/// The inputs that one output of an operation depends on; it determines the receptive fields of the following layers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Locality {
    /// The input at the same place. A normalisation over all inputs counts as pointwise too.
    Pointwise,
    /// The inputs under a sliding window.
    Window(Window),
    /// The whole input.
    Global,
    /// A front end: receptive fields behind it are counted in its output cells.
    FrontEnd {
        /// The two axes of the output, such as `channels × frames`.
        cells: &'static str,
    },
}

/// An operation with frozen parameters, on contiguous row-major float32 values.
///
/// An implementation gives the output's shape, the output, and the vector-Jacobian product of a gradient of the output.
/// `shape` is the shape of the input, checked by [`FrozenOp::output_shape`] before anything else is called.
///
/// The other methods describe the operation as a layer of a network; their defaults are those of an operation without
/// parameters that acts on each value by itself.
///
/// ```
/// use metamers::candle::{Device, Tensor};
/// use metamers::ops::{Frozen, FrozenOp};
///
/// #[derive(Clone, Debug)]
/// struct Square;
///
/// impl FrozenOp for Square {
///     fn name(&self) -> &'static str {
///         "square"
///     }
///
///     fn output_shape(&self, shape: &[usize]) -> metamers::Result<Vec<usize>> {
///         Ok(shape.to_vec())
///     }
///
///     fn forward(&self, input: &[f32], _: &[usize]) -> Vec<f32> {
///         input.iter().map(|x| x * x).collect()
///     }
///
///     fn backward(&self, input: &[f32], _: &[f32], gradient: &[f32], _: &[usize]) -> Vec<f32> {
///         input.iter().zip(gradient).map(|(&x, &g)| 2.0 * x * g).collect()
///     }
/// }
///
/// let y = Square.apply(&Tensor::new(&[1f32, -3.0], &Device::Cpu)?)?;
/// assert_eq!(y.to_vec1::<f32>()?, [1.0, 9.0]);
/// # Ok::<(), metamers::Error>(())
/// ```
pub trait FrozenOp: Any + Send + Sync + std::fmt::Debug {
    /// The operation's name in errors and listings. Network fingerprints contain it, so it must never change.
    fn name(&self) -> &'static str;

    /// The shape of the output for an input of this shape, batch included.
    ///
    /// # Errors
    /// [`Error::Shape`] when the shape is not valid for this operation.
    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>>;

    /// The values of the output.
    ///
    /// # Panics
    /// An implementation may panic if [`FrozenOp::output_shape`] refuses the shape, or `input` has another number of values.
    fn forward(&self, input: &[f32], shape: &[usize]) -> Vec<f32>;

    /// The gradient with respect to the input, given the input, the output and the gradient with respect to the output.
    ///
    /// # Panics
    /// As [`FrozenOp::forward`], and if `output` or `gradient` has another number of values than the output.
    fn backward(&self, input: &[f32], output: &[f32], gradient: &[f32], shape: &[usize]) -> Vec<f32>;

    /// The Jacobian-vector product: the derivative of the output as the input moves along `tangent`, given the input and the output.
    /// `None`, the default, for an operation without a forward derivative.
    ///
    /// # Panics
    /// As [`FrozenOp::forward`], and if `output` or `tangent` has another number of values than the output or the input.
    fn tangent(&self, input: &[f32], output: &[f32], tangent: &[f32], shape: &[usize]) -> Option<Vec<f32>> {
        let _ = (input, output, tangent, shape);
        None
    }

    /// The operation composed of candle's own, for devices other than the CPU. Weights are copied to the device on each call.
    ///
    /// # Errors
    /// The default implementation always fails: the operation runs on the CPU only. An implementation sets [`FrozenOp::has_fallback`].
    fn fallback(&self, input: &Tensor) -> Result<Tensor> {
        let reason =
            format!("runs on the CPU, not on {:?}; move the tensor with to_device(&Device::Cpu)", input.device());
        Err(Error::invalid(self.name(), reason))
    }

    /// Returns whether [`FrozenOp::fallback`] is implemented. Without it, a network on another device runs the operation on the CPU.
    fn has_fallback(&self) -> bool {
        false
    }

    /// The settings and the arrays that, with the name, distinguish the operation in a network's fingerprint.
    fn fingerprint_data(&self) -> (Vec<usize>, Vec<&[f32]>) {
        (vec![], vec![])
    }

    /// The number of parameters.
    fn num_parameters(&self) -> usize {
        0
    }

    /// Weights that clones of the operation share; a network counts their parameters once.
    fn shared_weights(&self) -> Option<&[f32]> {
        None
    }

    /// The multiply-accumulate operations for one input; `output_shape` is without the batch.
    fn macs(&self, output_shape: &[usize]) -> u64 {
        let _ = output_shape;
        0
    }

    /// The inputs that one output depends on.
    fn locality(&self) -> Locality {
        Locality::Pointwise
    }
}

/// Forwards every method, defaults included.
impl FrozenOp for Arc<dyn FrozenOp> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        (**self).output_shape(shape)
    }

    fn forward(&self, input: &[f32], shape: &[usize]) -> Vec<f32> {
        (**self).forward(input, shape)
    }

    fn backward(&self, input: &[f32], output: &[f32], gradient: &[f32], shape: &[usize]) -> Vec<f32> {
        (**self).backward(input, output, gradient, shape)
    }

    fn tangent(&self, input: &[f32], output: &[f32], tangent: &[f32], shape: &[usize]) -> Option<Vec<f32>> {
        (**self).tangent(input, output, tangent, shape)
    }

    fn fallback(&self, input: &Tensor) -> Result<Tensor> {
        (**self).fallback(input)
    }

    fn has_fallback(&self) -> bool {
        (**self).has_fallback()
    }

    fn fingerprint_data(&self) -> (Vec<usize>, Vec<&[f32]>) {
        (**self).fingerprint_data()
    }

    fn num_parameters(&self) -> usize {
        (**self).num_parameters()
    }

    fn shared_weights(&self) -> Option<&[f32]> {
        (**self).shared_weights()
    }

    fn macs(&self, output_shape: &[usize]) -> u64 {
        (**self).macs(output_shape)
    }

    fn locality(&self) -> Locality {
        (**self).locality()
    }
}

/// Applies a [`FrozenOp`] to candle's tensors.
pub trait Frozen: FrozenOp + Clone + Sized {
    /// Applies the operation; the result can be differentiated with respect to `input`.
    ///
    /// # Errors
    /// When `input` is not float32, its shape is not valid for the operation, or the operation does not support its device.
    fn apply(&self, input: &Tensor) -> Result<Tensor> {
        if input.dtype() != DType::F32 {
            let got = format!("{:?} values; convert with to_dtype(DType::F32)", input.dtype());
            return Err(Error::invalid(self.name(), format!("takes F32 values, got {got}")));
        }
        self.output_shape(input.dims())?;
        if !input.device().is_cpu() {
            return self.fallback(input);
        }
        Ok(input.contiguous()?.apply_op1(CustomOp(self.clone()))?)
    }
}

impl<Op: FrozenOp + Clone> Frozen for Op {}

struct CustomOp<Op>(Op);

impl<Op: FrozenOp> CustomOp1 for CustomOp<Op> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let shape = layout.dims();
        let output_shape = self.0.output_shape(shape).map_err(candle_core::Error::wrap)?;
        let output = self.0.forward(contiguous(storage, layout)?, shape);
        let expected: usize = output_shape.iter().product();
        if output.len() != expected {
            candle_core::bail!("{} returned {} values for a shape of {expected}", self.0.name(), output.len());
        }
        Ok((CpuStorage::F32(output), Shape::from(output_shape)))
    }

    fn bwd(&self, input: &Tensor, output: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        let input_gradient = with_values(input, |input_values| {
            with_values(output, |output_values| {
                with_values(&gradient, |gradient| {
                    if gradient.len() != output_values.len() {
                        let (got, expected) = (gradient.len(), output_values.len());
                        candle_core::bail!(
                            "{} received a gradient of {got} values, expected {expected}",
                            self.0.name()
                        );
                    }
                    let input_gradient = self.0.backward(input_values, output_values, gradient, input.dims());
                    if input_gradient.len() != input_values.len() {
                        let (got, expected) = (input_gradient.len(), input_values.len());
                        candle_core::bail!(
                            "{} returned a gradient of {got} values, expected {expected}",
                            self.0.name()
                        );
                    }
                    Ok(input_gradient)
                })
            })
        })?;
        Ok(Some(Tensor::from_vec(input_gradient, input.shape(), input.device())?))
    }
}

/// Copies the values of a float32 tensor, row-major.
pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.flatten_all()?.to_vec1::<f32>()?)
}

/// Borrows the values of a contiguous float32 tensor.
pub(crate) fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    let values = storage.as_slice::<f32>()?;
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("the tensor is not contiguous; call contiguous() on it");
    };
    match values.get(start..end) {
        Some(values) => Ok(values),
        None => candle_core::bail!("values {start}..{end} of the tensor lie outside its storage of {}", values.len()),
    }
}

/// Calls `f` with the values of a contiguous float32 tensor on the CPU.
pub(crate) fn with_values<T>(
    tensor: &Tensor,
    f: impl FnOnce(&[f32]) -> candle_core::Result<T>,
) -> candle_core::Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(contiguous(storage, layout)?),
        _ => candle_core::bail!("the tensor is not on the CPU"),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::engine::{Compiled, Evaluated};
    use crate::network::{Builder, Input};
    use crate::ops::{ChannelAffine, vjp};

    /// An operation that returns too few values in one of the two directions.
    #[derive(Clone, Debug)]
    struct WrongSize {
        forward: usize,
        backward: usize,
    }

    impl FrozenOp for WrongSize {
        fn name(&self) -> &'static str {
            "wrong size"
        }

        fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
            Ok(shape.to_vec())
        }

        fn forward(&self, input: &[f32], _: &[usize]) -> Vec<f32> {
            input[self.forward..].to_vec()
        }

        fn backward(&self, _: &[f32], _: &[f32], gradient: &[f32], _: &[usize]) -> Vec<f32> {
            gradient[self.backward..].to_vec()
        }
    }

    #[test]
    fn an_output_of_the_wrong_size_is_an_error() {
        let x = Var::from_tensor(&Tensor::new(&[1f32, 2.0, 3.0], &Device::Cpu).unwrap()).unwrap();
        let error = WrongSize { forward: 1, backward: 0 }.apply(&x).unwrap_err().to_string();
        assert!(error.contains("wrong size returned 2 values for a shape of 3"), "{error}");
        let y = WrongSize { forward: 0, backward: 1 }.apply(&x).unwrap();
        let error = vjp(&y, &y, &x).unwrap_err().to_string();
        assert!(error.contains("wrong size returned a gradient of 2 values, expected 3"), "{error}");
    }

    #[test]
    fn a_compiled_output_of_the_wrong_size_is_nan() {
        for (forward, backward) in [(1, 0), (0, 1)] {
            let mut b = Builder::new("wrong size", Input::Image { shape: [1, 1, 3], resize: 1 });
            let y = b.layer(WrongSize { forward, backward }, &[b.input()]).unwrap();
            b.stage("y", y).unwrap();
            let compiled = Compiled::new(&b.finish().unwrap(), "y").unwrap();
            let evaluated = compiled.evaluate(&[1.0, 2.0, 3.0], |y, gradient| {
                gradient.fill(1.0);
                y.to_vec()
            });
            let Evaluated { gradient, value } = evaluated.unwrap();
            let is_nan = |values: &[f32]| values.len() == 3 && values.iter().all(|v| v.is_nan());
            assert_eq!((is_nan(&value), is_nan(&gradient)), (forward > 0, backward > 0), "{value:?} {gradient:?}");
        }
    }

    #[test]
    fn a_view_into_other_storage_gives_its_own_values() {
        let whole = Tensor::arange(0f32, 24.0, &Device::Cpu).unwrap().reshape((2, 3, 4)).unwrap();
        let op = ChannelAffine::new(&[1.0, 10.0, 100.0], &[0.0; 3]).unwrap();
        let all = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        // The second half of the storage, and a transpose that is not contiguous.
        let second = op.apply(&whole.narrow(0, 1, 1).unwrap()).unwrap();
        assert_eq!(all(&second)[..5], [12.0, 13.0, 14.0, 15.0, 160.0]);
        let transposed = whole.permute((0, 2, 1)).unwrap().narrow(1, 1, 3).unwrap();
        assert_eq!(all(&op.apply(&transposed).unwrap())[..6], [1.0, 5.0, 9.0, 20.0, 60.0, 100.0]);
    }

    #[test]
    fn storage_that_is_too_short_or_out_of_order_is_an_error() {
        let storage = CpuStorage::F32(vec![0.0; 5]);
        let short = Layout::contiguous((2, 3));
        assert!(contiguous(&storage, &short).unwrap_err().to_string().contains("outside"));
        let transposed = Layout::contiguous((2, 2)).transpose(0, 1).unwrap();
        assert!(contiguous(&storage, &transposed).unwrap_err().to_string().contains("not contiguous"));
    }
}
