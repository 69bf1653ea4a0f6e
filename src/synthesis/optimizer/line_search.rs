//! Line search for the strong Wolfe conditions.
//!
//! Nocedal & Wright, Numerical Optimization (2006), algorithms 3.5 and 3.6, with safeguarded cubic interpolation.

use crate::Result;

/// The constant `c1` of the sufficient decrease condition.
const SUFFICIENT_DECREASE: f64 = 1e-4;
/// The constant `c2` of the curvature condition.
const CURVATURE: f64 = 0.9;
const MAX_EVALUATIONS: usize = 12;
/// Extrapolation factor while the step is unbounded.
const EXTRAPOLATION: f64 = 2.5;

/// The objective at a point of the line.
pub struct LinePoint<T> {
    pub step: f64,
    pub value: f64,
    /// The derivative with respect to the step.
    pub slope: f64,
    /// Data of the caller, returned for the accepted point.
    pub data: T,
}

impl<T> LinePoint<T> {
    fn is_finite(&self) -> bool {
        self.value.is_finite() && self.slope.is_finite()
    }
}

/// Searches along a line with `value` and `slope < 0` at step 0; `first` is the first step that is tried.
///
/// `at` returns `None` where the objective is not finite; the search backs off from there. Returns a point with sufficient decrease that
/// also satisfies the curvature condition if one is found; `None` without a point with sufficient decrease.
pub fn search<T>(
    value: f64,
    slope: f64,
    first: f64,
    mut at: impl FnMut(f64) -> Result<Option<LinePoint<T>>>,
) -> Result<Option<LinePoint<T>>> {
    let decreases = |p: &LinePoint<T>| p.is_finite() && p.value <= value + SUFFICIENT_DECREASE * p.step * slope;
    let flat = |p: &LinePoint<T>| p.slope.abs() <= -CURVATURE * slope;

    // `low` is the best point with sufficient decrease; `high` is the other end of an interval that contains an acceptable step.
    let mut low = (0.0, value, slope);
    let mut best: Option<LinePoint<T>> = None;
    let mut high: Option<(f64, f64, f64)> = None;
    let mut step = first;
    for _ in 0..MAX_EVALUATIONS {
        let point = at(step)?;
        let ends = point.as_ref().map_or((step, f64::NAN, f64::NAN), |point| (point.step, point.value, point.slope));
        if let Some(point) = point.filter(|point| decreases(point) && point.value < low.1) {
            if flat(&point) {
                return Ok(Some(point));
            }
            let brackets =
                if let Some(high) = high { point.slope * (high.0 - low.0) >= 0.0 } else { point.slope >= 0.0 };
            if brackets {
                high = Some(low);
            }
            low = ends;
            best = Some(point);
        } else {
            high = Some(ends);
        }
        step = match high {
            None => low.0 * EXTRAPOLATION,
            Some(high) => interpolate(low, high),
        };
        if high.is_some_and(|high| (high.0 - low.0).abs() <= 1e-10 * first.max(high.0.abs())) {
            break;
        }
    }
    Ok(best)
}

/// The minimum of the cubic Hermite interpolant, at least a tenth of the interval from both ends.
fn interpolate(low: (f64, f64, f64), high: (f64, f64, f64)) -> f64 {
    let (a, fa, da) = low;
    let (b, fb, db) = high;
    let width = b - a;
    let cubic = (fb.is_finite() && db.is_finite()).then(|| {
        let d1 = da + db - 3.0 * (fa - fb) / (a - b);
        let root = (d1 * d1 - da * db).max(0.0).sqrt() * width.signum();
        b - width * (db + root - d1) / (db - da + 2.0 * root)
    });
    let (near, far) = (a + 0.1 * width, a + 0.9 * width);
    match cubic {
        Some(step) if step.is_finite() => step.clamp(near.min(far), near.max(far)),
        _ => a + 0.1 * width,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(f: impl Fn(f64) -> (f64, f64), first: f64) -> Option<LinePoint<()>> {
        let (value, slope) = f(0.0);
        let at = |step| {
            let (value, slope) = f(step);
            Ok(value.is_finite().then_some(LinePoint { step, value, slope, data: () }))
        };
        search(value, slope, first, at).unwrap()
    }

    #[test]
    fn the_strong_wolfe_conditions_hold_for_any_first_step() {
        let f = |x: f64| ((x - 3.0).powi(2) + (3.0 * x).sin(), 2.0 * (x - 3.0) + 3.0 * (3.0 * x).cos());
        for first in [1e-3, 0.1, 1.0, 10.0, 1e3] {
            let point = run(f, first).unwrap();
            let (value, slope) = f(0.0);
            assert!(point.value <= value + 1e-4 * point.step * slope, "first {first}");
            assert!(point.slope.abs() <= 0.9 * slope.abs(), "first {first}");
        }
    }

    #[test]
    fn the_search_backtracks_from_nan() {
        let f = |x: f64| if x > 0.5 { (f64::NAN, f64::NAN) } else { (-x, -1.0 + x) };
        let point = run(f, 8.0).unwrap();
        assert!(point.step <= 0.5 && point.step > 0.0);
    }

    #[test]
    fn the_search_backtracks_from_a_slope_that_overflows() {
        let f = |x: f64| if x > 0.5 { (-x, f64::INFINITY) } else { (-x, -1.0 + x) };
        let point = run(f, 8.0).unwrap();
        assert!(point.step <= 0.5 && point.step > 0.0);
    }

    #[test]
    fn a_line_without_a_decrease_gives_no_step() {
        assert!(run(|x| (x.abs(), -1.0), 1.0).is_none());
    }
}
