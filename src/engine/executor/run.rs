//! Instructions to jobs of the kernels.

use super::{Shared, Workspace};
use crate::engine::codegen::Instruction;
use crate::engine::kernel::col2im::Col2im;
use crate::engine::kernel::depthwise::DepthwiseJob;
use crate::engine::kernel::elementwise::Elementwise;
use crate::engine::kernel::gemm::{GemmJob, Pixels};
use crate::engine::kernel::pool::{MaxPool, MaxPoolBack, Mean, Spread};
use crate::engine::kernel::winograd::{Chunk, Input, Multiply, Output, Tiles, Whole};
use crate::engine::simd::LANES;

impl Workspace {
    pub(super) fn run(&mut self, instruction: &Instruction) {
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
            Instruction::Gemm { dense, pieces, from, to, ends } => {
                let source = self.at(from);
                let finishes = self.finishes(to, ends);
                let scratch: Vec<Shared> = self.scratch.iter_mut().map(|s| Shared(s.as_mut_ptr())).collect();
                let pitch = from.pixels() * from.stride;
                self.each(pieces.len(), |thread, task| {
                    let piece = pieces[task];
                    let Shared(source) = { source };
                    let at = source.wrapping_add(piece.image * pitch).cast_const();
                    GemmJob {
                        dense,
                        piece,
                        source: Pixels { at, size: from.size, stride: from.stride },
                        finish: finishes.of(piece.image),
                        target_width: finishes.width,
                        scratch: scratch[thread].0,
                    }
                });
            }
            Instruction::Col2im { window, from, channels, size } => {
                let source = self.at(from);
                let gradient = Shared(self.gradient.as_mut_ptr());
                let parts = size[0].min(16);
                let [columns, image] = [from.pixels() * from.stride, channels * size[0] * size[1]];
                self.each(from.batch * parts, |_, task| {
                    let (index, part) = (task / parts, task % parts);
                    let (Shared(source), Shared(gradient)) = ({ source }, { gradient });
                    Col2im {
                        window,
                        channels: *channels,
                        size: *size,
                        windows: from.size,
                        rows: [part * size[0] / parts, (part + 1) * size[0] / parts],
                        source: source.wrapping_add(index * columns).cast_const(),
                        stride: from.stride,
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
                    let [inputs, _] = conv.scratch(*chunk);
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
                    Elementwise { source, stride: from.stride, scale, pixels, blocks: from.blocks(), finish }
                });
            }
            Instruction::Channels { from, to, first, count } => {
                let (source, target) = (self.at(from).0, self.at(to).0);
                let rest = (first[1] + count).next_multiple_of(LANES).min(to.stride) - first[1] - count;
                for pixel in 0..from.batch * from.pixels() {
                    // SAFETY: both tensors have these channels at each of these pixels, in different buffers.
                    unsafe {
                        let target = target.add(pixel * to.stride + first[1]);
                        target.copy_from_nonoverlapping(source.add(pixel * from.stride + first[0]), *count);
                        target.add(*count).write_bytes(0, rest);
                    }
                }
            }
            Instruction::Reference { op, from, to, shape, kept } => {
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
            Instruction::ReferenceBack { op, from, to, shape, kept } => {
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
}
