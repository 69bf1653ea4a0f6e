//! What a workspace is told to do, and on which parts of its memory.

use std::sync::Arc;

use crate::engine::aligned::Aligned;
use crate::engine::geometry::Phase;
use crate::engine::kernel::depthwise::Depthwise;
use crate::engine::kernel::gemm::{Gemm, Piece};
use crate::engine::kernel::winograd::Winograd;
use crate::engine::simd::LANES;
use crate::ops::{FrozenOp, Window};

/// A tensor in memory: images behind each other, channels side by side, `step` numbers from pixel to pixel.
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

    /// All pixels of all images as one row.
    pub fn in_a_row(&self) -> Self {
        Self { batch: 1, size: [1, self.batch * self.pixels()], ..*self }
    }
}

/// What is done to results on their way to memory.
#[derive(Clone, Default)]
pub(in crate::engine) struct EpilogueSpec {
    pub bias: Option<Arc<Aligned>>,
    /// A buffer laid out as the target.
    pub addend: Option<usize>,
    /// The ceiling, and where the mask goes.
    pub clip: Option<(f32, usize)>,
    pub gate: Option<usize>,
}

/// Rows of one image in one phase.
#[derive(Clone, Copy)]
pub(in crate::engine) struct RowBand {
    pub phase: usize,
    pub image: usize,
    pub rows: [usize; 2],
}

pub(in crate::engine) enum Instruction {
    /// Planes of the network's input to channels side by side.
    Enter {
        to: BufferView,
        scale: Vec<f32>,
        shift: Vec<f32>,
    },
    Gemm {
        dense: Arc<Gemm>,
        pieces: Vec<Piece>,
        from: BufferView,
        to: BufferView,
        ends: EpilogueSpec,
    },
    /// The gradient of the network's input, of `channels` and `size`, from what each window gives to each of its taps.
    Col2im {
        window: Window,
        from: BufferView,
        channels: usize,
        size: [usize; 2],
    },
    /// In chunks of so many tiles, each by one thread alone, or all threads together in the `room`.
    Winograd {
        conv: Arc<Winograd>,
        chunk: usize,
        alone: bool,
        from: BufferView,
        to: BufferView,
        ends: EpilogueSpec,
        room: [usize; 2],
    },
    Depthwise {
        conv: Arc<Depthwise>,
        bands: Vec<RowBand>,
        from: BufferView,
        to: BufferView,
        ends: EpilogueSpec,
    },
    MaxPool {
        phases: Vec<Phase>,
        bands: Vec<RowBand>,
        from: BufferView,
        to: BufferView,
        ends: EpilogueSpec,
        winners: usize,
    },
    MaxPoolBack {
        phases: Vec<Phase>,
        bands: Vec<RowBand>,
        from: BufferView,
        to: BufferView,
        ends: EpilogueSpec,
        winners: usize,
        taps: usize,
    },
    Mean {
        from: BufferView,
        to: BufferView,
        ends: EpilogueSpec,
    },
    Spread {
        from: BufferView,
        to: BufferView,
        ends: EpilogueSpec,
    },
    Elementwise {
        from: BufferView,
        to: BufferView,
        scale: Option<Arc<Aligned>>,
        ends: EpilogueSpec,
    },
    /// Copies channels: `from[first.0..]` to `to[first.1..]`, this many; what is left of the target's last block becomes 0.
    Channels {
        from: BufferView,
        to: BufferView,
        first: [usize; 2],
        count: usize,
    },
    /// An operation on planes; what it reads and writes is kept for its backward.
    Reference {
        op: Arc<dyn FrozenOp>,
        from: Option<BufferView>,
        to: BufferView,
        shape: Vec<usize>,
        kept: usize,
    },
    /// The gradient goes to `to`, or, without one, to the network's input.
    ReferenceBack {
        op: Arc<dyn FrozenOp>,
        from: BufferView,
        to: Option<BufferView>,
        shape: Vec<usize>,
        kept: usize,
    },
    /// Planes of a vector in reading order, and back.
    Flatten {
        from: BufferView,
        to: BufferView,
    },
    Unflatten {
        from: BufferView,
        to: BufferView,
    },
    /// The stage's values, in planes.
    Emit {
        from: BufferView,
    },
    /// The gradient of the stage's values.
    Cotangent {
        to: BufferView,
    },
    /// The gradient of the network's input, added to what is there.
    Leave {
        from: BufferView,
        scale: Vec<f32>,
    },
}

impl Instruction {
    /// The buffers that it reads and writes.
    pub(super) fn buffers(&mut self) -> Vec<&mut usize> {
        let mut found = vec![];
        let mut ends_of = None;
        match self {
            Self::Enter { to, .. } | Self::Cotangent { to } => found.push(&mut to.buffer),
            Self::Emit { from } | Self::Leave { from, .. } | Self::Col2im { from, .. } => found.push(&mut from.buffer),
            Self::Gemm { from, to, ends, .. } => {
                found.extend([&mut from.buffer, &mut to.buffer]);
                ends_of = Some(ends);
            }
            Self::Winograd { from, to, ends, room, alone, .. } => {
                found.extend([&mut from.buffer, &mut to.buffer]);
                if !*alone {
                    found.extend(room);
                }
                ends_of = Some(ends);
            }
            Self::Depthwise { from, to, ends, .. }
            | Self::MaxPool { from, to, ends, .. }
            | Self::MaxPoolBack { from, to, ends, .. }
            | Self::Mean { from, to, ends }
            | Self::Spread { from, to, ends }
            | Self::Elementwise { from, to, ends, .. } => {
                found.extend([&mut from.buffer, &mut to.buffer]);
                ends_of = Some(ends);
            }
            Self::Channels { from, to, .. } | Self::Flatten { from, to } | Self::Unflatten { from, to } => {
                found.extend([&mut from.buffer, &mut to.buffer]);
            }
            Self::Reference { from, to, .. } => {
                found.extend(from.iter_mut().map(|from| &mut from.buffer));
                found.push(&mut to.buffer);
            }
            Self::ReferenceBack { from, to, .. } => {
                found.push(&mut from.buffer);
                found.extend(to.iter_mut().map(|to| &mut to.buffer));
            }
        }
        found.extend(ends_of.and_then(|ends| ends.addend.as_mut()));
        found
    }
}
