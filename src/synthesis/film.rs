//! Films of a synthesis: pictures of the stimulus at intervals.

use std::path::Path;
use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::codecs::gif::{GifEncoder, Repeat};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{Delay, ExtendedColorType, RgbImage, RgbaImage, imageops};

use super::archive::{ArchiveReader, ArchiveWriter};
use crate::display::{MimeBundle, Raster, Show, escape};
use crate::fs::extension;
use crate::{Error, Result};

/// The time that a frame is shown, in milliseconds; the last one stays longer.
const FRAME_MS: u32 = 100;
const LAST_FRAME_MS: u32 = 1500;
/// The maximum number of frames. When it is exceeded, every second frame is dropped and the interval doubles.
const MAX_FRAMES: usize = 200;
/// The maximum number of frames and the maximum side of an animation in a notebook, whose file should stay small.
const MAX_INLINE_FRAMES: usize = 24;
const MAX_INLINE_SIDE: u32 = 224;
/// The speed of the choice of a frame's 256 colors, from 1 (best) to 30.
const PALETTE_SPEED: i32 = 10;
const JPEG_QUALITY: u8 = 85;

/// A picture of a film.
#[derive(Clone, Debug, PartialEq)]
struct Frame {
    step: usize,
    snr_db: f64,
    /// Three bytes a pixel.
    rgb: Vec<u8>,
}

/// The film of a synthesis, which [`Run::record_every`](super::Run::record_every) records.
///
/// It plays in a notebook. [`Film::export`] writes an animated GIF, WebP or PNG file, or a page with a slider.
///
/// ```
/// use metamers::prelude::*;
///
/// let net = zoo::efficientnet_lite0()?;
/// let mut run = Synthesis::new(&net, "stem", Image::open("photos/dog.jpg")?)?.seed(7).quiet().start()?;
/// run.record_every(1)?;
/// run.step(4)?;
/// let film = run.finish()?.film()?;
/// assert_eq!(film.steps(), [0, 1, 2, 3, 4]);
/// # let folder = tempfile::tempdir().unwrap();
/// film.export(folder.path().join("dog.gif"))?;
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Film {
    /// Width and height.
    size: [usize; 2],
    every: usize,
    frames: Arc<Vec<Frame>>,
}

impl Film {
    pub(super) fn new(every: usize) -> Self {
        Self { size: [0, 0], every, frames: Arc::default() }
    }

    /// The interval in steps.
    pub(super) fn every(&self) -> usize {
        self.every
    }

    /// Sets the interval.
    pub(super) fn set_every(&mut self, steps: usize) {
        self.every = steps;
    }

    /// Adds a frame if its step is due. `frame` gives its signal-to-noise ratio and its picture.
    pub(super) fn record(&mut self, step: usize, frame: impl FnOnce() -> (f64, Raster)) {
        let first = self.frames.first().map_or(step, |frame| frame.step);
        let is_due = step.saturating_sub(first).is_multiple_of(self.every);
        if !is_due || self.frames.last().is_some_and(|frame| frame.step >= step) {
            return;
        }
        let (snr_db, picture) = frame();
        let size = [picture.width(), picture.height()];
        let frames = Arc::make_mut(&mut self.frames);
        // The frames of a damaged file may have another size.
        if self.size != size {
            frames.clear();
            self.size = size;
        }
        frames.push(Frame { step, snr_db, rgb: picture.rgb().to_vec() });
        if frames.len() > MAX_FRAMES {
            self.every = self.every.saturating_mul(2);
            let every = self.every;
            frames.retain(|frame| frame.step.saturating_sub(first).is_multiple_of(every));
        }
    }

    /// The step of each frame.
    #[must_use]
    pub fn steps(&self) -> Vec<usize> {
        self.frames.iter().map(|frame| frame.step).collect()
    }

    /// The frames as pictures.
    #[must_use]
    pub fn frames(&self) -> Vec<Raster> {
        self.frames.iter().map(|frame| Raster::from_rgb(self.size[0], self.size[1], frame.rgb.clone())).collect()
    }

    /// Writes an animation; the extension selects the format: `.gif` (256 colors a frame), `.webp` or `.png` (all colors, larger), or
    /// `.html`, a page with a slider and buttons. The file is written atomically.
    ///
    /// # Errors
    /// [`Error::File`] for another extension, for a film without pictures, and when the file cannot be written.
    pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        if self.frames.is_empty() {
            return Err(Error::file(path, "the film has no pictures"));
        }
        let failed = |e: image::ImageError| Error::file(path, e);
        let bytes = match extension::lowercase_extension(path).as_str() {
            "gif" => self.gif(&self.images()).map_err(failed)?,
            "webp" => self.webp().map_err(failed)?,
            "png" => self.apng().map_err(|e| Error::file(path, e))?,
            "html" | "htm" => self.page().map_err(failed)?.into_bytes(),
            _ => {
                let reason = "films are exported as .gif, .webp or .png (animated), or .html (a page with a slider); for a video convert \
                              the .png, for instance with ffmpeg";
                return Err(Error::file(path, reason));
            }
        };
        crate::fs::atomic::write(path, &bytes)
    }

    fn images(&self) -> Vec<RgbImage> {
        let [width, height] = self.size.map(|side| side as u32);
        self.frames.iter().filter_map(|frame| RgbImage::from_raw(width, height, frame.rgb.clone())).collect()
    }

    fn gif(&self, images: &[RgbImage]) -> image::ImageResult<Vec<u8>> {
        let mut bytes = vec![];
        let mut encoder = GifEncoder::new_with_speed(&mut bytes, PALETTE_SPEED);
        encoder.set_repeat(Repeat::Infinite)?;
        for (i, image) in images.iter().enumerate() {
            let time = if i + 1 == images.len() { LAST_FRAME_MS } else { FRAME_MS };
            let mut opaque = RgbaImage::new(image.width(), image.height());
            opaque.pixels_mut().zip(image.pixels()).for_each(|(to, p)| to.0 = [p.0[0], p.0[1], p.0[2], 255]);
            encoder.encode_frame(image::Frame::from_parts(opaque, 0, 0, Delay::from_numer_denom_ms(time, 1)))?;
        }
        drop(encoder);
        Ok(bytes)
    }

    fn apng(&self) -> std::result::Result<Vec<u8>, png::EncodingError> {
        let mut bytes = vec![];
        let [width, height] = self.size.map(|side| side as u32);
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_animated(self.frames.len() as u32, 0)?;
        let mut writer = encoder.write_header()?;
        for (i, frame) in self.frames.iter().enumerate() {
            let time = if i + 1 == self.frames.len() { LAST_FRAME_MS } else { FRAME_MS };
            writer.set_frame_delay(time as u16, 1000)?;
            writer.write_image_data(&frame.rgb)?;
        }
        writer.finish()?;
        Ok(bytes)
    }

    /// An animated WebP file: `image` compresses the frames, without loss, and writes still pictures only.
    ///
    /// The container is that of Google's WebP Container Specification: chunks `VP8X`, `ANIM`, and `ANMF` for each frame.
    fn webp(&self) -> image::ImageResult<Vec<u8>> {
        let invalid = |reason: &str| image::ImageError::IoError(std::io::Error::other(reason));
        let [width, height] = self.size.map(|side| side as u32);
        let size = || [width, height].into_iter().flat_map(|side| three_bytes(side.saturating_sub(1)));
        let mut chunks = b"WEBP".to_vec();
        let is_animation = [2, 0, 0, 0];
        webp_chunk(&mut chunks, b"VP8X", &is_animation.into_iter().chain(size()).collect::<Vec<u8>>());
        // White, and no end to the repetitions.
        webp_chunk(&mut chunks, b"ANIM", &[255, 255, 255, 255, 0, 0]);
        for (i, frame) in self.frames.iter().enumerate() {
            let time = if i + 1 == self.frames.len() { LAST_FRAME_MS } else { FRAME_MS };
            let mut still = vec![];
            WebPEncoder::new_lossless(&mut still).encode(&frame.rgb, width, height, ExtendedColorType::Rgb8)?;
            let at_corner = [0; 6];
            let replaces_last = 2;
            let header = at_corner.into_iter().chain(size()).chain(three_bytes(time)).chain([replaces_last]);
            // The chunks after `RIFF`, its size and `WEBP`.
            webp_chunk(&mut chunks, b"ANMF", &header.chain(still.iter().copied().skip(12)).collect::<Vec<u8>>());
        }
        if u32::try_from(chunks.len()).is_err() {
            return Err(invalid("a WebP file has at most 4 GiB; record fewer frames"));
        }
        let mut bytes = vec![];
        webp_chunk(&mut bytes, b"RIFF", &chunks);
        Ok(bytes)
    }

    fn caption(frame: &Frame) -> String {
        format!("step {}, SNR {:.1} dB", frame.step, frame.snr_db)
    }

    /// A page that stands alone, with one JPEG picture a frame.
    fn page(&self) -> image::ImageResult<String> {
        let mut frames = vec![];
        for (image, frame) in self.images().iter().zip(&*self.frames) {
            let mut jpeg = vec![];
            let encoder = JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY);
            image.write_with_encoder(encoder)?;
            frames.push(serde_json::json!({
                "picture": format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg)),
                "caption": Self::caption(frame),
            }));
        }
        let frames = serde_json::Value::from(frames).to_string().replace("</", "<\\/");
        Ok(PAGE.replace("{{frames}}", &frames))
    }

    /// At most [`MAX_INLINE_FRAMES`] frames, the first and the last among them.
    fn inline_images(&self) -> Vec<RgbImage> {
        let images = self.images();
        let count = images.len().min(MAX_INLINE_FRAMES);
        let index = |i: usize| i * (images.len() - 1) / (count - 1).max(1);
        let shrink = |image: &RgbImage| {
            let size = [image.width(), image.height()];
            match inline_size(size) {
                [width, height] if [width, height] != size => imageops::thumbnail(image, width, height),
                _ => image.clone(),
            }
        };
        (0..count).map(|i| shrink(&images[index(i)])).collect()
    }

    pub(super) fn save(&self, to: &mut ArchiveWriter) {
        to.u64("film.every", self.every as u64);
        to.u64("film.width", self.size[0] as u64);
        to.u64("film.height", self.size[1] as u64);
        to.f64("film.steps", &self.frames.iter().map(|frame| frame.step as f64).collect::<Vec<_>>());
        to.f64("film.snr_db", &self.frames.iter().map(|frame| frame.snr_db).collect::<Vec<_>>());
        to.u8("film.rgb", &self.frames.iter().flat_map(|frame| frame.rgb.iter().copied()).collect::<Vec<_>>());
    }

    /// The film in a file; `None` if it holds none.
    pub(super) fn load(from: &ArchiveReader) -> Result<Option<Self>> {
        if !from.has("film.every") {
            return Ok(None);
        }
        let size = [from.count("film.width")?, from.count("film.height")?];
        let (steps, snrs, rgb) = (from.f64("film.steps")?, from.f64("film.snr_db")?, from.u8("film.rgb")?);
        let every = from.count("film.every")?;
        let frame = size[0].checked_mul(size[1]).and_then(|pixels| pixels.checked_mul(3));
        let expected = frame.and_then(|frame| frame.checked_mul(steps.len()));
        if every == 0 || expected != Some(rgb.len()) || steps.len() != snrs.len() {
            return Err(from.error("has a damaged film"));
        }
        let frames = steps.iter().zip(&snrs).zip(rgb.chunks_exact(frame.unwrap_or_default().max(1)));
        let frames = frames.map(|((&step, &snr_db), rgb)| Frame { step: step as usize, snr_db, rgb: rgb.to_vec() });
        Ok(Some(Self { size, every, frames: Arc::new(frames.collect()) }))
    }
}

/// The width and height in a notebook of a frame of this width and height: at most [`MAX_INLINE_SIDE`].
fn inline_size(size: [u32; 2]) -> [u32; 2] {
    let longer = size[0].max(size[1]);
    if longer <= MAX_INLINE_SIDE {
        return size;
    }
    // In u64, because the product overflows u32 for a side of 20 million pixels.
    size.map(|side| ((u64::from(side) * u64::from(MAX_INLINE_SIDE) / u64::from(longer)) as u32).max(1))
}

/// The lower three bytes, the least significant first.
fn three_bytes(value: u32) -> [u8; 3] {
    let [a, b, c, _] = value.to_le_bytes();
    [a, b, c]
}

/// Adds a chunk of a WebP file: name, size, data, and a zero after an odd number of bytes.
fn webp_chunk(to: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    to.extend_from_slice(name);
    to.extend_from_slice(&(data.len() as u32).to_le_bytes());
    to.extend_from_slice(data);
    to.resize(to.len().next_multiple_of(2), 0);
}

const PAGE: &str = include_str!("page/film.html");

impl Show for Film {
    /// An animated GIF, which plays without a script.
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let words = match (self.frames.first(), self.frames.last()) {
            (Some(first), Some(last)) => format!(
                "film of {} frames, from {} to {}",
                self.frames.len(),
                Self::caption(first),
                Self::caption(last)
            ),
            _ => "film without frames".into(),
        };
        let bundle = MimeBundle::text(&words);
        let images = self.inline_images();
        match (images.first(), self.gif(&images)) {
            (Some(first), Ok(gif)) => {
                let (gif, width) = (STANDARD.encode(gif), first.width().max(MAX_INLINE_SIDE));
                let alt = escape(&words);
                let picture = format!(r#"<img src="data:image/gif;base64,{gif}" width="{width}" alt="{alt}""#);
                let style = r#" style="max-width:100%;height:auto">"#;
                let caption = format!("<figcaption>{alt}</figcaption>");
                vec![bundle.html(format!(r#"<figure style="margin:0">{picture}{style}{caption}</figure>"#))]
            }
            _ => vec![bundle],
        }
    }
}

impl std::fmt::Debug for Film {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Film({} frames, one every {} steps)", self.frames.len(), self.every)
    }
}

crate::show_in_notebooks!(Film);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_another_size_replace_the_earlier_ones() {
        let mut film = Film::new(1);
        for (step, [width, height]) in [[4, 3], [2, 5], [2, 5]].into_iter().enumerate() {
            film.record(step, || (0.0, Raster::from_rgb(width, height, vec![0; 3 * width * height])));
        }
        assert_eq!((film.steps(), film.size), (vec![1, 2], [2, 5]));
        assert_eq!(film.images().len(), 2);
        assert!(film.webp().is_ok() && film.gif(&film.images()).is_ok() && film.apng().is_ok());
    }

    #[test]
    fn inline_sizes_do_not_overflow() {
        assert_eq!(inline_size([224, 100]), [224, 100]);
        assert_eq!(inline_size([448, 100]), [224, 50]);
        assert_eq!(inline_size([1, 40_000_000]), [1, 224]);
    }
}
