//! Sliding windows: kernel, stride, dilation and padding of convolutions and pools.

use crate::{Error, Result};

/// The largest kernel, stride, dilation or padding; sums of sizes below it do not overflow.
const MAX_SIZE: usize = 1 << 24;

/// The largest padding on one side of an image with shorter sides than this: the engine stores padded images.
const MAX_PADDING: usize = 1024;

/// Rows and columns added around an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Padding {
    /// Rows above the image.
    pub top: usize,
    /// Rows below the image.
    pub bottom: usize,
    /// Columns to the left.
    pub left: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Padding {
    /// Equal padding on all four sides.
    #[must_use]
    pub fn all(pixels: usize) -> Self {
        Self { top: pixels, bottom: pixels, left: pixels, right: pixels }
    }

    /// TensorFlow's `SAME` padding: output = ceil(input / stride), with the odd pixel below and to the right.
    ///
    /// Along each axis the total is `max((ceil(input / stride) - 1) * stride + kernel - input, 0)`, for dilation 1.
    #[must_use]
    pub fn same(input: [usize; 2], kernel: [usize; 2], stride: [usize; 2]) -> Self {
        let total = |axis: usize| {
            let stride = stride[axis].max(1);
            let last = (input[axis].div_ceil(stride).max(1) - 1).saturating_mul(stride);
            last.saturating_add(kernel[axis]).saturating_sub(input[axis])
        };
        let (rows, columns) = (total(0), total(1));
        Self { top: rows / 2, bottom: rows - rows / 2, left: columns / 2, right: columns - columns / 2 }
    }
}

/// A sliding window over an image; pairs are `[vertical, horizontal]`, in pixels.
///
/// ```
/// use metamers::ops::{Padding, Window};
///
/// let window = Window::square(3).stride(2).padding(Padding::all(1));
/// assert_eq!(window.output([224, 224])?, [112, 112]);
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Input pixels between adjacent outputs.
    pub stride: [usize; 2],
    /// Distance between adjacent taps.
    pub dilation: [usize; 2],
    /// Pixels added around the input.
    pub padding: Padding,
}

impl Window {
    /// A window of this height and width with stride 1, dilation 1 and no padding.
    #[must_use]
    pub fn new(kernel: [usize; 2]) -> Self {
        Self { kernel, stride: [1, 1], dilation: [1, 1], padding: Padding::default() }
    }

    /// A square window: [`Window::new`] with equal sides.
    #[must_use]
    pub fn square(side: usize) -> Self {
        Self::new([side, side])
    }

    /// Sets the stride along both axes.
    #[must_use]
    pub fn stride(mut self, stride: usize) -> Self {
        self.stride = [stride, stride];
        self
    }

    /// Sets the strides, `[vertical, horizontal]`.
    #[must_use]
    pub fn strides(mut self, stride: [usize; 2]) -> Self {
        self.stride = stride;
        self
    }

    /// Sets the dilations, `[vertical, horizontal]`.
    #[must_use]
    pub fn dilations(mut self, dilation: [usize; 2]) -> Self {
        self.dilation = dilation;
        self
    }

    /// Sets the padding.
    #[must_use]
    pub fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// The number of input pixels that the window spans along each axis, including dilation; saturates at `usize::MAX`.
    #[must_use]
    pub fn span(&self) -> [usize; 2] {
        let beyond_first = |axis: usize| self.dilation[axis].saturating_mul(self.kernel[axis].saturating_sub(1));
        [0, 1].map(|axis| beyond_first(axis).saturating_add(1))
    }

    /// Kernel, stride, dilation and padding in a fixed order.
    pub(crate) fn numbers(&self) -> Vec<usize> {
        let pads = self.pads();
        [self.kernel, self.stride, self.dilation, pads[0], pads[1]].concat()
    }

    fn pads(&self) -> [[usize; 2]; 2] {
        let p = self.padding;
        [[p.top, p.bottom], [p.left, p.right]]
    }

    /// The output size `[height, width]` for an input of size `[height, width]`.
    ///
    /// Along each axis it is `floor((input + padding - span) / stride) + 1`.
    ///
    /// # Errors
    /// When the kernel, stride or dilation is 0, a size exceeds 2^24, or a padding the input's side and 1024, the input is empty, or with its padding smaller than
    /// the window.
    pub fn output(&self, input: [usize; 2]) -> Result<[usize; 2]> {
        self.output_rounded(input, false)
    }

    /// The output size `[height, width]` rounded up, as with PyTorch's `ceil_mode`.
    ///
    /// As [`Window::output`] with `ceil` instead of `floor`, but as in PyTorch a last window that would start in the padding
    /// after the input is left out.
    ///
    /// # Errors
    /// As [`Window::output`].
    pub fn output_ceil(&self, input: [usize; 2]) -> Result<[usize; 2]> {
        self.output_rounded(input, true)
    }

    pub(crate) fn output_rounded(&self, input: [usize; 2], ceil: bool) -> Result<[usize; 2]> {
        let mut output = [0; 2];
        for axis in 0..2 {
            let [before, after] = self.pads()[axis];
            let stride = self.stride[axis];
            let numbers = [self.kernel[axis], stride, self.dilation[axis]];
            if numbers.contains(&0) || numbers.into_iter().chain([before, after]).any(|n| n > MAX_SIZE) {
                let reason = format!(
                    "kernel, stride and dilation must be at least 1, and no size may exceed {MAX_SIZE}, got {self:?}"
                );
                return Err(Error::invalid("window", reason));
            }
            let most = MAX_PADDING.max(input[axis]);
            if before.max(after) > most {
                return Err(Error::invalid("window", format!("has a padding above {most}, got {self:?}")));
            }
            let span = self.span()[axis];
            let padded = input[axis].saturating_add(before + after);
            if input[axis] == 0 || padded < span {
                let side = ["height", "width"][axis];
                return Err(Error::invalid(
                    "window",
                    format!("spans {span} pixels, but the input's {side} with padding is {padded}"),
                ));
            }
            output[axis] = (padded - span) / stride + 1;
            let begins_inside = output[axis].saturating_mul(stride) < input[axis].saturating_add(before);
            if ceil && !(padded - span).is_multiple_of(stride) && begins_inside {
                output[axis] += 1;
            }
        }
        Ok(output)
    }

    /// The output positions along `axis` at which a tap lies inside an input of length `input`: the first, one past the last,
    /// and the input index at the first.
    pub(crate) fn inside(&self, axis: usize, tap: usize, input: usize, output: usize) -> (usize, usize, usize) {
        let before = self.pads()[axis][0];
        let (stride, offset) = (self.stride[axis], tap * self.dilation[axis]);
        let first = before.saturating_sub(offset).div_ceil(stride);
        let end = if input + before > offset { (input + before - offset - 1) / stride + 1 } else { 0 };
        let end = end.min(output);
        if first >= end { (0, 0, 0) } else { (first, end, first * stride + offset - before) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_puts_the_odd_pixel_at_the_end() {
        let padding = Padding::same([224, 224], [3, 3], [2, 2]);
        assert_eq!(padding, Padding { top: 0, bottom: 1, left: 0, right: 1 });
        assert_eq!(Window::square(3).stride(2).padding(padding).output([224, 224]).unwrap(), [112, 112]);
        assert_eq!(Padding::same([211, 390], [7, 14], [3, 3]), Padding { top: 3, bottom: 3, left: 5, right: 6 });
    }

    #[test]
    fn ceil_mode_leaves_out_a_window_that_starts_in_the_padding() {
        let window = Window::square(2).stride(2).padding(Padding::all(1));
        assert_eq!(window.output([3, 3]).unwrap(), [2, 2]);
        assert_eq!(window.output_ceil([3, 4]).unwrap(), [2, 3]);
        assert_eq!(Window::square(1).stride(3).padding(Padding::all(1)).output_ceil([4, 4]).unwrap(), [2, 2]);
    }

    #[test]
    fn inside_equals_a_count() {
        for input in 1..9 {
            for kernel in 1..5 {
                for stride in 1..4 {
                    for dilation in 1..3 {
                        for (before, after) in [(0, 0), (1, 0), (0, 2), (3, 1)] {
                            let padding = Padding { left: before, right: after, ..Padding::default() };
                            let window =
                                Window { kernel: [1, kernel], stride: [1, stride], dilation: [1, dilation], padding };
                            let Ok([_, output]) = window.output([1, input]) else { continue };
                            for tap in 0..kernel {
                                let at = |o: usize| (o * stride + tap * dilation).checked_sub(before);
                                let hits: Vec<_> = (0..output).filter(|&o| at(o).is_some_and(|i| i < input)).collect();
                                let (first, end, from) = window.inside(1, tap, input, output);
                                assert_eq!((first..end).collect::<Vec<_>>(), hits);
                                assert!(hits.is_empty() || at(first) == Some(from));
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn huge_sizes_are_errors_and_do_not_overflow() {
        let huge = usize::MAX;
        for window in [
            Window::square(huge),
            Window::square(3).stride(huge),
            Window::square(3).dilations([huge, huge]),
            Window::square(huge).dilations([huge, huge]),
            Window::square(3).padding(Padding::all(huge)),
        ] {
            assert!(window.span().iter().all(|&span| span >= 3));
            assert!(window.output_ceil([9, 9]).is_err() && window.output([9, 9]).is_err(), "{window:?}");
        }
        assert_eq!(Window::square(3).output_ceil([huge, huge]).unwrap(), [huge - 2; 2]);
        assert_eq!(Window::square(1).padding(Padding::all(1)).output([huge, 1]).unwrap(), [huge, 3]);
        assert_eq!(Window::square(3).dilations([huge, 2]).span(), [huge, 5]);
        let _ = Padding::same([huge, 1], [huge, huge], [1, huge]);
    }

    #[test]
    fn a_window_larger_than_its_input_is_an_error() {
        assert!(Window::square(5).output([4, 9]).unwrap_err().to_string().contains("height"));
        assert!(Window::square(0).output([4, 9]).is_err());
        assert!(Window::square(3).stride(0).output([4, 9]).is_err());
    }
}
