//! Convolutions, pools and `Pad`: nodes with a sliding window or over the whole image.

use super::attributes::{Attributes, padding};
use super::import::Import;
use super::proto;
use super::unsupported::ImportResult;
use super::value::{Layout, Value};
use crate::network::Layer;
use crate::ops::{AvgPool2d, Conv2d, Conv2dConfig, GlobalAvgPool, Linear, MaxPool2d, Padding, Window};

impl Import {
    pub(super) fn conv(&mut self, node: &proto::Node) -> ImportResult<Value> {
        let known = ["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"];
        let attributes = Attributes::new(node, &known)?;
        let x = self.padded(node, 0)?;
        let weight = self.constant(node, 1)?;
        let bias = self.optional(node, 2)?.map(|bias| bias.tensor()).transpose()?;
        let &[outputs, inputs, rows, columns] = weight.sizes.as_slice() else {
            return Err(format!("has weights {:?}; only convolutions of images are supported", weight.sizes).into());
        };
        let kernel = [rows, columns];
        if attributes.ints("kernel_shape").is_some() && attributes.pair("kernel_shape", 1)? != kernel {
            return Err(format!("kernel_shape differs from the weights' {kernel:?}").into());
        }
        let (stride, dilation) = (attributes.pair("strides", 1)?, attributes.pair("dilations", 1)?);
        let groups = super::attributes::size("group", attributes.int("group", 1))?;
        if let Layout::Vector { sizes } = &x.layout
            && sizes.len() == 3
            && kernel == [1, 1]
            && groups == 1
        {
            // A convolution on a vector is a fully connected layer.
            let layer = Linear::new(&weight.tensor()?.reshape((outputs, inputs))?, bias.as_ref())?;
            let x = x.unpadded()?;
            if attributes.ints("pads").is_some_and(|pads| pads.iter().any(|&n| n != 0)) {
                return Err("pads around a single pixel are not supported".into());
            }
            return Ok(Value::vector(self.push(Layer::from(layer), &[x.node])?, vec![outputs, 1, 1]));
        }
        x.as_image()?;
        let span = Window::new(kernel).dilations(dilation).span();
        let padding = sum(x.padding, attributes.padding(size(&x)?, span, stride)?);
        let config = Conv2dConfig { stride, dilation, padding, groups };
        let conv = Conv2d::new(&weight.tensor()?, bias.as_ref(), config)?;
        let y = self.push(Layer::from(conv), &[x.node])?;
        self.image(y)
    }

    pub(super) fn pad(&mut self, node: &proto::Node) -> ImportResult<Value> {
        let attributes = Attributes::new(node, &["mode", "pads", "value"])?;
        let x = self.value(node, 0)?;
        x.as_image()?;
        if let Some(mode) = attributes.text("mode").filter(|&mode| mode != "constant") {
            return Err(format!("mode = {mode} is not supported; constant is").into());
        }
        // Since opset 11 these are inputs.
        let pads = match self.optional(node, 1)? {
            Some(pads) => pads.as_ints()?.to_vec(),
            None => attributes.ints("pads").ok_or("has no pads")?.to_vec(),
        };
        let value = match self.optional(node, 2)? {
            Some(value) => value.single()?,
            None => attributes.float("value", 0.0),
        };
        if self.optional(node, 3)?.is_some() {
            return Err("the input axes is not supported".into());
        }
        if value != 0.0 {
            return Err(format!("fills with {value}; only zeros are supported").into());
        }
        let &[0, 0, top, left, 0, 0, bottom, right] = pads.as_slice() else {
            return Err(format!("pads = {pads:?}; only rows and columns of an image are supported").into());
        };
        Ok(Value { padding: padding(&[top, left, bottom, right])?, ..x })
    }

    pub(super) fn max_pool(&mut self, node: &proto::Node) -> ImportResult<Value> {
        let known = ["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"];
        let attributes = Attributes::new(node, &known)?;
        attributes.only("storage_order", 0)?;
        let x = self.padded(node, 0)?;
        if x.padding != Padding::default() && !x.non_negative {
            return Err(
                "follows a Pad with zeros, which may exceed negative values; that is supported only after a rectifier"
                    .into(),
            );
        }
        let window = window(&attributes, &x)?;
        let pool = MaxPool2d::new(window);
        let pool = if attributes.flag("ceil_mode") { pool.ceil_mode() } else { pool };
        let y = self.push(Layer::from(pool), &[x.node])?;
        Ok(Value { non_negative: x.non_negative, ..self.image(y)? })
    }

    pub(super) fn average_pool(&mut self, node: &proto::Node) -> ImportResult<Value> {
        let known = ["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"];
        let attributes = Attributes::new(node, &known)?;
        let x = self.padded(node, 0)?;
        let include_pad = attributes.flag("count_include_pad");
        let window = window(&attributes, &x)?;
        // The average includes zeros from a Pad, and the pool's own padding only with count_include_pad.
        let count = include_pad || x.padding != Padding::default();
        if window.padding != x.padding && count && !include_pad {
            return Err("follows a Pad, and also has pads, which count_include_pad = 0 excludes; only one of the two is supported".into());
        }
        let pool = AvgPool2d::new(window);
        let pool = if attributes.flag("ceil_mode") { pool.ceil_mode() } else { pool };
        let pool = if count { pool } else { pool.exclude_padding() };
        let y = self.push(Layer::from(pool), &[x.node])?;
        Ok(Value { non_negative: x.non_negative, ..self.image(y)? })
    }

    pub(super) fn global_average_pool(&mut self, node: &proto::Node) -> ImportResult<Value> {
        Attributes::new(node, &[])?;
        let x = self.value(node, 0)?;
        x.as_image()?;
        self.mean(x, true)
    }

    pub(super) fn global_max_pool(&mut self, node: &proto::Node) -> ImportResult<Value> {
        Attributes::new(node, &[])?;
        let x = self.value(node, 0)?;
        let [channels, height, width] = x.as_image()?;
        let pooled = self.push(Layer::from(MaxPool2d::new(Window::new([height, width]))), &[x.node])?;
        let y = self.push(Layer::Flatten, &[pooled])?;
        Ok(Value { non_negative: x.non_negative, ..Value::vector(y, vec![channels, 1, 1]) })
    }

    pub(super) fn reduce_mean(&mut self, node: &proto::Node) -> ImportResult<Value> {
        let attributes = Attributes::new(node, &["axes", "keepdims", "noop_with_empty_axes"])?;
        let x = self.value(node, 0)?;
        // Since opset 18 the axes are an input.
        let axes = match self.optional(node, 1)? {
            Some(axes) => axes.as_ints()?.to_vec(),
            None => attributes.ints("axes").unwrap_or_default().to_vec(),
        };
        let Layout::Image { axes: order, .. } = &x.layout else {
            return Err(format!("takes an image, got {:?}", x.shape()).into());
        };
        let mut over = axes.iter().map(|&axis| Ok(order[x.axis(axis)?])).collect::<ImportResult<Vec<usize>>>()?;
        over.sort_unstable();
        match over.as_slice() {
            [1, 2] => self.mean(x, attributes.int("keepdims", 1) != 0),
            _ => Err(format!("axes = {axes:?} is not supported; the mean over height and width is").into()),
        }
    }

    /// Adds the mean of each channel over the image.
    fn mean(&mut self, x: Value, keep: bool) -> ImportResult<Value> {
        let Layout::Image { sizes: [channels, ..], axes } = &x.layout else { return Err("takes an image".into()) };
        let sizes = match keep {
            true => axes.iter().map(|&axis| if axis == 0 { *channels } else { 1 }).collect(),
            false => vec![*channels],
        };
        let y = self.push(Layer::from(GlobalAvgPool), &[x.node])?;
        Ok(Value { non_negative: x.non_negative, ..Value::vector(y, sizes) })
    }
}

/// The window of a pool.
fn window(attributes: &Attributes<'_>, x: &Value) -> ImportResult<Window> {
    if attributes.ints("kernel_shape").is_none() {
        return Err("has no kernel_shape".into());
    }
    let (stride, dilation) = (attributes.pair("strides", 1)?, attributes.pair("dilations", 1)?);
    let window = Window::new(attributes.pair("kernel_shape", 1)?).strides(stride).dilations(dilation);
    let own = attributes.padding(size(x)?, window.span(), stride)?;
    Ok(window.padding(sum(x.padding, own)))
}

/// Height and width, including the padding of a `Pad`.
fn size(x: &Value) -> ImportResult<[usize; 2]> {
    let [_, height, width] = x.as_image()?;
    let Padding { top, bottom, left, right } = x.padding;
    Ok([height + top + bottom, width + left + right])
}

fn sum(a: Padding, b: Padding) -> Padding {
    Padding { top: a.top + b.top, bottom: a.bottom + b.bottom, left: a.left + b.left, right: a.right + b.right }
}
