//! The steps of a network, forwards and backwards, as a list of instructions on shared memory.

mod backward;
mod convolution;
mod forward;
mod instruction;
mod memory;

use std::sync::Arc;

use backward::Gradient;
pub(super) use instruction::{BufferView, EpilogueSpec, Instruction, RowBand};

use super::aligned::Aligned;
use super::lowering::{Dims, Lowering, OpKind};
use super::simd::LANES;

/// Everything that a workspace needs, and what runs in it.
pub(super) struct Program {
    pub forward: Vec<Instruction>,
    pub backward: Vec<Instruction>,
    /// Sizes of the buffers, in numbers.
    pub buffers: Vec<usize>,
    /// Sizes of the masks, in words of sixteen bits.
    pub masks: Vec<usize>,
    /// How many plain operations keep what they read and wrote.
    pub kept: usize,
    /// Numbers of scratch for each thread.
    pub scratch: usize,
    /// Numbers of the input and of the stage's values.
    pub input: usize,
    pub output: usize,
}

struct Compiler<'a> {
    steps: &'a Lowering,
    batch: usize,
    threads: usize,
    /// Sizes of the buffers before any is used twice.
    buffers: Vec<usize>,
    masks: Vec<usize>,
    kept: usize,
    scratch: usize,
    instructions: Vec<Instruction>,
    images: Vec<Option<BufferView>>,
    /// The mask of each step's rectifier.
    clips: Vec<Option<usize>>,
    /// Winners of a max pool, or what a plain operation keeps.
    notes: Vec<usize>,
    gradients: Vec<Gradient>,
}

/// Numbers from pixel to pixel. At distances of a power of two, pixels would compete for the same few places of a cache.
fn pixel_stride(channels: usize) -> usize {
    let step = channels.next_multiple_of(LANES);
    if step.is_multiple_of(512) { step + LANES } else { step }
}

fn padded(values: &[f32]) -> Arc<Aligned> {
    let mut lanes = Aligned::zeros(values.len());
    lanes.values_mut()[..values.len()].copy_from_slice(values);
    lanes.into()
}

impl Program {
    pub fn new(steps: &Lowering, batch: usize, threads: usize) -> Self {
        let count = steps.steps.len();
        let mut compiler = Compiler {
            steps,
            batch,
            threads,
            buffers: vec![],
            masks: vec![],
            kept: 0,
            scratch: 0,
            instructions: vec![],
            images: vec![None; count],
            clips: vec![None; count],
            notes: vec![0; count],
            gradients: vec![Gradient::default(); count],
        };
        for step in &steps.steps {
            step.inputs.iter().chain(&step.addend).for_each(|&input| compiler.gradients[input].open += 1);
        }
        (1..count).for_each(|step| compiler.forward(step));
        let last = compiler.image(count - 1);
        compiler.instructions.push(Instruction::Emit { from: last });
        let forward = compiler.instructions.len();
        compiler.cotangent(count - 1, last);
        (1..count).rev().for_each(|step| compiler.backward(step));
        compiler.finish(forward)
    }
}

impl Compiler<'_> {
    fn dims(&self, step: usize) -> Dims {
        self.steps.steps[step].dims
    }

    fn image(&self, step: usize) -> BufferView {
        self.images[step].expect("steps are compiled in order")
    }

    fn new_image(&mut self, dims: Dims, step: usize) -> BufferView {
        let image = BufferView {
            buffer: self.buffers.len(),
            batch: self.batch,
            channels: dims.channels,
            size: dims.size,
            stride: step,
        };
        // A whole vector may be read behind the last number of a narrow image.
        self.buffers.push(image.len() + LANES);
        image
    }

    fn pixels(&mut self, dims: Dims) -> BufferView {
        self.new_image(dims, pixel_stride(dims.channels))
    }

    fn mask(&mut self, words: usize) -> usize {
        self.masks.push(words);
        self.masks.len() - 1
    }

    /// Whether a step's values are seen by one convolution alone, which can read them without a padding of channels.
    fn is_narrow(&self, step: usize) -> bool {
        let users: Vec<_> =
            self.steps.steps.iter().filter(|s| s.inputs.contains(&step) || s.addend == Some(step)).collect();
        let entries = self.steps.steps.iter().filter(|s| s.inputs.contains(&0)).count();
        let few = self.dims(step).channels <= LANES;
        few && entries == 1 && users.len() == 1 && users[0].inputs == [step] && matches!(users[0].kind, OpKind::Conv(_))
    }
}
