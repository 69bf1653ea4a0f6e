//! Code generation: lowered operations to instructions on numbered buffers, forward and backward.

mod backward;
mod convolution;
mod forward;
mod instruction;
mod memory;

use std::sync::Arc;

use backward::Gradient;
pub(super) use instruction::{BufferView, EpilogueSpec, Instruction, RowBand};

use super::aligned::AlignedBuffer;
use super::lowering::{Dims, Lowering, OpKind};
use super::simd::LANES;

/// Instructions, and the sizes of the memory that they work in.
pub(super) struct Program {
    pub forward: Vec<Instruction>,
    pub backward: Vec<Instruction>,
    /// Sizes of the buffers, in values.
    pub buffers: Vec<usize>,
    /// Sizes of the masks, in 16-bit words.
    pub masks: Vec<usize>,
    /// The number of reference operations that save their input and output.
    pub num_saved: usize,
    /// Scratch memory of each thread, in values.
    pub scratch: usize,
    /// Values in the network's input.
    pub input: usize,
    /// Values of all taps.
    pub output: usize,
}

/// The state of code generation.
struct Compiler<'a> {
    lowering: &'a Lowering,
    batch: usize,
    threads: usize,
    /// Sizes of the buffers, in values, before memory is shared.
    buffers: Vec<usize>,
    masks: Vec<usize>,
    num_saved: usize,
    scratch: usize,
    instructions: Vec<Instruction>,
    /// The output of each operation.
    activations: Vec<Option<BufferView>>,
    /// The ReLU mask of each operation.
    relu_masks: Vec<Option<usize>>,
    /// The argmax mask of each max pool, and the index of each reference operation's saved tensors.
    saved: Vec<usize>,
    gradients: Vec<Gradient>,
}

/// The distance between pixels, in values. Avoids powers of two, with which pixels compete for few cache sets.
fn pixel_stride(channels: usize) -> usize {
    let stride = channels.next_multiple_of(LANES);
    if stride.is_multiple_of(512) { stride + LANES } else { stride }
}

/// Values of the channels, padded with zeros to the distance between pixels: kernels read all vectors of a pixel.
fn padded(values: &[f32]) -> Arc<AlignedBuffer> {
    let mut lanes = AlignedBuffer::zeros(pixel_stride(values.len()));
    lanes.values_mut()[..values.len()].copy_from_slice(values);
    lanes.into()
}

impl Program {
    pub fn new(lowering: &Lowering, batch: usize, threads: usize) -> Self {
        let count = lowering.ops.len();
        let mut compiler = Compiler {
            lowering,
            batch,
            threads,
            buffers: vec![],
            masks: vec![],
            num_saved: 0,
            scratch: 0,
            instructions: vec![],
            activations: vec![None; count],
            relu_masks: vec![None; count],
            saved: vec![0; count],
            gradients: vec![Gradient::default(); count],
        };
        for op in &lowering.ops {
            op.inputs.iter().chain(&op.addend).for_each(|&input| compiler.gradients[input].pending += 1);
        }
        let taps = compiler.taps();
        taps.iter().for_each(|tap| compiler.gradients[tap.op].pending += 1);
        for index in 1..count {
            compiler.forward(index);
            for tap in taps.iter().filter(|tap| tap.op == index) {
                let from = compiler.activation(index);
                compiler.instructions.push(Instruction::StoreOutput { from, first: tap.first });
            }
        }
        let forward_len = compiler.instructions.len();
        for index in (1..count).rev() {
            taps.iter().filter(|tap| tap.enters_at == index).for_each(|tap| compiler.cotangent(tap));
            compiler.backward(index);
        }
        compiler.into_program(forward_len)
    }
}

/// An operation whose output is stored and whose gradient is loaded.
struct Tap {
    op: usize,
    /// The index of its first value among those of all taps.
    first: usize,
    /// The operation before whose backward pass the gradient is loaded: the last one that reads the output, which then adds its
    /// own contribution without another pass over the values.
    enters_at: usize,
}

impl Compiler<'_> {
    fn taps(&self) -> Vec<Tap> {
        let ops = &self.lowering.ops;
        let mut end = 0;
        let tap = |&op: &usize| {
            let reads = |index: &usize| ops[*index].inputs.contains(&op) || ops[*index].addend == Some(op);
            let first = end;
            end += self.tap_len(op);
            Tap { op, first, enters_at: (1..ops.len()).rev().find(reads).unwrap_or(op) }
        };
        self.lowering.taps.iter().map(tap).collect()
    }

    /// The number of values of an operation's output.
    fn tap_len(&self, op: usize) -> usize {
        let dims = self.dims(op);
        self.batch * dims.channels * dims.pixels()
    }

    fn dims(&self, index: usize) -> Dims {
        self.lowering.ops[index].dims
    }

    fn activation(&self, index: usize) -> BufferView {
        self.activations[index].expect("operations are compiled in order")
    }

    fn new_buffer(&mut self, dims: Dims, stride: usize) -> BufferView {
        let view = BufferView {
            buffer: self.buffers.len(),
            batch: self.batch,
            channels: dims.channels,
            size: dims.size,
            stride,
        };
        // Kernels may read a whole vector past the last value of an unpadded tensor.
        self.buffers.push(view.len() + LANES);
        view
    }

    /// A new buffer with channels padded to whole vectors.
    fn new_activation(&mut self, dims: Dims) -> BufferView {
        self.new_buffer(dims, pixel_stride(dims.channels))
    }

    fn new_mask(&mut self, words: usize) -> usize {
        self.masks.push(words);
        self.masks.len() - 1
    }

    /// Returns whether an operation's output is read by a single convolution, which can read it without channel padding.
    fn has_unpadded_channels(&self, index: usize) -> bool {
        let ops = &self.lowering.ops;
        let users: Vec<_> = ops.iter().filter(|op| op.inputs.contains(&index) || op.addend == Some(index)).collect();
        let loads = ops.iter().filter(|op| op.inputs.contains(&0)).count();
        let few = self.dims(index).channels <= LANES && !self.lowering.taps.contains(&index);
        let [user] = users[..] else { return false };
        // An addend is read with the channel padding of the target.
        let is_read_once = user.inputs == [index] && user.addend != Some(index);
        few && loads == 1 && is_read_once && matches!(user.kind, OpKind::Conv(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_channels_are_as_long_as_a_pixel() {
        for channels in [1, 16, 17, 496, 500, 512, 1024] {
            let lanes = padded(&vec![1.0; channels]);
            assert_eq!(lanes.len(), pixel_stride(channels));
        }
        assert_eq!((pixel_stride(512), pixel_stride(500)), (528, 528));
    }
}
