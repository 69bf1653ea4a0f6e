//! Recipes of a synthesis: loss, optimizer and initialization.

use serde::{Deserialize, Serialize};

use crate::stimulus::{Noise, StimulusKind};
use crate::{Error, Result};

/// The names of presets in earlier copies, and those that they have now.
const FORMER_NAMES: [(&str, &str); 2] = [("fast", "natural_prior"), ("fast_sound", "natural_prior_sound")];

/// The steps of [`Recipe::nearest`] at an earlier stage.
const EARLIER_STEPS: usize = 40;

/// All settings of a synthesis except the network, the stage, the original and the seed.
///
/// The presets have the values that their sources state; every field can be changed.
///
/// ```
/// use metamers::prelude::{recipes::*, *};
///
/// let shorter = Recipe::feather2019().steps(3_000);
/// let faster = Recipe {
///     optimizer: Optimizer::Adam { rate: 0.01, decay_per_1000: 1.0, amsgrad: false },
///     ..Recipe::feather2019()
/// };
/// assert!(shorter.check().is_ok() && faster.check().is_ok());
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The preset's name, or one of your own.
    pub name: String,
    /// The loss.
    pub loss: Loss,
    /// If `true`, the gradient passes the rectifier of the matched stage as if it were the identity (a straight-through gradient).
    ///
    /// All rectifiers below the matched stage keep their own gradient.
    pub identity_gradient: bool,
    /// The optimizer.
    #[serde(rename = "optimiser", alias = "optimizer")]
    pub optimizer: Optimizer,
    /// The initialization, unless [`Synthesis::start_from`](super::Synthesis::start_from) gives a stimulus.
    pub start: Initialization,
    /// If `true`, each step clamps values to the valid range: pixels to `[0, 1]`, samples to `[-1, 1]`.
    pub clamp: bool,
    /// The number of steps of a full run.
    pub steps: usize,
    /// The criterion for an early end.
    pub plateau: Option<Plateau>,
    /// The root mean square to which a sound is set after removing its mean, or the highest one that does not clip; `None` leaves the
    /// sound unchanged.
    #[serde(default)]
    pub sound_rms: Option<f32>,
}

/// The loss, with the activations `A` of the original and `A'` of the metamer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Loss {
    /// Half the squared error, `1/2 sum (A' - A)^2`.
    HalfSquaredError,
    /// The norm ratio, `norm2(A' - A) / norm2(A)`.
    NormRatio,
    /// The mean squared error with a range penalty, `mean (A' - A)^2 + weight * sum of the squared excess of values outside the valid
    /// range`.
    MeanSquaredError {
        /// The weight of the range penalty.
        range_penalty: f64,
    },
    /// The matching objective, `sum (A' - A)(z - (A' + A) / 2) / norm2(A)^2`, with the stage's values `z` before its rectifier and
    /// `A' = clip(z)`.
    ///
    /// Its gradient with respect to `z` is `(A' - A) / norm2(A)^2`: the identity gradient of the papers is the true
    /// gradient of this function, which is convex in `z` and 0 at a match, so that a line search can be used.
    /// For a stage without a rectifier it is `1/2 sum (A' - A)^2 / norm2(A)^2`.
    Matching,
}

/// The optimizer. A step takes one gradient evaluation, with [`Optimizer::Lbfgs`] sometimes more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Optimizer {
    /// Adam (Kingma & Ba, 2015), betas 0.9 and 0.999, epsilon 1e-8 added to the bias-corrected root, on the pixels.
    Adam {
        /// The learning rate at the first step.
        rate: f64,
        /// The decay factor of the learning rate per 1,000 steps, applied continuously; 1 keeps the rate constant.
        decay_per_1000: f64,
        /// If `true`, uses the maximum of the second moment so far (AMSGrad; Reddi, Kale & Kumar, 2018).
        amsgrad: bool,
    },
    /// Normalised gradient descent, `x <- x - eta g / (norm2(g) + 1e-10)`.
    #[serde(rename = "normalised_gradient", alias = "normalized_gradient")]
    NormalizedGradient {
        /// The length of the first steps.
        eta: f64,
        /// The number of equal blocks of the run; eta halves from each block to the next.
        blocks: usize,
    },
    /// Limited-memory BFGS with a strong Wolfe line search.
    Lbfgs(Lbfgs),
}

/// Parameters of the L-BFGS optimizer.
///
/// When the line search finds no better point, the memory is cleared. If that does not help, some normalised gradient steps follow,
/// shorter after each such stall, and L-BFGS restarts. They are the same steps as in the warm-up and have no state; Adam, whose moments
/// would have to build up first, has not been measured in their place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lbfgs {
    /// The variables, which decide what a stage's unconstrained components become.
    // Not written where it is the one that version 0.1 had, so that files of both versions are equal.
    #[serde(default, skip_serializing_if = "Variables::is_natural_spectrum")]
    pub variables: Variables,
    /// The number of pairs of steps and gradient changes in memory.
    pub memory: usize,
    /// The maximum number of normalised gradient steps before L-BFGS; they end at an SNR of 3 dB.
    ///
    /// From noise, the activations of a deep stage hardly depend on the pixels at first, and the curvature changes within a few
    /// steps. A shallow stage reaches 3 dB in a few steps.
    pub warm_up: usize,
    /// The length of the warm-up's steps, in units of pixel values.
    pub warm_up_eta: f64,
    /// The signal-to-noise ratio, in dB, at which the run turns back towards its start; `None` if it never does. See
    /// [`Recipe::nearest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest_at: Option<f64>,
    /// The maximum number of steps in which an earlier stage is matched first, if one whole stage is matched and has stages before it;
    /// 0 for none. They end at 10 dB there.
    ///
    /// The earlier stage is the one at a third of the matched stage's index. From noise, most units of a late stage are inactive and the
    /// gradient through them vanishes. Where an earlier stage is matched, they are active as for the original, and few steps more match
    /// them. The earlier stage would leave its mark on the result if the run did not return towards its start from there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub earlier_steps: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The variables of L-BFGS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Variables {
    /// Pixels or samples. Steps are combinations of gradients, as in gradient descent, so that components that the stage does not
    /// respond to keep the values of the start: the result is a metamer near the start.
    ///
    /// Pixels within 0.02 of the limits of their range approach them exponentially, as samples do with either kind of variables.
    Pixels,
    /// The spatial frequencies of the pixels' logits in opponent colors, weighted by the amplitude spectrum of natural images, about
    /// `1 / f`, or those of a sound, weighted by about `1 / sqrt(f)`.
    ///
    /// The initial inverse Hessian is estimated during the run, with a factor for each frequency band and one for each cell of the image:
    /// a network is far more sensitive to some than to others. Both bend unconstrained components towards natural stimuli.
    #[default]
    NaturalSpectrum,
}

impl Variables {
    fn is_natural_spectrum(&self) -> bool {
        *self == Self::NaturalSpectrum
    }
}

/// The initialization of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Initialization {
    /// Noise, generated from the run's seed.
    Noise(Noise),
    /// Uniform noise, scaled to a minimum of 0 and a maximum of 1.
    StretchedUniform,
}

/// A criterion for an early end: more than `window` losses are known, and
/// `|losses[last - window + 1] - losses[last]|` is below `below`. It does not end a call with a number of steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// The number of losses in the window.
    pub window: usize,
    /// The change of the loss below which the run ends.
    pub below: f64,
}

impl Recipe {
    /// Feather, Durango, Gonzalez & McDermott (NeurIPS 2019): 15,000 steps of Adam on half the squared error.
    #[must_use]
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
    #[must_use]
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
    #[must_use]
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

    /// The default for images: the matching stimulus nearest to the start. Of all images whose signal-to-noise ratio at the stage is at
    /// least 20 dB, it looks for the one with the smallest squared distance of its pixels to the initial noise.
    ///
    /// `x = argmin norm2(x - x0)^2` subject to `SNR(x) >= 20` and `0 <= x <= 1`, with the Euclidean norm over all values of the sRGB
    /// pixels; `x0` is the initial noise, clamped to the same range. This definition does not depend on an optimizer. It is that of
    /// gradient descent in the case that can be solved: for a linear stage and without active limits, converged gradient descent from `x0`
    /// ends at the exact match nearest to `x0`, because it never leaves the span of the gradients (Engl, Hanke & Neubauer, Regularization
    /// of Inverse Problems, 1996, section 6.1). At 20 dB, before it has converged, and for a network it ends farther from its start
    /// (`benches/README.md`).
    ///
    /// At an equal SNR its metamers are nearer to their start than those of [`Recipe::feather2023`] (`block5` of EfficientNet-Lite0, forty
    /// photos, 15 dB: a median rms of 0.061 against 0.123). At 8 dB another network recognises as few of them (2 of 40 each), at 15 dB more
    /// (26 of 40 against 13): nearness to the start does not make a metamer less recognisable, and a claim about recognition needs the
    /// recipe and the SNR (`examples/faithfulness.rs`, `benches/README.md`).
    ///
    /// The run first searches as [`Recipe::natural_prior`] does, through an earlier stage ([`Lbfgs::earlier_steps`]), and then
    /// minimizes the loss plus the weighted distance, with a weight that holds the ratio. It ends
    /// ([`StopReason::Settled`](super::StopReason::Settled)) when the distance falls by less than 3 % in 25 steps, or when the line search
    /// finds no better point. That is near a stationary point of this sum, an approximation of a local minimum of the distance; at a
    /// rectified stage [`Loss::Matching`] is not the ratio itself, so that the two differ a little more. The definition does not depend on
    /// the search, but what is found does: at `block5`, ten photos, a search with a memory of 40 pairs instead of 10 ends as near to the
    /// start, at an rms of 0.027 from this one; one that passes no earlier stage ends half as far again from the start
    /// (`examples/ways_to_the_nearest.rs`, `benches/README.md`).
    /// [`Run::until`](super::Run::until) sets another ratio. As the default it gives way to [`Recipe::natural_prior`] or
    /// [`Recipe::bounded`] where a loss, a penalty, a bound or the like of a [`Synthesis`](super::Synthesis) contradicts the return.
    #[must_use]
    pub fn nearest() -> Self {
        Self {
            name: "nearest".into(),
            optimizer: Optimizer::Lbfgs(Lbfgs {
                nearest_at: Some(20.0),
                earlier_steps: EARLIER_STEPS,
                ..Lbfgs::default()
            }),
            steps: 2_000,
            ..Self::natural_prior()
        }
    }

    /// L-BFGS on the matching objective with a natural-image prior, for demonstrations.
    ///
    /// **It favors the network.** Components that a stage does not constrain resemble those of natural images, coarse structure first,
    /// unlike with [`Recipe::feather2023`]. At an equal SNR of 8 dB at `block5` of EfficientNet-Lite0, EfficientNet-Lite1 recognised 22 of
    /// 40 of its metamers and 2 of 40 of `feather2023`'s (`examples/faithfulness.rs`; the table is in `benches/README.md`). Whether people
    /// recognise its metamers says as much about natural images as about the stage. For a claim about people compare several recipes, and
    /// name recipe and SNR; for a comparison with the papers use theirs, or [`Recipe::near_start`]. `cargo bench --bench recipes` prints
    /// the number of evaluations that it needs.
    ///
    /// Earlier copies called it `fast`, and so do the files that they wrote.
    #[must_use]
    pub fn natural_prior() -> Self {
        Self {
            name: "natural_prior".into(),
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

    /// L-BFGS on the matching objective, in pixels: it differs from [`Recipe::natural_prior`] in its variables, and has no natural-image prior.
    ///
    /// Like [`Recipe::feather2023`] it moves along gradients only, so that what a linear stage does not constrain stays as in the start. It
    /// needs more evaluations than [`Recipe::natural_prior`] and a third to a sixth of those of `feather2023`, which it can stand in for
    /// where a difference in recognition has not been shown: at `block5` of EfficientNet-Lite0, EfficientNet-Lite1 recognises 2 and 15 of
    /// forty of its metamers at 8 and 15 dB, and 2 and 13 of `feather2023`'s (at 15 dB, the 95 % interval of the difference of the shares
    /// is -0.15 to 0.25). It reaches 20 dB less often (24 of 40 against 33), and ends a fifth to a third farther from its start.
    /// `examples/faithfulness.rs` compares the recipes; the table is in `benches/README.md`.
    #[must_use]
    pub fn near_start() -> Self {
        Self {
            name: "near_start".into(),
            optimizer: Optimizer::Lbfgs(Lbfgs { variables: Variables::Pixels, memory: 20, ..Lbfgs::default() }),
            steps: 2_000,
            ..Self::natural_prior()
        }
    }

    /// Adam on the matching objective, for [`Synthesis::within`](super::Synthesis::within): each step stays within a bound, which L-BFGS
    /// cannot.
    #[must_use]
    pub fn bounded() -> Self {
        Self {
            name: "bounded".into(),
            optimizer: Optimizer::Adam { rate: 0.01, decay_per_1000: 0.1, amsgrad: false },
            ..Self::natural_prior()
        }
    }

    /// [`Recipe::bounded`] for sounds, from pink noise of rms 0.02.
    #[must_use]
    pub fn bounded_sound() -> Self {
        Self {
            name: "bounded_sound".into(),
            start: Initialization::Noise(Noise::Pink { rms: 0.02 }),
            ..Self::bounded()
        }
    }

    /// [`Recipe::feather2019`] for sounds: from pink noise of rms 0.01, without a clamp, the original at rms 0.1 with its mean removed.
    ///
    /// A third of the power of the authors' noise lies below 20 Hz, where [`Noise::Pink`] has none: at the same rms, the audible part of
    /// this start is about 1.9 dB louder (two seconds at 20 kHz).
    #[must_use]
    pub fn feather2019_sound() -> Self {
        Self {
            name: "feather2019_sound".into(),
            start: Initialization::Noise(Noise::Pink { rms: 0.01 }),
            clamp: false,
            sound_rms: Some(0.1),
            ..Self::feather2019()
        }
    }

    /// [`Recipe::feather2023`] for sounds: from normal noise of deviation 1e-7, clamped to `[-1, 1]`, the original at rms 0.1 with its mean
    /// removed.
    ///
    /// In earlier copies it left the level of the original: `Recipe { sound_rms: None, ..Recipe::feather2023_sound() }`. Their files and
    /// the folders of their plans go on with the recipe that they hold.
    #[must_use]
    pub fn feather2023_sound() -> Self {
        Self {
            name: "feather2023_sound".into(),
            start: Initialization::Noise(Noise::Normal { mean: 0.0, deviation: 1e-7 }),
            sound_rms: Some(0.1),
            ..Self::feather2023()
        }
    }

    /// [`Recipe::nearest`] for sounds: of all sounds whose signal-to-noise ratio at the stage is at least 20 dB, it looks for the one
    /// with the smallest squared distance of its samples to the initial pink noise.
    #[must_use]
    pub fn nearest_sound() -> Self {
        let lbfgs = Lbfgs { nearest_at: Some(20.0), earlier_steps: EARLIER_STEPS, ..Lbfgs::default() };
        let optimizer = Optimizer::Lbfgs(Lbfgs { warm_up: 0, warm_up_eta: 1.0, ..lbfgs });
        Self { name: "nearest_sound".into(), optimizer, steps: 2_000, ..Self::natural_prior_sound() }
    }

    /// [`Recipe::natural_prior`] for sounds, from pink noise, without a warm-up: steps favor the amplitudes of natural sounds, about
    /// `1 / sqrt(f)`.
    ///
    /// `examples/word_metamer.rs` prints the SNR that it reaches.
    #[must_use]
    pub fn natural_prior_sound() -> Self {
        Self {
            name: "natural_prior_sound".into(),
            start: Initialization::Noise(Noise::Pink { rms: 0.02 }),
            optimizer: Optimizer::Lbfgs(Lbfgs { warm_up: 0, warm_up_eta: 1.0, ..Lbfgs::default() }),
            ..Self::natural_prior()
        }
    }

    /// The default recipe for stimuli of a kind.
    pub(crate) fn default_for(kind: StimulusKind) -> Self {
        match kind {
            StimulusKind::Image => Self::nearest(),
            StimulusKind::Sound => Self::nearest_sound(),
        }
    }

    /// The recipe for stimuli of a kind that takes the place of the default one with a bound or from coarse to fine.
    pub(crate) fn bounded_for(kind: StimulusKind) -> Self {
        match kind {
            StimulusKind::Image => Self::bounded(),
            StimulusKind::Sound => Self::bounded_sound(),
        }
    }

    /// All presets for images.
    #[must_use]
    pub fn presets() -> Vec<Self> {
        vec![
            Self::nearest(),
            Self::natural_prior(),
            Self::near_start(),
            Self::feather2019(),
            Self::feather2023(),
            Self::plenoptic(),
        ]
    }

    /// All presets for sounds.
    #[must_use]
    pub fn sound_presets() -> Vec<Self> {
        vec![Self::nearest_sound(), Self::natural_prior_sound(), Self::feather2019_sound(), Self::feather2023_sound()]
    }

    /// All presets for stimuli of a kind: [`Recipe::presets`] or [`Recipe::sound_presets`].
    ///
    /// ```
    /// use metamers::prelude::*;
    ///
    /// let net = zoo::cochcnn_words()?;
    /// assert_eq!(Recipe::presets_for(net.input().kind())[0], Recipe::nearest_sound());
    /// # Ok::<(), metamers::Error>(())
    /// ```
    #[must_use]
    pub fn presets_for(kind: StimulusKind) -> Vec<Self> {
        match kind {
            StimulusKind::Image => Self::presets(),
            StimulusKind::Sound => Self::sound_presets(),
        }
    }

    /// The preset with this name; `fast` and `fast_sound`, the names of earlier copies, are `natural_prior` and `natural_prior_sound`.
    ///
    /// # Errors
    /// [`Error::Unknown`] with similar names.
    pub fn by_name(name: &str) -> Result<Self> {
        let name = FORMER_NAMES.iter().find(|(former, _)| *former == name).map_or(name, |(_, now)| now);
        let presets = [Self::presets(), Self::sound_presets(), vec![Self::bounded(), Self::bounded_sound()]].concat();
        let found = presets.iter().find(|r| r.name == name).cloned();
        found.ok_or_else(|| Error::unknown("recipe", name, presets.iter().map(|r| r.name.as_str())))
    }

    /// Sets the number of steps; schedules stretch with it.
    #[must_use]
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    /// Sets the initialization.
    #[must_use]
    pub fn start(mut self, start: Initialization) -> Self {
        self.start = start;
        self
    }

    /// For [`Recipe::nearest`], the recipe that a run has after it was told to stop at this signal-to-noise ratio.
    pub(crate) fn held_at(mut self, snr_db: Option<f64>) -> Self {
        if let (Optimizer::Lbfgs(Lbfgs { nearest_at: Some(held), .. }), Some(snr_db)) = (&mut self.optimizer, snr_db) {
            *held = snr_db;
        }
        self
    }

    /// This recipe without the return towards the start of [`Recipe::nearest`]: of `nearest` itself, [`Recipe::natural_prior`].
    pub(crate) fn without_return(self) -> Self {
        let Optimizer::Lbfgs(lbfgs @ Lbfgs { nearest_at: Some(_), .. }) = self.optimizer else { return self };
        for (nearest, without) in
            [(Self::nearest(), Self::natural_prior()), (Self::nearest_sound(), Self::natural_prior_sound())]
        {
            if nearest.held_at(lbfgs.nearest_at) == self {
                return without;
            }
        }
        let optimizer = Optimizer::Lbfgs(Lbfgs { nearest_at: None, earlier_steps: 0, ..lbfgs });
        Self { name: format!("{} without return", self.name), optimizer, ..self }
    }

    /// Checks that this is not a preset for images, whatever its number of steps: a sound would start near the constant 0.5.
    pub(crate) fn check_for_sounds(&self) -> Result<()> {
        let held_at = match &self.optimizer {
            Optimizer::Lbfgs(lbfgs) => lbfgs.nearest_at,
            _ => None,
        };
        let is_this = |preset: &Self| preset.clone().steps(self.steps).held_at(held_at) == *self;
        let Some(preset) = [Self::presets(), vec![Self::bounded()]].concat().into_iter().find(is_this) else {
            return Ok(());
        };
        let mut for_sounds = [Self::sound_presets(), vec![Self::bounded_sound()]].concat();
        let own = format!("{}_sound", preset.name);
        if for_sounds.iter().any(|recipe| recipe.name == own) {
            for_sounds.retain(|recipe| recipe.name == own);
        }
        let names: Vec<String> = for_sounds.iter().map(|recipe| format!("Recipe::{}()", recipe.name)).collect();
        let reason = format!("{} is for images; for a sound use {}", preset.name, names.join(", "));
        Err(Error::invalid("recipe", reason))
    }

    /// Checks all settings.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the field.
    pub fn check(&self) -> Result<()> {
        if self.steps == 0 {
            return Err(Error::invalid("recipe.steps", "must be at least 1"));
        }
        if self.loss == Loss::Matching && !self.identity_gradient {
            let reason = "must be true for the matching objective, whose gradient is the identity gradient; set it to true or use another loss";
            return Err(Error::invalid("recipe.identity_gradient", reason));
        }
        if let Some(Plateau { window, below }) = self.plateau
            && (window < 2 || !below.is_finite())
        {
            let reason = format!("needs a window of at least 2 losses and a finite change, got {window} and {below}");
            return Err(Error::invalid("recipe.plateau", reason));
        }
        if let Loss::MeanSquaredError { range_penalty } = self.loss
            && !(range_penalty.is_finite() && range_penalty >= 0.0)
        {
            return Err(Error::invalid(
                "recipe.loss.range_penalty",
                format!("must be non-negative and finite, got {range_penalty}"),
            ));
        }
        if let Initialization::Noise(noise) = self.start {
            // The range of a sound, which is the wider one; that of an image is checked when the noise is generated.
            noise.check([-1.0, 1.0])?;
        }
        if let Some(rms) = self.sound_rms.filter(|rms| !(*rms > 0.0 && *rms <= 1.0)) {
            return Err(Error::invalid("recipe.sound_rms", format!("must be above 0 and at most 1, got {rms}")));
        }
        self.check_optimizer()
    }

    fn check_optimizer(&self) -> Result<()> {
        let positive = |what: &str, value: f64| {
            let valid = value.is_finite() && value > 0.0;
            if valid { Ok(()) } else { Err(Error::invalid(what, format!("must be positive and finite, got {value}"))) }
        };
        match self.optimizer {
            Optimizer::Adam { rate, decay_per_1000, .. } => {
                positive("recipe.optimizer.rate", rate)?;
                positive("recipe.optimizer.decay_per_1000", decay_per_1000)
            }
            Optimizer::NormalizedGradient { eta, blocks } => {
                positive("recipe.optimizer.eta", eta)?;
                if !(1..=1000).contains(&blocks) {
                    return Err(Error::invalid("recipe.optimizer.blocks", format!("must be 1 to 1000, got {blocks}")));
                }
                Ok(())
            }
            Optimizer::Lbfgs(lbfgs) => {
                if matches!(self.loss, Loss::NormRatio) || !self.clamp {
                    let reason = "L-BFGS needs a smooth loss (not Loss::NormRatio) and a clamp (clamp: true)";
                    return Err(Error::invalid("recipe.optimizer", reason));
                }
                if lbfgs.earlier_steps > 0 && lbfgs.nearest_at.is_none() {
                    let reason =
                        "needs nearest_at: without the return towards the start the earlier stage would leave its mark";
                    return Err(Error::invalid("recipe.optimizer.earlier_steps", reason));
                }
                if let Some(snr_db) = lbfgs.nearest_at {
                    check_nearest_at("recipe.optimizer.nearest_at", snr_db)?;
                }
                positive("recipe.optimizer.memory", lbfgs.memory as f64)?;
                positive("recipe.optimizer.warm_up_eta", lbfgs.warm_up_eta)
            }
        }
    }
}

/// Checks a signal-to-noise ratio that a run is to hold.
pub(super) fn check_nearest_at(what: &str, snr_db: f64) -> Result<()> {
    match snr_db.is_finite() {
        true => Ok(()),
        false => Err(Error::invalid(what, format!("must be finite, got {snr_db}; 20.0 is well matched"))),
    }
}

impl Default for Recipe {
    fn default() -> Self {
        Self::nearest()
    }
}

impl Default for Lbfgs {
    fn default() -> Self {
        Self {
            variables: Variables::default(),
            memory: 10,
            warm_up: 200,
            warm_up_eta: 3.0,
            nearest_at: None,
            earlier_steps: 0,
        }
    }
}
