//! Image files of many formats against Pillow (scripts/reference/images.py), and files that are refused by name.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat};
use metamers::prelude::*;
use sha2::{Digest, Sha256};

use crate::common::{data, flat, json, max_difference, tensors};

#[test]
fn every_format_equals_the_reference() {
    let tensors = tensors("images.safetensors");
    let cases = json("images.json");
    let cases = cases.as_array().unwrap();
    assert!(cases.len() >= 44, "{} files", cases.len());
    for case in cases {
        let name = case["file"].as_str().unwrap();
        let bytes = tensors[name].to_vec1::<u8>().unwrap();
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(case["sha256"], sha256, "{name}: the file has changed since the reference was computed");
        let image = Image::from_bytes(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        let expected = &tensors[&format!("{name}.values")];
        assert_eq!(expected.dims(), [3, image.height(), image.width()], "{name}");
        let off = max_difference(image.values(), &flat(expected));
        // Decoders of JPEG round differently, up to three levels here, and conversions from CMYK up to one.
        let limit = match name {
            _ if name.ends_with(".jpg") => 3.1 / 255.0,
            "CMYK.tiff" => 1.1 / 255.0,
            _ => 1e-6,
        };
        assert!(off < limit, "{name}: off by {off}");
    }
}

#[test]
fn the_largest_difference_from_nan_is_nan() {
    assert_eq!(max_difference(&[1.0, 0.5], &[0.75, 1.0]), 0.5);
    assert!(max_difference(&[1.0, f32::NAN, 3.0], &[1.0; 3]).is_nan());
    assert!(max_difference(&[1.0; 3], &[1.0, -f32::NAN, 3.0]).is_nan());
}

#[test]
fn a_photo_without_end_marker_opens_and_a_truncated_one_does_not() {
    let bytes = std::fs::read(data("no_end_marker.jpg")).unwrap();
    let with_marker = [&bytes[..], &[0xFF, 0xD9]].concat();
    let image = Image::from_bytes(&bytes).unwrap();
    assert_eq!(image, Image::from_bytes(&with_marker).unwrap());
    for percent in [20, 50, 90, 99] {
        let error = Image::from_bytes(&bytes[..bytes.len() * percent / 100]).unwrap_err().to_string();
        assert!(error.contains("truncated"), "{percent} %: {error}");
    }
}

#[test]
fn floating_point_pixels_outside_the_range_are_an_error() {
    let image = image::Rgb32FImage::from_pixel(2, 2, image::Rgb([0.5, 1.5, 0.0]));
    let mut bytes = Cursor::new(vec![]);
    DynamicImage::ImageRgb32F(image).write_to(&mut bytes, ImageFormat::Tiff).unwrap();
    let error = Image::from_bytes(bytes.get_ref()).unwrap_err().to_string();
    assert!(error.contains("[0, 1]") && error.contains("1.5"), "{error}");
}

#[test]
fn other_files_are_named_and_never_called_damaged() {
    let named: [(&[u8], &str); 12] = [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC photo, which is not supported: export it as JPEG"),
        (b"\0\0\0\x1Cftypavif\0\0\0\0", "an AVIF image, which is not supported: export it as PNG or JPEG"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "MP4"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0", "MP4"),
        (b"\x1A\x45\xDF\xA3 webm matroska", "video"),
        (b"II*\0\x10\0\0\0CR\x02\0", "camera raw"),
        (b"8BPS\0\x01", "Photoshop"),
        (b"<svg xmlns=\"http://www.w3.org/2000/svg\">", "SVG"),
        (b"%PDF-1.7", "PDF"),
        (b"<html><body>404", "web page"),
        (b"RIFF\0\0\0\0WAVEfmt ", "Sound::open"),
        (b"\0\0\0\x0CJXL \r\n\x87\n", "JPEG XL"),
    ];
    for (bytes, part) in named {
        let error = Image::from_bytes(bytes).unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains("damaged"), "{error}");
    }
}

#[test]
fn grey_images_have_one_channel_in_all_operations() {
    let folder = tempfile::tempdir().unwrap();
    let dog = Image::open("photos/dog.jpg").unwrap().resize_shorter_side(40).unwrap();
    let grey = dog.to_gray();
    assert_eq!((grey.channels(), dog.channels(), grey.values().len()), (1, 3, grey.width() * grey.height()));
    let plane = grey.values().len();
    let luma =
        |i: usize| [0.299, 0.587, 0.114].iter().enumerate().map(|(c, w)| w * dog.values()[c * plane + i]).sum::<f32>();
    assert!(grey.values().iter().enumerate().all(|(i, v)| (v - luma(i)).abs() < 1e-6));
    assert_eq!(grey.to_tensor().unwrap().dims(), [1, 1, grey.height(), grey.width()]);
    assert_eq!(Image::from_tensor(&grey.to_tensor().unwrap()).unwrap().values(), grey.values());
    let small = grey.resize(20, 17).unwrap().center_crop(16, 16).unwrap();
    assert_eq!((small.channels(), small.values().len()), (1, 256));
    assert_eq!(small.to_rgb().values(), [small.values(); 3].concat());
    assert_eq!((small.to_gray(), dog.to_rgb()), (small.clone(), dog));
    let path = folder.path().join("grey.png");
    small.save_png16(&path).unwrap();
    let back = Image::open(&path).unwrap();
    assert!(back.values()[..256].iter().zip(small.values()).all(|(a, b)| (a - b).abs() <= 0.51 / 65535.0));
    assert!(Image::from_gray("x", 2, 2, vec![0.5; 12]).unwrap_err().to_string().contains("1 plane of 2 x 2"));
    assert!(small.mime_bundles()[0].plain().contains("16 × 16 pixels"));
}
