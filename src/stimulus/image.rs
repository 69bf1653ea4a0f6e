//! Pictures: open, crop, resize, noise, save.

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
use super::image_io::{self, LARGEST_PICTURE};
use crate::display::{Bundle, Panel, Raster, Show};
use crate::fs::{assets, extension};
use crate::{Error, Result};

/// A colour picture of float32 values in `[0, 1]`, sRGB as in the file.
#[derive(Clone, PartialEq)]
pub struct Image {
    name: String,
    width: usize,
    height: usize,
    /// Three planes, red, green and blue, each row by row. Shared, for a run's pictures are shown, kept and passed on.
    values: Arc<[f32]>,
}

impl Image {
    /// Opens a PNG, JPEG or WebP file.
    ///
    /// The EXIF orientation is applied, grey becomes three equal channels, and transparent pixels are laid over white.
    /// A relative path that does not exist is looked up among the files that ship with the project, so that
    /// `Image::open("photos/giant_panda.jpg")` works in any directory.
    ///
    /// # Errors
    /// [`Error::File`] with the path and the reason: no such file, not a picture, damaged, too large to decode.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = assets::find(path.as_ref())?;
        let bytes = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
        Ok(Self {
            name: extension::stimulus_name(&path),
            ..Self::decode(&bytes).map_err(|reason| Error::file(&path, reason))?
        })
    }

    /// Decodes the bytes of a PNG, JPEG or WebP file; as [`Image::open`], without a name.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the reason.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::decode(bytes).map_err(|reason| Error::invalid("picture", reason))
    }

    fn decode(bytes: &[u8]) -> std::result::Result<Self, String> {
        let ([width, height], values) = image_io::decode(bytes)?;
        Ok(Self { name: String::new(), width, height, values: values.into() })
    }

    /// A picture from its values: three planes, red, green and blue, each row by row.
    ///
    /// # Errors
    /// When there are not `3 * width * height` values, or one of them is not in `[0, 1]`.
    pub fn from_planes(name: impl Into<String>, width: usize, height: usize, values: Vec<f32>) -> Result<Self> {
        if width == 0 || height == 0 || width.saturating_mul(height).saturating_mul(3) != values.len() {
            let expected = format!("3 planes of {height} x {width} values");
            return Err(Error::shape("picture", expected, &[values.len()]));
        }
        crate::finite::check(|| "picture".into(), &values)?;
        if let Some(value) = values.iter().find(|v| !(0.0..=1.0).contains(*v)) {
            return Err(Error::invalid("picture", format!("values lie in [0, 1], got {value}")));
        }
        Ok(Self { name: name.into(), width, height, values: values.into() })
    }

    /// A picture from a tensor `[1, 3, height, width]` or `[3, height, width]` of values in `[0, 1]`.
    ///
    /// # Errors
    /// Another shape, or values outside of `[0, 1]`.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self> {
        let (height, width) = match *tensor.dims() {
            [1, 3, height, width] | [3, height, width] => (height, width),
            _ => return Err(Error::shape("picture", "[1, 3, height, width]", tensor.dims())),
        };
        Self::from_planes("", width, height, crate::ops::values(tensor)?)
    }

    /// Noise: the same seed gives the same bits.
    ///
    /// # Errors
    /// A size of 0, a deviation that is negative, or bounds that leave `[0, 1]` or are reversed.
    pub fn noise(width: usize, height: usize, noise: Noise, seed: u64) -> Result<Self> {
        check_size(width, height)?;
        noise.check([0.0, 1.0])?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let count = 3 * width * height;
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
                return Err(Error::invalid("noise", "pink noise is for sounds; pictures take normal or uniform noise"));
            }
        };
        Self::from_planes("noise", width, height, values)
    }

    /// A picture of this one's size with other values, clamped to `[0, 1]`.
    pub(crate) fn with_clamped(&self, name: &str, values: &[f32]) -> Self {
        let values = values.iter().map(|v| v.clamp(0.0, 1.0)).collect();
        Self { name: name.into(), width: self.width, height: self.height, values }
    }

    /// What the picture is called in captions.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same picture under another name.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The values: three planes, red, green and blue, each row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The picture as a tensor `[1, 3, height, width]`.
    ///
    /// # Errors
    /// Never for a picture that could be made; the type leaves candle's word on it.
    pub fn to_tensor(&self) -> Result<Tensor> {
        Ok(Tensor::from_slice(&self.values, (1, 3, self.height, self.width), &Device::Cpu)?)
    }

    /// The picture scaled so that its shorter side has this many pixels, antialiased (bicubic, widened when shrinking).
    ///
    /// # Errors
    /// A size of 0, or one so large that the picture would not fit in memory.
    pub fn resize_shorter_side(&self, pixels: usize) -> Result<Self> {
        if pixels == 0 {
            return Err(Error::invalid("resize", "a picture's shorter side has at least 1 pixel"));
        }
        let shorter = self.width.min(self.height);
        let scaled = |side: usize| ((side as f64 * pixels as f64 / shorter as f64).round() as usize).max(1);
        self.resize(scaled(self.width), scaled(self.height))
    }

    /// The picture at this size, antialiased (bicubic, widened when shrinking).
    ///
    /// # Errors
    /// As [`Image::resize_shorter_side`].
    pub fn resize(&self, width: usize, height: usize) -> Result<Self> {
        check_size(width, height)?;
        if (width, height) == (self.width, self.height) {
            return Ok(self.clone());
        }
        let resized = image::imageops::resize(&self.interleaved(), width as u32, height as u32, FilterType::CatmullRom);
        let mut values = vec![0.0; 3 * width * height];
        for (i, pixel) in resized.pixels().enumerate() {
            for (plane, value) in pixel.0.into_iter().enumerate() {
                values[plane * width * height + i] = value.clamp(0.0, 1.0);
            }
        }
        Ok(Self { name: self.name.clone(), width, height, values: values.into() })
    }

    /// The middle of the picture.
    ///
    /// # Errors
    /// When the picture is smaller than the crop.
    pub fn centre_crop(&self, width: usize, height: usize) -> Result<Self> {
        if width == 0 || height == 0 || width > self.width || height > self.height {
            let reason = format!("cannot cut {width} x {height} out of {} x {} pixels", self.width, self.height);
            return Err(Error::invalid("centre crop", reason));
        }
        let (left, top) = ((self.width - width) / 2, (self.height - height) / 2);
        let plane = |p: usize| &self.values[p * self.width * self.height..][..self.width * self.height];
        let rows = (0..3).flat_map(|p| (top..top + height).map(move |y| &plane(p)[y * self.width + left..][..width]));
        Ok(Self { name: self.name.clone(), width, height, values: rows.flatten().copied().collect() })
    }

    /// Writes a PNG, JPEG (quality 95) or WebP (lossless) file of 8 bits a channel, or a page (`.html`), by the path's
    /// extension.
    ///
    /// 8 bits lose some of a close match: a metamer of an early stage falls from 80 to 55 dB. Keep
    /// [`Image::save_png16`] or the metamer's own file for measurements. The file appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`] for another extension or when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let rgb = RgbImage::from_fn(self.width as u32, self.height as u32, |x, y| {
            image::Rgb(self.pixel(x as usize, y as usize).map(|v| (v * 255.0).round() as u8))
        });
        let mut bytes = Cursor::new(vec![]);
        let encoded = match extension::extension(path).as_str() {
            "png" => rgb.write_to(&mut bytes, ImageFormat::Png),
            "jpg" | "jpeg" => {
                rgb.write_with_encoder(image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95))
            }
            "webp" => rgb.write_with_encoder(image::codecs::webp::WebPEncoder::new_lossless(&mut bytes)),
            "html" | "htm" | "txt" => return Show::save(self, path),
            _ => return Err(Error::file(path, "pictures are saved as .png, .jpg, .webp, .html or .txt")),
        };
        encoded.map_err(|e| Error::file(path, e))?;
        crate::fs::atomic::write(path, bytes.get_ref())
    }

    /// Writes a PNG file of 16 bits a channel: within 1/131070 of the values.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be written.
    pub fn save_png16(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
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
        [0, 1, 2].map(|p| self.values[p * plane + y * self.width + x])
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

/// Refuses sizes without a pixel and those that would not fit in memory.
fn check_size(width: usize, height: usize) -> Result<()> {
    if width == 0 || height == 0 || width.saturating_mul(height) > LARGEST_PICTURE {
        let reason = format!("cannot have {width} x {height} pixels; at least 1, at most {LARGEST_PICTURE} in all");
        return Err(Error::invalid("picture", reason));
    }
    Ok(())
}

impl From<&Image> for Raster {
    fn from(image: &Image) -> Self {
        Self::from_planar(image.width, image.height, &image.values)
    }
}

/// The picture under its name, as a part of a figure.
impl From<&Image> for Panel {
    fn from(image: &Image) -> Self {
        Self::picture(&image.name, image.into())
    }
}

impl Show for Image {
    fn mime_bundles(&self) -> Vec<Bundle> {
        let called = if self.name.is_empty() { "picture" } else { &self.name };
        let text = format!("{called}, {} × {} pixels", self.width, self.height);
        vec![Raster::from(self).bundle(text.clone(), text)]
    }
}

crate::show_in_notebooks!(Image);
