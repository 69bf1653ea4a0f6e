//! Steps from coarse to fine.

use super::optimizer::Planes;
use super::optimizer::cosines::Cosines;

/// Restricts the steps of the first half of a run to low frequencies, fewer at first.
#[derive(Clone)]
pub(super) struct LowPass {
    cosines: std::sync::Arc<Cosines>,
    /// The frequency of each coefficient of a plane, relative to the highest along an axis.
    frequencies: std::sync::Arc<[f32]>,
    levels: usize,
    /// The steps of each level.
    steps: usize,
}

impl LowPass {
    /// `steps` is the number of steps of the run.
    pub fn new(planes: Planes, levels: usize, steps: usize) -> Self {
        let cosines = Cosines::new(planes, Default::default());
        let [height, width] = cosines.size();
        let frequency = |at: usize| {
            let [y, x] = cosines.frequency(at);
            (y as f32 / height as f32).hypot(x as f32 / width as f32)
        };
        let frequencies = (0..cosines.area()).map(frequency).collect();
        Self { frequencies, cosines: cosines.into(), levels, steps: (steps / 2 / levels.max(1)).max(1) }
    }

    /// The frequency below which a step changes the stimulus; `None` for all frequencies.
    pub fn cutoff(&self, step: usize) -> Option<f32> {
        let level = step / self.steps;
        (level < self.levels).then(|| 0.5f32.powi((self.levels - level) as i32))
    }

    /// Removes the high frequencies of the change from `last` to `x`.
    pub fn restrict(&self, x: &mut [f32], last: &[f32], step: usize) {
        let Some(cutoff) = self.cutoff(step) else { return };
        let area = self.cosines.area();
        let change = |first: usize, rows: &mut [&mut [f32]]| {
            for (plane, rows) in rows.iter_mut().enumerate() {
                let first = plane * area + first;
                let values = x[first..].iter().zip(&last[first..]);
                rows.iter_mut().zip(values).for_each(|(to, (x, last))| *to = x - last);
            }
        };
        let remove = |first: usize, values: &mut [f32]| {
            for (i, value) in values.iter_mut().enumerate() {
                if self.frequencies[(first + i) % area] >= cutoff {
                    *value = 0.0;
                }
            }
        };
        let frequencies = self.cosines.to_frequencies(change, remove);
        let kept = |first: usize, values: &mut [f32]| values.copy_from_slice(&frequencies[first..][..values.len()]);
        let change = self.cosines.to_pixels(kept, |_, _| {});
        x.iter_mut().zip(last).zip(&change).for_each(|((x, last), change)| *x = last + change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_double_the_frequencies_of_a_step() {
        let low_pass = LowPass::new(Planes::of_image(1, [16, 12]), 3, 60);
        let cutoffs: Vec<Option<f32>> = [0, 9, 10, 20, 29, 30, 59].map(|step| low_pass.cutoff(step)).to_vec();
        assert_eq!(cutoffs, [Some(0.125), Some(0.125), Some(0.25), Some(0.5), Some(0.5), None, None]);
        let last: Vec<f32> = (0..192).map(|i| (i * 7919 % 101) as f32 / 101.0).collect();
        // Waves of 1 and of 9 half cycles along the height of 16.
        let wave = |k: f32, i: usize| (std::f32::consts::PI * k * ((i / 12) as f32 + 0.5) / 16.0).cos();
        let moved: Vec<f32> =
            last.iter().enumerate().map(|(i, x)| x + 0.1 * wave(1.0, i) + 0.1 * wave(9.0, i)).collect();
        for (step, expected) in [(0, 1), (40, 2)] {
            let mut x = moved.clone();
            low_pass.restrict(&mut x, &last, step);
            for (i, (x, last)) in x.iter().zip(&last).enumerate() {
                let fine = if expected == 2 { 0.1 * wave(9.0, i) } else { 0.0 };
                assert!((x - last - 0.1 * wave(1.0, i) - fine).abs() < 1e-5, "step {step}, pixel {i}");
            }
        }
    }
}
