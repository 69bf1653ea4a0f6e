//! The receptive field of a unit.

use crate::ops::{Padding, Window};

/// The receptive field of a stage's units in input pixels, `[vertical, horizontal]`.
///
/// Along each axis, from a layer's input to its output, `size += (span - 1) * step`, `start -= padding * step` and `step *= stride`, where
/// `start` is the first pixel of the first unit's field and `padding` the pixels added before the input
/// (Araujo, Norris & Sim, Distill 2019).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceptiveField {
    /// Height and width of the field in pixels, not cut at the image's border; `None` for the whole input.
    pub size: Option<[usize; 2]>,
    /// Input pixels between the centers of neighbouring units.
    pub step: [usize; 2],
    /// The first row and column of the first unit's field; negative in the padding, and without meaning for the whole input.
    start: [i64; 2],
}

impl ReceptiveField {
    /// The receptive field of an input pixel.
    pub(super) const PIXEL: Self = Self { size: Some([1, 1]), step: [1, 1], start: [0, 0] };

    /// The receptive field of a unit that depends on the whole input.
    pub(super) const WHOLE_INPUT: Self = Self { size: None, step: [1, 1], start: [0, 0] };

    /// The field behind a layer with this window.
    pub(super) fn through(self, window: Window) -> Self {
        let span = window.span();
        let growth = |axis: usize| (span[axis] - 1).saturating_mul(self.step[axis]);
        let size = self.size.map(|size| [0, 1].map(|axis| size[axis].saturating_add(growth(axis))));
        let Padding { top, left, .. } = window.padding;
        let before = [top, left];
        let start = [0, 1].map(|axis| {
            let shift = before[axis].saturating_mul(self.step[axis]);
            self.start[axis].saturating_sub(signed(shift))
        });
        Self { size, step: [0, 1].map(|axis| self.step[axis].saturating_mul(window.stride[axis])), start }
    }

    /// The field as text, for an input of this height and width; a larger field is reported as the whole input.
    pub(crate) fn within(self, [height, width]: [usize; 2]) -> String {
        match self.size {
            Some([rows, columns]) if rows < height || columns < width => self.to_string(),
            _ => "whole input".into(),
        }
    }

    /// The field that holds both, for sums and concatenations.
    pub(super) fn union(self, other: Self) -> Self {
        let Some((a, b)) = self.size.zip(other.size) else { return Self { step: self.step, ..Self::WHOLE_INPUT } };
        let start = [0, 1].map(|axis| self.start[axis].min(other.start[axis]));
        let size = [0, 1].map(|axis| {
            let end = |field: Self, size: [usize; 2]| field.start[axis].saturating_add(signed(size[axis]));
            let length = end(self, a).max(end(other, b)).saturating_sub(start[axis]);
            usize::try_from(length).unwrap_or(usize::MAX)
        });
        Self { size: Some(size), step: self.step, start }
    }

    /// The center of the field of a unit along an axis, in input pixels; `None` for the whole input.
    pub(crate) fn center(self, axis: usize, unit: usize) -> Option<f64> {
        let size = self.size?[axis];
        Some(self.start[axis] as f64 + (size as f64 - 1.0) / 2.0 + unit as f64 * self.step[axis] as f64)
    }

    /// The ends of `count` neighbouring cells along an axis of `length` pixels, where pixel `i` reaches from `i` to `i + 1`. A cell is as
    /// long as the step, around the center of its unit's field. Units that depend on the whole input share the axis.
    pub(crate) fn extent(self, axis: usize, count: usize, length: usize) -> [f64; 2] {
        let Some(center) = self.center(axis, 0) else { return [0.0, length as f64] };
        let step = self.step[axis] as f64;
        let from = center + 0.5 - step / 2.0;
        [from, from + count as f64 * step]
    }
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

impl std::fmt::Display for ReceptiveField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.size {
            Some([height, width]) => write!(f, "{height} × {width}"),
            None => write!(f, "whole input"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(windows: &[Window]) -> ReceptiveField {
        windows.iter().fold(ReceptiveField::PIXEL, |field, &window| field.through(window))
    }

    #[test]
    fn centers_follow_paddings_and_dilations() {
        let strided = |kernel: usize| Window::square(kernel).stride(2);
        // ResNet's layer4: symmetric padding everywhere.
        let same = |kernel: usize| strided(kernel).padding(Padding::all(kernel / 2));
        let layer4 = behind(&[same(7), same(3), same(3), same(3), same(3)]);
        assert_eq!((layer4.step, layer4.center(0, 0), layer4.center(1, 6)), ([32, 32], Some(0.0), Some(192.0)));
        assert_eq!(layer4.extent(0, 7, 224), [-15.5, 208.5]);
        // TensorFlow's `SAME`: the odd pixel is at the end.
        let end = |kernel, input| strided(kernel).padding(Padding::same([input; 2], [kernel; 2], [2; 2]));
        let features = behind(&[end(3, 224), end(3, 112), end(5, 56), end(3, 28), end(5, 14)]);
        assert_eq!((features.center(0, 0), features.center(0, 6)), (Some(31.0), Some(223.0)));
        assert_eq!(behind(&[Window::square(3).dilations([2, 1])]).center(0, 0), Some(2.0));
        let pool = behind(&[Window::new([2, 3]).stride(2)]);
        assert_eq!([0, 1].map(|axis| pool.center(axis, 1)), [Some(2.5), Some(3.0)]);
        assert_eq!(pool.extent(0, 4, 8), [0.0, 8.0]);
        assert_eq!(ReceptiveField::WHOLE_INPUT.extent(1, 5, 8), [0.0, 8.0]);
        let huge = Window::square(usize::MAX).stride(usize::MAX).padding(Padding::all(usize::MAX));
        assert!(behind(&[huge, huge]).center(0, 1).is_some_and(f64::is_finite));
    }

    #[test]
    fn a_union_holds_both_fields() {
        let wide = behind(&[Window::square(3).stride(2)]);
        let narrow = behind(&[Window::square(1).stride(2)]);
        assert_eq!([wide.union(narrow), narrow.union(wide)], [wide, wide]);
        let early = behind(&[Window::square(3).stride(2).padding(Padding::all(2))]);
        let both = early.union(wide);
        assert_eq!((both.size, both.center(0, 0)), (Some([5, 5]), Some(0.0)));
        let whole = ReceptiveField { step: [2, 2], ..ReceptiveField::WHOLE_INPUT };
        assert_eq!(wide.union(ReceptiveField::WHOLE_INPUT), whole);
    }
}
