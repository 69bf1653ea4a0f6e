//! Eigendistortions: the changes of a stimulus that a stage feels most and least.

mod lanczos;
mod plot;

use std::sync::Arc;

use lanczos::{Lanczos, RitzPair};

use crate::interrupt::Listening;
use crate::network::Network;
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// The default number of Lanczos iterations.
const ITERATIONS: usize = 60;
/// The maximum number of iterations, whose vectors are all kept.
const MAX_ITERATIONS: usize = 1000;
/// The number of distortions that are kept at each end of the spectrum.
const KEPT: usize = 5;

/// A direction in the space of stimuli, and how strongly the stage feels it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Eigendistortion {
    /// The eigenvalue: the squared change of the stage's activations for a change of the stimulus of norm 1.
    pub eigenvalue: f64,
    /// `norm2(J'J v - eigenvalue v)`: how far the direction is from an eigenvector.
    pub residual: f64,
    /// The direction `v`, of norm 1, as values of the stimulus.
    pub direction: Arc<[f32]>,
}

/// The eigendistortions of a stimulus at a stage (Berardino, Ballé, Laparra & Simoncelli, 2017): eigenvectors of `J'J`, with the Jacobian `J`
/// of the stage's activations with respect to the pixels. They are the changes of one size that the stage feels most and least.
///
/// Eigenvalues near 0 are those of a whole space of directions: a stage with fewer units than there are pixels cannot feel the rest. The
/// least felt direction is then one of many.
#[derive(Clone, PartialEq)]
pub struct Eigendistortions {
    network: String,
    stage: String,
    stimulus: Stimulus,
    units: usize,
    most: Vec<Eigendistortion>,
    least: Vec<Eigendistortion>,
    /// Eigenvalues of the Lanczos matrix, largest first, each with the fraction of all directions that it stands for.
    spectrum: Vec<(f64, f64)>,
}

impl Network {
    /// The eigendistortions of an image at a stage, by 60 iterations of the Lanczos method.
    ///
    /// ```
    /// use metamers::prelude::*;
    ///
    /// let net = zoo::efficientnet_lite0()?;
    /// let found = net.eigendistortions_with("stem", Image::open("photos/dog.jpg")?, 8, 0)?;
    /// assert!(found.most()[0].eigenvalue > found.least()[0].eigenvalue);
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unknown`] for an unknown stage; [`Error::Invalid`] for a network with an operation that has no forward derivative (a
    /// cochleagram, a candle module); [`Error::Interrupted`].
    pub fn eigendistortions(&self, stage: &str, stimulus: impl Into<Stimulus>) -> Result<Eigendistortions> {
        self.eigendistortions_with(stage, stimulus, ITERATIONS, 0)
    }

    /// [`Network::eigendistortions`] with another number of iterations, from 2 to 1,000, and the seed of the first vector. Each takes a
    /// forward and a backward pass; more iterations make smaller residuals.
    ///
    /// # Errors
    /// As [`Network::eigendistortions`], and for another number of iterations.
    pub fn eigendistortions_with(
        &self,
        stage: &str,
        stimulus: impl Into<Stimulus>,
        iterations: usize,
        seed: u64,
    ) -> Result<Eigendistortions> {
        if !(2..=MAX_ITERATIONS).contains(&iterations) {
            return Err(Error::invalid("iterations", format!("must be 2 to {MAX_ITERATIONS}, got {iterations}")));
        }
        let stimulus = self.prepare(stimulus)?;
        let linear = self.linearized(stage, &stimulus.to_tensor()?)?;
        let listening = Listening::begin();
        let mut lanczos = Lanczos::new(linear.num_inputs(), seed);
        while lanczos.steps() < iterations && !lanczos.is_exhausted() {
            if listening.interrupted() {
                let done = format!("{} of {iterations} iterations", lanczos.steps());
                return Err(Error::interrupted("eigendistortions", done));
            }
            let product = linear.vjp(&linear.jvp(lanczos.vector())?)?;
            crate::finite::check(|| format!("the derivative of stage \"{stage}\""), &product)?;
            lanczos.step(product);
        }
        let pairs = lanczos.ritz_pairs();
        let spectrum = pairs.iter().map(|pair| (pair.value.max(0.0), pair.weight)).collect();
        let kept = KEPT.min(pairs.len());
        let distortion = |pair: &RitzPair| Eigendistortion {
            eigenvalue: pair.value.max(0.0),
            residual: pair.residual,
            direction: lanczos.ritz_vector(pair).into(),
        };
        Ok(Eigendistortions {
            network: self.name().into(),
            stage: stage.into(),
            units: linear.num_outputs(),
            stimulus,
            most: pairs[..kept].iter().map(distortion).collect(),
            least: pairs[pairs.len() - kept..].iter().rev().map(distortion).collect(),
            spectrum,
        })
    }
}

impl Eigendistortions {
    /// The directions with the largest eigenvalues, the largest first.
    #[must_use]
    pub fn most(&self) -> &[Eigendistortion] {
        &self.most
    }

    /// The directions with the smallest eigenvalues, the smallest first.
    #[must_use]
    pub fn least(&self) -> &[Eigendistortion] {
        &self.least
    }

    /// The stimulus, prepared for the network.
    #[must_use]
    pub fn stimulus(&self) -> &Stimulus {
        &self.stimulus
    }

    /// The stage.
    #[must_use]
    pub fn stage(&self) -> &str {
        &self.stage
    }

    /// The stimulus with a distortion of this norm added, clamped to the valid range. A change of norm `r sqrt(n)` of `n` values has the root
    /// mean square `r`.
    #[must_use]
    pub fn distorted(&self, distortion: &Eigendistortion, norm: f64) -> Stimulus {
        let values = self.stimulus.values().iter().zip(&*distortion.direction);
        let values: Vec<f32> = values.map(|(&x, &v)| (f64::from(x) + norm * f64::from(v)) as f32).collect();
        self.stimulus.with_clamped("distorted", &values)
    }

    /// An estimate of the number of directions whose eigenvalue is at least `fraction` of the largest one, by stochastic Lanczos
    /// quadrature: the weights of the Lanczos matrix's eigenvalues, from one random vector.
    #[must_use]
    pub fn directions_above(&self, fraction: f64) -> f64 {
        let largest = self.spectrum.first().map_or(0.0, |(value, _)| *value);
        let weights = self.spectrum.iter().filter(|(value, _)| *value >= fraction * largest).map(|(_, weight)| weight);
        weights.sum::<f64>() * self.stimulus.values().len() as f64
    }

    /// An estimate of the number of directions that the stage feels, `(sum of eigenvalues)^2 / sum of squared eigenvalues` (the participation
    /// ratio): that number of equal eigenvalues would have the same two sums.
    #[must_use]
    pub fn effective_directions(&self) -> f64 {
        let moment = |power: i32| self.spectrum.iter().map(|(value, weight)| weight * value.powi(power)).sum::<f64>();
        self.stimulus.values().len() as f64 * moment(1).powi(2) / moment(2).max(f64::MIN_POSITIVE)
    }
}

impl std::fmt::Debug for Eigendistortions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = |list: &[Eigendistortion]| list.first().map_or(f64::NAN, |distortion| distortion.eigenvalue);
        let (most, least) = (value(&self.most), value(&self.least));
        write!(f, "Eigendistortions({} of {}, eigenvalues {most:.3e} to {least:.3e})", self.stage, self.network)
    }
}
