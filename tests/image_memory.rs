//! The memory that an image takes while it is decoded, by an allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Cursor;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use image::{DynamicImage, ImageFormat};
use metamers::prelude::*;

/// The system's allocator with the number of bytes in use and its maximum.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged; the counters do not touch the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(IN_USE.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller's contract is that of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the memory comes from the system's allocator, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The maximum number of bytes in use while the file is decoded, and the image.
fn peak(file: &[u8]) -> (usize, Image) {
    let before = IN_USE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let image = Image::from_bytes(file).unwrap();
    (PEAK.load(Relaxed) - before, image)
}

/// All sizes in one test, because tests of one binary run at the same time.
#[test]
fn decoding_takes_little_more_than_the_pixels() {
    const SIDE: u32 = 2048;
    let pixels = (SIDE * SIDE) as usize;
    let flat = |image: DynamicImage, format| {
        let mut file = Cursor::new(vec![]);
        image.write_to(&mut file, format).unwrap();
        file.into_inner()
    };
    // The planes of float32 take 12 bytes per pixel; the decoder's own image comes on top.
    let rgba = flat(DynamicImage::new_rgba8(SIDE, SIDE), ImageFormat::Png);
    assert!(rgba.len() < pixels / 40, "{} bytes", rgba.len());
    let rgb = DynamicImage::new_rgb8(SIDE, SIDE);
    for (name, file, per_pixel) in [
        ("RGBA PNG", rgba, 12 + 4),
        ("grey PNG", flat(DynamicImage::new_luma8(SIDE, SIDE), ImageFormat::Png), 12 + 1),
        ("16-bit PNG", flat(DynamicImage::new_rgb16(SIDE, SIDE), ImageFormat::Png), 12 + 6),
        ("JPEG", flat(rgb.clone(), ImageFormat::Jpeg), 12 + 3),
        ("BMP", flat(rgb.clone(), ImageFormat::Bmp), 12 + 3),
        ("GIF", flat(DynamicImage::new_rgba8(SIDE, SIDE), ImageFormat::Gif), 12 + 4),
        ("WebP", flat(rgb.clone(), ImageFormat::WebP), 12 + 3),
        ("TIFF", flat(rgb, ImageFormat::Tiff), 12 + 3),
    ] {
        let (taken, image) = peak(&file);
        assert_eq!([image.width(), image.height()], [SIDE as usize; 2], "{name}");
        let taken = taken as f64 / pixels as f64;
        println!("{name}: {} bytes, {taken:.2} bytes per pixel", file.len());
        let expected = 12.0..f64::from(per_pixel) + 1.0;
        assert!(expected.contains(&taken), "{name}: {taken:.2} bytes per pixel, expected {expected:?}");
    }
}
