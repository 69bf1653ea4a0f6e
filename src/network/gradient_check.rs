//! Whether the gradient of a function is the one that finite differences measure.

use candle_core::{DType, Tensor, Var};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::module::Outputs;
use crate::ops::pull_back;
use crate::{Error, Result};

/// Of the random vectors.
const SEED: u64 = 1;

/// A gradient that is off by more than this share of the change is wrong.
pub(super) const MOST: f64 = 0.05;

/// So many random directions in which all inputs change at once, and so many in which one input does.
const DIRECTIONS: [usize; 2] = [4, 4];

/// Steps, as shares of the input's root mean square. The share of rectifiers whose corner a step crosses grows with it, and with the
/// root of that share what is off; a step that is too small drowns in rounding. The one with the best agreement counts. A single input has
/// less effect, and steps ten times as long; float64 rounds less, and its steps are a thousand times as short.
const STEPS: [f64; 5] = [1e-4, 3e-5, 3e-4, 1e-3, 1e-5];
const SINGLE: f64 = 10.0;
const WIDE: f64 = 1e-3;

/// A change counts when it is so many times larger than the rounding of the values that changed.
const ABOVE_ROUNDING: f64 = 200.0;

/// How far the gradient of each of a function's `outputs` is off at `x`.
///
/// With a random vector `p` and the stage's Jacobian `J`, `g = p J` is what candle gives. In each of several random directions `v` finite
/// differences give `d = (f(x + h v) - f(x - h v)) / 2h`, and `|p d - g v| / norm2(d)` is how far `g` is off. It is about 1 for a gradient
/// that is zero or that of another function. The result is the larger of the root mean square over the directions in which all inputs
/// change and the median over those in which one changes; `None` where nothing changed.
pub(super) fn off_by(outputs: &Outputs<'_>, x: &Tensor, names: &[String]) -> Result<Vec<Option<f64>>> {
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
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let at = Var::from_tensor(&x)?;
    let mut stages = vec![];
    for (y, name) in outputs(&at)?.iter().zip(names) {
        let p: Vec<f64> = (0..y.elem_count()).map(|_| StandardNormal.sample(&mut random)).collect();
        let cotangent = Tensor::from_slice(&p, y.shape(), y.device())?.to_dtype(y.dtype())?;
        let failed = |e: Error| {
            // candle's errors bring a backtrace along, where one is switched on.
            let first = e.to_string().lines().next().unwrap_or_default().to_owned();
            Error::invalid(format!("stage \"{name}\""), format!("candle has no gradient for it ({first}). {ADVICE}"))
        };
        let g = doubles(&pull_back(y, &cotangent, &at).map_err(failed)?)?;
        if g.iter().any(|g| !g.is_finite()) {
            let reason = format!("its gradient holds values that are not finite, at a plain noise input. {ADVICE}");
            return Err(Error::invalid(format!("stage \"{name}\""), reason));
        }
        stages.push((p, g));
    }
    let count = x.elem_count();
    let rms = (doubles(&x)?.iter().map(|v| v * v).sum::<f64>() / count as f64).sqrt().max(f64::MIN_POSITIVE);
    // One row for each stage: what was found with all inputs changed, and with one.
    let mut found: Vec<[Vec<f64>; 2]> = vec![Default::default(); stages.len()];
    for (kind, directions) in DIRECTIONS.into_iter().enumerate() {
        for _ in 0..directions {
            let mut v = vec![0.0; count];
            match kind {
                0 => v.iter_mut().for_each(|v| *v = if random.random::<bool>() { 1.0 } else { -1.0 }),
                _ => v[random.random_range(0..count)] = 1.0,
            }
            let scale = shortened * rms * if kind == 0 { 1.0 } else { SINGLE };
            let best = along(outputs, &x, &v, scale, &stages, epsilon)?;
            found.iter_mut().zip(best).for_each(|(found, best)| found[kind].extend(best));
        }
    }
    Ok(found
        .into_iter()
        .map(|[all, single]| [root_mean_square(&all), median(single)].into_iter().flatten().reduce(f64::max))
        .collect())
}

/// How far each stage's gradient is off along `v`, at the step with the best agreement.
fn along(
    outputs: &Outputs<'_>,
    x: &Tensor,
    v: &[f64],
    scale: f64,
    stages: &[(Vec<f64>, Vec<f64>)],
    epsilon: f64,
) -> Result<Vec<Option<f64>>> {
    let step = Tensor::from_slice(v, x.shape(), x.device())?;
    let mut best: Vec<Option<f64>> = vec![None; stages.len()];
    for share in STEPS {
        let h = share * scale;
        let change = (&step * h)?.to_dtype(x.dtype())?;
        let (above, below) = (outputs(&(x + &change)?)?, outputs(&(x - &change)?)?);
        for (((a, b), (p, g)), best) in above.iter().zip(&below).zip(stages).zip(&mut best) {
            let (a, b) = (doubles(a)?, doubles(b)?);
            let (mut square, mut changed, mut projected) = (0.0, 0.0, 0.0);
            for ((a, b), p) in a.iter().zip(&b).zip(p).filter(|((a, b), _)| a != b) {
                square += (a - b) * (a - b);
                changed += a * a + b * b;
                projected += p * (a - b);
            }
            if square.sqrt() <= ABOVE_ROUNDING * epsilon * changed.sqrt() {
                continue;
            }
            let expected: f64 = g.iter().zip(v).map(|(g, v)| g * v).sum();
            let off = (projected / (2.0 * h) - expected).abs() / (square.sqrt() / (2.0 * h));
            *best = Some(best.map_or(off, |best: f64| best.min(off)));
        }
        if best.iter().all(|best| best.is_some_and(|off| off < MOST / 5.0)) {
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

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// What to do about a wrong gradient.
pub(super) const ADVICE: &str = "candle's own max_pool2d, avg_pool2d and conv2d (of pictures that are not square) have wrong gradients \
                                 or none: take MaxPool2d, AvgPool2d and Conv2d of metamers::ops, such as \
                                 MaxPool2d::new(Window::square(3).stride(2)).apply(&x)?; detach nothing; take StageMarker::relu for the \
                                 surrogate gradient of a rectifier, and put a Cochleagram before the module (Builder::module)";
