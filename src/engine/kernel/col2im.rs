//! col2im: sums columns into the image pixels that their windows cover.
//!
//! The gradient of a network's input has few channels, and a direct convolution would fill few lanes of a vector. Instead, one
//! GEMM computes a column of contributions for each window, and col2im sums them where windows overlap.

use crate::engine::simd::{Job, LANES, Simd};
use crate::ops::Window;

/// Computes rows `rows` of one NCHW image.
pub(in crate::engine) struct Col2im<'a> {
    pub window: &'a Window,
    /// Channels of the image.
    pub channels: usize,
    /// Height and width of the image.
    pub size: [usize; 2],
    /// The number of windows along each axis.
    pub windows: [usize; 2],
    pub rows: [usize; 2],
    /// Columns `[window][tap][channel]` with `stride` values from window to window. One whole vector past the last value must
    /// be readable.
    pub source: *const f32,
    pub stride: usize,
    /// `[channel][row][column]`.
    pub target: *mut f32,
}

/// Adjacent taps of the windows in one row, as `length` values that belong `first` values after the window's position.
struct TapRun {
    /// The values of the row's first window.
    at: *const f32,
    /// The offset of `at` from the start of the source; no value before the start may be read.
    offset: isize,
    first: isize,
    length: isize,
}

impl Col2im<'_> {
    /// The runs that contribute to a row of the image.
    fn runs(&self, row: usize) -> Vec<TapRun> {
        let Window { kernel, stride, dilation, padding } = *self.window;
        let channels = self.channels;
        // Taps that are adjacent in the image are also adjacent in the column.
        let merged = if dilation[1] == 1 { kernel[1] } else { 1 };
        let mut runs = vec![];
        for y in 0..kernel[0] {
            let Some(from) = (row + padding.top).checked_sub(y * dilation[0]) else { continue };
            if !from.is_multiple_of(stride[0]) || from / stride[0] >= self.windows[0] {
                continue;
            }
            for x in (0..kernel[1]).step_by(merged) {
                let offset = from / stride[0] * self.windows[1] * self.stride + (y * kernel[1] + x) * channels;
                runs.push(TapRun {
                    at: self.source.wrapping_add(offset),
                    offset: offset as isize,
                    first: ((x * dilation[1]) as isize - padding.left as isize) * channels as isize,
                    length: (merged * channels) as isize,
                });
            }
        }
        runs
    }
}

impl Job for Col2im<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        const WIDTH: isize = LANES as isize;
        let width = self.size[1] * self.channels;
        let plane = self.size[0] * self.size[1];
        let stride = (self.window.stride[1] * self.channels) as isize;
        for row in self.rows[0]..self.rows[1] {
            let runs = self.runs(row);
            let mut channel = 0;
            let mut pixel = row * self.size[1];
            // Values of the row in NHWC order.
            for at in (0..width).step_by(LANES) {
                // SAFETY: the caller of `run` vouches for the source and the target; loads start at or after the source's first
                // value and reach at most one vector past its last, and stores stay within the row.
                unsafe {
                    let mut sum = S::splat(0.0);
                    for run in &runs {
                        // Windows whose run overlaps these values.
                        let before = at as isize - run.first;
                        let from = ((before - run.length).div_euclid(stride) + 1).max(0);
                        let end = ((before + WIDTH - 1).div_euclid(stride) + 1).min(self.windows[1] as isize);
                        for window in from..end {
                            let offset = before - window * stride;
                            let mut mask = u32::from(u16::MAX) << (-offset).max(0);
                            if run.length - offset < WIDTH {
                                mask &= (1 << (run.length - offset)) - 1;
                            }
                            let place = window * self.stride as isize + offset;
                            let v = if run.offset + place >= 0 {
                                S::load(run.at.offset(place))
                            } else {
                                let mut lanes = [0f32; LANES];
                                for (lane, value) in lanes.iter_mut().enumerate().skip((-offset).max(0) as usize) {
                                    *value = *run.at.offset(place + lane as isize);
                                }
                                S::load(lanes.as_ptr())
                            };
                            sum = S::add(sum, S::masked(mask as u16, v));
                        }
                    }
                    let mut lanes = [0f32; LANES];
                    S::store(lanes.as_mut_ptr(), sum);
                    for &value in lanes.iter().take(width - at) {
                        *self.target.add(channel * plane + pixel) = value;
                        channel += 1;
                        if channel == self.channels {
                            (channel, pixel) = (0, pixel + 1);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::simd::Isa;
    use crate::ops::Padding;

    /// Reference implementation, in float64.
    fn reference(window: &Window, channels: usize, size: [usize; 2], windows: [usize; 2], source: &[f32]) -> Vec<f64> {
        let Window { kernel, stride, dilation, padding } = *window;
        let mut sums = vec![0.0; channels * size[0] * size[1]];
        let mut values = source.iter();
        for i in 0..windows[0] {
            for j in 0..windows[1] {
                for y in 0..kernel[0] {
                    for x in 0..kernel[1] {
                        for c in 0..channels {
                            let value = f64::from(*values.next().unwrap());
                            let row = (i * stride[0] + y * dilation[0]).checked_sub(padding.top);
                            let column = (j * stride[1] + x * dilation[1]).checked_sub(padding.left);
                            if let (Some(row), Some(column)) = (row, column)
                                && row < size[0]
                                && column < size[1]
                            {
                                sums[(c * size[0] + row) * size[1] + column] += value;
                            }
                        }
                    }
                }
            }
        }
        sums
    }

    #[test]
    fn equals_the_reference_on_every_instruction_set() {
        for (kernel, stride, dilation, pad, channels, size) in [
            ([11, 11], [4, 4], [1, 1], 2, 3, [35, 29]),
            ([3, 3], [1, 1], [1, 1], 1, 3, [9, 20]),
            ([7, 14], [3, 3], [1, 1], 4, 1, [30, 41]),
            ([3, 2], [2, 3], [2, 3], 2, 2, [17, 16]),
            ([2, 2], [3, 3], [1, 1], 0, 16, [10, 12]),
            ([1, 1], [1, 1], [1, 1], 0, 5, [3, 4]),
        ] {
            let padding = Padding { top: pad, bottom: 1, left: pad / 2, right: pad };
            let window = Window::new(kernel).strides(stride).dilations(dilation).padding(padding);
            let windows = window.output(size).unwrap();
            let column = kernel[0] * kernel[1] * channels;
            let count = windows[0] * windows[1] * column;
            let mut source: Vec<f32> = (0..count).map(|i| (i * 7919 % 1009) as f32 / 1009.0 - 0.5).collect();
            let expected = reference(&window, channels, size, windows, &source);
            source.resize(count + LANES, f32::NAN);
            for isa in Isa::available() {
                let mut found = vec![f32::NAN; expected.len()];
                let job = Col2im {
                    window: &window,
                    channels,
                    size,
                    windows,
                    rows: [0, size[0]],
                    source: source.as_ptr(),
                    stride: column,
                    target: found.as_mut_ptr(),
                };
                // SAFETY: the instruction set is available, and the buffers have the job's sizes.
                unsafe { isa.run(job) };
                let errors = found.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs());
                // NaN is the largest in this order.
                let error = errors.max_by(f64::total_cmp).unwrap();
                assert!(error < 1e-5, "{isa:?} {window:?} on {size:?}: error {error}");
            }
        }
    }
}
