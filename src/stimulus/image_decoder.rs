//! Decoding of image files in memory.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::camera_raw;
use crate::fs::file_kind::FileKind;

/// The maximum number of pixels of an image; its float32 values take 800 MB.
pub(super) const MAX_PIXELS: usize = 1 << 26;

/// The memory that a decoder may allocate beside the pixels, for palettes, tables and metadata.
const OVERHEAD_BYTES: u64 = 64 << 20;

/// Decodes an image file: `[width, height]` and the red, green and blue planes. The error is the reason, without the path.
pub(super) fn decode(bytes: &[u8]) -> Result<([usize; 2], Arc<[f32]>), String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    let kind = FileKind::detect(bytes);
    let FileKind::Image(name) = kind else { return Err(kind.not_an_image()) };
    // A decoder that panics on a damaged file has no state that outlives this call.
    let decoded = catch_unwind(AssertUnwindSafe(|| pixels(bytes, name)));
    let image = decoded.unwrap_or_else(|_| Err(format!("the {name} file is damaged and cannot be decoded")))?;
    let size = [image.width() as usize, image.height() as usize];
    Ok((size, planes(image)?))
}

/// Decodes the pixels in the file's own type, upright.
fn pixels(bytes: &[u8], name: &'static str) -> Result<DynamicImage, String> {
    let invalid = |e: image::ImageError| reason(name, &e);
    let format = match name {
        "PNG" => ImageFormat::Png,
        "JPEG" => ImageFormat::Jpeg,
        "WebP" => ImageFormat::WebP,
        "GIF" => ImageFormat::Gif,
        "BMP" => ImageFormat::Bmp,
        _ => ImageFormat::Tiff,
    };
    match format {
        ImageFormat::Jpeg if !has_end_of_image(bytes) && !decodes_without_end(bytes) => {
            return Err("the JPEG file is truncated".into());
        }
        ImageFormat::Tiff if camera_raw::is_raw(bytes) => {
            return Err("the file is a camera raw photo, which is not supported: export it as JPEG".into());
        }
        _ => {}
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits(0));
    let mut decoder = reader.into_decoder().map_err(invalid)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS as u64 {
        return Err(format!(
            "the image has {width} x {height} pixels; at most {MAX_PIXELS} pixels are supported; resize it first"
        ));
    }
    if width == 0 || height == 0 {
        return Err("the image has no pixels".into());
    }
    decoder.set_limits(limits(decoder.total_bytes())).map_err(invalid)?;
    let orientation = decoder.orientation().map_err(invalid)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(invalid)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// The memory limit for an image of this many bytes: decoders hold it once more while they convert it.
fn limits(image_bytes: u64) -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(2 * image_bytes + OVERHEAD_BYTES);
    limits
}

fn reason(name: &str, error: &image::ImageError) -> String {
    match error {
        image::ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            format!("the {name} file is truncated")
        }
        image::ImageError::Unsupported(e) => {
            format!("the {name} file has a feature that is not supported ({e}): export it as PNG or JPEG")
        }
        image::ImageError::Limits(_) => {
            format!("the {name} file needs more memory than its pixels: it is damaged, or has too much metadata")
        }
        e => format!("not a valid {name} image ({e})"),
    }
}

/// Converts the pixels to red, green and blue planes over white, one pass without an image in between.
fn planes(image: DynamicImage) -> Result<Arc<[f32]>, String> {
    let plane = image.width() as usize * image.height() as usize;
    let mut values: Arc<[f32]> = std::iter::repeat_n(0.0, 3 * plane).collect();
    let out = Arc::get_mut(&mut values).ok_or("the image is shared")?;
    let channels = usize::from(image.color().channel_count());
    let byte = |v: &u8| f32::from(*v) / 255.0;
    let word = |v: &u16| f32::from(*v) / 65535.0;
    match &image {
        DynamicImage::ImageLuma8(image) => fill(out, channels, image.as_raw(), byte),
        DynamicImage::ImageLumaA8(image) => fill(out, channels, image.as_raw(), byte),
        DynamicImage::ImageRgb8(image) => fill(out, channels, image.as_raw(), byte),
        DynamicImage::ImageRgba8(image) => fill(out, channels, image.as_raw(), byte),
        DynamicImage::ImageLuma16(image) => fill(out, channels, image.as_raw(), word),
        DynamicImage::ImageLumaA16(image) => fill(out, channels, image.as_raw(), word),
        DynamicImage::ImageRgb16(image) => fill(out, channels, image.as_raw(), word),
        DynamicImage::ImageRgba16(image) => fill(out, channels, image.as_raw(), word),
        DynamicImage::ImageRgb32F(image) => fill(out, channels, checked(image.as_raw())?, |v| *v),
        DynamicImage::ImageRgba32F(image) => fill(out, channels, checked(image.as_raw())?, |v| *v),
        other => return Err(format!("pixels of type {:?} are not supported: export it as PNG or JPEG", other.color())),
    }
    Ok(values)
}

/// Checks that floating-point pixels lie in `[0, 1]`.
fn checked(values: &[f32]) -> Result<&[f32], String> {
    match values.iter().find(|v| !(0.0..=1.0).contains(*v)) {
        None => Ok(values),
        Some(value) => Err(format!(
            "floating-point pixels must lie in [0, 1], but one is {value}: scale them, or export the image as 16-bit PNG"
        )),
    }
}

fn fill<T>(planes: &mut [f32], channels: usize, pixels: &[T], to_unit: impl Fn(&T) -> f32) {
    let plane = planes.len() / 3;
    for (i, pixel) in pixels.chunks_exact(channels).enumerate() {
        let alpha = if channels.is_multiple_of(2) { to_unit(&pixel[channels - 1]) } else { 1.0 };
        for color in 0..3 {
            let value = to_unit(&pixel[if channels < 3 { 0 } else { color }]);
            planes[color * plane + i] = (value * alpha + (1.0 - alpha)).clamp(0.0, 1.0);
        }
    }
}

/// Returns whether a JPEG file has an end-of-image marker: decoders silently fill missing parts with grey.
fn has_end_of_image(bytes: &[u8]) -> bool {
    const END_OF_IMAGE: [u8; 2] = [0xFF, 0xD9];
    const START_OF_SCAN: u8 = 0xDA;
    // Segments before the first scan state their length. An embedded thumbnail is inside a segment and has its own end marker.
    let mut at = 2;
    while let [0xFF, marker, high, low] = bytes.get(at..at + 4).unwrap_or_default() {
        if *marker == START_OF_SCAN {
            return bytes[at..].windows(2).any(|pair| pair == END_OF_IMAGE);
        }
        at += if *marker == 0xFF { 1 } else { 2 + usize::from(u16::from_be_bytes([*high, *low])) };
    }
    false
}

/// Returns whether a JPEG file without its end-of-image marker has all of its pixels; phones write such panoramas.
fn decodes_without_end(bytes: &[u8]) -> bool {
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(1 << 16).set_max_height(1 << 16);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let is_small = |info: zune_jpeg::ImageInfo| usize::from(info.width) * usize::from(info.height) <= MAX_PIXELS;
    // A larger image is refused for its size.
    decoder.decode_headers().is_ok() && decoder.info().is_some_and(|info| !is_small(info) || decoder.decode().is_ok())
}
