//! The file's input and its preprocessing.

use candle_core::{Device, Tensor};

use super::import::{Import, MAX_VALUES};
use super::unsupported::ImportResult;
use super::{OnnxOptions, Preprocessing, proto};
use crate::network::NodeId;
use crate::ops::{ChannelAffine, Conv2d, Conv2dConfig};

/// Maximum side of an input in pixels.
const MAX_SIDE: i64 = 1 << 16;

/// ONNX's data type for float32.
const FLOAT: i32 = 1;

/// The input's `[channels, height, width]`, and `true` if its layout is channels-last.
pub(super) fn input(info: &proto::ValueInfo, options: &OnnxOptions) -> ImportResult<([usize; 3], bool)> {
    let tensor = info.type_.as_ref().and_then(|type_| type_.tensor.as_ref()).ok_or("is not a tensor")?;
    if tensor.elem_type != FLOAT {
        return Err(format!("is of ONNX's type {}; float32 (1) is supported", tensor.elem_type).into());
    }
    let sizes = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.dims);
    let sizes: Vec<Option<i64>> = sizes.iter().map(|size| size.value.filter(|&n| n > 0)).collect();
    let &[_, a, b, c] = sizes.as_slice() else {
        let reason = format!("has {} axes; [batch, channels, height, width] is supported", sizes.len());
        return Err(reason.into());
    };
    let is_color = |n: Option<i64>| matches!(n, Some(1 | 3));
    let channels_last = !is_color(a) && is_color(c);
    let (channels, stated) = if channels_last { (c, [a, b]) } else { (a, [b, c]) };
    let channels = channels.ok_or("leaves its number of channels open")?;
    if !matches!(channels, 1 | 3) {
        return Err(format!("has {channels} channels, but images have 3 channels (color) or 1 (grey)").into());
    }
    let mut size = [0, 0];
    for axis in 0..2 {
        let side = ["height", "width"][axis];
        size[axis] = match (stated[axis], options.size.map(|size| size[axis] as i64)) {
            (Some(stated), Some(other)) if stated != other => {
                return Err(format!("has a {side} of {stated} pixels, but OnnxOptions::size says {other}").into());
            }
            (Some(stated), _) => stated,
            (None, Some(size)) => size,
            (None, None) => {
                let remedy = "state it with OnnxOptions::size([height, width])";
                return Err(format!("leaves its {side} open; {remedy}").into());
            }
        };
    }
    let all = [channels, size[0], size[1]];
    match all.iter().all(|n| (1..=MAX_SIDE).contains(n)) && all.iter().product::<i64>() <= MAX_VALUES as i64 {
        true => Ok((all.map(|n| n as usize), channels_last)),
        false => Err(format!("has the size {all:?}; sides of 1 to {MAX_SIDE} are supported").into()),
    }
}

impl Import {
    /// Adds the preprocessing layers.
    pub(super) fn prepare(&mut self, options: &OnnxOptions, channels: usize) -> ImportResult<NodeId> {
        let input = self.b.input();
        let (scale, shift) = match &options.preprocessing {
            Preprocessing::ImageNet if channels != 3 => {
                return Err("has one channel, and the default normalisation is for 3; use OnnxOptions::normalize with one mean \
                            and deviation, range or unchanged()"
                    .into());
            }
            Preprocessing::ImageNet => {
                let [scale, shift] =
                    [[1.0 / 0.229, 1.0 / 0.224, 1.0 / 0.225], [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]];
                (scale.to_vec(), shift.to_vec())
            }
            Preprocessing::Affine(scale, shift) if scale.len() == 1 => {
                (vec![scale[0]; channels], vec![shift[0]; channels])
            }
            Preprocessing::Affine(scale, shift) if scale.len() == channels => (scale.clone(), shift.clone()),
            Preprocessing::Affine(scale, _) => {
                return Err(
                    format!("has {channels} channels, but OnnxOptions::normalize has {} means", scale.len()).into()
                );
            }
            Preprocessing::Unchanged if options.reverse_channels => (vec![1.0; channels], vec![0.0; channels]),
            Preprocessing::Unchanged => return Ok(input),
        };
        if !options.reverse_channels {
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
