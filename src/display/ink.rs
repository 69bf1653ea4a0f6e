//! plotters' bitmap, with its texts set aside.

use std::cell::RefCell;

use plotters::backend::{BitMapBackend, DrawingBackend};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind, FontStyle, FontTransform,
};

use super::canvas::FINE;
use super::text::Style;

/// A text where plotters wants it: a point, in CSS pixels, and the parts of the text's box that lie left of and above it.
#[derive(Debug)]
pub(crate) struct Label {
    pub text: String,
    pub style: Style,
    pub x: f32,
    pub y: f32,
    pub left: f32,
    pub above: f32,
    pub upwards: bool,
}

/// A backend for plotters that draws all but the texts, which are written later, at the density of the sheet.
pub(crate) struct Ink<'a> {
    bitmap: BitMapBackend<'a>,
    labels: &'a RefCell<Vec<Label>>,
}

type Done<'a> = Result<(), DrawingErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>>;

impl<'a> Ink<'a> {
    pub fn new(bitmap: BitMapBackend<'a>, labels: &'a RefCell<Vec<Label>>) -> Self {
        Self { bitmap, labels }
    }
}

impl<'a> DrawingBackend for Ink<'a> {
    type ErrorType = <BitMapBackend<'a> as DrawingBackend>::ErrorType;

    fn get_size(&self) -> (u32, u32) {
        self.bitmap.get_size()
    }

    fn ensure_prepared(&mut self) -> Done<'a> {
        self.bitmap.ensure_prepared()
    }

    fn present(&mut self) -> Done<'a> {
        self.bitmap.present()
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Done<'a> {
        self.bitmap.draw_pixel(point, color)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Done<'a> {
        self.bitmap.draw_line(from, to, style)
    }

    fn draw_rect<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S, fill: bool) -> Done<'a> {
        self.bitmap.draw_rect(from, to, style, fill)
    }

    /// Piece by piece with round joints: the outline that plotters makes of a whole line has spikes and holes where the line doubles back.
    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Done<'a> {
        let points: Vec<BackendCoord> = path.into_iter().collect();
        for (index, ends) in points.windows(2).enumerate() {
            self.bitmap.draw_path(ends.iter().copied(), style)?;
            if index > 0 && style.stroke_width() > 1 {
                self.bitmap.draw_circle(ends[0], style.stroke_width() / 2, style, true)?;
            }
        }
        Ok(())
    }

    fn blit_bitmap(&mut self, at: BackendCoord, size: (u32, u32), rgb: &[u8]) -> Done<'a> {
        self.bitmap.blit_bitmap(at, size, rgb)
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Done<'a> {
        let (rgb, anchor) = (style.color().rgb, style.anchor());
        let along = match anchor.h_pos {
            HPos::Left => 0.0,
            HPos::Center => 0.5,
            HPos::Right => 1.0,
        };
        let across = match anchor.v_pos {
            VPos::Top => 0.0,
            VPos::Center => 0.5,
            VPos::Bottom => 1.0,
        };
        // A text that plotters would run downwards is run upwards too: one tilt of the head reads both.
        let (left, above, upwards) = match style.transform() {
            FontTransform::Rotate90 => (1.0 - across, along, true),
            FontTransform::Rotate270 => (across, 1.0 - along, true),
            FontTransform::None | FontTransform::Rotate180 => (along, across, false),
        };
        self.labels.borrow_mut().push(Label {
            text: text.to_owned(),
            style: Style::sized(style.size(), matches!(style.style(), FontStyle::Bold), [rgb.0, rgb.1, rgb.2]),
            x: at.0 as f32 / FINE,
            y: at.1 as f32 / FINE,
            left,
            above,
            upwards,
        });
        Ok(())
    }
}
