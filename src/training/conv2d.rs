//! A trainable convolution.

use candle_core::{CpuStorage, CustomOp3, DType, Layout, Module, Shape, Tensor};
use candle_nn::{Conv2dConfig, Init, VarBuilder};
use rayon::prelude::*;

use crate::ops::{self, FrozenOp, Padding, contiguous, with_values};

/// A trainable two-dimensional convolution that replaces [`candle_nn::Conv2d`].
///
/// Values equal candle's, and so do gradients for square images. For other images candle's own gradients are wrong; they are also
/// several times slower (see `examples/training_step.rs`). On devices other than the CPU, this type uses candle's convolution.
#[derive(Clone, Debug)]
pub struct TrainableConv2d {
    weight: Tensor,
    bias: Tensor,
    config: Conv2dConfig,
}

/// Creates a convolution with the variables `weight` `[outputs, channels / groups, kernel, kernel]` and `bias` `[outputs]` in `vb`.
///
/// It replaces [`candle_nn::conv2d`] and has the same arguments:
///
/// ```
/// use metamers::candle::{DType, Device, Module, Tensor};
/// use metamers::candle_nn::{Conv2dConfig, VarBuilder, VarMap};
/// use metamers::training::conv2d;
///
/// let vars = VarMap::new();
/// let vb = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
/// let conv1 = conv2d(3, 16, 5, Conv2dConfig { stride: 2, padding: 2, ..Default::default() }, vb.pp("conv1"))?;
/// let y = conv1.forward(&Tensor::zeros((8, 3, 32, 32), DType::F32, &Device::Cpu)?)?;
/// assert_eq!(y.dims(), [8, 16, 16, 16]);
/// # Ok::<(), metamers::Error>(())
/// ```
///
/// # Errors
/// Fails if `vb` has variables with these names and other shapes, or if `channels` is not a multiple of `groups`.
pub fn conv2d(
    channels: usize,
    outputs: usize,
    kernel: usize,
    config: Conv2dConfig,
    vb: VarBuilder,
) -> candle_core::Result<TrainableConv2d> {
    if config.groups == 0 || !channels.is_multiple_of(config.groups) {
        candle_core::bail!("conv2d: {channels} channels are not divisible into {} groups", config.groups);
    }
    let shape = (outputs, channels / config.groups, kernel, kernel);
    let weight = vb.get_with_hints(shape, "weight", candle_nn::init::DEFAULT_KAIMING_NORMAL)?;
    let bias = vb.get_with_hints(outputs, "bias", Init::Const(0.0))?;
    Ok(TrainableConv2d { weight, bias, config })
}

/// Converts candle's configuration to that of [`ops::Conv2d`].
fn to_config(config: &Conv2dConfig) -> ops::Conv2dConfig {
    let Conv2dConfig { padding, stride, dilation, groups, .. } = *config;
    ops::Conv2dConfig { stride: [stride; 2], dilation: [dilation; 2], padding: Padding::all(padding), groups }
}

impl Module for TrainableConv2d {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        if !x.device().is_cpu() || x.dtype() != DType::F32 {
            return candle_nn::Conv2d::new(self.weight.clone(), Some(self.bias.clone()), self.config).forward(x);
        }
        let frozen = ops::Conv2d::new(&self.weight, Some(&self.bias), to_config(&self.config));
        let op = Conv2dOp(frozen.map_err(candle_core::Error::wrap)?);
        x.contiguous()?.apply_op3(&self.weight, &self.bias, op)
    }
}

/// A convolution with the current weights, and its three gradients. Each input of the batch is one task, and sums over the batch
/// have a fixed order, so the bits do not depend on the number of threads.
struct Conv2dOp(ops::Conv2d);

/// The shape of one input of the batch.
fn shape_of_one(shape: &[usize]) -> Vec<usize> {
    [&[1], &shape[1..]].concat()
}

impl CustomOp3 for Conv2dOp {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let shape = layout.dims();
        let out = self.0.output_shape(shape).map_err(candle_core::Error::wrap)?;
        let (x, one) = (contiguous(x, layout)?, shape_of_one(shape));
        let mut y = vec![0.0; out.iter().product()];
        let (size, out_size) = (x.len() / shape[0].max(1), y.len() / shape[0].max(1));
        y.par_chunks_mut(out_size.max(1))
            .zip(x.par_chunks(size.max(1)))
            .for_each(|(y, x)| self.0.forward_one(x, &one, y));
        Ok((CpuStorage::F32(y), Shape::from(out)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let one = shape_of_one(x.dims());
        // At least 1, for chunks of an empty batch.
        let size_of_one = |tensor: &Tensor| (tensor.elem_count() / tensor.dims()[0].max(1)).max(1);
        let (size, out_size) = (size_of_one(x), size_of_one(y));
        let plane: usize = y.dims()[2..].iter().product();
        let gradient = gradient.contiguous()?;
        with_values(x, |values| {
            with_values(&gradient, |gradient| {
                // The gradient of the first layer's input, the images, is not needed.
                let input_gradient = x.track_op().then(|| {
                    let mut input_gradient = vec![0.0; values.len()];
                    let inputs = input_gradient.par_chunks_mut(size).zip(gradient.par_chunks(out_size));
                    inputs.for_each(|(input_gradient, g)| self.0.backward_one(g, &one, input_gradient));
                    input_gradient
                });
                let inputs = values.par_chunks(size).zip(gradient.par_chunks(out_size));
                let weight_gradients: Vec<_> = inputs.map(|(x, g)| self.0.weight_gradient_one(x, g, &one)).collect();
                let mut weight_gradient = vec![0.0; weight.elem_count()];
                for term in &weight_gradients {
                    weight_gradient.iter_mut().zip(term).for_each(|(sum, &term)| *sum += term);
                }
                let mut bias_gradient = vec![0.0; bias.elem_count()];
                for planes in gradient.chunks(out_size) {
                    let sums = planes.chunks(plane).map(|plane| plane.iter().sum::<f32>());
                    bias_gradient.iter_mut().zip(sums).for_each(|(sum, term)| *sum += term);
                }
                let input_gradient = input_gradient
                    .map(|input_gradient| Tensor::from_vec(input_gradient, x.shape(), x.device()))
                    .transpose()?;
                let weight_gradient = Tensor::from_vec(weight_gradient, weight.shape(), weight.device())?;
                let bias_gradient = Tensor::from_vec(bias_gradient, bias.shape(), bias.device())?;
                Ok((input_gradient, Some(weight_gradient), Some(bias_gradient)))
            })
        })
    }
}
