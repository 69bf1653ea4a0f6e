//! A check list for a network, before one relies on its metamers.
//!
//! ```no_run
//! use metamers::prelude::*;
//!
//! let net = zoo::efficientnet_lite0()?;
//! let found = net.inspect()?;
//! found.show(); // tables, and metamers after 20 steps
//! assert!(found.warnings().is_empty(), "{:?}", found.warnings());
//! # Ok::<(), metamers::Error>(())
//! ```

mod gradient;
mod plot;
mod preprocessing;
mod smoke;
mod stage;

pub use stage::InspectedStage;

use smoke::Smoke;

use crate::Result;
use crate::network::{Classification, Input, KNOWN_BY_VALUES, Network};
use crate::stimulus::{Image, Noise, Sound, Stimulus};
use crate::synthesis::Metamer;

/// What a network is tried on when nothing is given.
const PHOTO: &str = "photos/dog.jpg";
const RECORDING: &str = "speech/seven.wav";

/// What [`Network::inspect`] found.
#[derive(Clone)]
pub struct Inspection {
    network: Network,
    stimulus: Stimulus,
    answer: Option<Classification>,
    stages: Vec<InspectedStage>,
    smoke: Vec<Smoke>,
    warnings: Vec<String>,
}

impl Network {
    /// A check list: stages with shape, units, receptive field, cost and how many units are silent; where a gradient is a surrogate or
    /// not defined; what is done to a stimulus; metamers after 20 steps at the first, the middle and the last stage; and warnings.
    ///
    /// On a photo or a recording that ships. It takes three gradient evaluations at each stage and about 60 more.
    ///
    /// # Errors
    /// As [`Network::inspect_on`], and when the project's assets cannot be found.
    pub fn inspect(&self) -> Result<Inspection> {
        match self.input() {
            Input::Image { .. } => self.inspect_on(Image::open(PHOTO)?),
            Input::Sound { .. } => self.inspect_on(Sound::open(RECORDING)?),
        }
    }

    /// [`Network::inspect`] on a stimulus of one's own.
    ///
    /// What is wrong with a stage is a warning, not an error.
    ///
    /// # Errors
    /// A stimulus that the network cannot take.
    pub fn inspect_on(&self, stimulus: impl Into<Stimulus>) -> Result<Inspection> {
        let stimulus = self.prepare(stimulus)?;
        let mut warnings = vec![];
        if self.weights_source().source == KNOWN_BY_VALUES {
            warnings.push(
                "the network is known by values that another machine may round differently: give Network::with_provenance the hash of \
                 its weights"
                    .into(),
            );
        }
        let answer = match self.classes() {
            Some(_) => self.classify(&stimulus, 1).map_err(|e| warnings.push(e.to_string())).ok(),
            None => {
                warnings.push("the network has no class names: a verdict cannot compare classes".into());
                None
            }
        };
        let mut stages = stage::activations(self, &stimulus, &noise_like(&stimulus)?, &mut warnings)?;
        let smoke = smoke::measure(self, &stimulus, &mut stages, &mut warnings)?;
        Ok(Inspection { network: self.clone(), stimulus, answer, stages, smoke, warnings })
    }
}

fn noise_like(stimulus: &Stimulus) -> Result<Stimulus> {
    Ok(match stimulus {
        Stimulus::Image(image) => {
            Image::noise(image.width(), image.height(), Noise::Uniform { low: 0.0, high: 1.0 }, 0)?.into()
        }
        Stimulus::Sound(sound) => Sound::noise(sound.sample_rate(), sound.len(), Noise::Pink { rms: 0.1 }, 0)?.into(),
    })
}

impl Inspection {
    /// The stages, from the input to the output.
    pub fn stages(&self) -> &[InspectedStage] {
        &self.stages
    }

    /// What should be looked at before metamers of this network are relied on; nothing when all is as it should be.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The metamers after 20 steps.
    pub fn metamers(&self) -> Vec<&Metamer> {
        self.smoke.iter().map(|smoke| &smoke.metamer).collect()
    }

    /// What is done to a stimulus before the first layer that learnt anything, in words.
    pub fn preprocessing(&self) -> String {
        preprocessing::in_words(&self.network)
    }

    /// Where a gradient is a surrogate or not defined: a kind of place and how often it occurs, and what the gradient does there.
    pub fn gradients(&self) -> Vec<(String, String)> {
        gradient::places(&self.network)
    }
}

impl std::fmt::Debug for Inspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, stages, warnings) = (self.network.name(), self.stages.len(), self.warnings.len());
        write!(f, "Inspection({name}, {stages} stages, {warnings} warnings)")
    }
}
