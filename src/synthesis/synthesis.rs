//! The configuration of a synthesis.

use candle_core::Device;

use super::problem::Problem;
use super::recipe::{Initialization, Recipe};
use super::run::Run;
use super::session_log;
use crate::network::Network;
use crate::stimulus::{Noise, Sound, Stimulus};
use crate::{Error, Result};

/// The configuration of a synthesis: a network, a stage, an original, a recipe and a seed.
///
/// ```
/// use metamers::prelude::*;
///
/// let net = zoo::efficientnet_lite0()?;
/// let photo = Image::open("photos/giant_panda.jpg")?;
/// let mut run = Synthesis::new(&net, "stem", &photo)?.recipe(Recipe::feather2023()).seed(7).start()?;
/// run.step(2)?;
/// assert_eq!(run.steps(), 2);
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "call start to begin the run"]
pub struct Synthesis {
    pub(super) network: Network,
    pub(super) stage: String,
    pub(super) original: Stimulus,
    pub(super) recipe: Recipe,
    pub(super) seed: u64,
    pub(super) start: Option<Stimulus>,
    pub(super) quiet: bool,
    /// `true` if the session log counts the run.
    pub(super) logged: bool,
    pub(super) layer_by_layer: bool,
    /// The device of [`Synthesis::on`].
    pub(super) device: Option<Device>,
}

impl Synthesis {
    /// A synthesis from noise with seed 0 and the default recipe: [`Recipe::fast`] for an image, [`Recipe::fast_sound`] for a sound.
    ///
    /// The original is prepared for the network by [`Network::prepare`]. The recipe's sound level is applied by
    /// [`Synthesis::start`].
    ///
    /// # Errors
    /// [`Error::Unknown`] for an unknown stage; otherwise the errors of [`Network::prepare`].
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
            logged: true,
            layer_by_layer: false,
            device: None,
        })
    }

    /// Sets the recipe.
    pub fn recipe(mut self, recipe: Recipe) -> Self {
        self.recipe = recipe;
        self
    }

    /// Sets the seed. The same seed gives bit-identical results on the same machine for any number of threads.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Starts from a stimulus instead of noise, for instance a metamer of a dog from a picture of citrus slices.
    ///
    /// # Errors
    /// As [`Network::prepare`].
    pub fn start_from(mut self, start: impl Into<Stimulus>) -> Result<Self> {
        self.start = Some(self.network.prepare(start)?);
        Ok(self)
    }

    /// Disables the live view, for loops and scripts.
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Disables the live view and the entry in the session log, for measurements.
    pub(crate) fn unlogged(mut self) -> Self {
        (self.quiet, self.logged) = (true, false);
        self
    }

    /// Runs the network layer by layer instead of compiled: slower, the reference implementation.
    pub fn layer_by_layer(mut self) -> Self {
        self.layer_by_layer = true;
        self
    }

    /// Runs the network on a device of candle, such as a GPU: layer by layer, by operations of candle. The optimizer stays on the CPU, so
    /// that a run takes the same steps up to rounding.
    ///
    /// A GPU needs the feature `cuda` or `metal`. The cochleagram, the log-mel spectrogram and custom modules run on the CPU in any case. On
    /// [`Device::Cpu`] this is the same computation as on a GPU, much slower than the compiled network, to compare with. Without this call, a
    /// synthesis runs compiled on the CPU.
    ///
    /// ```
    /// use metamers::candle::Device;
    /// use metamers::prelude::*;
    ///
    /// let net = zoo::efficientnet_lite0()?;
    /// let photo = Image::open("photos/giant_panda.jpg")?;
    /// let device = Device::cuda_if_available(0)?;
    /// let mut run = Synthesis::new(&net, "stem", &photo)?.on(&device).start()?;
    /// run.step(2)?;
    /// # Ok::<(), metamers::Error>(())
    /// ```
    pub fn on(mut self, device: &Device) -> Self {
        self.device = Some(device.clone());
        self
    }

    /// Returns whether the network runs layer by layer, on any device.
    pub(super) fn is_layer_by_layer(&self) -> bool {
        self.layer_by_layer || self.device.is_some()
    }

    /// Computes the original's activations and generates the initial stimulus.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid recipe, and for a stage whose units are all 0 for the original.
    pub fn start(mut self) -> Result<Run> {
        self.recipe.check()?;
        if let (Stimulus::Sound(sound), Some(rms)) = (&self.original, self.recipe.sound_rms) {
            self.original = sound.clone().remove_mean().set_rms(rms)?.into();
        }
        let run = self.start_prepared()?;
        if run.synthesis.logged {
            session_log::log(&run.synthesis);
        }
        Ok(run)
    }

    /// Starts with an original that already has the recipe's level, without an entry in the session log.
    pub(super) fn start_prepared(self) -> Result<Run> {
        let Self { network, stage, original, recipe, layer_by_layer, device, .. } = &self;
        let problem = Problem::new(network, stage, original, recipe, *layer_by_layer, device.as_ref())?;
        let start = match &self.start {
            Some(start) => start.values().to_vec(),
            None => initial_values(self.recipe.start, &self.original, self.seed)?,
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

fn initial_values(initialization: Initialization, original: &Stimulus, seed: u64) -> Result<Vec<f32>> {
    let draw = |noise: Noise| match original {
        Stimulus::Image(image) => Ok::<_, Error>(image.noise_like(noise, seed)?.into()),
        Stimulus::Sound(sound) => {
            Ok::<Stimulus, Error>(Sound::noise(sound.sample_rate(), sound.len(), noise, seed)?.into())
        }
    };
    match initialization {
        Initialization::Noise(noise) => Ok(draw(noise)?.values().to_vec()),
        Initialization::StretchedUniform => {
            let noise = draw(Noise::Uniform { low: 0.0, high: 1.0 })?;
            let values = noise.values();
            let low = values.iter().copied().fold(f32::INFINITY, f32::min);
            let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            if high <= low {
                return Err(Error::invalid("start", "noise of a single value cannot be stretched to [0, 1]"));
            }
            Ok(values.iter().map(|v| (v - low) / (high - low)).collect())
        }
    }
}
