//! Comparison of a function's gradient with finite differences.

use candle_core::{DType, Tensor, Var};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::module::Outputs;
use crate::ops::vjp;
use crate::{Error, Result};

/// Seed of the random directions and projections.
const DIRECTION_SEED: u64 = 1;

/// Maximum relative error of a gradient along the change; the error of the finite differences is added to it.
///
/// Correct gradients deviated by at most 0.4 %, and by 8 % for four values whose changes nearly cancel, which rounding explains.
const MAX_ALONG: f64 = 0.05;
/// Maximum relative error on random projections. Correct gradients deviated by at most 6 %, where two values under a max pool were
/// nearly equal.
const MAX_PROJECTED: f64 = 0.1;

/// Threshold for chance deviations, in standard deviations.
const CHANCE_DEVIATIONS: f64 = 3.0;

/// Maximum relative error of usable finite differences.
const MAX_NOISE: f64 = 0.4;

/// Number of random directions in which all inputs change at once.
const DIRECTIONS: usize = 2;
/// Number of random projections of a stage's values.
const PROJECTIONS: usize = 4;

/// Step sizes, as fractions of the input's root mean square. A longer step crosses the corners of more rectifiers; a shorter one
/// drowns in rounding error.
const STEP_SIZES: [f64; 6] = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3];
/// Factor on the step sizes in float64, which rounds less.
const F64_STEP_FACTOR: f64 = 1e-3;

/// Assumed rounding error of a value, in machine epsilons.
const ROUNDING_EPSILONS: f64 = 20.0;

/// Relative errors of a gradient against finite differences: the largest over the directions.
#[derive(Clone, Copy, Debug)]
pub(in crate::network) struct GradientDeviation {
    /// Error along the change.
    pub along: f64,
    /// Root-mean-square error on random projections.
    pub projected: f64,
    /// Error of the finite differences.
    pub noise: f64,
    /// The number of values that changed.
    pub values: usize,
}

impl GradientDeviation {
    /// The deviation that exceeds its tolerance, if any.
    pub fn excess(self) -> Option<f64> {
        let excess = |deviation: f64, max: f64| (deviation.is_nan() || deviation > max).then_some(deviation);
        // The noise is isotropic: its component along the change is its square, plus a chance component if few values changed.
        let along = self.noise.powi(2) + CHANCE_DEVIATIONS * self.noise / (self.values as f64).sqrt();
        excess(self.along, MAX_ALONG + along).or(excess(self.projected, MAX_PROJECTED + 2.0 * self.noise))
    }
}

/// Relative errors of the gradient of each of a function's `outputs` at `x`; `None` if nothing changed or the finite differences are
/// unreliable.
///
/// `d = (f(x + h v) - f(x - h v)) / 2h` estimates the Jacobian-vector product `J v` for a random direction `v` of components 1 and
/// -1. The step `h` with the least noise is used; the noise is the relative difference from the next step's `d`, which detects
/// corners, plus a bound on the rounding error. For a vector `p`, candle's `g = p J` should satisfy `g v = p d`. `names` identify the
/// outputs in errors.
///
/// Along the change, `p` is `d` and the relative error is `|p d - g v| / (d d)`: noise averages out, and a gradient of 0 has the
/// error 1. This alone would miss spurious gradients where the true gradient is 0. Random projections `p` complement it; their error
/// is `|p d - g v| / norm2(d)`.
pub(in crate::network) fn gradient_deviations(
    outputs: &Outputs<'_>,
    x: &Tensor,
    names: &[String],
) -> Result<Vec<Option<GradientDeviation>>> {
    // Uses float64 if the function supports it: its rounding error is 5e8 times smaller.
    let x_f64 = x.to_dtype(DType::F64)?;
    let x = match outputs(&x_f64) {
        Ok(found) if found.iter().all(|y| y.dtype() == DType::F64) => x_f64,
        _ => x.clone(),
    };
    let (epsilon, step_factor) = match x.dtype() {
        DType::F64 => (f64::EPSILON, F64_STEP_FACTOR),
        _ => (f64::from(f32::EPSILON), 1.0),
    };
    let count = x.elem_count();
    let rms = (dot(&doubles(&x)?, &doubles(&x)?) / count as f64).sqrt().max(f64::MIN_POSITIVE);
    let mut random = ChaCha8Rng::seed_from_u64(DIRECTION_SEED);
    let at = Var::from_tensor(&x)?;
    let values = outputs(&at)?;
    let mut projections = vec![];
    for (y, name) in values.iter().zip(names) {
        let stage_projections = (0..PROJECTIONS).map(|_| {
            let p: Vec<f64> = (0..y.elem_count()).map(|_| StandardNormal.sample(&mut random)).collect();
            Ok((gradient(y, &p, &at, name)?, p))
        });
        projections.push(stage_projections.collect::<Result<Vec<_>>>()?);
    }
    let mut worst: Vec<Option<GradientDeviation>> = vec![None; names.len()];
    for _ in 0..DIRECTIONS {
        let v: Vec<f64> = (0..count).map(|_| if random.random::<bool>() { 1.0 } else { -1.0 }).collect();
        let at_step = |h: f64| differences(outputs, &x, &v, h, ROUNDING_EPSILONS * epsilon);
        for (index, found) in least_noise(at_step, step_factor * rms)?.into_iter().enumerate() {
            let Some(FiniteDifference { d, noise }) = found.filter(|found| found.noise < MAX_NOISE) else { continue };
            let size = dot(&d, &d);
            let along = (size - dot(&gradient(&values[index], &d, &at, &names[index])?, &v)).abs() / size;
            let squares = projections[index].iter().map(|(g, p)| (dot(p, &d) - dot(g, &v)).powi(2) / size);
            let projected = (squares.sum::<f64>() / PROJECTIONS as f64).sqrt();
            let values = d.iter().filter(|d| **d != 0.0).count();
            let now = GradientDeviation { along, projected, noise, values };
            worst[index] = Some(worst[index].map_or(now, |before| before.or_worse(now)));
        }
    }
    Ok(worst)
}

/// Compares candle's gradient of a function of one number, identified by `name`, with finite differences at `x`.
pub(crate) fn check_gradient(name: &str, x: &Tensor, function: &dyn Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
    let value = doubles(&function(x)?)?;
    if let Some(value) = value.iter().find(|value| !value.is_finite()) {
        return Err(Error::invalid(name, format!("is {value} for a noise input; it must be finite")));
    }
    let found = gradient_deviations(&|x: &Tensor| Ok(vec![function(x)?]), x, &[name.to_owned()])?;
    match found.into_iter().flatten().find_map(GradientDeviation::excess) {
        Some(deviation) => {
            let percent = 100.0 * deviation;
            let reason = format!("has a wrong gradient: it is off by {percent:.0} % from finite differences. {ADVICE}");
            Err(Error::invalid(name, reason))
        }
        None => Ok(()),
    }
}

impl GradientDeviation {
    fn or_worse(self, other: Self) -> Self {
        match (self.excess(), other.excess()) {
            (Some(_), None) => self,
            (None, None) if self.along >= other.along => self,
            _ => other,
        }
    }
}

fn gradient(y: &Tensor, p: &[f64], at: &Var, name: &str) -> Result<Vec<f64>> {
    let cotangent = Tensor::from_slice(p, y.shape(), y.device())?.to_dtype(y.dtype())?;
    let failed = |e: Error| {
        // candle's errors include a backtrace when backtraces are enabled.
        let first = e.to_string().lines().next().unwrap_or_default().to_owned();
        Error::invalid(name, format!("candle has no gradient for it ({first}). {ADVICE}"))
    };
    let gradient = doubles(&vjp(y, &cotangent, at).map_err(failed)?)?;
    if gradient.iter().any(|g| !g.is_finite()) {
        let reason = format!("its gradient for a noise input has values that are not finite. {ADVICE}");
        return Err(Error::invalid(name, reason));
    }
    Ok(gradient)
}

/// A Jacobian-vector product by finite differences, and its relative error.
struct FiniteDifference {
    d: Vec<f64>,
    noise: f64,
}

/// The finite difference of each output with the least noise, among those that `at_step` returns for [`STEP_SIZES`] relative to
/// `scale`; `None` if nothing changes.
fn least_noise(
    at_step: impl Fn(f64) -> Result<Vec<Option<FiniteDifference>>>,
    scale: f64,
) -> Result<Vec<Option<FiniteDifference>>> {
    let mut best: Vec<Option<FiniteDifference>> = vec![];
    let mut before: Vec<Option<FiniteDifference>> = vec![];
    for fraction in STEP_SIZES {
        let now = at_step(fraction * scale)?;
        best.resize_with(now.len(), || None);
        for ((best, before), now) in best.iter_mut().zip(&mut before).zip(&now) {
            let (Some(FiniteDifference { d, noise }), Some(longer)) = (before.take(), now) else { continue };
            let difference: f64 = d.iter().zip(&longer.d).map(|(a, b)| (a - b) * (a - b)).sum();
            let noise = noise + (difference / dot(&d, &d)).sqrt();
            if best.as_ref().is_none_or(|best| noise < best.noise) {
                *best = Some(FiniteDifference { d, noise });
            }
        }
        before = now;
    }
    Ok(best)
}

/// Central differences of each output along `v` with step `h`; their noise is the rounding error, from the relative error `rounding`
/// of the values.
fn differences(
    outputs: &Outputs<'_>,
    x: &Tensor,
    v: &[f64],
    h: f64,
    rounding: f64,
) -> Result<Vec<Option<FiniteDifference>>> {
    let change = (Tensor::from_slice(v, x.shape(), x.device())? * h)?.to_dtype(x.dtype())?;
    let (above, below) = (outputs(&(x + &change)?)?, outputs(&(x - &change)?)?);
    let mut found = vec![];
    for (a, b) in above.iter().zip(&below) {
        let (a, b) = (doubles(a)?, doubles(b)?);
        let changed = a.iter().zip(&b).filter(|(a, b)| a != b);
        let (square, size) = changed.fold((0.0, 0.0), |(d, s), (a, b)| (d + (a - b) * (a - b), s + a * a + b * b));
        let d = || a.iter().zip(&b).map(|(a, b)| (a - b) / (2.0 * h)).collect();
        found.push((square > 0.0).then(|| FiniteDifference { d: d(), noise: rounding * f64::sqrt(size / square) }));
    }
    Ok(found)
}

fn doubles(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Advice for a module with a wrong gradient.
pub(in crate::network) const ADVICE: &str = "candle's own max_pool2d, avg_pool2d and conv2d (for images that are not square) have wrong gradients \
                                 or none: use MaxPool2d, AvgPool2d and Conv2d of metamers::ops, such as \
                                 MaxPool2d::new(Window::square(3).stride(2)).apply(&x)?; do not detach tensors; use StageMarker::relu for the \
                                 surrogate gradient of a rectifier, and put a Cochleagram before the module (Builder::module)";
