//! What a sliding window sees, from operations of candle's own that run and have right gradients on every device.
//!
//! candle's own convolution and pooling are not used: their gradients are wrong for images that are not square, and missing
//! for windows that overlap.

use candle_core::Tensor;

use super::window::Window;
use crate::Result;

/// One tap of a window at all its places.
pub(super) struct Tap {
    /// The pixels, `[batch, channels, height, width]` of the output; beyond the image's borders the nearest one.
    pub pixels: Tensor,
    /// 1 where the tap lies inside the image, 0 elsewhere; of the same shape.
    pub inside: Tensor,
}

impl Tap {
    /// The pixels, with zeros beyond the borders.
    pub fn or_zero(&self) -> Result<Tensor> {
        Ok(self.inside.where_cond(&self.pixels, &self.pixels.zeros_like()?)?)
    }
}

/// Which row or column a tap reads at each place, and whether that lies inside.
fn places(window: &Window, axis: usize, tap: usize, size: usize, output: usize) -> (Vec<u32>, Vec<u8>) {
    let before = [window.padding.top, window.padding.left][axis];
    let place = |at: usize| {
        let read = (at * window.stride[axis] + tap * window.dilation[axis]).checked_sub(before);
        let inside = read.is_some_and(|read| read < size);
        (read.unwrap_or(0).min(size - 1) as u32, u8::from(inside))
    };
    (0..output).map(place).unzip()
}

/// The taps of a window that slides over `x`, row by row; it has `output` places down and across.
pub(super) fn taps(x: &Tensor, window: &Window, [height, width]: [usize; 2]) -> Result<Vec<Tap>> {
    let (device, sizes) = (x.device(), x.dims4()?);
    let ids = |places: Vec<u32>| Tensor::from_slice(&places, places.len(), device);
    let mut found = vec![];
    for down in 0..window.kernel[0] {
        let (rows, rows_inside) = places(window, 0, down, sizes.2, height);
        let row = x.index_select(&ids(rows)?, 2)?;
        for across in 0..window.kernel[1] {
            let (columns, columns_inside) = places(window, 1, across, sizes.3, width);
            let pixels = row.index_select(&ids(columns)?, 3)?;
            let inside: Vec<u8> = rows_inside.iter().flat_map(|r| columns_inside.iter().map(move |c| r * c)).collect();
            let inside = Tensor::from_vec(inside, (1, 1, height, width), device)?.broadcast_as(pixels.shape())?;
            found.push(Tap { pixels, inside });
        }
    }
    Ok(found)
}
