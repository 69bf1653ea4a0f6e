//! Checks of a network before its metamers are used in an experiment.
//!
//! ```no_run
//! use metamers::prelude::*;
//!
//! let net = zoo::efficientnet_lite0()?;
//! let inspection = net.inspect()?;
//! inspection.show(); // tables, and metamers after 20 steps
//! assert!(inspection.warnings().is_empty(), "{:?}", inspection.warnings());
//! # Ok::<(), metamers::Error>(())
//! ```

mod gradient;
mod plot;
mod preprocessing;
mod stage;
mod trial;

pub use stage::InspectedStage;

use trial::Trial;

use crate::Result;
use crate::network::{Classification, KNOWN_BY_VALUES, Network};
use crate::stimulus::{Image, Noise, Sound, Stimulus, StimulusKind};
use crate::synthesis::Metamer;

/// The default image.
const DEFAULT_PHOTO: &str = "photos/dog.jpg";
/// The default sound.
const DEFAULT_RECORDING: &str = "speech/seven.wav";

/// The results of [`Network::inspect`]: stages, gradients, preprocessing, trial metamers and warnings.
#[derive(Clone)]
pub struct Inspection {
    network: Network,
    stimulus: Stimulus,
    classification: Option<Classification>,
    stages: Vec<InspectedStage>,
    trials: Vec<Trial>,
    warnings: Vec<String>,
}

impl Network {
    /// Checks the network on a shipped photo, or a recording as [`Sound::prepare`] makes it.
    ///
    /// The inspection lists the stages with shape, units, receptive field, cost and the fraction of silent units; the layers whose
    /// gradient is a surrogate or undefined; the preprocessing; metamers after 20 steps at the first, middle and last stage; and
    /// warnings. It takes three gradient evaluations at each stage and about 60 more.
    ///
    /// # Errors
    /// Fails like [`Network::inspect_on`], and if the project's assets cannot be found.
    pub fn inspect(&self) -> Result<Inspection> {
        match self.input().kind() {
            StimulusKind::Image => self.inspect_on(Image::open(DEFAULT_PHOTO)?),
            // At the level of the recordings from which word networks learned and null distributions were built.
            StimulusKind::Sound => self.inspect_on(self.prepare_at_training_level(Sound::open(DEFAULT_RECORDING)?)?),
        }
    }

    /// Checks the network like [`Network::inspect`], on a stimulus of your own; a sound keeps its level.
    ///
    /// Problems of a stage become warnings, not errors.
    ///
    /// # Errors
    /// Fails like [`Network::prepare`] for a stimulus that the network does not accept, and if the network cannot process it.
    pub fn inspect_on(&self, stimulus: impl Into<Stimulus>) -> Result<Inspection> {
        let stimulus = self.prepare(stimulus)?;
        let mut warnings = vec![];
        if self.weights_source().source == KNOWN_BY_VALUES {
            warnings.push(
                "the network is identified by output values, which other machines may round differently; set the hash of its weights \
                 with Network::with_weights_source"
                    .into(),
            );
        }
        let classification = match self.classes() {
            Some(_) => self.classify(&stimulus, 1).map_err(|e| warnings.push(e.to_string())).ok(),
            None => {
                warnings.push("the network has no class names, so a verdict cannot compare classes".into());
                None
            }
        };
        let noise = match stimulus.kind() {
            StimulusKind::Image => Noise::Uniform { low: 0.0, high: 1.0 },
            StimulusKind::Sound => Noise::Pink { rms: 0.1 },
        };
        let mut stages = stage::activations(self, &stimulus, &stimulus.noise_like(noise, 0)?, &mut warnings)?;
        let trials = trial::measure(self, &stimulus, &mut stages, &mut warnings)?;
        Ok(Inspection { network: self.clone(), stimulus, classification, stages, trials, warnings })
    }
}

impl Inspection {
    /// The stages, from input to output.
    #[must_use]
    pub fn stages(&self) -> &[InspectedStage] {
        &self.stages
    }

    /// Problems to solve before metamers of this network are used; empty if there are none.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The trial metamers, after at most 20 steps.
    #[must_use]
    pub fn metamers(&self) -> Vec<&Metamer> {
        self.trials.iter().map(|trial| &trial.metamer).collect()
    }

    /// A description of the preprocessing before the first layer with learned weights.
    #[must_use]
    pub fn preprocessing(&self) -> String {
        preprocessing::describe(&self.network)
    }

    /// The layers whose gradient is a surrogate or undefined: the kind and number of layers, and the behavior of the gradient.
    #[must_use]
    pub fn gradients(&self) -> Vec<(String, String)> {
        gradient::special_cases(&self.network)
    }
}

impl std::fmt::Debug for Inspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, stages, warnings) = (self.network.name(), self.stages.len(), self.warnings.len());
        write!(f, "Inspection({name}, {stages} stages, {warnings} warnings)")
    }
}
