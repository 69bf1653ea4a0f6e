//! The colors of figures, distinguishable with color vision deficiencies.

use colorous::Gradient;

pub(crate) type Rgb = [u8; 3];

pub(crate) const TEXT: Rgb = [0x22; 3];
pub(crate) const MUTED: Rgb = [0x5c; 3];
pub(crate) const AXIS: Rgb = [0x9a; 3];
pub(crate) const GRID: Rgb = [0xea; 3];
pub(crate) const LIGHT_GRID: Rgb = [0xf5; 3];
pub(crate) const EMPTY: Rgb = [0xf3; 3];

/// The color of pixels with NaN values, which does not occur in photos.
pub(crate) const NAN_COLOR: Rgb = [0xff, 0x00, 0xd4];

/// The palette of Okabe and Ito, without its yellow, which is illegible on white.
const OKABE_ITO: [Rgb; 7] = [
    [0x00, 0x72, 0xb2],
    [0xd5, 0x5e, 0x00],
    [0x00, 0x9e, 0x73],
    [0xcc, 0x79, 0xa7],
    [0xe6, 0x9f, 0x00],
    [0x56, 0xb4, 0xe9],
    [0x00, 0x00, 0x00],
];

pub(crate) fn series(index: usize) -> Rgb {
    OKABE_ITO[index % OKABE_ITO.len()]
}

/// The number of series with distinct colors.
pub(crate) const NUM_SERIES_COLORS: usize = OKABE_ITO.len();

/// Darkens a color for small text on white.
pub(crate) fn for_text(color: Rgb) -> Rgb {
    color.map(|value| (f32::from(value) * 0.82) as u8)
}

/// The color map of a [`HeatMap`](super::HeatMap).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Palette {
    /// Black through purple to pale yellow, for power and magnitude, as in a cochleagram.
    #[default]
    Magma,
    /// Dark blue through green to yellow.
    Viridis,
    /// Blue below zero, white at zero, red above, for gradients and differences. The scale is symmetric about zero.
    Diverging,
}

impl Palette {
    /// Returns the color at `t`, from 0 (the lowest value) to 1 (the highest); values outside are clamped.
    #[must_use]
    pub fn color(self, t: f64) -> [u8; 3] {
        let t = if t.is_nan() { 0.0 } else { t.clamp(0.0, 1.0) };
        let (gradient, t): (Gradient, f64) = match self {
            Self::Magma => (colorous::MAGMA, t),
            Self::Viridis => (colorous::VIRIDIS, t),
            Self::Diverging => (colorous::RED_BLUE, 1.0 - t),
        };
        gradient.eval_continuous(t).as_array()
    }
}
