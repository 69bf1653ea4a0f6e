//! Direct convolution with one input channel a group, a row at a time.

use rayon::prelude::*;

use super::conv2d::Conv2d;

/// Computes the output; each input channel has `multiplier` output channels.
pub(super) fn forward(
    conv: &Conv2d,
    input: &[f32],
    [height, width]: [usize; 2],
    output: &mut [f32],
    [out_height, out_width]: [usize; 2],
    multiplier: usize,
) {
    let channels = conv.weight.len() / (conv.window.kernel[0] * conv.window.kernel[1]);
    output.par_chunks_mut(out_height * out_width).enumerate().for_each(|(plane, output)| {
        let channel = plane % channels;
        output.fill(conv.bias.as_ref().map_or(0.0, |b| b[channel]));
        let input = &input[plane / multiplier * height * width..][..height * width];
        each_tap(
            conv,
            channel,
            [height, width],
            [out_height, out_width],
            |weight, out_row, (first, end), in_row, from| {
                let output = &mut output[out_row * out_width..][first..end];
                let input = &input[in_row * width + from..];
                match conv.window.stride[1] {
                    1 => output.iter_mut().zip(input).for_each(|(y, &x)| *y += weight * x),
                    stride => output.iter_mut().zip(input.iter().step_by(stride)).for_each(|(y, &x)| *y += weight * x),
                }
            },
        );
    });
}

/// Computes the gradient of the input, the transpose of [`forward`].
pub(super) fn backward(
    conv: &Conv2d,
    input_gradient: &mut [f32],
    [height, width]: [usize; 2],
    gradient: &[f32],
    [out_height, out_width]: [usize; 2],
    multiplier: usize,
) {
    let channels = conv.weight.len() / (conv.window.kernel[0] * conv.window.kernel[1]);
    let plane = out_height * out_width;
    input_gradient.par_chunks_mut(height * width).enumerate().for_each(|(input_plane, input_gradient)| {
        for copy in 0..multiplier {
            let output_plane = input_plane * multiplier + copy;
            let gradient = &gradient[output_plane * plane..][..plane];
            let sizes = ([height, width], [out_height, out_width]);
            each_tap(conv, output_plane % channels, sizes.0, sizes.1, |weight, out_row, (first, end), in_row, from| {
                let gradient = &gradient[out_row * out_width..][first..end];
                let input_gradient = &mut input_gradient[in_row * width + from..];
                match conv.window.stride[1] {
                    1 => gradient.iter().zip(input_gradient).for_each(|(&g, x)| *x += weight * g),
                    stride => gradient
                        .iter()
                        .zip(input_gradient.iter_mut().step_by(stride))
                        .for_each(|(&g, x)| *x += weight * g),
                }
            });
        }
    });
}

/// Calls `f(weight, output row, output columns, input row, first input column)` for all taps of each row, so that a row of
/// outputs stays in the cache while all taps add to it.
fn each_tap(
    conv: &Conv2d,
    channel: usize,
    input: [usize; 2],
    output: [usize; 2],
    mut f: impl FnMut(f32, usize, (usize, usize), usize, usize),
) {
    let (window, [taps_down, taps_across]) = (&conv.window, conv.window.kernel);
    let weights = &conv.weight[channel * taps_down * taps_across..][..taps_down * taps_across];
    for out_row in 0..output[0] {
        for down in 0..taps_down {
            let Some(in_row) = (out_row * window.stride[0] + down * window.dilation[0]).checked_sub(window.padding.top)
            else {
                continue;
            };
            if in_row >= input[0] {
                continue;
            }
            for across in 0..taps_across {
                let (first, end, from) = window.inside(1, across, input[1], output[1]);
                if first < end {
                    f(weights[down * taps_across + across], out_row, (first, end), in_row, from);
                }
            }
        }
    }
}
