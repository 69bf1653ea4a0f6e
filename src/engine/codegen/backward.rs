//! Steps to instructions, from the stage's gradient to the input's.

use super::{BufferView, Compiler, EpilogueSpec, Instruction, padded, pixel_stride};
use crate::engine::geometry;
use crate::engine::lowering::{Dims, OpKind};

/// The gradient of a step's values, while contributions come in.
#[derive(Clone, Default)]
pub(super) struct Gradient {
    /// Contributions that have not come yet.
    pub open: usize,
    /// The sum of those that have.
    pub sum: Option<usize>,
}

impl Compiler<'_> {
    pub(super) fn cotangent(&mut self, step: usize, like: BufferView) {
        let to = self.pixels(self.dims(step));
        self.instructions.push(Instruction::Cotangent { to });
        self.gradients[step].sum = Some(to.buffer);
        if let Some(mask) = self.clips[step] {
            let gated = self.pixels(self.dims(step));
            let ends = EpilogueSpec { gate: Some(mask), ..EpilogueSpec::default() };
            self.instructions.push(Instruction::Elementwise { from: to, to: gated, scale: None, ends });
            self.gradients[step].sum = Some(gated.buffer);
        }
        debug_assert_eq!(like.stride, to.stride);
    }

    /// Makes room for one more contribution to a step's gradient, which `ends` adds to those before; the last passes the
    /// rectifier's gate.
    fn contribute(&mut self, step: usize) -> (BufferView, EpilogueSpec) {
        let to = self.pixels(self.dims(step));
        let gradient = &mut self.gradients[step];
        gradient.open -= 1;
        let gate = if gradient.open == 0 { self.clips[step] } else { None };
        let ends = EpilogueSpec { addend: gradient.sum.replace(to.buffer), gate, ..EpilogueSpec::default() };
        (to, ends)
    }

    /// Adds a step's own gradient to that of its addend.
    fn contribute_as_it_is(&mut self, step: usize, from: BufferView) {
        let gradient = &mut self.gradients[step];
        if gradient.sum.is_none() && (gradient.open > 1 || self.clips[step].is_none()) {
            gradient.open -= 1;
            gradient.sum = Some(from.buffer);
            return;
        }
        let (to, ends) = self.contribute(step);
        self.instructions.push(Instruction::Elementwise { from, to, scale: None, ends });
    }

    pub(super) fn backward(&mut self, step: usize) {
        let at = &self.steps.steps[step];
        let Some(buffer) = self.gradients[step].sum else { return };
        let from = BufferView { buffer, stride: pixel_stride(at.dims.channels), ..self.image(step) };
        if let Some(addend) = at.addend {
            self.contribute_as_it_is(addend, from);
        }
        let input = at.inputs[0];
        let instruction = match &at.kind {
            OpKind::Input => return,
            OpKind::Enter { scale, .. } => Instruction::Leave { from, scale: scale.clone() },
            OpKind::Conv(layer) => {
                let size = self.dims(input).size;
                let entered = match &self.steps.steps[input].kind {
                    OpKind::Enter { scale, .. } if self.is_narrow(input) => Some(scale),
                    _ => None,
                };
                if let Some(scale) = entered {
                    let columns = layer.columns(scale);
                    let to = self.pixels(Dims { channels: layer.columns_of_a_window(), ..at.dims });
                    let product = self.pointwise(&columns, from, to, EpilogueSpec::default());
                    self.instructions.push(product);
                    let overlap = Instruction::Col2im { window: layer.window, from: to, channels: layer.depth, size };
                    return self.instructions.push(overlap);
                }
                let (to, ends) = self.contribute(input);
                match layer.scheme(self.batch, size) {
                    Some(scheme) => self.winograd(layer.winograd_back(scheme), from, to, ends),
                    None => self.dense(layer, layer.backward(size), from, to, ends),
                }
            }
            OpKind::Depthwise(layer) => {
                let [_, conv] = layer.depthwise(self.dims(input).size, at.dims.size);
                let (to, ends) = self.contribute(input);
                Instruction::Depthwise { bands: self.bands(&conv.phases), conv: conv.into(), from, to, ends }
            }
            OpKind::MaxPool(window) => {
                let phases = geometry::backward(window, self.dims(input).size);
                let (to, ends) = self.contribute(input);
                let (winners, taps) = (self.notes[step], window.kernel[0] * window.kernel[1]);
                Instruction::MaxPoolBack { bands: self.bands(&phases), phases, from, to, ends, winners, taps }
            }
            OpKind::Mean => {
                let (to, ends) = self.contribute(input);
                Instruction::Spread { from, to, ends }
            }
            OpKind::Elementwise { affine } => match affine {
                None => return self.contribute_as_it_is(input, from),
                Some((scale, _)) => {
                    let (to, ends) = self.contribute(input);
                    Instruction::Elementwise { from, to, scale: Some(padded(scale)), ends }
                }
            },
            OpKind::Concat => {
                let mut first = 0;
                for &input in &at.inputs {
                    let part = self.pixels(self.dims(input));
                    let count = part.channels;
                    self.instructions.push(Instruction::Channels { from, to: part, first: [first, 0], count });
                    self.contribute_as_it_is(input, part);
                    first += count;
                }
                return;
            }
            OpKind::Reference(op) => {
                let shape = [&[self.batch], self.steps.steps[input].shape.as_slice()].concat();
                let kept = self.notes[step];
                let to =
                    (!matches!(self.steps.steps[input].kind, OpKind::Input)).then(|| self.pixels(self.dims(input)));
                self.instructions.push(Instruction::ReferenceBack { op: op.clone(), from, to, shape, kept });
                return to.into_iter().for_each(|to| self.contribute_as_it_is(input, to));
            }
            OpKind::Flatten => {
                let to = self.pixels(self.dims(input));
                self.instructions.push(Instruction::Unflatten { from, to });
                return self.contribute_as_it_is(input, to);
            }
        };
        self.instructions.push(instruction);
    }
}
