//! The variables that L-BFGS works on: a box, opponent colours, and spatial frequencies weighted as in natural pictures.

use std::sync::Arc;

use rayon::prelude::*;
use rustdct::{DctPlanner, TransformType2And3};

/// Pixels are kept this far from 0 and 1, where a sigmoid has no slope left to come back by.
pub const MARGIN: f64 = 2e-3;

/// How strong the colour differences of natural pictures are beside their brightness.
const CHROMA: f64 = 0.3;

/// What the weights do not fall below, beside 1 at one cycle a picture: the noise that a run starts from has power at
/// all frequencies, and it must be able to go.
const FLOOR: f64 = 0.02;

/// Below this frequency, in cycles a sample, a sound's weights do not rise: 40 Hz at 20 kHz. Nobody hears, and no network
/// answers to, what would be cheap to add there.
const LOWEST: f64 = 1.0 / 500.0;

/// Bands of frequencies to the octave.
const BANDS_PER_OCTAVE: f64 = 2.0;

/// Side of the square cells of pixels.
const CELL: usize = 4;

/// Samples of the cells of a sound.
const SOUND_CELL: usize = 200;

/// The change of a sample that counts as much as one of a pixel's logit.
const SOUND_UNIT: f64 = 0.1;

/// Whether the values are the samples of a sound.
pub fn is_sound([height, _]: [usize; 2]) -> bool {
    height == 1
}

fn sigmoid(u: f64) -> f64 {
    1.0 / (1.0 + (-u).exp())
}

fn logit(x: f64) -> f64 {
    let x = x.clamp(MARGIN, 1.0 - MARGIN);
    (x / (1.0 - x)).ln()
}

/// Pixels `x = sigmoid(u)`, logits `u = u0 + T (w * v)`, variables `v`. Samples of a sound, one row, are `x = 0.1 u`: a natural
/// sound hardly ever comes near the ends of its range.
///
/// `T` is orthonormal: the inverse cosine transform of each plane, then opponent axes to colours. `w` is the amplitude
/// that natural pictures have at a frequency, about `1 / f`, weaker in colour than in brightness, and natural sounds, about
/// `1 / sqrt(f)`: what is likely to be missing is cheap to add.
pub struct Parametrization {
    planes: usize,
    size: [usize; 2],
    rows: Arc<dyn TransformType2And3<f64>>,
    columns: Arc<dyn TransformType2And3<f64>>,
    /// Logits of the pixels at which `v` is 0.
    origin: Vec<f64>,
    weights: Vec<f64>,
    band_of: Vec<u32>,
    cell_of: Vec<u32>,
}

impl Parametrization {
    pub fn new((planes, size): (usize, [usize; 2]), origin: Vec<f64>) -> Self {
        let mut planner = DctPlanner::new();
        let (columns, rows) = (planner.plan_dct2(size[0]), planner.plan_dct2(size[1]));
        let frequencies = frequencies(size);
        let mut weights = Vec::with_capacity(origin.len());
        let mut band_of = Vec::with_capacity(origin.len());
        let bands = frequencies.iter().map(|&f| band(f)).max().unwrap_or(0) + 1;
        for plane in 0..planes {
            let amplitude = if plane == 0 { 1.0 } else { CHROMA };
            let (power, lowest) = if is_sound(size) { (0.5, size[1] as f64 * LOWEST) } else { (1.0, 0.0) };
            weights.extend(frequencies.iter().map(|f| (amplitude / f.max(lowest).powf(power)).hypot(FLOOR)));
            band_of.extend(frequencies.iter().map(|&f| plane as u32 * bands + band(f)));
        }
        let mean_square = weights.iter().map(|w| w * w).sum::<f64>() / weights.len() as f64;
        weights.iter_mut().for_each(|w| *w /= mean_square.sqrt());
        let cell = if is_sound(size) { SOUND_CELL } else { CELL };
        let across = size[1].div_ceil(cell);
        let pixels = (0..size[0]).flat_map(|i| (0..size[1]).map(move |j| (i / cell * across + j / cell) as u32));
        let cell_of: Vec<u32> = pixels.collect();
        Self { planes, size, rows, columns, origin, weights, band_of, cell_of: cell_of.repeat(planes) }
    }

    /// Variables that are 0 at these pixels.
    pub fn around(x: &[f32], planes: (usize, [usize; 2])) -> Self {
        let back = |x: f64| if is_sound(planes.1) { x / SOUND_UNIT } else { logit(x) };
        Self::new(planes, x.iter().map(|&x| back(f64::from(x))).collect())
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
        let value = |u: f64| if is_sound(self.size) { SOUND_UNIT * u } else { sigmoid(u) };
        u.par_iter().zip(&self.origin).map(|(u, origin)| value(u + origin) as f32).collect()
    }

    /// A gradient with respect to the pixels `x` as one with respect to the variables.
    pub fn gradient(&self, x: &[f32], gradient: &[f32]) -> Vec<f64> {
        let slope = |x: f64| if is_sound(self.size) { SOUND_UNIT } else { x * (1.0 - x) };
        let chain = |(&x, &g): (&f32, &f32)| f64::from(g) * slope(f64::from(x));
        let mut gradient: Vec<f64> = x.par_iter().zip(gradient).map(chain).collect();
        self.to_frequencies(&mut gradient);
        gradient.iter_mut().zip(&self.weights).for_each(|(g, w)| *g *= w);
        gradient
    }

    /// Root mean square change of the logits by a change of the variables.
    pub fn reach(&self, direction: &[f64]) -> f64 {
        let square: f64 = direction.iter().zip(&self.weights).map(|(d, w)| (d * w).powi(2)).sum();
        (square / self.len().max(1) as f64).sqrt()
    }

    /// The band of each variable: one for each half octave and plane.
    pub fn bands(&self) -> &[u32] {
        &self.band_of
    }

    /// The cell of each pixel value: a few neighbouring pixels in all planes.
    pub fn cells(&self) -> &[u32] {
        &self.cell_of
    }

    /// Colours to opponent axes, pixels to frequencies, in place.
    pub fn to_frequencies(&self, values: &mut [f64]) {
        self.turn_colours(values, |m, i, j| m[i][j]);
        self.each_line(values, |transform, line, scratch| {
            transform.process_dct2_with_scratch(line, scratch);
            let scale = (2.0 / line.len() as f64).sqrt();
            line.iter_mut().for_each(|v| *v *= scale);
            line[0] *= std::f64::consts::FRAC_1_SQRT_2;
        });
    }

    /// The transpose and the inverse of [`Variables::to_frequencies`].
    pub fn to_pixels(&self, values: &mut [f64]) {
        self.each_line(values, |transform, line, scratch| {
            let scale = (2.0 / line.len() as f64).sqrt();
            line.iter_mut().for_each(|v| *v *= scale);
            line[0] *= std::f64::consts::SQRT_2;
            transform.process_dct3_with_scratch(line, scratch);
        });
        self.turn_colours(values, |m, i, j| m[j][i]);
    }

    /// Brightness, red against blue, green against both; planes that are no colours stay as they are.
    fn turn_colours(&self, values: &mut [f64], entry: impl Fn(&[[f64; 3]; 3], usize, usize) -> f64) {
        if self.planes != 3 {
            return;
        }
        let [a, b, c] = [3f64, 2.0, 6.0].map(|square| square.sqrt().recip());
        let axes = [[a, a, a], [b, 0.0, -b], [c, -2.0 * c, c]];
        let turn = [0, 1, 2].map(|i| [0, 1, 2].map(|j| entry(&axes, i, j)));
        let (first, rest) = values.split_at_mut(values.len() / 3);
        let (second, third) = rest.split_at_mut(first.len());
        for ((x, y), z) in first.iter_mut().zip(second).zip(third) {
            [*x, *y, *z] = turn.map(|row| row[0] * *x + row[1] * *y + row[2] * *z);
        }
    }

    fn each_line(
        &self,
        values: &mut [f64],
        line: impl Fn(&dyn TransformType2And3<f64>, &mut [f64], &mut [f64]) + Sync,
    ) {
        let [height, width] = self.size;
        let all = |transform: &dyn TransformType2And3<f64>, values: &mut [f64], length: usize| {
            let mut scratch = vec![0.0; transform.get_scratch_len()];
            values.chunks_mut(length).for_each(|values| line(transform, values, &mut scratch));
        };
        values.par_chunks_mut(height * width).for_each(|plane| {
            all(&*self.rows, plane, width);
            let mut turned = transpose(plane, width);
            all(&*self.columns, &mut turned, height);
            plane.copy_from_slice(&transpose(&turned, height));
        });
    }
}

/// The frequency of each cosine of one plane, in cycles a picture along the shorter side, or cycles a sound; at least 1/2.
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
    let mut turned = vec![0.0; values.len()];
    for (i, row) in values.chunks(width).enumerate() {
        for (j, &v) in row.iter().enumerate() {
            turned[j * height + i] = v;
        }
    }
    turned
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
    fn grey_has_only_the_first_coefficient_of_brightness() {
        let variables = variables(3, [4, 5]);
        let mut values = vec![1.0; 60];
        variables.to_frequencies(&mut values);
        assert!((values[0] - 60f64.sqrt()).abs() < 1e-12);
        assert!(values[1..].iter().all(|v| v.abs() < 1e-12));
    }

    #[test]
    fn the_gradient_is_that_of_the_pixels() {
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
    fn pixels_come_back_out_of_the_variables_inside_the_margin() {
        let x: Vec<f32> = vec![0.01, 0.3, 0.5, 0.99, 0.0, 1.0];
        let back = Parametrization::around(&x, (1, [2, 3])).pixels(&[0.0; 6]);
        assert!(x[..4].iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-6));
        assert!((f64::from(back[4]) - MARGIN).abs() < 1e-6 && (f64::from(back[5]) - 1.0 + MARGIN).abs() < 1e-6);
    }

    #[test]
    fn low_frequencies_weigh_more_and_colours_less() {
        let variables = variables(3, [16, 16]);
        let w = |plane: usize, i: usize, j: usize| variables.weights[plane * 256 + i * 16 + j];
        assert!(w(0, 0, 2) > w(0, 0, 4) && w(0, 0, 4) > w(0, 9, 9));
        assert!(w(1, 0, 2) < 0.5 * w(0, 0, 2));
        assert!(variables.bands()[2] < variables.bands()[4] && variables.bands()[255] < variables.bands()[256]);
        assert_eq!(variables.cells()[3], variables.cells()[16 + 3]);
        assert_ne!(variables.cells()[3], variables.cells()[4]);
    }
}
