//! Instructions of a compiled program, and the memory that they refer to.

use std::sync::Arc;

use crate::engine::aligned::AlignedBuffer;
use crate::engine::geometry::Phase;
use crate::engine::kernel::depthwise::Depthwise;
use crate::engine::kernel::gemm::{Gemm, GemmTask};
use crate::engine::kernel::winograd::Winograd;
use crate::engine::simd::LANES;
use crate::ops::{FrozenOp, Window};

/// A batch of images in a buffer, NHWC, with `stride` values from pixel to pixel.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct BufferView {
    pub buffer: usize,
    pub batch: usize,
    pub channels: usize,
    pub size: [usize; 2],
    pub stride: usize,
}

impl BufferView {
    pub fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }

    pub fn blocks(&self) -> usize {
        self.stride / LANES
    }

    pub fn len(&self) -> usize {
        self.batch * self.pixels() * self.stride
    }

    /// The same pixels as one row of one image.
    pub fn flattened(&self) -> Self {
        Self { batch: 1, size: [1, self.batch * self.pixels()], ..*self }
    }
}

/// The epilogue of an instruction, in terms of buffers and masks.
#[derive(Clone, Default)]
pub(in crate::engine) struct EpilogueSpec {
    pub bias: Option<Arc<AlignedBuffer>>,
    /// A buffer with the layout of the target.
    pub addend: Option<usize>,
    /// The ReLU's maximum, and the mask that it writes.
    pub relu: Option<(f32, usize)>,
    /// The ReLU mask that the results are multiplied with.
    pub gate: Option<usize>,
}

/// A range of rows of one image in one phase.
#[derive(Clone, Copy)]
pub(in crate::engine) struct RowBand {
    pub phase: usize,
    pub image: usize,
    pub rows: [usize; 2],
}

/// One step of a program. `from` and `to` are the buffers that it reads and writes.
pub(in crate::engine) enum Instruction {
    /// Converts the network's input to NHWC.
    LoadInput {
        to: BufferView,
        scale: Vec<f32>,
        shift: Vec<f32>,
    },
    Gemm {
        gemm: Arc<Gemm>,
        tasks: Vec<GemmTask>,
        from: BufferView,
        to: BufferView,
        epilogue: EpilogueSpec,
    },
    /// Sums columns into the gradient of the network's input, which has `channels` and `size`.
    Col2im {
        window: Window,
        from: BufferView,
        channels: usize,
        size: [usize; 2],
    },
    /// A Winograd convolution in chunks of `chunk` tiles; `scratch` buffers are used unless each thread has chunks of its own.
    Winograd {
        conv: Arc<Winograd>,
        chunk: usize,
        per_thread: bool,
        from: BufferView,
        to: BufferView,
        epilogue: EpilogueSpec,
        scratch: [usize; 2],
    },
    Depthwise {
        conv: Arc<Depthwise>,
        bands: Vec<RowBand>,
        from: BufferView,
        to: BufferView,
        epilogue: EpilogueSpec,
    },
    MaxPool {
        phases: Vec<Phase>,
        bands: Vec<RowBand>,
        from: BufferView,
        to: BufferView,
        epilogue: EpilogueSpec,
        argmax: usize,
    },
    MaxPoolBackward {
        phases: Vec<Phase>,
        bands: Vec<RowBand>,
        from: BufferView,
        to: BufferView,
        epilogue: EpilogueSpec,
        argmax: usize,
        taps: usize,
    },
    GlobalAvgPool {
        from: BufferView,
        to: BufferView,
        epilogue: EpilogueSpec,
    },
    GlobalAvgPoolBackward {
        from: BufferView,
        to: BufferView,
        epilogue: EpilogueSpec,
    },
    Elementwise {
        from: BufferView,
        to: BufferView,
        scale: Option<Arc<AlignedBuffer>>,
        epilogue: EpilogueSpec,
    },
    /// Copies `count` channels from `from[first[0]..]` to `to[first[1]..]` and zeroes the rest of the target's last block.
    CopyChannels {
        from: BufferView,
        to: BufferView,
        first: [usize; 2],
        count: usize,
    },
    /// Runs an operation on NCHW values and saves its input and output; without `from`, on the network's input.
    Reference {
        op: Arc<dyn FrozenOp>,
        from: Option<BufferView>,
        to: BufferView,
        shape: Vec<usize>,
        saved: usize,
    },
    /// Runs an operation backward; without `to`, adds to the gradient of the network's input.
    ReferenceBackward {
        op: Arc<dyn FrozenOp>,
        from: BufferView,
        to: Option<BufferView>,
        shape: Vec<usize>,
        saved: usize,
    },
    /// Converts an image to a vector in NCHW order.
    Flatten {
        from: BufferView,
        to: BufferView,
    },
    /// Converts a vector in NCHW order to an image.
    Unflatten {
        from: BufferView,
        to: BufferView,
    },
    /// Stores a tap's values, NCHW, from index `first` of the values of all taps on.
    StoreOutput {
        from: BufferView,
        first: usize,
    },
    /// Loads the gradient of a tap's values, which begin at index `first`.
    LoadCotangent {
        to: BufferView,
        first: usize,
    },
    /// Adds to the gradient of the network's input, NCHW, scaling each channel.
    AddToGradient {
        from: BufferView,
        scale: Vec<f32>,
    },
}

impl Instruction {
    /// The buffers that the instruction reads and writes.
    pub(super) fn buffers(&mut self) -> Vec<&mut usize> {
        let mut found = vec![];
        let mut spec = None;
        match self {
            Self::LoadInput { to, .. } | Self::LoadCotangent { to, .. } => found.push(&mut to.buffer),
            Self::StoreOutput { from, .. } | Self::AddToGradient { from, .. } | Self::Col2im { from, .. } => {
                found.push(&mut from.buffer)
            }
            Self::Gemm { from, to, epilogue, .. } => {
                found.extend([&mut from.buffer, &mut to.buffer]);
                spec = Some(epilogue);
            }
            Self::Winograd { from, to, epilogue, scratch, per_thread, .. } => {
                found.extend([&mut from.buffer, &mut to.buffer]);
                if !*per_thread {
                    found.extend(scratch);
                }
                spec = Some(epilogue);
            }
            Self::Depthwise { from, to, epilogue, .. }
            | Self::MaxPool { from, to, epilogue, .. }
            | Self::MaxPoolBackward { from, to, epilogue, .. }
            | Self::GlobalAvgPool { from, to, epilogue }
            | Self::GlobalAvgPoolBackward { from, to, epilogue }
            | Self::Elementwise { from, to, epilogue, .. } => {
                found.extend([&mut from.buffer, &mut to.buffer]);
                spec = Some(epilogue);
            }
            Self::CopyChannels { from, to, .. } | Self::Flatten { from, to } | Self::Unflatten { from, to } => {
                found.extend([&mut from.buffer, &mut to.buffer]);
            }
            Self::Reference { from, to, .. } => {
                found.extend(from.iter_mut().map(|from| &mut from.buffer));
                found.push(&mut to.buffer);
            }
            Self::ReferenceBackward { from, to, .. } => {
                found.push(&mut from.buffer);
                found.extend(to.iter_mut().map(|to| &mut to.buffer));
            }
        }
        found.extend(spec.and_then(|epilogue| epilogue.addend.as_mut()));
        found
    }
}
