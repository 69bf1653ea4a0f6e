//! Which stimuli are compared with which.

use rand::seq::index::sample;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Pairs of different stimuli, each at most once, the original first.
///
/// All of them, or as many as wanted, drawn without replacement. Which of the two is the original, whose length the
/// signal-to-noise ratio is relative to, is drawn too.
pub(super) fn pairs(stimuli: usize, wanted: Option<usize>, seed: u64) -> Vec<[usize; 2]> {
    let all = stimuli * stimuli.saturating_sub(1) / 2;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut numbers = match wanted {
        Some(wanted) if wanted < all => sample(&mut random, all, wanted).into_vec(),
        _ => (0..all).collect(),
    };
    numbers.sort_unstable();
    let turned = |pair: [usize; 2], turn: bool| if turn { [pair[1], pair[0]] } else { pair };
    numbers.into_iter().map(|number| turned(pair(number), random.random())).collect()
}

/// The pair of this number, where those of 1 come first, then those of 2, and so on.
fn pair(number: usize) -> [usize; 2] {
    let mut second = ((1.0 + (8.0 * number as f64 + 1.0).sqrt()) / 2.0) as usize;
    // The root is rounded; the true one is at most one away.
    while second * (second - 1) / 2 > number {
        second -= 1;
    }
    while (second + 1) * second / 2 <= number {
        second += 1;
    }
    [number - second * (second - 1) / 2, second]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_pair_comes_once() {
        let sorted = |[a, b]: [usize; 2]| [a.min(b), a.max(b)];
        let all = pairs(40, None, 1);
        assert_eq!(all.len(), 780);
        assert_eq!(all.iter().map(|&p| sorted(p)).collect::<HashSet<_>>().len(), 780);
        assert!(all.iter().all(|&[a, b]| a != b && a < 40 && b < 40));
        let turned = all.iter().filter(|[a, b]| a > b).count();
        assert!((300..480).contains(&turned), "{turned} of 780 are turned round");
        let some = pairs(40, Some(100), 1);
        assert_eq!(some.iter().map(|&p| sorted(p)).collect::<HashSet<_>>().len(), 100);
    }

    #[test]
    fn a_seed_gives_the_same_pairs() {
        assert_eq!(pairs(200, Some(1000), 7), pairs(200, Some(1000), 7));
        assert_ne!(pairs(200, Some(1000), 7), pairs(200, Some(1000), 8));
        assert_eq!(pairs(1, None, 0), Vec::<[usize; 2]>::new());
    }
}
