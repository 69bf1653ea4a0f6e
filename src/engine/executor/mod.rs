//! Memory for one program, and its run.

mod layout;
mod run;

use std::sync::Arc;

use super::aligned::Aligned;
use super::codegen::{BufferView, EpilogueSpec, Program};
use super::kernel::Epilogue;
use super::kernel::gemm::Pixels;
use super::simd::{Isa, Job};
use super::thread_pool::{ThreadPool, thread_pool};

/// The memory that a program works in; nothing is allocated while it runs.
pub(super) struct Workspace {
    program: Arc<Program>,
    isa: Isa,
    buffers: Vec<Aligned>,
    masks: Vec<Vec<u16>>,
    /// What plain operations read and wrote.
    kept: Vec<(Vec<f32>, Vec<f32>)>,
    scratch: Vec<Aligned>,
    pub input: Vec<f32>,
    pub values: Vec<f32>,
    pub cotangent: Vec<f32>,
    pub gradient: Vec<f32>,
    threads: usize,
}

/// A pointer that tasks share; each writes its own part.
#[derive(Clone, Copy)]
struct Shared(*mut f32);
// SAFETY: tasks of one instruction write disjoint parts, and read what earlier instructions wrote.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

impl Shared {
    fn image(self, like: &BufferView, image: usize) -> Pixels {
        let at = self.0.wrapping_add(image * like.pixels() * like.stride).cast_const();
        Pixels { at, size: like.size, stride: like.stride }
    }
}

/// What a [`Finish`] is made of, for all images of a batch.
#[derive(Clone, Copy)]
struct BatchEpilogue {
    first: Epilogue,
    /// Numbers and masks from image to image.
    pitch: usize,
    mask_pitch: usize,
    /// Pixels from row to row.
    width: usize,
}
// SAFETY: as for `Shared`.
unsafe impl Sync for BatchEpilogue {}

impl BatchEpilogue {
    fn of(&self, image: usize) -> Epilogue {
        let (numbers, masks) = (image * self.pitch, image * self.mask_pitch);
        let f = self.first;
        Epilogue {
            target: f.target.wrapping_add(numbers),
            addend: if f.addend.is_null() { f.addend } else { f.addend.wrapping_add(numbers) },
            passes: if f.passes.is_null() { f.passes } else { f.passes.wrapping_add(masks) },
            gate: if f.gate.is_null() { f.gate } else { f.gate.wrapping_add(masks) },
            ..f
        }
    }
}

/// How many pixels a task of the simple kernels takes.
const CHUNK: usize = 256;

impl Workspace {
    pub fn new(program: Arc<Program>, isa: Isa, threads: usize) -> Self {
        let zeros = |count: usize| vec![0.0; count];
        Self {
            isa,
            buffers: program.buffers.iter().map(|&count| Aligned::zeros(count)).collect(),
            masks: program.masks.iter().map(|&words| vec![0; words]).collect(),
            kept: vec![Default::default(); program.kept],
            scratch: (0..threads).map(|_| Aligned::zeros(program.scratch)).collect(),
            input: zeros(program.input),
            values: zeros(program.output),
            cotangent: zeros(program.output),
            gradient: zeros(program.input),
            threads,
            program,
        }
    }

    pub fn threads(&self) -> usize {
        self.threads
    }

    /// From `input` to `values`.
    pub fn forward(&mut self) {
        let program = self.program.clone();
        program.forward.iter().for_each(|instruction| self.run(instruction));
    }

    /// From `cotangent` to `gradient`, at the point of the last [`Workspace::forward`].
    pub fn backward(&mut self) {
        let program = self.program.clone();
        self.gradient.fill(0.0);
        program.backward.iter().for_each(|instruction| self.run(instruction));
    }

    fn at(&mut self, image: &BufferView) -> Shared {
        Shared(self.buffers[image.buffer].as_mut_ptr())
    }

    fn finishes(&mut self, to: &BufferView, ends: &EpilogueSpec) -> BatchEpilogue {
        let target = self.buffers[to.buffer].as_mut_ptr();
        let first = Epilogue {
            target,
            stride: to.stride,
            bias: ends.bias.as_ref().map_or(std::ptr::null(), |b| b.as_ptr()),
            addend: ends.addend.map_or(std::ptr::null(), |a| self.buffers[a].as_ptr()),
            clip: ends.clip.map(|(ceiling, _)| ceiling),
            passes: ends.clip.map_or(std::ptr::null_mut(), |(_, mask)| self.masks[mask].as_mut_ptr()),
            gate: ends.gate.map_or(std::ptr::null(), |mask| self.masks[mask].as_ptr()),
            mask_stride: to.blocks(),
        };
        let pixels = to.pixels();
        BatchEpilogue { first, pitch: pixels * to.stride, mask_pitch: pixels * to.blocks(), width: to.size[1] }
    }

    /// Runs a job for each task.
    fn each<J: Job>(&self, tasks: usize, job: impl Fn(usize, usize) -> J + Sync) {
        let isa = self.isa;
        // SAFETY: the instruction set was checked when the plan was made; jobs get pointers into buffers that the program
        // made large enough, and no two tasks write the same place.
        ThreadPool::run(thread_pool(), self.threads, tasks, &|thread, task| unsafe { isa.run(job(thread, task)) });
    }

    /// The same for chunks of the pixels of a tensor.
    fn each_chunk<J: Job>(&self, pixels: usize, job: impl Fn([usize; 2]) -> J + Sync) {
        let chunks = pixels.div_ceil(CHUNK);
        self.each(chunks, |_, task| job([task * CHUNK, ((task + 1) * CHUNK).min(pixels)]));
    }
}
