//! Sliding windows composed of candle's operations, for devices other than the CPU.
//!
//! candle's convolution and pooling are not used: their gradients are wrong for images that are not square, and missing for
//! windows that overlap.

use candle_core::Tensor;

use super::window::Window;
use crate::Result;

/// One tap of a window at all output positions.
pub(super) struct Tap {
    /// The pixels that the tap reads, `[batch, channels, height, width]` of the output; outside the image, the nearest pixel.
    pub pixels: Tensor,
    /// 1 where the tap lies inside the image, 0 elsewhere; same shape.
    pub inside: Tensor,
}

impl Tap {
    /// The pixels, with zeros outside the image.
    pub fn or_zero(&self) -> Result<Tensor> {
        Ok(self.inside.where_cond(&self.pixels, &self.pixels.zeros_like()?)?)
    }
}

/// The row or column that a tap reads at each output position, and 1 where it lies inside the image.
fn positions(window: &Window, axis: usize, tap: usize, size: usize, output: usize) -> (Vec<u32>, Vec<u8>) {
    let before = [window.padding.top, window.padding.left][axis];
    let position = |at: usize| {
        let read = (at * window.stride[axis] + tap * window.dilation[axis]).checked_sub(before);
        let inside = read.is_some_and(|read| read < size);
        (read.unwrap_or(0).min(size - 1) as u32, u8::from(inside))
    };
    (0..output).map(position).unzip()
}

/// The taps of a window over `x`, row-major, at `height` times `width` output positions.
pub(super) fn taps(x: &Tensor, window: &Window, [height, width]: [usize; 2]) -> Result<Vec<Tap>> {
    let (device, sizes) = (x.device(), x.dims4()?);
    let ids = |ids: Vec<u32>| Tensor::from_slice(&ids, ids.len(), device);
    let mut all = vec![];
    for down in 0..window.kernel[0] {
        let (rows, rows_inside) = positions(window, 0, down, sizes.2, height);
        let row = x.index_select(&ids(rows)?, 2)?;
        for across in 0..window.kernel[1] {
            let (columns, columns_inside) = positions(window, 1, across, sizes.3, width);
            let pixels = row.index_select(&ids(columns)?, 3)?;
            let inside: Vec<u8> = rows_inside.iter().flat_map(|r| columns_inside.iter().map(move |c| r * c)).collect();
            let inside = Tensor::from_vec(inside, (1, 1, height, width), device)?.broadcast_as(pixels.shape())?;
            all.push(Tap { pixels, inside });
        }
    }
    Ok(all)
}
