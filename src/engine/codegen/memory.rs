//! Memory planning: buffers with disjoint lifetimes share memory.

use super::{Compiler, Program};

impl Compiler<'_> {
    /// Assigns memory to buffers by liveness. The memory that was freed last is reused first, because it is still in the cache.
    pub(super) fn into_program(mut self, forward_len: usize) -> Program {
        let mut last = vec![0; self.buffers.len()];
        for (time, instruction) in self.instructions.iter_mut().enumerate() {
            instruction.buffers().into_iter().for_each(|b| last[*b] = time);
        }
        let mut slots: Vec<Option<usize>> = vec![None; self.buffers.len()];
        let (mut sizes, mut free): (Vec<usize>, Vec<usize>) = (vec![], vec![]);
        for (time, instruction) in self.instructions.iter_mut().enumerate() {
            let mut freed = vec![];
            for buffer in instruction.buffers() {
                let needs = self.buffers[*buffer];
                let slot = *slots[*buffer].get_or_insert_with(|| {
                    let fits = free.iter().rposition(|&slot| sizes[slot] >= needs);
                    match fits.or_else(|| free.len().checked_sub(1)) {
                        Some(at) => free.remove(at),
                        None => {
                            sizes.push(0);
                            sizes.len() - 1
                        }
                    }
                });
                sizes[slot] = sizes[slot].max(needs);
                if last[*buffer] == time && !freed.contains(&slot) {
                    freed.push(slot);
                }
                *buffer = slot;
            }
            free.extend(freed);
        }
        let backward = self.instructions.split_off(forward_len);
        let first = &self.lowering.ops[0].dims;
        let output = self.lowering.taps.iter().map(|&op| self.tap_len(op)).sum();
        Program {
            forward: self.instructions,
            backward,
            buffers: sizes,
            masks: self.masks,
            num_saved: self.num_saved,
            scratch: self.scratch,
            input: self.batch * first.channels * first.pixels(),
            output,
        }
    }
}
