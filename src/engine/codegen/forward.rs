//! Steps to instructions, from the input to the stage.

use super::{Compiler, EpilogueSpec, Instruction, padded, pixel_stride};
use crate::engine::geometry;
use crate::engine::lowering::OpKind;
use crate::engine::simd::LANES;

impl Compiler<'_> {
    fn ends(&mut self, step: usize, bias: Option<&[f32]>) -> EpilogueSpec {
        let at = &self.steps.steps[step];
        let dims = at.dims;
        let bias = bias.filter(|b| b.iter().any(|&b| b != 0.0)).map(padded);
        let addend = at.addend.map(|a| self.image(a).buffer);
        let clip = at.clip.map(|clip| {
            let words = self.batch * dims.pixels() * pixel_stride(dims.channels) / LANES;
            let mask = self.mask(words);
            self.clips[step] = Some(mask);
            (clip.max, mask)
        });
        EpilogueSpec { bias, addend, clip, gate: None }
    }

    pub(super) fn forward(&mut self, step: usize) {
        let at = &self.steps.steps[step];
        let dims = at.dims;
        let to = match at.kind {
            OpKind::Enter { .. } if self.is_narrow(step) => self.new_image(dims, dims.channels),
            _ => self.pixels(dims),
        };
        self.images[step] = Some(to);
        let instruction = match &at.kind {
            OpKind::Input => return,
            OpKind::Enter { scale, shift } => Instruction::Enter { to, scale: scale.clone(), shift: shift.clone() },
            OpKind::Conv(layer) => {
                let from = self.image(at.inputs[0]);
                let ends = self.ends(step, Some(layer.bias()));
                match layer.scheme(self.batch, dims.size) {
                    Some(scheme) => self.winograd(layer.winograd(scheme), from, to, ends),
                    None => self.dense(layer, layer.forward(dims.size), from, to, ends),
                }
            }
            OpKind::Depthwise(layer) => {
                let from = self.image(at.inputs[0]);
                let [conv, _] = layer.depthwise(from.size, dims.size);
                let ends = self.ends(step, Some(layer.bias()));
                Instruction::Depthwise { bands: self.bands(&conv.phases), conv: conv.into(), from, to, ends }
            }
            OpKind::MaxPool(window) => {
                let from = self.image(at.inputs[0]);
                let phases = geometry::forward(window, dims.size);
                let winners = self.mask(self.batch * to.pixels() * to.blocks() * phases[0].taps.len());
                self.notes[step] = winners;
                let ends = self.ends(step, None);
                Instruction::MaxPool { bands: self.bands(&phases), phases, from, to, ends, winners }
            }
            OpKind::Mean => Instruction::Mean { from: self.image(at.inputs[0]), to, ends: self.ends(step, None) },
            OpKind::Elementwise { affine } => {
                let scale = affine.as_ref().map(|(scale, _)| padded(scale));
                let ends = self.ends(step, affine.as_ref().map(|(_, shift)| shift.as_slice()));
                Instruction::Elementwise { from: self.image(at.inputs[0]), to, scale, ends }
            }
            OpKind::Concat => {
                let mut first = 0;
                for &input in &at.inputs {
                    let from = self.image(input);
                    let count = from.channels;
                    self.instructions.push(Instruction::Channels { from, to, first: [0, first], count });
                    first += count;
                }
                return;
            }
            OpKind::Reference(op) => {
                let kept = self.kept;
                self.kept += 1;
                self.notes[step] = kept;
                let input = at.inputs[0];
                let from = self.images[input];
                let shape = [&[self.batch], self.steps.steps[input].shape.as_slice()].concat();
                Instruction::Reference { op: op.clone(), from, to, shape, kept }
            }
            OpKind::Flatten => Instruction::Flatten { from: self.image(at.inputs[0]), to },
        };
        self.instructions.push(instruction);
    }
}
