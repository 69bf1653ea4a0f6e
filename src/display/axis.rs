//! Axes of plots: plotters' coordinates, restricted to values that they support, with ticks that fit.

use std::ops::Range;

use plotters::coord::combinators::{IntoLogRange, LogCoord};
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;

use super::format::{format_fixed, format_number, min_max, power_of_ten};
use super::text::Style;

/// A tick: a value of an axis with its label.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub value: f64,
    pub label: String,
}

/// A linear or logarithmic axis with its range and its ticks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    pub low: f64,
    pub high: f64,
    pub log: bool,
    /// Restricts ticks to integers, for counts.
    pub integer: bool,
    /// Reverses the direction: down, or to the left.
    pub reversed: bool,
    pub ticks: Vec<Tick>,
    /// Minor ticks, without labels, between the decades of a logarithmic axis.
    pub minor: Vec<f64>,
    /// The power of ten by which the labels are scaled.
    pub exponent: i32,
    /// Ticks (value and label) that replace those at round values.
    pub custom_ticks: Vec<(f64, String)>,
}

/// The maximum magnitude on a linear axis; beyond it sums of two values could overflow.
const MAX_VALUE: f64 = 1e300;
/// The minimum magnitude on a linear axis, below which a value counts as 0: the unit of its labels could round to 0.
const MIN_VALUE: f64 = 1e-300;
/// The limits of a logarithmic axis; beyond them ratios of two padded values could overflow.
const LOG_LIMITS: (f64, f64) = (1e-130, 1e130);

impl Axis {
    fn new(low: f64, high: f64, log: bool) -> Self {
        Self {
            low,
            high,
            log,
            integer: false,
            reversed: false,
            ticks: Vec::new(),
            minor: Vec::new(),
            exponent: 0,
            custom_ticks: Vec::new(),
        }
    }

    /// Creates an axis that shows all valid `values` (finite, and positive on a logarithmic axis), with padding as a fraction of the range.
    /// A single value is in the middle. `None` without valid values.
    pub fn from_values(values: impl Iterator<Item = f64>, log: bool, padding: f64) -> Option<Self> {
        let shown = values.filter(|value| value.is_finite() && (!log || *value > 0.0));
        let (low, high) = min_max(shown);
        (low <= high).then(|| Self::padded(low, high, log, padding))
    }

    /// Creates an axis with the given ends, in either order, padded if they are equal. `None` if an end is invalid.
    pub fn from_range(low: f64, high: f64, log: bool) -> Option<Self> {
        let valid = low.is_finite() && high.is_finite() && (!log || (low > 0.0 && high > 0.0));
        valid.then(|| Self::padded(low.min(high), low.max(high), log, 0.0))
    }

    /// Creates an axis from 0 to 1 without ticks.
    pub fn unit() -> Self {
        Self::new(0.0, 1.0, false)
    }

    /// Creates an axis of rows from the top down, each with its name in the middle.
    pub fn rows(names: impl IntoIterator<Item = String>) -> Self {
        let place = |(row, label)| Tick { value: row as f64 + 0.5, label };
        let ticks: Vec<Tick> = names.into_iter().enumerate().map(place).collect();
        Self { ticks: ticks.clone(), reversed: true, ..Self::new(0.0, ticks.len() as f64, false) }
    }

    fn padded(low: f64, high: f64, log: bool, padding: f64) -> Self {
        if log {
            let [low, high] = [low, high].map(|end| end.clamp(LOG_LIMITS.0, LOG_LIMITS.1).log10());
            let padding = if high - low < 1e-3 { 0.5 } else { padding * (high - low) };
            return Self::new(10f64.powf(low - padding), 10f64.powf(high + padding), log);
        }
        let bounded = |end: f64| if end.abs() < MIN_VALUE { 0.0 } else { end.clamp(-MAX_VALUE, MAX_VALUE) };
        let (low, high) = (bounded(low), bounded(high));
        let size = low.abs().max(high.abs());
        let span = high - low;
        // Labels of nearly equal values would need many digits.
        let padding = match span <= 1e-6 * size {
            true if size == 0.0 => 1.0,
            true => 0.1 * size,
            false => padding * span,
        };
        Self::new(low - padding, high + padding, log)
    }

    /// Returns the position of a value as a fraction of the axis, 0 to 1 within its ends. `None` for an invalid value.
    pub fn fraction(&self, value: f64) -> Option<f64> {
        let scaled = |value: f64| if self.log { value.log10() } else { value };
        let fraction = (scaled(value) - scaled(self.low)) / (scaled(self.high) - scaled(self.low));
        (fraction.is_finite() && (!self.log || value > 0.0)).then_some(fraction)
    }

    /// Returns the position of a value as a fraction of the axis; `None` outside its ends.
    pub fn visible_fraction(&self, value: f64) -> Option<f64> {
        self.fraction(value).filter(|part| (-1e-6..=1.000_001).contains(part))
    }

    /// Returns the value at a position: the inverse of [`fraction`](Self::fraction).
    pub fn value(&self, place: f64) -> f64 {
        match self.log {
            true => 10f64.powf(self.low.log10() * (1.0 - place) + self.high.log10() * place),
            false => self.low * (1.0 - place) + self.high * place,
        }
    }

    /// Appends the scale of the ticks to a label: `energy  ×10⁻⁵`.
    pub fn with_multiplier(&self, label: &str) -> String {
        match self.exponent {
            0 => label.to_owned(),
            exponent => format!("{label}  ×{}", power_of_ten(exponent)).trim_start().to_owned(),
        }
    }

    /// Returns the width of the widest tick label.
    pub fn widest(&self) -> f32 {
        self.ticks.iter().map(|tick| Style::TICK.width(&tick.label)).fold(0.0, f32::max)
    }

    /// Sets as many ticks as have room for their labels below an axis of this width, without minor ticks.
    pub fn with_x_ticks(self, width: f32) -> Self {
        const GAP: f32 = 8.0;
        // All custom ticks are shown if they fit, which takes at least the gap for each.
        let max_ticks = match self.custom_ticks.len() {
            0 => (width / 32.0) as usize,
            count => count.min(((width / GAP) as usize).saturating_add(1)),
        };
        let axis = self.with_fitting_ticks(max_ticks, width, |label| Style::TICK.width(label) + GAP);
        Self { minor: Vec::new(), ..axis }
    }

    /// Sets at most about `max_ticks` ticks, fewer if there is no room for their labels beside an axis of this height.
    pub fn with_y_ticks(self, max_ticks: usize, height: f32) -> Self {
        self.with_fitting_ticks(max_ticks, height, |_| Style::TICK.line() + 2.0)
    }

    fn with_fitting_ticks(self, max_ticks: usize, length: f32, room: impl Fn(&str) -> f32) -> Self {
        let max_ticks = max_ticks.clamp(2, self.custom_ticks.len().max(10));
        let place = |tick: &Tick| self.fraction(tick.value).unwrap_or(0.0) as f32 * length;
        let apart = |a: &Tick, b: &Tick| place(b) - place(a) >= (room(&a.label) + room(&b.label)) / 2.0;
        for max_ticks in (2..=max_ticks).rev() {
            let axis = self.clone().with_ticks(max_ticks);
            if axis.ticks.windows(2).all(|pair| apart(&pair[0], &pair[1])) {
                return axis;
            }
        }
        let mut axis = self.with_ticks(2);
        axis.ticks.truncate(1);
        axis
    }

    /// Sets about `max_ticks` ticks at round values.
    pub fn with_ticks(self, max_ticks: usize) -> Self {
        if !self.custom_ticks.is_empty() {
            let step = self.custom_ticks.len().div_ceil(max_ticks);
            let ticks = self
                .custom_ticks
                .iter()
                .step_by(step)
                .map(|(value, label)| Tick { value: *value, label: label.clone() });
            return Self { ticks: ticks.collect(), ..self };
        }
        if self.log { self.with_log_ticks(max_ticks.max(2)) } else { self.with_linear_ticks(max_ticks.max(2)) }
    }

    fn with_linear_ticks(self, max_ticks: usize) -> Self {
        // plotters treats values that differ by less than an epsilon as equal, so the ticks are computed in units of the labels.
        let power = self.low.abs().max(self.high.abs()).log10().floor() as i32;
        let exponent = if (-3..6).contains(&power) { 0 } else { power };
        let unit = 10f64.powi(exponent);
        let mut points = RangedCoordf64::from(self.low / unit..self.high / unit).key_points(max_ticks + 1);
        points.retain(|point| !self.integer || (point * unit).fract() == 0.0);
        let step = points.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
        // The steps of plotters are 1, 2 or 5 times a power of ten.
        let decimals = (-step.log10() - 1e-9).ceil().max(0.0) as usize;
        let ticks =
            points.iter().map(|point| Tick { value: point * unit, label: format_fixed(*point, decimals) }).collect();
        Self { ticks, exponent, ..self }
    }

    fn with_log_ticks(self, max_ticks: usize) -> Self {
        if self.high < 3.0 * self.low {
            let steps = Self { log: false, ..self }.with_linear_ticks(max_ticks);
            let plain = steps.exponent == 0;
            let label = |tick: Tick| if plain { tick } else { Tick { label: format_number(tick.value), ..tick } };
            return Self { ticks: steps.ticks.iter().cloned().map(label).collect(), log: true, exponent: 0, ..steps };
        }
        // plotters starts at the first power of ten and treats values near zero as zero, so the ticks are computed relative to a decade.
        let decade = 10f64.powf((self.low.log10() + 1e-9).floor());
        let decades = ((self.high / decade).log10() + 1e-9).floor().max(1.0) as usize;
        let coord = LogCoord::from((1.0..self.high / decade * (1.0 + 1e-9)).log_scale());
        let points = |max_ticks: usize| -> Vec<f64> {
            let mut points: Vec<f64> = coord.key_points(max_ticks).into_iter().map(|point| point * decade).collect();
            points.retain(|point| self.visible_fraction(*point).is_some());
            points.dedup_by(|next, last| *next < *last * 1.01);
            points
        };
        let all = points(10 * decades);
        let minor = if decades <= 6 { all.clone() } else { Vec::new() };
        // Counts and frequencies are labelled as plain numbers, losses as powers of ten.
        let plain = self.low >= 0.5 && self.high < 2e5;
        let short = self.high < 1e3 * self.low && self.low >= 1e-3 && self.high < 2e5;
        let digits = if plain || short || decades < 2 { &["1235", "125", "13"][..] } else { &[] };
        let candidates = digits.iter().map(|digits| {
            let leads = |point: &f64| format!("{point:.0e}").starts_with(|digit| digits.contains(digit));
            all.iter().copied().filter(leads).collect::<Vec<f64>>()
        });
        let round = candidates.into_iter().find(|points| (2..=max_ticks).contains(&points.len()));
        let label = |value: f64| match round.is_some() || plain {
            true => format_number(value),
            false => power_of_ten(value.log10().round() as i32),
        };
        let values = round.clone().unwrap_or_else(|| points(max_ticks.min(9)));
        let ticks = values.into_iter().map(|value| Tick { value, label: label(value) }).collect();
        Self { ticks, minor, ..self }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        match self.log {
            true => LogCoord::from(self.range().log_scale()).map(value, limit),
            false => RangedCoordf64::from(self.range()).map(value, limit),
        }
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight().allow_light_points() {
            true => self.minor.clone(),
            false => self.ticks.iter().map(|tick| tick.value).collect(),
        }
    }

    fn range(&self) -> Range<f64> {
        if self.reversed { self.high..self.low } else { self.low..self.high }
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.ticks.iter().find(|tick| tick.value == *value).map_or(String::new(), |tick| tick.label.clone())
    }
}
