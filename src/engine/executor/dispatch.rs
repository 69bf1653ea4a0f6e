//! Dispatch of instructions to the functions that execute them.

use super::Executor;
use crate::engine::codegen::Instruction;

impl Executor {
    pub(super) fn run(&mut self, instruction: &Instruction) {
        match instruction {
            Instruction::LoadInput { to, scale, shift } => self.load_input(to, scale, shift),
            Instruction::LoadCotangent { to, first } => self.load_cotangent(to, *first),
            Instruction::StoreOutput { from, first } => self.store_output(from, *first),
            Instruction::AddToGradient { from, scale } => self.add_to_gradient(from, scale),
            Instruction::Gemm { gemm, tasks, from, to, epilogue } => self.gemm(gemm, tasks, [from, to], epilogue),
            Instruction::Col2im { window, from, channels, size } => self.col2im(window, from, *channels, *size),
            Instruction::Winograd { conv, chunk, per_thread: true, from, to, epilogue, .. } => {
                self.winograd_per_thread(conv, *chunk, [from, to], epilogue);
            }
            Instruction::Winograd { conv, chunk, per_thread: false, from, to, epilogue, scratch } => {
                self.winograd_shared(conv, *chunk, [from, to], epilogue, *scratch);
            }
            Instruction::Depthwise { conv, bands, from, to, epilogue } => {
                self.depthwise(conv, bands, [from, to], epilogue);
            }
            Instruction::MaxPool { phases, bands, from, to, epilogue, argmax } => {
                self.max_pool(phases, bands, [from, to], epilogue, *argmax);
            }
            Instruction::MaxPoolBackward { phases, bands, from, to, epilogue, argmax, taps } => {
                self.max_pool_backward(phases, bands, [from, to], epilogue, *argmax, *taps);
            }
            Instruction::GlobalAvgPool { from, to, epilogue } => self.global_avg_pool(from, to, epilogue),
            Instruction::GlobalAvgPoolBackward { from, to, epilogue } => {
                self.global_avg_pool_backward(from, to, epilogue);
            }
            Instruction::Elementwise { from, to, scale, epilogue } => {
                self.elementwise(from, to, scale.as_deref(), epilogue);
            }
            Instruction::CopyChannels { from, to, first, count } => self.copy_channels(from, to, *first, *count),
            Instruction::Reference { op, from, to, shape, saved } => {
                self.reference(op.as_ref(), from.as_ref(), to, shape, *saved);
            }
            Instruction::ReferenceBackward { op, from, to, shape, saved } => {
                self.reference_backward(op.as_ref(), from, to.as_ref(), shape, *saved);
            }
            Instruction::Flatten { from, to } | Instruction::Unflatten { from, to } => self.reshape(from, to),
        }
    }
}
