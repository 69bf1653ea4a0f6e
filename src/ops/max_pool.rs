//! Max pooling.

use candle_core::Tensor;
use rayon::prelude::*;

use super::fallback::taps;
use super::frozen::{FrozenOp, Locality};
use super::window::Window;
use crate::{Error, Result};

/// Max pooling: the maximum under each window, `[batch, channels, height, width]`; padding never wins.
///
/// As in PyTorch, the gradient goes to the first maximum in row-major order, and NaN counts as the maximum.
#[derive(Clone, Copy, Debug)]
pub struct MaxPool2d {
    window: Window,
    ceil: bool,
}

impl MaxPool2d {
    /// A pool with this window.
    #[must_use]
    pub fn new(window: Window) -> Self {
        Self { window, ceil: false }
    }

    /// Rounds the output size up, as PyTorch's `ceil_mode`.
    #[must_use]
    pub fn ceil_mode(mut self) -> Self {
        self.ceil = true;
        self
    }

    /// The window of the pool.
    #[must_use]
    pub fn window(&self) -> Window {
        self.window
    }

    /// Returns whether every window overlaps the image and the output size is rounded down.
    pub(crate) fn is_simple(&self) -> bool {
        !self.ceil && self.window.dilation == [1, 1]
    }

    /// Calls `f(output index, input index of the maximum)` for each window of one plane.
    fn each_maximum(&self, plane: &[f32], [height, width]: [usize; 2], mut f: impl FnMut(usize, usize)) {
        let w = &self.window;
        let [out_height, out_width] = w.output_rounded([height, width], self.ceil).unwrap_or_default();
        let inside = |at: usize, before: usize, limit: usize| at.checked_sub(before).filter(|&i| i < limit);
        for oy in 0..out_height {
            for ox in 0..out_width {
                let mut best: Option<usize> = None;
                for ky in 0..w.kernel[0] {
                    let Some(y) = inside(oy * w.stride[0] + ky * w.dilation[0], w.padding.top, height) else {
                        continue;
                    };
                    for kx in 0..w.kernel[1] {
                        let at = ox * w.stride[1] + kx * w.dilation[1];
                        let Some(x) = inside(at, w.padding.left, width) else { continue };
                        let index = y * width + x;
                        let wins = |best: usize| plane[index] > plane[best] || plane[index].is_nan();
                        if best.is_none_or(wins) {
                            best = Some(index);
                        }
                    }
                }
                if let Some(best) = best {
                    f(oy * out_width + ox, best);
                }
            }
        }
    }
}

impl FrozenOp for MaxPool2d {
    fn name(&self) -> &'static str {
        "max pool"
    }

    fn fingerprint_data(&self) -> (Vec<usize>, Vec<&[f32]>) {
        let mut numbers = self.window.numbers();
        numbers.push(self.ceil.into());
        (numbers, vec![])
    }

    fn locality(&self) -> Locality {
        Locality::Window(self.window)
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let &[batch, channels, height, width] = shape else {
            return Err(Error::shape("the input of max pool", "[batch, channels, height, width]", shape));
        };
        let (p, span) = (self.window.padding, self.window.span());
        if p.top.max(p.bottom) >= span[0] || p.left.max(p.right) >= span[1] {
            return Err(Error::invalid(
                "max pool",
                format!("padding must be smaller than the window, got {p:?} for windows of {span:?} pixels"),
            ));
        }
        let [height, width] = self.window.output_rounded([height, width], self.ceil)?;
        Ok(vec![batch, channels, height, width])
    }

    fn forward(&self, input: &[f32], shape: &[usize]) -> Vec<f32> {
        let size = [shape[2], shape[3]];
        let [height, width] = self.window.output_rounded(size, self.ceil).unwrap_or_default();
        // A dilated window can miss the image; its maximum is minus infinity.
        let mut output = vec![f32::NEG_INFINITY; shape[0] * shape[1] * height * width];
        let planes = output.par_chunks_mut(height * width).zip(input.par_chunks(size[0] * size[1]));
        planes.for_each(|(output, input)| self.each_maximum(input, size, |o, i| output[o] = input[i]));
        output
    }

    fn backward(&self, input: &[f32], _: &[f32], gradient: &[f32], shape: &[usize]) -> Vec<f32> {
        let size = [shape[2], shape[3]];
        let plane = self.window.output_rounded(size, self.ceil).map_or(1, |[height, width]| height * width);
        let mut input_gradient = vec![0.0; input.len()];
        let planes = input_gradient.par_chunks_mut(size[0] * size[1]).zip(input.par_chunks(size[0] * size[1]));
        planes.zip(gradient.par_chunks(plane)).for_each(|((input_gradient, input), gradient)| {
            self.each_maximum(input, size, |o, i| input_gradient[i] += gradient[o]);
        });
        input_gradient
    }

    fn has_fallback(&self) -> bool {
        true
    }

    fn tangent(&self, input: &[f32], _: &[f32], tangent: &[f32], shape: &[usize]) -> Option<Vec<f32>> {
        let size = [shape[2], shape[3]];
        let plane = self.window.output_rounded(size, self.ceil).map_or(1, |[height, width]| height * width);
        let mut output = vec![0.0; shape[0] * shape[1] * plane];
        let planes = output.par_chunks_mut(plane).zip(input.par_chunks(size[0] * size[1]));
        planes.zip(tangent.par_chunks(size[0] * size[1])).for_each(|((output, input), tangent)| {
            self.each_maximum(input, size, |o, i| output[o] = tangent[i]);
        });
        Some(output)
    }

    fn fallback(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, channels, height, width) = x.dims4()?;
        let output = self.window.output_rounded([height, width], self.ceil)?;
        let mut best = Tensor::full(f32::NEG_INFINITY, (batch, channels, output[0], output[1]), x.device())?;
        for tap in taps(x, &self.window, output)? {
            let (wins, nan) = (tap.pixels.gt(&best)?, tap.pixels.ne(&tap.pixels)?);
            best = ((wins + nan)? * &tap.inside)?.where_cond(&tap.pixels, &best)?;
        }
        Ok(best)
    }
}
