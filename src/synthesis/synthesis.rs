//! The configuration of a synthesis.

use candle_core::Device;

use super::execution::Execution;
use super::goal::{Bound, Goal, Match, Norm, OwnLoss, Penalty, check_levels};
use super::problem::Problem;
use super::provenance::Provenance;
use super::recipe::{Initialization, Recipe};
use super::run::Run;
use super::session_log;
use crate::network::Network;
use crate::stimulus::{Noise, Stimulus, StimulusKind};
use crate::{Error, Result};

/// Seed of the noise at which gradients of the user's own functions are checked.
const PROBE_SEED: u64 = 7;

/// The configuration of a synthesis: a network, what is matched, an original, a recipe and a seed.
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
    pub(super) goal: Goal,
    pub(super) original: Stimulus,
    pub(super) recipe: Recipe,
    /// `true` until [`Synthesis::recipe`] sets one: the goal may replace the recipe.
    pub(super) recipe_is_default: bool,
    pub(super) seed: u64,
    pub(super) start: Option<Stimulus>,
    pub(super) quiet: bool,
    /// `true` if the session log counts the run.
    pub(super) logged: bool,
    pub(super) execution: Execution,
    /// The versions and machines of earlier parts of a run that went on elsewhere.
    pub(super) begun_by: Vec<String>,
    /// The version and machine of the run so far, if it was resumed or moved to a device, and has made no step since.
    pub(super) last_made_by: Option<String>,
}

impl Synthesis {
    /// Before a step: notes what made the run so far, if it goes on with another version or machine.
    pub(super) fn note_change(&mut self) {
        if self.last_made_by.is_some() {
            self.begun_by = Provenance::new(self).begun_by;
            self.last_made_by = None;
        }
    }
}

impl Synthesis {
    /// A synthesis from noise with seed 0 and the default recipe: [`Recipe::nearest`] for an image, [`Recipe::nearest_sound`] for a
    /// sound.
    ///
    /// `matched` is the name of a stage, a [`Target`](super::Target) (a part of a stage, or statistics of it), or a [`Match`] of several
    /// with weights. The original is prepared for the network by [`Network::prepare`]. The recipe's sound level is applied by
    /// [`Synthesis::start`].
    ///
    /// # Errors
    /// [`Error::Unknown`] for an unknown stage; [`Error::Invalid`] for a weight that is not positive, a target that is named twice, a channel
    /// that does not exist, and a region without units; otherwise the errors of [`Network::prepare`].
    pub fn new(network: &Network, matched: impl Into<Match>, original: impl Into<Stimulus>) -> Result<Self> {
        let matched = matched.into().prepared(network)?;
        Ok(Self::with_goal(network, Goal::new(matched), network.prepare(original)?))
    }

    /// A synthesis of a prepared original from noise with seed 0 and the default recipe.
    pub(super) fn with_goal(network: &Network, goal: Goal, original: Stimulus) -> Self {
        Self {
            network: network.clone(),
            goal,
            recipe: default_recipe(&original),
            recipe_is_default: true,
            seed: 0,
            start: None,
            quiet: false,
            logged: true,
            execution: Execution::Compiled,
            begun_by: vec![],
            last_made_by: None,
            original,
        }
    }

    /// Sets the recipe.
    pub fn recipe(mut self, recipe: Recipe) -> Self {
        self.recipe_is_default = recipe == default_recipe(&self.original);
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

    /// Replaces the recipe's loss of each target by one of your own. Call it after the recipe is set; the default recipe becomes
    /// [`Recipe::natural_prior`], which heads for this loss alone.
    ///
    /// # Errors
    /// [`Error::Invalid`] when candle's gradient of the function differs from finite differences at the features of noise; otherwise the
    /// function's own errors.
    pub fn loss(mut self, loss: OwnLoss) -> Result<Self> {
        self.drop_default_return();
        let goal = Goal { loss: None, ..self.goal.clone() };
        let execution = self.execution.on_cpu();
        let problem = Problem::new(&self.network, &goal, &self.original, &self.recipe, &execution)?;
        for (term, features) in problem.features_of(&self.probe()?)? {
            loss.check(term.feature.shape(), &term.stage_loss.target, &features)?;
        }
        self.goal.loss = Some(loss);
        Ok(self)
    }

    /// Adds a penalty on the pixels or samples; several add up.
    ///
    /// The default recipe becomes [`Recipe::natural_prior`]: it is the penalty that chooses among the metamers, in place of the distance
    /// to the start. With an explicit [`Recipe::nearest`], set after the penalty, both do.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a weight that is not positive and finite, and when candle's gradient of a function differs from finite
    /// differences; otherwise the errors of [`Network::prepare`] for its stimuli.
    pub fn penalty(mut self, penalty: Penalty) -> Result<Self> {
        self.drop_default_return();
        let probe = self.original.with_clamped("noise", &self.probe()?);
        self.goal.penalties.push(penalty.prepared(&self.network, &probe)?);
        Ok(self)
    }

    /// Keeps the metamer within a distance of another stimulus, by moving it to the nearest such stimulus after each step: the metamer
    /// that looks like `stimulus` and that the network takes for the original. At `logits` that is an adversarial example.
    ///
    /// The run starts from `stimulus` unless [`Synthesis::start_from`] gives another start. [`Recipe::bounded`], for a sound
    /// [`Recipe::bounded_sound`], takes the place of the default recipe, because L-BFGS cannot stay within a bound.
    ///
    /// ```
    /// use metamers::prelude::*;
    /// use metamers::synthesis::Norm;
    ///
    /// let net = zoo::efficientnet_lite0()?;
    /// let (dog, panda) = (Image::open("photos/dog.jpg")?, Image::open("photos/giant_panda.jpg")?);
    /// let mut run = Synthesis::new(&net, "logits", &panda)?.within(Norm::Linf, 8.0 / 255.0, &dog)?.quiet().start()?;
    /// run.step(2)?;
    /// let (metamer, dog) = (run.finish()?, net.prepare(&dog)?);
    /// assert!(Norm::Linf.distance(metamer.stimulus().values(), dog.values()) <= 8.001 / 255.0);
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] when `eps` is not positive and finite; otherwise the errors of [`Network::prepare`].
    pub fn within(mut self, norm: Norm, eps: f64, stimulus: impl Into<Stimulus>) -> Result<Self> {
        let center = self.network.prepare(stimulus)?;
        self.bound_default();
        self.start.get_or_insert_with(|| center.clone());
        self.goal.bound = Some(Bound::new(norm, eps, center)?);
        Ok(self)
    }

    /// Changes coarse structure first: in the first half of the recipe's steps, `levels` phases of equal length admit spatial (or
    /// temporal) frequencies up to `2^-levels`, ..., 1/4 and 1/2 of the highest one in turn; the second half admits all.
    ///
    /// Needs a recipe of Adam or of normalised gradients, whose steps are filtered; [`Recipe::bounded`], for a sound
    /// [`Recipe::bounded_sound`], takes the place of the default recipe.
    ///
    /// ```
    /// use metamers::prelude::*;
    ///
    /// let net = zoo::efficientnet_lite0()?;
    /// let plan = Synthesis::new(&net, "stem", Image::open("photos/dog.jpg")?)?.recipe(Recipe::feather2023().steps(16));
    /// let mut run = plan.coarse_to_fine(4)?.seed(7).quiet().start()?;
    /// run.run()?;
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for 0 levels and for more than 6.
    pub fn coarse_to_fine(mut self, levels: usize) -> Result<Self> {
        check_levels(levels)?;
        self.bound_default();
        self.goal.coarse_to_fine = Some(levels);
        Ok(self)
    }

    /// Removes the return towards the start from the default recipe.
    fn drop_default_return(&mut self) {
        if self.recipe_is_default {
            self.recipe = self.recipe.clone().without_return();
        }
    }

    /// Replaces the default recipe by one whose steps can stay within a bound and be coarse.
    fn bound_default(&mut self) {
        if self.recipe_is_default {
            self.recipe = Recipe::bounded_for(self.original.kind());
        }
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
        // A device takes precedence, whichever is called first.
        if matches!(self.execution, Execution::Compiled) {
            self.execution = Execution::LayerByLayer;
        }
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
        self.execution = Execution::OnDevice(device.clone());
        self
    }

    /// Returns whether the network runs layer by layer, on any device.
    pub(super) fn is_layer_by_layer(&self) -> bool {
        self.execution.is_layer_by_layer()
    }

    /// Computes the original's activations and generates the initial stimulus.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid recipe, for a preset for images that a sound would start from, for L-BFGS with a bound, and for a
    /// stage whose units are all 0 for the original.
    pub fn start(self) -> Result<Run> {
        self.check_recipe_kind()?;
        self.start_as_recorded()
    }

    /// Returns an error if a sound would start from the noise of a preset for images.
    pub(super) fn check_recipe_kind(&self) -> Result<()> {
        let draws_noise = self.start.is_none() && self.goal.bound.is_none();
        let is_sound = self.original.kind() == StimulusKind::Sound;
        if is_sound && draws_noise { self.recipe.check_for_sounds() } else { Ok(()) }
    }

    /// Starts with a recipe that an earlier copy may have chosen: that of images for a sound, which a sweep then goes on with.
    pub(crate) fn start_as_recorded(mut self) -> Result<Run> {
        self.recipe.check()?;
        self.original = self.original_at_level()?;
        let run = self.start_prepared()?;
        if run.synthesis.logged {
            session_log::log(&run.synthesis);
        }
        Ok(run)
    }

    /// The original at the recipe's sound level, or at the highest level that does not clip, as
    /// [`Sound::prepare`](crate::stimulus::Sound::prepare) has it.
    pub(crate) fn original_at_level(&self) -> Result<Stimulus> {
        match (&self.original, self.recipe.sound_rms) {
            (Stimulus::Sound(sound), Some(rms)) => Ok(sound.clone().at_level(rms)?.into()),
            (original, _) => Ok(original.clone()),
        }
    }

    /// Starts with an original that already has the recipe's level, without an entry in the session log.
    pub(super) fn start_prepared(self) -> Result<Run> {
        self.goal.check(&self.recipe)?;
        let Self { network, goal, original, recipe, execution, .. } = &self;
        let problem = Problem::new(network, goal, original, recipe, execution)?;
        let start = start_values(self.start.as_ref(), recipe, original, self.seed, goal.bound.as_ref())?;
        Ok(Run::new(self, problem, start))
    }

    /// Noise at which functions are checked.
    fn probe(&self) -> Result<Vec<f32>> {
        initial_values(default_recipe(&self.original).start, &self.original, PROBE_SEED)
    }
}

impl std::fmt::Debug for Synthesis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (original, network, recipe) = (self.original.name(), self.network.name(), &self.recipe.name);
        let matched = &self.goal.matched;
        write!(f, "Synthesis({original} at {matched} of {network}, recipe {recipe}, seed {})", self.seed)
    }
}

fn default_recipe(original: &Stimulus) -> Recipe {
    Recipe::default_for(original.kind())
}

/// The values that a run begins with: those of its given start, or else of the recipe's initialization, moved within the bound.
pub(super) fn start_values(
    start: Option<&Stimulus>,
    recipe: &Recipe,
    original: &Stimulus,
    seed: u64,
    bound: Option<&Bound>,
) -> Result<Vec<f32>> {
    let mut values = match start {
        Some(start) => start.values().to_vec(),
        None => initial_values(recipe.start, original, seed)?,
    };
    if let Some(bound) = bound {
        bound.project(&mut values);
    }
    Ok(values)
}

fn initial_values(initialization: Initialization, original: &Stimulus, seed: u64) -> Result<Vec<f32>> {
    match initialization {
        Initialization::Noise(noise) => Ok(original.noise_like(noise, seed)?.values().to_vec()),
        Initialization::StretchedUniform => {
            let noise = original.noise_like(Noise::Uniform { low: 0.0, high: 1.0 }, seed)?;
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
