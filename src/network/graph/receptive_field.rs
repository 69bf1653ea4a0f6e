//! The receptive field of a unit.

use crate::ops::Window;

/// The receptive field of a stage's units in input pixels, `[vertical, horizontal]`.
///
/// Along each axis, from a layer's input to its output, `size += (span - 1) * step` and `step *= stride`
/// (Araujo, Norris & Sim, Distill 2019).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceptiveField {
    /// Height and width of the field in pixels, not cut at the image's border; `None` for the whole input.
    pub size: Option<[usize; 2]>,
    /// Input pixels between the centers of neighbouring units.
    pub step: [usize; 2],
}

impl ReceptiveField {
    /// The receptive field of an input pixel.
    pub(super) const PIXEL: Self = Self { size: Some([1, 1]), step: [1, 1] };

    /// The receptive field of a unit that depends on the whole input.
    pub(super) const WHOLE_INPUT: Self = Self { size: None, step: [1, 1] };

    /// The field behind a layer with this window.
    pub(super) fn through(self, window: Window) -> Self {
        let span = window.span();
        let growth = |axis: usize| (span[axis] - 1).saturating_mul(self.step[axis]);
        let size = self.size.map(|size| [0, 1].map(|axis| size[axis].saturating_add(growth(axis))));
        Self { size, step: [0, 1].map(|axis| self.step[axis].saturating_mul(window.stride[axis])) }
    }

    /// The field as text, for an input of this height and width; a larger field is reported as the whole input.
    pub(crate) fn within(self, [height, width]: [usize; 2]) -> String {
        match self.size {
            Some([rows, columns]) if rows < height || columns < width => self.to_string(),
            _ => "whole input".into(),
        }
    }

    /// The larger of two fields, for sums and concatenations.
    pub(super) fn union(self, other: Self) -> Self {
        let size = self.size.zip(other.size).map(|(a, b)| [a[0].max(b[0]), a[1].max(b[1])]);
        Self { size, step: self.step }
    }
}

impl std::fmt::Display for ReceptiveField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.size {
            Some([height, width]) => write!(f, "{height} × {width}"),
            None => write!(f, "whole input"),
        }
    }
}
