//! A saved metamer, made again.

use std::path::Path;

use super::metamer::Metamer;
use super::progress::StopReason;
use super::synthesis::Synthesis;
use crate::network::Network;
use crate::stimulus::Stimulus;
use crate::{Error, Result, zoo};

/// A saved metamer beside one made again from its stamp, and how far they have drifted apart; see [`Metamer::reproduce`].
#[derive(Clone, Debug)]
pub struct Reproduction {
    saved: Metamer,
    again: Metamer,
    interrupted: bool,
}

impl Metamer {
    /// Makes a saved metamer again, with the network of its stamp if that ships: the same stage, original, recipe, seed, start and number
    /// of steps.
    ///
    /// On the same machine with the same version of metamers it is the same bits, also when the first run was ended by a time limit
    /// or by hand. The run is shown while it works. An interrupt ends it after the step under way, and the [`Reproduction`] says how far it
    /// got.
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
    /// A file that is damaged or no metamer, a network that does not ship or whose weights are not the stamped ones, and what
    /// [`Run::step`](super::Run::step) may meet.
    pub fn reproduce(path: impl AsRef<Path>) -> Result<Reproduction> {
        let path = path.as_ref();
        let saved = Self::open(path)?;
        let stamp = saved.provenance();
        let network = zoo::shipped_as(&stamp.network, &stamp.weights_sha256).map_err(|e| {
            let advice = "load the network that made it, and call Metamer::reproduce_with(path, &network)";
            Error::file(path, format!("cannot be made again: {e}; {advice}"))
        })?;
        saved.made_again(path, &network)
    }

    /// [`Metamer::reproduce`] with a network of yours.
    ///
    /// # Errors
    /// As [`Metamer::reproduce`], and when the network's name or weights are not the stamped ones.
    pub fn reproduce_with(path: impl AsRef<Path>, network: &Network) -> Result<Reproduction> {
        Self::open(path.as_ref())?.made_again(path.as_ref(), network)
    }

    fn made_again(self, path: &Path, network: &Network) -> Result<Reproduction> {
        let stamp = &self.stamp;
        stamp.check(network).map_err(|reason| Error::file(path, reason))?;
        if self.start.is_none() && self.steps.is_none() && stamp.start != "noise" {
            let reason =
                format!("does not hold \"{}\", from which it started: it was saved by an older version", stamp.start);
            return Err(Error::file(path, reason));
        }
        network.stage(&stamp.stage)?;
        stamp.recipe.check()?;
        let mut run = Synthesis {
            network: network.clone(),
            stage: stamp.stage.clone(),
            original: self.original.clone(),
            recipe: stamp.recipe.clone(),
            seed: stamp.seed,
            start: self.start.clone(),
            quiet: false,
            trial: true,
            layer_by_layer: self.layer_by_layer,
        }
        .begin()?;
        let progress = match self.steps {
            Some(steps) => run.step(steps)?,
            None => run.replay(self.history.len())?,
        };
        let again = run.finish()?;
        Ok(Reproduction {
            saved: self.heard_by(network),
            again,
            interrupted: progress.stop_reason == StopReason::Interrupted,
        })
    }
}

impl Reproduction {
    /// The metamer of the file.
    pub fn saved(&self) -> &Metamer {
        &self.saved
    }

    /// The one made now.
    pub fn again(&self) -> &Metamer {
        &self.again
    }

    /// Whether all steps were taken; an interrupt leaves fewer, and then the two stimuli are not comparable.
    pub fn is_complete(&self) -> bool {
        !self.interrupted
    }

    /// Whether stimulus and curve are the same to the last bit.
    pub fn is_identical(&self) -> bool {
        let bits = |metamer: &Metamer| metamer.stimulus.values().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        self.is_complete()
            && bits(&self.saved) == bits(&self.again)
            && self.saved.history.len() == self.again.history.len()
            && self.first_difference().is_none()
    }

    /// The gradient evaluation, from 1, at which loss or signal-to-noise ratio are the first time not the same bits; `None` when all
    /// that both have are.
    pub fn first_difference(&self) -> Option<usize> {
        let mut pairs = self.saved.history.iter().zip(&self.again.history);
        let differ = |a: f64, b: f64| a.to_bits() != b.to_bits();
        pairs.position(|(a, b)| differ(a.loss, b.loss) || differ(a.snr_db, b.snr_db)).map(|index| index + 1)
    }

    fn differences(&self) -> impl Iterator<Item = f64> {
        let pairs = self.saved.stimulus.values().iter().zip(self.again.stimulus.values());
        pairs.map(|(&a, &b)| f64::from(b) - f64::from(a))
    }

    /// The largest difference between two pixel values (in `[0, 1]`: times 255 in grey levels) or samples (in `[-1, 1]`).
    pub fn largest_difference(&self) -> f64 {
        self.differences().fold(0.0, |a, d| a.max(d.abs()))
    }

    /// The root of the mean square of the differences between pixel values or samples.
    pub fn rms_difference(&self) -> f64 {
        let count = self.saved.stimulus.values().len().max(1);
        (self.differences().map(|d| d * d).sum::<f64>() / count as f64).sqrt()
    }

    /// [`Reproduction::rms_difference`] below the saved stimulus's own root mean square, in dB; infinite when nothing differs.
    pub fn difference_db(&self) -> f64 {
        let values = self.saved.stimulus.values();
        let square: f64 = values.iter().map(|&v| f64::from(v).powi(2)).sum();
        20.0 * ((square / values.len().max(1) as f64).sqrt() / self.rms_difference()).log10()
    }

    /// The signal-to-noise ratio at the stage now, less that of the file, in dB; 0 when both are infinite.
    pub fn snr_drift_db(&self) -> Option<f64> {
        let (saved, again) = (self.saved.similarity.snr_db?, self.again.similarity.snr_db?);
        Some(if saved == again { 0.0 } else { again - saved })
    }

    /// What is not as it was when the file was made: versions, system, processor; one sentence each.
    pub fn changes(&self) -> Vec<String> {
        let (was, is) = (&self.saved.stamp, &self.again.stamp);
        let values = [
            ("metamers", &was.metamers, &is.metamers),
            ("candle", &was.candle, &is.candle),
            ("device", &was.device, &is.device),
            ("instruction set", &was.instructions, &is.instructions),
        ];
        let changed = values.into_iter().filter(|(_, was, is)| was != is && !was.is_empty());
        changed.map(|(what, was, is)| format!("{what} was {was} and is {is}")).collect()
    }

    fn drift(&self) -> String {
        let (largest, rms) = (self.largest_difference(), self.rms_difference());
        let size = match self.saved.stimulus {
            Stimulus::Image(_) => {
                format!("pixel values are up to {:.3}/255 apart, {:.3}/255 rms", 255.0 * largest, 255.0 * rms)
            }
            Stimulus::Sound(_) => {
                format!("samples are up to {largest:.2e} apart, {:.1} dB below the sound", self.difference_db())
            }
        };
        let db = |metamer: &Metamer| metamer.similarity.snr_db.map_or("undefined".into(), |snr| format!("{snr:.2} dB"));
        let from = match self.first_difference() {
            Some(evaluation) => format!("the curves part at evaluation {evaluation}"),
            None if self.saved.history.len() == self.again.history.len() => "the curves are the same bits".into(),
            None => format!("evaluations were {} and are {}", self.saved.history.len(), self.again.history.len()),
        };
        format!("{size}\nSNR was {} and is {}\n{from}", db(&self.saved), db(&self.again))
    }

    fn reason(&self) -> String {
        match self.changes() {
            changes if !changes.is_empty() => changes.join("\n"),
            _ if self.is_identical() || !self.is_complete() => String::new(),
            _ if self.saved.stamp.instructions.is_empty() => {
                "the file is older than the note of the instruction set: another processor may have made it".into()
            }
            _ => {
                "the stamp names no other version or machine: the file was changed, or metamers changed without a new version"
                    .into()
            }
        }
    }
}

impl std::fmt::Display for Reproduction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let evaluations = self.again.history.len();
        match (self.is_complete(), self.is_identical(), self.first_difference()) {
            (true, true, _) => write!(f, "the same bits: stimulus and curve, {evaluations} evaluations")?,
            (true, false, _) => write!(f, "not the same bits\n{}", self.drift())?,
            (false, _, None) => write!(
                f,
                "interrupted after {evaluations} of {} evaluations, the same bits so far",
                self.saved.history.len()
            )?,
            (false, _, Some(evaluation)) => {
                write!(f, "interrupted; the curves part at evaluation {evaluation}: it will not be the same bits")?;
            }
        }
        match self.reason() {
            reason if reason.is_empty() => Ok(()),
            reason => write!(f, "\n{reason}"),
        }
    }
}
