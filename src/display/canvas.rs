//! The canvas on which figures are drawn.

use std::cell::RefCell;

use ab_glyph::{Font, ScaleFont, point};
use image::{RgbImage, imageops};
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::prelude::{BitMapBackend, DrawingBackend};
use plotters::style::text_anchor::VPos;

use super::colors::Rgb;
use super::plotters_backend::{Label, PlottersCanvas, anchor_fractions};
use super::raster::{Raster, encode, halved};
use super::text::{Style, glyphs};

/// The number of pixels per CSS pixel, for high-density screens.
pub(crate) const DENSITY: f32 = 2.0;
/// The supersampling factor of plots: plotters does not antialias wide strokes, so a plot is drawn larger, and [`halved`].
const SUPERSAMPLING: u32 = 2;
/// The number of pixels per CSS pixel in a supersampled plot.
pub(crate) const PLOT_DENSITY: f32 = DENSITY * SUPERSAMPLING as f32;

/// Converts a length to pixels of a supersampled plot.
pub(crate) fn to_plot_pixels(css_pixels: f32) -> i32 {
    (css_pixels * PLOT_DENSITY).round() as i32
}

/// A rectangle in CSS pixels; the origin is at the top left.
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

/// The horizontal alignment of a text to its anchor point.
pub(crate) use plotters::style::text_anchor::HPos as Anchor;

/// The drawing area of a plot.
pub(crate) type Area<'a> = DrawingArea<PlottersCanvas<'a>, Shift>;
/// An error of plotters.
pub(crate) type DrawError = DrawingAreaErrorKind<<BitMapBackend<'static> as DrawingBackend>::ErrorType>;

/// An RGB image with drawing functions in CSS pixels.
#[derive(Debug)]
pub(crate) struct Canvas {
    sheet: RgbImage,
    /// All texts and their rectangles, so that tests can check for overlaps.
    pub texts: Vec<(Rect, String)>,
}

impl Canvas {
    pub fn new(width: f32, height: f32) -> Self {
        let [width, height] = [width, height].map(|length| (length * DENSITY).ceil().max(1.0) as u32);
        Self { sheet: RgbImage::from_pixel(width, height, image::Rgb([255; 3])), texts: Vec::new() }
    }

    pub fn width(&self) -> f32 {
        self.sheet.width() as f32 / DENSITY
    }

    pub fn height(&self) -> f32 {
        self.sheet.height() as f32 / DENSITY
    }

    pub fn png(&self) -> Vec<u8> {
        encode(self.sheet.width() as usize, self.sheet.height() as usize, &self.sheet)
    }

    /// Copies a picture to a position in pixels, row by row: several times as fast as `imageops::replace`. What is outside is left out.
    fn paste(&mut self, left: i64, top: i64, picture: &RgbImage) {
        let sheet_width = i64::from(self.sheet.width());
        let (from, to) = (left.clamp(0, sheet_width), (left + i64::from(picture.width())).clamp(0, sheet_width));
        if from == to {
            return;
        }
        let bytes = |pixels: i64| 3 * pixels as usize;
        let height = i64::from(self.sheet.height());
        let sheet: &mut [u8] = &mut self.sheet;
        let rows = picture.chunks_exact(bytes(picture.width().into()));
        for (y, row) in (top..).zip(rows).filter(|(y, _)| (0..height).contains(y)) {
            let row = &row[bytes(from - left)..bytes(to - left)];
            sheet[bytes(y * sheet_width + from)..][..row.len()].copy_from_slice(row);
        }
    }

    /// Fills a rectangle; its edges are rounded to whole pixels.
    pub fn fill(&mut self, rect: Rect, color: Rgb) {
        let (left, top, width, height) = pixels(rect);
        self.paste(left, top, &RgbImage::from_pixel(width, height, image::Rgb(color)));
    }

    /// Copies a picture, pixel by pixel, to a position in CSS pixels.
    pub fn picture(&mut self, x: f32, y: f32, picture: &Raster) {
        let (left, top, ..) = pixels(Rect::new(x, y, 0.0, 0.0));
        self.paste(left, top, &picture.image());
    }

    /// Draws a plot with plotters in a rectangle. Its texts are drawn afterwards, on the downscaled plot, so that they are sharp.
    pub fn plot(&mut self, place: Rect, draw: impl FnOnce(&Area) -> Result<(), DrawError>) -> Result<(), String> {
        let (left, top, width, height) = pixels(place);
        let size = (width * SUPERSAMPLING, height * SUPERSAMPLING);
        let mut large = RgbImage::from_pixel(size.0, size.1, image::Rgb([255; 3]));
        let labels = RefCell::new(Vec::new());
        let backend = PlottersCanvas { bitmap: BitMapBackend::with_buffer(&mut large, size), labels: &labels };
        draw(&backend.into_drawing_area()).map_err(|error| error.to_string())?;
        self.paste(left, top, &halved(&large));
        for label in labels.into_inner() {
            self.write(&Label { x: place.x + label.x, y: place.y + label.y, ..label }, Some(place));
        }
        Ok(())
    }

    /// Counts the pixels of a rectangle that are darker than grid lines.
    pub fn count_dark_pixels(&self, rect: Rect) -> usize {
        let (left, top, width, height) = pixels(rect);
        let part = imageops::crop_imm(&self.sheet, left.max(0) as u32, top.max(0) as u32, width, height).to_image();
        part.pixels().filter(|pixel| pixel.0.iter().any(|value| *value < 0xd0)).count()
    }

    /// Draws a line of text; `y` is the top of the line. Returns its rectangle.
    pub fn text(&mut self, x: f32, y: f32, anchor: Anchor, text: &str, style: Style) -> Rect {
        let (anchor_x, anchor_y) = anchor_fractions(anchor, VPos::Top);
        self.write(&Label { text: text.to_owned(), style, x, y, anchor_x, anchor_y, rotated: false }, None)
    }

    /// Draws a text; one that would extend beyond `within`, as at the end of an axis, is moved inside.
    fn write(&mut self, label: &Label, within: Option<Rect>) -> Rect {
        const SLACK: f32 = 4.0;
        let Label { text, style, rotated, .. } = label;
        let (along, across) = (style.width(text), style.line());
        let (width, height) = if *rotated { (across, along) } else { (along, across) };
        let mut rect = Rect::new(label.x - label.anchor_x * width, label.y - label.anchor_y * height, width, height);
        if let Some(place) = within {
            rect.x = rect.x.min(place.right() - width).max(place.x);
            rect.y = rect.y.min(place.bottom() + SLACK - height).max(place.y - SLACK);
        }
        let baseline = |side: f32| ((side + style.baseline()) * DENSITY).round();
        match rotated {
            false => {
                let baseline = baseline(rect.y);
                self.draw_glyphs(text, *style, |along, up| (rect.x * DENSITY + along, baseline - up), false);
            }
            true => {
                let (baseline, start) = (baseline(rect.x), (rect.bottom() * DENSITY).round());
                self.draw_glyphs(text, *style, |along, up| (baseline - up, start - along), true);
            }
        }
        if !text.trim().is_empty() {
            self.texts.push((rect, text.to_owned()));
        }
        rect
    }

    /// Draws the glyphs of a text. `place` maps a position along the text and above its baseline, in pixels, to the canvas. plotters' own text
    /// ignores the left side bearing of glyphs, which makes the spacing uneven.
    fn draw_glyphs(&mut self, text: &str, style: Style, place: impl Fn(f32, f32) -> (f32, f32), rotated: bool) {
        let font = style.font();
        let scale = style.scale(DENSITY);
        let scaled = font.as_scaled(scale);
        let mut along = 0.0;
        for id in glyphs(font, text) {
            // Only the subpixel offset goes to the outline, so that rotated glyphs are rasterized like upright ones.
            let (x, y) = place(along, 0.0);
            let fraction = if rotated { (-y).rem_euclid(1.0) } else { x.rem_euclid(1.0) };
            if let Some(outline) = font.outline_glyph(id.with_scale_and_position(scale, point(fraction, 0.0))) {
                let corner = outline.px_bounds().min;
                outline.draw(|column, row, coverage| {
                    let (dx, dy) = (corner.x as i64 + i64::from(column), corner.y as i64 + i64::from(row));
                    let (x, y) = match rotated {
                        false => (x.floor() as i64 + dx, y as i64 + dy),
                        true => (x as i64 + dy, (y.ceil() as i64) - dx - 1),
                    };
                    self.blend(x, y, style.color, coverage);
                });
            }
            along += scaled.h_advance(id);
        }
    }

    fn blend(&mut self, x: i64, y: i64, color: Rgb, coverage: f32) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        let Some(pixel) = self.sheet.get_pixel_mut_checked(x, y) else { return };
        let coverage = coverage.clamp(0.0, 1.0);
        for (value, new) in pixel.0.iter_mut().zip(color) {
            *value = (f32::from(*value) * (1.0 - coverage) + f32::from(new) * coverage).round() as u8;
        }
    }
}

/// Returns left, top, width and height in pixels of the canvas.
fn pixels(rect: Rect) -> (i64, i64, u32, u32) {
    let pixel = |length: f32| (length * DENSITY).round();
    let (left, top) = (pixel(rect.x), pixel(rect.y));
    let (right, bottom) = (pixel(rect.right()), pixel(rect.bottom()));
    (left as i64, top as i64, (right - left).max(0.0) as u32, (bottom - top).max(0.0) as u32)
}
