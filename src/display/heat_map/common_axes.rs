//! Two heat maps on the same axes.

use super::{AxisSpec, HeatMap};
use crate::display::format::format_number;

/// The maximum number of values that a map is widened to.
const MAX_VALUES: usize = 1 << 22;

impl HeatMap {
    /// Widens two maps to the union of their axes, so that a place in one has the same time and frequency in the other. Values that a map
    /// lacks are NaN. Maps with other labels, or with axes that are not linear, stay as they are, and so do maps that would be too large.
    pub(crate) fn on_common_axes(self, other: Self) -> [Self; 2] {
        let (Some(x), Some(y)) = (common(&self.x, &other.x), common(&self.y, &other.y)) else { return [self, other] };
        match (self.widened(x, y), other.widened(x, y)) {
            (Some(first), Some(second)) => [first, second],
            _ => [self, other],
        }
    }

    /// The same map with these ends of its axes; `None` if that has too many values.
    fn widened(&self, x: [f64; 2], y: [f64; 2]) -> Option<Self> {
        let [left, columns, right] = cells(self.x.as_ref()?, self.columns, x)?;
        let [before, rows, after] = cells(self.y.as_ref()?, self.rows, y)?;
        let (width, height) = (left + columns + right, before + rows + after);
        if self.problem.is_some() || width.checked_mul(height)? > MAX_VALUES {
            return None;
        }
        let mut values = vec![f32::NAN; width * height];
        for (row, line) in self.values.chunks_exact(columns).enumerate() {
            values[(before + row) * width + left..][..columns].copy_from_slice(line);
        }
        let axis =
            |spec: &Option<AxisSpec>, [from, to]: [f64; 2]| spec.clone().map(|spec| AxisSpec { from, to, ..spec });
        let range = (self.range, self.robust);
        let limits = self.scale();
        let map =
            Self { rows: height, columns: width, values, x: axis(&self.x, x), y: axis(&self.y, y), ..self.clone() };
        // The scale of the colors is that of the values, which are the same.
        Some(if range == (None, None) { map.range(limits.low, limits.high) } else { map })
    }

    /// The axes in words, for a picture without them: `"time (s) to the right, 0 to 1.5; frequency (kHz) upwards, 0 to 8"`. Empty for a map
    /// without axes.
    pub(crate) fn axes_in_words(&self) -> String {
        let mut axes = vec![];
        if let Some(x) = &self.x {
            axes.push(format!("{} to the right, {} to {}", x.label, format_number(x.from), format_number(x.to)));
        }
        if let Some(y) = &self.y {
            let direction = if self.upwards { "upwards" } else { "downwards" };
            // The ends of a scale with ticks of its own are rows, not values.
            let half = (y.to - y.from) / (2.0 * self.rows.max(1) as f64);
            // The rows of two maps need not be equally high, which leaves a little of a zero.
            let number = |value: f64| format_number(if value.abs() < 0.02 * half.abs() { 0.0 } else { value });
            let ends = format!(", {} to {}", number(y.from + half), number(y.to - half));
            let ends = if y.ticks.is_empty() && !y.log { ends } else { String::new() };
            axes.push(format!("{} {direction}{ends}", y.label));
        }
        axes.join("; ")
    }

    /// If a value is missing, that is NaN, and drawn grey.
    pub(crate) fn has_missing_values(&self) -> bool {
        self.values.iter().any(|value| value.is_nan())
    }
}

/// The ends of an axis that holds both; `None` for two scales that cannot be joined.
fn common(a: &Option<AxisSpec>, b: &Option<AxisSpec>) -> Option<[f64; 2]> {
    let (a, b) = (a.as_ref()?, b.as_ref()?);
    let ends = [a.from, a.to, b.from, b.to];
    let linear = |spec: &AxisSpec| !spec.log && spec.ticks.is_empty() && spec.from < spec.to;
    let joined = a.label == b.label && linear(a) && linear(b) && ends.iter().all(|end| end.is_finite());
    joined.then(|| [a.from.min(b.from), a.to.max(b.to)])
}

/// The number of cells before, on and after an axis of `count` cells in one with the ends `to`.
fn cells(axis: &AxisSpec, count: usize, to: [f64; 2]) -> Option<[usize; 3]> {
    let cell = (axis.to - axis.from) / count as f64;
    let number = |length: f64| Some((length / cell).round()).filter(|n| (0.0..=MAX_VALUES as f64).contains(n));
    Some([number(axis.from - to[0])? as usize, count, number(to[1] - axis.to)? as usize])
}

#[cfg(test)]
mod tests {
    use super::HeatMap;

    fn map(rows: usize, columns: usize, top: f64, right: f64) -> HeatMap {
        let values = (0..rows * columns).map(|i| i as f32).collect();
        HeatMap::new("", rows, columns, values).origin_lower().x_axis("time (s)", 0.0, right).y_axis("kHz", 0.0, top)
    }

    #[test]
    fn the_shorter_map_is_widened_with_missing_values() {
        let [a, b] = map(2, 3, 2.0, 3.0).on_common_axes(map(4, 2, 4.0, 2.0));
        assert_eq!((a.rows, a.columns), (4, 3));
        assert_eq!((b.rows, b.columns), (4, 3));
        assert_eq!(a.values[..6], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!(a.values[6..].iter().all(|v| v.is_nan()));
        assert_eq!(b.values[..2], [0.0, 1.0]);
        assert!(b.values[2].is_nan());
        assert_eq!(b.values[3..5], [2.0, 3.0]);
        // Lost values do not change the colors of the others: the darkest and the brightest stay.
        assert_eq!(a.raster().rgb()[18..21], map(2, 3, 2.0, 3.0).raster().rgb()[..3]);
        assert_eq!(a.axes_in_words(), "time (s) to the right, 0 to 3; kHz upwards, 0.5 to 3.5");
    }

    #[test]
    fn maps_of_other_scales_stay_as_they_are() {
        let (a, b) = (map(2, 3, 2.0, 3.0), map(4, 2, 4.0, 2.0).y_axis_log("kHz", 0.1, 4.0));
        assert_eq!(a.clone().on_common_axes(b.clone()), [a.clone(), b]);
        let b = map(4, 2, 4.0, 2.0).x_axis("frames", 0.0, 2.0);
        assert_eq!(a.clone().on_common_axes(b.clone()), [a.clone(), b]);
        let b = map(4, 2, 4.0, 1e12);
        assert_eq!(a.clone().on_common_axes(b.clone()), [a, b]);
    }
}
