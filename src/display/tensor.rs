//! Display of tensors: their values, and a picture of those that have the shape of one.

use candle_core::{DType, Device, Tensor, Var};

use super::format::{format_number, min_max};
use super::{Figure, MimeBundle, Panel, Raster, Show, show_bundles};

/// The minimum height and width of a tensor that is shown as a picture; smaller ones are tables of numbers.
const MIN_SIDE: usize = 16;
/// The maximum height and width of a tensor that is shown as a picture.
const MAX_SIDE: usize = 4096;

/// The values as candle prints them, shortened from 1000 values on. A tensor `[3, height, width]`, `[1, 3, height, width]` (color) or
/// `[height, width]` (grey) with sides from 16 to 4096 is also shown as a picture, whose caption states the range of its values: values in
/// `[0, 1]` are shown from 0 to 1, bytes from 0 to 255, and all others from their minimum to their maximum.
///
/// ```
/// use metamers::prelude::*;
///
/// let ramp = (Tensor::arange(0f32, 400.0, &Device::Cpu)?.reshape((20, 20))? / 400.0)?;
/// assert_eq!(ramp.mime_bundles().len(), 2);
/// assert!(ramp.mime_bundles()[1].data().contains_key("image/png"));
/// # Ok::<(), metamers::Error>(())
/// ```
impl Show for Tensor {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let values = MimeBundle::text(self.to_string().trim_end());
        std::iter::once(values).chain(picture(self)).collect()
    }
}

impl Show for Var {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        self.as_tensor().mime_bundles()
    }
}

/// Makes a notebook display candle's types by their [`Show`] implementation; other types have a method of their own.
#[doc(hidden)]
pub trait NotebookDisplay {
    /// Displays this; called by the notebook kernel when this is the last value of a cell.
    fn evcxr_display(&self);
}

impl NotebookDisplay for Tensor {
    fn evcxr_display(&self) {
        show_bundles(&self.mime_bundles());
    }
}

impl NotebookDisplay for Var {
    fn evcxr_display(&self) {
        show_bundles(&self.mime_bundles());
    }
}

/// A picture of a tensor that has the shape of one; `None` for others, and if all values are equal and none is in `[0, 1]`.
fn picture(tensor: &Tensor) -> Option<MimeBundle> {
    let (is_color, height, width) = match *tensor.dims() {
        [3, height, width] | [1, 3, height, width] => (true, height, width),
        [height, width] => (false, height, width),
        _ => return None,
    };
    if [height, width].iter().any(|side| !(MIN_SIDE..=MAX_SIDE).contains(side)) {
        return None;
    }
    let on_cpu = tensor.to_device(&Device::Cpu).ok()?.to_dtype(DType::F32).ok()?;
    let values: Vec<f32> = on_cpu.flatten_all().ok()?.to_vec1().ok()?;
    let (min, max) = min_max(values.iter().filter(|value| value.is_finite()).map(|&value| f64::from(value)));
    let (dark, bright) = match tensor.dtype() {
        DType::U8 => (0.0, 255.0),
        _ if min >= 0.0 && max <= 1.0 => (0.0, 1.0),
        _ => (min, max),
    };
    // False as well if no value is finite.
    if !(bright > dark && max >= min) {
        return None;
    }
    let scale =
        |value: &f32| if value.is_finite() { ((f64::from(*value) - dark) / (bright - dark)) as f32 } else { f32::NAN };
    let scaled: Vec<f32> = values.iter().map(scale).collect();
    let raster =
        if is_color { Raster::from_planar(width, height, &scaled) } else { Raster::from_gray(width, height, &scaled) };

    let [min, max, dark, bright] = [min, max, dark, bright].map(format_number);
    let mut caption = format!("values from {min} to {max}; black is {dark}, white is {bright}");
    let invalid = values.iter().filter(|value| !value.is_finite()).count();
    if invalid > 0 {
        caption += &format!("; {invalid} values are NaN or infinite (magenta)");
    }
    let title = format!("tensor {:?}, {}", tensor.dims(), tensor.dtype().as_str());
    let text = format!("{title}: {caption}");
    Some(Figure::new(&text).row([Panel::picture(title, raster).caption(caption)]).bundle(text))
}
