//! Execution of a compiled program in preallocated memory.

mod convolution;
mod dispatch;
mod elementwise;
mod layout;
mod pool;
mod reference;

use std::sync::Arc;

use super::aligned::AlignedBuffer;
use super::codegen::{BufferView, EpilogueSpec, Program};
use super::kernel::Epilogue;
use super::kernel::gemm::Pixels;
use super::simd::{Isa, Job};
use crate::parallel::thread_pool;

/// Runs a program. Its buffers, masks and scratch memory are allocated once.
pub(super) struct Executor {
    program: Arc<Program>,
    isa: Isa,
    buffers: Vec<AlignedBuffer>,
    masks: Vec<Vec<u16>>,
    /// Inputs and outputs of reference operations, saved for their backward pass.
    saved: Vec<(Vec<f32>, Vec<f32>)>,
    /// Scratch memory of each thread.
    scratch: Vec<AlignedBuffer>,
    pub input: Vec<f32>,
    pub values: Vec<f32>,
    pub cotangent: Vec<f32>,
    pub gradient: Vec<f32>,
    threads: usize,
}

/// A pointer that tasks share; each task writes a disjoint part.
#[derive(Clone, Copy)]
struct SharedPtr<T>(*mut T);
// SAFETY: tasks of one instruction write disjoint parts and read only what earlier instructions wrote.
unsafe impl<T> Sync for SharedPtr<T> {}
// SAFETY: see `Sync`; the pointer carries no thread affinity.
unsafe impl<T> Send for SharedPtr<T> {}

impl<T> SharedPtr<T> {
    /// The pointer. A method, so that closures capture the whole wrapper, which is `Sync`.
    fn get(self) -> *mut T {
        self.0
    }

    /// The pointer, `offset` elements further on.
    fn wrapping_add(self, offset: usize) -> *mut T {
        self.0.wrapping_add(offset)
    }
}

impl SharedPtr<f32> {
    /// The pixels of one image of a batch laid out as `view`.
    fn image(self, view: &BufferView, image: usize) -> Pixels {
        let at = self.0.wrapping_add(image * view.pixels() * view.stride).cast_const();
        Pixels { at, size: view.size, stride: view.stride }
    }
}

/// The [`Epilogue`] of every image in a batch.
#[derive(Clone, Copy)]
struct BatchEpilogue {
    first: Epilogue,
    /// The distance between images, in values.
    image_stride: usize,
    /// The distance between images, in mask words.
    image_mask_stride: usize,
    /// Pixels in a row.
    width: usize,
}
// SAFETY: tasks write disjoint pixels of the target and of the masks.
unsafe impl Sync for BatchEpilogue {}

impl BatchEpilogue {
    fn for_image(&self, image: usize) -> Epilogue {
        let (values, masks) = (image * self.image_stride, image * self.image_mask_stride);
        let f = self.first;
        Epilogue {
            target: f.target.wrapping_add(values),
            addend: if f.addend.is_null() { f.addend } else { f.addend.wrapping_add(values) },
            relu_mask: if f.relu_mask.is_null() { f.relu_mask } else { f.relu_mask.wrapping_add(masks) },
            gate: if f.gate.is_null() { f.gate } else { f.gate.wrapping_add(masks) },
            ..f
        }
    }
}

/// Pixels in one task of the elementwise kernels.
const CHUNK: usize = 256;

impl Executor {
    pub fn new(program: Arc<Program>, isa: Isa, threads: usize) -> Self {
        let zeros = |count: usize| vec![0.0; count];
        Self {
            isa,
            buffers: program.buffers.iter().map(|&count| AlignedBuffer::zeros(count)).collect(),
            masks: program.masks.iter().map(|&words| vec![0; words]).collect(),
            saved: vec![Default::default(); program.num_saved],
            scratch: (0..threads).map(|_| AlignedBuffer::zeros(program.scratch)).collect(),
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

    /// Computes `values` from `input`.
    pub fn forward(&mut self) {
        let program = self.program.clone();
        program.forward.iter().for_each(|instruction| self.run(instruction));
    }

    /// Computes `gradient` from `cotangent`, at the input of the last [`Executor::forward`].
    pub fn backward(&mut self) {
        let program = self.program.clone();
        self.gradient.fill(0.0);
        program.backward.iter().for_each(|instruction| self.run(instruction));
    }

    fn ptr(&mut self, view: &BufferView) -> SharedPtr<f32> {
        SharedPtr(self.buffers[view.buffer].as_mut_ptr())
    }

    fn mask_ptr(&mut self, mask: usize) -> SharedPtr<u16> {
        SharedPtr(self.masks[mask].as_mut_ptr())
    }

    fn scratch_ptrs(&mut self) -> Vec<SharedPtr<f32>> {
        self.scratch.iter_mut().map(|scratch| SharedPtr(scratch.as_mut_ptr())).collect()
    }

    fn batch_epilogue(&mut self, to: &BufferView, spec: &EpilogueSpec) -> BatchEpilogue {
        let target = self.buffers[to.buffer].as_mut_ptr();
        let first = Epilogue {
            target,
            stride: to.stride,
            bias: spec.bias.as_ref().map_or(std::ptr::null(), |b| b.as_ptr()),
            addend: spec.addend.map_or(std::ptr::null(), |a| self.buffers[a].as_ptr()),
            relu: spec.relu.map(|(max, _)| max),
            relu_mask: spec.relu.map_or(std::ptr::null_mut(), |(_, mask)| self.masks[mask].as_mut_ptr()),
            gate: spec.gate.map_or(std::ptr::null(), |mask| self.masks[mask].as_ptr()),
            mask_stride: to.blocks(),
        };
        let pixels = to.pixels();
        BatchEpilogue {
            first,
            image_stride: pixels * to.stride,
            image_mask_stride: pixels * to.blocks(),
            width: to.size[1],
        }
    }

    /// Runs `job(thread, task)` for each task on the thread pool.
    fn parallel<J: Job>(&self, tasks: usize, job: impl Fn(usize, usize) -> J + Sync) {
        let isa = self.isa;
        thread_pool().run(self.threads, tasks, &|thread, task| {
            // SAFETY: `Compiled::with_isa` checked the instruction set; jobs point into buffers that the program made
            // large enough, and no two tasks write to the same place.
            unsafe { isa.run(job(thread, task)) }
        });
    }

    /// Runs `job([first, end])` for chunks of a tensor's pixels on the thread pool.
    fn parallel_chunks<J: Job>(&self, pixels: usize, job: impl Fn([usize; 2]) -> J + Sync) {
        let chunks = pixels.div_ceil(CHUNK);
        self.parallel(chunks, |_, task| job([task * CHUNK, ((task + 1) * CHUNK).min(pixels)]));
    }
}
