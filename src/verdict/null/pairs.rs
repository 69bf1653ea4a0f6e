//! The pairs of stimuli that a null distribution compares.

use rand::seq::index::sample;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// All pairs of different stimuli, or `wanted` of them drawn without replacement; the original comes first.
///
/// The original of each pair, whose norm the signal-to-noise ratio refers to, is drawn at random too.
pub(super) fn pairs(stimuli: usize, wanted: Option<usize>, seed: u64) -> Vec<[usize; 2]> {
    let all = stimuli * stimuli.saturating_sub(1) / 2;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut numbers = match wanted {
        Some(wanted) if wanted < all => sample(&mut random, all, wanted).into_vec(),
        _ => (0..all).collect(),
    };
    numbers.sort_unstable();
    let ordered = |pair: [usize; 2], swap: bool| if swap { [pair[1], pair[0]] } else { pair };
    numbers.into_iter().map(|number| ordered(pair(number), random.random())).collect()
}

/// The pair with this number, in the order (0, 1), (0, 2), (1, 2), (0, 3), ...
fn pair(number: usize) -> [usize; 2] {
    let mut second = ((1.0 + (8.0 * number as f64 + 1.0).sqrt()) / 2.0) as usize;
    // The root is rounded: the exact index differs by at most 1.
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
    fn each_pair_occurs_once() {
        let sorted = |[a, b]: [usize; 2]| [a.min(b), a.max(b)];
        let all = pairs(40, None, 1);
        assert_eq!(all.len(), 780);
        assert_eq!(all.iter().map(|&p| sorted(p)).collect::<HashSet<_>>().len(), 780);
        assert!(all.iter().all(|&[a, b]| a != b && a < 40 && b < 40));
        let swapped = all.iter().filter(|[a, b]| a > b).count();
        assert!((300..480).contains(&swapped), "{swapped} of 780 are swapped");
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
