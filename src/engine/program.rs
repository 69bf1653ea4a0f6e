//! The steps of a network, forwards and backwards, as a list of instructions on shared memory.

use std::sync::Arc;

use super::aligned::Aligned;
use super::geometry;
use super::geometry::Phase;
use super::kernel::dense::{Dense, Piece, scratch};
use super::kernel::depthwise::Depthwise;
use super::kernel::winograd::{Tiles, Winograd};
use super::simd::LANES;
use super::steps::{DenseLayer, Dims, Kind, Steps};
use crate::ops::{FrozenOp, Window};

/// A tensor in memory: images behind each other, channels side by side, `step` numbers from pixel to pixel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image {
    pub buffer: usize,
    pub batch: usize,
    pub channels: usize,
    pub size: [usize; 2],
    pub step: usize,
}

impl Image {
    pub fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }

    pub fn blocks(&self) -> usize {
        self.step / LANES
    }

    pub fn len(&self) -> usize {
        self.batch * self.pixels() * self.step
    }

    /// All pixels of all images as one row.
    pub fn in_a_row(&self) -> Self {
        Self { batch: 1, size: [1, self.batch * self.pixels()], ..*self }
    }
}

/// What is done to results on their way to memory.
#[derive(Clone, Default)]
pub(super) struct Ends {
    pub bias: Option<Arc<Aligned>>,
    /// A buffer laid out as the target.
    pub addend: Option<usize>,
    /// The ceiling, and where the mask goes.
    pub clip: Option<(f32, usize)>,
    pub gate: Option<usize>,
}

/// Rows of one image in one phase.
#[derive(Clone, Copy)]
pub(super) struct Band {
    pub phase: usize,
    pub image: usize,
    pub rows: [usize; 2],
}

pub(super) enum Instruction {
    /// Planes of the network's input to channels side by side.
    Enter {
        to: Image,
        scale: Vec<f32>,
        shift: Vec<f32>,
    },
    Dense {
        dense: Arc<Dense>,
        pieces: Vec<Piece>,
        from: Image,
        to: Image,
        ends: Ends,
    },
    /// The gradient of the network's input, of `channels` and `size`, from what each window gives to each of its taps.
    Overlap {
        window: Window,
        from: Image,
        channels: usize,
        size: [usize; 2],
    },
    /// In chunks of so many tiles, each by one thread alone, or all threads together in the `room`.
    Winograd {
        conv: Arc<Winograd>,
        chunk: usize,
        alone: bool,
        from: Image,
        to: Image,
        ends: Ends,
        room: [usize; 2],
    },
    Depthwise {
        conv: Arc<Depthwise>,
        bands: Vec<Band>,
        from: Image,
        to: Image,
        ends: Ends,
    },
    MaxPool {
        phases: Vec<Phase>,
        bands: Vec<Band>,
        from: Image,
        to: Image,
        ends: Ends,
        winners: usize,
    },
    MaxPoolBack {
        phases: Vec<Phase>,
        bands: Vec<Band>,
        from: Image,
        to: Image,
        ends: Ends,
        winners: usize,
        taps: usize,
    },
    Mean {
        from: Image,
        to: Image,
        ends: Ends,
    },
    Spread {
        from: Image,
        to: Image,
        ends: Ends,
    },
    Elementwise {
        from: Image,
        to: Image,
        scale: Option<Arc<Aligned>>,
        ends: Ends,
    },
    /// Copies channels: `from[first.0..]` to `to[first.1..]`, this many; what is left of the target's last block becomes 0.
    Channels {
        from: Image,
        to: Image,
        first: [usize; 2],
        count: usize,
    },
    /// An operation on planes; what it reads and writes is kept for its backward.
    Plain {
        op: Arc<dyn FrozenOp>,
        from: Option<Image>,
        to: Image,
        shape: Vec<usize>,
        kept: usize,
    },
    /// The gradient goes to `to`, or, without one, to the network's input.
    PlainBack {
        op: Arc<dyn FrozenOp>,
        from: Image,
        to: Option<Image>,
        shape: Vec<usize>,
        kept: usize,
    },
    /// Planes of a vector in reading order, and back.
    Flatten {
        from: Image,
        to: Image,
    },
    Unflatten {
        from: Image,
        to: Image,
    },
    /// The stage's values, in planes.
    Emit {
        from: Image,
    },
    /// The gradient of the stage's values.
    Cotangent {
        to: Image,
    },
    /// The gradient of the network's input, added to what is there.
    Leave {
        from: Image,
        scale: Vec<f32>,
    },
}

impl Instruction {
    fn buffers(&mut self) -> Vec<&mut usize> {
        let mut found = vec![];
        let mut ends_of = None;
        match self {
            Self::Enter { to, .. } | Self::Cotangent { to } => found.push(&mut to.buffer),
            Self::Emit { from } | Self::Leave { from, .. } | Self::Overlap { from, .. } => found.push(&mut from.buffer),
            Self::Dense { from, to, ends, .. } => {
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
            Self::Plain { from, to, .. } => {
                found.extend(from.iter_mut().map(|from| &mut from.buffer));
                found.push(&mut to.buffer);
            }
            Self::PlainBack { from, to, .. } => {
                found.push(&mut from.buffer);
                found.extend(to.iter_mut().map(|to| &mut to.buffer));
            }
        }
        found.extend(ends_of.and_then(|ends| ends.addend.as_mut()));
        found
    }
}

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

/// The gradient of a step's values, while contributions come in.
#[derive(Clone, Default)]
struct Gradient {
    /// Contributions that have not come yet.
    open: usize,
    /// The sum of those that have.
    sum: Option<usize>,
}

struct Compiler<'a> {
    steps: &'a Steps,
    batch: usize,
    threads: usize,
    /// Sizes of the buffers before any is used twice.
    buffers: Vec<usize>,
    masks: Vec<usize>,
    kept: usize,
    scratch: usize,
    instructions: Vec<Instruction>,
    images: Vec<Option<Image>>,
    /// The mask of each step's rectifier.
    clips: Vec<Option<usize>>,
    /// Winners of a max pool, or what a plain operation keeps.
    notes: Vec<usize>,
    gradients: Vec<Gradient>,
}

/// Numbers from pixel to pixel. At distances of a power of two, pixels would compete for the same few places of a cache.
fn pixel_step(channels: usize) -> usize {
    let step = channels.next_multiple_of(LANES);
    if step.is_multiple_of(512) { step + LANES } else { step }
}

fn padded(values: &[f32]) -> Arc<Aligned> {
    let mut lanes = Aligned::zeros(values.len());
    lanes.values_mut()[..values.len()].copy_from_slice(values);
    lanes.into()
}

/// Cuts `count` into `parts` nearly equal parts, fewer when there is less.
fn cut(count: usize, parts: usize) -> impl Iterator<Item = [usize; 2]> {
    let parts = parts.clamp(1, count.max(1));
    (0..parts).map(move |i| [i * count / parts, (i + 1) * count / parts])
}

impl Program {
    pub fn new(steps: &Steps, batch: usize, threads: usize) -> Self {
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

    fn image(&self, step: usize) -> Image {
        self.images[step].expect("steps are compiled in order")
    }

    fn new_image(&mut self, dims: Dims, step: usize) -> Image {
        let image =
            Image { buffer: self.buffers.len(), batch: self.batch, channels: dims.channels, size: dims.size, step };
        // A whole vector may be read behind the last number of a narrow image.
        self.buffers.push(image.len() + LANES);
        image
    }

    fn pixels(&mut self, dims: Dims) -> Image {
        self.new_image(dims, pixel_step(dims.channels))
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
        few && entries == 1 && users.len() == 1 && users[0].inputs == [step] && matches!(users[0].kind, Kind::Dense(_))
    }

    fn bands(&self, phases: &[Phase]) -> Vec<Band> {
        let mut bands = vec![];
        for image in 0..self.batch {
            for (phase, p) in phases.iter().enumerate() {
                bands.extend(cut(p.count[0], 4 * self.threads).map(|rows| Band { phase, image, rows }));
            }
        }
        // Neighbours in memory belong to one thread.
        bands.sort_by_key(|band| (band.image, band.rows[0] * phases[band.phase].writes[0]));
        bands
    }

    /// Cuts a convolution for several threads and for the caches.
    fn pieces(&mut self, dense: &Dense, from: Image) -> Vec<Piece> {
        let mut pieces = vec![];
        for (part, p) in dense.parts.iter().enumerate() {
            let phase = &p.phase;
            let taps = phase.taps.len().max(1);
            let weights = taps * dense.depth * dense.blocks * LANES;
            let pixels = phase.count[0] * phase.count[1];
            // Few pixels and many weights: each thread takes some outputs of all pixels, else some pixels of all outputs.
            let by_blocks = weights > 2 * from.pixels() * dense.depth && dense.blocks >= 4 * self.threads;
            let block_parts = if by_blocks { 4 * self.threads } else { 1 };
            let (mut rows, mut columns) = (1, 1);
            if phase.count[0] == 1 {
                let cache = (pixels * dense.depth).div_ceil(1 << 15);
                columns = if by_blocks {
                    cache
                } else {
                    cache.max(4 * self.threads).min(pixels.div_ceil(28).max(self.threads))
                };
                columns = columns.next_multiple_of(self.threads).min(pixels);
            } else {
                let row = from.size[1] * from.step * phase.reads[0];
                let cache = (phase.count[0] * row).div_ceil(1 << 16);
                rows = if by_blocks { cache } else { cache.max(2 * self.threads) };
            }
            // The images of a batch follow each other with the same weights.
            for blocks in cut(dense.blocks, block_parts) {
                for image in 0..from.batch {
                    for rows in cut(phase.count[0], rows) {
                        self.scratch = self.scratch.max(scratch(phase, rows[1] - rows[0], from.size, from.step));
                        for columns in cut(phase.count[1], columns) {
                            pieces.push(Piece { part, image, rows, columns, blocks });
                        }
                    }
                }
            }
        }
        pieces
    }

    fn ends(&mut self, step: usize, bias: Option<&[f32]>) -> Ends {
        let at = &self.steps.steps[step];
        let dims = at.dims;
        let bias = bias.filter(|b| b.iter().any(|&b| b != 0.0)).map(padded);
        let addend = at.addend.map(|a| self.image(a).buffer);
        let clip = at.clip.map(|clip| {
            let words = self.batch * dims.pixels() * pixel_step(dims.channels) / LANES;
            let mask = self.mask(words);
            self.clips[step] = Some(mask);
            (clip.ceiling, mask)
        });
        Ends { bias, addend, clip, gate: None }
    }

    fn forward(&mut self, step: usize) {
        let at = &self.steps.steps[step];
        let dims = at.dims;
        let to = match at.kind {
            Kind::Enter { .. } if self.is_narrow(step) => self.new_image(dims, dims.channels),
            _ => self.pixels(dims),
        };
        self.images[step] = Some(to);
        let instruction = match &at.kind {
            Kind::Input => return,
            Kind::Enter { scale, shift } => Instruction::Enter { to, scale: scale.clone(), shift: shift.clone() },
            Kind::Dense(layer) => {
                let from = self.image(at.inputs[0]);
                let ends = self.ends(step, Some(layer.bias()));
                match layer.scheme(self.batch, dims.size) {
                    Some(scheme) => self.winograd(layer.winograd(scheme), from, to, ends),
                    None => self.dense(layer, layer.forward(dims.size), from, to, ends),
                }
            }
            Kind::Depthwise(layer) => {
                let from = self.image(at.inputs[0]);
                let [conv, _] = layer.depthwise(from.size, dims.size);
                let ends = self.ends(step, Some(layer.bias()));
                Instruction::Depthwise { bands: self.bands(&conv.phases), conv: conv.into(), from, to, ends }
            }
            Kind::MaxPool(window) => {
                let from = self.image(at.inputs[0]);
                let phases = geometry::forward(window, dims.size);
                let winners = self.mask(self.batch * to.pixels() * to.blocks() * phases[0].taps.len());
                self.notes[step] = winners;
                let ends = self.ends(step, None);
                Instruction::MaxPool { bands: self.bands(&phases), phases, from, to, ends, winners }
            }
            Kind::Mean => Instruction::Mean { from: self.image(at.inputs[0]), to, ends: self.ends(step, None) },
            Kind::Elementwise { affine } => {
                let scale = affine.as_ref().map(|(scale, _)| padded(scale));
                let ends = self.ends(step, affine.as_ref().map(|(_, shift)| shift.as_slice()));
                Instruction::Elementwise { from: self.image(at.inputs[0]), to, scale, ends }
            }
            Kind::Concat => {
                let mut first = 0;
                for &input in &at.inputs {
                    let from = self.image(input);
                    let count = from.channels;
                    self.instructions.push(Instruction::Channels { from, to, first: [0, first], count });
                    first += count;
                }
                return;
            }
            Kind::Plain(op) => {
                let kept = self.kept;
                self.kept += 1;
                self.notes[step] = kept;
                let input = at.inputs[0];
                let from = self.images[input];
                let shape = [&[self.batch], self.steps.steps[input].shape.as_slice()].concat();
                Instruction::Plain { op: op.clone(), from, to, shape, kept }
            }
            Kind::Flatten => Instruction::Flatten { from: self.image(at.inputs[0]), to },
        };
        self.instructions.push(instruction);
    }

    /// A convolution in either direction; single pixels are taken as one row, whatever the image's shape.
    fn dense(&mut self, layer: &DenseLayer, dense: Arc<Dense>, from: Image, to: Image, ends: Ends) -> Instruction {
        match layer.is_pointwise() {
            true => self.pointwise(&dense, from, to, ends),
            false => {
                let pieces = self.pieces(&dense, from);
                Instruction::Dense { dense, pieces, from, to, ends }
            }
        }
    }

    fn pointwise(&mut self, dense: &Dense, from: Image, to: Image, ends: Ends) -> Instruction {
        let (dense, from, to) = (Arc::new(dense.in_a_row(to.batch * to.pixels())), from.in_a_row(), to.in_a_row());
        let pieces = self.pieces(&dense, from);
        Instruction::Dense { dense, pieces, from, to, ends }
    }

    fn winograd(&mut self, conv: Arc<Winograd>, from: Image, to: Image, ends: Ends) -> Instruction {
        let tiles = Tiles::of(conv.scheme, self.batch, to.size).count;
        // Weights that fit in a core's own cache beside some tiles: each thread goes its own way. Else the threads share the
        // reading of the weights, for as many tiles as the common cache holds.
        let alone = conv.scheme.points() * conv.depth * conv.blocks * LANES <= 36 * 64 * 64;
        let wide = conv.depth.max(conv.blocks * LANES);
        let most = if alone { 14 } else { (900_000 / conv.scheme.points() / wide).max(32) };
        let chunk = tiles.div_ceil(tiles.div_ceil(most));
        let [inputs, outputs] = conv.room(chunk);
        let room = [self.buffers.len(), self.buffers.len() + 1];
        if alone {
            self.scratch = self.scratch.max(inputs + outputs);
        } else {
            self.buffers.extend([inputs, outputs]);
        }
        Instruction::Winograd { conv, chunk, alone, from, to, ends, room }
    }

    fn cotangent(&mut self, step: usize, like: Image) {
        let to = self.pixels(self.dims(step));
        self.instructions.push(Instruction::Cotangent { to });
        self.gradients[step].sum = Some(to.buffer);
        if let Some(mask) = self.clips[step] {
            let gated = self.pixels(self.dims(step));
            let ends = Ends { gate: Some(mask), ..Ends::default() };
            self.instructions.push(Instruction::Elementwise { from: to, to: gated, scale: None, ends });
            self.gradients[step].sum = Some(gated.buffer);
        }
        debug_assert_eq!(like.step, to.step);
    }

    /// Makes room for one more contribution to a step's gradient, which `ends` adds to those before; the last passes the
    /// rectifier's gate.
    fn contribute(&mut self, step: usize) -> (Image, Ends) {
        let to = self.pixels(self.dims(step));
        let gradient = &mut self.gradients[step];
        gradient.open -= 1;
        let gate = if gradient.open == 0 { self.clips[step] } else { None };
        let ends = Ends { addend: gradient.sum.replace(to.buffer), gate, ..Ends::default() };
        (to, ends)
    }

    /// Adds a step's own gradient to that of its addend.
    fn contribute_as_it_is(&mut self, step: usize, from: Image) {
        let gradient = &mut self.gradients[step];
        if gradient.sum.is_none() && (gradient.open > 1 || self.clips[step].is_none()) {
            gradient.open -= 1;
            gradient.sum = Some(from.buffer);
            return;
        }
        let (to, ends) = self.contribute(step);
        self.instructions.push(Instruction::Elementwise { from, to, scale: None, ends });
    }

    fn backward(&mut self, step: usize) {
        let at = &self.steps.steps[step];
        let Some(buffer) = self.gradients[step].sum else { return };
        let from = Image { buffer, step: pixel_step(at.dims.channels), ..self.image(step) };
        if let Some(addend) = at.addend {
            self.contribute_as_it_is(addend, from);
        }
        let input = at.inputs[0];
        let instruction = match &at.kind {
            Kind::Input => return,
            Kind::Enter { scale, .. } => Instruction::Leave { from, scale: scale.clone() },
            Kind::Dense(layer) => {
                let size = self.dims(input).size;
                let entered = match &self.steps.steps[input].kind {
                    Kind::Enter { scale, .. } if self.is_narrow(input) => Some(scale),
                    _ => None,
                };
                if let Some(scale) = entered {
                    let columns = layer.columns(scale);
                    let to = self.pixels(Dims { channels: layer.columns_of_a_window(), ..at.dims });
                    let product = self.pointwise(&columns, from, to, Ends::default());
                    self.instructions.push(product);
                    let overlap = Instruction::Overlap { window: layer.window, from: to, channels: layer.depth, size };
                    return self.instructions.push(overlap);
                }
                let (to, ends) = self.contribute(input);
                match layer.scheme(self.batch, size) {
                    Some(scheme) => self.winograd(layer.winograd_back(scheme), from, to, ends),
                    None => self.dense(layer, layer.backward(size), from, to, ends),
                }
            }
            Kind::Depthwise(layer) => {
                let [_, conv] = layer.depthwise(self.dims(input).size, at.dims.size);
                let (to, ends) = self.contribute(input);
                Instruction::Depthwise { bands: self.bands(&conv.phases), conv: conv.into(), from, to, ends }
            }
            Kind::MaxPool(window) => {
                let phases = geometry::backward(window, self.dims(input).size);
                let (to, ends) = self.contribute(input);
                let (winners, taps) = (self.notes[step], window.kernel[0] * window.kernel[1]);
                Instruction::MaxPoolBack { bands: self.bands(&phases), phases, from, to, ends, winners, taps }
            }
            Kind::Mean => {
                let (to, ends) = self.contribute(input);
                Instruction::Spread { from, to, ends }
            }
            Kind::Elementwise { affine } => match affine {
                None => return self.contribute_as_it_is(input, from),
                Some((scale, _)) => {
                    let (to, ends) = self.contribute(input);
                    Instruction::Elementwise { from, to, scale: Some(padded(scale)), ends }
                }
            },
            Kind::Concat => {
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
            Kind::Plain(op) => {
                let shape = [&[self.batch], self.steps.steps[input].shape.as_slice()].concat();
                let kept = self.notes[step];
                let to = (!matches!(self.steps.steps[input].kind, Kind::Input)).then(|| self.pixels(self.dims(input)));
                self.instructions.push(Instruction::PlainBack { op: op.clone(), from, to, shape, kept });
                return to.into_iter().for_each(|to| self.contribute_as_it_is(input, to));
            }
            Kind::Flatten => {
                let to = self.pixels(self.dims(input));
                self.instructions.push(Instruction::Unflatten { from, to });
                return self.contribute_as_it_is(input, to);
            }
        };
        self.instructions.push(instruction);
    }

    /// Gives buffers that are needed at different times the same memory, the one used last first: it is still in the cache.
    fn finish(mut self, forward: usize) -> Program {
        let mut last = vec![0; self.buffers.len()];
        for (time, instruction) in self.instructions.iter_mut().enumerate() {
            instruction.buffers().into_iter().for_each(|b| last[*b] = time);
        }
        let mut places: Vec<Option<usize>> = vec![None; self.buffers.len()];
        let (mut sizes, mut free): (Vec<usize>, Vec<usize>) = (vec![], vec![]);
        for (time, instruction) in self.instructions.iter_mut().enumerate() {
            let mut ended = vec![];
            for buffer in instruction.buffers() {
                let needs = self.buffers[*buffer];
                let place = *places[*buffer].get_or_insert_with(|| {
                    let fits = free.iter().rposition(|&place| sizes[place] >= needs);
                    match fits.or_else(|| free.len().checked_sub(1)) {
                        Some(at) => free.remove(at),
                        None => {
                            sizes.push(0);
                            sizes.len() - 1
                        }
                    }
                });
                sizes[place] = sizes[place].max(needs);
                if last[*buffer] == time && !ended.contains(&place) {
                    ended.push(place);
                }
                *buffer = place;
            }
            free.extend(ended);
        }
        let backward = self.instructions.split_off(forward);
        let first = &self.steps.steps[0].dims;
        let output = self.dims(self.steps.steps.len() - 1);
        Program {
            forward: self.instructions,
            backward,
            buffers: sizes,
            masks: self.masks,
            kept: self.kept,
            scratch: self.scratch,
            input: self.batch * first.channels * first.pixels(),
            output: self.batch * output.channels * output.pixels(),
        }
    }
}
