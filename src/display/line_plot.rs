//! Line plots, such as loss curves.

use plotters::chart::LabelAreaPosition::Left;
use plotters::element::{Circle, DashedPathElement, PathElement};
use plotters::series::LineSeries;

use super::axis::Axis;
use super::canvas::{Anchor, Area, Canvas, DENSITY, DrawError, Rect, to_plot_pixels};
use super::chart::{Chart, Margins, TICK_GAP, draw_axes, stroke};
use super::colors::{self, MUTED};
use super::format::{format_number, min_max};
use super::legend::{self, Entry, Name};
use super::polyline::{clip, decimate, without_repeats};
use super::text::Style;
use super::{Figure, MimeBundle, Show};

/// The width of a line, in CSS pixels.
pub(crate) const STROKE: f32 = 1.75;
/// The radius of a single point, in CSS pixels.
pub(crate) const DOT: f32 = 2.5;
/// Half the width of the cap of an error bar, in CSS pixels.
const CAP: f32 = 3.0;
/// The dash and the gap of a dashed series, in CSS pixels.
const DASHES: (f32, f32) = (6.0, 2.5);

/// A line plot: series of points joined by lines, with labelled axes, linear or logarithmic.
///
/// An invalid point (NaN or infinite; zero or less on a logarithmic axis) leaves a gap in its line.
///
/// ```
/// use metamers::display::{LinePlot, Show};
///
/// let plot = LinePlot::new("Matching block2")
///     .x_label("gradient evaluations")
///     .y_label("SNR (dB)")
///     .series("L-BFGS", vec![(0.0, 0.0), (40.0, 18.0), (80.0, 31.0)])
///     .reference_line(20.0, "20 dB: well matched");
/// assert!(plot.mime_bundles()[0].plain().contains("L-BFGS: 3 points, 0 to 31, last 31"));
/// ```
#[derive(Clone, PartialEq, Default)]
#[must_use]
pub struct LinePlot {
    pub(crate) title: String,
    x_label: String,
    y_label: String,
    log_x: bool,
    log_y: bool,
    x_range: Option<(f64, f64)>,
    y_range: Option<(f64, f64)>,
    x_names: Vec<String>,
    series: Vec<Series>,
    references: Vec<(f64, String)>,
}

#[derive(Debug, Clone, PartialEq)]
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    /// The lower and the upper end of the error bar of each point; empty for a series without error bars.
    bars: Vec<(f64, f64)>,
    joined: bool,
    dashed: bool,
}

/// The visible part of a series: runs of points as fractions of the axes.
type Curve = Vec<Vec<(f64, f64)>>;

/// The parts of a plot and their positions.
struct Layout<'a> {
    names: Vec<Name<'a>>,
    /// True if the names are written beside the ends of their lines.
    beside: bool,
    /// The rows of the legend above the chart; empty if the names are beside the lines.
    legend: Vec<Vec<Entry>>,
    margins: Margins,
    /// The rectangle within the axes.
    area: Rect,
    x: Axis,
    y: Axis,
    x_label: String,
    y_label: String,
    /// The power of ten by which the vertical ticks are scaled; empty if there is none.
    multiplier: String,
}

impl Series {
    fn new(name: impl Into<String>, points: Vec<(f64, f64)>, joined: bool) -> Self {
        Self { name: name.into(), points, bars: Vec::new(), joined, dashed: false }
    }

    /// The dash and the gap of the line; `None` for a solid line.
    fn dash(&self, index: usize) -> Option<(f32, f32)> {
        if self.dashed { Some(DASHES) } else { legend::dash(index) }
    }
}

impl std::fmt::Debug for LinePlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let points: usize = self.series.iter().map(|series| series.points.len()).sum();
        write!(f, "LinePlot({:?}, {} series, {points} points)", self.title, self.series.len())
    }
}

impl LinePlot {
    /// Creates a plot without series.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// Replaces the title.
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Sets the label of the horizontal axis, with its unit: `"time (s)"`.
    pub fn x_label(mut self, label: impl Into<String>) -> Self {
        self.x_label = label.into();
        self
    }

    /// Sets the label of the vertical axis, with its unit.
    pub fn y_label(mut self, label: impl Into<String>) -> Self {
        self.y_label = label.into();
        self
    }

    /// Makes the horizontal axis logarithmic.
    pub fn log_x(mut self) -> Self {
        self.log_x = true;
        self
    }

    /// Makes the vertical axis logarithmic.
    pub fn log_y(mut self) -> Self {
        self.log_y = true;
        self
    }

    /// Sets the range of the horizontal axis; by default it shows all points.
    pub fn x_range(mut self, low: f64, high: f64) -> Self {
        self.x_range = Some((low, high));
        self
    }

    /// Sets the range of the vertical axis; by default it shows all points and reference lines.
    pub fn y_range(mut self, low: f64, high: f64) -> Self {
        self.y_range = Some((low, high));
        self
    }

    /// Makes the horizontal axis categorical, with these names (stages, conditions) at 0, 1, 2 and so on. If names would overlap, only every
    /// second, third and so on is shown.
    pub fn x_names<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.x_names = names.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a series of points joined by a line in the given order. Its name is written beside the end of the line if there is room, else in
    /// a legend.
    pub fn series(mut self, name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        self.series.push(Series::new(name, points, true));
        self
    }

    /// Adds a scatter series: points that are not joined.
    pub fn points(mut self, name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        self.series.push(Series::new(name, points, false));
        self
    }

    /// Adds a series with a dashed line.
    pub fn dashed(mut self, name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        self.series.push(Series { dashed: true, ..Series::new(name, points, true) });
        self
    }

    /// Adds a series of points `(x, y, low, high)` joined by a line, each with a marker and an error bar from `low` to `high`. Name the
    /// measure of the bars in the plot's title or the series' name: `"class, ± SEM"`. A point whose `low` or `high` is not finite has no bar.
    ///
    /// ```
    /// use metamers::display::{LinePlot, Show};
    ///
    /// let plot = LinePlot::new("Recognised, ± SEM over 20 people")
    ///     .x_names(["natural", "block2", "block10"])
    ///     .error_bars("class", vec![(0.0, 0.93, 0.91, 0.95), (1.0, 0.84, 0.80, 0.88), (2.0, 0.21, 0.17, 0.25)]);
    /// assert!(plot.mime_bundles()[0].plain().contains("block10 0.21 (0.17 to 0.25)"));
    /// ```
    pub fn error_bars(mut self, name: impl Into<String>, points: Vec<(f64, f64, f64, f64)>) -> Self {
        let bars = points.iter().map(|(_, _, low, high)| (*low, *high)).collect();
        let points = points.into_iter().map(|(x, y, ..)| (x, y)).collect();
        self.series.push(Series { bars, ..Series::new(name, points, true) });
        self
    }

    /// Adds a dashed horizontal reference line at `y` with a label.
    pub fn reference_line(mut self, y: f64, label: impl Into<String>) -> Self {
        self.references.push((y, label.into()));
        self
    }

    /// Describes the plot in words, one line for each series: its name, the number of points, their range and the last value.
    pub(crate) fn words(&self) -> Vec<String> {
        let axes = match (self.y_label.as_str(), self.x_label.as_str()) {
            ("", "") => None,
            ("", x) => Some(format!("over {x}")),
            (y, "") => Some(y.to_owned()),
            (y, x) => Some(format!("{y} over {x}")),
        };
        let series = self.series.iter().map(|series| {
            let mut finite = series.points.iter().map(|point| point.1).filter(|y| y.is_finite());
            let (low, high) = min_max(finite.clone());
            let name = if series.name.is_empty() { String::new() } else { format!("{}: ", series.name) };
            if !self.x_names.is_empty() {
                return format!("{name}{}", self.named_values(series));
            }
            match finite.next_back() {
                Some(last) => format!(
                    "{name}{} points, {} to {}, last {}",
                    series.points.len(),
                    format_number(low),
                    format_number(high),
                    format_number(last)
                ),
                None => format!("{name}no points"),
            }
        });
        let references = self.references.iter().map(|(y, label)| format!("line at {}: {label}", format_number(*y)));
        axes.into_iter().chain(series).chain(references).collect()
    }

    /// Lists the values of a series by category: `natural 0.93 (0.91 to 0.95), block2 0.84 (0.8 to 0.88)`.
    fn named_values(&self, series: &Series) -> String {
        let value = |(index, (x, y)): (usize, &(f64, f64))| {
            let whole = *x >= 0.0 && x.fract() == 0.0;
            let place = if whole { self.x_names.get(*x as usize).cloned() } else { None };
            let bar = series.bars.get(index).filter(|(low, high)| low.is_finite() && high.is_finite());
            let bar = bar
                .map_or(String::new(), |(low, high)| format!(" ({} to {})", format_number(*low), format_number(*high)));
            format!("{} {}{bar}", place.unwrap_or_else(|| format_number(*x)), format_number(*y))
        };
        let values: Vec<String> = series.points.iter().enumerate().map(value).collect();
        if values.is_empty() { "no points".into() } else { values.join(", ") }
    }

    pub(crate) fn alt(&self) -> String {
        let title = if self.title.is_empty() { "Line plot" } else { &self.title };
        format!("{title}: {}", self.words().join("; "))
    }

    /// Returns the two axes, which show all points unless a range is set; `None` if no point can be shown.
    fn axes(&self) -> Option<(Axis, Axis)> {
        let visible = |point: &&(f64, f64)| {
            let can_show = |value: f64, log: bool| value.is_finite() && (!log || value > 0.0);
            can_show(point.0, self.log_x) && can_show(point.1, self.log_y)
        };
        let points = || self.series.iter().flat_map(|series| &series.points).filter(visible);
        let given = |range: Option<(f64, f64)>, log| range.and_then(|(low, high)| Axis::from_range(low, high, log));
        // A line may touch the axis, but a marker needs room around it.
        let marked = |series: &Series| !series.joined || !series.bars.is_empty();
        let padding = if self.series.iter().any(marked) { 0.04 } else { 0.0 };
        let named = (!self.x_names.is_empty()).then(|| (-0.4, self.x_names.len() as f64 - 0.6));
        let x = given(self.x_range.or(named), self.log_x)
            .or_else(|| Axis::from_values(points().map(|point| point.0), self.log_x, padding));
        let x = x?;
        let names = self.x_names.iter().enumerate().map(|(place, name)| (place as f64, name.clone()));
        let custom_ticks = names.filter(|(place, _)| x.visible_fraction(*place).is_some()).collect();
        let x = Axis { integer: points().all(|point| point.0.fract() == 0.0), custom_ticks, ..x };
        let bars = self.series.iter().flat_map(|series| &series.bars).flat_map(|(low, high)| [*low, *high]);
        let references = self.references.iter().map(|reference| reference.0);
        let references = references.chain(bars);
        let within = |point: &&(f64, f64)| self.x_range.is_none() || x.visible_fraction(point.0).is_some();
        let y = given(self.y_range, self.log_y).or_else(|| {
            points().next()?;
            Axis::from_values(points().filter(within).map(|point| point.1).chain(references), self.log_y, 0.05)
        });
        Some((x, y?))
    }

    pub(crate) fn draw(&self, canvas: &mut Canvas, place: Rect) -> Result<(), String> {
        let layout = self.layout(place)?;
        let curves = self.curves(layout.area, &layout.x, &layout.y);
        canvas.plot(place, |sheet| self.draw_chart(sheet, &layout, &curves))?;
        self.write_texts(canvas, place, &layout, &curves)
    }

    /// Fits the axes, their labels and the legend into `place`. An error is the message that is drawn instead of the plot.
    fn layout(&self, place: Rect) -> Result<Layout<'_>, String> {
        let (x, y) = self.axes().ok_or("no points yet")?;
        let names = self.names();
        let beside = legend::width_beside(&names, place);
        let legend = match beside {
            Some(_) => Vec::new(),
            None => legend::rows(&names, place.width),
        };
        let mut margins = Margins {
            top: legend.len() as f32 * legend::ROW_HEIGHT + 4.0,
            bottom: TICK_GAP + Style::TICK.line() + if self.x_label.is_empty() { 0.0 } else { Style::LABEL.line() },
            ..Margins::default()
        };
        let y = y.with_ticks(((place.height - margins.top - margins.bottom) / 26.0).min(7.0) as usize);
        let multiplier = y.with_multiplier("");
        if !multiplier.is_empty() {
            margins.top += Style::TICK.line();
        }
        let label_width = if self.y_label.is_empty() { 0.0 } else { Style::LABEL.line() + 3.0 };
        margins.left = (label_width + y.widest() + TICK_GAP).ceil();
        margins.right = beside.unwrap_or(8.0).ceil();
        let x = x.with_x_ticks(margins.within(place).width);
        // The last label is centered on the end of the axis, so half of it is to the right.
        let overhang = x.ticks.last().map_or(0.0, |tick| Style::TICK.width(&tick.label) / 2.0);
        margins.right = margins.right.max(overhang.ceil());
        let area = margins.within(place);
        if area.width < 24.0 || area.height < 24.0 {
            return Err("too small".into());
        }
        // A label is centered on its axis and may extend into the smaller of the two margins on both sides.
        let x_room = area.width + 2.0 * margins.left.min(margins.right);
        let y_room = area.height + 2.0 * margins.top.min(margins.bottom);
        let x_label = Style::LABEL.ellipsize(&x.with_multiplier(&self.x_label), x_room);
        let y_label = Style::LABEL.ellipsize(&self.y_label, y_room);
        Ok(Layout { names, beside: beside.is_some(), legend, margins, area, x, y, x_label, y_label, multiplier })
    }

    fn draw_chart(&self, sheet: &Area, layout: &Layout, curves: &[Curve]) -> Result<(), DrawError> {
        let Layout { x, y, .. } = layout;
        let mut chart = layout.margins.chart(sheet, Left, x.clone(), y.clone())?;
        draw_axes(&mut chart, &layout.x_label, &layout.y_label, true)?;
        for (index, (series, curve)) in self.series.iter().zip(curves).enumerate() {
            let value = |(u, v): &(f64, f64)| (x.value(*u), y.value(*v));
            for run in curve {
                let values: Vec<(f64, f64)> = run.iter().map(value).collect();
                draw_run(&mut chart, &values, index, series)?;
            }
            draw_error_bars(&mut chart, x, y, index, series)?;
        }
        for (value, _) in self.references.iter().filter(|(value, _)| y.visible_fraction(*value).is_some()) {
            let ends = [(x.low, *value), (x.high, *value)];
            let dashes = DashedPathElement::new(ends, to_plot_pixels(4.5), to_plot_pixels(2.5), stroke(MUTED, 1.0));
            chart.draw_series([dashes])?;
        }
        Ok(())
    }

    /// Writes the texts around and on the chart: the multiplier of the ticks, the names of the series, the labels of reference lines.
    fn write_texts(&self, canvas: &mut Canvas, place: Rect, layout: &Layout, curves: &[Curve]) -> Result<(), String> {
        let area = layout.area;
        if !layout.multiplier.is_empty() {
            let top = area.y - Style::TICK.line() - 2.0;
            canvas.text(area.x, top, Anchor::Left, &layout.multiplier, Style::TICK);
        }
        legend::draw(canvas, area.x, place.y, &layout.legend)?;
        if layout.beside {
            let rightmost = |curve: &Curve| curve.iter().flatten().copied().max_by(|a, b| a.0.total_cmp(&b.0));
            let end = |name: &Name| Some(area.bottom() - rightmost(&curves[name.index])?.1 as f32 * area.height);
            legend::write_beside(canvas, area, &layout.names, end);
        }
        self.write_references(canvas, area, &layout.y);
        Ok(())
    }

    fn names(&self) -> Vec<Name<'_>> {
        let named = self.series.iter().enumerate().filter(|(_, series)| !series.name.trim().is_empty());
        let name = |(index, series)| {
            let Series { name, joined, .. }: &Series = series;
            Name { index, text: name, joined: *joined, dash: series.dash(index) }
        };
        named.map(name).collect()
    }

    /// Returns the visible part of each series, decimated to the resolution of the plot.
    fn curves(&self, area: Rect, x: &Axis, y: &Axis) -> Vec<Curve> {
        let curve = |series: &Series| {
            let place = |point: &(f64, f64)| Some((x.fraction(point.0)?, y.fraction(point.1)?));
            let placed: Vec<Option<(f64, f64)>> = series.points.iter().map(place).collect();
            let runs = placed.split(Option::is_none).map(|run| {
                let run: Vec<(f64, f64)> = run.iter().flatten().copied().collect();
                let [columns, rows] = [area.width, area.height].map(|side| f64::from(side * DENSITY));
                if series.joined { decimate(&run, columns) } else { without_repeats(&run, [columns, rows]) }
            });
            match series.joined {
                true => runs.flat_map(|run| clip(&run)).collect(),
                false => runs
                    .map(|run| {
                        run.into_iter().filter(|(u, v)| (0.0..=1.0).contains(u) && (0.0..=1.0).contains(v)).collect()
                    })
                    .collect(),
            }
        };
        self.series.iter().map(curve).collect()
    }

    /// Writes the labels of the reference lines along them, where they cover the fewest dark pixels.
    fn write_references(&self, canvas: &mut Canvas, area: Rect, y: &Axis) {
        let style = Style::TICK;
        for (value, label) in &self.references {
            let Some(part) = y.visible_fraction(*value) else { continue };
            let at = area.bottom() - part as f32 * area.height;
            let label = style.ellipsize(label, area.width - 12.0);
            let width = style.width(&label);
            let room = area.width - width - 10.0;
            let lefts = (0..=12_u8).map(|step| area.right() - 4.0 - width - room * f32::from(step) / 12.0);
            let tops = [at - style.line() - 1.0, at + 1.0];
            let places = lefts.flat_map(|left| tops.map(|top| Rect::new(left, top, width, style.line())));
            let inside = places.filter(|place| place.y >= area.y - 2.0 && place.bottom() <= area.bottom());
            let free = inside.filter(|place| !canvas.texts.iter().any(|(other, _)| other.overlaps(place)));
            if let Some(place) = free.min_by_key(|place| canvas.count_dark_pixels(*place)) {
                canvas.text(place.x, place.y, Anchor::Left, &label, style);
            }
        }
    }
}

/// Draws a run of points, joined or not, in the color and the dashes of its series.
fn draw_run(chart: &mut Chart, points: &[(f64, f64)], index: usize, series: &Series) -> Result<(), DrawError> {
    let style = stroke(colors::series(index), STROKE);
    if !series.joined || points.len() == 1 {
        chart.draw_series(points.iter().map(|point| Circle::new(*point, to_plot_pixels(DOT), style.filled())))?;
    } else if let Some((ink, gap)) = series.dash(index) {
        chart.draw_series([DashedPathElement::new(
            points.iter().copied(),
            to_plot_pixels(ink),
            to_plot_pixels(gap),
            style,
        )])?;
    } else {
        chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
    }
    Ok(())
}

/// Draws the error bars of a series with their caps, clipped to the axes, and a marker at each point.
fn draw_error_bars(chart: &mut Chart, x: &Axis, y: &Axis, index: usize, series: &Series) -> Result<(), DrawError> {
    let (thin, style) = (stroke(colors::series(index), 1.25), stroke(colors::series(index), STROKE));
    let pixel = chart.plotting_area().dim_in_pixel().0.max(1);
    let cap = f64::from(to_plot_pixels(CAP)) / f64::from(pixel);
    for (point, (low, high)) in series.points.iter().zip(&series.bars) {
        let (Some(across), Some(at)) = (x.visible_fraction(point.0), y.fraction(point.1)) else { continue };
        if let (Some(low), Some(high)) = (y.fraction(*low), y.fraction(*high)) {
            let ends = [low.min(high), low.max(high)];
            let [bottom, top] = ends.map(|end| end.clamp(0.0, 1.0));
            if bottom < top {
                let line = [bottom, top].map(|part| (x.value(across), y.value(part)));
                chart.draw_series([PathElement::new(line, thin)])?;
            }
            for end in ends.into_iter().filter(|end| (0.0..=1.0).contains(end)) {
                let sides = [across - cap, across + cap].map(|part| (x.value(part.clamp(0.0, 1.0)), y.value(end)));
                chart.draw_series([PathElement::new(sides, thin)])?;
            }
        }
        if (0.0..=1.0).contains(&at) {
            chart.draw_series([Circle::new(*point, to_plot_pixels(DOT + 0.5), style.filled())])?;
        }
    }
    Ok(())
}

impl Show for LinePlot {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let title = if self.title.is_empty() { None } else { Some(self.title.clone()) };
        let text: Vec<String> = title.into_iter().chain(self.words()).collect();
        vec![Figure::new(self.alt()).width(600.0).row([self.clone()]).bundle(text.join("\n"))]
    }
}

crate::show_in_notebooks!(LinePlot);
