//! Images: valid, damaged and invalid files, resizing, cropping and noise.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat};
use metamers::prelude::*;
use rand::{RngExt, SeedableRng};

use crate::common::max_difference;

fn bytes(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(vec![]);
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn corner(width: u32, height: u32) -> DynamicImage {
    let mut image = image::RgbImage::new(width, height);
    image.put_pixel(0, 0, image::Rgb([255, 0, 0]));
    DynamicImage::ImageRgb8(image)
}

/// A JPEG with an EXIF orientation, as phones write it.
fn jpeg_with_orientation(orientation: u8) -> Vec<u8> {
    let mut image = image::RgbImage::from_pixel(32, 16, image::Rgb([0, 0, 0]));
    for (x, y) in (0..8).flat_map(|x| (0..8).map(move |y| (x, y))) {
        image.put_pixel(x, y, image::Rgb([255, 255, 255]));
    }
    let plain = bytes(&DynamicImage::ImageRgb8(image), ImageFormat::Jpeg);
    let tiff =
        [b"II*\0".as_slice(), &8u32.to_le_bytes(), &1u16.to_le_bytes(), &0x0112u16.to_le_bytes(), &3u16.to_le_bytes()];
    let mut exif = b"Exif\0\0".to_vec();
    exif.extend(tiff.concat());
    exif.extend([1u32.to_le_bytes(), u32::from(orientation).to_le_bytes(), 0u32.to_le_bytes()].concat());
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&plain[..2], &[0xFF, 0xE1], &length, &exif, &plain[2..]].concat()
}

#[test]
fn exif_orientations_are_applied() {
    // Orientation, displayed corner of the bright first pixels ([right, bottom]), and whether width and height are swapped
    // (EXIF 2.3, tag 0x0112).
    let corners = [
        (1, [false, false], false),
        (2, [true, false], false),
        (3, [true, true], false),
        (4, [false, true], false),
        (5, [false, false], true),
        (6, [true, false], true),
        (7, [true, true], true),
        (8, [false, true], true),
    ];
    for (orientation, bright, swapped) in corners {
        let image = Image::from_bytes(&jpeg_with_orientation(orientation)).unwrap();
        let (width, height) = if swapped { (16, 32) } else { (32, 16) };
        assert_eq!((image.width(), image.height()), (width, height), "orientation {orientation}");
        for corner in [[false, false], [true, false], [false, true], [true, true]] {
            let [x, y] = [if corner[0] { width - 3 } else { 2 }, if corner[1] { height - 3 } else { 2 }];
            let value = image.values()[y * width + x];
            assert_eq!(value > 0.5, corner == bright, "orientation {orientation}, at {x}, {y}: {value}");
        }
    }
}

#[test]
fn grayscale_becomes_three_equal_channels() {
    let grey = DynamicImage::ImageLuma8(image::GrayImage::from_pixel(3, 2, image::Luma([51])));
    let mut webp = vec![];
    let encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut webp);
    encoder.encode(grey.as_bytes(), 3, 2, image::ExtendedColorType::L8).unwrap();
    for file in [bytes(&grey, ImageFormat::Png), bytes(&grey, ImageFormat::Jpeg), webp] {
        let image = Image::from_bytes(&file).unwrap();
        assert_eq!((image.width(), image.height()), (3, 2));
        assert!(image.values().iter().all(|v| (v - 0.2).abs() < 1e-6));
    }
}

#[test]
fn transparent_pixels_are_composited_over_white() {
    let mut image = image::RgbaImage::from_pixel(2, 1, image::Rgba([0, 0, 0, 255]));
    image.put_pixel(1, 0, image::Rgba([0, 0, 0, 0]));
    let image = Image::from_bytes(&bytes(&DynamicImage::ImageRgba8(image), ImageFormat::Png)).unwrap();
    assert_eq!(image.values(), [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
}

#[test]
fn png16_preserves_sixteen_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("noise.png");
    let noise = Image::noise(9, 7, Noise::Uniform { low: 0.0, high: 1.0 }, 1).unwrap();
    noise.save_png16(&path).unwrap();
    let back = Image::open(&path).unwrap();
    assert!(back.values().iter().zip(noise.values()).all(|(a, b)| (a - b).abs() <= 0.51 / 65535.0));
    assert_eq!(back.name(), "noise");
    assert!(noise.save_png16(folder.path().join("noise.jpg")).unwrap_err().to_string().contains("saved as .png"));
}

#[test]
fn saved_images_open_with_a_bounded_error() {
    let folder = tempfile::tempdir().unwrap();
    let photo = Image::open("photos/dog.jpg").unwrap().resize_shorter_side(64).unwrap();
    for (extension, loss) in [("png", 0.003), ("webp", 0.003), ("jpg", 0.2), ("JPEG", 0.2)] {
        let path = folder.path().join(format!("dog.{extension}"));
        photo.save(&path).unwrap();
        let back = Image::open(&path).unwrap();
        let worst = max_difference(back.values(), photo.values());
        assert!(worst < loss, "{extension}: a value is off by {worst}");
    }
    for extension in ["html", "HTM", "txt"] {
        let path = folder.path().join(format!("dog.{extension}"));
        assert!(photo.save(&path).unwrap_err().to_string().contains("`export`"));
        photo.export(&path).unwrap();
    }
    let error = photo.save(folder.path().join("dog.bmp")).unwrap_err().to_string();
    assert!(error.contains("dog.bmp") && error.contains(".png"), "{error}");
    assert!(photo.save(folder.path().join("no/such/folder.png")).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 7, "a failed save must leave no file");
}

#[test]
fn downscaling_does_not_alias() {
    // A checkerboard of single pixels becomes gray; nearest-neighbor sampling would keep black and white.
    let values = |i: usize| if (i % 64 + i / 64 % 64).is_multiple_of(2) { 1.0 } else { 0.0 };
    let board = Image::from_planes("board", 64, 64, (0..3 * 64 * 64).map(values).collect()).unwrap();
    let small = board.resize(13, 13).unwrap();
    let inner = (2..11).flat_map(|y| (2..11).map(move |x| (x, y))).map(|(x, y)| small.values()[y * 13 + x]);
    for value in inner {
        assert!((value - 0.5).abs() < 0.05, "{value}");
    }
}

#[test]
fn center_crop_keeps_the_center() {
    let image = Image::from_bytes(&bytes(&corner(5, 4), ImageFormat::Png)).unwrap();
    assert_eq!(image.center_crop(5, 4).unwrap().values(), image.values());
    assert!(image.center_crop(3, 2).unwrap().values().iter().all(|v| *v == 0.0));
    assert!(image.center_crop(6, 2).unwrap_err().to_string().contains("5 x 4"));
    assert!(image.resize(0, 3).is_err());
    assert!(image.resize_shorter_side(usize::MAX / 4).is_err());
    let wide = Image::noise(1 << 20, 1, Noise::Uniform { low: 0.0, high: 1.0 }, 0).unwrap();
    assert!(wide.resize(1, 1 << 20).unwrap_err().to_string().contains("reduce the width first"));
    assert_eq!(wide.resize(16, 2).unwrap().values().len(), 3 * 16 * 2);
}

#[test]
fn invalid_image_files_are_errors_with_path_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        Image::open(&path).unwrap_err().to_string()
    };
    for (name, content) in
        [("empty.png", b"".as_slice()), ("text.jpg", b"this is not an image"), ("zeros.webp", &[0; 64])]
    {
        let error = write(name, content);
        assert!(error.contains(name) && error.len() > name.len() + 20, "{error}");
    }
    let error = Image::open("photos/unicorn.jpg").unwrap_err().to_string();
    assert!(error.contains("photos/unicorn.jpg") && error.contains("no such file"), "{error}");
    assert!(Image::open(folder.path()).is_err(), "a folder is not an image");
}

#[test]
fn damaged_images_never_panic() {
    let photo = DynamicImage::ImageRgb8(corner(40, 30).to_rgb8());
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let (mut errors, mut tries) = (0, 0);
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
        let whole = bytes(&photo, format);
        for _ in 0..400 {
            let mut broken = whole.clone();
            if random.random::<bool>() {
                broken.truncate(random.random_range(0..whole.len()));
            }
            for _ in 0..random.random_range(0..12) {
                if !broken.is_empty() {
                    let at = random.random_range(0..broken.len());
                    broken[at] = random.random();
                }
            }
            tries += 1;
            match Image::from_bytes(&broken) {
                Ok(image) => assert!(image.values().iter().all(|v| (0.0..=1.0).contains(v))),
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    errors += 1;
                }
            }
        }
    }
    assert!(errors > tries / 4, "too few damaged files are errors");
}

#[test]
fn noise_has_the_stated_mean_and_deviation() {
    let normal = Image::noise(100, 100, Noise::Normal { mean: 0.5, deviation: 0.05 }, 4).unwrap();
    let mean = normal.values().iter().sum::<f32>() / 30_000.0;
    let deviation = (normal.values().iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 30_000.0).sqrt();
    assert!((mean - 0.5).abs() < 0.002 && (deviation - 0.05).abs() < 0.002, "{mean} {deviation}");
    let uniform = Image::noise(100, 100, Noise::Uniform { low: 0.5, high: 0.6 }, 4).unwrap();
    assert!(uniform.values().iter().all(|v| (0.5..0.6).contains(v)));
    assert!(Image::noise(4, 4, Noise::Normal { mean: 0.5, deviation: -1.0 }, 0).is_err());
    assert!(Image::noise(4, 4, Noise::Normal { mean: f32::NAN, deviation: 1.0 }, 0).is_err());
    assert!(Image::noise(4, 4, Noise::Uniform { low: 0.6, high: 0.5 }, 0).is_err());
    assert!(Image::noise(0, 4, Noise::Uniform { low: 0.0, high: 0.5 }, 0).is_err());
}

#[test]
fn values_out_of_range_are_errors() {
    let with = |value: f32| Image::from_planes("x", 1, 1, vec![0.5, value, 0.5]);
    assert!(with(0.5).is_ok());
    assert!(with(1.5).unwrap_err().to_string().contains("1.5"));
    assert!(with(f32::NAN).unwrap_err().to_string().contains("finite"));
    assert!(Image::from_planes("x", 2, 1, vec![0.5; 3]).is_err());
}

#[test]
fn a_truncated_photo_is_an_error() {
    let whole = std::fs::read(&shipped_photos().unwrap()[3]).unwrap();
    assert!(Image::from_bytes(&whole).is_ok());
    for percent in [20, 50, 90, 99] {
        let error = Image::from_bytes(&whole[..whole.len() * percent / 100]).unwrap_err().to_string();
        assert!(error.contains("truncated"), "{percent} %: {error}");
    }
}

#[test]
fn invalid_sizes_are_errors() {
    let noise = |width, height| Image::noise(width, height, Noise::Uniform { low: 0.0, high: 1.0 }, 0);
    assert!(noise(usize::MAX, 2).is_err() && noise(1 << 40, 1).is_err());
    assert!(Image::from_planes("x", usize::MAX / 2, 4, vec![]).is_err());
    assert!(noise(4, 4).unwrap().resize_shorter_side(0).is_err());
}

/// The checksum of a PNG chunk (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

#[test]
fn a_header_with_too_many_pixels_is_an_error() {
    let mut png = bytes(&corner(4, 4), ImageFormat::Png);
    png[16..20].copy_from_slice(&9000u32.to_be_bytes());
    png[20..24].copy_from_slice(&9000u32.to_be_bytes());
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    let mut jpeg = bytes(&corner(16, 16), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x23, 0x28, 0x23, 0x28]);
    for file in [png, jpeg] {
        let error = Image::from_bytes(&file).unwrap_err().to_string();
        assert!(error.contains("9000 x 9000 pixels; at most 67108864 pixels"), "{error}");
    }
}

#[test]
fn damaged_photos_never_panic() {
    let whole = std::fs::read(&shipped_photos().unwrap()[0]).unwrap();
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(2);
    for _ in 0..40 {
        let mut broken = whole.clone();
        for _ in 0..random.random_range(1..6) {
            // Half of the damage hits the tables in the header.
            let limit = if random.random::<bool>() { 600 } else { broken.len() };
            broken[random.random_range(0..limit)] = random.random();
        }
        if let Ok(image) = Image::from_bytes(&broken) {
            assert_eq!(image.values().len(), 3 * image.width() * image.height());
        }
    }
}
