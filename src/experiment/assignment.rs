//! Assignment of conditions to stimuli, with the same result as on the page (`page/random.js`).

use std::collections::VecDeque;

/// A random number generator with the same output here and on the page: sfc32 (Chris Doty-Humphrey, PractRand), seeded from four FNV-1a
/// hashes of the text.
#[derive(Debug)]
pub(super) struct Generator([u32; 4]);

impl Generator {
    pub fn new(text: &str) -> Self {
        let mut generator = Self([0, 1, 2, 3].map(|k| hash(&format!("{text}|{k}"))));
        (0..15).for_each(|_| {
            generator.next();
        });
        generator
    }

    fn next(&mut self) -> u32 {
        let [a, b, c, d] = self.0;
        let t = a.wrapping_add(b).wrapping_add(d);
        self.0 = [b ^ (b >> 9), c.wrapping_add(c << 3), c.rotate_left(21).wrapping_add(t), d.wrapping_add(1)];
        t
    }

    /// A random integer below `n`.
    fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.next()) * n as u64) >> 32) as usize
    }

    /// A random order of `0..n` (Fisher-Yates).
    fn shuffled(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for k in (1..n).rev() {
            order.swap(k, self.below(k + 1));
        }
        order
    }
}

/// FNV-1a, 32 bits.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |value, byte| (value ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Assigns each stimulus one of its available conditions (at least one), as evenly as possible over the conditions.
pub(super) fn assign(random: &mut Generator, available: &[Vec<usize>], conditions: usize) -> Vec<usize> {
    let mut load = vec![0_usize; conditions];
    let mut chosen = vec![0; available.len()];
    let rank = random.shuffled(conditions);
    let order = random.shuffled(available.len());
    for &stimulus in &order {
        let lightest = available[stimulus].iter().min_by_key(|&&condition| (load[condition], rank[condition]));
        let Some(&lightest) = lightest else { continue };
        chosen[stimulus] = lightest;
        load[lightest] += 1;
    }
    // In random order, too: otherwise the conditions would depend on positions in the list of stimuli and of conditions.
    let mut ranked: Vec<usize> = (0..conditions).collect();
    ranked.sort_by_key(|&condition| rank[condition]);
    while balance_step(available, &order, &ranked, &mut chosen, &mut load) {}
    chosen
}

/// Moves one stimulus along each link of a chain of conditions, from one condition to another with at least two fewer stimuli; tries
/// the stimuli in `order` and the conditions as they are `ranked`. Returns whether such a chain exists.
fn balance_step(
    available: &[Vec<usize>],
    order: &[usize],
    ranked: &[usize],
    chosen: &mut [usize],
    load: &mut [usize],
) -> bool {
    for &full in ranked {
        let mut came_by: Vec<Option<usize>> = vec![None; load.len()];
        let mut queue = VecDeque::from([full]);
        while let Some(from) = queue.pop_front() {
            if load[from] + 2 <= load[full] {
                let mut to = from;
                while let Some(stimulus) = came_by[to] {
                    to = std::mem::replace(&mut chosen[stimulus], to);
                }
                load[full] -= 1;
                load[from] += 1;
                return true;
            }
            for &to in ranked.iter().filter(|&&to| to != full) {
                let moves = |&&stimulus: &&usize| chosen[stimulus] == from && available[stimulus].contains(&to);
                if came_by[to].is_none()
                    && let Some(&stimulus) = order.iter().find(moves)
                {
                    came_by[to] = Some(stimulus);
                    queue.push_back(to);
                }
            }
        }
    }
    false
}
