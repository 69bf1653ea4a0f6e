//! Reproduction of a saved metamer.

use std::path::Path;

use super::execution::Execution;
use super::metamer::Metamer;
use super::stop::{Stop, StopReason};
use super::synthesis::Synthesis;
use crate::network::Network;
use crate::stimulus::Stimulus;
use crate::{Error, Result, zoo};

/// A saved metamer, the metamer reproduced from its provenance, and their differences; see [`Metamer::reproduce`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Reproduction {
    saved: Metamer,
    again: Metamer,
    interrupted: bool,
}

impl Metamer {
    /// Reproduces a saved metamer with the shipped network of its provenance: the same stage, original, recipe, seed, start and
    /// number of steps.
    ///
    /// On the same machine with the same version of metamers the result is bit-identical, even if a time limit or the user ended the
    /// first run. The run is displayed live. An interrupt ends it after the current step; the [`Reproduction`] is then
    /// incomplete.
    ///
    /// ```
    /// use metamers::prelude::*;
    ///
    /// let net = zoo::efficientnet_lite0()?;
    /// let mut run = Synthesis::new(&net, "stem", Image::open("photos/giant_panda.jpg")?)?.seed(7).start()?;
    /// run.step(3)?;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let folder = folder.path();
    /// let path = folder.join("panda.metamer");
    /// run.finish()?.save(&path)?;
    ///
    /// let reproduction = Metamer::reproduce(&path)?;
    /// assert!(reproduction.is_identical());
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::File`] for a damaged file, a file that is not a metamer, and a network that does not ship with the recorded weights;
    /// otherwise the errors of [`Run::step`](super::Run::step).
    pub fn reproduce(path: impl AsRef<Path>) -> Result<Reproduction> {
        let path = path.as_ref();
        let saved = Self::open(path)?;
        let provenance = saved.provenance();
        let network = zoo::shipped_as(&provenance.network, &provenance.weights_sha256).map_err(|e| {
            let advice = "load the network that made it, and call Metamer::reproduce_with(path, &network)";
            Error::file(path, format!("cannot be reproduced: {e}; {advice}"))
        })?;
        saved.reproduced(path, &network)
    }

    /// Reproduces a saved metamer with a network that does not ship.
    ///
    /// # Errors
    /// As [`Metamer::reproduce`], and when the network's name or weights differ from the recorded ones.
    pub fn reproduce_with(path: impl AsRef<Path>, network: &Network) -> Result<Reproduction> {
        Self::open(path.as_ref())?.reproduced(path.as_ref(), network)
    }

    fn reproduced(self, path: &Path, network: &Network) -> Result<Reproduction> {
        let provenance = &self.provenance;
        provenance.check(network).map_err(|reason| Error::file(path, reason))?;
        if let Some(reason) = self.missing_start() {
            return Err(Error::file(path, reason));
        }
        let goal = provenance.prepared_goal(network).map_err(|reason| Error::file(path, reason))?;
        provenance.recipe.check()?;
        let synthesis = Synthesis {
            recipe: provenance.recipe.clone(),
            recipe_is_default: false,
            seed: provenance.seed,
            start: self.start.clone(),
            logged: false,
            execution: Execution::from_saved(self.layer_by_layer),
            ..Synthesis::with_goal(network, goal, self.original.clone())
        };
        let mut run = synthesis.start_prepared()?;
        let progress = match self.steps {
            Some(steps) => run.step(steps)?,
            // Steps taken by hand may exceed those of the recipe.
            None => run.advance(Stop::evaluations(self.history.len()).or_steps(usize::MAX))?,
        };
        let again = run.finish()?;
        Ok(Reproduction {
            saved: self.with_cochleagram_of(network),
            again,
            interrupted: progress.stop_reason == StopReason::Interrupted,
        })
    }
}

impl Reproduction {
    /// The saved metamer.
    #[must_use]
    pub fn saved(&self) -> &Metamer {
        &self.saved
    }

    /// The reproduced metamer.
    #[must_use]
    pub fn reproduced(&self) -> &Metamer {
        &self.again
    }

    /// Returns whether all steps were taken. After an interrupt there are fewer steps, and the two stimuli are not comparable.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.interrupted
    }

    /// Returns whether stimulus, losses and signal-to-noise ratios are bit-identical.
    #[must_use]
    pub fn is_identical(&self) -> bool {
        let bits = |metamer: &Metamer| metamer.stimulus.values().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        self.is_complete()
            && bits(&self.saved) == bits(&self.again)
            && self.saved.history.len() == self.again.history.len()
            && self.first_difference().is_none()
    }

    /// The first gradient evaluation, counted from 1, at which loss or signal-to-noise ratio differ; `None` when all common evaluations
    /// are bit-identical.
    #[must_use]
    pub fn first_difference(&self) -> Option<usize> {
        let mut pairs = self.saved.history.iter().zip(&self.again.history);
        let differ = |a: f64, b: f64| a.to_bits() != b.to_bits();
        pairs.position(|(a, b)| differ(a.loss, b.loss) || differ(a.snr_db, b.snr_db)).map(|index| index + 1)
    }

    fn differences(&self) -> impl Iterator<Item = f64> {
        let pairs = self.saved.stimulus.values().iter().zip(self.again.stimulus.values());
        pairs.map(|(&a, &b)| f64::from(b) - f64::from(a))
    }

    /// The largest absolute difference between pixel values (in `[0, 1]`; times 255 for gray levels) or samples (in `[-1, 1]`).
    #[must_use]
    pub fn max_difference(&self) -> f64 {
        // NaN counts as the largest, which f64::max would ignore.
        self.differences().map(f64::abs).max_by(f64::total_cmp).unwrap_or_default()
    }

    /// The root mean square difference between pixel values or samples.
    #[must_use]
    pub fn rms_difference(&self) -> f64 {
        let count = self.saved.stimulus.values().len().max(1);
        (self.differences().map(|d| d * d).sum::<f64>() / count as f64).sqrt()
    }

    /// The ratio of the saved stimulus's root mean square to [`Reproduction::rms_difference`], in dB; infinite when the stimuli are identical.
    #[must_use]
    pub fn difference_db(&self) -> f64 {
        let values = self.saved.stimulus.values();
        let square: f64 = values.iter().map(|&v| f64::from(v).powi(2)).sum();
        20.0 * ((square / values.len().max(1) as f64).sqrt() / self.rms_difference()).log10()
    }

    /// The signal-to-noise ratio at the stage of the reproduction minus that of the file, in dB; 0 when both are infinite, `None` when
    /// one is undefined.
    #[must_use]
    pub fn snr_drift_db(&self) -> Option<f64> {
        let (saved, again) = (self.saved.similarity.snr_db?, self.again.similarity.snr_db?);
        Some(if saved == again { 0.0 } else { again - saved })
    }

    /// The differences in versions, system and processor since the file was saved, one sentence each.
    #[must_use]
    pub fn changes(&self) -> Vec<String> {
        let (was, is) = (&self.saved.provenance, &self.again.provenance);
        let values = [
            ("metamers", &was.metamers, &is.metamers),
            ("candle", &was.candle, &is.candle),
            ("device", &was.device, &is.device),
            ("instruction set", &was.instructions, &is.instructions),
        ];
        let changed = values.into_iter().filter(|(_, was, is)| was != is && !was.is_empty());
        let changed = changed.map(|(what, was, is)| format!("{what} was {was} and is {is}"));
        changed.chain(was.begun_by.iter().map(|part| format!("it was begun by {part}"))).collect()
    }

    fn drift(&self) -> String {
        let (largest, rms) = (self.max_difference(), self.rms_difference());
        let size = match self.saved.stimulus {
            Stimulus::Image(_) => {
                format!("pixel values are up to {:.3}/255 apart, {:.3}/255 rms", 255.0 * largest, 255.0 * rms)
            }
            Stimulus::Sound(_) => {
                format!("samples are up to {largest:.2e} apart, {:.1} dB below the sound", self.difference_db())
            }
        };
        let db = |metamer: &Metamer| metamer.similarity.snr_db.map_or("undefined".into(), |snr| format!("{snr:.2} dB"));
        let divergence = match self.first_difference() {
            Some(evaluation) => format!("the curves diverge at evaluation {evaluation}"),
            None if self.saved.history.len() == self.again.history.len() => "the curves are bit-identical".into(),
            None => format!("evaluations were {} and are {}", self.saved.history.len(), self.again.history.len()),
        };
        format!("{size}\nSNR was {} and is {}\n{divergence}", db(&self.saved), db(&self.again))
    }

    fn reason(&self) -> String {
        match self.changes() {
            changes if !changes.is_empty() => changes.join("\n"),
            _ if self.is_identical() || !self.is_complete() => String::new(),
            _ if self.saved.provenance.instructions.is_empty() => {
                "the file does not record the instruction set: another processor may have made it".into()
            }
            _ => {
                "the recorded version and machine are the same: the file was changed, or metamers changed without a new version"
                    .into()
            }
        }
    }
}

impl std::fmt::Display for Reproduction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let evaluations = self.again.history.len();
        match (self.is_complete(), self.is_identical(), self.first_difference()) {
            (true, true, _) => write!(f, "bit-identical: stimulus and curve, {evaluations} evaluations")?,
            (true, false, _) => write!(f, "not bit-identical\n{}", self.drift())?,
            (false, _, None) => write!(
                f,
                "interrupted after {evaluations} of {} evaluations, bit-identical so far",
                self.saved.history.len()
            )?,
            (false, _, Some(evaluation)) => {
                write!(
                    f,
                    "interrupted; the curves diverge at evaluation {evaluation}: the result will not be bit-identical"
                )?;
            }
        }
        match self.reason() {
            reason if reason.is_empty() => Ok(()),
            reason => write!(f, "\n{reason}"),
        }
    }
}
