//! A plotters backend that defers text, so that we can render it ourselves.

use std::cell::RefCell;

use plotters::backend::{BitMapBackend, DrawingBackend};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind, FontStyle, FontTransform,
};

use super::canvas::PLOT_DENSITY;
use super::text::Style;

/// A deferred text: an anchor point in CSS pixels, and the fractions of the text's box to the left of and above the anchor.
#[derive(Debug)]
pub(crate) struct Label {
    pub text: String,
    pub style: Style,
    pub x: f32,
    pub y: f32,
    pub anchor_x: f32,
    pub anchor_y: f32,
    pub rotated: bool,
}

/// Returns the fractions of a text's box to the left of and above its anchor.
pub(crate) fn anchor_fractions(across: HPos, down: VPos) -> (f32, f32) {
    // The order of plotters' variants: left, right, center; top, center, bottom.
    ([0.0, 1.0, 0.5][across as usize], [0.0, 0.5, 1.0][down as usize])
}

/// A plotters backend that draws everything but texts, which it collects in `labels`.
pub(crate) struct PlottersCanvas<'a> {
    pub bitmap: BitMapBackend<'a>,
    pub labels: &'a RefCell<Vec<Label>>,
}

type BackendResult<'a> = Result<(), DrawingErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>>;

impl<'a> DrawingBackend for PlottersCanvas<'a> {
    type ErrorType = <BitMapBackend<'a> as DrawingBackend>::ErrorType;

    fn get_size(&self) -> (u32, u32) {
        self.bitmap.get_size()
    }

    fn ensure_prepared(&mut self) -> BackendResult<'a> {
        self.bitmap.ensure_prepared()
    }

    fn present(&mut self) -> BackendResult<'a> {
        self.bitmap.present()
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> BackendResult<'a> {
        self.bitmap.draw_pixel(point, color)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> BackendResult<'a> {
        self.bitmap.draw_line(from, to, style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
        fill: bool,
    ) -> BackendResult<'a> {
        self.bitmap.draw_rect(from, to, style, fill)
    }

    /// Draws segment by segment with round joints: the outline that plotters makes of a whole path has spikes and holes where the path
    /// doubles back.
    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> BackendResult<'a> {
        let points: Vec<BackendCoord> = path.into_iter().collect();
        for (index, ends) in points.windows(2).enumerate() {
            self.bitmap.draw_path(ends.iter().copied(), style)?;
            if index > 0 && style.stroke_width() > 1 {
                self.bitmap.draw_circle(ends[0], style.stroke_width() / 2, style, true)?;
            }
        }
        Ok(())
    }

    fn blit_bitmap(&mut self, at: BackendCoord, size: (u32, u32), rgb: &[u8]) -> BackendResult<'a> {
        self.bitmap.blit_bitmap(at, size, rgb)
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> BackendResult<'a> {
        let rgb = style.color().rgb;
        let (along, across) = anchor_fractions(style.anchor().h_pos, style.anchor().v_pos);
        // Text that plotters would rotate downwards is rotated upwards too, so that all vertical labels read in one direction.
        let (anchor_x, anchor_y, rotated) = match style.transform() {
            FontTransform::Rotate90 => (1.0 - across, along, true),
            FontTransform::Rotate270 => (across, 1.0 - along, true),
            FontTransform::None | FontTransform::Rotate180 => (along, across, false),
        };
        self.labels.borrow_mut().push(Label {
            text: text.to_owned(),
            style: Style::from_plotters(style.size(), matches!(style.style(), FontStyle::Bold), [rgb.0, rgb.1, rgb.2]),
            x: at.0 as f32 / PLOT_DENSITY,
            y: at.1 as f32 / PLOT_DENSITY,
            anchor_x,
            anchor_y,
            rotated,
        });
        Ok(())
    }
}
