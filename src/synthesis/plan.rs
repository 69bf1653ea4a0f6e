//! What to make a metamer of.

use super::problem::Problem;
use super::recipe::{Recipe, Start};
use super::run::Run;
use crate::network::Network;
use crate::stimulus::{Image, Noise};
use crate::{Error, Result};

/// A synthesis that is about to start: a network, a stage, an original, a recipe, a seed.
#[derive(Clone)]
pub struct Synthesis {
    pub(super) network: Network,
    pub(super) stage: String,
    pub(super) original: Image,
    pub(super) recipe: Recipe,
    pub(super) seed: u64,
    pub(super) start: Option<Image>,
    pub(super) quiet: bool,
    pub(super) layer_by_layer: bool,
}

impl Synthesis {
    /// A synthesis with [`Recipe::fast`], seed 0, from noise.
    ///
    /// The original is resized and cropped as the network expects it.
    ///
    /// # Errors
    /// An unknown stage, or an image that the network cannot take.
    pub fn new(network: &Network, stage: &str, original: &Image) -> Result<Self> {
        network.stage(stage)?;
        Ok(Self {
            network: network.clone(),
            stage: stage.into(),
            original: network.prepare(original)?,
            recipe: Recipe::default(),
            seed: 0,
            start: None,
            quiet: false,
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

    /// From another picture instead of noise: the metamer of a dog that looks like strawberries.
    ///
    /// # Errors
    /// An image that the network cannot take.
    pub fn start_from(mut self, start: &Image) -> Result<Self> {
        self.start = Some(self.network.prepare(start)?);
        Ok(self)
    }

    /// Without live pictures, for loops and scripts.
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Runs the network layer by layer instead of compiled for the stage: slower, and the reference for it.
    pub fn layer_by_layer(mut self) -> Self {
        self.layer_by_layer = true;
        self
    }

    /// Computes the original's activations and makes the first picture.
    ///
    /// # Errors
    /// A recipe with impossible numbers, or a stage at which the original leaves every unit silent.
    pub fn start(self) -> Result<Run> {
        self.recipe.check()?;
        let problem = Problem::new(&self.network, &self.stage, &self.original, &self.recipe, self.layer_by_layer)?;
        let start = match &self.start {
            Some(image) => image.values().to_vec(),
            None => first_picture(self.recipe.start, &self.original, self.seed)?,
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

fn first_picture(start: Start, like: &Image, seed: u64) -> Result<Vec<f32>> {
    let (width, height) = (like.width(), like.height());
    match start {
        Start::Noise(noise) => Ok(Image::noise(width, height, noise, seed)?.values().to_vec()),
        Start::StretchedUniform => {
            let noise = Image::noise(width, height, Noise::Uniform { low: 0.0, high: 1.0 }, seed)?;
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
