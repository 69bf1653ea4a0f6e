//! Panels of figures.

use super::canvas::{Anchor, Canvas, DENSITY, Rect};
use super::colors::{AXIS, EMPTY, Rgb};
use super::text::Style;
use super::{Bars, HeatMap, LinePlot, Raster};

/// The maximum height of a picture, in CSS pixels.
const MAX_CONTENT_HEIGHT: f32 = 360.0;
/// The size of the note that replaces an invalid picture, in CSS pixels.
const NOTE_SIZE: f32 = 180.0;
const CAPTION_GAP: f32 = 6.0;
const MAX_CAPTION_LINES: usize = 8;
const MAX_TEXT_LINES: usize = 60;

/// A panel of a [`Figure`](super::Figure): a picture, a plot or a text, with a title above and a caption below.
///
/// ```
/// use metamers::display::{Panel, Raster};
///
/// let panel = Panel::picture("metamer", Raster::from_gray(2, 2, &[0.0, 0.3, 0.6, 1.0])).caption("giant panda 0.91\nSNR 23 dB");
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Panel {
    pub(crate) title: String,
    pub(crate) caption: String,
    pub(crate) weight: f32,
    mark: Option<(char, Rgb)>,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Picture(Raster),
    Plot(LinePlot),
    Heat(HeatMap),
    Bars(Bars),
    Text(String),
}

impl Panel {
    fn new(title: impl Into<String>, content: Content) -> Self {
        Self { title: title.into(), caption: String::new(), weight: 1.0, mark: None, content }
    }

    /// Creates a panel with a picture. A small one is enlarged by an integer factor, so that its pixels stay sharp.
    pub fn picture(title: impl Into<String>, picture: Raster) -> Self {
        Self::new(title, Content::Picture(picture))
    }

    /// Creates a panel with a line plot and its title.
    pub fn plot(plot: LinePlot) -> Self {
        Self { weight: 1.4, ..Self::new(plot.title.clone(), Content::Plot(plot)) }
    }

    /// Creates a panel with a heat map and its title.
    pub fn heat_map(map: HeatMap) -> Self {
        Self::new(map.title.clone(), Content::Heat(map))
    }

    /// Creates a panel with a bar chart and its title.
    pub fn bars(bars: Bars) -> Self {
        Self::new(bars.title.clone(), Content::Bars(bars))
    }

    /// Creates a panel with a text, wrapped to the width of the panel; its line breaks are kept.
    pub fn text(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(title, Content::Text(text.into()))
    }

    /// Replaces the title.
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Sets the caption below the content; long lines are wrapped.
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = caption.into();
        self
    }

    /// Sets a sign before the caption, such as `✓` or `✗`, and its color, which must be dark enough for small text on white. The sign must be
    /// clear without the color.
    pub fn mark(mut self, sign: char, color: [u8; 3]) -> Self {
        self.mark = Some((sign, color));
        self
    }

    /// Sets the width relative to the other panels of the row; the default is 1, and 1.4 for a line plot.
    pub fn width(mut self, weight: f64) -> Self {
        self.weight = if weight.is_finite() { weight.clamp(0.05, 20.0) as f32 } else { 1.0 };
        self
    }

    /// Returns whether the content stretches to any size.
    pub(crate) fn stretches(&self) -> bool {
        match &self.content {
            Content::Picture(_) => false,
            Content::Heat(map) => !map.has_square_cells(),
            _ => true,
        }
    }

    /// The width of the axes around a picture; it is excluded from the weights, so that pictures of equal weight have equal sizes.
    pub(crate) fn surround(&self) -> f32 {
        match &self.content {
            Content::Heat(map) => map.surround(),
            _ => 0.0,
        }
    }

    /// Returns the size of the content in CSS pixels, given the available width.
    pub(crate) fn content_size(&self, width: f32) -> (f32, f32) {
        match &self.content {
            Content::Picture(picture) if picture.problem().is_some() => (width.min(NOTE_SIZE), width.min(NOTE_SIZE)),
            Content::Picture(picture) => size_of_cells(picture.width(), picture.height(), width, MAX_CONTENT_HEIGHT),
            Content::Plot(_) => (width, (0.62 * width).clamp(170.0, 320.0)),
            Content::Heat(map) => map.size(width, MAX_CONTENT_HEIGHT),
            Content::Bars(bars) => (width, bars.height()),
            Content::Text(text) => {
                (width, Style::BODY.wrap(text, width, MAX_TEXT_LINES).len() as f32 * Style::BODY.line())
            }
        }
    }

    /// Returns whether the content stretches to the height of its row.
    pub(crate) fn grows_tall(&self) -> bool {
        match &self.content {
            Content::Plot(_) => true,
            Content::Heat(map) => !map.has_square_cells(),
            _ => false,
        }
    }

    pub(crate) fn title_lines(&self, width: f32) -> Vec<String> {
        Style::TITLE.wrap(&self.title, width, 2)
    }

    /// The caption with its sign.
    fn marked_caption(&self) -> String {
        match self.mark {
            Some((sign, _)) => format!("{sign} {}", self.caption),
            None => self.caption.clone(),
        }
    }

    fn caption_lines(&self, width: f32) -> Vec<String> {
        Style::CAPTION.wrap(&self.marked_caption(), width, MAX_CAPTION_LINES)
    }

    /// The height of the caption and the gap above it.
    pub(crate) fn caption_height(&self, width: f32) -> f32 {
        match self.caption_lines(width).len() {
            0 => 0.0,
            lines => CAPTION_GAP + lines as f32 * Style::CAPTION.line(),
        }
    }

    /// Draws the content into `place`, or an error message if it is invalid, and the caption below.
    pub(crate) fn draw(&self, canvas: &mut Canvas, place: Rect, panel_width: f32) {
        let drawn = match &self.content {
            Content::Picture(picture) => draw_picture(canvas, place, picture),
            Content::Plot(plot) => plot.draw(canvas, place),
            Content::Heat(map) => map.draw(canvas, place),
            Content::Bars(bars) => bars.draw(canvas, place),
            Content::Text(text) => {
                write_lines(
                    canvas,
                    place.x,
                    place.y,
                    &Style::BODY.wrap(text, place.width, MAX_TEXT_LINES),
                    Style::BODY,
                );
                Ok(())
            }
        };
        if let Err(reason) = drawn {
            draw_placeholder(canvas, place, &reason);
        }
        let top = place.bottom() + CAPTION_GAP;
        let mut lines = self.caption_lines(panel_width);
        if let (Some((sign, color)), Some(first)) = (self.mark, lines.first_mut()) {
            let sign = sign.to_string();
            let style = Style { bold: true, ..Style::CAPTION.colored(color) };
            canvas.text(place.x, top, Anchor::Left, &sign, style);
            let rest = first.strip_prefix(&sign).unwrap_or_default().to_owned();
            canvas.text(place.x + style.width(&sign), top, Anchor::Left, &rest, Style::CAPTION);
            first.clear();
        }
        write_lines(canvas, place.x, top, &lines, Style::CAPTION);
    }

    /// Describes the panel in words.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut lines = match &self.content {
            Content::Picture(picture) => match picture.problem() {
                Some(problem) => vec![problem.to_owned()],
                None => vec![format!("picture of {} × {} pixels", picture.width(), picture.height())],
            },
            Content::Plot(plot) => plot.words(),
            Content::Heat(map) => map.words(),
            Content::Bars(bars) => bars.lines(),
            Content::Text(text) => text.lines().map(str::to_owned).collect(),
        };
        lines.extend(self.marked_caption().lines().map(str::to_owned));
        lines
    }
}

impl From<LinePlot> for Panel {
    fn from(plot: LinePlot) -> Self {
        Self::plot(plot)
    }
}

impl From<HeatMap> for Panel {
    fn from(map: HeatMap) -> Self {
        Self::heat_map(map)
    }
}

impl From<Bars> for Panel {
    fn from(bars: Bars) -> Self {
        Self::bars(bars)
    }
}

/// Returns the size in CSS pixels of a matrix of square cells in a box: an integer number of screen pixels per cell if there is room, so that
/// all cells are equal and the file stays small.
pub(crate) fn size_of_cells(columns: usize, rows: usize, width: f32, height: f32) -> (f32, f32) {
    let (columns, rows) = (columns.max(1) as f32, rows.max(1) as f32);
    let ratio = (width * DENSITY / columns).min(height * DENSITY / rows).max(0.0);
    let ratio = if (1.0..1.3).contains(&ratio) || ratio >= 2.0 { ratio.floor() } else { ratio };
    let size = |cells: f32| (cells * ratio).round().max(1.0) / DENSITY;
    (size(columns), size(rows))
}

fn draw_picture(canvas: &mut Canvas, place: Rect, picture: &Raster) -> Result<(), String> {
    if let Some(problem) = picture.problem() {
        return Err(problem.to_owned());
    }
    let pixels = |length: f32| ((length * DENSITY).round() as usize).max(1);
    canvas.picture(place.x, place.y, &picture.resized(pixels(place.width), pixels(place.height)));
    Ok(())
}

/// Draws a frame with an error message in place of the content.
fn draw_placeholder(canvas: &mut Canvas, place: Rect, reason: &str) {
    canvas.fill(place, AXIS);
    canvas.fill(Rect::new(place.x + 1.0, place.y + 1.0, place.width - 2.0, place.height - 2.0), EMPTY);
    let style = Style::CAPTION;
    let lines = style.wrap(reason, place.width - 16.0, ((place.height - 8.0) / style.line()).max(1.0) as usize);
    let top = place.y + (place.height - lines.len() as f32 * style.line()) / 2.0;
    for (index, line) in lines.iter().enumerate() {
        let y = top + index as f32 * style.line();
        canvas.text(place.x + place.width / 2.0, y, Anchor::Center, line, style);
    }
}

pub(crate) fn write_lines(canvas: &mut Canvas, x: f32, y: f32, lines: &[String], style: Style) {
    for (index, line) in lines.iter().enumerate() {
        canvas.text(x, y + index as f32 * style.line(), Anchor::Left, line, style);
    }
}
