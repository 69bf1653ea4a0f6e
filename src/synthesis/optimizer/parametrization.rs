//! The variables of L-BFGS: a sigmoid or a soft bound, opponent colors, and spatial frequencies with the weights of natural images.

use std::sync::Arc;

use super::cosines::Cosines;
use super::planes::Planes;
use crate::engine::LANES;
use crate::engine::vectors::Spare;
use crate::parallel::{for_each_chunk, map};
use crate::synthesis::recipe::Variables;

/// The minimum distance of pixels from 0 and 1, and of samples from -1 and 1, where the slope of the sigmoid and of the bound vanishes.
pub const PIXEL_MARGIN: f64 = 2e-3;

/// The distance from the limits of their range below which samples, and pixels as variables, approach the limit exponentially.
const SOFT_MARGIN: f64 = 0.02;

/// The amplitude of color differences relative to luminance in natural images.
const CHROMA_AMPLITUDE: f64 = 0.3;

/// The minimum weight, relative to 1 at one cycle per image: the initial noise has power at all frequencies, which must be
/// reducible.
const MIN_WEIGHT: f64 = 0.02;

/// The frequency in cycles per sample below which the weights of a sound are constant: 40 Hz at 20 kHz. Otherwise a step would
/// add much energy at inaudible frequencies, to which no network responds.
const MIN_SOUND_FREQUENCY: f64 = 1.0 / 500.0;

/// The number of frequency bands per octave.
const BANDS_PER_OCTAVE: f64 = 2.0;

/// The side of the square cells of pixels.
const PIXEL_CELL: usize = 4;

/// The number of samples in a cell of a sound.
const SOUND_CELL: usize = 200;

/// The change of a sample that corresponds to a change of 1 in a pixel's logit.
const SOUND_SCALE: f64 = 0.1;

/// Values in a part of a plane whose squares are summed by one task.
const PART: usize = 8192;

/// `exp(t)`, to 2e-7 of the value for `t` in [-87, 87], without branches, so that the compiler can vectorise it.
#[inline]
fn exp(t: f32) -> f32 {
    // exp(t) = 2^n exp(r) with |r| <= ln(2) / 2; adding 1.5 * 2^23 rounds to an integer.
    const ROUND: f32 = 12_582_912.0;
    let t = t.clamp(-87.0, 87.0);
    let shifted = t * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln(2) in two parts: n times the first is exact.
    let r = t - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let exp = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r / 720.0)))));
    let power = f32::from_bits(shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    exp * power
}

fn sigmoid(u: f32) -> f32 {
    1.0 / (1.0 + exp(-u))
}

/// `u` within the range of pixels; from [`SOFT_MARGIN`] before a limit on, it approaches the limit exponentially, with a continuous
/// slope.
fn bounded(u: f32) -> f32 {
    const M: f32 = SOFT_MARGIN as f32;
    let (from_low, from_high) = (u - M, 1.0 - M - u);
    let (low, high) = (M * exp((from_low / M).min(0.0)), 1.0 - M * exp((from_high / M).min(0.0)));
    if from_low < 0.0 {
        low
    } else if from_high < 0.0 {
        high
    } else {
        u
    }
}

/// The slope of [`bounded`] where its value is `x`.
fn bounded_slope(x: f32) -> f32 {
    const M: f32 = SOFT_MARGIN as f32;
    (x.min(1.0 - x) / M).min(1.0)
}

/// The inverse of [`bounded`].
fn unbounded(x: f64) -> f64 {
    let x = x.clamp(PIXEL_MARGIN, 1.0 - PIXEL_MARGIN);
    if x < SOFT_MARGIN {
        SOFT_MARGIN * (1.0 + (x / SOFT_MARGIN).ln())
    } else if x > 1.0 - SOFT_MARGIN {
        1.0 - SOFT_MARGIN * (1.0 + ((1.0 - x) / SOFT_MARGIN).ln())
    } else {
        x
    }
}

/// As [`bounded`], for a sample in `[-1, 1]`; outside the margins its bits stay.
fn bounded_sample(y: f32) -> f32 {
    const M: f32 = SOFT_MARGIN as f32;
    let from_limit = 1.0 - M - y.abs();
    let limited = (1.0 - M * exp((from_limit / M).min(0.0))).copysign(y);
    if from_limit < 0.0 { limited } else { y }
}

/// The slope of [`bounded_sample`] where its value is `x`; 0 for a value beyond the limits, which a saved run may have.
fn bounded_sample_slope(x: f32) -> f32 {
    const M: f32 = SOFT_MARGIN as f32;
    if x.abs() > 1.0 - M { ((1.0 - x.abs()) / M).max(0.0) } else { 1.0 }
}

/// The inverse of [`bounded_sample`].
fn unbounded_sample(x: f64) -> f64 {
    let left = (1.0 - x.abs()).max(PIXEL_MARGIN);
    if left < SOFT_MARGIN { (1.0 - SOFT_MARGIN * (1.0 + (left / SOFT_MARGIN).ln())).copysign(x) } else { x }
}

fn logit(x: f64) -> f64 {
    let x = x.clamp(PIXEL_MARGIN, 1.0 - PIXEL_MARGIN);
    (x / (1.0 - x)).ln()
}

/// Values `x = f(u)` of pixels or samples, with `u = u0 + v` or `u = u0 + T (w * v)` and the variables `v`.
///
/// Without a [`Spectrum`], `f` keeps pixels as they are, except near the limits of their range ([`bounded`]). With one, pixels are
/// `sigmoid(u)`, which keeps them within their range. Samples are `0.1 u`, except near the limits of theirs ([`bounded_sample`]), which
/// natural sounds hardly ever approach.
pub struct Parametrization {
    is_sound: bool,
    /// The values of `u` at which `v` is 0.
    origin: Vec<f32>,
    spectrum: Option<Spectrum>,
    /// Memory for vectors of this length.
    spare: Arc<Spare>,
}

/// `T` and `w`.
///
/// `T` is orthonormal: the inverse cosine transform of each plane, then opponent axes to colors. `w` is the amplitude spectrum of
/// natural images, about `1 / f` and lower for color than for luminance, or of natural sounds, about `1 / sqrt(f)`, so that a step
/// changes the components most that have the most power in natural stimuli.
pub struct Spectrum {
    cosines: Cosines,
    is_sound: bool,
    weights: Vec<f32>,
    spare: Arc<Spare>,
    /// The frequency band of each value of a plane; a band is half an octave.
    bands: Vec<u16>,
    /// The band of each group of [`LANES`] values of a plane, if they have the same one.
    bands_of_groups: Vec<Option<u16>>,
    bands_of_plane: usize,
}

impl Parametrization {
    pub fn new(variables: Variables, planes: Planes, origin: Vec<f32>) -> Self {
        let spare = Arc::<Spare>::default();
        let spectrum = (variables == Variables::NaturalSpectrum).then(|| Spectrum::new(planes, spare.clone()));
        Self { is_sound: planes.is_sound, origin, spectrum, spare }
    }

    /// A parametrization whose variables are 0 at these pixels.
    pub fn from_pixels(variables: Variables, x: &[f32], planes: Planes) -> Self {
        let inverse = |x: f64| match variables {
            _ if planes.is_sound => unbounded_sample(x) / SOUND_SCALE,
            Variables::Pixels => unbounded(x),
            Variables::NaturalSpectrum => logit(x),
        };
        Self::new(variables, planes, x.iter().map(|&x| inverse(f64::from(x)) as f32).collect())
    }

    pub fn origin(&self) -> &[f32] {
        &self.origin
    }

    pub fn len(&self) -> usize {
        self.origin.len()
    }

    pub fn spectrum(&self) -> Option<&Spectrum> {
        self.spectrum.as_ref()
    }

    pub fn spare(&self) -> &Spare {
        &self.spare
    }

    pub fn pixels(&self, v: &[f32]) -> Vec<f32> {
        let Some(spectrum) = &self.spectrum else {
            let mut x = self.spare.take(v.len());
            let (is_sound, origin) = (self.is_sound, &self.origin);
            for_each_chunk(&mut x, PART, |i, values| {
                let of_part = v[i * PART..].iter().zip(&origin[i * PART..]);
                let values = values.iter_mut().zip(of_part);
                if is_sound {
                    values.for_each(|(x, (v, origin))| *x = bounded_sample(SOUND_SCALE as f32 * (v + origin)));
                } else {
                    values.for_each(|(x, (v, origin))| *x = bounded(v + origin));
                }
            });
            return x;
        };
        let weigh = |first: usize, values: &mut [f32]| {
            let weighted = v[first..].iter().zip(&spectrum.weights[first..]);
            values.iter_mut().zip(weighted).for_each(|(to, (v, weight))| *to = v * weight);
        };
        let is_sound = self.is_sound;
        spectrum.cosines.to_pixels(weigh, |first, planes| {
            rotate_to_colors(planes);
            for (plane, values) in planes.iter_mut().enumerate() {
                let origin = &self.origin[plane * spectrum.cosines.area() + first..];
                if is_sound {
                    let sample = |u: f32, origin: f32| bounded_sample(SOUND_SCALE as f32 * (u + origin));
                    values.iter_mut().zip(origin).for_each(|(u, &origin)| *u = sample(*u, origin));
                } else {
                    values.iter_mut().zip(origin).for_each(|(u, origin)| *u = sigmoid(*u + origin));
                }
            }
        })
    }

    /// Converts a gradient with respect to the pixels `x` to one with respect to the variables. `pull` adds
    /// `factor * (x - start)` to it first.
    pub fn gradient(&self, x: &[f32], gradient: &[f32], pull: Option<(f32, &[f32])>) -> Vec<f32> {
        let is_sound = self.is_sound;
        let slope = |x: f32| match &self.spectrum {
            _ if is_sound => SOUND_SCALE as f32 * bounded_sample_slope(x),
            Some(_) => x * (1.0 - x),
            None => bounded_slope(x),
        };
        let chain = |first: usize, values: &mut [f32]| {
            let of_pixels = x[first..].iter().zip(&gradient[first..]);
            if let Some((factor, start)) = pull {
                for ((to, (&x, g)), start) in values.iter_mut().zip(of_pixels).zip(&start[first..]) {
                    *to = (g + factor * (x - start)) * slope(x);
                }
            } else {
                values.iter_mut().zip(of_pixels).for_each(|(to, (&x, g))| *to = g * slope(x));
            }
        };
        let Some(spectrum) = &self.spectrum else {
            let mut gradient = self.spare.take(gradient.len());
            for_each_chunk(&mut gradient, PART, |i, values| chain(i * PART, values));
            return gradient;
        };
        let pixels = |first: usize, planes: &mut [&mut [f32]]| {
            for (plane, values) in planes.iter_mut().enumerate() {
                chain(plane * spectrum.cosines.area() + first, values);
            }
            rotate_from_colors(planes);
        };
        spectrum.cosines.to_frequencies(pixels, |first, values| multiply(values, &spectrum.weights[first..]))
    }

    /// The root mean square change of the logits of medium gray pixels for a change of the variables.
    pub fn rms_change(&self, direction: &[f32]) -> f64 {
        let square: f64 = match &self.spectrum {
            Some(spectrum) => direction.iter().zip(&spectrum.weights).map(|(d, w)| f64::from(d * w).powi(2)).sum(),
            // The slope of the logit of a pixel of 1/2 is 4; samples have the same scale in both.
            None if self.is_sound => direction.iter().map(|&d| f64::from(d).powi(2)).sum(),
            None => direction.iter().map(|&d| f64::from(4.0 * d).powi(2)).sum(),
        };
        (square / self.len().max(1) as f64).sqrt()
    }

    /// Variables in the order in which files hold them: `[plane][y frequency][x frequency]`, or that of the pixels.
    pub fn to_file_order(&self, values: &[f32]) -> Vec<f32> {
        self.spectrum.as_ref().map_or_else(|| values.to_vec(), |spectrum| spectrum.to_file_order(values))
    }

    /// The inverse of [`Parametrization::to_file_order`].
    pub fn in_own_order(&self, ordered: &[f32]) -> Vec<f32> {
        self.spectrum.as_ref().map_or_else(|| ordered.to_vec(), |spectrum| spectrum.in_own_order(ordered))
    }
}

impl Spectrum {
    fn new(planes: Planes, spare: Arc<Spare>) -> Self {
        let cosines = Cosines::new(planes, spare.clone());
        let frequencies: Vec<f64> = (0..cosines.area()).map(|at| frequency(planes, cosines.frequency(at))).collect();
        let mut weights = Vec::with_capacity(planes.len());
        for plane in 0..planes.count {
            let amplitude = if plane == 0 { 1.0 } else { CHROMA_AMPLITUDE };
            let (power, lowest) =
                if planes.is_sound { (0.5, planes.size[1] as f64 * MIN_SOUND_FREQUENCY) } else { (1.0, 0.0) };
            weights.extend(frequencies.iter().map(|f| (amplitude / f.max(lowest).powf(power)).hypot(MIN_WEIGHT)));
        }
        let mean_square = weights.iter().map(|w| w * w).sum::<f64>() / weights.len() as f64;
        let weights = weights.iter().map(|w| (w / mean_square.sqrt()) as f32).collect();
        let bands: Vec<u16> = frequencies.iter().map(|&f| band(f)).collect();
        let bands_of_plane = bands.iter().max().map_or(0, |&last| usize::from(last) + 1);
        let of_group = |bands: &[u16]| (bands.iter().min() == bands.iter().max()).then_some(bands[0]);
        let bands_of_groups = bands.chunks_exact(LANES).map(of_group).collect();
        Self { cosines, is_sound: planes.is_sound, weights, spare, bands, bands_of_groups, bands_of_plane }
    }

    pub fn cosines(&self) -> &Cosines {
        &self.cosines
    }

    pub fn spare(&self) -> &Spare {
        &self.spare
    }

    /// The number of frequency bands of all planes.
    pub fn bands(&self) -> usize {
        self.cosines.planes() * self.bands_of_plane
    }

    /// The sum of squares of each band.
    pub fn squares_of_bands(&self, values: &[f32]) -> Vec<f64> {
        // Fixed parts of a plane, so that the sums do not depend on the number of threads.
        let area = self.cosines.area();
        let parts = area.div_ceil(PART).max(1);
        let sums = map(self.cosines.planes() * parts, |i| {
            let part = (i % parts) * PART..area.min((i % parts + 1) * PART);
            // Neighbours often have the same band: a sum for each place of eight spares the processor from waiting for the last sum.
            let mut sums = vec![[0.0; 8]; self.bands_of_plane];
            let values = values[i / parts * area..][part.clone()].chunks(8);
            for (values, bands) in values.zip(self.bands[part].chunks(8)) {
                for (place, (&v, &band)) in values.iter().zip(bands).enumerate() {
                    sums[usize::from(band)][place] += f64::from(v * v);
                }
            }
            sums.iter().map(|sums| sums.iter().sum()).collect::<Vec<f64>>()
        });
        let of_plane = |sums: &[Vec<f64>]| (0..self.bands_of_plane).map(|i| sums.iter().map(|s| s[i]).sum()).collect();
        sums.chunks(parts).flat_map(|sums| -> Vec<f64> { of_plane(sums) }).collect()
    }

    /// Multiplies values of the variables, from index `first` on, by the factor of their band.
    pub fn multiply_bands(&self, factors: &[f32], first: usize, values: &mut [f32]) {
        let area = self.cosines.area();
        let mut done = 0;
        while done < values.len() {
            let (plane, at) = ((first + done) / area, (first + done) % area);
            let end = values.len().min(done + area - at);
            let factors = &factors[plane * self.bands_of_plane..][..self.bands_of_plane];
            let multiply_each = |values: &mut [f32], bands: &[u16]| {
                values.iter_mut().zip(bands).for_each(|(v, &band)| *v *= factors[usize::from(band)]);
            };
            let (values, bands) = (&mut values[done..end], &self.bands[at..]);
            let (before, whole) = values.split_at_mut(values.len().min(at.next_multiple_of(LANES) - at));
            let (groups, after) = whole.as_chunks_mut::<LANES>();
            multiply_each(before, bands);
            let of_groups = self.bands_of_groups.get(at.div_ceil(LANES)..).unwrap_or_default();
            for (i, (group, band)) in groups.iter_mut().zip(of_groups).enumerate() {
                match band {
                    Some(band) => group.iter_mut().for_each(|v| *v *= factors[usize::from(*band)]),
                    None => multiply_each(group, &bands[before.len() + i * LANES..]),
                }
            }
            multiply_each(after, &bands[before.len() + groups.len() * LANES..]);
            done = end;
        }
    }

    /// The number of cells: squares of neighbouring pixels of all planes, or runs of samples.
    pub fn cells(&self) -> usize {
        let [height, _] = self.cosines.size();
        height.div_ceil(self.cell()) * self.cells_across()
    }

    /// The sum of squares of each cell of values in the order of pixels.
    pub fn squares_of_cells(&self, values: &[f32]) -> Vec<f64> {
        let ([height, width], cell, across) = (self.cosines.size(), self.cell(), self.cells_across());
        let rows = map(height.div_ceil(cell), |i| {
            let mut sums = vec![0.0; across];
            for plane in values.chunks(self.cosines.area()) {
                for row in plane[i * cell * width..].chunks(width).take(cell) {
                    for (sum, values) in sums.iter_mut().zip(row.chunks(cell)) {
                        *sum += f64::from(values.iter().map(|v| v * v).sum::<f32>());
                    }
                }
            }
            sums
        });
        rows.concat()
    }

    /// Multiplies rows of pixels of all planes, from pixel `first` on, by the factor of their cell.
    pub fn multiply_cells(&self, factors: &[f32], first: usize, planes: &mut [&mut [f32]]) {
        let ([_, width], cell, across) = (self.cosines.size(), self.cell(), self.cells_across());
        for values in planes {
            for (i, row) in values.chunks_mut(width).enumerate() {
                let factors = &factors[(first / width + i) / cell * across..];
                for (values, factor) in row.chunks_mut(cell).zip(factors) {
                    values.iter_mut().for_each(|v| *v *= factor);
                }
            }
        }
    }

    fn cell(&self) -> usize {
        if self.is_sound { SOUND_CELL } else { PIXEL_CELL }
    }

    fn cells_across(&self) -> usize {
        self.cosines.size()[1].div_ceil(self.cell())
    }

    fn to_file_order(&self, values: &[f32]) -> Vec<f32> {
        let mut ordered = vec![0.0; values.len()];
        let order = self.file_order();
        for (values, ordered) in values.chunks(order.len()).zip(ordered.chunks_mut(order.len())) {
            order.iter().zip(values).for_each(|(&at, &v)| ordered[at] = v);
        }
        ordered
    }

    fn in_own_order(&self, ordered: &[f32]) -> Vec<f32> {
        let order = self.file_order();
        ordered.chunks(order.len()).flat_map(|ordered| order.iter().map(|&at| ordered[at])).collect()
    }

    fn file_order(&self) -> Vec<usize> {
        let [_, width] = self.cosines.size();
        let index = |at: usize| {
            let [y, x] = self.cosines.frequency(at);
            y * width + x
        };
        (0..self.cosines.area().max(1)).map(index).collect()
    }
}

fn multiply(values: &mut [f32], factors: &[f32]) {
    values.iter_mut().zip(factors).for_each(|(v, factor)| *v *= factor);
}

/// Luminance, red-blue and green-magenta: the rows of an orthonormal matrix.
const OPPONENT_AXES: [[f32; 3]; 3] = [
    [0.577_350_26, 0.577_350_26, 0.577_350_26],
    [std::f32::consts::FRAC_1_SQRT_2, 0.0, -std::f32::consts::FRAC_1_SQRT_2],
    [0.408_248_3, -0.816_496_6, 0.408_248_3],
];

/// Rotates three planes of colors to opponent axes; other numbers of planes stay.
fn rotate_from_colors(planes: &mut [&mut [f32]]) {
    rotate(planes, OPPONENT_AXES);
}

/// The inverse (and transpose) of [`rotate_from_colors`].
fn rotate_to_colors(planes: &mut [&mut [f32]]) {
    rotate(planes, [0, 1, 2].map(|i| [0, 1, 2].map(|j| OPPONENT_AXES[j][i])));
}

fn rotate(planes: &mut [&mut [f32]], matrix: [[f32; 3]; 3]) {
    if let [first, second, third] = planes {
        for ((x, y), z) in first.iter_mut().zip(second.iter_mut()).zip(third.iter_mut()) {
            [*x, *y, *z] = matrix.map(|row| row[0] * *x + row[1] * *y + row[2] * *z);
        }
    }
}

/// A frequency in cycles per shorter side of the image, or cycles per sound; at least 1/2. `half_cycles` are those along y and x.
fn frequency(planes: Planes, half_cycles: [usize; 2]) -> f64 {
    let [height, width] = planes.size;
    // Of an image that is one pixel wide or high, the other side.
    let shorter = if planes.is_sound || height.min(width) == 1 { height.max(width) } else { height.min(width) } as f64;
    let cycles = |k: usize, n: usize| k as f64 / 2.0 * shorter / n as f64;
    cycles(half_cycles[0], height).hypot(cycles(half_cycles[1], width)).max(0.5)
}

fn band(frequency: f64) -> u16 {
    (BANDS_PER_OCTAVE * (frequency / 0.5).log2()).round() as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37) % 101) as f32 / 101.0).collect()
    }

    fn variables(planes: Planes) -> Parametrization {
        Parametrization::new(Variables::NaturalSpectrum, planes, vec![0.0; planes.len()])
    }

    fn spectrum(parametrization: &Parametrization) -> &Spectrum {
        parametrization.spectrum().unwrap()
    }

    #[test]
    fn the_sigmoid_is_exact_to_single_precision() {
        for i in -860..=860 {
            let u = i as f32 / 10.0;
            let expected = 1.0 / (1.0 + (-f64::from(u)).exp());
            let error = (f64::from(sigmoid(u)) - expected).abs() / expected.max(1e-37);
            assert!(error < 3e-7, "{u}: {} and {expected}", sigmoid(u));
        }
        assert!(sigmoid(f32::NAN).is_nan());
    }

    #[test]
    fn gray_has_only_the_first_luminance_coefficient() {
        let variables = variables(Planes::of_image(3, [4, 5]));
        let x = vec![0.5; 60];
        let found = variables.gradient(&x, &[4.0; 60], None);
        assert!((found[0] / spectrum(&variables).weights[0] - 60f32.sqrt()).abs() < 1e-5);
        assert!(found[1..].iter().all(|v| v.abs() < 1e-5));
    }

    #[test]
    fn the_gradient_equals_finite_differences() {
        let cases = [
            (Variables::NaturalSpectrum, Planes::of_image(3, [5, 6]), 0.05, 1.0),
            (Variables::NaturalSpectrum, Planes::of_image(3, [1, 30]), 0.05, 1.0),
            (Variables::NaturalSpectrum, Planes::of_sound(90), 0.05, 1.0),
            (Variables::NaturalSpectrum, Planes::of_sound(90), 0.01, 6.0),
            (Variables::Pixels, Planes::of_image(3, [5, 6]), 0.002, 1.0),
            (Variables::Pixels, Planes::of_image(3, [1, 30]), 0.002, 1.0),
            (Variables::Pixels, Planes::of_sound(90), 0.05, 1.0),
            (Variables::Pixels, Planes::of_sound(90), 0.01, 5.0),
        ];
        for (variables, planes, step, loudness) in cases {
            let origin: Vec<f32> = ramp(90).iter().map(|v| loudness * (4.0 * v - 2.0)).collect();
            let variables = Parametrization::new(variables, planes, origin);
            let (v, slopes) = (ramp(90), ramp(90).into_iter().rev().collect::<Vec<_>>());
            let margin = 1.0 - SOFT_MARGIN as f32;
            assert_eq!(variables.pixels(&v).iter().any(|x| planes.is_sound && x.abs() > margin), loudness > 1.0);
            let value = |v: &[f32]| -> f64 {
                variables.pixels(v).iter().zip(&slopes).map(|(&x, &s)| f64::from(x) * f64::from(s)).sum()
            };
            let gradient = variables.gradient(&variables.pixels(&v), &slopes, None);
            for i in [0, 1, 31, 89] {
                let moved = |by: f32| {
                    let mut v = v.clone();
                    v[i] += by;
                    value(&v)
                };
                let difference = (moved(step) - moved(-step)) / f64::from(2.0 * step);
                let scale = gradient.iter().fold(0.0, |a: f32, g| a.max(g.abs()));
                let error = (difference - f64::from(gradient[i])).abs();
                assert!(error < 1e-3 * f64::from(scale), "{planes:?} {i}: {difference} and {}", gradient[i]);
            }
        }
    }

    #[test]
    fn pixels_are_recovered_from_the_variables_within_the_margin() {
        let x: Vec<f32> = vec![0.01, 0.3, 0.5, 0.99, 0.0, 1.0];
        let variables = [Variables::Pixels, Variables::NaturalSpectrum];
        // An image one pixel high is no sound.
        for (variables, size) in variables.into_iter().flat_map(|v| [(v, [2, 3]), (v, [1, 6])]) {
            let planes = Planes::of_image(1, size);
            let back = Parametrization::from_pixels(variables, &x, planes).pixels(&[0.0; 6]);
            assert!(x[..4].iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-6), "{back:?}");
            let [low, high] = [f64::from(back[4]), f64::from(back[5])];
            assert!((low - PIXEL_MARGIN).abs() < 1e-6 && (high - 1.0 + PIXEL_MARGIN).abs() < 1e-6, "{back:?}");
        }
    }

    #[test]
    fn bounded_pixels_stay_in_their_range() {
        for i in -300..=400 {
            let u = i as f32 / 100.0;
            let x = bounded(u);
            assert!((0.0..=1.0).contains(&x) && (x == u || !(0.0201..=0.9799).contains(&u)), "{u} {x}");
            let slope = (bounded(u + 1e-3) - bounded(u - 1e-3)) / 2e-3;
            assert!((slope - bounded_slope(x)).abs() < 0.03, "{u}: {slope} and {}", bounded_slope(x));
        }
    }

    #[test]
    fn loud_samples_stay_in_their_range_and_others_keep_their_bits() {
        for i in -300..=300 {
            let y = i as f32 / 100.0;
            let x = bounded_sample(y);
            assert!(x.abs() <= 1.0 && (x == y || y.abs() > 0.9799), "{y} {x}");
            let slope = (bounded_sample(y + 1e-3) - bounded_sample(y - 1e-3)) / 2e-3;
            assert!((slope - bounded_sample_slope(x)).abs() < 0.03, "{y}: {slope} and {}", bounded_sample_slope(x));
        }
        assert!(bounded_sample_slope(1.5) == 0.0 && bounded_sample(f32::NAN).is_nan());
        let x = [0.0, -0.3, 0.97, 0.985, -0.99, 1.0, -1.0, 1.2];
        let kept = [0.0, -0.3, 0.97, 0.985, -0.99, 0.998, -0.998, 0.998];
        for variables in [Variables::Pixels, Variables::NaturalSpectrum] {
            let back = Parametrization::from_pixels(variables, &x, Planes::of_sound(8)).pixels(&[0.0; 8]);
            assert!(kept.iter().zip(&back).all(|(a, b): (&f32, &f32)| (a - b).abs() < 1e-5), "{back:?}");
        }
    }

    #[test]
    fn low_frequencies_have_larger_weights_and_colors_smaller() {
        // More columns than one group of lines.
        let variables = variables(Planes::of_image(3, [10, 40]));
        let spectrum = spectrum(&variables);
        let ordered = variables.to_file_order(&spectrum.weights);
        let w = |plane: usize, y: usize, x: usize| ordered[plane * 400 + y * 40 + x];
        assert!(w(0, 0, 8) > w(0, 0, 16) && w(0, 0, 16) > w(0, 9, 39));
        // Files are in the order of the frequencies, x first: 1 cycle per height and 4 per width are the same frequency here.
        assert_eq!(w(0, 2, 0), w(0, 0, 8));
        assert!(w(1, 0, 8) < 0.5 * w(0, 0, 8));
        assert_eq!(variables.in_own_order(&ordered), spectrum.weights);
        assert_ne!(ordered, spectrum.weights);
        assert_eq!((spectrum.bands(), spectrum.cells()), (3 * spectrum.bands_of_plane, 30));
    }

    #[test]
    fn groups_of_one_band_are_multiplied_by_its_factor() {
        for planes in [Planes::of_image(3, [40, 40]), Planes::of_image(3, [24, 37]), Planes::of_sound(1003)] {
            let variables = variables(planes);
            let spectrum = spectrum(&variables);
            assert!(spectrum.bands_of_groups.iter().any(Option::is_some), "{planes:?}");
            let factors: Vec<f32> = (0..spectrum.bands()).map(|band| 0.5 + band as f32 / 7.0).collect();
            let values = ramp(planes.len());
            let area = spectrum.cosines.area();
            let factor =
                |at: usize| factors[at / area * spectrum.bands_of_plane + usize::from(spectrum.bands[at % area])];
            let expected: Vec<f32> = values.iter().enumerate().map(|(at, v)| v * factor(at)).collect();
            for middle in [0, 16, 33, area, values.len()] {
                let mut found = values.clone();
                let (first, second) = found.split_at_mut(middle.min(values.len()));
                spectrum.multiply_bands(&factors, 0, first);
                spectrum.multiply_bands(&factors, first.len(), second);
                assert_eq!(found, expected, "{planes:?}, in two parts at {middle}");
            }
        }
    }

    #[test]
    fn squares_and_factors_belong_to_bands_and_cells() {
        let variables = variables(Planes::of_image(3, [10, 7]));
        let variables = spectrum(&variables);
        let values = ramp(210);
        let total = |v: &[f32]| v.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
        for sums in [variables.squares_of_bands(&values), variables.squares_of_cells(&values)] {
            assert!((sums.iter().sum::<f64>() - total(&values)).abs() < 1e-4);
        }
        for chosen in 0..variables.bands() {
            let factors: Vec<f32> = (0..variables.bands()).map(|i| f32::from(u8::from(i == chosen))).collect();
            let mut kept = values.clone();
            let (first, second) = kept.split_at_mut(33);
            variables.multiply_bands(&factors, 0, first);
            variables.multiply_bands(&factors, 33, second);
            assert!((total(&kept) - variables.squares_of_bands(&values)[chosen]).abs() < 1e-5);
        }
        for chosen in 0..variables.cells() {
            let factors: Vec<f32> = (0..variables.cells()).map(|i| f32::from(u8::from(i == chosen))).collect();
            let mut kept = values.clone();
            let mut planes: Vec<&mut [f32]> = kept.chunks_mut(70).collect();
            variables.multiply_cells(&factors, 0, &mut planes);
            assert!((total(&kept) - variables.squares_of_cells(&values)[chosen]).abs() < 1e-5);
        }
    }
}
