//! Checks of a custom module before it becomes a layer.

use candle_core::{DType, Tensor, Var};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::module::{MarkedStage, Outputs};
use crate::ops::{Padding, Window, values, vjp};
use crate::{Error, Result};

/// Seed of the random cotangents.
const COTANGENT_SEED: u64 = 7;

/// Maximum difference between an input alone and in a batch, relative to the root mean square.
const MAX_RELATIVE_DIFFERENCE: f64 = 1e-4;

/// Checks that a run of a function marks as many stages as its first run, because the checks compare stages by their position.
pub(in crate::network) fn check_count(values: &[Tensor], expected: usize) -> Result<()> {
    match values.len() == expected {
        true => Ok(()),
        false => Err(Error::invalid("module", "marks other stages in another run; mark the same stages in every run")),
    }
}

/// Checks that a function keeps the batch dimension, treats its inputs independently, and returns finite, reproducible values.
pub(in crate::network) fn check_values(outputs: &Outputs<'_>, probe: &Tensor, found: &[MarkedStage]) -> Result<()> {
    let again = outputs(probe)?;
    for stage in found {
        let invalid = |reason: &str| Err(Error::invalid(format!("stage \"{}\"", stage.name), reason));
        if stage.value.dtype() != DType::F32 || !stage.value.device().is_cpu() {
            return invalid(&format!("must hold F32 values on the CPU, got {:?}", stage.value.dtype()));
        }
        if stage.value.rank() < 2 || stage.value.dims()[0] != 1 || stage.value.elem_count() == 0 {
            let dims = stage.value.dims();
            return invalid(&format!(
                "does not keep the batch: it has shape {dims:?} for a batch of 1, expected [1, ..]"
            ));
        }
        crate::finite::check(|| format!("stage \"{}\", for noise,", stage.name), &values(&stage.value)?)?;
    }
    for (stage, again) in found.iter().zip(&again) {
        let bits = |t: &Tensor| -> Result<Vec<u32>> { Ok(values(t)?.into_iter().map(f32::to_bits).collect()) };
        if stage.value.dims() != again.dims() || bits(&stage.value)? != bits(again)? {
            let reason = "gives other values for the same input at a second run; turn dropout off (forward_t(x, false)), and draw no \
                          random numbers in the function";
            return Err(Error::invalid(format!("stage \"{}\"", stage.name), reason));
        }
    }
    let two = Tensor::cat(&[probe, &(probe * 0.5)?], 0)?;
    let batch = outputs(&two).map_err(|e| Error::invalid("the module", format!("fails for a batch of 2: {e}")))?;
    for (stage, both) in found.iter().zip(&batch) {
        let name = format!("stage \"{}\"", stage.name);
        if both.dims().first() != Some(&2) || both.dims()[1..] != stage.value.dims()[1..] {
            return Err(Error::shape(
                format!("{name} for a batch of 2"),
                format!("[2, {:?}]", &stage.value.dims()[1..]),
                both.dims(),
            ));
        }
        let (alone, first) = (values(&stage.value)?, values(&both.narrow(0, 0, 1)?)?);
        let difference: Vec<f32> = alone.iter().zip(&first).map(|(a, b)| a - b).collect();
        let rms = root_mean_square(&difference);
        if rms.is_nan() || rms > MAX_RELATIVE_DIFFERENCE * root_mean_square(&alone) {
            let reason = "gives one input of a batch other values than alone; run batch normalisation with its running statistics (forward_t(x, false))";
            return Err(Error::invalid(name, reason));
        }
    }
    Ok(())
}

/// The measured receptive field of each stage's middle unit; `None` if it reaches the image's border, is empty, or does not apply.
pub(in crate::network) fn windows(outputs: &Outputs<'_>, probe: &Tensor) -> Result<Vec<Option<Window>>> {
    let x = Var::from_tensor(probe)?;
    outputs(&x)?.iter().map(|y| window(y, &x)).collect()
}

fn window(y: &Tensor, x: &Var) -> Result<Option<Window>> {
    let (&[_, channels, rows, columns], &[_, _, height, width]) = (y.dims(), x.dims()) else { return Ok(None) };
    if y.elem_count() == 0 {
        return Ok(None);
    }
    // The first and the last pixel of the fields of the units at a place; `None` at the border, and for silent units.
    let field = |place: [usize; 2]| -> Result<Option<[[usize; 2]; 2]>> {
        let mut random = ChaCha8Rng::seed_from_u64(COTANGENT_SEED);
        let mut cotangent = vec![0.0f32; y.elem_count()];
        let place = place[0] * columns + place[1];
        (0..channels).for_each(|c| cotangent[c * rows * columns + place] = 0.5 + random.random::<f32>());
        let gradient = values(&vjp(y, &Tensor::from_vec(cotangent, y.shape(), y.device())?, x)?)?;
        let (mut first, mut last) = ([height, width], [0, 0]);
        for (index, _) in gradient.iter().enumerate().filter(|(_, g)| **g != 0.0) {
            let at = [index / width % height, index % width];
            first = [0, 1].map(|axis| first[axis].min(at[axis]));
            last = [0, 1].map(|axis| last[axis].max(at[axis]));
        }
        let at_border = [0, 1].into_iter().any(|axis| first[axis] == 0 || last[axis] + 1 >= [height, width][axis]);
        Ok((!at_border && first[0] <= last[0]).then_some([first, last]))
    };
    let middle = [rows / 2, columns / 2];
    let Some([first, last]) = field(middle)? else { return Ok(None) };
    let size = [0, 1].map(|axis| last[axis] + 1 - first[axis]);
    let mut strides = [0, 1].map(|axis| {
        let ratio = [height, width][axis] as f64 / [rows, columns][axis] as f64;
        (ratio.round() as usize).max(1)
    });
    for axis in [0, 1] {
        let mut neighbor = middle;
        neighbor[axis] = middle[axis].saturating_sub(1);
        // Where both ends of the field of the unit before have moved by as much, that is the stride; silent channels hide an end.
        if let Some([before, end]) = field(neighbor)?
            && last[axis].checked_sub(end[axis]) == first[axis].checked_sub(before[axis])
            && first[axis] > before[axis]
        {
            strides[axis] = first[axis] - before[axis];
        }
    }
    // The padding puts the middle unit at its place, except behind a crop, which would need a negative padding.
    let [top, left] = [0, 1].map(|axis| (middle[axis] * strides[axis]).saturating_sub(first[axis]));
    Ok(Some(Window::new(size).strides(strides).padding(Padding { top, left, ..Padding::default() })))
}

pub(in crate::network) fn root_mean_square(values: &[f32]) -> f64 {
    (values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / values.len().max(1) as f64).sqrt()
}
