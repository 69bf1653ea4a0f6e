//! Taps of a sliding window, forward and backward.
//!
//! The gradient of a strided convolution is a set of convolutions with stride 1, one for each residue (phase) of the input
//! pixel's row and column modulo the stride. Both directions are lists of [`Phase`]s.

use crate::ops::Window;

/// One tap: the offset of the pixel that it reads, and the index of its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tap {
    pub dy: isize,
    pub dx: isize,
    /// Row-major in the window.
    pub weight: usize,
}

/// A grid of pixels that are computed with the same taps; pairs are `[vertical, horizontal]`.
///
/// Pixel `[i, j]` of the grid is written at `first + output_stride * [i, j]` and reads at `input_stride * [i, j] + [dy, dx]`.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    pub count: [usize; 2],
    pub first: [usize; 2],
    pub output_stride: [usize; 2],
    pub input_stride: [usize; 2],
    pub taps: Vec<Tap>,
}

/// Padding above and to the left.
fn leading_padding(window: &Window) -> [isize; 2] {
    [window.padding.top as isize, window.padding.left as isize]
}

/// The phase that computes the window's `output` rows and columns from an image.
pub(super) fn forward(window: &Window, output: [usize; 2]) -> Vec<Phase> {
    let padding = leading_padding(window);
    let offset = |axis: usize, k: usize| (k * window.dilation[axis]) as isize - padding[axis];
    let taps = taps(window).map(|[y, x]| Tap { dy: offset(0, y), dx: offset(1, x), weight: y * window.kernel[1] + x });
    vec![Phase {
        count: output,
        first: [0, 0],
        output_stride: [1, 1],
        input_stride: window.stride,
        taps: taps.collect(),
    }]
}

/// The phases that compute the gradient of an image of `input` rows and columns from that of the window's outputs.
pub(super) fn backward(window: &Window, input: [usize; 2]) -> Vec<Phase> {
    let [rows, columns] = window.stride;
    let padding = leading_padding(window);
    // The output whose tap `k` reads this pixel, if any.
    let reader = |axis: usize, pixel: usize, k: usize| {
        let at = pixel as isize + padding[axis] - (k * window.dilation[axis]) as isize;
        let stride = window.stride[axis] as isize;
        (at.rem_euclid(stride) == 0).then(|| at.div_euclid(stride))
    };
    let residues = (0..rows.min(input[0])).flat_map(|y| (0..columns.min(input[1])).map(move |x| [y, x]));
    let phase = |first: [usize; 2]| {
        let taps = taps(window).filter_map(|[y, x]| {
            let (dy, dx) = (reader(0, first[0], y)?, reader(1, first[1], x)?);
            Some(Tap { dy, dx, weight: y * window.kernel[1] + x })
        });
        let count = [0, 1].map(|axis| (input[axis] - first[axis]).div_ceil(window.stride[axis]));
        Phase { count, first, output_stride: window.stride, input_stride: [1, 1], taps: taps.collect() }
    };
    residues.map(phase).collect()
}

/// The row and column of each tap, row-major.
fn taps(window: &Window) -> impl Iterator<Item = [usize; 2]> + use<> {
    let [rows, columns] = window.kernel;
    (0..rows).flat_map(move |y| (0..columns).map(move |x| [y, x]))
}

impl Phase {
    /// The rows or columns of the grid at which a tap with this offset reads inside an image of `size`: `[first, end]`.
    pub fn valid_range(&self, axis: usize, offset: isize, size: usize) -> [usize; 2] {
        let stride = self.input_stride[axis] as isize;
        let first = (-offset).max(0).unsigned_abs().div_ceil(self.input_stride[axis]);
        let end = (size as isize - offset + stride - 1).div_euclid(stride).max(0) as usize;
        let end = end.min(self.count[axis]);
        [first.min(end), end]
    }

    /// The number of pixels that the taps reach beyond an image of `size` along this axis: `[before, after]`.
    pub fn overhang(&self, axis: usize, size: usize) -> [usize; 2] {
        let offset = |tap: &Tap| [tap.dy, tap.dx][axis];
        let least = self.taps.iter().map(offset).min().unwrap_or(0);
        let most = self.taps.iter().map(offset).max().unwrap_or(0);
        let last = ((self.count[axis].max(1) - 1) * self.input_stride[axis]) as isize + most;
        [(-least).max(0) as usize, (last + 1 - size as isize).max(0) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Padding;

    /// All triples of output pixel, input pixel and weight index.
    fn pairs(phases: &[Phase], source: [usize; 2]) -> Vec<([usize; 2], [usize; 2], usize)> {
        let mut found = vec![];
        for phase in phases {
            for i in 0..phase.count[0] {
                for j in 0..phase.count[1] {
                    for tap in &phase.taps {
                        let y = (i * phase.input_stride[0]) as isize + tap.dy;
                        let x = (j * phase.input_stride[1]) as isize + tap.dx;
                        let seen = y >= 0 && x >= 0 && (y as usize) < source[0] && (x as usize) < source[1];
                        let [top, bottom] = phase.valid_range(0, tap.dy, source[0]);
                        let [left, right] = phase.valid_range(1, tap.dx, source[1]);
                        assert_eq!(seen, (top..bottom).contains(&i) && (left..right).contains(&j));
                        if seen {
                            let to = [
                                phase.first[0] + i * phase.output_stride[0],
                                phase.first[1] + j * phase.output_stride[1],
                            ];
                            found.push((to, [y as usize, x as usize], tap.weight));
                        }
                    }
                }
            }
        }
        found
    }

    #[test]
    fn backward_is_the_transpose_of_forward() {
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
                let Ok(output) = window.output(input) else { continue };
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
