//! Memory for one program, and its run.

use std::sync::Arc;

use super::aligned::Aligned;
use super::kernel::Finish;
use super::kernel::dense::{DenseJob, Pixels};
use super::kernel::depthwise::DepthwiseJob;
use super::kernel::overlap::Overlap;
use super::kernel::pool::{MaxPool, MaxPoolBack, Mean, Spread};
use super::kernel::simple::Elementwise;
use super::kernel::winograd::{Chunk, Input, Multiply, Output, Tiles, Whole};
use super::program::{Ends, Image, Instruction, Program};
use super::simd::{Isa, Job, LANES};
use super::team::{Team, team};

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

/// What a [`Finish`] is made of, for all images of a batch.
#[derive(Clone, Copy)]
struct Finishes {
    first: Finish,
    /// Numbers and masks from image to image.
    pitch: usize,
    mask_pitch: usize,
    /// Pixels from row to row.
    width: usize,
}
// SAFETY: as for `Shared`.
unsafe impl Sync for Finishes {}

impl Finishes {
    fn of(&self, image: usize) -> Finish {
        let (numbers, masks) = (image * self.pitch, image * self.mask_pitch);
        let f = self.first;
        Finish {
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

    fn at(&mut self, image: &Image) -> Shared {
        Shared(self.buffers[image.buffer].as_mut_ptr())
    }

    fn finishes(&mut self, to: &Image, ends: &Ends) -> Finishes {
        let target = self.buffers[to.buffer].as_mut_ptr();
        let first = Finish {
            target,
            step: to.step,
            bias: ends.bias.as_ref().map_or(std::ptr::null(), |b| b.as_ptr()),
            addend: ends.addend.map_or(std::ptr::null(), |a| self.buffers[a].as_ptr()),
            clip: ends.clip.map(|(ceiling, _)| ceiling),
            passes: ends.clip.map_or(std::ptr::null_mut(), |(_, mask)| self.masks[mask].as_mut_ptr()),
            gate: ends.gate.map_or(std::ptr::null(), |mask| self.masks[mask].as_ptr()),
            mask_step: to.blocks(),
        };
        let pixels = to.pixels();
        Finishes { first, pitch: pixels * to.step, mask_pitch: pixels * to.blocks(), width: to.size[1] }
    }

    /// Runs a job for each task.
    fn each<J: Job>(&self, tasks: usize, job: impl Fn(usize, usize) -> J + Sync) {
        let isa = self.isa;
        // SAFETY: the instruction set was checked when the plan was made; jobs get pointers into buffers that the program
        // made large enough, and no two tasks write the same place.
        Team::run(team(), self.threads, tasks, &|thread, task| unsafe { isa.run(job(thread, task)) });
    }

    /// The same for chunks of the pixels of a tensor.
    fn each_chunk<J: Job>(&self, pixels: usize, job: impl Fn([usize; 2]) -> J + Sync) {
        let chunks = pixels.div_ceil(CHUNK);
        self.each(chunks, |_, task| job([task * CHUNK, ((task + 1) * CHUNK).min(pixels)]));
    }

    fn run(&mut self, instruction: &Instruction) {
        match instruction {
            Instruction::Enter { to, scale, shift } => {
                let input = std::mem::take(&mut self.input);
                self.gather(&input, to, Some((scale, shift)));
                self.input = input;
            }
            Instruction::Cotangent { to } => {
                let cotangent = std::mem::take(&mut self.cotangent);
                self.gather(&cotangent, to, None);
                self.cotangent = cotangent;
            }
            Instruction::Emit { from } => {
                let mut values = std::mem::take(&mut self.values);
                self.scatter(from, &mut values, None);
                self.values = values;
            }
            Instruction::Leave { from, scale } => {
                let mut gradient = std::mem::take(&mut self.gradient);
                self.scatter(from, &mut gradient, Some(scale));
                self.gradient = gradient;
            }
            Instruction::Dense { dense, pieces, from, to, ends } => {
                let source = self.at(from);
                let finishes = self.finishes(to, ends);
                let scratch: Vec<Shared> = self.scratch.iter_mut().map(|s| Shared(s.as_mut_ptr())).collect();
                let pitch = from.pixels() * from.step;
                self.each(pieces.len(), |thread, task| {
                    let piece = pieces[task];
                    let Shared(source) = { source };
                    let at = source.wrapping_add(piece.image * pitch).cast_const();
                    DenseJob {
                        dense,
                        piece,
                        source: Pixels { at, size: from.size, step: from.step },
                        finish: finishes.of(piece.image),
                        target_width: finishes.width,
                        scratch: scratch[thread].0,
                    }
                });
            }
            Instruction::Overlap { window, from, channels, size } => {
                let source = self.at(from);
                let gradient = Shared(self.gradient.as_mut_ptr());
                let parts = size[0].min(16);
                let [columns, image] = [from.pixels() * from.step, channels * size[0] * size[1]];
                self.each(from.batch * parts, |_, task| {
                    let (index, part) = (task / parts, task % parts);
                    let (Shared(source), Shared(gradient)) = ({ source }, { gradient });
                    Overlap {
                        window,
                        channels: *channels,
                        size: *size,
                        windows: from.size,
                        rows: [part * size[0] / parts, (part + 1) * size[0] / parts],
                        source: source.wrapping_add(index * columns).cast_const(),
                        step: from.step,
                        target: gradient.wrapping_add(index * image),
                    }
                });
            }
            Instruction::Winograd { conv, chunk, alone, from, to, ends, room } => {
                let source = self.at(from);
                let finishes = self.finishes(to, ends);
                let tiles = Tiles::of(conv.scheme, from.batch, to.size);
                let chunks = tiles.count.div_ceil(*chunk);
                let part = |index: usize, room: [Shared; 2]| {
                    let (first, end) = (index * tiles.count / chunks, (index + 1) * tiles.count / chunks);
                    Chunk {
                        conv,
                        tiles,
                        first,
                        count: end - first,
                        source: source.image(from, 0),
                        room: room.map(|r| r.0),
                        finish: finishes.of(0),
                        target: to.size,
                    }
                };
                if *alone {
                    let [inputs, _] = conv.room(*chunk);
                    let scratch: Vec<Shared> = self.scratch.iter_mut().map(|s| Shared(s.as_mut_ptr())).collect();
                    self.each(chunks, |thread, task| {
                        let first = scratch[thread];
                        let second = Shared({ first }.0.wrapping_add(inputs));
                        Whole(part(task, [first, second]))
                    });
                    return;
                }
                let room = room.map(|buffer| Shared(self.buffers[buffer].as_mut_ptr()));
                let (points, wide) = (conv.scheme.points(), conv.blocks.div_ceil(8));
                for task in 0..chunks {
                    let chunk = || part(task, room);
                    let count = chunk().count;
                    let some = |i: usize| [i * count / count.min(16), (i + 1) * count / count.min(16)];
                    self.each(count.min(16), |_, i| Input(chunk(), some(i)));
                    self.each(points * wide, |_, i| {
                        let blocks = [i % wide * conv.blocks / wide, (i % wide + 1) * conv.blocks / wide];
                        Multiply(chunk(), i / wide, blocks)
                    });
                    self.each(count.min(16), |_, i| Output(chunk(), some(i)));
                }
            }
            Instruction::Depthwise { conv, bands, from, to, ends } => {
                let source = self.at(from);
                let finishes = self.finishes(to, ends);
                self.each(bands.len(), |_, task| {
                    let band = bands[task];
                    DepthwiseJob {
                        conv,
                        phase: band.phase,
                        rows: band.rows,
                        source: source.image(from, band.image),
                        finish: finishes.of(band.image),
                        target_width: finishes.width,
                    }
                });
            }
            Instruction::MaxPool { phases, bands, from, to, ends, winners } => {
                let source = self.at(from);
                let finishes = self.finishes(to, ends);
                let masks = Shared(self.masks[*winners].as_mut_ptr().cast());
                let words = to.pixels() * to.blocks() * phases[0].taps.len();
                self.each(bands.len(), |_, task| {
                    let band = bands[task];
                    let Shared(masks) = { masks };
                    MaxPool {
                        phase: &phases[band.phase],
                        rows: band.rows,
                        source: source.image(from, band.image),
                        blocks: from.blocks(),
                        finish: finishes.of(band.image),
                        winners: masks.cast::<u16>().wrapping_add(band.image * words),
                    }
                });
            }
            Instruction::MaxPoolBack { phases, bands, from, to, ends, winners, taps } => {
                let source = self.at(from);
                let finishes = self.finishes(to, ends);
                let masks = Shared(self.masks[*winners].as_mut_ptr().cast());
                let words = from.pixels() * from.blocks() * taps;
                self.each(bands.len(), |_, task| {
                    let band = bands[task];
                    let Shared(masks) = { masks };
                    MaxPoolBack {
                        phase: &phases[band.phase],
                        rows: band.rows,
                        source: source.image(from, band.image),
                        blocks: from.blocks(),
                        finish: finishes.of(band.image),
                        target_width: finishes.width,
                        taps: *taps,
                        winners: masks.cast::<u16>().wrapping_add(band.image * words).cast_const(),
                    }
                });
            }
            Instruction::Mean { from, to, ends } => {
                let source = self.at(from);
                let finishes = self.finishes(to, ends);
                let parts = from.blocks().div_ceil(4);
                self.each(from.batch * parts, |_, task| {
                    let (image, part) = (task / parts, task % parts);
                    let blocks = [4 * part, (4 * part + 4).min(from.blocks())];
                    Mean { source: source.image(from, image), blocks, finish: finishes.of(image) }
                });
            }
            Instruction::Spread { from, to, ends } => {
                let source = self.at(from);
                let finishes = self.finishes(to, ends);
                for image in 0..from.batch {
                    let count = to.pixels();
                    self.each_chunk(count, |pixels| Spread {
                        gradient: source.image(from, image).at,
                        count,
                        pixels,
                        blocks: from.blocks(),
                        finish: finishes.of(image),
                    });
                }
            }
            Instruction::Elementwise { from, to, scale, ends } => {
                let source = self.at(from);
                let to = to.in_a_row();
                let finishes = self.finishes(&to, ends);
                let scale = Shared(scale.as_ref().map_or(std::ptr::null_mut(), |s| s.as_ptr().cast_mut()));
                self.each_chunk(to.pixels(), |pixels| {
                    let Shared(scale) = { scale };
                    let source = source.image(from, 0).at;
                    let finish = finishes.of(0);
                    Elementwise { source, step: from.step, scale, pixels, blocks: from.blocks(), finish }
                });
            }
            Instruction::Channels { from, to, first, count } => {
                let (source, target) = (self.at(from).0, self.at(to).0);
                let rest = (first[1] + count).next_multiple_of(LANES).min(to.step) - first[1] - count;
                for pixel in 0..from.batch * from.pixels() {
                    // SAFETY: both tensors have these channels at each of these pixels, in different buffers.
                    unsafe {
                        let target = target.add(pixel * to.step + first[1]);
                        target.copy_from_nonoverlapping(source.add(pixel * from.step + first[0]), *count);
                        target.add(*count).write_bytes(0, rest);
                    }
                }
            }
            Instruction::Plain { op, from, to, shape, kept } => {
                let (mut read, _) = std::mem::take(&mut self.kept[*kept]);
                read.resize(shape.iter().product(), 0.0);
                match from {
                    Some(from) => self.scatter(from, &mut read, None),
                    None => read.copy_from_slice(&self.input),
                }
                let wrote = op.forward(&read, shape);
                self.gather(&wrote, to, None);
                self.kept[*kept] = (read, wrote);
            }
            Instruction::PlainBack { op, from, to, shape, kept } => {
                let mut gradient = vec![0.0; from.batch * from.channels * from.pixels()];
                self.scatter(from, &mut gradient, None);
                let (read, wrote) = &self.kept[*kept];
                let pulled = op.backward(read, wrote, &gradient, shape);
                match to {
                    Some(to) => self.gather(&pulled, to, None),
                    None => self.gradient.iter_mut().zip(&pulled).for_each(|(g, p)| *g += p),
                }
            }
            Instruction::Flatten { from, to } => {
                let mut values = vec![0.0; from.batch * from.channels * from.pixels()];
                self.scatter(from, &mut values, None);
                self.gather(&values, to, None);
            }
            Instruction::Unflatten { from, to } => {
                let mut values = vec![0.0; from.batch * from.channels * from.pixels()];
                self.scatter(from, &mut values, None);
                self.gather(&values, to, None);
            }
        }
    }

    /// Planes to channels side by side, scaled and shifted; the padding of channels becomes 0.
    fn gather(&mut self, planes: &[f32], to: &Image, affine: Option<(&[f32], &[f32])>) {
        let target = self.at(to);
        let (count, channels, step) = (to.pixels(), to.channels, to.step);
        let affine = affine.filter(|(scale, _)| !scale.is_empty());
        let parts = count.div_ceil(CHUNK);
        team().run(self.threads, to.batch * parts, &|_, task| {
            let (image, part) = (task / parts, task % parts);
            let planes = &planes[image * channels * count..][..channels * count];
            let Shared(target) = { target };
            let (first, end) = (part * CHUNK, (part * CHUNK + CHUNK).min(count));
            // SAFETY: each task has pixels of its own in the target.
            let pixels = unsafe {
                std::slice::from_raw_parts_mut(target.add((image * count + first) * step), (end - first) * step)
            };
            for (c, plane) in planes.chunks_exact(count).enumerate() {
                let (scale, shift) = affine.map_or((1.0, 0.0), |(scale, shift)| (scale[c], shift[c]));
                let values = pixels[c..].iter_mut().step_by(step).zip(&plane[first..end]);
                values.for_each(|(value, &x)| *value = x * scale + shift);
            }
            for c in channels..step {
                pixels[c..].iter_mut().step_by(step).for_each(|value| *value = 0.0);
            }
        });
    }

    /// Channels side by side to planes; with `scale`, scaled and added to what the planes hold.
    fn scatter(&mut self, from: &Image, planes: &mut [f32], scale: Option<&[f32]>) {
        let source = self.at(from);
        let (count, channels, step) = (from.pixels(), from.channels, from.step);
        let target = Shared(planes.as_mut_ptr());
        debug_assert_eq!(planes.len(), from.batch * channels * count);
        let parts = count.div_ceil(CHUNK);
        team().run(self.threads, from.batch * parts, &|_, task| {
            let (image, part) = (task / parts, task % parts);
            let (Shared(source), Shared(target)) = ({ source }, { target });
            let (first, end) = (part * CHUNK, (part * CHUNK + CHUNK).min(count));
            for c in 0..channels {
                // SAFETY: each task has columns of its own in every plane.
                let (plane, pixels) = unsafe {
                    let plane = target.add((image * channels + c) * count + first);
                    let pixels = source.add((image * count + first) * step).cast_const();
                    (
                        std::slice::from_raw_parts_mut(plane, end - first),
                        std::slice::from_raw_parts(pixels, (end - first) * step),
                    )
                };
                let pairs = plane.iter_mut().zip(pixels[c..].iter().step_by(step));
                match scale {
                    None => pairs.for_each(|(y, &x)| *y = x),
                    Some([]) => pairs.for_each(|(y, &x)| *y += x),
                    Some(scale) => pairs.for_each(|(y, &x)| *y += x * scale[c]),
                }
            }
        });
    }
}

impl Shared {
    fn image(self, like: &Image, image: usize) -> Pixels {
        let at = self.0.wrapping_add(image * like.pixels() * like.step).cast_const();
        Pixels { at, size: like.size, step: like.step }
    }
}
