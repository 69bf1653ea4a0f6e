//! Lines over an axis: loss curves.

use super::axis::{Scale, Ticks, multiplier, number};
use super::canvas::{Anchor, Canvas, DENSITY, Rect};
use super::colors::{self, AXIS, GRID, QUIET};
use super::heat_map::fitting;
use super::legend::{self, Name};
use super::panel::empty;
use super::text::Style;
use super::{Bundle, Figure, Show};

pub(crate) const STROKE: f32 = 1.75;
const TICK_GAP: f32 = 5.0;

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
#[derive(Debug, Clone, PartialEq, Default)]
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

impl LinePlot {
    /// A plot without series.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
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
            let (low, high) =
                finite.clone().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)));
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

    fn visible(&self) -> Option<(Scale, Scale)> {
        let fits = |point: &&(f64, f64)| {
            let fine = |value: f64, log: bool| value.is_finite() && (!log || value > 0.0);
            fine(point.0, self.log_x) && fine(point.1, self.log_y)
        };
        let points = || self.series.iter().flat_map(|series| &series.points).filter(fits);
        let given = |range: Option<(f64, f64)>, log| range.and_then(|(low, high)| Scale::between(low, high, log));
        // A line may begin at the axis, a lone point is drawn whole.
        let air = if self.series.iter().all(|series| series.joined) { 0.0 } else { 0.04 };
        let x =
            given(self.x_range, self.log_x).or_else(|| Scale::around(points().map(|point| point.0), self.log_x, air));
        let counts = points().all(|point| point.0.fract() == 0.0);
        let x = x.map(|x| Scale { whole: counts && !x.log, ..x });
        let references = self.references.iter().map(|reference| reference.0);
        let within = |point: &&(f64, f64)| self.x_range.is_none() || x.is_some_and(|x| on(&x, point.0).is_some());
        let y = given(self.y_range, self.log_y).or_else(|| {
            points().next()?;
            Scale::around(points().filter(within).map(|point| point.1).chain(references), self.log_y, 0.05)
        });
        Some((x?, y?))
    }

    pub(crate) fn draw(&self, canvas: &mut Canvas, place: Rect) {
        let Some((x, y)) = self.visible() else {
            return empty(canvas, place, "no points yet");
        };
        let names = self.names();
        let beside = legend::width_beside(&names, place);
        let legend = match beside {
            Some(_) => Vec::new(),
            None => legend::rows(&names, place.width),
        };
        let legend_height = legend.len() as f32 * legend::ROW;
        let bottom = TICK_GAP + Style::TICK.line() + if self.x_label.is_empty() { 0.0 } else { Style::LABEL.line() };
        let mut top = legend_height + 4.0;
        let y_ticks = y.ticks(((place.height - top - bottom) / 26.0).min(7.0) as usize);
        let power = multiplier(y_ticks.exponent);
        if !power.is_empty() {
            top += Style::TICK.line();
        }
        let y_ticks_width = y_ticks.ticks.iter().map(|tick| Style::TICK.width(&tick.label)).fold(0.0, f32::max);
        let label_width = if self.y_label.is_empty() { 0.0 } else { Style::LABEL.line() + 3.0 };
        let left = (label_width + y_ticks_width + TICK_GAP).ceil();
        let beside_width = beside.unwrap_or(8.0).ceil();
        // The last label stands below the end of the axis, half of it to the right.
        let x_ticks = fitting(&x, place.width - left - beside_width);
        let last = x_ticks.ticks.iter().rfind(|tick| on(&x, tick.value).is_some());
        let overhang = last.map_or(0.0, |tick| Style::TICK.width(&tick.label) / 2.0);
        let right = beside_width.max(overhang.ceil());
        let area = Rect::new(place.x + left, place.y + top, place.width - left - right, place.height - top - bottom);
        if area.width < 24.0 || area.height < 24.0 {
            return empty(canvas, place, "too small");
        }

        let mut row = place.y;
        for line in &legend {
            legend::draw_row(canvas, place.x + left, row, line);
            row += legend::ROW;
        }
        if !power.is_empty() {
            canvas.text(area.x, area.y - Style::TICK.line() - 2.0, Anchor::Start, &power, Style::TICK);
        }
        self.draw_y_axis(canvas, area, place, &y, &y_ticks);
        self.draw_x_axis(canvas, area, place, &x, &x_ticks);
        let curves = self.draw_series(canvas, area, &x, &y);
        if beside.is_some() {
            legend::write_beside(canvas, area, &names, &curves);
        }
        self.draw_references(canvas, area, &y, &curves);
    }

    fn names(&self) -> Vec<Name<'_>> {
        let named = self.series.iter().enumerate().filter(|(_, series)| !series.name.trim().is_empty());
        named.map(|(index, series)| Name { index, text: &series.name, joined: series.joined }).collect()
    }

    fn draw_y_axis(&self, canvas: &mut Canvas, area: Rect, place: Rect, y: &Scale, ticks: &Ticks) {
        for value in &ticks.minor {
            if let Some(part) = on(y, *value) {
                canvas.fill(hairline(area, part), [0xf5; 3]);
            }
        }
        for tick in &ticks.ticks {
            let Some(part) = on(y, tick.value) else { continue };
            canvas.fill(hairline(area, part), GRID);
            let top = area.bottom() - part as f32 * area.height - Style::TICK.line() / 2.0;
            canvas.text(area.x - TICK_GAP, top, Anchor::End, &tick.label, Style::TICK);
        }
        canvas.fill(Rect::new(area.x - 1.0, area.y, 1.0, area.height + 1.0), AXIS);
        let label = Style::LABEL.ellipsise(&self.y_label, place.height);
        let half = Style::LABEL.width(&label) / 2.0;
        // Centred on the axis, but never beyond the panel.
        let middle = (area.y + area.height / 2.0).clamp(place.y + half, (place.bottom() - half).max(place.y + half));
        canvas.text_upwards(place.x, middle, &label, Style::LABEL);
    }

    fn draw_x_axis(&self, canvas: &mut Canvas, area: Rect, place: Rect, x: &Scale, ticks: &Ticks) {
        let mut free = area.x - 12.0;
        for tick in &ticks.ticks {
            let Some(part) = on(x, tick.value) else { continue };
            let at = area.x + part as f32 * area.width;
            canvas.fill(Rect::new(at - 0.5, area.y, 1.0, area.height), GRID);
            canvas.fill(Rect::new(at - 0.5, area.bottom(), 1.0, 4.0), AXIS);
            let half = Style::TICK.width(&tick.label) / 2.0;
            let center = at.min(place.right() - half);
            if center - half >= free {
                canvas.text(center, area.bottom() + TICK_GAP, Anchor::Middle, &tick.label, Style::TICK);
                free = center + half + 6.0;
            }
        }
        canvas.fill(Rect::new(area.x - 1.0, area.bottom(), area.width + 1.0, 1.0), AXIS);
        let power = multiplier(ticks.exponent);
        let label = match (self.x_label.as_str(), power.as_str()) {
            (label, "") => label.to_owned(),
            ("", power) => power.to_owned(),
            (label, power) => format!("{label}  {power}"),
        };
        let label = Style::LABEL.ellipsise(&label, place.right() - area.x);
        let half = Style::LABEL.width(&label) / 2.0;
        let middle = (area.x + area.width / 2.0).clamp(place.x + half, (place.right() - half).max(place.x + half));
        canvas.text(middle, area.bottom() + TICK_GAP + Style::TICK.line(), Anchor::Middle, &label, Style::LABEL);
    }

    /// Draws the lines and gives back where they run, by series, as points on the sheet.
    fn draw_series(&self, canvas: &mut Canvas, area: Rect, x: &Scale, y: &Scale) -> Vec<Vec<(f32, f32)>> {
        let mut curves = Vec::new();
        // A line along the edge is drawn whole.
        let clip = Rect::new(area.x - 1.0, area.y - 2.0, area.width + 4.0, area.height + 4.0);
        for (index, series) in self.series.iter().enumerate() {
            let color = colors::series(index);
            let dash = legend::dash(index);
            let mut seen = Vec::new();
            let place = |point: &(f64, f64)| {
                let (px, py) = (x.place(point.0)?, y.place(point.1)?);
                // What is far outside stays outside; the numbers stay small enough to draw with.
                let (px, py) = (px.clamp(-50.0, 51.0) as f32, py.clamp(-50.0, 51.0) as f32);
                Some((area.x + px * area.width, area.bottom() - py * area.height))
            };
            let placed: Vec<Option<(f32, f32)>> = series.points.iter().map(place).collect();
            for run in placed.split(Option::is_none) {
                let run: Vec<(f32, f32)> = run.iter().flatten().copied().collect();
                if !series.joined {
                    let dots = thinned(&run);
                    dots.iter().for_each(|dot| canvas.dot(*dot, 2.5, color, clip));
                    seen.extend(dots);
                    continue;
                }
                let run = thinned(&run);
                if let [lone] = run.as_slice() {
                    canvas.dot(*lone, 2.5, color, clip);
                }
                canvas.line(&run, STROKE, color, dash, clip);
                seen.extend(run);
            }
            curves.push(seen);
        }
        curves
    }

    fn draw_references(&self, canvas: &mut Canvas, area: Rect, y: &Scale, curves: &[Vec<(f32, f32)>]) {
        let style = Style::TICK;
        if self.references.is_empty() {
            return;
        }
        let samples = along(curves, &self.series);
        let covered = |place: &Rect| {
            let near = Rect::new(place.x - 3.0, place.y, place.width + 6.0, place.height);
            samples.iter().filter(|(x, y)| near.overlaps(&Rect::new(*x, *y, 0.01, 0.01))).count()
        };
        let mut taken: Vec<Rect> = Vec::new();
        for (value, label) in &self.references {
            let Some(part) = on(y, *value) else { continue };
            let at = area.bottom() - part as f32 * area.height;
            canvas.line(&[(area.x, at), (area.right(), at)], 1.0, QUIET, Some((4.0, 3.0)), area);
            let label = style.ellipsise(label, area.width - 12.0);
            let width = style.width(&label);
            let tops = [at - style.line() - 1.0, at + 1.0];
            let room = area.width - width - 10.0;
            let lefts = (0..=12_u8).map(|step| area.right() - 4.0 - width - room * f32::from(step) / 12.0);
            let places = lefts.flat_map(|left| tops.map(|top| Rect::new(left, top, width, style.line())));
            let inside = places.filter(|place| place.y >= area.y - 2.0 && place.bottom() <= area.bottom());
            let free = inside.filter(|place| !taken.iter().any(|other| other.overlaps(place)));
            // The place with the least of the curves behind it.
            if let Some(place) = free.min_by_key(covered) {
                canvas.text(place.x, place.y, Anchor::Start, &label, style);
                taken.push(place);
            }
        }
    }
}

/// Where a value stands on the visible part of an axis, 0 to 1.
fn on(scale: &Scale, value: f64) -> Option<f64> {
    scale.place(value).filter(|part| (-1e-6..=1.000001).contains(part))
}

fn hairline(area: Rect, part: f64) -> Rect {
    Rect::new(area.x, area.bottom() - part as f32 * area.height - 0.5, area.width, 1.0)
}

/// Points along the curves, three CSS pixels apart: where a label would stand on them.
fn along(curves: &[Vec<(f32, f32)>], series: &[Series]) -> Vec<(f32, f32)> {
    let mut samples = Vec::new();
    for (curve, series) in curves.iter().zip(series) {
        samples.extend(curve);
        for ends in curve.windows(2).filter(|_| series.joined) {
            let (dx, dy) = (ends[1].0 - ends[0].0, ends[1].1 - ends[0].1);
            let steps = (dx.abs().max(dy.abs()) / 3.0).clamp(0.0, 400.0) as usize;
            let at = |step: usize| step as f32 / steps as f32;
            samples.extend((1..steps).map(|step| (ends[0].0 + at(step) * dx, ends[0].1 + at(step) * dy)));
        }
    }
    samples
}

/// As many points as can be told apart: of those in one column of pixels the first, the lowest, the highest and the last. A curve of a
/// million points looks the same and is drawn at once.
fn thinned(run: &[(f32, f32)]) -> Vec<(f32, f32)> {
    let column = |point: &(f32, f32)| (point.0 * DENSITY).floor() as i64;
    let mut kept: Vec<(f32, f32)> = Vec::new();
    for group in run.chunk_by(|a, b| column(a) == column(b)) {
        if group.len() <= 4 {
            kept.extend(group);
            continue;
        }
        let by_y = |a: &&(f32, f32), b: &&(f32, f32)| a.1.total_cmp(&b.1);
        kept.push(group[0]);
        kept.extend(group.iter().min_by(by_y));
        kept.extend(group.iter().max_by(by_y));
        kept.push(group[group.len() - 1]);
    }
    const MOST: usize = 8_000;
    if kept.len() > MOST {
        let every = kept.len().div_ceil(MOST);
        kept = kept.into_iter().step_by(every).collect();
    }
    kept
}

impl Show for LinePlot {
    fn bundles(&self) -> Vec<Bundle> {
        let title = if self.title.is_empty() { None } else { Some(self.title.clone()) };
        let text: Vec<String> = title.into_iter().chain(self.words()).collect();
        vec![Figure::new(self.alt()).width(600.0).row([self.clone()]).bundle(text.join("\n"))]
    }
}

crate::show_in_notebooks!(LinePlot);
