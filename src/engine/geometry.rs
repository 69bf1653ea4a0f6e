//! Where the taps of a sliding window fall, forwards and backwards.
//!
//! A convolution with a stride, seen from its input, is several convolutions without one: each residue of an input
//! pixel's row and column by the stride meets taps of its own. Both directions become lists of [`Phase`]s.

use crate::ops::Window;

/// One tap: where it reads, counted from the pixel that `reads` gives, and which weight it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tap {
    pub down: isize,
    pub across: isize,
    /// Row-major in the window.
    pub weight: usize,
}

/// A grid of pixels that are computed with the same taps; pairs are `[vertical, horizontal]`.
///
/// Pixel `[i, j]` of the grid is written at `first + writes * [i, j]` and reads at `reads * [i, j] + [down, across]`.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    pub count: [usize; 2],
    pub first: [usize; 2],
    pub writes: [usize; 2],
    pub reads: [usize; 2],
    pub taps: Vec<Tap>,
}

fn before(window: &Window) -> [isize; 2] {
    [window.padding.top as isize, window.padding.left as isize]
}

/// From an image to the window's outputs, of which there are `output`.
pub(super) fn forward(window: &Window, output: [usize; 2]) -> Vec<Phase> {
    let before = before(window);
    let along = |axis: usize, k: usize| (k * window.dilation[axis]) as isize - before[axis];
    let taps =
        taps(window).map(|[y, x]| Tap { down: along(0, y), across: along(1, x), weight: y * window.kernel[1] + x });
    vec![Phase { count: output, first: [0, 0], writes: [1, 1], reads: window.stride, taps: taps.collect() }]
}

/// From the gradient of the window's outputs to that of the image, which has `input` rows and columns.
pub(super) fn backward(window: &Window, input: [usize; 2]) -> Vec<Phase> {
    let [down, across] = window.stride;
    let before = before(window);
    // The output at which a tap meets this pixel, where there is one.
    let meets = |axis: usize, pixel: usize, k: usize| {
        let at = pixel as isize + before[axis] - (k * window.dilation[axis]) as isize;
        let stride = window.stride[axis] as isize;
        (at.rem_euclid(stride) == 0).then(|| at.div_euclid(stride))
    };
    let residues = (0..down.min(input[0])).flat_map(|y| (0..across.min(input[1])).map(move |x| [y, x]));
    let phase = |first: [usize; 2]| {
        let taps = taps(window).filter_map(|[y, x]| {
            let (down, across) = (meets(0, first[0], y)?, meets(1, first[1], x)?);
            Some(Tap { down, across, weight: y * window.kernel[1] + x })
        });
        let count = [0, 1].map(|axis| (input[axis] - first[axis]).div_ceil(window.stride[axis]));
        Phase { count, first, writes: window.stride, reads: [1, 1], taps: taps.collect() }
    };
    residues.map(phase).collect()
}

fn taps(window: &Window) -> impl Iterator<Item = [usize; 2]> + use<> {
    let [rows, columns] = window.kernel;
    (0..rows).flat_map(move |y| (0..columns).map(move |x| [y, x]))
}

impl Phase {
    /// The rows or columns of the grid at which this tap reads inside an image of this size: the first, and one past the last.
    pub fn inside(&self, axis: usize, offset: isize, size: usize) -> [usize; 2] {
        let reads = self.reads[axis] as isize;
        let first = (-offset).max(0).unsigned_abs().div_ceil(self.reads[axis]);
        let end = (size as isize - offset + reads - 1).div_euclid(reads).max(0) as usize;
        let end = end.min(self.count[axis]);
        [first.min(end), end]
    }

    /// The pixels that the taps reach beyond an image of this size: before and behind, along this axis.
    pub fn reach(&self, axis: usize, size: usize) -> [usize; 2] {
        let offset = |tap: &Tap| [tap.down, tap.across][axis];
        let least = self.taps.iter().map(offset).min().unwrap_or(0);
        let most = self.taps.iter().map(offset).max().unwrap_or(0);
        let last = ((self.count[axis].max(1) - 1) * self.reads[axis]) as isize + most;
        [(-least).max(0) as usize, (last + 1 - size as isize).max(0) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Padding;

    /// All pairs of an output and an input pixel with their weight.
    fn pairs(phases: &[Phase], source: [usize; 2]) -> Vec<([usize; 2], [usize; 2], usize)> {
        let mut found = vec![];
        for phase in phases {
            for i in 0..phase.count[0] {
                for j in 0..phase.count[1] {
                    for tap in &phase.taps {
                        let y = (i * phase.reads[0]) as isize + tap.down;
                        let x = (j * phase.reads[1]) as isize + tap.across;
                        let seen = y >= 0 && x >= 0 && (y as usize) < source[0] && (x as usize) < source[1];
                        let [top, bottom] = phase.inside(0, tap.down, source[0]);
                        let [left, right] = phase.inside(1, tap.across, source[1]);
                        assert_eq!(seen, (top..bottom).contains(&i) && (left..right).contains(&j));
                        if seen {
                            let to = [phase.first[0] + i * phase.writes[0], phase.first[1] + j * phase.writes[1]];
                            found.push((to, [y as usize, x as usize], tap.weight));
                        }
                    }
                }
            }
        }
        found
    }

    #[test]
    fn backwards_meets_the_same_pairs() {
        for (kernel, stride, dilation, pad) in [
            ([3, 3], [1, 1], [1, 1], 1),
            ([3, 2], [2, 3], [1, 2], 1),
            ([5, 5], [2, 2], [1, 1], 2),
            ([1, 1], [2, 2], [1, 1], 0),
            ([2, 4], [3, 1], [2, 1], 0),
            ([11, 7], [4, 2], [1, 1], 2),
        ] {
            for input in [[11, 13], [12, 9], [14, 14]] {
                let padding = Padding { top: pad, bottom: 1, left: pad / 2, right: pad };
                let window = Window::new(kernel).strides(stride).dilations(dilation).padding(padding);
                let Ok(output) = window.output(input, false) else { continue };
                let mut there = pairs(&forward(&window, output), input);
                let mut back: Vec<_> =
                    pairs(&backward(&window, input), output).into_iter().map(|(i, o, w)| (o, i, w)).collect();
                there.sort_unstable();
                back.sort_unstable();
                assert_eq!(there, back, "{window:?} {input:?}");
            }
        }
    }
}
