//! The pull of L-BFGS towards the start of a run.

use super::super::archive::{ArchiveReader, ArchiveWriter};
use crate::Result;
use crate::engine::vectors::squared_distance;

/// The number of steps between two updates of the weight.
const INTERVAL: u64 = 5;

/// The weighted distance relative to the loss during the search, and when the run begins to hold its match.
const SEARCH_SHARE: f64 = 0.02;
const HOLD_SHARE: f64 = 0.5;

/// The factor by which the weight changes in an update for each deviation of 0.5 dB from the signal-to-noise ratio: at most once downwards,
/// and up to three times upwards, since a search may end with a match that is much better than required.
const FACTOR: f64 = 1.5;
const DEVIATION_DB: f64 = 0.5;
const EXPONENTS: [f64; 2] = [-1.0, 3.0];

/// The excess of the signal-to-noise ratio that is held, in dB: it varies from step to step.
const MARGIN_DB: f64 = 0.05;

/// A run has settled when its distance to the start has fallen by less than this fraction in this number of steps.
const SETTLED_FALL: f64 = 0.03;
const SETTLED_STEPS: u64 = 25;

/// The mean squared distance to the start, which is added to the loss with a weight.
///
/// Until the signal-to-noise ratio is reached the weight is small (the search); it is 0 where the search begins at the start, since the
/// distance is so small there that it would hold the run back. From then on it is increased while the match is better
/// than required and decreased while it is worse, so that the match is held and the distance falls: the run ends near the point nearest to
/// its start, among those around it, that matches as well as required.
pub struct Pull {
    start: Vec<f32>,
    weight: f64,
    /// Steps since the last update of the weight.
    age: u64,
    /// Steps since the match was reached; `None` during the search.
    held: Option<u64>,
    /// The smallest distance of a point with the required match, and its value at the last test for settling.
    nearest: f64,
    nearest_before: f64,
    settled: bool,
}

impl Pull {
    pub fn new(start: Vec<f32>) -> Self {
        Self {
            start,
            weight: 0.0,
            age: 0,
            held: None,
            nearest: f64::INFINITY,
            nearest_before: f64::INFINITY,
            settled: false,
        }
    }

    pub fn len(&self) -> usize {
        self.start.len()
    }

    /// Returns whether the required match was reached.
    pub fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// Returns whether the distance to the start hardly falls any more.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Declares that further steps are useless.
    pub fn settle(&mut self) {
        self.settled = true;
    }

    /// The gradient of the weighted distance: `factor * (x - start)` with these two.
    pub fn gradient(&self) -> (f32, &[f32]) {
        ((2.0 * self.weight / self.start.len() as f64) as f32, &self.start)
    }

    /// The value of the weighted distance.
    pub fn value(&self, distance: f64) -> f64 {
        self.weight * distance
    }

    /// Counts a step to a point at this distance; `required` is the signal-to-noise ratio to be held, and `was_earlier` tells that the
    /// search began where an earlier stage was matched. Returns whether the weight has changed.
    pub fn count(&mut self, distance: f64, [loss, snr_db]: [f64; 2], required: f64, was_earlier: bool) -> bool {
        let begins = self.held.is_none() && snr_db >= required;
        if begins {
            self.held = Some(0);
        }
        if let Some(held) = &mut self.held {
            *held += 1;
            if snr_db >= required {
                self.nearest = self.nearest.min(distance);
            }
            if held.is_multiple_of(SETTLED_STEPS) {
                self.settled = self.nearest.sqrt() > (1.0 - SETTLED_FALL) * self.nearest_before.sqrt();
                self.nearest_before = self.nearest;
            }
        }
        self.age += 1;
        if self.held.is_none() && !was_earlier {
            // A run that an earlier version saved has a weight here.
            return std::mem::take(&mut self.weight) > 0.0;
        }
        if !begins && self.age < INTERVAL && self.weight > 0.0 || distance <= 0.0 {
            return false;
        }
        self.age = 0;
        self.weight = if begins {
            HOLD_SHARE * loss.abs() / distance
        } else if self.is_holding() {
            let deviation = (snr_db - required - MARGIN_DB) / DEVIATION_DB;
            self.weight * FACTOR.powf(deviation.clamp(EXPONENTS[0], EXPONENTS[1]))
        } else {
            SEARCH_SHARE * loss.abs() / distance
        };
        true
    }

    /// Returns whether a point at this distance is the nearest one with the required match so far.
    pub fn is_nearest(&self, distance: f64) -> bool {
        self.is_holding() && distance <= self.nearest
    }

    /// The mean squared distance of `x` to the start.
    pub fn distance(&self, x: &[f32]) -> f64 {
        squared_distance(x, &self.start) / x.len() as f64
    }

    pub fn save(&self, to: &mut ArchiveWriter) {
        to.f32("optimiser.start", &self.start);
        to.f64("optimiser.pull", &[self.weight, self.nearest, self.nearest_before]);
        to.u64("optimiser.pull_age", self.age);
        // 0 during the search.
        to.u64("optimiser.pull_held", self.held.map_or(0, |held| held + 1));
        to.u64("optimiser.pull_settled", self.settled.into());
    }

    pub fn load(from: &ArchiveReader) -> Result<Self> {
        let values = from.f64("optimiser.pull")?;
        let [weight, nearest, nearest_before] =
            *values.as_array().ok_or_else(|| from.error("has a damaged pull towards its start"))?;
        Ok(Self {
            start: from.f32("optimiser.start")?,
            weight,
            age: from.count("optimiser.pull_age")? as u64,
            held: (from.count("optimiser.pull_held")? as u64).checked_sub(1),
            nearest,
            nearest_before,
            settled: from.count("optimiser.pull_settled")? != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weight_follows_the_match_and_the_run_settles() {
        let mut pull = Pull::new(vec![0.0; 4]);
        // Points of this root mean square distance.
        let count = |pull: &mut Pull, rms: f64, loss: f64, snr_db: f64| {
            pull.count(pull.distance(&[rms as f32; 4]), [loss, snr_db], 20.0, true)
        };
        assert!(!count(&mut pull, 0.0, 1.0, 3.0), "at the start there is nothing to pull");
        assert!(count(&mut pull, 0.5, 1.0, 3.0));
        assert_eq!(pull.weight, SEARCH_SHARE / 0.25);
        assert!(!count(&mut pull, 0.5, 1.0, 4.0), "the weight stays for some steps");
        assert!(count(&mut pull, 0.5, 0.01, 20.0) && pull.is_holding() && !pull.is_settled());
        assert_eq!(pull.weight, HOLD_SHARE * 0.01 / 0.25);
        let before = pull.weight;
        for _ in 0..INTERVAL {
            count(&mut pull, 0.4, 0.01, 20.0 + MARGIN_DB + DEVIATION_DB);
        }
        assert!((pull.weight - FACTOR * before).abs() < 1e-12);
        assert!(pull.is_nearest(pull.distance(&[0.4; 4])) && !pull.is_nearest(pull.distance(&[0.45; 4])));
        for _ in 0..INTERVAL {
            count(&mut pull, 0.1, 0.02, 17.0);
        }
        assert!((pull.weight - before).abs() < 1e-12, "a poor match weakens the pull");
        for _ in 0..INTERVAL {
            count(&mut pull, 0.4, 0.02, 40.0);
        }
        assert!((pull.weight - FACTOR.powi(3) * before).abs() < 1e-12, "a match much better than required");
        assert!((pull.nearest - 0.16).abs() < 1e-7, "a poor match does not count as near");
        for _ in 0..SETTLED_STEPS {
            count(&mut pull, 0.39, 0.01, 20.1);
        }
        assert!(!pull.is_settled(), "the first test has nothing to compare with");
        for _ in 0..SETTLED_STEPS {
            count(&mut pull, 0.385, 0.01, 20.1);
        }
        assert!(pull.is_settled());
    }

    #[test]
    fn a_search_from_the_start_is_not_pulled_back() {
        let mut pull = Pull::new(vec![0.0; 4]);
        for _ in 0..4 * INTERVAL {
            assert!(!pull.count(0.01, [1.0, 3.0], 20.0, false));
        }
        pull.weight = 1.0;
        assert!(pull.count(0.01, [1.0, 3.0], 20.0, false), "the weight of a run that was saved before");
        assert_eq!((pull.weight, pull.gradient().0), (0.0, 0.0));
        assert!(pull.count(0.25, [0.01, 20.0], 20.0, false) && pull.is_holding());
        assert_eq!(pull.weight, HOLD_SHARE * 0.01 / 0.25);
    }

    #[test]
    fn a_negative_loss_has_a_pull_too() {
        let mut pull = Pull::new(vec![0.0; 4]);
        assert!(pull.count(0.25, [-0.5, 20.0], 20.0, true));
        assert_eq!(pull.weight, HOLD_SHARE * 0.5 / 0.25);
    }

    #[test]
    fn the_gradient_is_that_of_the_weighted_distance() {
        let mut pull = Pull::new(vec![0.25, 0.5, 0.75]);
        let x = [0.5, 0.5, 0.25];
        pull.count(pull.distance(&x), [1.0, 3.0], 20.0, true);
        let (factor, start) = pull.gradient();
        for i in 0..3 {
            let moved = |by: f32| {
                let mut x = x;
                x[i] += by;
                pull.value(pull.distance(&x))
            };
            let difference = (moved(0.01) - moved(-0.01)) / 0.02;
            let expected = f64::from(factor * (x[i] - start[i]));
            assert!((difference - expected).abs() < 1e-5, "{i}: {difference} and {expected}");
        }
    }
}
