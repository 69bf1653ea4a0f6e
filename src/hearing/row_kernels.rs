//! SIMD kernels over rows of samples.
//!
//! Row `t` holds the samples `stride * b + t` for all `b`, so every loop below runs along a contiguous row.

use pulp::{Simd, WithSimd};

/// Granularity of row lengths: a multiple of every SIMD width.
pub const VECTOR: usize = 16;

/// A weighted sum of rows: `output[b] = sum_k weights[k] * inputs[k][b]`, or `+=` with `add`.
pub struct WeightedSum<'a> {
    pub add: bool,
    pub weights: &'a [f64],
    pub inputs: &'a [&'a [f64]],
    pub output: &'a mut [f64],
}

impl WithSimd for WeightedSum<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (output, rest) = S::as_mut_simd_f64s(self.output);
        let length = output.len() * (size_of::<S::f64s>() / 8);
        debug_assert!(rest.is_empty());
        if !self.add {
            output.iter_mut().for_each(|y| *y = simd.splat_f64s(0.0));
        }
        // Four inputs at a time need fewer passes over the output.
        for (weights, inputs) in self.weights.chunks(4).zip(self.inputs.chunks(4)) {
            match (weights, inputs) {
                (&[w0, w1, w2, w3], &[a, b, c, d]) => {
                    let [w0, w1, w2, w3] = [w0, w1, w2, w3].map(|w| simd.splat_f64s(w));
                    let [a, b, c, d] = [a, b, c, d].map(|input| S::as_simd_f64s(&input[..length]).0);
                    for ((((y, a), b), c), d) in output.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                        let near = simd.mul_add_e_f64s(w1, *b, simd.mul_add_e_f64s(w0, *a, *y));
                        *y = simd.mul_add_e_f64s(w3, *d, simd.mul_add_e_f64s(w2, *c, near));
                    }
                }
                _ => {
                    for (w, input) in weights.iter().zip(inputs) {
                        let w = simd.splat_f64s(*w);
                        for (y, x) in output.iter_mut().zip(S::as_simd_f64s(&input[..length]).0) {
                            *y = simd.mul_add_e_f64s(w, *x, *y);
                        }
                    }
                }
            }
        }
    }
}

/// The envelope of a complex signal: `output = sqrt(max(re^2 + im^2, floor))`.
pub struct Envelope<'a> {
    pub re: &'a [f64],
    pub im: &'a [f64],
    pub floor: f64,
    pub output: &'a mut [f64],
}

impl WithSimd for Envelope<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let floor = simd.splat_f64s(self.floor);
        let (output, _) = S::as_mut_simd_f64s(self.output);
        let (re, im) = (S::as_simd_f64s(self.re).0, S::as_simd_f64s(self.im).0);
        for ((y, re), im) in output.iter_mut().zip(re).zip(im) {
            let square = simd.mul_add_e_f64s(*re, *re, simd.mul_f64s(*im, *im));
            *y = simd.sqrt_f64s(simd.max_f64s(square, floor));
        }
    }
}

/// The vector-Jacobian product of the envelope: `re *= g / |z|`, `im *= g / |z|`, and 0 where `|z|^2 < floor`.
pub struct EnvelopeVjp<'a> {
    pub re: &'a mut [f64],
    pub im: &'a mut [f64],
    pub floor: f64,
    pub gradient: &'a [f64],
}

impl WithSimd for EnvelopeVjp<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (floor, zero) = (simd.splat_f64s(self.floor), simd.splat_f64s(0.0));
        let (re, im) = (S::as_mut_simd_f64s(self.re).0, S::as_mut_simd_f64s(self.im).0);
        let gradient = S::as_simd_f64s(self.gradient).0;
        for ((re, im), g) in re.iter_mut().zip(im).zip(gradient) {
            let square = simd.mul_add_e_f64s(*re, *re, simd.mul_f64s(*im, *im));
            let size = simd.sqrt_f64s(simd.max_f64s(square, floor));
            let silent = simd.less_than_f64s(square, floor);
            let factor = simd.select_f64s(silent, zero, simd.div_f64s(*g, size));
            *re = simd.mul_f64s(*re, factor);
            *im = simd.mul_f64s(*im, factor);
        }
    }
}
