//! RGB pictures and PNG encoding.

use std::io::Cursor;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, RgbImage, imageops};

use super::colors::{NAN_COLOR, Rgb};
use super::{Figure, MimeBundle, Panel, Show};

/// The size in CSS pixels to which a small picture is enlarged when it is displayed alone.
const MIN_DISPLAY_SIZE: usize = 224;

/// A picture of 8-bit RGB pixels, made from floating-point values.
///
/// Values are clamped to `[0, 1]`; NaN pixels are magenta. If the number of values is wrong, the picture shows an error message, so that a
/// mistake in a plot does not end a computation.
///
/// ```
/// use metamers::display::Raster;
///
/// let red = Raster::from_planar(2, 1, &[1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
/// assert_eq!(red.rgb(), [255, 0, 0, 255, 0, 0]);
/// ```
#[derive(Clone, PartialEq)]
#[must_use]
pub struct Raster {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
    problem: Option<String>,
}

impl std::fmt::Debug for Raster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Raster({} x {} pixels)", self.width, self.height)
    }
}

impl Raster {
    /// Creates a picture from red, green and blue planes of `height` rows of `width` values in `[0, 1]`.
    pub fn from_planar(width: usize, height: usize, planes: &[f32]) -> Self {
        Self::checked(width, height, 3, planes.len(), |index, pixels| {
            [planes[index], planes[pixels + index], planes[2 * pixels + index]]
        })
    }

    /// Creates a picture from `height` rows of `width` grey values in `[0, 1]`.
    pub fn from_gray(width: usize, height: usize, values: &[f32]) -> Self {
        Self::checked(width, height, 1, values.len(), |index, _| [values[index]; 3])
    }

    /// Creates a picture from `height` rows of `width` pixels of three bytes.
    pub fn from_rgb(width: usize, height: usize, rgb: Vec<u8>) -> Self {
        match problem(width, height, 3, rgb.len()) {
            None => Self { width, height, rgb, problem: None },
            problem => Self { width: 0, height: 0, rgb: Vec::new(), problem },
        }
    }

    fn checked(
        width: usize,
        height: usize,
        planes: usize,
        values: usize,
        pixel: impl Fn(usize, usize) -> [f32; 3],
    ) -> Self {
        if let Some(problem) = problem(width, height, planes, values) {
            return Self { width: 0, height: 0, rgb: Vec::new(), problem: Some(problem) };
        }
        let pixels = width * height;
        let rgb = (0..pixels).flat_map(|index| to_bytes(pixel(index, pixels))).collect();
        Self { width, height, rgb, problem: None }
    }

    /// The width in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The height in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// The pixels, three bytes each, row by row.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The reason why the picture is invalid, if it is.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Encodes the picture as a PNG file, pixel by pixel.
    #[must_use]
    pub fn png(&self) -> Vec<u8> {
        if self.problem.is_some() {
            return Figure::new("").row([Panel::picture("", self.clone())]).png();
        }
        encode(self.width, self.height, &self.rgb)
    }

    /// Enlarges each pixel to `factor` by `factor` pixels. Returns a copy if the result would have more than 2^26 pixels.
    pub fn enlarged(&self, factor: usize) -> Self {
        let factor = factor.max(1);
        let (Some(width), Some(height)) = (self.width.checked_mul(factor), self.height.checked_mul(factor)) else {
            return self.clone();
        };
        if factor == 1 || width.saturating_mul(height) > MAX_PIXELS {
            return self.clone();
        }
        Self { problem: self.problem.clone(), ..self.sampled(width, height) }
    }

    /// Resizes by area averaging: smooth when smaller, with sharp edges when larger.
    pub(crate) fn resized(&self, width: usize, height: usize) -> Self {
        let whole = width.is_multiple_of(self.width) && height.is_multiple_of(self.height);
        if whole || width < self.width || height < self.height {
            return self.sampled(width, height);
        }
        let fine = self.sampled(2 * width, 2 * height).image();
        Self { width, height, rgb: halved(&fine).into_raw(), problem: None }
    }

    /// Resizes by nearest neighbour when larger, which is enough for pictures that are downscaled later.
    pub(crate) fn sampled(&self, width: usize, height: usize) -> Self {
        let rgb = if width < self.width || height < self.height {
            imageops::resize(&self.image(), width as u32, height as u32, imageops::Triangle).into_raw()
        } else {
            let mut rgb = Vec::with_capacity(3 * width * height);
            for y in 0..height {
                let row = &self.rgb[3 * self.width * (y * self.height / height)..][..3 * self.width];
                (0..width).for_each(|x| rgb.extend_from_slice(&row[3 * (x * self.width / width)..][..3]));
            }
            rgb
        };
        Self { width, height, rgb, problem: None }
    }

    pub(crate) fn image(&self) -> RgbImage {
        RgbImage::from_raw(self.width as u32, self.height as u32, self.rgb.clone()).unwrap_or_default()
    }

    /// Returns the picture as an output with an alternative text and a plain text for terminals. A picture below 224 pixels is enlarged by an
    /// integer factor.
    pub fn bundle(&self, alt: impl Into<String>, text: impl Into<String>) -> MimeBundle {
        if self.problem.is_some() {
            return Figure::new(alt).row([Panel::picture("", self.clone())]).bundle(text);
        }
        let factor = (MIN_DISPLAY_SIZE / self.width.max(self.height)).max(1);
        let large = self.enlarged(factor);
        MimeBundle::text(text).png(large.png(), large.width as u32, large.height as u32, alt)
    }
}

impl Show for Raster {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let text = match &self.problem {
            Some(problem) => problem.clone(),
            None => format!("picture of {} × {} pixels", self.width, self.height),
        };
        vec![self.bundle(text.clone(), text)]
    }
}

crate::show_in_notebooks!(Raster);

/// The maximum number of pixels of an enlarged picture, far above that of any screen.
const MAX_PIXELS: usize = 1 << 26;

/// The maximum side of a PNG file in pixels.
const MAX_SIDE: usize = i32::MAX as usize;

fn problem(width: usize, height: usize, planes: usize, values: usize) -> Option<String> {
    let expected = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(planes));
    match expected {
        Some(0) => Some(format!("no pixels: {width} × {height}")),
        Some(_) if width.max(height) > MAX_SIDE => {
            Some(format!("{width} × {height} pixels exceed the maximum side of a PNG file, {MAX_SIDE}"))
        }
        Some(expected) if expected == values => None,
        _ => Some(format!("{width} × {height} pixels need {planes} × {width} × {height} values, got {values}")),
    }
}

fn to_bytes(pixel: [f32; 3]) -> Rgb {
    if pixel.iter().any(|value| value.is_nan()) {
        return NAN_COLOR;
    }
    pixel.map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8)
}

/// Halves both sides of a picture with even sides, by the mean of 2 x 2 pixels; a tenth of the time of `imageops::thumbnail`.
pub(crate) fn halved(large: &RgbImage) -> RgbImage {
    let (width, height) = large.dimensions();
    let row_bytes = 3 * width as usize;
    let mut small = RgbImage::new(width / 2, height / 2);
    for (row, rows) in small.chunks_exact_mut(row_bytes / 2).zip(large.chunks_exact(2 * row_bytes)) {
        let (top, bottom) = rows.split_at(row_bytes);
        for ((pixel, top), bottom) in row.chunks_exact_mut(3).zip(top.chunks_exact(6)).zip(bottom.chunks_exact(6)) {
            for (i, value) in pixel.iter_mut().enumerate() {
                let sum = u16::from(top[i]) + u16::from(top[i + 3]) + u16::from(bottom[i]) + u16::from(bottom[i + 3]);
                *value = ((sum + 2) / 4) as u8;
            }
        }
    }
    small
}

/// A fifth of the time of the best compression, for files 5 to 15 % larger.
const COMPRESSION: CompressionType = CompressionType::Level(3);

/// Encodes RGB pixels as a PNG file, with the filter that suits each row.
pub(crate) fn encode(width: usize, height: usize, rgb: &[u8]) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    PngEncoder::new_with_quality(&mut file, COMPRESSION, FilterType::Adaptive)
        .write_image(rgb, width as u32, height as u32, ExtendedColorType::Rgb8)
        .expect("the size is valid, and writing to memory cannot fail");
    file.into_inner()
}
