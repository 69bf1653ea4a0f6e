//! The variables of L-BFGS: box constraints by a sigmoid, opponent colors, and spatial frequencies with the weights of natural images.

use std::sync::Arc;

use rayon::prelude::*;
use rustdct::{DctPlanner, TransformType2And3};

/// The minimum distance of pixels from 0 and 1, where the slope of the sigmoid vanishes.
pub const PIXEL_MARGIN: f64 = 2e-3;

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

/// Returns whether values of this size are the samples of a sound.
pub fn is_sound([height, _]: [usize; 2]) -> bool {
    height == 1
}

fn sigmoid(u: f64) -> f64 {
    1.0 / (1.0 + (-u).exp())
}

fn logit(x: f64) -> f64 {
    let x = x.clamp(PIXEL_MARGIN, 1.0 - PIXEL_MARGIN);
    (x / (1.0 - x)).ln()
}

/// Pixels `x = sigmoid(u)` with logits `u = u0 + T (w * v)` and variables `v`. Samples of a sound, a single row, are `x = 0.1 u`:
/// natural sounds hardly ever approach the limits of their range.
///
/// `T` is orthonormal: the inverse cosine transform of each plane, then opponent axes to colors. `w` is the amplitude spectrum of
/// natural images, about `1 / f` and lower for color than for luminance, or of natural sounds, about `1 / sqrt(f)`, so that a step
/// changes the components most that have the most power in natural stimuli.
pub struct Parametrization {
    planes: usize,
    size: [usize; 2],
    rows: Arc<dyn TransformType2And3<f64>>,
    columns: Arc<dyn TransformType2And3<f64>>,
    /// The logits of the pixels at which `v` is 0.
    origin: Vec<f64>,
    weights: Vec<f64>,
    bands: Vec<u32>,
    cells: Vec<u32>,
}

impl Parametrization {
    pub fn new((planes, size): (usize, [usize; 2]), origin: Vec<f64>) -> Self {
        let mut planner = DctPlanner::new();
        let (columns, rows) = (planner.plan_dct2(size[0]), planner.plan_dct2(size[1]));
        let frequencies = frequencies(size);
        let mut weights = Vec::with_capacity(origin.len());
        let mut bands = Vec::with_capacity(origin.len());
        let num_bands = frequencies.iter().map(|&f| band(f)).max().unwrap_or(0) + 1;
        for plane in 0..planes {
            let amplitude = if plane == 0 { 1.0 } else { CHROMA_AMPLITUDE };
            let (power, lowest) = if is_sound(size) { (0.5, size[1] as f64 * MIN_SOUND_FREQUENCY) } else { (1.0, 0.0) };
            weights.extend(frequencies.iter().map(|f| (amplitude / f.max(lowest).powf(power)).hypot(MIN_WEIGHT)));
            bands.extend(frequencies.iter().map(|&f| plane as u32 * num_bands + band(f)));
        }
        let mean_square = weights.iter().map(|w| w * w).sum::<f64>() / weights.len() as f64;
        weights.iter_mut().for_each(|w| *w /= mean_square.sqrt());
        let cell = if is_sound(size) { SOUND_CELL } else { PIXEL_CELL };
        let across = size[1].div_ceil(cell);
        let pixels = (0..size[0]).flat_map(|i| (0..size[1]).map(move |j| (i / cell * across + j / cell) as u32));
        let cells: Vec<u32> = pixels.collect();
        Self { planes, size, rows, columns, origin, weights, bands, cells: cells.repeat(planes) }
    }

    /// A parametrization whose variables are 0 at these pixels.
    pub fn from_pixels(x: &[f32], planes: (usize, [usize; 2])) -> Self {
        let inverse = |x: f64| if is_sound(planes.1) { x / SOUND_SCALE } else { logit(x) };
        Self::new(planes, x.iter().map(|&x| inverse(f64::from(x))).collect())
    }

    pub fn origin(&self) -> &[f64] {
        &self.origin
    }

    pub fn len(&self) -> usize {
        self.origin.len()
    }

    pub fn pixels(&self, v: &[f64]) -> Vec<f32> {
        let mut u: Vec<f64> = v.iter().zip(&self.weights).map(|(v, w)| v * w).collect();
        self.to_pixels(&mut u);
        let value = |u: f64| if is_sound(self.size) { SOUND_SCALE * u } else { sigmoid(u) };
        u.par_iter().zip(&self.origin).map(|(u, origin)| value(u + origin) as f32).collect()
    }

    /// Converts a gradient with respect to the pixels `x` to one with respect to the variables.
    pub fn gradient(&self, x: &[f32], gradient: &[f32]) -> Vec<f64> {
        let slope = |x: f64| if is_sound(self.size) { SOUND_SCALE } else { x * (1.0 - x) };
        let chain = |(&x, &g): (&f32, &f32)| f64::from(g) * slope(f64::from(x));
        let mut gradient: Vec<f64> = x.par_iter().zip(gradient).map(chain).collect();
        self.to_frequencies(&mut gradient);
        gradient.iter_mut().zip(&self.weights).for_each(|(g, w)| *g *= w);
        gradient
    }

    /// The root mean square change of the logits for a change of the variables.
    pub fn rms_change(&self, direction: &[f64]) -> f64 {
        let square: f64 = direction.iter().zip(&self.weights).map(|(d, w)| (d * w).powi(2)).sum();
        (square / self.len().max(1) as f64).sqrt()
    }

    /// The index of the frequency band of each variable; a band is half an octave of one plane.
    pub fn bands(&self) -> &[u32] {
        &self.bands
    }

    /// The index of the cell of each value; a cell is a square of neighbouring pixels of all planes, or a run of samples.
    pub fn cells(&self) -> &[u32] {
        &self.cells
    }

    /// Transforms colors to opponent axes and pixels to frequencies, in place.
    pub fn to_frequencies(&self, values: &mut [f64]) {
        self.rotate_colors(values, |m, i, j| m[i][j]);
        self.for_each_line(values, |transform, line, scratch| {
            transform.process_dct2_with_scratch(line, scratch);
            let scale = (2.0 / line.len() as f64).sqrt();
            line.iter_mut().for_each(|v| *v *= scale);
            line[0] *= std::f64::consts::FRAC_1_SQRT_2;
        });
    }

    /// The inverse (and transpose) of [`Parametrization::to_frequencies`].
    pub fn to_pixels(&self, values: &mut [f64]) {
        self.for_each_line(values, |transform, line, scratch| {
            let scale = (2.0 / line.len() as f64).sqrt();
            line.iter_mut().for_each(|v| *v *= scale);
            line[0] *= std::f64::consts::SQRT_2;
            transform.process_dct3_with_scratch(line, scratch);
        });
        self.rotate_colors(values, |m, i, j| m[j][i]);
    }

    /// Rotates colors to luminance, red-blue and green-magenta, or back; no change unless there are three planes.
    fn rotate_colors(&self, values: &mut [f64], entry: impl Fn(&[[f64; 3]; 3], usize, usize) -> f64) {
        if self.planes != 3 {
            return;
        }
        let [a, b, c] = [3f64, 2.0, 6.0].map(|square| square.sqrt().recip());
        let axes = [[a, a, a], [b, 0.0, -b], [c, -2.0 * c, c]];
        let rotation = [0, 1, 2].map(|i| [0, 1, 2].map(|j| entry(&axes, i, j)));
        let (first, rest) = values.split_at_mut(values.len() / 3);
        let (second, third) = rest.split_at_mut(first.len());
        for ((x, y), z) in first.iter_mut().zip(second).zip(third) {
            [*x, *y, *z] = rotation.map(|row| row[0] * *x + row[1] * *y + row[2] * *z);
        }
    }

    fn for_each_line(
        &self,
        values: &mut [f64],
        line: impl Fn(&dyn TransformType2And3<f64>, &mut [f64], &mut [f64]) + Sync,
    ) {
        let [height, width] = self.size;
        let transform_lines = |transform: &dyn TransformType2And3<f64>, values: &mut [f64], length: usize| {
            let mut scratch = vec![0.0; transform.get_scratch_len()];
            values.chunks_mut(length).for_each(|values| line(transform, values, &mut scratch));
        };
        values.par_chunks_mut(height * width).for_each(|plane| {
            transform_lines(&*self.rows, plane, width);
            let mut transposed = transpose(plane, width);
            transform_lines(&*self.columns, &mut transposed, height);
            plane.copy_from_slice(&transpose(&transposed, height));
        });
    }
}

/// The frequency of each cosine of a plane, in cycles per shorter side of the image, or cycles per sound; at least 1/2.
fn frequencies([height, width]: [usize; 2]) -> Vec<f64> {
    let shorter = if is_sound([height, width]) { width } else { height.min(width) } as f64;
    let cycles = |k: usize, n: usize| k as f64 / 2.0 * shorter / n as f64;
    let cosines = (0..height).flat_map(|i| (0..width).map(move |j| (i, j)));
    cosines.map(|(i, j)| cycles(i, height).hypot(cycles(j, width)).max(0.5)).collect()
}

fn band(frequency: f64) -> u32 {
    (BANDS_PER_OCTAVE * (frequency / 0.5).log2()).round() as u32
}

fn transpose(values: &[f64], width: usize) -> Vec<f64> {
    let height = values.len() / width;
    let mut transposed = vec![0.0; values.len()];
    for (i, row) in values.chunks(width).enumerate() {
        for (j, &v) in row.iter().enumerate() {
            transposed[j * height + i] = v;
        }
    }
    transposed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(n: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 37) % 101) as f64 / 101.0).collect()
    }

    fn variables(planes: usize, size: [usize; 2]) -> Parametrization {
        Parametrization::new((planes, size), vec![0.0; planes * size[0] * size[1]])
    }

    #[test]
    fn to_pixels_undoes_to_frequencies_and_both_keep_the_norm() {
        for planes in [1, 2, 3] {
            let variables = variables(planes, [6, 9]);
            let original = ramp(planes * 54);
            let mut values = original.clone();
            variables.to_frequencies(&mut values);
            let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>();
            assert!((norm(&values) - norm(&original)).abs() < 1e-10);
            variables.to_pixels(&mut values);
            assert!(values.iter().zip(&original).all(|(a, b)| (a - b).abs() < 1e-12));
        }
    }

    #[test]
    fn gray_has_only_the_first_luminance_coefficient() {
        let variables = variables(3, [4, 5]);
        let mut values = vec![1.0; 60];
        variables.to_frequencies(&mut values);
        assert!((values[0] - 60f64.sqrt()).abs() < 1e-12);
        assert!(values[1..].iter().all(|v| v.abs() < 1e-12));
    }

    #[test]
    fn the_gradient_equals_finite_differences() {
        let origin: Vec<f64> = ramp(90).iter().map(|v| 4.0 * v - 2.0).collect();
        let variables = Parametrization::new((3, [5, 6]), origin);
        let (v, slopes) = (ramp(90), ramp(90).iter().rev().map(|&s| s as f32).collect::<Vec<_>>());
        let value = |v: &[f64]| -> f64 {
            let x = variables.pixels(v);
            x.iter().zip(&slopes).map(|(&x, &s)| f64::from(x) * f64::from(s)).sum()
        };
        let gradient = variables.gradient(&variables.pixels(&v), &slopes);
        for i in [0, 1, 31, 89] {
            let moved = |by: f64| {
                let mut v = v.clone();
                v[i] += by;
                value(&v)
            };
            let difference = (moved(0.05) - moved(-0.05)) / 0.1;
            let scale = gradient.iter().fold(0.0, |a: f64, g| a.max(g.abs()));
            assert!((difference - gradient[i]).abs() < 1e-3 * scale, "{i}: {difference} and {}", gradient[i]);
        }
    }

    #[test]
    fn pixels_are_recovered_from_the_variables_within_the_margin() {
        let x: Vec<f32> = vec![0.01, 0.3, 0.5, 0.99, 0.0, 1.0];
        let back = Parametrization::from_pixels(&x, (1, [2, 3])).pixels(&[0.0; 6]);
        assert!(x[..4].iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-6));
        assert!(
            (f64::from(back[4]) - PIXEL_MARGIN).abs() < 1e-6 && (f64::from(back[5]) - 1.0 + PIXEL_MARGIN).abs() < 1e-6
        );
    }

    #[test]
    fn low_frequencies_have_larger_weights_and_colors_smaller() {
        let variables = variables(3, [16, 16]);
        let w = |plane: usize, i: usize, j: usize| variables.weights[plane * 256 + i * 16 + j];
        assert!(w(0, 0, 2) > w(0, 0, 4) && w(0, 0, 4) > w(0, 9, 9));
        assert!(w(1, 0, 2) < 0.5 * w(0, 0, 2));
        assert!(variables.bands()[2] < variables.bands()[4] && variables.bands()[255] < variables.bands()[256]);
        assert_eq!(variables.cells()[3], variables.cells()[16 + 3]);
        assert_ne!(variables.cells()[3], variables.cells()[4]);
    }
}
