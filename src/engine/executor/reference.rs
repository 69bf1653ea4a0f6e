//! Operations without a kernel of their own, which run through their layer-by-layer implementation.

use super::Executor;
use crate::engine::codegen::BufferView;
use crate::ops::FrozenOp;

/// Returns the values that an operation returned, or NaN if their number is wrong, because an instruction cannot return an error.
fn values_or_nan(values: Vec<f32>, count: usize) -> Vec<f32> {
    if values.len() == count { values } else { vec![f32::NAN; count] }
}

impl Executor {
    /// Runs an operation forward on `from`, or on the network's input without one, and saves its input and output.
    pub(super) fn reference(
        &mut self,
        op: &dyn FrozenOp,
        from: Option<&BufferView>,
        to: &BufferView,
        shape: &[usize],
        saved: usize,
    ) {
        let (mut input, _) = std::mem::take(&mut self.saved[saved]);
        input.resize(shape.iter().product(), 0.0);
        match from {
            Some(from) => self.nhwc_to_nchw(from, &mut input, None),
            None => input.copy_from_slice(&self.input),
        }
        let output = values_or_nan(op.forward(&input, shape), to.batch * to.channels * to.pixels());
        self.nchw_to_nhwc(&output, to, None);
        self.saved[saved] = (input, output);
    }

    /// Runs an operation backward; without `to`, adds to the gradient of the network's input.
    pub(super) fn reference_backward(
        &mut self,
        op: &dyn FrozenOp,
        from: &BufferView,
        to: Option<&BufferView>,
        shape: &[usize],
        saved: usize,
    ) {
        let mut cotangent = vec![0.0; from.batch * from.channels * from.pixels()];
        self.nhwc_to_nchw(from, &mut cotangent, None);
        let (input, output) = &self.saved[saved];
        let gradient = values_or_nan(op.backward(input, output, &cotangent, shape), input.len());
        match to {
            Some(to) => self.nchw_to_nhwc(&gradient, to, None),
            None => self.gradient.iter_mut().zip(&gradient).for_each(|(sum, g)| *sum += g),
        }
    }

    /// Reinterprets values in NCHW order as a tensor of another shape: flatten and its inverse.
    pub(super) fn reshape(&mut self, from: &BufferView, to: &BufferView) {
        let mut values = vec![0.0; from.batch * from.channels * from.pixels()];
        self.nhwc_to_nchw(from, &mut values, None);
        self.nchw_to_nhwc(&values, to, None);
    }
}
