//! The difference of a stage's activations to their target.
//!
//! Sums are taken in a fixed number of lanes, so that they do not depend on the instruction set.

use super::simd::{Job, Simd, run_selected};

/// Partial sums, which the compiler keeps in vector registers.
const LANES: usize = 8;

/// Units of a matched stage: values before its rectifier, target activations, the rectifier, and whether the gradient passes it.
pub(crate) struct Residuals<'a, A, P> {
    pub z: &'a [f32],
    pub target: &'a [f32],
    pub activation: &'a A,
    pub passes: &'a P,
    /// Computes the sum of the matching loss too; without it that sum is 0.
    pub with_matching: bool,
}

impl<A: Fn(f32) -> f32, P: Fn(f32) -> bool> Residuals<'_, A, P> {
    /// Writes the residual of each unit, or 0 where the gradient does not pass; returns the sums of the squares and of the matching
    /// loss.
    pub fn write(&self, residuals: &mut [f32]) -> [f64; 2] {
        let mut sums = [[0.0; LANES]; 2];
        // SAFETY: the job holds slices.
        unsafe { run_selected(Write { units: self, residuals, sums: &mut sums }) };
        sums.map(|sums| sums.iter().sum())
    }
}

struct Write<'a, 'b, A, P> {
    units: &'a Residuals<'b, A, P>,
    residuals: &'a mut [f32],
    sums: &'a mut [[f64; LANES]; 2],
}

impl<A: Fn(f32) -> f32, P: Fn(f32) -> bool> Job for Write<'_, '_, A, P> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { units, residuals, sums: [square, matching] } = self;
        let &Residuals { z, target, activation, passes, with_matching } = units;
        // One short loop for each step, which the compiler vectorises.
        let mut add = |to: &mut [f32; LANES], z: &[f32; LANES], a: &[f32; LANES]| {
            let (mut c, mut residual) = ([0f32; LANES], [0f64; LANES]);
            for i in 0..LANES {
                c[i] = activation(z[i]);
            }
            for i in 0..LANES {
                residual[i] = f64::from(c[i]) - f64::from(a[i]);
            }
            for i in 0..LANES {
                square[i] += residual[i] * residual[i];
            }
            if with_matching {
                // The expanded form suffers from cancellation near a match.
                for i in 0..LANES {
                    matching[i] += residual[i] * (f64::from(z[i]) - 0.5 * (f64::from(c[i]) + f64::from(a[i])));
                }
            }
            for i in 0..LANES {
                to[i] = if passes(z[i]) { c[i] - a[i] } else { 0.0 };
            }
        };
        let (to, last_to) = residuals.as_chunks_mut();
        let ((z, last_z), (a, last_a)) = (z.as_chunks(), target.as_chunks());
        for (to, (z, a)) in to.iter_mut().zip(z.iter().zip(a)) {
            add(to, z, a);
        }
        // Padded with units that match.
        let (mut rest, mut rest_z, mut rest_a) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        rest_z[..last_z.len()].copy_from_slice(last_z);
        rest_a[..last_a.len()].copy_from_slice(last_a);
        add(&mut rest, &rest_z, &rest_a);
        last_to.copy_from_slice(&rest[..last_to.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Isa;
    use crate::ops::Relu;

    #[test]
    fn residuals_and_sums_equal_plain_ones_on_every_instruction_set() {
        for n in [0, 1, 7, 8, 37] {
            let z: Vec<f32> = (0..n).map(|i| (i * 37 % 19) as f32 - 6.0).collect();
            let target: Vec<f32> = (0..n).map(|i| (i * 11 % 7) as f32).collect();
            let activation = |z: f32| Relu::RELU6.value(z);
            let passes = |z: f32| Relu::RELU6.passes(z);
            let units = |i: usize| (z[i], activation(z[i]), target[i]);
            let square: f64 = (0..n).map(units).map(|(_, c, a)| f64::from(c - a).powi(2)).sum();
            let matching = (0..n).map(units).map(|(z, c, a)| f64::from((c - a) * (z - 0.5 * (c + a))));
            let matching: f64 = matching.sum();
            for with_matching in [true, false] {
                let units =
                    Residuals { z: &z, target: &target, activation: &activation, passes: &passes, with_matching };
                for isa in Isa::available() {
                    let (mut residuals, mut sums) = (vec![f32::NAN; n], [[0.0; LANES]; 2]);
                    // SAFETY: the processor has the available instruction sets.
                    unsafe { isa.run(Write { units: &units, residuals: &mut residuals, sums: &mut sums }) };
                    let expected = |i: usize| if passes(z[i]) { activation(z[i]) - target[i] } else { 0.0 };
                    assert!((0..n).all(|i| residuals[i] == expected(i)), "{isa}: {residuals:?}");
                    // Sums of small integers and halves are exact.
                    let sums = sums.map(|sums| sums.iter().sum::<f64>());
                    assert_eq!(sums, [square, if with_matching { matching } else { 0.0 }], "{isa}");
                    assert_eq!(units.write(&mut residuals), sums);
                }
            }
        }
    }
}
