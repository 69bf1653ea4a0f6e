//! One place in memory for tensors that are needed at different times.

use super::{Compiler, Program};

impl Compiler<'_> {
    /// Gives buffers that are needed at different times the same memory, the one used last first: it is still in the cache.
    pub(super) fn finish(mut self, forward: usize) -> Program {
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
