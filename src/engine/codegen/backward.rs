//! Instructions of the backward pass, from the gradients of the taps to that of the input.

use std::sync::Arc;

use super::{BufferView, Compiler, EpilogueSpec, Instruction, Tap, padded, pixel_stride};
use crate::engine::geometry;
use crate::engine::lowering::{ConvLayer, Dims, OpKind};
use crate::ops::{FrozenOp, Window};

/// The gradient of an operation's output while contributions are accumulated.
#[derive(Clone, Default)]
pub(super) struct Gradient {
    /// The number of contributions that have not been added.
    pub pending: usize,
    /// The buffer with the sum of the other contributions; `None` before the first.
    pub sum: Option<usize>,
}

impl Compiler<'_> {
    /// Emits the load of the gradient of a tap, a contribution like that of a reader of its output.
    pub(super) fn cotangent(&mut self, tap: &Tap) {
        let to = self.new_activation(self.dims(tap.op));
        self.instructions.push(Instruction::LoadCotangent { to, first: tap.first });
        self.accumulate_copy(tap.op, to);
    }

    /// Allocates a buffer for the gradient plus one more contribution, and returns it with the epilogue that adds the two. For the last
    /// contribution, the epilogue also applies the ReLU's mask.
    fn accumulate(&mut self, index: usize) -> (BufferView, EpilogueSpec) {
        let to = self.new_activation(self.dims(index));
        let gradient = &mut self.gradients[index];
        gradient.pending -= 1;
        let gate = if gradient.pending == 0 { self.relu_masks[index] } else { None };
        let epilogue = EpilogueSpec { addend: gradient.sum.replace(to.buffer), gate, ..EpilogueSpec::default() };
        (to, epilogue)
    }

    /// Adds `from` to the gradient of an operation's output; the first contribution is used in place where possible.
    fn accumulate_copy(&mut self, index: usize, from: BufferView) {
        let gradient = &mut self.gradients[index];
        if gradient.sum.is_none() && (gradient.pending > 1 || self.relu_masks[index].is_none()) {
            gradient.pending -= 1;
            gradient.sum = Some(from.buffer);
            return;
        }
        let (to, epilogue) = self.accumulate(index);
        self.instructions.push(Instruction::Elementwise { from, to, scale: None, epilogue });
    }

    /// Emits the instructions that propagate the gradient of operation `index` to its inputs.
    pub(super) fn backward(&mut self, index: usize) {
        let op = &self.lowering.ops[index];
        let Some(buffer) = self.gradients[index].sum else { return };
        let from = BufferView { buffer, stride: pixel_stride(op.dims.channels), ..self.activation(index) };
        if let Some(addend) = op.addend {
            self.accumulate_copy(addend, from);
        }
        let input = op.inputs[0];
        match &op.kind {
            OpKind::Input => {}
            OpKind::LoadInput { scale, .. } => {
                self.instructions.push(Instruction::AddToGradient { from, scale: scale.clone() });
            }
            OpKind::Conv(layer) => self.conv_backward(input, layer, from),
            OpKind::Depthwise(layer) => self.depthwise_backward(input, layer, from),
            OpKind::MaxPool(window) => self.max_pool_backward(index, window, from),
            OpKind::GlobalAvgPool => {
                let (to, epilogue) = self.accumulate(input);
                self.instructions.push(Instruction::GlobalAvgPoolBackward { from, to, epilogue });
            }
            OpKind::Elementwise { affine: None } => self.accumulate_copy(input, from),
            OpKind::Elementwise { affine: Some((scale, _)) } => {
                let (to, epilogue) = self.accumulate(input);
                self.instructions.push(Instruction::Elementwise { from, to, scale: Some(padded(scale)), epilogue });
            }
            OpKind::Concat => self.concat_backward(&op.inputs, from),
            OpKind::Reference(reference) => self.reference_backward(index, reference, from),
            OpKind::Flatten => {
                let to = self.new_activation(self.dims(input));
                self.instructions.push(Instruction::Unflatten { from, to });
                self.accumulate_copy(input, to);
            }
        }
    }

    fn conv_backward(&mut self, input: usize, layer: &ConvLayer, from: BufferView) {
        let size = self.dims(input).size;
        if let OpKind::LoadInput { scale, .. } = &self.lowering.ops[input].kind
            && self.has_unpadded_channels(input)
        {
            return self.conv_backward_to_input(layer, scale, from, size);
        }
        let (to, epilogue) = self.accumulate(input);
        let instruction = match layer.winograd_scheme(self.batch, size) {
            Some(scheme) => self.winograd(layer.winograd_backward(scheme), from, to, epilogue),
            None => self.gemm(layer, layer.backward(size), from, to, epilogue),
        };
        self.instructions.push(instruction);
    }

    /// Emits the gradient of the network's input as one GEMM to columns and col2im, because its few channels would fill few lanes.
    fn conv_backward_to_input(&mut self, layer: &ConvLayer, scale: &[f32], from: BufferView, size: [usize; 2]) {
        let columns = layer.columns(scale);
        let to = self.new_activation(Dims { channels: layer.num_columns(), size: from.size });
        let product = self.pointwise(&columns, from, to, EpilogueSpec::default());
        self.instructions.push(product);
        self.instructions.push(Instruction::Col2im { window: layer.window, from: to, channels: layer.depth, size });
    }

    fn depthwise_backward(&mut self, input: usize, layer: &ConvLayer, from: BufferView) {
        let [_, conv] = layer.depthwise(self.dims(input).size, from.size);
        let (to, epilogue) = self.accumulate(input);
        let bands = self.bands(&conv.phases);
        self.instructions.push(Instruction::Depthwise { bands, conv: conv.into(), from, to, epilogue });
    }

    fn max_pool_backward(&mut self, index: usize, window: &Window, from: BufferView) {
        let input = self.lowering.ops[index].inputs[0];
        let phases = geometry::backward(window, self.dims(input).size);
        let (to, epilogue) = self.accumulate(input);
        let (argmax, taps) = (self.saved[index], window.kernel[0] * window.kernel[1]);
        let bands = self.bands(&phases);
        self.instructions.push(Instruction::MaxPoolBackward { bands, phases, from, to, epilogue, argmax, taps });
    }

    fn concat_backward(&mut self, inputs: &[usize], from: BufferView) {
        let mut first = 0;
        for &input in inputs {
            let part = self.new_activation(self.dims(input));
            let count = part.channels;
            self.instructions.push(Instruction::CopyChannels { from, to: part, first: [first, 0], count });
            self.accumulate_copy(input, part);
            first += count;
        }
    }

    fn reference_backward(&mut self, index: usize, op: &Arc<dyn FrozenOp>, from: BufferView) {
        let input = self.lowering.ops[index].inputs[0];
        let shape = [&[self.batch], self.lowering.ops[input].shape.as_slice()].concat();
        let saved = self.saved[index];
        let is_network_input = matches!(self.lowering.ops[input].kind, OpKind::Input);
        let to = (!is_network_input).then(|| self.new_activation(self.dims(input)));
        self.instructions.push(Instruction::ReferenceBackward { op: op.clone(), from, to, shape, saved });
        if let Some(to) = to {
            self.accumulate_copy(input, to);
        }
    }
}
