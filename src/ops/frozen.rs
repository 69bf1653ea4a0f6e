//! The bridge between operations on plain slices and candle's graph.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Storage, Tensor};

use crate::{Error, Result};

/// An operation with frozen parameters, on contiguous row-major float32 values.
///
/// An implementation says what shape comes out, computes it, and pulls a gradient of the output back to the input.
/// `shape` is the shape of the input, checked by [`FrozenOp::output_shape`] before anything else is called.
pub trait FrozenOp: Send + Sync + std::fmt::Debug + 'static {
    /// The operation's name in errors.
    fn name(&self) -> &'static str;

    /// The shape of the output for an input of this shape, batch included.
    ///
    /// # Errors
    /// [`Error::Shape`] when the input does not fit.
    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>>;

    /// The output's values.
    fn forward(&self, input: &[f32], shape: &[usize]) -> Vec<f32>;

    /// The gradient of the input, given the input, the output and the gradient of the output.
    fn backward(&self, input: &[f32], output: &[f32], gradient: &[f32], shape: &[usize]) -> Vec<f32>;
}

/// Puts a [`FrozenOp`] into candle's graph.
pub trait Frozen: FrozenOp + Clone + Sized {
    /// Applies the operation; the result can be differentiated with respect to `input`.
    ///
    /// # Errors
    /// When `input` is not float32, not on the CPU, or of a shape that does not fit.
    fn apply(&self, input: &Tensor) -> Result<Tensor> {
        if input.dtype() != DType::F32 {
            let got = format!("{:?} values; convert with to_dtype(DType::F32)", input.dtype());
            return Err(Error::invalid(self.name(), format!("takes F32 values, got {got}")));
        }
        if !input.device().is_cpu() {
            return Err(Error::invalid(self.name(), "runs on the CPU; move the tensor with to_device(&Device::Cpu)"));
        }
        self.output_shape(input.dims())?;
        Ok(input.contiguous()?.apply_op1(InGraph(self.clone()))?)
    }
}

impl<Op: FrozenOp + Clone> Frozen for Op {}

struct InGraph<Op>(Op);

impl<Op: FrozenOp> CustomOp1 for InGraph<Op> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let shape = layout.dims();
        let output_shape = self.0.output_shape(shape).map_err(candle_core::Error::wrap)?;
        let output = self.0.forward(contiguous(storage, layout)?, shape);
        Ok((CpuStorage::F32(output), Shape::from(output_shape)))
    }

    fn bwd(&self, input: &Tensor, output: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        let pulled = with_values(input, |input_values| {
            with_values(output, |output_values| {
                with_values(&gradient, |gradient| {
                    Ok(self.0.backward(input_values, output_values, gradient, input.dims()))
                })
            })
        })?;
        Ok(Some(Tensor::from_vec(pulled, input.shape(), input.device())?))
    }
}

/// A copy of the values of a float32 tensor, row-major.
pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.flatten_all()?.to_vec1::<f32>()?)
}

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    let values = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => candle_core::bail!("the tensor is not contiguous"),
    }
}

fn with_values<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> candle_core::Result<T>) -> candle_core::Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(contiguous(storage, layout)?),
        _ => candle_core::bail!("the tensor is not on the CPU"),
    }
}
