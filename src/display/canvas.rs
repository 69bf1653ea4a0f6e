//! The sheet that figures are drawn on.

use ab_glyph::{Font, ScaleFont, point};

use super::colors::Rgb;
use super::raster::{Raster, encode};
use super::stroke::{Ink, dashes};
use super::text::{Style, glyphs};

/// Pixels to a CSS pixel: pictures are drawn for dense screens.
pub(crate) const DENSITY: f32 = 2.0;

/// A rectangle in CSS pixels, from the top left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rect {
    pub x: f32,
    pub y: f32,
    pub width: f32,
    pub height: f32,
}

impl Rect {
    pub fn new(x: f32, y: f32, width: f32, height: f32) -> Self {
        Self { x, y, width, height }
    }

    pub fn right(&self) -> f32 {
        self.x + self.width
    }

    pub fn bottom(&self) -> f32 {
        self.y + self.height
    }

    pub fn overlaps(&self, other: &Self) -> bool {
        self.x < other.right() && other.x < self.right() && self.y < other.bottom() && other.y < self.bottom()
    }
}

/// Where a text begins: its line spans from the point to the right, stands around it or ends at it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A sheet of RGB pixels with its measures in CSS pixels.
#[derive(Debug)]
pub(crate) struct Canvas {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
    /// Each text and its place, so that tests can see what overlaps.
    pub texts: Vec<(Rect, String)>,
}

impl Canvas {
    pub fn new(width: f32, height: f32) -> Self {
        let (width, height) = ((width * DENSITY).ceil().max(1.0) as usize, (height * DENSITY).ceil().max(1.0) as usize);
        Self { width, height, rgb: vec![255; 3 * width * height], texts: Vec::new() }
    }

    pub fn width(&self) -> f32 {
        self.width as f32 / DENSITY
    }

    pub fn height(&self) -> f32 {
        self.height as f32 / DENSITY
    }

    pub fn png(&self) -> Vec<u8> {
        encode(self.width, self.height, &self.rgb)
    }

    /// Fills a rectangle, whose edges fall on whole pixels.
    pub fn fill(&mut self, rect: Rect, color: Rgb) {
        let ends = |start: f32, end: f32, most: usize| {
            let start = (start * DENSITY).round().clamp(0.0, most as f32) as usize;
            (start, ((end * DENSITY).round().clamp(0.0, most as f32) as usize).max(start))
        };
        let (left, right) = ends(rect.x, rect.right(), self.width);
        let (top, bottom) = ends(rect.y, rect.bottom(), self.height);
        for y in top..bottom {
            for pixel in self.rgb[3 * (y * self.width + left)..3 * (y * self.width + right)].chunks_exact_mut(3) {
                pixel.copy_from_slice(&color);
            }
        }
    }

    /// The outline of a rectangle, one CSS pixel wide, around it.
    pub fn frame(&mut self, rect: Rect, color: Rgb) {
        let Rect { x, y, width, height } = rect;
        self.fill(Rect::new(x - 1.0, y - 1.0, width + 2.0, 1.0), color);
        self.fill(Rect::new(x - 1.0, y + height, width + 2.0, 1.0), color);
        self.fill(Rect::new(x - 1.0, y, 1.0, height), color);
        self.fill(Rect::new(x + width, y, 1.0, height), color);
    }

    /// Copies a picture, pixel by pixel, to a place given in CSS pixels.
    pub fn picture(&mut self, x: f32, y: f32, picture: &Raster) {
        let (left, top) = ((x * DENSITY).round().max(0.0) as usize, (y * DENSITY).round().max(0.0) as usize);
        let visible = picture.width().min(self.width.saturating_sub(left));
        for (row, pixels) in picture.rgb().chunks_exact(3 * picture.width().max(1)).enumerate() {
            if top + row >= self.height {
                break;
            }
            let start = 3 * ((top + row) * self.width + left);
            self.rgb[start..start + 3 * visible].copy_from_slice(&pixels[..3 * visible]);
        }
    }

    /// Draws a line through `points`, clipped to `clip`, with dashes of the given lengths (ink, gap) if there are any.
    pub fn line(&mut self, points: &[(f32, f32)], width: f32, color: Rgb, dash: Option<(f32, f32)>, clip: Rect) {
        let mut ink = self.ink(clip);
        let mut along = 0.0;
        for ends in points.windows(2) {
            let length = (ends[1].0 - ends[0].0).hypot(ends[1].1 - ends[0].1);
            match dash {
                Some((on, off)) if length.is_finite() && length < 20.0 * (clip.width + clip.height) => {
                    dashes(ends[0], ends[1], along, on, off, |from, to| ink.segment(from, to, width));
                }
                _ => ink.segment(ends[0], ends[1], width),
            }
            along += length;
        }
        self.soak(ink, color);
    }

    /// Draws a filled circle, clipped to `clip`.
    pub fn dot(&mut self, center: (f32, f32), radius: f32, color: Rgb, clip: Rect) {
        let mut ink = self.ink(clip);
        ink.segment(center, center, 2.0 * radius);
        self.soak(ink, color);
    }

    /// Writes one line of text; `y` is the top of the line. Gives back the place it took.
    pub fn text(&mut self, x: f32, y: f32, anchor: Anchor, text: &str, style: Style) -> Rect {
        let width = style.width(text);
        let x = match anchor {
            Anchor::Start => x,
            Anchor::Middle => x - width / 2.0,
            Anchor::End => x - width,
        };
        let baseline = ((y + style.baseline()) * DENSITY).round();
        self.letters(text, style, |along, up| (x * DENSITY + along, baseline - up), false);
        self.note(Rect::new(x, y, width, style.line()), text)
    }

    /// Writes one line of text from the bottom up, around the height `y`; `x` is the left of the turned line.
    pub fn text_upwards(&mut self, x: f32, y: f32, text: &str, style: Style) -> Rect {
        let width = style.width(text);
        let start = ((y + width / 2.0) * DENSITY).round();
        let baseline = ((x + style.baseline()) * DENSITY).round();
        self.letters(text, style, |along, up| (baseline - up, start - along), true);
        self.note(Rect::new(x, y - width / 2.0, style.line(), width), text)
    }

    fn note(&mut self, rect: Rect, text: &str) -> Rect {
        if !text.trim().is_empty() {
            self.texts.push((rect, text.to_owned()));
        }
        rect
    }

    /// Draws the glyphs of a text; `place` takes the way along the text and up from its baseline, in pixels, to the sheet.
    fn letters(&mut self, text: &str, style: Style, place: impl Fn(f32, f32) -> (f32, f32), upwards: bool) {
        let font = style.font();
        let scale = style.scale(DENSITY);
        let scaled = font.as_scaled(scale);
        let mut along = 0.0;
        for id in glyphs(font, text) {
            // Only the fraction goes to the outline, so that turned letters fall on the pixels just like upright ones.
            let (x, y) = place(along, 0.0);
            let fraction = if upwards { (-y).rem_euclid(1.0) } else { x.rem_euclid(1.0) };
            if let Some(outline) = font.outline_glyph(id.with_scale_and_position(scale, point(fraction, 0.0))) {
                let corner = outline.px_bounds().min;
                outline.draw(|column, row, ink| {
                    let (dx, dy) = (corner.x as i64 + i64::from(column), corner.y as i64 + i64::from(row));
                    let (x, y) = match upwards {
                        false => (x.floor() as i64 + dx, y as i64 + dy),
                        true => (x as i64 + dy, (y.ceil() as i64) - dx - 1),
                    };
                    self.blend(x, y, style.color, ink);
                });
            }
            along += scaled.h_advance(id);
        }
    }

    fn ink(&self, clip: Rect) -> Ink {
        let edge = |value: f32, most: usize| (value * DENSITY).round().clamp(0.0, most as f32) as usize;
        let (left, top) = (edge(clip.x, self.width), edge(clip.y, self.height));
        Ink::new(left..edge(clip.right(), self.width), top..edge(clip.bottom(), self.height))
    }

    fn soak(&mut self, ink: Ink, color: Rgb) {
        for (x, y, cover) in ink.covered() {
            self.blend(x as i64, y as i64, color, cover);
        }
    }

    fn blend(&mut self, x: i64, y: i64, color: Rgb, ink: f32) {
        if x < 0 || y < 0 || x >= self.width as i64 || y >= self.height as i64 {
            return;
        }
        let at = 3 * (y as usize * self.width + x as usize);
        let ink = ink.clamp(0.0, 1.0);
        for (value, new) in self.rgb[at..at + 3].iter_mut().zip(color) {
            *value = (f32::from(*value) * (1.0 - ink) + f32::from(new) * ink).round() as u8;
        }
    }
}
