//! One channel of the cochleagram: band-pass filter, envelope and low-pass filter, forward and backward.
//!
//! A filter passes a narrow band. Shifting the band to 0 Hz preserves the envelope and allows a lower sample rate, so a short
//! inverse FFT suffices. The full sample rate is restored by interpolation with a Kaiser-Bessel kernel of 12 taps; the spectrum is
//! divided by the kernel's frequency response beforehand. The kernel's leakage outside the band is below 1e-11. The squared
//! envelope, its root and the low-pass filter are computed at the full sample rate.
//!
//! Everything is float64. In the silence around a word a channel is at most 1e-5 of its peak, the power amplifies it, and the
//! gradient depends on its phase, of which float32 would keep two digits.

use std::sync::Arc;

use pulp::Arch;
use realfft::num_complex::Complex64;
use rustfft::{Fft, FftPlanner};

use super::cochleagram_config::CochleagramConfig;
use super::filter_bank::{Filter, bessel};
use super::row_kernels::{Envelope, EnvelopeVjp, VECTOR, WeightedSum};

/// The floor of the squared envelope.
pub const MIN_SQUARED_ENVELOPE: f64 = 1e-16;

/// The number of taps of the interpolation kernel.
const TAPS: usize = 12;

/// The minimum oversampling of the short inverse FFT relative to the bandwidth.
const OVERSAMPLING: f64 = 2.0;

/// Memory layout of samples and frames: row `t` holds the samples `stride * b + t` for all blocks `b`.
pub struct FrameLayout {
    arch: Arch,
    samples: usize,
    stride: usize,
    /// The length of a row without the margins.
    across: usize,
    /// Padding before and after each row, for windows that extend beyond it.
    margin: usize,
    frames: usize,
    /// For each row, the low-pass taps that fall on it: offsets from the frame in blocks, and weights.
    low_pass: Vec<(Vec<isize>, Vec<f64>)>,
}

impl FrameLayout {
    pub fn new(config: &CochleagramConfig, low_pass: &[f64]) -> Self {
        let (frames, lead) = config.frames_and_lead();
        let (samples, stride) = (config.samples, config.hop_length);
        let blocks = samples.div_ceil(stride);
        let mut taps = vec![(vec![], vec![]); stride];
        for (tap, &weight) in low_pass.iter().enumerate() {
            let at = tap as isize - lead as isize;
            let row = at.rem_euclid(stride as isize) as usize;
            taps[row].0.push(at.div_euclid(stride as isize));
            taps[row].1.push(weight);
        }
        let margin = (config.taps / stride + 2 + TAPS).next_multiple_of(VECTOR) + VECTOR;
        let across = blocks.max(frames).next_multiple_of(VECTOR);
        Self { arch: Arch::new(), samples, stride, across, margin, frames, low_pass: taps }
    }

    /// The length of a row with its margins.
    fn row(&self) -> usize {
        self.across + 2 * self.margin
    }

    /// The number of samples of the sound in row `t`.
    fn inside(&self, t: usize) -> usize {
        (self.samples + self.stride - 1 - t) / self.stride
    }
}

/// A filter with its FFT plans and interpolation kernel.
pub struct Subband {
    first: usize,
    /// The filter's amplitudes divided by the number of samples and by the kernel's frequency response.
    gains: Vec<f64>,
    /// The bin that is shifted to 0 Hz.
    middle: usize,
    /// Decimation factor: samples of the sound per sample of the short FFT.
    reduction: usize,
    to_samples: Arc<dyn Fft<f64>>,
    to_bins: Arc<dyn Fft<f64>>,
    /// Interpolation weights for each of the `reduction` phases between two samples of the short FFT.
    kernel: Vec<Vec<f64>>,
    /// The number of coarse samples by which the kernel starts before the interpolated position.
    lead: isize,
}

/// Reusable scratch buffers.
#[derive(Default)]
pub struct SubbandScratch {
    grid: Vec<Complex64>,
    scratch: Vec<Complex64>,
    /// The short FFT's samples in rows, real and imaginary parts.
    coarse: [Vec<f64>; 2],
    /// Samples at the full rate, or their gradients, for a group of rows.
    fine: [Vec<f64>; 2],
    envelope: Vec<f64>,
    frames: Vec<f64>,
}

/// The first `length` values of a buffer, which is enlarged if necessary.
fn sized<T: Clone + Default>(buffer: &mut Vec<T>, length: usize) -> &mut [T] {
    if buffer.len() < length {
        buffer.resize(length, T::default());
    }
    &mut buffer[..length]
}

impl Subband {
    pub fn new(filter: &Filter, layout: &FrameLayout, planner: &mut FftPlanner<f64>) -> Self {
        let (samples, stride) = (layout.samples, layout.stride);
        let width = filter.amplitudes.len();
        let fits = |d: &usize| {
            stride.is_multiple_of(*d)
                && samples.is_multiple_of(*d)
                && samples.is_multiple_of(stride)
                && (samples / d) as f64 >= OVERSAMPLING * width as f64
        };
        let reduction = (2..=stride).rev().find(fits).unwrap_or(1);
        let length = samples / reduction;
        let middle = filter.first + width / 2;
        let mut gains: Vec<f64> = filter.amplitudes.iter().map(|a| a / samples as f64).collect();
        let (kernel, lead) = match reduction {
            1 => (vec![vec![1.0]], 0),
            _ => {
                let shape = KaiserBessel::new(width as f64 / length as f64);
                for (i, gain) in gains.iter_mut().enumerate() {
                    let offset = (filter.first + i) as f64 - middle as f64;
                    *gain /= shape.response(offset / length as f64);
                }
                let lead = TAPS as isize / 2 - 1;
                let weight = |p: usize, k: usize| shape.at(p as f64 / reduction as f64 + lead as f64 - k as f64);
                ((0..reduction).map(|p| (0..TAPS).map(|k| weight(p, k)).collect()).collect(), lead)
            }
        };
        let (to_samples, to_bins) = (planner.plan_fft_inverse(length), planner.plan_fft_forward(length));
        Self { first: filter.first, gains, middle, reduction, to_samples, to_bins, kernel, lead }
    }

    /// The bins that the filter passes.
    pub fn bins(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.gains.len()
    }

    /// The index of the filter's first bin in the short FFT.
    fn start(&self, length: usize) -> usize {
        (self.first as isize - self.middle as isize).rem_euclid(length as isize) as usize
    }

    /// Fills the rows of the short FFT's samples, including their margins.
    fn fill_coarse(&self, layout: &FrameLayout, spectrum: &[Complex64], w: &mut SubbandScratch) {
        let length = layout.samples / self.reduction;
        let grid = sized(&mut w.grid, length);
        grid.fill(Complex64::ZERO);
        let mut place = self.start(length);
        for (bin, gain) in spectrum[self.bins()].iter().zip(&self.gains) {
            grid[place] = bin * gain;
            place = if place + 1 == length { 0 } else { place + 1 };
        }
        let scratch = sized(&mut w.scratch, self.to_samples.get_inplace_scratch_len());
        self.to_samples.process_with_scratch(grid, scratch);
        let (rows, row) = (layout.stride / self.reduction, layout.row());
        let [re, im] = &mut w.coarse;
        let (re, im) = (sized(re, rows * row), sized(im, rows * row));
        for r in 0..rows {
            for b in 0..row {
                let at = (rows * b + r) as isize - (rows * layout.margin) as isize;
                let value = grid[at.rem_euclid(length as isize) as usize];
                (re[r * row + b], im[r * row + b]) = (value.re, value.im);
            }
        }
    }

    /// The offset in the coarse rows at which the input of interpolation tap `k` for row `r` starts.
    fn tap(&self, layout: &FrameLayout, r: usize, k: usize) -> usize {
        let rows = (layout.stride / self.reduction) as isize;
        let at = r as isize + k as isize - self.lead;
        let start = layout.margin as isize + at.div_euclid(rows);
        at.rem_euclid(rows) as usize * layout.row() + start as usize
    }

    /// Interpolates the samples of row `r * reduction + p` into `output`.
    fn interpolate(&self, layout: &FrameLayout, coarse: &[f64], r: usize, p: usize, output: &mut [f64]) {
        let mut inputs: [&[f64]; TAPS] = [&[]; TAPS];
        let taps = self.kernel[p].len();
        for (k, input) in inputs.iter_mut().enumerate().take(taps) {
            *input = &coarse[self.tap(layout, r, k)..][..layout.across];
        }
        layout.arch.dispatch(WeightedSum { add: false, weights: &self.kernel[p], inputs: &inputs[..taps], output });
    }

    /// Computes the low-passed envelope, one value per frame.
    pub fn forward<'a>(&self, layout: &FrameLayout, spectrum: &[Complex64], w: &'a mut SubbandScratch) -> &'a [f64] {
        self.fill_coarse(layout, spectrum, w);
        let SubbandScratch { coarse, fine: [re, im], envelope, frames, .. } = w;
        let (across, margin) = (layout.across, layout.margin);
        let (re, im) = (sized(re, across), sized(im, across));
        let envelope = sized(envelope, layout.row());
        let frames = sized(frames, across);
        frames.fill(0.0);
        for (t, (blocks, weights)) in layout.low_pass.iter().enumerate() {
            if weights.is_empty() {
                continue;
            }
            let (r, p) = (t / self.reduction, t % self.reduction);
            self.interpolate(layout, &coarse[0], r, p, re);
            self.interpolate(layout, &coarse[1], r, p, im);
            let middle = &mut envelope[margin..][..across];
            layout.arch.dispatch(Envelope { re, im, floor: MIN_SQUARED_ENVELOPE, output: middle });
            // Outside the sound the envelope is 0, not `sqrt(MIN_SQUARED_ENVELOPE)`.
            envelope[..margin].fill(0.0);
            envelope[margin + layout.inside(t)..].fill(0.0);
            let inputs: Vec<&[f64]> =
                blocks.iter().map(|b| &envelope[(margin as isize + b) as usize..][..across]).collect();
            layout.arch.dispatch(WeightedSum { add: true, weights, inputs: &inputs, output: frames });
        }
        &frames[..layout.frames]
    }

    /// Computes the vector-Jacobian product: from the gradient of the frames to that of the bins that the filter passes.
    pub fn backward(
        &self,
        layout: &FrameLayout,
        spectrum: &[Complex64],
        gradient: &[f64],
        w: &mut SubbandScratch,
        output: &mut [Complex64],
    ) {
        self.fill_coarse(layout, spectrum, w);
        let (across, margin, row, d) = (layout.across, layout.margin, layout.row(), self.reduction);
        let rows = layout.stride / d;
        // Two sets of coarse rows: the samples, then their gradient.
        for rows_of_part in &mut w.coarse {
            sized(rows_of_part, 2 * rows * row)[rows * row..].fill(0.0);
        }
        let SubbandScratch { coarse, fine, envelope, frames, .. } = &mut *w;
        let padded = sized(envelope, row);
        padded.fill(0.0);
        padded[margin..][..layout.frames].copy_from_slice(gradient);
        let envelope_gradient = sized(frames, across);
        for r in 0..rows {
            let [re, im] = &mut *fine;
            let (re, im) = (sized(re, d * across), sized(im, d * across));
            for p in 0..d {
                let t = r * d + p;
                let (re, im) = (&mut re[p * across..][..across], &mut im[p * across..][..across]);
                self.interpolate(layout, &coarse[0][..rows * row], r, p, re);
                self.interpolate(layout, &coarse[1][..rows * row], r, p, im);
                let (blocks, weights) = &layout.low_pass[t];
                let inputs: Vec<&[f64]> =
                    blocks.iter().map(|b| &padded[(margin as isize - b) as usize..][..across]).collect();
                layout.arch.dispatch(WeightedSum { add: false, weights, inputs: &inputs, output: envelope_gradient });
                envelope_gradient[layout.inside(t)..].fill(0.0);
                layout.arch.dispatch(EnvelopeVjp { re, im, floor: MIN_SQUARED_ENVELOPE, gradient: envelope_gradient });
            }
            for part in 0..2 {
                let fine: Vec<&[f64]> = fine[part][..d * across].chunks(across).collect();
                for k in 0..self.kernel[0].len() {
                    let weights: Vec<f64> = self.kernel.iter().map(|kernel| kernel[k]).collect();
                    let output = &mut coarse[part][rows * row + self.tap(layout, r, k)..][..across];
                    layout.arch.dispatch(WeightedSum { add: true, weights: &weights, inputs: &fine, output });
                }
            }
        }
        self.coarse_to_bins(layout, w, output);
    }

    /// Transforms the gradient of the coarse rows to the bins that the filter passes.
    fn coarse_to_bins(&self, layout: &FrameLayout, w: &mut SubbandScratch, output: &mut [Complex64]) {
        let (margin, row) = (layout.margin, layout.row());
        let (rows, length) = (layout.stride / self.reduction, layout.samples / self.reduction);
        let SubbandScratch { grid, scratch, coarse, .. } = w;
        let grid = sized(grid, length);
        grid.fill(Complex64::ZERO);
        for r in 0..rows {
            let (re, im) = (&coarse[0][(rows + r) * row..][..row], &coarse[1][(rows + r) * row..][..row]);
            for b in 0..row {
                let at = (rows * b + r) as isize - (rows * margin) as isize;
                grid[at.rem_euclid(length as isize) as usize] += Complex64::new(re[b], im[b]);
            }
        }
        let scratch = sized(scratch, self.to_bins.get_inplace_scratch_len());
        self.to_bins.process_with_scratch(grid, scratch);
        let mut place = self.start(length);
        for (bin, gain) in output.iter_mut().zip(&self.gains) {
            *bin = grid[place] * gain;
            place = if place + 1 == length { 0 } else { place + 1 };
        }
    }
}

/// The Kaiser-Bessel kernel: `I0(beta sqrt(1 - (2 u / TAPS)^2)) / I0(beta)` for `|u| < TAPS / 2`.
struct KaiserBessel {
    beta: f64,
}

impl KaiserBessel {
    /// The kernel for a band that occupies this fraction of the spectrum: its main lobe ends where the band's first image begins.
    fn new(bandwidth: f64) -> Self {
        Self { beta: std::f64::consts::PI * TAPS as f64 * (1.0 - bandwidth / 2.0) * 0.995 }
    }

    /// The kernel at `u` samples from its center.
    fn at(&self, u: f64) -> f64 {
        let position = 2.0 * u / TAPS as f64;
        if position.abs() > 1.0 {
            0.0
        } else {
            bessel(self.beta * (1.0 - position * position).sqrt()) / bessel(self.beta)
        }
    }

    /// The kernel's Fourier transform at a frequency inside the main lobe.
    fn response(&self, frequency: f64) -> f64 {
        let taps = TAPS as f64;
        let root = (self.beta.powi(2) - (std::f64::consts::PI * taps * frequency).powi(2)).sqrt();
        taps * root.sinh() / root / bessel(self.beta)
    }
}
