//! Figures: rows of panels in one picture.

use super::canvas::{Anchor, Canvas, DENSITY, Rect};
use super::panel::{Panel, write_lines};
use super::text::Style;
use super::{MimeBundle, Show};

/// The default width, that of a notebook's output, in CSS pixels.
const DEFAULT_WIDTH: f32 = 900.0;
const MARGIN: f32 = 10.0;
const GAP: f32 = 24.0;
const ROW_GAP: f32 = 20.0;
const TITLE_GAP: f32 = 4.0;
/// The minimum width of a panel, in CSS pixels; rows with more panels are wrapped.
const MIN_PANEL_WIDTH: f32 = 72.0;
/// The height after which further rows are omitted, in CSS pixels; browsers cannot show taller pictures.
const MAX_HEIGHT: f32 = 12_000.0;

/// A figure of pictures, plots and texts in rows: one PNG with twice the pixels of its CSS size.
///
/// ```
/// use metamers::display::{Bars, Figure, Panel, Raster};
///
/// let photo = Raster::from_gray(4, 4, &[0.5; 16]);
/// let figure = Figure::new("A grey square and its classification")
///     .title("A grey square")
///     .row([Panel::picture("original", photo).caption("wall clock"), Bars::new("class").bar("wall clock", 0.4).into()]);
/// assert!(!figure.png().is_empty());
/// ```
#[derive(Clone)]
#[must_use]
pub struct Figure {
    alt: String,
    title: String,
    max_width: f32,
    rows: Vec<Vec<Panel>>,
}

/// A panel with its layout: the lines of its title, the rectangle of its content, and its width.
struct Placed<'a> {
    panel: &'a Panel,
    title: Vec<String>,
    title_top: f32,
    content: Rect,
    width: f32,
}

impl std::fmt::Debug for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let panels: usize = self.rows.iter().map(Vec::len).sum();
        write!(f, "Figure({:?}, {panels} panels in {} rows)", self.alt, self.rows.len())
    }
}

impl Figure {
    /// Creates an empty figure with an alternative text for screen readers and terminals.
    pub fn new(alt: impl Into<String>) -> Self {
        Self { alt: alt.into(), title: String::new(), max_width: DEFAULT_WIDTH, rows: Vec::new() }
    }

    /// Sets the title above all rows.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Adds a row of panels below the others.
    pub fn row<P: Into<Panel>>(mut self, panels: impl IntoIterator<Item = P>) -> Self {
        self.push(panels);
        self
    }

    /// Adds a row of panels to an existing figure, for use in loops.
    pub fn push<P: Into<Panel>>(&mut self, panels: impl IntoIterator<Item = P>) {
        self.rows.push(panels.into_iter().map(Into::into).collect());
    }

    /// Sets the maximum width in CSS pixels, from 160 to 3000; the default is 900. A figure that holds only pictures may be narrower.
    pub fn width(mut self, css_pixels: f64) -> Self {
        self.max_width = if css_pixels.is_finite() { css_pixels.clamp(160.0, 3000.0) as f32 } else { DEFAULT_WIDTH };
        self
    }

    /// Renders the figure as a PNG file.
    #[must_use]
    pub fn png(&self) -> Vec<u8> {
        self.draw().png()
    }

    /// Renders the figure as an output, with `text` for terminals.
    pub fn bundle(&self, text: impl Into<String>) -> MimeBundle {
        let canvas = self.draw();
        MimeBundle::text(text).png(
            canvas.png(),
            canvas.width().round() as u32,
            canvas.height().round() as u32,
            &self.alt,
        )
    }

    /// Describes the figure in words: its title and the contents of its panels.
    #[must_use]
    pub fn words(&self) -> String {
        let mut lines = Vec::new();
        if !self.alt.is_empty() {
            lines.push(self.alt.clone());
        }
        if !self.title.is_empty() && self.title != self.alt {
            lines.push(self.title.clone());
        }
        for panel in self.rows.iter().flatten() {
            let words = panel.words();
            match (panel.title.as_str(), words.as_slice()) {
                ("", _) => lines.extend(words.iter().map(|line| format!("  {line}"))),
                (title, [line]) => lines.push(format!("  {title}: {line}")),
                (title, _) => {
                    lines.push(format!("  {title}"));
                    lines.extend(words.iter().map(|line| format!("    {line}")));
                }
            }
        }
        lines.join("\n")
    }

    pub(crate) fn draw(&self) -> Canvas {
        let inner = self.max_width - 2.0 * MARGIN;
        let heading = Style::HEADING.wrap(&self.title, inner, 3);
        let mut y = MARGIN;
        if !heading.is_empty() {
            y += heading.len() as f32 * Style::HEADING.line() + 10.0;
        }
        let heading_width = heading.iter().map(|line| Style::HEADING.width(line)).fold(0.0, f32::max);
        let mut right = MARGIN + heading_width;
        let mut placed = Vec::new();
        let mut omitted = 0;
        for row in self.rows.iter().filter(|row| !row.is_empty()) {
            let per_row = ((inner + GAP) / (MIN_PANEL_WIDTH + GAP)).max(1.0) as usize;
            for row in row.chunks(per_row) {
                if y > MAX_HEIGHT {
                    omitted += 1;
                    continue;
                }
                let bottom = place_row(row, y, inner, &mut placed);
                right = placed.iter().map(|panel| panel.content.x + panel.width).fold(right, f32::max);
                y = bottom + ROW_GAP;
            }
        }
        if !placed.is_empty() {
            y -= ROW_GAP;
        }
        let note = if omitted > 0 { format!("{omitted} more rows are omitted") } else { String::new() };
        let note_top = y + ROW_GAP;
        if omitted > 0 {
            y = note_top + Style::CAPTION.line();
            right = right.max(MARGIN + Style::CAPTION.width(&note));
        }
        let mut canvas = Canvas::new((right + MARGIN).min(self.max_width).ceil(), (y + MARGIN).ceil());
        write_lines(&mut canvas, MARGIN, MARGIN, &heading, Style::HEADING);
        for Placed { panel, title, title_top, content, width } in placed {
            write_lines(&mut canvas, content.x, title_top, &title, Style::TITLE);
            panel.draw(&mut canvas, content, width);
        }
        canvas.text(MARGIN, note_top, Anchor::Left, &note, Style::CAPTION);
        canvas
    }
}

/// Lays out the panels of a row from `top` down. Returns the bottom of the row.
fn place_row<'a>(row: &'a [Panel], top: f32, inner: f32, placed: &mut Vec<Placed<'a>>) -> f32 {
    let shared = inner - GAP * (row.len() - 1) as f32;
    let weights: f32 = row.iter().map(|panel| panel.weight).sum();
    let surrounds: f32 = row.iter().map(Panel::surround).sum();
    let share = |panel: &Panel| ((shared - surrounds).max(0.0) * panel.weight / weights + panel.surround()).max(16.0);

    // Pictures have a fixed aspect ratio; the width that they do not use goes to the panels that stretch.
    let mut widths: Vec<f32> = row
        .iter()
        .map(|panel| {
            let share = share(panel);
            match panel.stretches() {
                true => share,
                // A small picture still needs width for its title and caption.
                false => panel.content_size(share).0.max(share.min(150.0)),
            }
        })
        .collect();
    let stretching: f32 = row.iter().filter(|panel| panel.stretches()).map(|panel| panel.weight).sum();
    let spare = (shared - widths.iter().sum::<f32>()).max(0.0);
    for (panel, width) in row.iter().zip(&mut widths) {
        if panel.stretches() {
            *width += spare * panel.weight / stretching;
        }
        *width = (*width * DENSITY).floor() / DENSITY;
    }

    let fixed = |panel: &Panel, width: f32| panel.content_size(if panel.stretches() { width } else { share(panel) });
    let sizes: Vec<(f32, f32)> = row.iter().zip(&widths).map(|(panel, width)| fixed(panel, *width)).collect();
    let own_height =
        row.iter().zip(&sizes).filter(|(panel, _)| !panel.grows_tall()).map(|(_, size)| size.1).fold(0.0, f32::max);
    let any_height = sizes.iter().map(|size| size.1).fold(0.0, f32::max);
    let tall = if own_height >= 170.0 { own_height } else { any_height };

    let titles: Vec<Vec<String>> = row.iter().zip(&widths).map(|(panel, width)| panel.title_lines(*width)).collect();
    let title_lines = titles.iter().map(Vec::len).max().unwrap_or(0);
    let title_height = title_lines as f32 * Style::TITLE.line();
    let content_top = top + if title_lines > 0 { title_height + TITLE_GAP } else { 0.0 };

    let mut x = MARGIN;
    let mut bottom = content_top;
    for (((panel, title), width), size) in row.iter().zip(titles).zip(widths).zip(sizes) {
        let height = if panel.grows_tall() { tall } else { size.1 };
        let content = Rect::new(x, content_top, size.0, height);
        bottom = bottom.max(content.bottom() + panel.caption_height(width));
        let title_top = top + title_height - title.len() as f32 * Style::TITLE.line();
        placed.push(Placed { panel, title, title_top, content, width });
        x += width + GAP;
    }
    bottom
}

impl Show for Figure {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        vec![self.bundle(self.words())]
    }
}

crate::show_in_notebooks!(Figure);
