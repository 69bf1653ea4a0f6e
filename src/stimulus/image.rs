//! Images: open, crop, resize, noise, save.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat, Rgb32FImage, RgbImage};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal, Uniform};

use super::Noise;
use super::image_decoder::{self, MAX_PIXELS};
use crate::display::{MimeBundle, Panel, Raster, Show};
use crate::fs::file_kind::FileKind;
use crate::fs::{assets, extension, files};
use crate::{Error, Result};

/// The weights of red, green and blue in luma (ITU-R BT.601), as in Pillow and torchvision.
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// An image of float32 values in `[0, 1]`, sRGB as in the file: three planes of colors, or one plane of grey for a network with one
/// channel.
///
/// ```
/// use metamers::prelude::*;
///
/// let dog = Image::open("photos/dog.jpg")?.resize_shorter_side(256)?.center_crop(224, 224)?;
/// assert_eq!((dog.name(), dog.width(), dog.height()), ("dog", 224, 224));
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Image {
    name: String,
    width: usize,
    height: usize,
    /// 3 for red, green and blue, 1 for grey.
    channels: usize,
    /// The planes, each row-major. Shared, because runs display and keep many images.
    values: Arc<[f32]>,
}

impl Image {
    /// Opens a PNG, JPEG, WebP, GIF, BMP or TIFF file.
    ///
    /// The EXIF orientation is applied, grey becomes three equal channels, and transparent pixels are composited over white. Of an
    /// animation the first frame is taken, of a TIFF file with several pages the first page. Color profiles are not applied.
    /// A relative path that does not exist is looked up among the files that ship with the project, so that
    /// `Image::open("photos/giant_panda.jpg")` works in any directory.
    ///
    /// # Errors
    /// [`Error::File`] with the path and the reason: the file does not exist, is not a valid image, is truncated, is too large (more than
    /// 2^26 pixels or 2 GB), or has another format (a HEIC photo, a video), which the reason names.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = assets::find(path.as_ref())?;
        let bytes = files::read_stimulus(&path, |kind| {
            let may_be_image = matches!(kind, FileKind::Image(_) | FileKind::Unknown);
            (!may_be_image).then(|| kind.not_an_image())
        })?;
        Ok(Self {
            name: extension::stimulus_name(&path),
            ..Self::decode(&bytes).map_err(|reason| Error::file(&path, reason))?
        })
    }

    /// Decodes the bytes of an image file, as [`Image::open`] does, without a name.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the reason.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::decode(bytes).map_err(|reason| Error::invalid("image", reason))
    }

    fn decode(bytes: &[u8]) -> std::result::Result<Self, String> {
        let ([width, height], values) = image_decoder::decode(bytes)?;
        Ok(Self { name: String::new(), width, height, channels: 3, values })
    }

    /// Creates an image from its values: red, green and blue planes, each row-major.
    ///
    /// # Errors
    /// When the number of values is not `3 * width * height`, or a value is not in `[0, 1]`.
    pub fn from_planes(name: impl Into<String>, width: usize, height: usize, values: Vec<f32>) -> Result<Self> {
        Self::checked(name.into(), [width, height], 3, values)
    }

    /// Creates a grey image of one channel from its values, row by row.
    ///
    /// ```
    /// use metamers::prelude::*;
    ///
    /// let ramp = Image::from_gray("ramp", 256, 1, (0..256).map(|v| v as f32 / 255.0).collect())?;
    /// assert_eq!((ramp.channels(), ramp.to_rgb().channels()), (1, 3));
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the number of values is not `width * height`, or a value is not in `[0, 1]`.
    pub fn from_gray(name: impl Into<String>, width: usize, height: usize, values: Vec<f32>) -> Result<Self> {
        Self::checked(name.into(), [width, height], 1, values)
    }

    fn checked(name: String, [width, height]: [usize; 2], channels: usize, values: Vec<f32>) -> Result<Self> {
        let expected = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(channels));
        if width == 0 || height == 0 || expected != Some(values.len()) {
            let planes = if channels == 1 { "plane" } else { "planes" };
            let expected = format!("{channels} {planes} of {height} x {width} values");
            return Err(Error::shape("image", expected, &[values.len()]));
        }
        crate::finite::check(|| "image".into(), &values)?;
        if let Some(value) = values.iter().find(|v| !(0.0..=1.0).contains(*v)) {
            return Err(Error::invalid("image", format!("values must lie in [0, 1], got {value}")));
        }
        Ok(Self { name, width, height, channels, values: values.into() })
    }

    /// Creates an image from a tensor `[1, channels, height, width]` or `[channels, height, width]` of values in `[0, 1]`, with 3
    /// channels or, for a grey image, 1.
    ///
    /// # Errors
    /// For another shape, or values outside `[0, 1]`.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self> {
        let (channels, height, width) = match *tensor.dims() {
            [1, channels @ (1 | 3), height, width] | [channels @ (1 | 3), height, width] => (channels, height, width),
            _ => return Err(Error::shape("image", "[1, 3, height, width] or [1, 1, height, width]", tensor.dims())),
        };
        Self::checked(String::new(), [width, height], channels, crate::ops::values(tensor)?)
    }

    /// Creates a noise image; the same seed gives the same bits.
    ///
    /// # Errors
    /// For a size of 0, a negative standard deviation, bounds that are reversed or outside `[0, 1]`, and for pink noise, which only
    /// sounds have.
    pub fn noise(width: usize, height: usize, noise: Noise, seed: u64) -> Result<Self> {
        Self::noise_of(3, [width, height], noise, seed)
    }

    /// Creates a noise image with the size and the channels of this one.
    pub(crate) fn noise_like(&self, noise: Noise, seed: u64) -> Result<Self> {
        Self::noise_of(self.channels, [self.width, self.height], noise, seed)
    }

    fn noise_of(channels: usize, [width, height]: [usize; 2], noise: Noise, seed: u64) -> Result<Self> {
        check_size(width, height)?;
        noise.check([0.0, 1.0])?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let count = channels * width * height;
        let values: Vec<f32> = match noise {
            Noise::Normal { mean, deviation } => {
                let normal = Normal::new(mean, deviation).map_err(|e| Error::invalid("noise", e.to_string()))?;
                (0..count).map(|_| normal.sample(&mut random).clamp(0.0, 1.0)).collect()
            }
            Noise::Uniform { low, high } => {
                let uniform = Uniform::new(low, high).map_err(|e| Error::invalid("noise", e.to_string()))?;
                (0..count).map(|_| uniform.sample(&mut random)).collect()
            }
            Noise::Pink { .. } => {
                return Err(Error::invalid(
                    "noise",
                    "pink noise is for sounds; use normal or uniform noise for images",
                ));
            }
        };
        Self::checked("noise".into(), [width, height], channels, values)
    }

    /// Creates an image of the same size with other values, clamped to `[0, 1]`.
    pub(crate) fn with_clamped(&self, name: &str, values: &[f32]) -> Self {
        let values = values.iter().map(|v| v.clamp(0.0, 1.0)).collect();
        Self { name: name.into(), values, width: self.width, height: self.height, channels: self.channels }
    }

    /// Converts the image to grey, with one channel: 0.299 red + 0.587 green + 0.114 blue, as Pillow and torchvision do.
    #[must_use]
    pub fn to_gray(&self) -> Self {
        if self.channels == 1 {
            return self.clone();
        }
        let plane = self.width * self.height;
        let luma =
            |i: usize| LUMA.iter().enumerate().map(|(c, weight)| weight * self.values[c * plane + i]).sum::<f32>();
        let values = (0..plane).map(|i| luma(i).clamp(0.0, 1.0)).collect();
        Self { name: self.name.clone(), width: self.width, height: self.height, channels: 1, values }
    }

    /// Converts the image to three channels, which are equal for a grey image.
    #[must_use]
    pub fn to_rgb(&self) -> Self {
        if self.channels == 3 {
            return self.clone();
        }
        let values = self.values.repeat(3).into();
        Self { name: self.name.clone(), width: self.width, height: self.height, channels: 3, values }
    }

    /// The name that captions show.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Replaces the name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
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

    /// The number of channels: 3, or 1 for a grey image.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The values: red, green and blue planes or one grey plane, each row-major.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Converts the image to a tensor `[1, channels, height, width]`.
    ///
    /// # Errors
    /// Infallible for a valid image; the `Result` comes from candle.
    pub fn to_tensor(&self) -> Result<Tensor> {
        Ok(Tensor::from_slice(&self.values, (1, self.channels, self.height, self.width), &Device::Cpu)?)
    }

    /// Resizes the image so that its shorter side has this many pixels (bicubic, with antialiasing).
    ///
    /// # Errors
    /// For a size of 0 or of more than 67,108,864 pixels (2^26).
    pub fn resize_shorter_side(&self, pixels: usize) -> Result<Self> {
        if pixels == 0 {
            return Err(Error::invalid("resize", "the shorter side must have at least 1 pixel"));
        }
        let shorter = self.width.min(self.height);
        let scaled = |side: usize| ((side as f64 * pixels as f64 / shorter as f64).round() as usize).max(1);
        self.resize(scaled(self.width), scaled(self.height))
    }

    /// Resizes the image (bicubic, with antialiasing).
    ///
    /// # Errors
    /// As [`Image::resize_shorter_side`], and when a wide image becomes so high that the old width times the new height exceeds that
    /// number of pixels.
    pub fn resize(&self, width: usize, height: usize) -> Result<Self> {
        check_size(width, height)?;
        // The height is resized first, which gives an image of the old width and the new height.
        if self.width.saturating_mul(height) > MAX_PIXELS.max(self.width * self.height) {
            let reason = format!(
                "{} x {} pixels to {width} x {height} needs more than {MAX_PIXELS} pixels on the way; reduce the width first",
                self.width, self.height
            );
            return Err(Error::invalid("resize", reason));
        }
        if (width, height) == (self.width, self.height) {
            return Ok(self.clone());
        }
        let resized = image::imageops::resize(&self.interleaved(), width as u32, height as u32, FilterType::CatmullRom);
        let mut values = vec![0.0; self.channels * width * height];
        for (i, pixel) in resized.pixels().enumerate() {
            for (plane, value) in pixel.0.into_iter().take(self.channels).enumerate() {
                values[plane * width * height + i] = value.clamp(0.0, 1.0);
            }
        }
        Ok(Self { name: self.name.clone(), width, height, channels: self.channels, values: values.into() })
    }

    /// Crops the image to a size around its center.
    ///
    /// # Errors
    /// When the crop is empty or larger than the image.
    pub fn center_crop(&self, width: usize, height: usize) -> Result<Self> {
        if width == 0 || height == 0 || width > self.width || height > self.height {
            let reason = format!("cannot crop {} x {} pixels to {width} x {height}", self.width, self.height);
            return Err(Error::invalid("center crop", reason));
        }
        let (left, top) = ((self.width - width) / 2, (self.height - height) / 2);
        let plane = |p: usize| &self.values[p * self.width * self.height..][..self.width * self.height];
        let row = |p: usize, y: usize| &plane(p)[y * self.width + left..][..width];
        let rows = (0..self.channels).flat_map(|p| (top..top + height).map(move |y| row(p, y)));
        let values = rows.flatten().copied().collect();
        Ok(Self { name: self.name.clone(), width, height, channels: self.channels, values })
    }

    /// Saves the image with 8 bits per channel; the extension selects the format: `.png`, `.jpg` (quality 95) or `.webp` (lossless).
    /// [`Show::export`] saves an HTML page or a text.
    ///
    /// Rounding to 8 bits degrades a close match: the SNR of a metamer of an early stage falls from 80 to 55 dB. For measurements use
    /// [`Image::save_png16`] or [`Metamer::save`](crate::synthesis::Metamer::save). The file is written atomically.
    ///
    /// # Errors
    /// [`Error::File`] for another extension, or when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let rgb = RgbImage::from_fn(self.width as u32, self.height as u32, |x, y| {
            image::Rgb(self.pixel(x as usize, y as usize).map(|v| (v * 255.0).round() as u8))
        });
        let mut bytes = Cursor::new(vec![]);
        let encoded = match extension::lowercase_extension(path).as_str() {
            "png" => rgb.write_to(&mut bytes, ImageFormat::Png),
            "jpg" | "jpeg" => {
                rgb.write_with_encoder(image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95))
            }
            "webp" => rgb.write_with_encoder(image::codecs::webp::WebPEncoder::new_lossless(&mut bytes)),
            "html" | "htm" | "txt" => {
                return Err(Error::file(
                    path,
                    "images are saved as .png, .jpg or .webp; call `export` for a page or a text",
                ));
            }
            _ => return Err(Error::file(path, "not a supported image extension; use .png, .jpg or .webp")),
        };
        encoded.map_err(|e| Error::file(path, e))?;
        crate::fs::atomic::write(path, bytes.get_ref())
    }

    /// Saves the image to a `.png` file with 16 bits per channel, which changes values by at most 1/131070.
    ///
    /// # Errors
    /// [`Error::File`] for another extension, and when the file cannot be written.
    pub fn save_png16(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let advice = "images of 16 bits per channel are saved as .png; call `save` for other formats";
        extension::check_extension(path, "png", advice)?;
        let rgb = image::ImageBuffer::from_fn(self.width as u32, self.height as u32, |x, y| {
            image::Rgb(self.pixel(x as usize, y as usize).map(|v| (v * 65535.0).round() as u16))
        });
        let mut bytes = Cursor::new(vec![]);
        let encoded = DynamicImage::ImageRgb16(rgb).write_to(&mut bytes, ImageFormat::Png);
        encoded.map_err(|e| Error::file(path, e))?;
        crate::fs::atomic::write(path, bytes.get_ref())
    }

    fn pixel(&self, x: usize, y: usize) -> [f32; 3] {
        let plane = self.width * self.height;
        [0, 1, 2].map(|p| self.values[p.min(self.channels - 1) * plane + y * self.width + x])
    }

    fn interleaved(&self) -> Rgb32FImage {
        Rgb32FImage::from_fn(self.width as u32, self.height as u32, |x, y| {
            image::Rgb(self.pixel(x as usize, y as usize))
        })
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image(\"{}\", {} x {} pixels)", self.name, self.width, self.height)
    }
}

/// Checks that a size has at least one pixel and at most [`MAX_PIXELS`].
fn check_size(width: usize, height: usize) -> Result<()> {
    if width == 0 || height == 0 || width.saturating_mul(height) > MAX_PIXELS {
        let reason = format!("must have 1 to {MAX_PIXELS} pixels, got {width} x {height}");
        return Err(Error::invalid("image", reason));
    }
    Ok(())
}

impl From<&Image> for Raster {
    fn from(image: &Image) -> Self {
        match image.channels {
            1 => Self::from_gray(image.width, image.height, &image.values),
            _ => Self::from_planar(image.width, image.height, &image.values),
        }
    }
}

/// A panel with the image, titled with its name.
impl From<&Image> for Panel {
    fn from(image: &Image) -> Self {
        Self::picture(&image.name, image.into())
    }
}

impl Show for Image {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let name = if self.name.is_empty() { "image" } else { &self.name };
        let text = format!("{name}, {} × {} pixels", self.width, self.height);
        vec![Raster::from(self).bundle(text.clone(), text)]
    }
}

crate::show_in_notebooks!(Image);
