//! Legends: the names of series beside the ends of their lines, or in rows above the plot.

use plotters::element::{Circle, DashedPathElement, PathElement};

use super::canvas::{Anchor, Area, Canvas, DrawError, Rect, to_plot_pixels};
use super::chart::stroke;
use super::colors::{self, MUTED, NUM_SERIES_COLORS, TEXT};
use super::line_plot::{DOT, STROKE};
use super::text::Style;

const STYLE: Style = Style::TICK;
/// The maximum width of names beside their lines, as a fraction of the plot's width.
const MAX_NAMES_FRACTION: f32 = 0.3;
const KEY_WIDTH: f32 = 16.0;
const KEY_GAP: f32 = 5.0;
const ENTRY_GAP: f32 = 16.0;
const MAX_ENTRY_WIDTH: f32 = 260.0;
const MAX_ROWS: usize = 4;

/// The height of a legend row, in CSS pixels.
pub(crate) const ROW_HEIGHT: f32 = 17.0;

/// The name of a series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a> {
    pub index: usize,
    pub text: &'a str,
    /// True if the points of the series are joined by a line.
    pub joined: bool,
    /// The dash and the gap of the line; `None` for a solid line.
    pub dash: Option<(f32, f32)>,
}

/// A legend entry: a series with its name, truncated to fit, or the number of omitted series.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    Series { index: usize, joined: bool, dash: Option<(f32, f32)>, text: String },
    More(usize),
}

/// Returns the dash and the gap of a series that shares its color with an earlier one; `None` for the first of a color.
pub(crate) fn dash(index: usize) -> Option<(f32, f32)> {
    (index >= NUM_SERIES_COLORS).then_some((6.0, 2.5))
}

/// Returns the width of names beside the ends of their lines, or `None` if a legend is needed: for long or many names, or for points that are
/// not joined.
pub(crate) fn width_beside(names: &[Name], place: Rect) -> Option<f32> {
    if names.is_empty() {
        return Some(8.0);
    }
    let width = names.iter().map(|name| STYLE.width(name.text)).fold(0.0, f32::max) + 9.0;
    let fits = width <= MAX_NAMES_FRACTION * place.width && names.len() as f32 * STYLE.line() <= 0.6 * place.height;
    (fits && names.iter().all(|name| name.joined)).then_some(width)
}

/// Writes each name at the height of the end of its line; names that would overlap are moved apart.
pub(crate) fn write_beside(canvas: &mut Canvas, area: Rect, names: &[Name], end: impl Fn(&Name) -> Option<f32>) {
    let line = STYLE.line();
    let mut wanted: Vec<(f32, &Name)> =
        names.iter().filter_map(|name| Some((end(name)?.clamp(area.y, area.bottom()) - line / 2.0, name))).collect();
    wanted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = area.y - 4.0;
    for place in &mut wanted {
        place.0 = place.0.max(free);
        free = place.0 + line;
    }
    let mut end = area.bottom() + 4.0;
    for place in wanted.iter_mut().rev() {
        place.0 = place.0.min(end - line);
        end = place.0;
    }
    for (top, name) in wanted {
        let color = colors::for_text(colors::series(name.index));
        canvas.text(area.right() + 7.0, top, Anchor::Left, name.text, STYLE.colored(color));
    }
}

/// Breaks the names into rows. Names that do not fit into four rows are counted.
pub(crate) fn rows(names: &[Name], width: f32) -> Vec<Vec<Entry>> {
    // The rows start at the left edge of the chart, to the right of its tick labels.
    let room = (width - 70.0).max(60.0);
    let mut rows: Vec<Vec<Entry>> = Vec::new();
    let mut used = f32::INFINITY;
    for (position, name) in names.iter().enumerate() {
        let text = STYLE.ellipsize(name.text, (room - KEY_WIDTH - KEY_GAP).min(MAX_ENTRY_WIDTH));
        let entry = KEY_WIDTH + KEY_GAP + STYLE.width(&text);
        if used + entry > room {
            if rows.len() == MAX_ROWS {
                // The count replaces the last name, and includes it.
                if let Some(last) = rows.last_mut() {
                    last.pop();
                    last.push(Entry::More(names.len() - position + 1));
                }
                break;
            }
            rows.push(Vec::new());
            used = 0.0;
        }
        used += entry + ENTRY_GAP;
        if let Some(row) = rows.last_mut() {
            row.push(Entry::Series { index: name.index, joined: name.joined, dash: name.dash, text });
        }
    }
    rows
}

/// Draws the rows of a legend with the given top left corner.
pub(crate) fn draw(canvas: &mut Canvas, left: f32, top: f32, rows: &[Vec<Entry>]) -> Result<(), String> {
    for (row, entries) in rows.iter().enumerate() {
        let (mut x, y) = (left, top + row as f32 * ROW_HEIGHT);
        for entry in entries {
            let written = match entry {
                Entry::More(count) => {
                    canvas.text(x, y, Anchor::Left, &format!("and {count} more"), STYLE.colored(MUTED))
                }
                Entry::Series { index, joined, dash, text } => {
                    canvas.plot(Rect::new(x, y, KEY_WIDTH, STYLE.line()), |area| {
                        draw_key(area, *index, *joined, *dash)
                    })?;
                    canvas.text(x + KEY_WIDTH + KEY_GAP, y, Anchor::Left, text, STYLE.colored(TEXT))
                }
            };
            x = written.right() + ENTRY_GAP;
        }
    }
    Ok(())
}

/// Draws the legend key of a series.
fn draw_key(area: &Area, index: usize, joined: bool, dash: Option<(f32, f32)>) -> Result<(), DrawError> {
    let (width, height) = area.dim_in_pixel();
    let (width, middle) = (width as i32, height as i32 / 2);
    let (ends, style) = ([(0, middle), (width, middle)], stroke(colors::series(index), STROKE + 0.25));
    match (joined, dash) {
        (false, _) => area.draw(&Circle::new((width / 2, middle), to_plot_pixels(DOT), style.filled())),
        (true, None) => area.draw(&PathElement::new(ends, style)),
        (true, Some((ink, gap))) => {
            area.draw(&DashedPathElement::new(ends, to_plot_pixels(ink), to_plot_pixels(gap), style))
        }
    }
}
