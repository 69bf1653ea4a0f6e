//! The sheet that figures are drawn on.

use ab_glyph::{Font, ScaleFont, point};

use super::colors::Rgb;
use super::raster::{Raster, encode};
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
        let mut ink = Ink::new(self, clip);
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
        ink.soak(self, color);
    }

    /// Draws a filled circle, clipped to `clip`.
    pub fn dot(&mut self, center: (f32, f32), radius: f32, color: Rgb, clip: Rect) {
        let mut ink = Ink::new(self, clip);
        ink.segment(center, center, 2.0 * radius);
        ink.soak(self, color);
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

/// How much of each pixel of a rectangle a line covers.
struct Ink {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    cover: Vec<f32>,
}

impl Ink {
    fn new(canvas: &Canvas, clip: Rect) -> Self {
        let edge = |value: f32, most: usize| (value * DENSITY).round().clamp(0.0, most as f32) as usize;
        let (left, top) = (edge(clip.x, canvas.width), edge(clip.y, canvas.height));
        let width = edge(clip.right(), canvas.width).saturating_sub(left);
        let height = edge(clip.bottom(), canvas.height).saturating_sub(top);
        Self { left, top, width, height, cover: vec![0.0; width * height] }
    }

    /// A straight stroke with round ends, in CSS pixels.
    fn segment(&mut self, from: (f32, f32), to: (f32, f32), width: f32) {
        let radius = f64::from(width * DENSITY / 2.0);
        let local = |point: (f32, f32)| {
            let (x, y) = (f64::from(point.0) * f64::from(DENSITY), f64::from(point.1) * f64::from(DENSITY));
            (x - self.left as f64, y - self.top as f64)
        };
        let reach = radius + 1.0;
        let Some((from, to)) = clipped(local(from), local(to), reach, self.width as f64, self.height as f64) else {
            return;
        };
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let square = dx * dx + dy * dy;
        let range = |a: f64, b: f64, most: usize| {
            let start = (a.min(b) - reach).floor().clamp(0.0, most as f64) as usize;
            start..(a.max(b) + reach).ceil().clamp(0.0, most as f64) as usize
        };
        for y in range(from.1, to.1, self.height) {
            // Only the columns that the stroke can reach in this row: a long slanted stroke covers little of its bounding box.
            let columns = if dy.abs() > 1.0 {
                let at = |y: f64| from.0 + dx * ((y - from.1) / dy).clamp(0.0, 1.0);
                let (a, b) = (at(y as f64 - reach), at(y as f64 + 1.0 + reach));
                range(a, b, self.width)
            } else {
                range(from.0, to.0, self.width)
            };
            for x in columns {
                let (px, py) = (x as f64 + 0.5 - from.0, y as f64 + 0.5 - from.1);
                let t = if square > 0.0 { ((px * dx + py * dy) / square).clamp(0.0, 1.0) } else { 0.0 };
                let distance = (px - t * dx).hypot(py - t * dy);
                let ink = (radius + 0.5 - distance).clamp(0.0, 1.0) as f32;
                let cover = &mut self.cover[y * self.width + x];
                *cover = cover.max(ink);
            }
        }
    }

    fn soak(self, canvas: &mut Canvas, color: Rgb) {
        for (index, &ink) in self.cover.iter().enumerate().filter(|(_, ink)| **ink > 0.0) {
            let (x, y) = (self.left + index % self.width, self.top + index / self.width);
            canvas.blend(x as i64, y as i64, color, ink);
        }
    }
}

type Point = (f64, f64);

/// The part of a segment that lies within `reach` of the rectangle of the given size (Liang and Barsky's clipping).
fn clipped(from: Point, to: Point, reach: f64, width: f64, height: f64) -> Option<(Point, Point)> {
    if ![from.0, from.1, to.0, to.1].iter().all(|value| value.is_finite()) {
        return None;
    }
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (mut start, mut end) = (0.0_f64, 1.0_f64);
    let edges =
        [(-dx, from.0 + reach), (dx, width + reach - from.0), (-dy, from.1 + reach), (dy, height + reach - from.1)];
    for (towards, room) in edges {
        if towards == 0.0 {
            if room < 0.0 {
                return None;
            }
        } else if towards < 0.0 {
            start = start.max(room / towards);
        } else {
            end = end.min(room / towards);
        }
    }
    (start <= end).then_some(((from.0 + start * dx, from.1 + start * dy), (from.0 + end * dx, from.1 + end * dy)))
}

/// The inked pieces of a dashed segment that begins `along` the whole line.
fn dashes(
    from: (f32, f32),
    to: (f32, f32),
    along: f32,
    on: f32,
    off: f32,
    mut draw: impl FnMut((f32, f32), (f32, f32)),
) {
    let length = (to.0 - from.0).hypot(to.1 - from.1);
    let period = on + off;
    if length <= 0.0 || period <= 0.0 {
        return;
    }
    let at = |way: f32| (from.0 + (to.0 - from.0) * way / length, from.1 + (to.1 - from.1) * way / length);
    let mut start = -(along % period);
    while start < length {
        let (a, b) = (start.max(0.0), (start + on).min(length));
        if a < b {
            draw(at(a), at(b));
        }
        start += period;
    }
}
