//! Decimation and clipping of curves: plotters draws every point, even outside the axes.

use std::collections::HashSet;

/// A point as fractions of the axes, 0 to 1 where it is visible.
type Point = (f64, f64);

/// Reduces a curve to the resolution of `columns` pixels: keeps the first, lowest, highest and last point in each column. A curve of a
/// million points looks the same and is drawn quickly.
pub(crate) fn decimate(run: &[Point], columns: f64) -> Vec<Point> {
    const MAX_POINTS: usize = 8_000;
    let column = |point: &Point| (point.0 * columns).floor() as i64;
    let mut kept: Vec<Point> = Vec::new();
    for group in run.chunk_by(|a, b| column(a) == column(b)) {
        if group.len() <= 4 {
            kept.extend(group);
            continue;
        }
        let by_y = |a: &&Point, b: &&Point| a.1.total_cmp(&b.1);
        kept.push(group[0]);
        kept.extend(group.iter().min_by(by_y));
        kept.extend(group.iter().max_by(by_y));
        kept.push(group[group.len() - 1]);
    }
    let every = kept.len().div_ceil(MAX_POINTS).max(1);
    kept.into_iter().step_by(every).collect()
}

/// The first point at each pixel, of `size` columns and rows: more would be drawn on top of each other.
pub(crate) fn without_repeats(points: &[Point], size: [f64; 2]) -> Vec<Point> {
    let pixel = |point: &Point| ((point.0 * size[0]).floor() as i64, (point.1 * size[1]).floor() as i64);
    let mut seen = HashSet::new();
    points.iter().filter(|point| seen.insert(pixel(point))).copied().collect()
}

/// Clips a line to the axes. Returns its runs inside them.
pub(crate) fn clip(line: &[Point]) -> Vec<Vec<Point>> {
    let mut runs: Vec<Vec<Point>> = Vec::new();
    if let [point] = line {
        let inside = clip_segment(*point, *point).map(|(point, _)| vec![point]);
        return inside.into_iter().collect();
    }
    for ends in line.windows(2) {
        let Some((from, to)) = clip_segment(ends[0], ends[1]) else { continue };
        match runs.last_mut() {
            Some(run) if run.last() == Some(&from) => run.push(to),
            _ => runs.push(vec![from, to]),
        }
    }
    runs
}

/// Clips a segment to the unit square by the Liang-Barsky algorithm. `None` if it is outside.
fn clip_segment(from: Point, to: Point) -> Option<(Point, Point)> {
    // Differences and products of larger coordinates would overflow.
    const MAX_COORDINATE: f64 = 1e100;
    let [from, to] =
        [from, to].map(|(x, y)| (x.clamp(-MAX_COORDINATE, MAX_COORDINATE), y.clamp(-MAX_COORDINATE, MAX_COORDINATE)));
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (mut start, mut end) = (0.0_f64, 1.0_f64);
    for (direction, distance) in [(-dx, from.0), (dx, 1.0 - from.0), (-dy, from.1), (dy, 1.0 - from.1)] {
        if direction == 0.0 {
            if distance < 0.0 {
                return None;
            }
        } else if direction < 0.0 {
            start = start.max(distance / direction);
        } else {
            end = end.min(distance / direction);
        }
    }
    let at = |t: f64| match t {
        0.0 => from,
        1.0 => to,
        t => ((from.0 + t * dx).clamp(0.0, 1.0), (from.1 + t * dy).clamp(0.0, 1.0)),
    };
    (start <= end).then(|| (at(start), at(end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_at_different_pixels_are_all_kept() {
        let column: Vec<Point> = (0..100).map(|k| (0.5, f64::from(k) / 100.0)).collect();
        assert_eq!(without_repeats(&column, [100.0, 200.0]), column);
        assert_eq!(without_repeats(&column, [100.0, 50.0]).len(), 50);
        assert_eq!(decimate(&column, 100.0).len(), 4, "a line looks the same");
    }
}
