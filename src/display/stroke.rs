//! Strokes with smooth edges.

use std::ops::Range;

use super::canvas::DENSITY;

/// How much of each pixel of a rectangle a line covers.
pub(crate) struct Ink {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    cover: Vec<f32>,
}

impl Ink {
    /// Nothing yet, on these columns and rows of the sheet.
    pub fn new(columns: Range<usize>, rows: Range<usize>) -> Self {
        let (width, height) = (columns.len(), rows.len());
        Self { left: columns.start, top: rows.start, width, height, cover: vec![0.0; width * height] }
    }

    /// A straight stroke with round ends, in CSS pixels.
    pub fn segment(&mut self, from: (f32, f32), to: (f32, f32), width: f32) {
        let radius = f64::from(width * DENSITY / 2.0);
        let local = |point: (f32, f32)| {
            let (x, y) = (f64::from(point.0) * f64::from(DENSITY), f64::from(point.1) * f64::from(DENSITY));
            (x - self.left as f64, y - self.top as f64)
        };
        let reach = radius + 1.0;
        let Some((from, to)) = clipped(local(from), local(to), reach, self.width as f64, self.height as f64) else {
            return;
        };
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let square = dx * dx + dy * dy;
        let range = |a: f64, b: f64, most: usize| {
            let start = (a.min(b) - reach).floor().clamp(0.0, most as f64) as usize;
            start..(a.max(b) + reach).ceil().clamp(0.0, most as f64) as usize
        };
        for y in range(from.1, to.1, self.height) {
            // Only the columns that the stroke can reach in this row: a long slanted stroke covers little of its bounding box.
            let columns = if dy.abs() > 1.0 {
                let at = |y: f64| from.0 + dx * ((y - from.1) / dy).clamp(0.0, 1.0);
                let (a, b) = (at(y as f64 - reach), at(y as f64 + 1.0 + reach));
                range(a, b, self.width)
            } else {
                range(from.0, to.0, self.width)
            };
            for x in columns {
                let (px, py) = (x as f64 + 0.5 - from.0, y as f64 + 0.5 - from.1);
                let t = if square > 0.0 { ((px * dx + py * dy) / square).clamp(0.0, 1.0) } else { 0.0 };
                let distance = (px - t * dx).hypot(py - t * dy);
                let ink = (radius + 0.5 - distance).clamp(0.0, 1.0) as f32;
                let cover = &mut self.cover[y * self.width + x];
                *cover = cover.max(ink);
            }
        }
    }

    /// Each pixel that a stroke covers, with how much of it.
    pub fn covered(&self) -> impl Iterator<Item = (usize, usize, f32)> + '_ {
        let inked = self.cover.iter().enumerate().filter(|(_, cover)| **cover > 0.0);
        inked.map(|(index, cover)| (self.left + index % self.width, self.top + index / self.width, *cover))
    }
}

type Point = (f64, f64);

/// The part of a segment that lies within `reach` of the rectangle of the given size (Liang and Barsky's clipping).
fn clipped(from: Point, to: Point, reach: f64, width: f64, height: f64) -> Option<(Point, Point)> {
    if ![from.0, from.1, to.0, to.1].iter().all(|value| value.is_finite()) {
        return None;
    }
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (mut start, mut end) = (0.0_f64, 1.0_f64);
    let edges =
        [(-dx, from.0 + reach), (dx, width + reach - from.0), (-dy, from.1 + reach), (dy, height + reach - from.1)];
    for (towards, room) in edges {
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
    (start <= end).then_some(((from.0 + start * dx, from.1 + start * dy), (from.0 + end * dx, from.1 + end * dy)))
}

/// The inked pieces of a dashed segment that begins `along` the whole line.
pub(crate) fn dashes(
    from: (f32, f32),
    to: (f32, f32),
    along: f32,
    on: f32,
    off: f32,
    mut draw: impl FnMut((f32, f32), (f32, f32)),
) {
    let length = (to.0 - from.0).hypot(to.1 - from.1);
    let period = on + off;
    if length <= 0.0 || period <= 0.0 {
        return;
    }
    let at = |way: f32| (from.0 + (to.0 - from.0) * way / length, from.1 + (to.1 - from.1) * way / length);
    let mut start = -(along % period);
    while start < length {
        let (a, b) = (start.max(0.0), (start + on).min(length));
        if a < b {
            draw(at(a), at(b));
        }
        start += period;
    }
}
