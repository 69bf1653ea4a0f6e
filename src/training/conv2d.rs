//! The convolution that is trained.

use candle_core::{CpuStorage, CustomOp3, DType, Layout, Module, Shape, Tensor};
use candle_nn::{Conv2dConfig, Init, VarBuilder};
use rayon::prelude::*;

use crate::ops::{self, FrozenOp, Padding, contiguous, with_values};

/// A two-dimensional convolution whose weights are trained, in the place of [`candle_nn::Conv2d`].
///
/// Values and gradients are those of candle's own. Its gradients of a convolution are right for square pictures and fail for others; they also
/// take several times as long (`examples/training_step.rs` measures it). On another device than the CPU this one is candle's.
#[derive(Clone, Debug)]
pub struct TrainableConv2d {
    weight: Tensor,
    bias: Tensor,
    config: Conv2dConfig,
}

/// A convolution with the variables `weight` `[outputs, channels / groups, kernel, kernel]` and `bias` `[outputs]` of `vb`.
///
/// It takes the place of [`candle_nn::conv2d`], with the same arguments:
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
/// When `vb` holds variables of these names and other shapes, or channels cannot be split into `groups`.
pub fn conv2d(
    channels: usize,
    outputs: usize,
    kernel: usize,
    config: Conv2dConfig,
    vb: VarBuilder,
) -> candle_core::Result<TrainableConv2d> {
    if config.groups == 0 || !channels.is_multiple_of(config.groups) {
        candle_core::bail!("conv2d: {channels} channels cannot be split into {} groups", config.groups);
    }
    let shape = (outputs, channels / config.groups, kernel, kernel);
    let weight = vb.get_with_hints(shape, "weight", candle_nn::init::DEFAULT_KAIMING_NORMAL)?;
    let bias = vb.get_with_hints(outputs, "bias", Init::Const(0.0))?;
    Ok(TrainableConv2d { weight, bias, config })
}

/// candle's way of saying how a convolution slides, in ours.
fn sliding(config: &Conv2dConfig) -> ops::Conv2dConfig {
    let Conv2dConfig { padding, stride, dilation, groups, .. } = *config;
    ops::Conv2dConfig { stride: [stride; 2], dilation: [dilation; 2], padding: Padding::all(padding), groups }
}

impl Module for TrainableConv2d {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        if !x.device().is_cpu() || x.dtype() != DType::F32 {
            return candle_nn::Conv2d::new(self.weight.clone(), Some(self.bias.clone()), self.config).forward(x);
        }
        let frozen = ops::Conv2d::new(&self.weight, Some(&self.bias), sliding(&self.config));
        let op = Trained(frozen.map_err(candle_core::Error::wrap)?);
        x.contiguous()?.apply_op3(&self.weight, &self.bias, op)
    }
}

/// The convolution with the weights of this step, and its three gradients. Each input of the batch is one task, and sums over the
/// batch run in its order: the bits do not depend on the number of threads.
struct Trained(ops::Conv2d);

/// The shape of one input of a batch.
fn one(shape: &[usize]) -> Vec<usize> {
    [&[1], &shape[1..]].concat()
}

impl CustomOp3 for Trained {
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
        let (x, one) = (contiguous(x, layout)?, one(shape));
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
        let (shape, one) = (x.dims(), one(x.dims()));
        let batch = shape[0];
        let (size, out_size) = (x.elem_count() / batch, y.elem_count() / batch);
        let plane: usize = y.dims()[2..].iter().product();
        let gradient = gradient.contiguous()?;
        with_values(x, |values| {
            with_values(&gradient, |gradient| {
                // Pictures are no variables: nobody asks for the gradient of the first layer's input.
                let pulled = x.track_op().then(|| {
                    let mut pulled = vec![0.0; values.len()];
                    let each = pulled.par_chunks_mut(size).zip(gradient.par_chunks(out_size));
                    each.for_each(|(pulled, g)| self.0.backward_one(g, &one, pulled));
                    pulled
                });
                let each = values.par_chunks(size).zip(gradient.par_chunks(out_size));
                let each: Vec<_> = each.map(|(x, g)| self.0.weight_gradient_one(x, g, &one)).collect();
                let mut of_weight = vec![0.0; weight.elem_count()];
                for one in &each {
                    of_weight.iter_mut().zip(one).for_each(|(sum, &one)| *sum += one);
                }
                let mut of_bias = vec![0.0; bias.elem_count()];
                for planes in gradient.chunks(out_size) {
                    let sums = planes.chunks(plane).map(|plane| plane.iter().sum::<f32>());
                    of_bias.iter_mut().zip(sums).for_each(|(sum, one)| *sum += one);
                }
                let pulled = pulled.map(|pulled| Tensor::from_vec(pulled, x.shape(), x.device())).transpose()?;
                let of_weight = Tensor::from_vec(of_weight, weight.shape(), weight.device())?;
                let of_bias = Tensor::from_vec(of_bias, bias.shape(), bias.device())?;
                Ok((pulled, Some(of_weight), Some(of_bias)))
            })
        })
    }
}
