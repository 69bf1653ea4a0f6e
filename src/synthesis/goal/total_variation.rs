//! Total variation.

/// Smoothing of the square root at 0, in units of pixel values: a quarter of a grey level of 8 bits.
const EPSILON: f64 = 1e-3;

/// The mean over all values of `sqrt(dx^2 + dy^2 + e^2) - e` with the differences to the next value of the row and of the column
/// (Rudin, Osher & Fatemi, 1992), 0 behind the border. Adds its gradient times `weight` to `gradient`.
pub(super) fn total_variation(x: &[f64], [height, width]: [usize; 2], weight: f64, gradient: &mut [f64]) -> f64 {
    let (scale, mut sum) = (weight / x.len() as f64, 0.0);
    for (x, gradient) in x.chunks_exact(height * width).zip(gradient.chunks_exact_mut(height * width)) {
        for at in 0..height * width {
            let right = (at % width + 1 < width).then_some(at + 1);
            let below = (at + width < height * width).then_some(at + width);
            let difference = |next: Option<usize>| next.map_or(0.0, |next| x[next] - x[at]);
            let (across, down) = (difference(right), difference(below));
            let length = (across * across + down * down + EPSILON * EPSILON).sqrt();
            sum += length - EPSILON;
            for (next, d) in [(right, across), (below, down)] {
                if let Some(next) = next {
                    gradient[next] += scale * d / length;
                    gradient[at] -= scale * d / length;
                }
            }
        }
    }
    sum / x.len() as f64
}
