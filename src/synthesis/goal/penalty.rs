//! Penalties on the pixels or samples of a stimulus.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::away_in::{AwayIn, OtherFeatures};
use super::check_weight;
use super::function::{check_function, value_and_gradient};
use super::spectrum::Bands;
use super::target::Target;
use super::total_variation::total_variation;
use crate::network::Network;
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// Bands per octave of [`Penalty::spectrum`].
const BANDS_PER_OCTAVE: f64 = 2.0;

type Function = dyn Fn(&Tensor) -> Result<Tensor> + Send + Sync;

/// The squared rms distance that is added below the root of [`Penalty::away_from`], so that its slope at 0 is finite.
const SQUARED_DISTANCE_FLOOR: f64 = 1e-8;

/// A function of the pixels or samples that is added to the loss, with a weight.
///
/// Besides the shipped ones, [`Penalty::custom`] takes a candle function. [`Synthesis::penalty`](super::super::Synthesis::penalty) adds it.
///
/// ```
/// use metamers::prelude::*;
/// use metamers::synthesis::Penalty;
///
/// let net = zoo::efficientnet_lite0()?;
/// let dog = Image::open("photos/dog.jpg")?;
/// let smooth = Penalty::total_variation(0.05);
/// let bright = Penalty::custom("brightness", 0.1, |x| Ok((x.mean_all()? - 0.8)?.sqr()?));
/// let mut run = Synthesis::new(&net, "stem", &dog)?.penalty(smooth)?.penalty(bright)?.seed(7).quiet().start()?;
/// run.step(3)?;
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[must_use]
pub struct Penalty {
    weight: f64,
    kind: Kind,
    /// The names of its stimuli; `stimuli` in plans of sweeps.
    #[serde(default, skip_serializing_if = "Vec::is_empty", alias = "stimuli")]
    names: Vec<String>,
    /// Saved beside the provenance.
    #[serde(skip)]
    stimuli: Vec<Stimulus>,
    #[serde(skip)]
    function: Option<Arc<Function>>,
    #[serde(skip)]
    features: Option<OtherFeatures>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    TotalVariation,
    Range,
    Distance,
    AwayFrom,
    /// Away in the features of another network, by the names of network and target.
    AwayIn(String, String),
    Spectrum,
    /// A function with this name.
    Custom(String),
}

impl Penalty {
    fn new(kind: Kind, weight: f64, stimuli: Vec<Stimulus>) -> Self {
        let names = stimuli.iter().map(|stimulus| stimulus.name().into()).collect();
        Self { weight, kind, names, stimuli, function: None, features: None }
    }

    /// Total variation, the mean over pixels and colors of `sqrt(dx^2 + dy^2 + e^2) - e` with the differences to the next pixel and
    /// `e = 0.001`: it favors flat areas with sharp edges.
    pub fn total_variation(weight: f64) -> Self {
        Self::new(Kind::TotalVariation, weight, vec![])
    }

    /// The sum of the squared excess of values outside the valid range, for recipes without a clamp; plenoptic's `penalize_range`.
    pub fn range(weight: f64) -> Self {
        Self::new(Kind::Range, weight, vec![])
    }

    /// The mean squared difference from a stimulus: among all metamers, it favors one near to it.
    pub fn distance(weight: f64, stimulus: impl Into<Stimulus>) -> Self {
        Self::new(Kind::Distance, weight, vec![stimulus.into()])
    }

    /// Minus the root mean square difference from stimuli, averaged over them: among all metamers, it favors one far from them.
    pub fn away_from<S: Into<Stimulus>>(weight: f64, stimuli: impl IntoIterator<Item = S>) -> Self {
        Self::new(Kind::AwayFrom, weight, stimuli.into_iter().map(Into::into).collect())
    }

    /// Minus the correlation distance from stimuli in the features of another network, averaged over them: among all metamers, it favors one
    /// that this network tells from them. The distance is `1 - r`, with Pearson's correlation `r` of the features of both, from 0 to 2: the
    /// dissimilarity of Kriegeskorte, Mur & Bandettini (2008).
    ///
    /// `target` is a stage's name or a [`Target`]. The network must take the same input as that of the synthesis. A file keeps the names
    /// only, so that a metamer cannot be reproduced from its file alone.
    ///
    /// ```
    /// use metamers::prelude::*;
    /// use metamers::synthesis::Penalty;
    ///
    /// let net = zoo::efficientnet_lite0()?;
    /// let dog = Image::open("photos/dog.jpg")?;
    /// // Another network in earnest; here the same one, at an earlier stage.
    /// let seen_by_stem = Penalty::away_in(0.1, &net, "stem", [&dog]);
    /// let mut run = Synthesis::new(&net, "block2", &dog)?.penalty(seen_by_stem)?.seed(7).quiet().start()?;
    /// run.step(3)?;
    /// # Ok::<(), metamers::Error>(())
    /// ```
    pub fn away_in<S: Into<Stimulus>>(
        weight: f64,
        network: &Network,
        target: impl Into<Target>,
        stimuli: impl IntoIterator<Item = S>,
    ) -> Self {
        let features = OtherFeatures { network: network.clone(), target: target.into() };
        let kind = Kind::AwayIn(network.name().into(), features.target.to_string());
        let stimuli = stimuli.into_iter().map(Into::into).collect();
        Self { features: Some(features), ..Self::new(kind, weight, stimuli) }
    }

    /// The mean over frequency bands (half octaves of each color) of `(ln P - ln P0)^2`, with the power `P` of a band in the metamer and
    /// `P0` in a stimulus: it favors the amplitude spectrum of that stimulus.
    pub fn spectrum(weight: f64, stimulus: impl Into<Stimulus>) -> Self {
        Self::new(Kind::Spectrum, weight, vec![stimulus.into()])
    }

    /// A function of your own, with a name that the provenance records. It takes a tensor `[1, channels, height, width]` or
    /// `[1, samples]`, float32 (the gradient check may call it with float64), and returns one number.
    pub fn custom<F>(name: impl Into<String>, weight: f64, function: F) -> Self
    where
        F: Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
    {
        Self { function: Some(Arc::new(function)), ..Self::new(Kind::Custom(name.into()), weight, vec![]) }
    }

    /// The weight.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// Checks that the weight is valid, and that a text holds all of the penalty but the named stimuli: no function.
    pub(crate) fn check_for_sweep(&self) -> Result<()> {
        check_weight(|| self.error_name(), self.weight)?;
        let reason = match (&self.kind, self.names.len()) {
            (Kind::TotalVariation | Kind::Range, 0) | (Kind::Distance | Kind::Spectrum, 1) | (Kind::AwayFrom, 1..) => {
                return Ok(());
            }
            (Kind::TotalVariation | Kind::Range, _) => "takes no stimulus; leave out \"stimuli\"",
            (Kind::Distance | Kind::Spectrum, _) => {
                "needs one stimulus: stimuli = [\"photos/dog.jpg\"], or [\"original\"] for each task's own"
            }
            (Kind::AwayFrom, _) => "needs stimuli: stimuli = [\"photos/dog.jpg\"]",
            (Kind::AwayIn(..), _) => {
                "needs another network, which a sweep's files cannot hold; run each synthesis by itself"
            }
            (Kind::Custom(_), _) => {
                "is a function of your own, which a sweep's files cannot hold; run each synthesis by itself"
            }
        };
        Err(Error::invalid(self.error_name(), reason))
    }

    /// The name in errors.
    fn error_name(&self) -> String {
        format!("the penalty \"{self}\"")
    }

    /// Returns whether both are described by the same text: kind, weight and the names of stimuli.
    pub(crate) fn has_text_of(&self, other: &Self) -> bool {
        (self.weight, &self.kind, &self.names) == (other.weight, &other.kind, &other.names)
    }

    pub(in crate::synthesis) fn with_weight(self, weight: f64) -> Self {
        Self { weight, ..self }
    }

    /// The penalty with these stimuli for its names.
    pub(crate) fn with_stimuli(self, stimuli: Vec<Stimulus>) -> Self {
        Self { stimuli, ..self }
    }

    pub(crate) fn stimuli(&self) -> impl Iterator<Item = &Stimulus> {
        self.stimuli.iter()
    }

    /// The names of its stimuli.
    pub(crate) fn stimulus_names(&self) -> &[String] {
        &self.names
    }

    pub(in crate::synthesis) fn set_stimuli(&mut self, stimuli: Vec<Stimulus>) {
        self.stimuli = stimuli;
    }

    /// The name, if a file cannot hold the penalty: a function of the user's own, or the features of another network.
    pub(in crate::synthesis) fn code_name(&self) -> Option<String> {
        matches!(self.kind, Kind::Custom(_) | Kind::AwayIn(..)).then(|| self.to_string())
    }

    /// Checks that the penalty has its function, network and stimuli, which one that was read from a file lacks.
    pub(in crate::synthesis) fn check_complete(&self) -> Result<()> {
        let reason = match (&self.kind, self.stimuli.len()) {
            (Kind::Custom(_), _) if self.function.is_none() => "lacks its function, which a file cannot hold",
            (Kind::AwayIn(..), _) if self.features.is_none() => "lacks its network, which a file cannot hold",
            (Kind::AwayFrom | Kind::AwayIn(..), 0) => "names no stimulus; pass at least one",
            (Kind::Distance | Kind::Spectrum, n) if n != 1 => "lacks its stimulus",
            (_, n) if n != self.names.len() => "lacks some of its stimuli",
            _ => return Ok(()),
        };
        Err(Error::invalid(self.error_name(), reason))
    }

    /// Checks weight, stimuli and function, and returns the penalty with stimuli of the network's size. The gradient of a function is
    /// checked at `probe`.
    pub(in crate::synthesis) fn prepared(self, network: &Network, probe: &Stimulus) -> Result<Self> {
        check_weight(|| self.error_name(), self.weight)?;
        self.check_complete()?;
        let features = self.features.clone().map(|features| features.prepared(network)).transpose()?;
        let stimuli = self.stimuli.iter().map(|stimulus| network.prepare(stimulus)).collect::<Result<Vec<_>>>()?;
        if let Some(function) = &self.function {
            check_function(&self.error_name(), &probe.to_tensor()?, &**function)?;
        }
        Ok(Self { stimuli, features, ..self })
    }
}

impl std::fmt::Display for Penalty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.names.join(", ");
        match &self.kind {
            Kind::TotalVariation => f.write_str("total variation"),
            Kind::Range => f.write_str("range"),
            Kind::Distance => write!(f, "distance from {names}"),
            Kind::AwayFrom => write!(f, "away from {names}"),
            Kind::AwayIn(network, target) => write!(f, "away from {names} in {target} of {network}"),
            Kind::Spectrum => write!(f, "spectrum of {names}"),
            Kind::Custom(name) => f.write_str(name),
        }
    }
}

impl std::fmt::Debug for Penalty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Penalty({} × {self})", self.weight)
    }
}

/// Compares functions by their names, because functions have no equality.
impl PartialEq for Penalty {
    fn eq(&self, other: &Self) -> bool {
        self.has_text_of(other) && (&self.stimuli, &self.features) == (&other.stimuli, &other.features)
    }
}

/// A penalty with what its evaluation needs.
#[derive(Clone)]
pub(in crate::synthesis) struct PenaltyTerm {
    weight: f64,
    function: PenaltyFunction,
}

/// The function of a penalty, without its weight.
#[derive(Clone)]
enum PenaltyFunction {
    Formula(Formula),
    AwayIn(Box<AwayIn>),
    /// With its name in errors, and the shape of the stimulus with a batch of one.
    Custom(Arc<Function>, String, Vec<usize>),
}

/// A function that is evaluated in double precision.
#[derive(Clone)]
enum Formula {
    /// With height and width of a plane.
    TotalVariation([usize; 2]),
    /// With the smallest and the largest valid value.
    Range([f64; 2]),
    /// With the values of the stimulus.
    Distance(Vec<f64>),
    /// With the values of each stimulus.
    AwayFrom(Vec<Vec<f64>>),
    /// With the bands, and the logarithmic powers of the stimulus in them.
    Spectrum(Bands, Vec<f64>),
}

impl PenaltyTerm {
    /// `shape` is that of the stimulus with a batch of one.
    ///
    /// # Errors
    /// Fails for features of another network that are all equal for a stimulus, and for a penalty that lacks a part, as one of a damaged
    /// file may.
    pub fn new(penalty: &Penalty, shape: &[usize], range: [f32; 2]) -> Result<Self> {
        let values = |stimulus: &Stimulus| stimulus.values().iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
        let stimuli = penalty.stimuli.as_slice();
        let function = match (&penalty.kind, stimuli, &penalty.features, &penalty.function) {
            (Kind::TotalVariation, ..) => PenaltyFunction::Formula(Formula::TotalVariation(plane_size(shape))),
            (Kind::Range, ..) => PenaltyFunction::Formula(Formula::Range(range.map(f64::from))),
            (Kind::Distance, [stimulus], ..) => PenaltyFunction::Formula(Formula::Distance(values(stimulus))),
            (Kind::AwayFrom, [_, ..], ..) => {
                PenaltyFunction::Formula(Formula::AwayFrom(stimuli.iter().map(values).collect()))
            }
            (Kind::AwayIn(..), [_, ..], Some(features), _) => {
                PenaltyFunction::AwayIn(Box::new(AwayIn::new(features, shape, stimuli)?))
            }
            (Kind::Spectrum, [stimulus], ..) => {
                let bands = Bands::new(plane_size(shape), BANDS_PER_OCTAVE);
                let powers = bands.log_powers(&values(stimulus));
                PenaltyFunction::Formula(Formula::Spectrum(bands, powers))
            }
            (Kind::Custom(_), _, _, Some(function)) => {
                PenaltyFunction::Custom(Arc::clone(function), penalty.error_name(), shape.to_vec())
            }
            _ => return Err(Error::invalid(penalty.error_name(), "lacks its stimulus, its network or its function")),
        };
        Ok(Self { weight: penalty.weight, function })
    }

    /// The weighted penalty at `x`; adds its gradient to `gradient`.
    pub fn evaluate(&self, x: &[f32], gradient: &mut [f32]) -> Result<f64> {
        let weight = self.weight;
        let (value, change) = match &self.function {
            PenaltyFunction::Formula(formula) => {
                let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
                let mut change = vec![0.0; x.len()];
                let value = formula.evaluate(&x, weight, &mut change);
                gradient.iter_mut().zip(&change).for_each(|(g, &change)| *g += change as f32);
                return Ok(value);
            }
            PenaltyFunction::AwayIn(away_in) => away_in.closeness(x)?,
            PenaltyFunction::Custom(function, name, shape) => {
                let at = Tensor::from_slice(x, shape.as_slice(), &Device::Cpu)?;
                value_and_gradient(name, &at, &**function)?
            }
        };
        gradient.iter_mut().zip(&change).for_each(|(g, &change)| *g += (weight * f64::from(change)) as f32);
        Ok(weight * value)
    }
}

impl Formula {
    /// The weighted value at `x`; adds its gradient to `gradient`.
    fn evaluate(&self, x: &[f64], weight: f64, gradient: &mut [f64]) -> f64 {
        let value = match self {
            Self::TotalVariation(size) => total_variation(x, *size, weight, gradient),
            Self::Range([low, high]) => {
                let excess = |x: f64| x - x.clamp(*low, *high);
                gradient.iter_mut().zip(x).for_each(|(g, &x)| *g += 2.0 * weight * excess(x));
                x.iter().map(|&x| excess(x).powi(2)).sum()
            }
            Self::Distance(target) => {
                let count = x.len() as f64;
                let differences = || x.iter().zip(target).map(|(x, y)| x - y);
                gradient.iter_mut().zip(differences()).for_each(|(g, d)| *g += 2.0 * weight * d / count);
                differences().map(|d| d * d).sum::<f64>() / count
            }
            Self::AwayFrom(others) => closeness(x, others, weight, gradient),
            Self::Spectrum(bands, target) => bands.deviation(x, target, weight, gradient),
        };
        weight * value
    }
}

/// Minus the mean over the others of the root mean square difference. Adds its gradient times `weight` to `gradient`.
fn closeness(x: &[f64], others: &[Vec<f64>], weight: f64, gradient: &mut [f64]) -> f64 {
    let (count, stimuli) = (x.len() as f64, others.len() as f64);
    let mut sum = 0.0;
    for y in others {
        let square: f64 = x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum();
        let distance = (square / count + SQUARED_DISTANCE_FLOOR).sqrt();
        sum -= distance / stimuli;
        let scale = weight / (stimuli * count * distance);
        gradient.iter_mut().zip(x.iter().zip(y)).for_each(|(g, (x, y))| *g -= scale * (x - y));
    }
    sum
}

/// Height and width of a plane; a sound is one row.
fn plane_size(shape: &[usize]) -> [usize; 2] {
    match *shape {
        [.., height, width] if shape.len() == 4 => [height, width],
        _ => [1, shape.iter().product()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stimulus::{Image, Noise, Sound};

    fn images() -> (Stimulus, Vec<Stimulus>) {
        let noise = |seed| Image::noise(7, 6, Noise::Uniform { low: 0.1, high: 0.9 }, seed).unwrap().into();
        (noise(1), vec![noise(2), noise(3)])
    }

    fn sounds() -> (Stimulus, Vec<Stimulus>) {
        let noise = |seed| Sound::noise(8000, 50, Noise::Pink { rms: 0.2 }, seed).unwrap().into();
        (noise(1), vec![noise(2), noise(3)])
    }

    /// Central differences of the value in double precision against the gradient, along every axis.
    fn check(term: &PenaltyTerm, x: &[f64], name: &str) {
        let PenaltyFunction::Formula(formula) = &term.function else { panic!("{name} has no formula") };
        let mut gradient = vec![0.0; x.len()];
        let value = formula.evaluate(x, term.weight, &mut gradient);
        assert!(value.is_finite() && gradient.iter().any(|&g| g != 0.0), "{name}");
        let at = |i: usize, h: f64| {
            let mut x = x.to_vec();
            x[i] += h;
            formula.evaluate(&x, term.weight, &mut vec![0.0; x.len()])
        };
        let scale = gradient.iter().fold(0.0f64, |most, g| most.max(g.abs()));
        for (i, g) in gradient.iter().enumerate() {
            let found = (at(i, 1e-6) - at(i, -1e-6)) / 2e-6;
            assert!((found - g).abs() < 1e-6 * scale, "{name}, value {i}: gradient {g}, finite difference {found}");
        }
    }

    #[test]
    fn gradients_equal_finite_differences() {
        for (stimulus, others) in [images(), sounds()] {
            let shape = stimulus.to_tensor().unwrap().dims().to_vec();
            let one = || others[0].clone();
            for penalty in [
                Penalty::total_variation(0.3),
                Penalty::range(0.1),
                Penalty::distance(2.0, one()),
                Penalty::away_from(0.7, &others),
                Penalty::spectrum(0.2, one()),
            ] {
                let term = PenaltyTerm::new(&penalty, &shape, stimulus.range()).unwrap();
                // Wide enough that some values leave the range.
                let x: Vec<f64> = stimulus.values().iter().map(|&v| 3.0 * f64::from(v) - 0.9).collect();
                check(&term, &x, &penalty.to_string());
            }
        }
    }

    #[test]
    fn values_are_those_of_the_formulas() {
        let (stimulus, others) = images();
        let shape = stimulus.to_tensor().unwrap().dims().to_vec();
        let at = |penalty: Penalty, x: &Stimulus| {
            let mut gradient = vec![0.0; x.values().len()];
            PenaltyTerm::new(&penalty, &shape, x.range()).unwrap().evaluate(x.values(), &mut gradient).unwrap()
        };
        let square: f64 =
            stimulus.values().iter().zip(others[0].values()).map(|(&a, &b)| f64::from(a - b).powi(2)).sum();
        let mean = square / 126.0;
        assert!((at(Penalty::distance(3.0, &others[0]), &stimulus) - 3.0 * mean).abs() < 1e-6);
        assert!((at(Penalty::away_from(1.0, [&others[0]]), &stimulus) + mean.sqrt()).abs() < 1e-6);
        assert!(at(Penalty::spectrum(1.0, &stimulus), &stimulus) < 1e-12);
        assert!(at(Penalty::spectrum(1.0, &others[0]), &stimulus) > 1e-3);
        assert_eq!(at(Penalty::range(1.0), &stimulus), 0.0);
        let flat: Stimulus = Image::from_planes("flat", 7, 6, vec![0.5; 126]).unwrap().into();
        assert_eq!(at(Penalty::total_variation(1.0), &flat), 0.0);
        // One step of height 0.4 across 6 rows of each color.
        let step = (0..126).map(|i| if i % 7 < 3 { 0.2 } else { 0.6 }).collect();
        let step: Stimulus = Image::from_planes("step", 7, 6, step).unwrap().into();
        assert!((at(Penalty::total_variation(1.0), &step) - 18.0 * 0.4 / 126.0).abs() < 2e-4);
    }
}
