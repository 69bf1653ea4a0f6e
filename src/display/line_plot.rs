//! Lines over an axis: loss curves.

use plotters::chart::LabelAreaPosition::Left;
use plotters::element::{Circle, DashedPathElement};
use plotters::series::LineSeries;

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, DENSITY, Rect, Trouble, fine};
use super::chart::{Chart, Margins, TICK_GAP, draw_axes, stroke};
use super::colors::{self, QUIET};
use super::legend::{self, Name};
use super::number::{ends, number};
use super::text::Style;
use super::trace::{clipped, thinned};
use super::{Bundle, Figure, Show};

pub(crate) const STROKE: f32 = 1.75;
/// The radius of a lone point.
pub(crate) const DOT: f32 = 2.5;

/// Series of points joined by lines, with named axes, linear or logarithmic.
///
/// Points that an axis cannot show (not a number; zero or less on a logarithmic axis) leave a gap in their line.
///
/// ```
/// use metamers::display::{LinePlot, Show};
///
/// let plot = LinePlot::new("Matching block2")
///     .x_label("gradient evaluations")
///     .y_label("SNR (dB)")
///     .series("L-BFGS", vec![(0.0, 0.0), (40.0, 18.0), (80.0, 31.0)])
///     .reference_line(20.0, "20 dB: well matched");
/// assert!(plot.bundles()[0].plain().contains("L-BFGS: 3 points, 0 to 31, last 31"));
/// ```
#[derive(Clone, PartialEq, Default)]
pub struct LinePlot {
    pub(crate) title: String,
    x_label: String,
    y_label: String,
    log_x: bool,
    log_y: bool,
    x_range: Option<(f64, f64)>,
    y_range: Option<(f64, f64)>,
    series: Vec<Series>,
    references: Vec<(f64, String)>,
}

#[derive(Debug, Clone, PartialEq)]
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    joined: bool,
}

impl std::fmt::Debug for LinePlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let points: usize = self.series.iter().map(|series| series.points.len()).sum();
        write!(f, "LinePlot({:?}, {} series, {points} points)", self.title, self.series.len())
    }
}

impl LinePlot {
    /// A plot without series.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// The same plot under another title.
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// What runs along the horizontal axis, with its unit: `"time (s)"`.
    pub fn x_label(mut self, label: impl Into<String>) -> Self {
        self.x_label = label.into();
        self
    }

    /// What runs along the vertical axis, with its unit.
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

    /// The ends of the horizontal axis; without it the axis shows all points.
    pub fn x_range(mut self, low: f64, high: f64) -> Self {
        self.x_range = Some((low, high));
        self
    }

    /// The ends of the vertical axis; without it the axis shows all points and reference lines.
    pub fn y_range(mut self, low: f64, high: f64) -> Self {
        self.y_range = Some((low, high));
        self
    }

    /// Adds points joined by a line in their order. The name stands beside the line's end, or in a legend where that is too narrow.
    pub fn series(mut self, name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        self.series.push(Series { name: name.into(), points, joined: true });
        self
    }

    /// Adds points that are not joined.
    pub fn points(mut self, name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        self.series.push(Series { name: name.into(), points, joined: false });
        self
    }

    /// Adds a dashed horizontal line at `y` and says what it means.
    pub fn reference_line(mut self, y: f64, label: impl Into<String>) -> Self {
        self.references.push((y, label.into()));
        self
    }

    /// One line a series: its name, how many points, where they lie and where they end.
    pub(crate) fn words(&self) -> Vec<String> {
        let axes = match (self.y_label.as_str(), self.x_label.as_str()) {
            ("", "") => None,
            ("", x) => Some(format!("over {x}")),
            (y, "") => Some(y.to_owned()),
            (y, x) => Some(format!("{y} over {x}")),
        };
        let series = self.series.iter().map(|series| {
            let mut finite = series.points.iter().map(|point| point.1).filter(|y| y.is_finite());
            let (low, high) = ends(finite.clone());
            let name = if series.name.is_empty() { String::new() } else { format!("{}: ", series.name) };
            match finite.next_back() {
                Some(last) => format!(
                    "{name}{} points, {} to {}, last {}",
                    series.points.len(),
                    number(low),
                    number(high),
                    number(last)
                ),
                None => format!("{name}no points"),
            }
        });
        let references = self.references.iter().map(|(y, label)| format!("line at {}: {label}", number(*y)));
        axes.into_iter().chain(series).chain(references).collect()
    }

    pub(crate) fn alt(&self) -> String {
        let title = if self.title.is_empty() { "Line plot" } else { &self.title };
        format!("{title}: {}", self.words().join("; "))
    }

    fn visible(&self) -> Option<(Axis, Axis)> {
        let fits = |point: &&(f64, f64)| {
            let fine = |value: f64, log: bool| value.is_finite() && (!log || value > 0.0);
            fine(point.0, self.log_x) && fine(point.1, self.log_y)
        };
        let points = || self.series.iter().flat_map(|series| &series.points).filter(fits);
        let given = |range: Option<(f64, f64)>, log| range.and_then(|(low, high)| Axis::between(low, high, log));
        // A line may begin at the axis, a lone point is drawn whole.
        let air = if self.series.iter().all(|series| series.joined) { 0.0 } else { 0.04 };
        let x =
            given(self.x_range, self.log_x).or_else(|| Axis::around(points().map(|point| point.0), self.log_x, air));
        let x = Axis { whole: points().all(|point| point.0.fract() == 0.0), ..x? };
        let references = self.references.iter().map(|reference| reference.0);
        let within = |point: &&(f64, f64)| self.x_range.is_none() || x.on(point.0).is_some();
        let y = given(self.y_range, self.log_y).or_else(|| {
            points().next()?;
            Axis::around(points().filter(within).map(|point| point.1).chain(references), self.log_y, 0.05)
        });
        Some((x, y?))
    }

    pub(crate) fn draw(&self, canvas: &mut Canvas, place: Rect) -> Result<(), String> {
        let (x, y) = self.visible().ok_or("no points yet")?;
        let names = self.names();
        let beside = legend::width_beside(&names, place);
        let legend = match beside {
            Some(_) => Vec::new(),
            None => legend::rows(&names, place.width),
        };
        let mut margins = Margins {
            top: legend.len() as f32 * legend::ROW + 4.0,
            bottom: TICK_GAP + Style::TICK.line() + if self.x_label.is_empty() { 0.0 } else { Style::LABEL.line() },
            ..Margins::default()
        };
        let y = y.ticked(((place.height - margins.top - margins.bottom) / 26.0).min(7.0) as usize);
        let power = y.with_multiplier("");
        if !power.is_empty() {
            margins.top += Style::TICK.line();
        }
        let label_width = if self.y_label.is_empty() { 0.0 } else { Style::LABEL.line() + 3.0 };
        margins.left = (label_width + y.widest() + TICK_GAP).ceil();
        margins.right = beside.unwrap_or(8.0).ceil();
        let x = x.across(margins.within(place).width);
        // The last label stands below the end of the axis, half of it to the right.
        let overhang = x.ticks.last().map_or(0.0, |tick| Style::TICK.width(&tick.label) / 2.0);
        margins.right = margins.right.max(overhang.ceil());
        let area = margins.within(place);
        if area.width < 24.0 || area.height < 24.0 {
            return Err("too small".into());
        }
        // Centred on its axis, a label may stand out as far as there is room on both sides.
        let x_room = area.width + 2.0 * margins.left.min(margins.right);
        let y_room = area.height + 2.0 * margins.top.min(margins.bottom);
        let x_label = Style::LABEL.ellipsise(&x.with_multiplier(&self.x_label), x_room);
        let y_label = Style::LABEL.ellipsise(&self.y_label, y_room);

        let curves = self.curves(area, &x, &y);
        canvas.plot(place, |sheet| {
            let mut chart = margins.chart(sheet, Left, x.clone(), y.clone())?;
            draw_axes(&mut chart, &x_label, &y_label, true)?;
            for (index, runs) in curves.iter().enumerate() {
                let value = |(u, v): &(f64, f64)| (x.value(*u), y.value(*v));
                for run in runs {
                    let values: Vec<(f64, f64)> = run.iter().map(value).collect();
                    draw_run(&mut chart, &values, index, self.series[index].joined)?;
                }
            }
            for (value, _) in self.references.iter().filter(|(value, _)| y.on(*value).is_some()) {
                let ends = [(x.low, *value), (x.high, *value)];
                let dashes = DashedPathElement::new(ends, fine(4.5), fine(2.5), stroke(QUIET, 1.0));
                chart.draw_series([dashes])?;
            }
            Ok(())
        })?;
        if !power.is_empty() {
            canvas.text(area.x, area.y - Style::TICK.line() - 2.0, Anchor::Left, &power, Style::TICK);
        }
        legend::draw(canvas, area.x, place.y, &legend)?;
        if beside.is_some() {
            // A line ends where its last point to the right is.
            let last = |runs: &[Vec<(f64, f64)>]| runs.iter().flatten().copied().max_by(|a, b| a.0.total_cmp(&b.0));
            let end = |name: &Name| Some(area.bottom() - last(&curves[name.index])?.1 as f32 * area.height);
            legend::write_beside(canvas, area, &names, end);
        }
        self.write_references(canvas, area, &y);
        Ok(())
    }

    fn names(&self) -> Vec<Name<'_>> {
        let named = self.series.iter().enumerate().filter(|(_, series)| !series.name.trim().is_empty());
        named.map(|(index, series)| Name { index, text: &series.name, joined: series.joined }).collect()
    }

    /// What is to be seen of each series, as runs of points in parts of the axes.
    fn curves(&self, area: Rect, x: &Axis, y: &Axis) -> Vec<Vec<Vec<(f64, f64)>>> {
        let curve = |series: &Series| {
            let place = |point: &(f64, f64)| Some((x.place(point.0)?, y.place(point.1)?));
            let placed: Vec<Option<(f64, f64)>> = series.points.iter().map(place).collect();
            let runs = placed.split(Option::is_none).map(|run| {
                let run: Vec<(f64, f64)> = run.iter().flatten().copied().collect();
                thinned(&run, f64::from(area.width * DENSITY))
            });
            match series.joined {
                true => runs.flat_map(|run| clipped(&run)).collect(),
                false => runs
                    .map(|run| {
                        run.into_iter().filter(|(u, v)| (0.0..=1.0).contains(u) && (0.0..=1.0).contains(v)).collect()
                    })
                    .collect(),
            }
        };
        self.series.iter().map(curve).collect()
    }

    /// Writes what the reference lines mean where there is least ink.
    fn write_references(&self, canvas: &mut Canvas, area: Rect, y: &Axis) {
        let style = Style::TICK;
        for (value, label) in &self.references {
            let Some(part) = y.on(*value) else { continue };
            let at = area.bottom() - part as f32 * area.height;
            let label = style.ellipsise(label, area.width - 12.0);
            let width = style.width(&label);
            let room = area.width - width - 10.0;
            let lefts = (0..=12_u8).map(|step| area.right() - 4.0 - width - room * f32::from(step) / 12.0);
            let tops = [at - style.line() - 1.0, at + 1.0];
            let places = lefts.flat_map(|left| tops.map(|top| Rect::new(left, top, width, style.line())));
            let inside = places.filter(|place| place.y >= area.y - 2.0 && place.bottom() <= area.bottom());
            let free = inside.filter(|place| !canvas.texts.iter().any(|(other, _)| other.overlaps(place)));
            if let Some(place) = free.min_by_key(|place| canvas.ink(*place)) {
                canvas.text(place.x, place.y, Anchor::Left, &label, style);
            }
        }
    }
}

/// Draws points, joined or not, in the colour and the dashes of their series.
fn draw_run(chart: &mut Chart, points: &[(f64, f64)], index: usize, joined: bool) -> Result<(), Trouble> {
    let style = stroke(colors::series(index), STROKE);
    if !joined || points.len() == 1 {
        chart.draw_series(points.iter().map(|point| Circle::new(*point, fine(DOT), style.filled())))?;
    } else if let Some((ink, gap)) = legend::dash(index) {
        chart.draw_series([DashedPathElement::new(points.iter().copied(), fine(ink), fine(gap), style)])?;
    } else {
        chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
    }
    Ok(())
}

impl Show for LinePlot {
    fn bundles(&self) -> Vec<Bundle> {
        let title = if self.title.is_empty() { None } else { Some(self.title.clone()) };
        let text: Vec<String> = title.into_iter().chain(self.words()).collect();
        vec![Figure::new(self.alt()).width(600.0).row([self.clone()]).bundle(text.join("\n"))]
    }
}

crate::show_in_notebooks!(LinePlot);
