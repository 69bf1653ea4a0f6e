//! Maps of values as colours: gradients, cochleagrams.

use super::axis::{Scale, Ticks, multiplier, number};
use super::canvas::{Anchor, Canvas, DENSITY, Rect};
use super::colors::{AXIS, Rgb};
use super::panel::{draw_picture, empty, size_of_cells};
use super::text::Style;
use super::{Bundle, Figure, Palette, Raster, Show};

const BAR: f32 = 10.0;
const BAR_GAP: f32 = 8.0;
const TICK_GAP: f32 = 5.0;
/// Cells that are not numbers are grey, which is in none of the palettes.
const NOT_FINITE: Rgb = [0x9e; 3];

/// `rows` times `columns` values as colours, with a colour bar.
///
/// ```
/// use metamers::display::{HeatMap, Palette, Show};
///
/// let gradient = HeatMap::new("gradient", 2, 3, vec![0.1, -0.2, 0.0, 0.3, f32::NAN, -0.1]).palette(Palette::Diverging).square();
/// assert!(gradient.bundles()[0].plain().contains("1 of 6 values is not finite"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    pub(crate) title: String,
    rows: usize,
    columns: usize,
    values: Vec<f32>,
    palette: Palette,
    x: Option<Axis>,
    y: Option<Axis>,
    value_label: String,
    range: Option<(f64, f64)>,
    robust: bool,
    square: bool,
    upwards: bool,
    problem: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Axis {
    label: String,
    from: f64,
    to: f64,
    log: bool,
}

impl HeatMap {
    /// A map of `rows` rows of `columns` values, the first row on top. Values that do not fit the size make no map but a note that says
    /// so.
    pub fn new(title: impl Into<String>, rows: usize, columns: usize, values: Vec<f32>) -> Self {
        let problem = match rows.checked_mul(columns) {
            Some(0) => Some(format!("no values: {rows} × {columns}")),
            Some(cells) if cells == values.len() => None,
            _ => Some(format!("{rows} rows × {columns} columns do not hold {} values", values.len())),
        };
        Self {
            title: title.into(),
            rows,
            columns,
            values,
            palette: Palette::default(),
            x: None,
            y: None,
            value_label: String::new(),
            range: None,
            robust: false,
            square: false,
            upwards: false,
            problem,
        }
    }

    /// The colours. [`Palette::Diverging`] makes the scale symmetric about zero.
    pub fn palette(mut self, palette: Palette) -> Self {
        self.palette = palette;
        self
    }

    /// Labels the columns: the left edge is at `from`, the right one at `to`. The label carries the unit: `"time (s)"`.
    pub fn x_axis(mut self, label: impl Into<String>, from: f64, to: f64) -> Self {
        self.x = Some(Axis { label: label.into(), from, to, log: false });
        self
    }

    /// Labels the rows: the first row's outer edge is at `from`, the last row's at `to`.
    pub fn y_axis(mut self, label: impl Into<String>, from: f64, to: f64) -> Self {
        self.y = Some(Axis { label: label.into(), from, to, log: false });
        self
    }

    /// Labels the rows, which stand at equal ratios, as the bands of an ear do: `"frequency (Hz)"` from 50 to 10 000.
    pub fn y_axis_log(mut self, label: impl Into<String>, from: f64, to: f64) -> Self {
        self.y = Some(Axis { label: label.into(), from, to, log: true });
        self
    }

    /// What the colours mean, with its unit.
    pub fn value_label(mut self, label: impl Into<String>) -> Self {
        self.value_label = label.into();
        self
    }

    /// The values of the first and the last colour; values outside take the nearest. Without it the scale spans all finite values.
    pub fn range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    /// Ends the scale where one value in two hundred lies outside, at either end, so that a few outliers do not take all the contrast.
    pub fn robust(mut self) -> Self {
        self.robust = true;
        self
    }

    /// Draws the cells as squares: the map is a picture.
    pub fn square(mut self) -> Self {
        self.square = true;
        self
    }

    /// Puts the first row at the bottom, as in a spectrogram with the lowest frequency first.
    pub fn upwards(mut self) -> Self {
        self.upwards = true;
        self
    }

    pub(crate) fn has_square_cells(&self) -> bool {
        self.square
    }

    fn finite(&self) -> impl Iterator<Item = f64> {
        self.values.iter().filter(|value| value.is_finite()).map(|value| f64::from(*value))
    }

    fn scale(&self) -> Scale {
        let symmetric = |low: f64, high: f64| match self.palette {
            Palette::Diverging => (-low.abs().max(high.abs()), low.abs().max(high.abs())),
            _ => (low, high),
        };
        let given = self.range.filter(|(low, high)| low.is_finite() && high.is_finite());
        let (low, high) = given.unwrap_or_else(|| {
            let ends = if self.robust { self.quantiles(0.005) } else { None };
            let all =
                || self.finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
            ends.unwrap_or_else(all)
        });
        let (low, high) = symmetric(low, high);
        Scale::between(low, high, false).unwrap_or(Scale { low: 0.0, high: 1.0, log: false, whole: false })
    }

    fn quantiles(&self, outside: f64) -> Option<(f64, f64)> {
        let mut sorted: Vec<f64> = self.finite().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| sorted.get((part * (sorted.len().max(1) - 1) as f64).round() as usize).copied();
        Some((at(outside)?, at(1.0 - outside)?))
    }

    fn raster(&self) -> Raster {
        let scale = self.scale();
        let table: Vec<Rgb> = (0..=255).map(|index| self.palette.color(f64::from(index) / 255.0)).collect();
        let color = |value: f32| match scale.place(f64::from(value)) {
            Some(place) => table[(place.clamp(0.0, 1.0) * 255.0).round() as usize],
            None if value == f32::INFINITY => table[255],
            None if value == f32::NEG_INFINITY => table[0],
            None => NOT_FINITE,
        };
        let rows = self.values.chunks_exact(self.columns.max(1));
        let rgb = match self.upwards {
            false => rows.flatten().flat_map(|value| color(*value)).collect(),
            true => rows.rev().flatten().flat_map(|value| color(*value)).collect(),
        };
        Raster::from_rgb(self.columns, self.rows, rgb)
    }

    /// The size in CSS pixels where `width` is to be had.
    pub(crate) fn size(&self, width: f32, tallest: f32) -> (f32, f32) {
        if !self.square || self.problem.is_some() {
            return (width, (0.5 * width).clamp(150.0, 300.0));
        }
        let margins = Margins::of(self, 200.0);
        let room = (width - margins.left - margins.right).max(16.0);
        let (across, down) = size_of_cells(self.columns, self.rows, room, tallest);
        (across + margins.left + margins.right, down + margins.bottom)
    }

    /// The width that axes and colour bar take from a map of square cells, in CSS pixels.
    pub(crate) fn surround(&self) -> f32 {
        if !self.square || self.problem.is_some() {
            return 0.0;
        }
        let margins = Margins::of(self, 200.0);
        margins.left + margins.right
    }

    pub(crate) fn draw(&self, canvas: &mut Canvas, place: Rect) {
        if let Some(problem) = &self.problem {
            return empty(canvas, place, problem);
        }
        let margins = Margins::of(self, place.height);
        let cells = Rect::new(
            place.x + margins.left,
            place.y + margins.top,
            place.width - margins.left - margins.right,
            place.height - margins.top - margins.bottom,
        );
        if cells.width < 4.0 || cells.height < 4.0 {
            return empty(canvas, place, "too small");
        }
        let raster = self.raster();
        let pixels = |length: f32| (length * DENSITY).round() as usize;
        let (width, height) = (pixels(cells.width), pixels(cells.height));
        match !self.square && 2 * self.columns <= 3 * width && 2 * self.rows <= 3 * height {
            true => canvas.picture(cells.x, cells.y, &raster.stretched(width, height)),
            false => draw_picture(canvas, cells, &raster),
        }
        if self.x.is_some() || self.y.is_some() {
            canvas.frame(cells, AXIS);
        }
        self.draw_x(canvas, cells, place);
        self.draw_y(canvas, cells, place);
        self.draw_bar(canvas, cells, place, &margins);
    }

    fn draw_x(&self, canvas: &mut Canvas, cells: Rect, place: Rect) {
        let Some((axis, scale)) = self.x.as_ref().and_then(|axis| Some((axis, axis.scale()?))) else { return };
        let ticks = fitting(&scale, cells.width);
        let mut free = place.x;
        for tick in &ticks.ticks {
            let Some(part) = axis.part(&scale, tick.value) else { continue };
            let x = cells.x + part as f32 * cells.width;
            canvas.fill(Rect::new(x - 0.5, cells.bottom() + 1.0, 1.0, 3.0), AXIS);
            let half = Style::TICK.width(&tick.label) / 2.0;
            let center = x.clamp(place.x + half, (place.right() - half).max(place.x + half));
            if center - half >= free {
                canvas.text(center, cells.bottom() + TICK_GAP, Anchor::Middle, &tick.label, Style::TICK);
                free = center + half + 4.0;
            }
        }
        let label = with_multiplier(&axis.label, &ticks);
        let y = cells.bottom() + TICK_GAP + Style::TICK.line();
        let label = Style::LABEL.ellipsise(&label, cells.width);
        canvas.text(cells.x + cells.width / 2.0, y, Anchor::Middle, &label, Style::LABEL);
    }

    fn draw_y(&self, canvas: &mut Canvas, cells: Rect, place: Rect) {
        let Some((axis, scale)) = self.y.as_ref().and_then(|axis| Some((axis, axis.scale()?))) else { return };
        let ticks = scale.ticks((cells.height / 26.0) as usize);
        for tick in &ticks.ticks {
            let Some(part) = axis.part(&scale, tick.value) else { continue };
            let part = if self.upwards { 1.0 - part } else { part };
            let y = cells.y + part as f32 * cells.height;
            canvas.fill(Rect::new(cells.x - 4.0, y - 0.5, 3.0, 1.0), AXIS);
            let line = Style::TICK.line();
            let top = (y - line / 2.0).clamp(cells.y - 4.0, (cells.bottom() - line + 4.0).max(cells.y));
            canvas.text(cells.x - TICK_GAP - 1.0, top, Anchor::End, &tick.label, Style::TICK);
        }
        let label = Style::LABEL.ellipsise(&with_multiplier(&axis.label, &ticks), cells.height);
        canvas.text_upwards(place.x, cells.y + cells.height / 2.0, &label, Style::LABEL);
    }

    fn draw_bar(&self, canvas: &mut Canvas, cells: Rect, place: Rect, margins: &Margins) {
        let scale = self.scale();
        let left = cells.right() + BAR_GAP;
        let steps = (cells.height * DENSITY).round().max(1.0);
        for step in 0..steps as usize {
            let color = self.palette.color(1.0 - (step as f64 + 0.5) / f64::from(steps));
            canvas.fill(Rect::new(left, cells.y + step as f32 / DENSITY, BAR, 1.0 / DENSITY), color);
        }
        let line = Style::TICK.line();
        for tick in &margins.ticks.ticks {
            let Some(part) = scale.place(tick.value).filter(|part| (-1e-6..=1.000001).contains(part)) else { continue };
            let y = cells.bottom() - part as f32 * cells.height;
            canvas.fill(Rect::new(left + BAR, y - 0.5, 3.0, 1.0), AXIS);
            let top = (y - line / 2.0).clamp(cells.y - 4.0, (cells.bottom() - line + 4.0).max(cells.y));
            canvas.text(left + BAR + TICK_GAP, top, Anchor::Start, &tick.label, Style::TICK);
        }
        let label = with_multiplier(&self.value_label, &margins.ticks);
        let label = Style::LABEL.ellipsise(&label, cells.height);
        let left = place.right() - Style::LABEL.line();
        canvas.text_upwards(left, cells.y + cells.height / 2.0, &label, Style::LABEL);
    }

    /// What the map shows, in words.
    pub(crate) fn words(&self) -> Vec<String> {
        if let Some(problem) = &self.problem {
            return vec![problem.clone()];
        }
        let scale = self.finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let unit = if self.value_label.is_empty() { String::new() } else { format!(" {}", self.value_label) };
        let size = format!("map of {} × {} values", self.rows, self.columns);
        let mut lines = vec![match scale.0 <= scale.1 {
            true => format!("{size}{unit} from {} to {}", number(scale.0), number(scale.1)),
            false => format!("{size}{unit}, none of them finite"),
        }];
        let bad = self.values.len() - self.finite().count();
        if bad > 0 {
            lines.push(format!(
                "{bad} of {} values {} not finite",
                self.values.len(),
                if bad == 1 { "is" } else { "are" }
            ));
        }
        lines
    }

    pub(crate) fn alt(&self) -> String {
        let words = self.words().join("; ");
        if self.title.is_empty() { words } else { format!("{}: {words}", self.title) }
    }
}

impl Axis {
    fn scale(&self) -> Option<Scale> {
        Scale::between(self.from, self.to, self.log).filter(|_| self.from != self.to)
    }

    /// How far from its `from` end a value stands, 0 to 1; none outside.
    fn part(&self, scale: &Scale, value: f64) -> Option<f64> {
        let part = scale.place(value).filter(|part| (-1e-6..=1.000001).contains(part))?;
        Some(if self.from <= self.to { part } else { 1.0 - part })
    }
}

/// What stands around the cells, in CSS pixels.
struct Margins {
    left: f32,
    right: f32,
    top: f32,
    bottom: f32,
    /// Of the colour bar.
    ticks: Ticks,
}

impl Margins {
    fn of(map: &HeatMap, height: f32) -> Self {
        let widest =
            |ticks: &Ticks| ticks.ticks.iter().map(|tick| Style::TICK.width(&tick.label)).fold(0.0, f32::max).ceil();
        let label = |text: &str| if text.is_empty() { 0.0 } else { Style::LABEL.line() + 2.0 };
        // The same ticks for any height of the map, so that its width does not depend on its height.
        let most = ((height - 40.0) / 34.0).clamp(2.0, 5.0) as usize;
        let ticks = map.scale().ticks(most);
        let bar_label = with_multiplier(&map.value_label, &ticks);
        let left = match map.y.as_ref().and_then(|axis| Some((axis, axis.scale()?))) {
            Some((axis, scale)) => label(&axis.label) + widest(&scale.ticks((height / 26.0) as usize)) + TICK_GAP + 1.0,
            None => 0.0,
        };
        let bottom = match map.x.as_ref().and_then(|axis| Some((axis, axis.scale()?))) {
            Some((axis, _)) if axis.label.is_empty() => TICK_GAP + Style::TICK.line(),
            Some(_) => TICK_GAP + Style::TICK.line() + Style::LABEL.line(),
            None => 0.0,
        };
        let right = BAR_GAP + BAR + TICK_GAP + widest(&ticks) + label(&bar_label);
        Self { left: left.ceil(), right: right.ceil(), top: 0.0, bottom: bottom.ceil(), ticks }
    }
}

/// The most ticks whose labels do not touch along `width`.
pub(crate) fn fitting(scale: &Scale, width: f32) -> Ticks {
    let mut most = ((width / 40.0) as usize).clamp(2, 10);
    loop {
        let ticks = scale.ticks(most);
        let widest = ticks.ticks.iter().map(|tick| Style::TICK.width(&tick.label)).fold(0.0, f32::max);
        if most <= 2 || (widest + 12.0) * ticks.ticks.len() as f32 <= width {
            return ticks;
        }
        most -= 1;
    }
}

/// A label with the power of ten that its axis leaves out.
fn with_multiplier(label: &str, ticks: &Ticks) -> String {
    match (label, multiplier(ticks.exponent).as_str()) {
        (label, "") => label.to_owned(),
        ("", power) => power.to_owned(),
        (label, power) => format!("{label}  {power}"),
    }
}

impl Show for HeatMap {
    fn bundles(&self) -> Vec<Bundle> {
        let figure = Figure::new(self.alt()).width(if self.square { 460.0 } else { 720.0 }).row([self.clone()]);
        vec![figure.bundle(self.alt())]
    }
}

crate::show_in_notebooks!(HeatMap);
