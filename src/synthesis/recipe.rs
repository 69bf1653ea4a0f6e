//! How a metamer is made: what is minimised, how, from where.

use serde::{Deserialize, Serialize};

use crate::stimulus::Noise;
use crate::{Error, Result};

/// Everything that decides a synthesis but the network, the stage, the stimulus and the seed.
///
/// The presets give what their sources state; every field can be changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The preset's name, or one of your own.
    pub name: String,
    /// What is minimised.
    pub loss: Loss,
    /// Whether the gradient passes the matched stage's rectifier as if it were the identity.
    ///
    /// Only at the matched stage; all rectifiers below it keep their own gradient.
    pub identity_gradient: bool,
    /// How.
    #[serde(rename = "optimiser", alias = "optimizer")]
    pub optimizer: Optimizer,
    /// From where, unless another stimulus is given as the start.
    pub start: Initialization,
    /// Whether values are clamped to what the stimulus can hold, pixels to `[0, 1]` and samples to `[-1, 1]`, after each step.
    pub clamp: bool,
    /// How many steps a full run takes.
    pub steps: usize,
    /// When to end earlier.
    pub plateau: Option<Plateau>,
    /// The level that a sound is brought to before its activations are taken, without its mean; `None` leaves it as it is.
    #[serde(default)]
    pub sound_rms: Option<f32>,
}

/// What is minimised; `A` are the original's activations, `A'` the metamer's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Loss {
    /// `1/2 sum (A' - A)^2`.
    HalfSquaredError,
    /// `norm2(A' - A) / norm2(A)`.
    NormRatio,
    /// `mean (A' - A)^2 + weight * sum of the squared excess of values outside of what the stimulus can hold`.
    MeanSquaredError {
        /// The weight of the range penalty.
        range_penalty: f64,
    },
    /// `sum (A' - A)(z - (A' + A) / 2) / norm2(A)^2`, with `z` the stage's values before its rectifier, `A' = clip(z)`.
    ///
    /// Its gradient with respect to `z` is `(A' - A) / norm2(A)^2`: the identity gradient of the papers is the true
    /// gradient of this function, which is convex in `z` and 0 at a match. So a line search has a value to judge by.
    /// Where a stage has no rectifier it is `1/2 sum (A' - A)^2 / norm2(A)^2`.
    Matching,
}

/// How the loss is minimised. A step of all but [`Optimizer::Lbfgs`] takes one gradient evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Optimizer {
    /// Adam (Kingma & Ba, 2015), betas 0.9 and 0.999, epsilon 1e-8 beside the bias-corrected root, on the pixels.
    Adam {
        /// Learning rate at the first step.
        rate: f64,
        /// The rate is multiplied by this every 1,000 steps, a fraction of it each step; 1 keeps it constant.
        decay_per_1000: f64,
        /// Whether the largest second moment so far is used (Reddi, Kale & Kumar, 2018).
        amsgrad: bool,
    },
    /// `x <- x - eta g / (norm2(g) + 1e-10)`.
    #[serde(rename = "normalised_gradient", alias = "normalized_gradient")]
    NormalizedGradient {
        /// Length of the first steps.
        eta: f64,
        /// The run is cut into this many blocks, and eta is halved from each to the next.
        blocks: usize,
    },
    /// Limited-memory BFGS with a strong Wolfe line search, on variables in which the problem is well scaled.
    Lbfgs(Lbfgs),
}

/// Parameters of the L-BFGS optimiser.
///
/// Pixels are `x = sigmoid(u)`, which keeps them inside `(0, 1)`. L-BFGS works on the spatial frequencies of `u` in
/// opponent colours, each weighted by the amplitude that it has in natural pictures, about `1 / f`. Its first guess of
/// the inverse Hessian is learnt on the way, a factor for each band of frequencies and one for each part of the
/// picture: a network answers to some far more than to others.
///
/// Where nothing better is found along a line, the memory is dropped, then some normalised gradient steps are taken,
/// shorter after each such stall, and L-BFGS begins anew. They are the steps of the warm-up again, which carry nothing over
/// from one to the next; Adam in their place, with moments that it would have to gather first, has not been measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lbfgs {
    /// How many pairs of steps and gradient changes are remembered.
    pub memory: usize,
    /// At most so many normalised gradient steps come first; they end at a match of 3 dB.
    ///
    /// From noise, the activations of a deep stage hardly depend on the pixels at first: there is no curvature to be
    /// learnt that would hold a few steps later. A shallow stage passes 3 dB in a few steps.
    pub warm_up: usize,
    /// Length of the warm-up's steps, in units of pixel values.
    pub warm_up_eta: f64,
}

/// The first picture of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Initialization {
    /// Noise of the run's seed.
    Noise(Noise),
    /// Uniform noise, stretched so that its smallest value is 0 and its largest 1.
    StretchedUniform,
}

/// An early end: after a step, when more than `window` losses are known and
/// `|losses[last - window + 1] - losses[last]|` is below `below`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// How many losses back.
    pub window: usize,
    /// The smallest change that counts.
    pub below: f64,
}

impl Recipe {
    /// Feather, Durango, Gonzalez & McDermott (NeurIPS 2019): 15,000 steps of Adam on half the squared error.
    pub fn feather2019() -> Self {
        Self {
            name: "feather2019".into(),
            loss: Loss::HalfSquaredError,
            identity_gradient: true,
            optimizer: Optimizer::Adam { rate: 1e-3, decay_per_1000: 0.95, amsgrad: false },
            start: Initialization::Noise(Noise::Uniform { low: 0.5, high: 0.6 }),
            clamp: true,
            steps: 15_000,
            plateau: None,
            sound_rms: None,
        }
    }

    /// Feather, Leclerc, Mądry & McDermott (Nature Neuroscience 2023): 24,000 normalised gradient steps in 8 blocks.
    pub fn feather2023() -> Self {
        Self {
            name: "feather2023".into(),
            loss: Loss::NormRatio,
            identity_gradient: true,
            optimizer: Optimizer::NormalizedGradient { eta: 1.0, blocks: 8 },
            start: Initialization::Noise(Noise::Normal { mean: 0.5, deviation: 0.05 }),
            clamp: true,
            steps: 24_000,
            plateau: None,
            sound_rms: None,
        }
    }

    /// plenoptic 2 (`Metamer` with its defaults): 100 steps of Adam on the mean squared error and a range penalty.
    pub fn plenoptic() -> Self {
        Self {
            name: "plenoptic".into(),
            loss: Loss::MeanSquaredError { range_penalty: 0.1 },
            identity_gradient: false,
            optimizer: Optimizer::Adam { rate: 0.01, decay_per_1000: 1.0, amsgrad: true },
            start: Initialization::StretchedUniform,
            clamp: false,
            steps: 100,
            plateau: Some(Plateau { window: 50, below: 1e-4 }),
            sound_rms: None,
        }
    }

    /// The default: L-BFGS on the matching objective; `cargo bench --bench recipes` prints the evaluations that it needs.
    ///
    /// **It flatters the network.** What a stage leaves open it fills in as natural pictures would, coarse structure first, and
    /// [`Recipe::feather2023`] does not. At an equal match of 8 dB at `block5` of EfficientNet-Lite0, another network recognised 9 of 16 of its
    /// metamers and none of `feather2023`'s (`examples/judged_by_another.rs`; the table is in `benches/README.md`). So a claim about who
    /// recognises metamers names recipe, start and SNR, and a comparison with the papers takes theirs.
    pub fn fast() -> Self {
        Self {
            name: "fast".into(),
            loss: Loss::Matching,
            identity_gradient: true,
            optimizer: Optimizer::Lbfgs(Lbfgs::default()),
            start: Initialization::Noise(Noise::Normal { mean: 0.5, deviation: 0.05 }),
            clamp: true,
            steps: 1_000,
            plateau: None,
            sound_rms: None,
        }
    }

    /// [`Recipe::feather2019`] as it was for sounds: from pink noise of rms 0.01, no clamp, the original without a mean at rms 0.1.
    pub fn feather2019_sound() -> Self {
        Self {
            name: "feather2019_sound".into(),
            start: Initialization::Noise(Noise::Pink { rms: 0.01 }),
            clamp: false,
            sound_rms: Some(0.1),
            ..Self::feather2019()
        }
    }

    /// [`Recipe::feather2023`] as it was for sounds: from normal noise of deviation 1e-7, clamped to `[-1, 1]`.
    pub fn feather2023_sound() -> Self {
        Self {
            name: "feather2023_sound".into(),
            start: Initialization::Noise(Noise::Normal { mean: 0.0, deviation: 1e-7 }),
            ..Self::feather2023()
        }
    }

    /// The default for sounds: L-BFGS on the matching objective, from pink noise, at once.
    ///
    /// `examples/word_metamer.rs` prints what it reaches.
    pub fn fast_sound() -> Self {
        Self {
            name: "fast_sound".into(),
            start: Initialization::Noise(Noise::Pink { rms: 0.02 }),
            optimizer: Optimizer::Lbfgs(Lbfgs { warm_up: 0, warm_up_eta: 1.0, ..Lbfgs::default() }),
            ..Self::fast()
        }
    }

    /// All presets for pictures.
    pub fn presets() -> Vec<Self> {
        vec![Self::fast(), Self::feather2019(), Self::feather2023(), Self::plenoptic()]
    }

    /// All presets for sounds.
    pub fn sound_presets() -> Vec<Self> {
        vec![Self::fast_sound(), Self::feather2019_sound(), Self::feather2023_sound()]
    }

    /// The preset of this name.
    ///
    /// # Errors
    /// [`Error::Unknown`] with the likeliest names.
    pub fn by_name(name: &str) -> Result<Self> {
        let presets = [Self::presets(), Self::sound_presets()].concat();
        let found = presets.iter().find(|r| r.name == name).cloned();
        found.ok_or_else(|| Error::unknown("recipe", name, presets.iter().map(|r| r.name.as_str())))
    }

    /// The same recipe with another number of steps; schedules stretch with it.
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    /// The same recipe with another start.
    pub fn start(mut self, start: Initialization) -> Self {
        self.start = start;
        self
    }

    /// Checks that every number is one that the optimiser can work with.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the field.
    pub fn check(&self) -> Result<()> {
        let positive = |what: &str, value: f64| {
            let fine = value.is_finite() && value > 0.0;
            if fine { Ok(()) } else { Err(Error::invalid(what, format!("must be above 0 and finite, got {value}"))) }
        };
        if self.steps == 0 {
            return Err(Error::invalid("recipe.steps", "must be at least 1"));
        }
        if self.loss == Loss::Matching && !self.identity_gradient {
            let reason = "the matching objective is the identity gradient's own; set it to true or take another loss";
            return Err(Error::invalid("recipe.identity_gradient", reason));
        }
        if self.plateau.is_some_and(|p| p.window < 2 || !p.below.is_finite()) {
            return Err(Error::invalid("recipe.plateau", "needs a window of at least 2 losses and a finite change"));
        }
        if let Loss::MeanSquaredError { range_penalty } = self.loss
            && !(range_penalty.is_finite() && range_penalty >= 0.0)
        {
            return Err(Error::invalid("recipe.loss.range_penalty", format!("must be 0 or more, got {range_penalty}")));
        }
        if let Initialization::Noise(noise) = self.start {
            // The widest range, a sound's: a picture's own is checked when the noise is drawn.
            noise.check([-1.0, 1.0])?;
        }
        match self.optimizer {
            Optimizer::Adam { rate, decay_per_1000, .. } => {
                positive("recipe.optimiser.rate", rate)?;
                positive("recipe.optimiser.decay_per_1000", decay_per_1000)
            }
            Optimizer::NormalizedGradient { eta, blocks } => {
                positive("recipe.optimiser.eta", eta)?;
                if !(1..=1000).contains(&blocks) {
                    return Err(Error::invalid("recipe.optimiser.blocks", format!("must be 1 to 1000, got {blocks}")));
                }
                Ok(())
            }
            Optimizer::Lbfgs(lbfgs) => {
                if matches!(self.loss, Loss::NormRatio) || !self.clamp {
                    let reason = "L-BFGS needs a smooth loss (not norm_ratio) and keeps values in range (clamp: true)";
                    return Err(Error::invalid("recipe.optimiser", reason));
                }
                positive("recipe.optimiser.memory", lbfgs.memory as f64)?;
                positive("recipe.optimiser.warm_up_eta", lbfgs.warm_up_eta)
            }
        }
    }
}

impl Default for Recipe {
    fn default() -> Self {
        Self::fast()
    }
}

impl Default for Lbfgs {
    fn default() -> Self {
        Self { memory: 10, warm_up: 200, warm_up_eta: 3.0 }
    }
}
