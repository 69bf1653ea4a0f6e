//! What is to be seen of a curve: plotters draws every point, also outside of its axes.

/// A point in parts of the axes, 0 to 1 where it is visible.
type Point = (f64, f64);

/// As many points as can be told apart on `columns` pixels: of those in one column the first, the lowest, the highest and the last. A
/// curve of a million points looks the same and is drawn at once.
pub(crate) fn thinned(run: &[Point], columns: f64) -> Vec<Point> {
    const MOST: usize = 8_000;
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
    let every = kept.len().div_ceil(MOST).max(1);
    kept.into_iter().step_by(every).collect()
}

/// The parts of a line that lie within the axes.
pub(crate) fn clipped(line: &[Point]) -> Vec<Vec<Point>> {
    let mut runs: Vec<Vec<Point>> = Vec::new();
    if let [lone] = line {
        let seen = clipped_segment(*lone, *lone).map(|(point, _)| vec![point]);
        return seen.into_iter().collect();
    }
    for ends in line.windows(2) {
        let Some((from, to)) = clipped_segment(ends[0], ends[1]) else { continue };
        match runs.last_mut() {
            Some(run) if run.last() == Some(&from) => run.push(to),
            _ => runs.push(vec![from, to]),
        }
    }
    runs
}

/// Liang and Barsky's clipping.
fn clipped_segment(from: Point, to: Point) -> Option<(Point, Point)> {
    // Further out, differences and products would be infinite.
    const FAR: f64 = 1e100;
    let [from, to] = [from, to].map(|(x, y)| (x.clamp(-FAR, FAR), y.clamp(-FAR, FAR)));
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (mut start, mut end) = (0.0_f64, 1.0_f64);
    for (towards, room) in [(-dx, from.0), (dx, 1.0 - from.0), (-dy, from.1), (dy, 1.0 - from.1)] {
        if towards == 0.0 {
            if room < 0.0 {
                return None;
            }
        } else if towards < 0.0 {
            start = start.max(room / towards);
        } else {
            end = end.min(room / towards);
        }
    }
    let at = |part: f64| match part {
        0.0 => from,
        1.0 => to,
        part => ((from.0 + part * dx).clamp(0.0, 1.0), (from.1 + part * dy).clamp(0.0, 1.0)),
    };
    (start <= end).then(|| (at(start), at(end)))
}
