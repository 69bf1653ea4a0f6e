//! Instructions of the forward pass, from the input to the taps.

use std::sync::Arc;

use super::{BufferView, Compiler, EpilogueSpec, Instruction, padded, pixel_stride};
use crate::engine::geometry;
use crate::engine::lowering::{ConvLayer, OpKind};
use crate::engine::simd::LANES;
use crate::ops::{FrozenOp, Window};

impl Compiler<'_> {
    /// Emits the instructions that compute operation `index`.
    pub(super) fn forward(&mut self, index: usize) {
        let op = &self.lowering.ops[index];
        let to = match op.kind {
            OpKind::LoadInput { .. } if self.has_unpadded_channels(index) => self.new_buffer(op.dims, op.dims.channels),
            _ => self.new_activation(op.dims),
        };
        self.activations[index] = Some(to);
        let instruction = match &op.kind {
            OpKind::Input => return,
            OpKind::LoadInput { scale, shift } => {
                Instruction::LoadInput { to, scale: scale.clone(), shift: shift.clone() }
            }
            OpKind::Conv(layer) => self.conv(index, layer, to),
            OpKind::Depthwise(layer) => self.depthwise(index, layer, to),
            OpKind::MaxPool(window) => self.max_pool(index, window, to),
            OpKind::GlobalAvgPool => {
                Instruction::GlobalAvgPool { from: self.input_of(index), to, epilogue: self.epilogue(index, None) }
            }
            OpKind::Elementwise { affine } => {
                let scale = affine.as_ref().map(|(scale, _)| padded(scale));
                let epilogue = self.epilogue(index, affine.as_ref().map(|(_, shift)| shift.as_slice()));
                Instruction::Elementwise { from: self.input_of(index), to, scale, epilogue }
            }
            OpKind::Concat => return self.concat(&op.inputs, to),
            OpKind::Reference(reference) => self.reference(index, reference, to),
            OpKind::Flatten => Instruction::Flatten { from: self.input_of(index), to },
        };
        self.instructions.push(instruction);
    }

    /// The output of the first input of operation `index`.
    fn input_of(&self, index: usize) -> BufferView {
        self.activation(self.lowering.ops[index].inputs[0])
    }

    /// The epilogue of an operation: its bias, its addend and its ReLU.
    fn epilogue(&mut self, index: usize, bias: Option<&[f32]>) -> EpilogueSpec {
        let op = &self.lowering.ops[index];
        let dims = op.dims;
        let bias = bias.filter(|b| b.iter().any(|&b| b != 0.0)).map(padded);
        let addend = op.addend.map(|addend| self.activation(addend).buffer);
        let relu = op.relu.map(|relu| {
            let words = self.batch * dims.pixels() * pixel_stride(dims.channels) / LANES;
            let mask = self.new_mask(words);
            self.relu_masks[index] = Some(mask);
            (relu.max, mask)
        });
        EpilogueSpec { bias, addend, relu, gate: None }
    }

    fn conv(&mut self, index: usize, layer: &ConvLayer, to: BufferView) -> Instruction {
        let from = self.input_of(index);
        let epilogue = self.epilogue(index, Some(layer.bias()));
        match layer.winograd_scheme(self.batch, to.size) {
            Some(scheme) => self.winograd(layer.winograd(scheme), from, to, epilogue),
            None => self.gemm(layer, layer.forward(to.size), from, to, epilogue),
        }
    }

    fn depthwise(&mut self, index: usize, layer: &ConvLayer, to: BufferView) -> Instruction {
        let from = self.input_of(index);
        let [conv, _] = layer.depthwise(from.size, to.size);
        let epilogue = self.epilogue(index, Some(layer.bias()));
        Instruction::Depthwise { bands: self.bands(&conv.phases), conv: conv.into(), from, to, epilogue }
    }

    fn max_pool(&mut self, index: usize, window: &Window, to: BufferView) -> Instruction {
        let from = self.input_of(index);
        let phases = geometry::forward(window, to.size);
        let argmax = self.new_mask(self.batch * to.pixels() * to.blocks() * phases[0].taps.len());
        self.saved[index] = argmax;
        let epilogue = self.epilogue(index, None);
        Instruction::MaxPool { bands: self.bands(&phases), phases, from, to, epilogue, argmax }
    }

    fn concat(&mut self, inputs: &[usize], to: BufferView) {
        let mut first = 0;
        for &input in inputs {
            let from = self.activation(input);
            let count = from.channels;
            self.instructions.push(Instruction::CopyChannels { from, to, first: [0, first], count });
            first += count;
        }
    }

    fn reference(&mut self, index: usize, op: &Arc<dyn FrozenOp>, to: BufferView) -> Instruction {
        let saved = self.num_saved;
        self.num_saved += 1;
        self.saved[index] = saved;
        let input = self.lowering.ops[index].inputs[0];
        let shape = [&[self.batch], self.lowering.ops[input].shape.as_slice()].concat();
        Instruction::Reference { op: op.clone(), from: self.activations[input], to, shape, saved }
    }
}
