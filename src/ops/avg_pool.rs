//! Average pooling.

use candle_core::Tensor;
use rayon::prelude::*;

use super::fallback::taps;
use super::frozen::{FrozenOp, Locality};
use super::window::Window;
use crate::{Error, Result};

/// Average pooling: the mean under each window, `[batch, channels, height, width]`.
///
/// As in PyTorch, the divisor is the number of the window's pixels inside the padded image, or, with
/// [`AvgPool2d::exclude_padding`], inside the image itself. Pixels beyond the padding, which a window can reach with `ceil_mode`,
/// never count.
#[derive(Clone, Copy, Debug)]
pub struct AvgPool2d {
    window: Window,
    ceil: bool,
    count_padding: bool,
}

impl AvgPool2d {
    /// A pool with this window, which includes the padding in the mean.
    #[must_use]
    pub fn new(window: Window) -> Self {
        Self { window, ceil: false, count_padding: true }
    }

    /// Rounds the output size up, as PyTorch's `ceil_mode`.
    #[must_use]
    pub fn ceil_mode(mut self) -> Self {
        self.ceil = true;
        self
    }

    /// Excludes the padding from the mean, as PyTorch's `count_include_pad=False`.
    #[must_use]
    pub fn exclude_padding(mut self) -> Self {
        self.count_padding = false;
        self
    }

    /// The window of the pool.
    #[must_use]
    pub fn window(&self) -> Window {
        self.window
    }

    /// Returns whether all windows have the same divisor.
    pub(crate) fn is_simple(&self) -> bool {
        !self.ceil && (self.count_padding || self.window.padding == Default::default())
    }

    /// The extent of window `at` along an axis: its pixels inside the image, and the number of pixels in the divisor.
    fn extent(&self, at: usize, axis: usize, size: usize) -> (std::ops::Range<usize>, usize) {
        let p = self.window.padding;
        let (before, after) = [(p.top, p.bottom), (p.left, p.right)][axis];
        let start = at * self.window.stride[axis];
        let end = (start + self.window.kernel[axis]).min(before + size + after);
        let inside = start.saturating_sub(before)..end.saturating_sub(before).min(size);
        let counted = if self.count_padding { end.saturating_sub(start) } else { inside.len() };
        (inside, counted)
    }

    /// Calls `f(output index, input index, weight)` for each pixel under each window of one plane.
    fn each_pixel(&self, [height, width]: [usize; 2], mut f: impl FnMut(usize, usize, f32)) {
        let [out_height, out_width] = self.window.output_rounded([height, width], self.ceil).unwrap_or_default();
        for oy in 0..out_height {
            let (rows, down) = self.extent(oy, 0, height);
            for ox in 0..out_width {
                let (columns, across) = self.extent(ox, 1, width);
                let weight = 1.0 / (down * across) as f32;
                for y in rows.clone() {
                    for x in columns.clone() {
                        f(oy * out_width + ox, y * width + x, weight);
                    }
                }
            }
        }
    }
}

impl FrozenOp for AvgPool2d {
    fn name(&self) -> &'static str {
        "average pool"
    }

    fn fingerprint_data(&self) -> (Vec<usize>, Vec<&[f32]>) {
        let mut numbers = self.window.numbers();
        numbers.extend([usize::from(self.ceil), usize::from(self.count_padding)]);
        (numbers, vec![])
    }

    fn locality(&self) -> Locality {
        Locality::Window(self.window)
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let &[batch, channels, height, width] = shape else {
            return Err(Error::shape("the input of average pool", "[batch, channels, height, width]", shape));
        };
        let (p, kernel) = (self.window.padding, self.window.kernel);
        if self.window.dilation != [1, 1] || p.top.max(p.bottom) >= kernel[0] || p.left.max(p.right) >= kernel[1] {
            let reason = format!("needs dilation 1 and padding smaller than the kernel, got {:?}", self.window);
            return Err(Error::invalid("average pool", reason));
        }
        let [height, width] = self.window.output_rounded([height, width], self.ceil)?;
        Ok(vec![batch, channels, height, width])
    }

    fn forward(&self, input: &[f32], shape: &[usize]) -> Vec<f32> {
        let size = [shape[2], shape[3]];
        let [height, width] = self.window.output_rounded(size, self.ceil).unwrap_or_default();
        let mut output = vec![0.0; shape[0] * shape[1] * height * width];
        let planes = output.par_chunks_mut(height * width).zip(input.par_chunks(size[0] * size[1]));
        planes.for_each(|(output, input)| self.each_pixel(size, |o, i, weight| output[o] += weight * input[i]));
        output
    }

    fn backward(&self, _: &[f32], _: &[f32], gradient: &[f32], shape: &[usize]) -> Vec<f32> {
        let size = [shape[2], shape[3]];
        let plane = self.window.output_rounded(size, self.ceil).map_or(1, |[height, width]| height * width);
        let mut input_gradient = vec![0.0; shape.iter().product()];
        let planes = input_gradient.par_chunks_mut(size[0] * size[1]).zip(gradient.par_chunks(plane));
        planes.for_each(|(input_gradient, gradient)| {
            self.each_pixel(size, |o, i, weight| input_gradient[i] += weight * gradient[o])
        });
        input_gradient
    }

    fn has_fallback(&self) -> bool {
        true
    }

    fn tangent(&self, _: &[f32], _: &[f32], tangent: &[f32], shape: &[usize]) -> Option<Vec<f32>> {
        Some(self.forward(tangent, shape))
    }

    fn fallback(&self, x: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = x.dims4()?;
        let [down, across] = self.window.output_rounded([height, width], self.ceil)?;
        let counts = |axis: usize, size: usize, output: usize| (0..output).map(move |at| self.extent(at, axis, size).1);
        let weights = counts(0, height, down).flat_map(|d| counts(1, width, across).map(move |a| 1.0 / (d * a) as f32));
        let weights = Tensor::from_vec(weights.collect::<Vec<_>>(), (1, 1, down, across), x.device())?;
        let mut sum = Tensor::zeros_like(&weights)?;
        for tap in taps(x, &self.window, [down, across])? {
            sum = sum.broadcast_add(&tap.or_zero()?)?;
        }
        Ok(sum.broadcast_mul(&weights)?)
    }
}
