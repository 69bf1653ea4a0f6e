//! Decoding of image files in memory.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageReader};

/// The maximum number of pixels of an image; its float32 values take 800 MB.
pub(super) const MAX_PIXELS: usize = 1 << 26;

/// Decodes a PNG, JPEG or WebP file: `[width, height]` and the red, green and blue planes. The error is the reason, without the path.
pub(super) fn decode(bytes: &[u8]) -> Result<([usize; 2], Vec<f32>), String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    if bytes.starts_with(&[0xFF, 0xD8]) && !jpeg_is_complete(bytes) {
        return Err("the JPEG file is truncated".into());
    }
    let invalid = |e: image::ImageError| format!("not a valid PNG, JPEG or WebP image ({e})");
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    let mut decoder = reader.into_decoder().map_err(invalid)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS as u64 {
        return Err(format!(
            "the image has {width} x {height} pixels; at most {MAX_PIXELS} pixels are supported; resize it first"
        ));
    }
    let orientation = decoder.orientation().map_err(invalid)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(invalid)?;
    image.apply_orientation(orientation);
    let (width, height) = (image.width() as usize, image.height() as usize);
    if width == 0 || height == 0 {
        return Err("the image has no pixels".into());
    }
    let pixels = image.to_rgba32f();
    let mut values = vec![0.0; 3 * width * height];
    for (i, pixel) in pixels.pixels().enumerate() {
        let [r, g, b, alpha] = pixel.0;
        for (plane, value) in [r, g, b].into_iter().enumerate() {
            values[plane * width * height + i] = (value * alpha + (1.0 - alpha)).clamp(0.0, 1.0);
        }
    }
    Ok(([width, height], values))
}

/// Returns whether a JPEG file has an end-of-image marker: decoders silently fill missing parts with grey.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
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
