//! Two-dimensional convolution.

use std::sync::Arc;

use candle_core::Tensor;
use rayon::prelude::*;

use super::depthwise;
use super::fallback::{Tap, taps};
use super::frozen::{FrozenOp, Locality, values};
use super::matmul::{Matrix, multiply};
use super::window::{Padding, Window};
use crate::{Error, Result};

/// Stride, dilation, padding and groups of a [`Conv2d`]; pairs are `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dConfig {
    /// Input pixels between adjacent outputs.
    pub stride: [usize; 2],
    /// Distance between adjacent taps of the kernel.
    pub dilation: [usize; 2],
    /// Zero padding around the input.
    pub padding: Padding,
    /// The number of independent groups that the channels are split into.
    pub groups: usize,
}

impl Default for Conv2dConfig {
    fn default() -> Self {
        Self { stride: [1, 1], dilation: [1, 1], padding: Padding::default(), groups: 1 }
    }
}

/// A two-dimensional convolution (cross-correlation, as in PyTorch) with frozen weights.
///
/// Input `[batch, channels, height, width]`, weight `[outputs, channels / groups, kernel height, kernel width]`,
/// bias `[outputs]`. Depthwise convolutions (one input channel a group) run directly, all others as
/// matrix products of im2col columns.
///
/// ```
/// use metamers::candle::{DType, Device, Tensor};
/// use metamers::ops::{Conv2d, Conv2dConfig, Frozen};
///
/// let weight = Tensor::ones((8, 3, 5, 5), DType::F32, &Device::Cpu)?;
/// let conv = Conv2d::new(&weight, None, Conv2dConfig { stride: [2, 2], ..Default::default() })?;
/// let y = conv.apply(&Tensor::zeros((1, 3, 32, 32), DType::F32, &Device::Cpu)?)?;
/// assert_eq!(y.dims(), [1, 8, 14, 14]);
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone)]
pub struct Conv2d {
    pub(super) weight: Arc<[f32]>,
    pub(super) bias: Option<Arc<[f32]>>,
    pub(super) window: Window,
    groups: usize,
    outputs: usize,
    /// Input channels of one group.
    depth: usize,
}

impl std::fmt::Debug for Conv2d {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (channels, [height, width]) = (self.depth * self.groups, self.window.kernel);
        write!(f, "Conv2d({channels} -> {}, {height} x {width}, groups {})", self.outputs, self.groups)
    }
}

/// The sizes of one group's matrices: weight m x k, columns k x n, output m x n.
struct Sizes {
    m: usize,
    k: usize,
    n: usize,
    input: [usize; 2],
    output: [usize; 2],
}

impl Conv2d {
    /// A convolution with this weight and bias.
    ///
    /// # Errors
    /// When shapes and groups are inconsistent or values are not float32.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>, config: Conv2dConfig) -> Result<Self> {
        let &[outputs, depth, height, width] = weight.dims() else {
            let expected = "[outputs, channels / groups, height, width]";
            return Err(Error::shape("the weight of conv2d", expected, weight.dims()));
        };
        let Conv2dConfig { stride, dilation, padding, groups } = config;
        if groups == 0 || outputs % groups != 0 || weight.elem_count() == 0 {
            let reason =
                format!("{outputs} outputs cannot be split into {groups} groups of weight {:?}", weight.dims());
            return Err(Error::invalid("conv2d", reason));
        }
        if let Some(bias) = bias
            && bias.dims() != [outputs]
        {
            return Err(Error::shape("the bias of conv2d", format!("[{outputs}]"), bias.dims()));
        }
        let bias = bias.map(values).transpose()?.map(Into::into);
        let window = Window { kernel: [height, width], stride, dilation, padding };
        Ok(Self { weight: values(weight)?.into(), bias, window, groups, outputs, depth })
    }

    /// The window of the kernel.
    #[must_use]
    pub fn window(&self) -> Window {
        self.window
    }

    /// A convolution with another stride that shares these weights.
    #[must_use]
    pub fn with_stride(&self, stride: [usize; 2]) -> Self {
        Self { window: self.window.strides(stride), ..self.clone() }
    }

    pub(crate) fn weight(&self) -> &Arc<[f32]> {
        &self.weight
    }

    pub(crate) fn bias(&self) -> Option<&Arc<[f32]>> {
        self.bias.as_ref()
    }

    /// The numbers of outputs, of input channels of a group, and of groups.
    pub(crate) fn sizes_of_weight(&self) -> [usize; 3] {
        [self.outputs, self.depth, self.groups]
    }

    fn sizes(&self, shape: &[usize]) -> Sizes {
        let input = [shape[2], shape[3]];
        let output = self.window.output(input).unwrap_or_default();
        let [height, width] = self.window.kernel;
        let (m, k) = (self.outputs / self.groups, self.depth * height * width);
        Sizes { m, k, n: output[0] * output[1], input, output }
    }

    fn is_pointwise(&self) -> bool {
        let unit = Window::square(1);
        self.window.kernel == unit.kernel && self.window.stride == unit.stride && self.window.padding == unit.padding
    }

    fn add_bias(&self, output: &mut [f32], n: usize) {
        if let Some(bias) = &self.bias {
            output.par_chunks_mut(n).enumerate().for_each(|(i, plane)| {
                let b = bias[i % self.outputs];
                plane.iter_mut().for_each(|y| *y += b);
            });
        }
    }
}

impl FrozenOp for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn fingerprint_data(&self) -> (Vec<usize>, Vec<&[f32]>) {
        let bias = self.bias.as_deref();
        let mut numbers = self.window.numbers();
        numbers.extend([self.groups, self.outputs, self.depth, usize::from(bias.is_some())]);
        (numbers, vec![&self.weight, bias.unwrap_or_default()])
    }

    fn num_parameters(&self) -> usize {
        self.weight.len() + self.bias.as_ref().map_or(0, |b| b.len())
    }

    fn shared_weights(&self) -> Option<&[f32]> {
        Some(&self.weight)
    }

    fn macs(&self, output_shape: &[usize]) -> u64 {
        self.weight.len() as u64 * output_shape[1] as u64 * output_shape[2] as u64
    }

    fn locality(&self) -> Locality {
        Locality::Window(self.window)
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let channels = self.depth * self.groups;
        match shape {
            &[batch, c, height, width] if c == channels => {
                let [height, width] = self.window.output([height, width])?;
                Ok(vec![batch, self.outputs, height, width])
            }
            _ => Err(Error::shape("the input of conv2d", format!("[batch, {channels}, height, width]"), shape)),
        }
    }

    fn forward(&self, input: &[f32], shape: &[usize]) -> Vec<f32> {
        let s = self.sizes(shape);
        let mut output = vec![0.0; shape[0] * self.outputs * s.n];
        if self.depth == 1 {
            depthwise::forward(self, input, s.input, &mut output, s.output, s.m);
            return output;
        }
        let weights = self.weight.chunks(s.m * s.k);
        let (per_group, plane) = (self.depth * s.input[0] * s.input[1], s.m * s.n);
        let groups = input.chunks(per_group).zip(output.chunks_mut(plane)).zip(weights.cycle());
        if self.is_pointwise() {
            for ((input, output), weight) in groups {
                multiply([s.m, s.k, s.n], Matrix::rows(weight, s.k), Matrix::rows(input, s.n), output);
            }
        } else {
            let mut columns = vec![0.0; s.k * s.n];
            for ((input, output), weight) in groups {
                self.im2col(input, &s, &mut columns);
                multiply([s.m, s.k, s.n], Matrix::rows(weight, s.k), Matrix::rows(&columns, s.n), output);
            }
        }
        self.add_bias(&mut output, s.n);
        output
    }

    fn backward(&self, _: &[f32], _: &[f32], gradient: &[f32], shape: &[usize]) -> Vec<f32> {
        let s = self.sizes(shape);
        let mut input_gradient = vec![0.0; shape.iter().product()];
        if self.depth == 1 {
            depthwise::backward(self, &mut input_gradient, s.input, gradient, s.output, s.m);
            return input_gradient;
        }
        let weights = self.weight.chunks(s.m * s.k);
        let (per_group, plane) = (self.depth * s.input[0] * s.input[1], s.m * s.n);
        let groups = input_gradient.chunks_mut(per_group).zip(gradient.chunks(plane)).zip(weights.cycle());
        for ((input_gradient, gradient), weight) in groups {
            let (weight, gradient) = (Matrix::rows(weight, s.k).transposed(), Matrix::rows(gradient, s.n));
            if self.is_pointwise() {
                multiply([s.k, s.m, s.n], weight, gradient, input_gradient);
            } else {
                let mut columns = vec![0.0; s.k * s.n];
                multiply([s.k, s.m, s.n], weight, gradient, &mut columns);
                self.col2im(&columns, &s, input_gradient);
            }
        }
        input_gradient
    }

    fn has_fallback(&self) -> bool {
        true
    }

    fn tangent(&self, _: &[f32], _: &[f32], tangent: &[f32], shape: &[usize]) -> Option<Vec<f32>> {
        Some(Self { bias: None, ..self.clone() }.forward(tangent, shape))
    }

    fn fallback(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, _, height, width) = x.dims4()?;
        let s = self.sizes(&[batch, 0, height, width]);
        let taps = taps(x, &self.window, s.output)?.iter().map(Tap::or_zero).collect::<Result<Vec<_>>>()?;
        let columns = Tensor::stack(&taps, 2)?.reshape((batch, self.groups, s.k, s.n))?;
        let weight = Tensor::from_slice(&self.weight, (1, self.groups, s.m, s.k), x.device())?;
        let y = weight.broadcast_matmul(&columns)?.reshape((batch, self.outputs, s.output[0], s.output[1]))?;
        match &self.bias {
            Some(bias) => Ok(y.broadcast_add(&Tensor::from_slice(bias, (1, self.outputs, 1, 1), x.device())?)?),
            None => Ok(y),
        }
    }
}

impl Conv2d {
    /// The output for one input, on one thread: training already runs the inputs of a batch in parallel.
    pub(crate) fn forward_one(&self, input: &[f32], shape: &[usize], output: &mut [f32]) {
        let s = self.sizes(shape);
        let mut columns = vec![0.0; s.k * s.n];
        let per_group = self.depth * s.input[0] * s.input[1];
        let groups = input.chunks(per_group).zip(output.chunks_mut(s.m * s.n)).zip(self.weight.chunks(s.m * s.k));
        for ((input, output), weight) in groups {
            columns.chunks_mut(s.n).enumerate().for_each(|(row, columns)| self.im2col_row(row, input, &s, columns));
            multiply([s.m, s.k, s.n], Matrix::rows(weight, s.k), Matrix::rows(&columns, s.n), output);
        }
        let bias = self.bias.iter().flat_map(|bias| bias.iter());
        output.chunks_mut(s.n).zip(bias).for_each(|(plane, b)| plane.iter_mut().for_each(|y| *y += b));
    }

    /// The gradient with respect to one input, on one thread.
    pub(crate) fn backward_one(&self, gradient: &[f32], shape: &[usize], input_gradient: &mut [f32]) {
        let s = self.sizes(shape);
        let mut columns = vec![0.0; s.k * s.n];
        let plane = s.input[0] * s.input[1];
        let groups = input_gradient.chunks_mut(self.depth * plane).zip(gradient.chunks(s.m * s.n));
        for ((input_gradient, gradient), weight) in groups.zip(self.weight.chunks(s.m * s.k)) {
            let weight = Matrix::rows(weight, s.k).transposed();
            multiply([s.k, s.m, s.n], weight, Matrix::rows(gradient, s.n), &mut columns);
            let planes = input_gradient.chunks_mut(plane).enumerate();
            planes.for_each(|(channel, input_gradient)| self.col2im_channel(channel, &columns, &s, input_gradient));
        }
    }

    /// The gradient with respect to the weight for one input, on one thread. Only training needs it.
    pub(crate) fn weight_gradient_one(&self, input: &[f32], gradient: &[f32], shape: &[usize]) -> Vec<f32> {
        let s = self.sizes(shape);
        let mut weight_gradient = vec![0.0; self.weight.len()];
        let mut columns = vec![0.0; s.k * s.n];
        let per_group = self.depth * s.input[0] * s.input[1];
        let groups = input.chunks(per_group).zip(gradient.chunks(s.m * s.n)).zip(weight_gradient.chunks_mut(s.m * s.k));
        for ((input, gradient), weight_gradient) in groups {
            columns.chunks_mut(s.n).enumerate().for_each(|(row, columns)| self.im2col_row(row, input, &s, columns));
            let columns = Matrix::rows(&columns, s.n).transposed();
            multiply([s.m, s.n, s.k], Matrix::rows(gradient, s.n), columns, weight_gradient);
        }
        weight_gradient
    }

    /// im2col: a row for each weight of a kernel, with the input pixel that each output multiplies by it.
    fn im2col(&self, input: &[f32], s: &Sizes, columns: &mut [f32]) {
        columns.par_chunks_mut(s.n).enumerate().for_each(|(row, columns)| self.im2col_row(row, input, s, columns));
    }

    fn im2col_row(&self, row: usize, input: &[f32], s: &Sizes, columns: &mut [f32]) {
        let [taps_down, taps_across] = self.window.kernel;
        let [height, width] = s.input;
        let [_, out_width] = s.output;
        let (channel, tap) = (row / (taps_down * taps_across), row % (taps_down * taps_across));
        let input = &input[channel * height * width..][..height * width];
        columns.fill(0.0);
        self.for_each_row(tap, s, |out_row, first, end, in_row, from| {
            let columns = &mut columns[out_row * out_width..][first..end];
            let pixels = input[in_row * width + from..].iter().step_by(self.window.stride[1]);
            columns.iter_mut().zip(pixels).for_each(|(c, &x)| *c = x);
        });
    }

    /// col2im, the transpose of [`Conv2d::im2col`]: adds each column to the pixel that it came from.
    fn col2im(&self, columns: &[f32], s: &Sizes, input_gradient: &mut [f32]) {
        let planes = input_gradient.par_chunks_mut(s.input[0] * s.input[1]).enumerate();
        planes.for_each(|(channel, input_gradient)| self.col2im_channel(channel, columns, s, input_gradient));
    }

    fn col2im_channel(&self, channel: usize, columns: &[f32], s: &Sizes, input_gradient: &mut [f32]) {
        let taps = self.window.kernel[0] * self.window.kernel[1];
        let width = s.input[1];
        let [_, out_width] = s.output;
        for tap in 0..taps {
            let columns = &columns[(channel * taps + tap) * s.n..][..s.n];
            self.for_each_row(tap, s, |out_row, first, end, in_row, from| {
                let columns = &columns[out_row * out_width..][first..end];
                let pixels = input_gradient[in_row * width + from..].iter_mut().step_by(self.window.stride[1]);
                columns.iter().zip(pixels).for_each(|(&c, x)| *x += c);
            });
        }
    }

    /// Calls `f(output row, first column, end column, input row, first input column)` for each row of outputs at which a
    /// tap of the kernel lies inside the image.
    fn for_each_row(&self, tap: usize, s: &Sizes, mut f: impl FnMut(usize, usize, usize, usize, usize)) {
        let (down, across) = (tap / self.window.kernel[1], tap % self.window.kernel[1]);
        let (top, bottom, in_top) = self.window.inside(0, down, s.input[0], s.output[0]);
        let (first, end, from) = self.window.inside(1, across, s.input[1], s.output[1]);
        if first < end {
            for row in top..bottom {
                f(row, first, end, in_top + (row - top) * self.window.stride[0], from);
            }
        }
    }
}
