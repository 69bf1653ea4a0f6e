//! What to make a metamer of.

use super::problem::Problem;
use super::recipe::{Initialization, Recipe};
use super::run::Run;
use crate::network::Network;
use crate::stimulus::{Image, Noise, Sound, Stimulus};
use crate::{Error, Result};

/// A synthesis that is about to start: a network, a stage, an original, a recipe, a seed.
#[derive(Clone)]
pub struct Synthesis {
    pub(super) network: Network,
    pub(super) stage: String,
    pub(super) original: Stimulus,
    pub(super) recipe: Recipe,
    pub(super) seed: u64,
    pub(super) start: Option<Stimulus>,
    pub(super) quiet: bool,
    /// Not counted among the session's runs: it tries a network out, or makes a known metamer again.
    pub(super) trial: bool,
    pub(super) layer_by_layer: bool,
}

impl Synthesis {
    /// A synthesis with [`Recipe::fast`] of a picture, or [`Recipe::fast_sound`] of a sound; seed 0, from noise.
    ///
    /// The original is prepared as the network expects it: [`Network::prepare`]. What a recipe wants beside that, a level
    /// of sounds, is done when the run starts.
    ///
    /// # Errors
    /// An unknown stage, or a stimulus that the network cannot take.
    pub fn new(network: &Network, stage: &str, original: impl Into<Stimulus>) -> Result<Self> {
        network.stage(stage)?;
        let original = network.prepare(original)?;
        let recipe = match original {
            Stimulus::Image(_) => Recipe::fast(),
            Stimulus::Sound(_) => Recipe::fast_sound(),
        };
        Ok(Self {
            network: network.clone(),
            stage: stage.into(),
            original,
            recipe,
            seed: 0,
            start: None,
            quiet: false,
            trial: false,
            layer_by_layer: false,
        })
    }

    /// With another recipe.
    pub fn recipe(mut self, recipe: Recipe) -> Self {
        self.recipe = recipe;
        self
    }

    /// With another seed. The same seed gives the same bits on the same machine, whatever the number of threads.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// From another picture or sound instead of noise: the metamer of a dog that looks like citrus slices.
    ///
    /// # Errors
    /// A stimulus that the network cannot take.
    pub fn start_from(mut self, start: impl Into<Stimulus>) -> Result<Self> {
        self.start = Some(self.network.prepare(start)?);
        Ok(self)
    }

    /// Without live pictures, for loops and scripts.
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Shows nothing, and is not counted among the session's runs.
    pub(crate) fn trial(mut self) -> Self {
        (self.quiet, self.trial) = (true, true);
        self
    }

    /// Runs the network layer by layer instead of compiled for the stage: slower, and the reference for it.
    pub fn layer_by_layer(mut self) -> Self {
        self.layer_by_layer = true;
        self
    }

    /// Computes the original's activations and makes the first picture or sound.
    ///
    /// # Errors
    /// A recipe with impossible numbers, or a stage at which the original leaves every unit silent.
    pub fn start(mut self) -> Result<Run> {
        self.recipe.check()?;
        if let (Stimulus::Sound(sound), Some(rms)) = (&self.original, self.recipe.sound_rms) {
            self.original = sound.clone().remove_mean().set_rms(rms)?.into();
        }
        self.begin()
    }

    /// [`Synthesis::start`] of an original that is already as the recipe wants it.
    pub(super) fn begin(self) -> Result<Run> {
        let problem = Problem::new(&self.network, &self.stage, &self.original, &self.recipe, self.layer_by_layer)?;
        let start = match &self.start {
            Some(start) => start.values().to_vec(),
            None => first_values(self.recipe.start, &self.original, self.seed)?,
        };
        Ok(Run::new(self, problem, start))
    }
}

impl std::fmt::Debug for Synthesis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (original, network, recipe) = (self.original.name(), self.network.name(), &self.recipe.name);
        write!(f, "Synthesis({original} at {} of {network}, recipe {recipe}, seed {})", self.stage, self.seed)
    }
}

fn first_values(start: Initialization, like: &Stimulus, seed: u64) -> Result<Vec<f32>> {
    let draw = |noise: Noise| match like {
        Stimulus::Image(image) => Ok::<_, Error>(Image::noise(image.width(), image.height(), noise, seed)?.into()),
        Stimulus::Sound(sound) => {
            Ok::<Stimulus, Error>(Sound::noise(sound.sample_rate(), sound.len(), noise, seed)?.into())
        }
    };
    match start {
        Initialization::Noise(noise) => Ok(draw(noise)?.values().to_vec()),
        Initialization::StretchedUniform => {
            let noise = draw(Noise::Uniform { low: 0.0, high: 1.0 })?;
            let values = noise.values();
            let low = values.iter().copied().fold(f32::INFINITY, f32::min);
            let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            if high <= low {
                return Err(Error::invalid("start", "a picture of one value cannot be stretched"));
            }
            Ok(values.iter().map(|v| (v - low) / (high - low)).collect())
        }
    }
}
