//! The file's input and its preprocessing.

use candle_core::{Device, Tensor};

use super::import::{Import, MAX_VALUES};
use super::unsupported::Outcome;
use super::{OnnxOptions, Preparation, proto};
use crate::network::NodeId;
use crate::ops::{ChannelAffine, Conv2d, Conv2dConfig};

/// Maximum side of an input in pixels.
const LONGEST: i64 = 1 << 16;

/// ONNX's data type for float32.
const FLOAT: i32 = 1;

/// The input's channels, height and width, and `true` if its layout is channels-last.
pub(super) fn input(slot: &proto::Slot, options: &OnnxOptions) -> Outcome<([usize; 3], bool)> {
    let tensor = slot.kind.as_ref().and_then(|kind| kind.tensor.as_ref()).ok_or("is not a tensor")?;
    if tensor.element != FLOAT {
        return Err(format!("is of ONNX's type {}; float32 (1) is supported", tensor.element).into());
    }
    let sizes = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.sizes);
    let sizes: Vec<Option<i64>> = sizes.iter().map(|size| size.value.filter(|&n| n > 0)).collect();
    let &[_, a, b, c] = sizes.as_slice() else {
        let reason = format!("has {} axes; [batch, channels, height, width] is supported", sizes.len());
        return Err(reason.into());
    };
    let colours = |n: Option<i64>| matches!(n, Some(1 | 3));
    let last = !colours(a) && colours(c);
    let (channels, stated) = if last { (c, [a, b]) } else { (a, [b, c]) };
    let channels = channels.ok_or("leaves its number of channels open")?;
    let mut size = [0, 0];
    for axis in 0..2 {
        let side = ["height", "width"][axis];
        size[axis] = match (stated[axis], options.size.map(|size| size[axis] as i64)) {
            (Some(stated), Some(other)) if stated != other => {
                return Err(format!("has a {side} of {stated} pixels, and the options say {other}").into());
            }
            (Some(stated), _) => stated,
            (None, Some(size)) => size,
            (None, None) => return Err(format!("leaves its {side} open; state it with OnnxOptions::size").into()),
        };
    }
    let all = [channels, size[0], size[1]];
    match all.iter().all(|n| (1..=LONGEST).contains(n)) && all.iter().product::<i64>() <= MAX_VALUES as i64 {
        true => Ok((all.map(|n| n as usize), last)),
        false => Err(format!("has the size {all:?}; sides of 1 to {LONGEST} are supported").into()),
    }
}

impl Import {
    /// Adds the preprocessing layers.
    pub(super) fn prepare(&mut self, options: &OnnxOptions, channels: usize) -> Outcome<NodeId> {
        let input = self.b.input();
        let (scale, shift) = match &options.preparation {
            Preparation::ImageNet if channels != 3 => {
                return Err(format!(
                    "has {channels} channels, and the default normalisation is for 3; choose another with OnnxOptions, or unchanged()"
                )
                .into());
            }
            Preparation::ImageNet => {
                let [scale, shift] =
                    [[1.0 / 0.229, 1.0 / 0.224, 1.0 / 0.225], [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]];
                (scale.to_vec(), shift.to_vec())
            }
            Preparation::Affine(scale, shift) if scale.len() == 1 => {
                (vec![scale[0]; channels], vec![shift[0]; channels])
            }
            Preparation::Affine(scale, shift) if scale.len() == channels => (scale.clone(), shift.clone()),
            Preparation::Affine(scale, _) => {
                return Err(format!("has {channels} channels, and there are {} means", scale.len()).into());
            }
            Preparation::Nothing if options.reversed => (vec![1.0; channels], vec![0.0; channels]),
            Preparation::Nothing => return Ok(input),
        };
        if !options.reversed {
            return Ok(self.b.channel_affine(input, ChannelAffine::new(&scale, &shift)?)?);
        }
        let mut weight = vec![0.0; channels * channels];
        for (channel, scale) in scale.into_iter().enumerate() {
            weight[channel * channels + channels - 1 - channel] = scale;
        }
        let weight = Tensor::from_vec(weight, (channels, channels, 1, 1), &Device::Cpu)?;
        let shift = Tensor::from_vec(shift, channels, &Device::Cpu)?;
        Ok(self.b.conv2d(input, Conv2d::new(&weight, Some(&shift), Conv2dConfig::default())?)?)
    }
}
