//! Whether the gradient of a function is the one that finite differences measure.

use candle_core::{DType, Tensor, Var};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::module::Outputs;
use crate::ops::pull_back;
use crate::{Error, Result};

/// Of the random directions.
const SEED: u64 = 1;

/// A gradient is wrong that is off by more than these shares of the change: along the change, and beside it, where corners of rectifiers
/// and rounding tell.
const MOST: [f64; 2] = [0.05, 0.15];

/// So many random directions, in which all inputs change at once. Of a single input a late stage changes by little more than its rounding.
const DIRECTIONS: usize = 4;

/// Steps, as shares of the input's root mean square. The share of rectifiers whose corner a step crosses grows with it, and with the
/// root of that share what is off; a step that is too small drowns in rounding. The one with the best agreement counts.
/// float64 rounds less, and its steps are a thousand times as short.
const STEPS: [f64; 5] = [1e-4, 3e-5, 3e-4, 1e-3, 1e-5];
const WIDE: f64 = 1e-3;

/// A change counts when it is so many times larger than the rounding of the values that changed.
const ABOVE_ROUNDING: f64 = 200.0;

/// How far a gradient is off, as a share of the change that finite differences measure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Off {
    pub along: f64,
    pub beside: f64,
}

impl Off {
    /// How far it is off where that is too far.
    pub fn too_far(self) -> Option<f64> {
        [self.along, self.beside]
            .into_iter()
            .zip(MOST)
            .find(|(off, most)| off.is_nan() || off > most)
            .map(|(off, _)| off)
    }
}

/// How far the gradient of each of a function's `outputs` is off at `x`; `None` where nothing changed.
///
/// In a direction `v`, `d = (f(x + h v) - f(x - h v)) / 2h` is what finite differences measure of the Jacobian times `v`. With `p` the `d` of a
/// first random direction, all inputs changing by the same amount, candle's `g = p J` should give `g v = p d`. Along that direction
/// `|p d - g v| / (norm2(p) norm2(d))` is off; what corners and rounding do to single outputs averages out. It is 1 for a gradient that is 0.
/// Along others, `p` is a random vector, `p d` is about as large as the root of the sum of `(p d)^2` over the outputs, and `|p d - g v|` over
/// that is off beside the change, as root mean square over these directions.
pub(super) fn off_by(outputs: &Outputs<'_>, x: &Tensor, names: &[String]) -> Result<Vec<Option<Off>>> {
    // In float64 where the function can, which rounds a thousand million times less.
    let wide = x.to_dtype(DType::F64)?;
    let x = match outputs(&wide) {
        Ok(found) if found.iter().all(|y| y.dtype() == DType::F64) => wide,
        _ => x.clone(),
    };
    let (epsilon, shortened) = match x.dtype() {
        DType::F64 => (f64::EPSILON, WIDE),
        _ => (f64::from(f32::EPSILON), 1.0),
    };
    let count = x.elem_count();
    let rms = (doubles(&x)?.iter().map(|v| v * v).sum::<f64>() / count as f64).sqrt().max(f64::MIN_POSITIVE);
    let x = &x;
    let scale = shortened * rms;
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut all = || -> Vec<f64> { (0..count).map(|_| if random.random::<bool>() { 1.0 } else { -1.0 }).collect() };
    let differences = |v: &[f64], h: f64| differences(outputs, x, v, h, ABOVE_ROUNDING * epsilon);

    let v = all();
    let mut p: Vec<Option<Vec<f64>>> = vec![None; names.len()];
    for share in STEPS {
        let found = differences(&v, share * scale)?;
        p.iter_mut().zip(found).for_each(|(p, found)| *p = p.take().or(found));
        if p.iter().all(Option::is_some) {
            break;
        }
    }
    let at = Var::from_tensor(x)?;
    let mut stages = vec![];
    for ((y, p), name) in outputs(&at)?.iter().zip(p).zip(names) {
        let p = p.unwrap_or_else(|| vec![1.0; y.elem_count()]);
        stages.push(Stage { gradient: gradient(y, &p, &at, name)?, p });
    }
    let along = best_step(&stages, &v, scale, Kind::Along, &differences)?;
    let mut beside: Vec<Vec<f64>> = vec![vec![]; stages.len()];
    for _ in 1..DIRECTIONS {
        let found = best_step(&stages, &all(), scale, Kind::Beside, &differences)?;
        beside.iter_mut().zip(found).for_each(|(beside, found)| beside.extend(found));
    }
    let off = |(along, beside): (Option<f64>, Vec<f64>)| {
        along.map(|along| Off { along, beside: root_mean_square(&beside).unwrap_or(0.0) })
    };
    Ok(along.into_iter().zip(beside).map(off).collect())
}

/// What one stage's values are projected on, and the gradient of that.
struct Stage {
    p: Vec<f64>,
    gradient: Vec<f64>,
}

fn gradient(y: &Tensor, p: &[f64], at: &Var, name: &str) -> Result<Vec<f64>> {
    let cotangent = Tensor::from_slice(p, y.shape(), y.device())?.to_dtype(y.dtype())?;
    let failed = |e: Error| {
        // candle's errors bring a backtrace along, where one is switched on.
        let first = e.to_string().lines().next().unwrap_or_default().to_owned();
        Error::invalid(format!("stage \"{name}\""), format!("candle has no gradient for it ({first}). {ADVICE}"))
    };
    let gradient = doubles(&pull_back(y, &cotangent, at).map_err(failed)?)?;
    if gradient.iter().any(|g| !g.is_finite()) {
        let reason = format!("its gradient holds values that are not finite, at a plain noise input. {ADVICE}");
        return Err(Error::invalid(format!("stage \"{name}\""), reason));
    }
    Ok(gradient)
}

/// What changes of each output along `v`, divided by twice the step; `None` where it is no more than `least` of the values.
fn differences(outputs: &Outputs<'_>, x: &Tensor, v: &[f64], h: f64, least: f64) -> Result<Vec<Option<Vec<f64>>>> {
    let change = (Tensor::from_slice(v, x.shape(), x.device())? * h)?.to_dtype(x.dtype())?;
    let (above, below) = (outputs(&(x + &change)?)?, outputs(&(x - &change)?)?);
    let mut found = vec![];
    for (a, b) in above.iter().zip(&below) {
        let (a, b) = (doubles(a)?, doubles(b)?);
        let changed = a.iter().zip(&b).filter(|(a, b)| a != b);
        let (square, size) = changed.fold((0.0, 0.0), |(d, s), (a, b)| (d + (a - b) * (a - b), s + a * a + b * b));
        let counts = square.sqrt() > least * f64::sqrt(size);
        found.push(counts.then(|| a.iter().zip(&b).map(|(a, b)| (a - b) / (2.0 * h)).collect()));
    }
    Ok(found)
}

/// Whether a direction is the one along which `p` was measured.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Along,
    Beside,
}

/// What changes of each output along a direction, for a step.
type Differences<'a> = dyn Fn(&[f64], f64) -> Result<Vec<Option<Vec<f64>>>> + 'a;

/// How far each stage's gradient is off along `v`, at the step with the best agreement.
fn best_step(
    stages: &[Stage],
    v: &[f64],
    scale: f64,
    kind: Kind,
    differences: &Differences<'_>,
) -> Result<Vec<Option<f64>>> {
    let mut best: Vec<Option<f64>> = vec![None; stages.len()];
    for share in STEPS {
        for ((d, stage), best) in differences(v, share * scale)?.into_iter().zip(stages).zip(&mut best) {
            let Some(d) = d else { continue };
            let changed = d.iter().zip(&stage.p).filter(|(d, _)| **d != 0.0);
            let (mut pd, mut dd, mut pp, mut squares) = (0.0, 0.0, 0.0, 0.0);
            for (d, p) in changed {
                (pd, dd, pp, squares) = (pd + p * d, dd + d * d, pp + p * p, squares + (p * d) * (p * d));
            }
            let expected: f64 = stage.gradient.iter().zip(v).map(|(g, v)| g * v).sum();
            // Where `p` is 0 wherever something changed, it tells nothing.
            if squares > 0.0 {
                let size = if kind == Kind::Along { pp.sqrt() * dd.sqrt() } else { squares.sqrt() };
                let off = (pd - expected).abs() / size;
                *best = Some(best.map_or(off, |best: f64| best.min(off)));
            }
        }
        if best.iter().all(|best| best.is_some_and(|off| off < MOST[kind as usize] / 5.0)) {
            break;
        }
    }
    Ok(best)
}

fn doubles(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
}

fn root_mean_square(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().map(|v| v * v).sum();
    (!values.is_empty()).then(|| (sum / values.len() as f64).sqrt())
}

/// What to do about a wrong gradient.
pub(super) const ADVICE: &str = "candle's own max_pool2d, avg_pool2d and conv2d (of pictures that are not square) have wrong gradients \
                                 or none: take MaxPool2d, AvgPool2d and Conv2d of metamers::ops, such as \
                                 MaxPool2d::new(Window::square(3).stride(2)).apply(&x)?; detach nothing; take StageMarker::relu for the \
                                 surrogate gradient of a rectifier, and put a Cochleagram before the module (Builder::module)";
