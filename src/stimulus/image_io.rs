//! Picture files, decoded in memory.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageReader};

/// The most pixels of a picture: beyond, its float32 values alone would take 800 MB.
pub(super) const LARGEST_PICTURE: usize = 1 << 26;

/// Width and height, and planes of red, green and blue, of a PNG, JPEG or WebP file; or what is wrong with it.
pub(super) fn decode(bytes: &[u8]) -> Result<([usize; 2], Vec<f32>), String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    if bytes.starts_with(&[0xFF, 0xD8]) && !jpeg_is_whole(bytes) {
        return Err("the JPEG file ends before its picture does".into());
    }
    let unreadable = |e: image::ImageError| format!("is no intact PNG, JPEG or WebP picture ({e})");
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > LARGEST_PICTURE as u64 {
        return Err(format!(
            "has {width} x {height} pixels; at most {LARGEST_PICTURE} in all are read: make it smaller first"
        ));
    }
    let orientation = decoder.orientation().map_err(unreadable)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    picture.apply_orientation(orientation);
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    if width == 0 || height == 0 {
        return Err("the picture has no pixels".into());
    }
    let pixels = picture.to_rgba32f();
    let mut values = vec![0.0; 3 * width * height];
    for (i, pixel) in pixels.pixels().enumerate() {
        let [r, g, b, alpha] = pixel.0;
        for (plane, value) in [r, g, b].into_iter().enumerate() {
            values[plane * width * height + i] = (value * alpha + (1.0 - alpha)).clamp(0.0, 1.0);
        }
    }
    Ok(([width, height], values))
}

/// Whether a JPEG file goes on to its end: decoders fill what is missing with grey and say nothing.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    const END_OF_IMAGE: [u8; 2] = [0xFF, 0xD9];
    const START_OF_SCAN: u8 = 0xDA;
    // Segments state their length up to the first scan. An embedded thumbnail lies in one of them, with an end of its own.
    let mut at = 2;
    while let [0xFF, marker, high, low] = bytes.get(at..at + 4).unwrap_or_default() {
        if *marker == START_OF_SCAN {
            return bytes[at..].windows(2).any(|pair| pair == END_OF_IMAGE);
        }
        at += if *marker == 0xFF { 1 } else { 2 + usize::from(u16::from_be_bytes([*high, *low])) };
    }
    false
}
