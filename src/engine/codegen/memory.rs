//! Memory planning: buffers with disjoint lifetimes share memory.

use super::{Compiler, Program};

impl Compiler<'_> {
    /// Maps buffers to memory by liveness. Reuses the memory that was freed last, which is still in the cache.
    pub(super) fn into_program(mut self, forward_len: usize) -> Program {
        let mut last = vec![0; self.buffers.len()];
        for (time, instruction) in self.instructions.iter_mut().enumerate() {
            instruction.buffers().into_iter().for_each(|b| last[*b] = time);
        }
        let mut places: Vec<Option<usize>> = vec![None; self.buffers.len()];
        let (mut sizes, mut free): (Vec<usize>, Vec<usize>) = (vec![], vec![]);
        for (time, instruction) in self.instructions.iter_mut().enumerate() {
            let mut freed = vec![];
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
                if last[*buffer] == time && !freed.contains(&place) {
                    freed.push(place);
                }
                *buffer = place;
            }
            free.extend(freed);
        }
        let backward = self.instructions.split_off(forward_len);
        let first = &self.lowering.ops[0].dims;
        let output = self.dims(self.lowering.ops.len() - 1);
        Program {
            forward: self.instructions,
            backward,
            buffers: sizes,
            masks: self.masks,
            num_saved: self.num_saved,
            scratch: self.scratch,
            input: self.batch * first.channels * first.pixels(),
            output: self.batch * output.channels * output.pixels(),
        }
    }
}
