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

/// The parts of a text's box that lie left of and above its anchor.
pub(crate) fn parts(across: HPos, down: VPos) -> (f32, f32) {
    // In the order in which plotters names them: left, right, centre; top, centre, bottom.
    ([0.0, 1.0, 0.5][across as usize], [0.0, 0.5, 1.0][down as usize])
}

/// A backend for plotters that draws all but the texts, which are written later, at the density of the sheet.
pub(crate) struct PlottersCanvas<'a> {
    pub bitmap: BitMapBackend<'a>,
    pub labels: &'a RefCell<Vec<Label>>,
}

type Done<'a> = Result<(), DrawingErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>>;

impl<'a> DrawingBackend for PlottersCanvas<'a> {
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
        let rgb = style.color().rgb;
        let (along, across) = parts(style.anchor().h_pos, style.anchor().v_pos);
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
