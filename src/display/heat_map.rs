//! Heat maps, such as gradients and cochleagrams.

mod common_axes;

use plotters::chart::LabelAreaPosition::{Left, Right};

use super::axis::Axis;
use super::canvas::{Canvas, Rect};
use super::chart::{Margins, TICK_GAP, draw_axes, draw_cells};
use super::colors::Rgb;
use super::format::{format_number, min_max};
use super::panel::size_of_cells;
use super::text::Style;
use super::{Figure, MimeBundle, Palette, Raster, Show};

const COLOR_BAR: f32 = 10.0;
const COLOR_BAR_GAP: f32 = 8.0;
/// The color of NaN cells, a grey that is in none of the palettes.
const NON_FINITE: Rgb = [0x9e; 3];

/// A heat map: a matrix of values as colors, with a color bar.
///
/// ```
/// use metamers::display::{HeatMap, Palette, Show};
///
/// let gradient = HeatMap::new("gradient", 2, 3, vec![0.1, -0.2, 0.0, 0.3, f32::NAN, -0.1]).palette(Palette::Diverging).square();
/// assert!(gradient.mime_bundles()[0].plain().contains("1 of 6 values is not finite"));
/// ```
#[derive(Clone, PartialEq)]
#[must_use]
pub struct HeatMap {
    pub(crate) title: String,
    rows: usize,
    columns: usize,
    values: Vec<f32>,
    palette: Palette,
    x: Option<AxisSpec>,
    y: Option<AxisSpec>,
    value_label: String,
    range: Option<(f64, f64)>,
    /// The limits of the color scale that omit outliers.
    robust: Option<(f64, f64)>,
    square: bool,
    upwards: bool,
    problem: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct AxisSpec {
    label: String,
    from: f64,
    to: f64,
    log: bool,
    /// Custom ticks: value and label.
    ticks: Vec<(f64, String)>,
}

impl std::fmt::Debug for HeatMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HeatMap({:?}, {} x {} values)", self.title, self.rows, self.columns)
    }
}

impl HeatMap {
    /// Creates a map of `rows` rows of `columns` values, row-major, the first row on top. If the number of values is wrong, an error message
    /// is drawn instead of the map.
    pub fn new(title: impl Into<String>, rows: usize, columns: usize, values: Vec<f32>) -> Self {
        let problem = match rows.checked_mul(columns) {
            Some(0) => Some(format!("no values: {rows} × {columns}")),
            Some(cells) if cells == values.len() => None,
            _ => Some(format!(
                "{rows} rows × {columns} columns need {} values, got {}",
                rows.saturating_mul(columns),
                values.len()
            )),
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
            robust: None,
            square: false,
            upwards: false,
            problem,
        }
    }

    /// Replaces the title.
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Sets the color map. [`Palette::Diverging`] makes the scale symmetric about zero.
    pub fn palette(mut self, palette: Palette) -> Self {
        self.palette = palette;
        self
    }

    /// Sets the label of the columns and the values at the left and the right edge. The label includes the unit: `"time (s)"`.
    pub fn x_axis(mut self, label: impl Into<String>, from: f64, to: f64) -> Self {
        self.x = Some(AxisSpec { label: label.into(), from, to, log: false, ticks: vec![] });
        self
    }

    /// Sets the label of the rows and the values at the outer edges of the first and the last row.
    pub fn y_axis(mut self, label: impl Into<String>, from: f64, to: f64) -> Self {
        self.y = Some(AxisSpec { label: label.into(), from, to, log: false, ticks: vec![] });
        self
    }

    /// Sets the label and the range of a logarithmic row axis: `"frequency (Hz)"` from 50 to 10,000.
    pub fn y_axis_log(mut self, label: impl Into<String>, from: f64, to: f64) -> Self {
        self.y = Some(AxisSpec { label: label.into(), from, to, log: true, ticks: vec![] });
        self
    }

    /// Sets custom ticks (value and label) on the row axis, for a scale that is neither linear nor logarithmic, such as the ERB scale. Call
    /// it after [`HeatMap::y_axis`].
    pub fn y_ticks(mut self, ticks: impl IntoIterator<Item = (f64, String)>) -> Self {
        if let Some(side) = &mut self.y {
            side.ticks = ticks.into_iter().collect();
        }
        self
    }

    /// Sets the label of the color bar, with its unit.
    pub fn value_label(mut self, label: impl Into<String>) -> Self {
        self.value_label = label.into();
        self
    }

    /// Sets the range of the color scale; values outside are clamped. By default it spans all finite values.
    pub fn range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    /// Uses the color scale of another map, so that the two are comparable.
    pub fn on_scale_of(self, other: &Self) -> Self {
        let scale = other.scale();
        self.range(scale.low, scale.high)
    }

    /// Limits the color scale to the 0.5th to 99.5th percentile, so that a few outliers do not reduce the contrast of the rest.
    pub fn robust(mut self) -> Self {
        self.robust = self.quantiles(0.005);
        self
    }

    /// Draws each value as a square, as in a picture.
    pub fn square(mut self) -> Self {
        self.square = true;
        self
    }

    /// Draws the first row at the bottom, as in a spectrogram with the lowest frequency first.
    pub fn origin_lower(mut self) -> Self {
        self.upwards = true;
        self
    }

    pub(crate) fn has_square_cells(&self) -> bool {
        self.square
    }

    fn finite(&self) -> impl Iterator<Item = f64> {
        self.values.iter().filter(|value| value.is_finite()).map(|value| f64::from(*value))
    }

    fn scale(&self) -> Axis {
        let symmetric = |low: f64, high: f64| match self.palette {
            Palette::Diverging => (-low.abs().max(high.abs()), low.abs().max(high.abs())),
            _ => (low, high),
        };
        let given = self.range.filter(|(low, high)| low.is_finite() && high.is_finite());
        let (low, high) = given.or(self.robust).unwrap_or_else(|| min_max(self.finite()));
        let (low, high) = symmetric(low, high);
        Axis::from_range(low, high, false).unwrap_or(Axis::unit())
    }

    fn quantiles(&self, outside: f64) -> Option<(f64, f64)> {
        let mut values: Vec<f64> = self.finite().collect();
        let last = values.len().checked_sub(1)?;
        let mut at =
            |part: f64| *values.select_nth_unstable_by((part * last as f64).round() as usize, f64::total_cmp).1;
        Some((at(outside), at(1.0 - outside)))
    }

    /// Renders the cells alone.
    pub(crate) fn raster(&self) -> Raster {
        let scale = self.scale();
        let table: Vec<Rgb> = (0..=255).map(|index| self.palette.color(f64::from(index) / 255.0)).collect();
        let color = |value: f32| match scale.fraction(f64::from(value)) {
            Some(place) => table[(place.clamp(0.0, 1.0) * 255.0).round() as usize],
            None if value == f32::INFINITY => table[255],
            None if value == f32::NEG_INFINITY => table[0],
            None => NON_FINITE,
        };
        let rows = self.values.chunks_exact(self.columns.max(1));
        let rgb = match self.upwards {
            false => rows.flatten().flat_map(|value| color(*value)).collect(),
            true => rows.rev().flatten().flat_map(|value| color(*value)).collect(),
        };
        Raster::from_rgb(self.columns, self.rows, rgb)
    }

    /// Returns the size in CSS pixels, given the available width.
    pub(crate) fn size(&self, width: f32, max_height: f32) -> (f32, f32) {
        if !self.square || self.problem.is_some() {
            return (width, (0.5 * width).clamp(150.0, 300.0));
        }
        let margins = self.margins(200.0).0;
        let room = (width - margins.left - margins.right).max(16.0);
        let (across, down) = size_of_cells(self.columns, self.rows, room, max_height);
        (across + margins.left + margins.right, down + margins.bottom)
    }

    /// The width of the axes and the color bar around a map of square cells, in CSS pixels.
    pub(crate) fn surround(&self) -> f32 {
        if !self.square || self.problem.is_some() {
            return 0.0;
        }
        let margins = self.margins(200.0).0;
        margins.left + margins.right
    }

    pub(crate) fn draw(&self, canvas: &mut Canvas, place: Rect) -> Result<(), String> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let (margins, scale) = self.margins(place.height);
        let cells = margins.within(place);
        if cells.width < 4.0 || cells.height < 4.0 {
            return Err("too small".into());
        }
        let side = |side: &Option<AxisSpec>| side.as_ref().and_then(|side| Some((side.label.clone(), side.axis()?)));
        let none = || (String::new(), Axis::unit());
        let (x_label, x) = side(&self.x).map_or_else(none, |(label, axis)| (label, axis.with_x_ticks(cells.width)));
        let max_ticks = (cells.height / 26.0) as usize;
        let (y_label, y) =
            side(&self.y).map_or_else(none, |(label, axis)| (label, axis.with_y_ticks(max_ticks, cells.height)));
        let y_down = self.y.as_ref().is_none_or(|side| (side.from <= side.to) != self.upwards);
        let fit = |label: &str, axis: &Axis, room: f32| Style::LABEL.ellipsize(&axis.with_multiplier(label), room);
        let labels = [fit(&x_label, &x, cells.width), fit(&y_label, &y, cells.height)];
        let value_label = fit(&self.value_label, &scale, cells.height);
        let bar = Margins {
            left: place.width - margins.right + COLOR_BAR_GAP,
            right: margins.right - COLOR_BAR_GAP - COLOR_BAR,
            ..margins
        };
        canvas.plot(place, |sheet| {
            let mut chart = margins.chart(sheet, Left, x, Axis { reversed: y_down, ..y })?;
            draw_cells(&mut chart, &self.raster())?;
            draw_axes(&mut chart, &labels[0], &labels[1], false)?;
            let mut chart = bar.chart(sheet, Right, Axis::unit(), scale)?;
            draw_cells(&mut chart, &self.color_bar())?;
            draw_axes(&mut chart, "", &value_label, false)
        })
    }

    /// Renders the color bar, with the highest value on top.
    fn color_bar(&self) -> Raster {
        let color = |index: u8| self.palette.color(f64::from(index) / 255.0);
        Raster::from_rgb(1, 256, (0..=255).rev().flat_map(color).collect())
    }

    /// Returns the margins around the cells, and the axis of the color bar.
    fn margins(&self, height: f32) -> (Margins, Axis) {
        let label = |text: &str| if text.is_empty() { 0.0 } else { Style::LABEL.line() + 2.0 };
        let bottom = match self.x.as_ref().filter(|side| side.axis().is_some()) {
            Some(side) => TICK_GAP + Style::TICK.line() + if side.label.is_empty() { 0.0 } else { Style::LABEL.line() },
            None => 0.0,
        };
        let cells = height - bottom;
        // Most heights give the same ticks, so that the width of the map does not depend on its height.
        let scale = self.scale().with_y_ticks((cells / 34.0).min(5.0) as usize, cells);
        let left = self.y.as_ref().and_then(|side| {
            let axis = side.axis()?.with_y_ticks((cells / 26.0) as usize, cells);
            Some(label(&side.label) + axis.widest() + TICK_GAP + 1.0)
        });
        let right =
            COLOR_BAR_GAP + COLOR_BAR + TICK_GAP + scale.widest() + label(&scale.with_multiplier(&self.value_label));
        let margins =
            Margins { left: left.unwrap_or(0.0).ceil(), right: right.ceil(), top: 0.0, bottom: bottom.ceil() };
        (margins, scale)
    }

    /// Describes the map in words.
    pub(crate) fn words(&self) -> Vec<String> {
        if let Some(problem) = &self.problem {
            return vec![problem.clone()];
        }
        let scale = min_max(self.finite());
        let unit = if self.value_label.is_empty() { String::new() } else { format!(" {}", self.value_label) };
        let size = format!("map of {} × {} values", self.rows, self.columns);
        let mut lines = vec![match scale.0 <= scale.1 {
            true => format!("{size}{unit} from {} to {}", format_number(scale.0), format_number(scale.1)),
            false => format!("{size}{unit}, none of them finite"),
        }];
        let non_finite = self.values.len() - self.finite().count();
        if non_finite > 0 {
            lines.push(format!(
                "{non_finite} of {} values {} not finite",
                self.values.len(),
                if non_finite == 1 { "is" } else { "are" }
            ));
        }
        lines
    }

    pub(crate) fn alt(&self) -> String {
        let words = self.words().join("; ");
        if self.title.is_empty() { words } else { format!("{}: {words}", self.title) }
    }
}

impl AxisSpec {
    fn axis(&self) -> Option<Axis> {
        let reversed = self.from > self.to;
        Axis::from_range(self.from, self.to, self.log).filter(|_| self.from != self.to).map(|axis| Axis {
            reversed,
            custom_ticks: self.ticks.clone(),
            ..axis
        })
    }
}

impl Show for HeatMap {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let figure = Figure::new(self.alt()).width(if self.square { 460.0 } else { 720.0 }).row([self.clone()]);
        vec![figure.bundle(self.alt())]
    }
}

crate::show_in_notebooks!(HeatMap);
