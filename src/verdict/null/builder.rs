//! Making a null distribution.

use std::time::Instant;

use candle_core::Tensor;
use sha2::{Digest, Sha256};

use super::pairs::pairs;
use super::stage_null::Collector;
use super::{FORMAT, NearDuplicates, NullDistribution, NullStimulus, near_duplicates};
use crate::display::{Live, MimeBundle, ProgressBar};
use crate::interrupt::Listening;
use crate::network::Network;
use crate::ops::values;
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// All pairs of more stimuli than these would take hours and gigabytes.
const MOST: usize = 4000;

/// A null distribution that is about to be made.
///
/// The network sees each stimulus once. Its activations go to a temporary file, so that memory stays bounded: that of
/// `stimuli x stimuli` numbers and of one stimulus. On disk there are eight bytes a stimulus and unit.
///
/// ```
/// use metamers::prelude::*;
///
/// let net = zoo::efficientnet_lite0()?;
/// let photos = shipped_photos()?;
/// let mut null = NullDistribution::builder(&net).stages(["logits"])?;
/// for photo in photos.iter().take(4) {
///     null = null.stimulus(&Image::open(photo)?)?;
/// }
/// assert_eq!(null.build()?.pairs(), 6);
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone)]
pub struct NullBuilder {
    network: Network,
    stimuli: Vec<Stimulus>,
    stages: Vec<String>,
    pairs: Option<usize>,
    seed: u64,
    leave_out_twins: bool,
}

impl std::fmt::Debug for NullBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NullBuilder({}, {} stimuli, {} stages)", self.network.name(), self.stimuli.len(), self.stages.len())
    }
}

impl NullBuilder {
    pub(super) fn new(network: &Network) -> Self {
        let stages = network.stages().iter().map(|s| s.name.clone()).collect();
        let network = network.clone();
        Self { network, stimuli: vec![], stages, pairs: None, seed: 0, leave_out_twins: false }
    }

    /// Adds a natural stimulus, prepared as the network expects ([`Network::prepare`]). Bring sounds to the level that the
    /// originals of your metamers have: [`Sound::prepare`](crate::stimulus::Sound::prepare).
    ///
    /// # Errors
    /// A stimulus that the network cannot take.
    pub fn stimulus(mut self, stimulus: impl Into<Stimulus>) -> Result<Self> {
        self.stimuli.push(self.network.prepare(stimulus)?);
        Ok(self)
    }

    /// Adds several.
    ///
    /// # Errors
    /// As [`NullBuilder::stimulus`].
    pub fn stimuli<S: Into<Stimulus>>(self, stimuli: impl IntoIterator<Item = S>) -> Result<Self> {
        stimuli.into_iter().try_fold(self, Self::stimulus)
    }

    /// These stages instead of all.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a stage that the network has not.
    pub fn stages<T: Into<String>>(mut self, stages: impl IntoIterator<Item = T>) -> Result<Self> {
        self.stages = stages.into_iter().map(Into::into).collect();
        self.stages.iter().try_for_each(|stage| self.network.stage(stage).map(|_| ()))?;
        Ok(self)
    }

    /// So many pairs, drawn without replacement, instead of all; all when there are not so many.
    pub fn pairs(mut self, count: usize) -> Self {
        self.pairs = Some(count);
        self
    }

    /// The seed of the draw of pairs, and of which of two stimuli is taken as the original; 0 unless said otherwise.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Does not compare twins with each other. They are found and named in any case.
    pub fn leave_out_twins(mut self) -> Self {
        self.leave_out_twins = true;
        self
    }

    /// Runs the network on every stimulus and compares the pairs. Shows its progress in a notebook.
    ///
    /// # Errors
    /// Fewer than two stimuli or more than 4,000, no stage, activations that are not finite, a stage at which no pair has a
    /// correlation, too little space for temporary files; [`Error::Interrupted`].
    pub fn build(self) -> Result<NullDistribution> {
        let count = self.stimuli.len();
        if !(2..=MOST).contains(&count) {
            return Err(Error::invalid("null distribution", format!("takes 2 to {MOST} stimuli, got {count}")));
        }
        if self.stages.is_empty() {
            return Err(Error::invalid("null distribution", "has no stage; leave stages() out for all"));
        }
        let (listening, place, begun) = (Listening::begin(), Live::new(), Instant::now());
        // NearDuplicates are told at the first stage, whether it is wanted or not.
        let first = self.network.stages().first().map_or("", |s| s.name.as_str());
        let wanted: Vec<&str> = self.stages.iter().map(String::as_str).collect();
        let stages: Vec<&str> = std::iter::once(first).chain(wanted.iter().copied().filter(|s| *s != first)).collect();
        let collector = |stage: &&str| Collector::new(stage, self.network.stage(stage)?.units());
        let mut collectors = stages.iter().map(collector).collect::<Result<Vec<_>>>()?;
        for (index, stimulus) in self.stimuli.iter().enumerate() {
            if listening.interrupted() {
                return Err(Error::interrupted("null distribution", format!("{index} of {count} stimuli")));
            }
            let found = self.network.forward_to_each(&stages, &stimulus.to_tensor()?)?;
            for (collector, tensor) in collectors.iter_mut().zip(&found) {
                collector.push(&checked(stimulus, tensor)?)?;
            }
            let progress = ProgressBar::new(index + 1, Some(count)).unit("stimuli").elapsed(begun.elapsed());
            place.update(&MimeBundle::text(progress.eta_from_pace().to_string()));
        }
        let mut pairs = pairs(count, self.pairs, self.seed);
        let names: Vec<&str> = self.stimuli.iter().map(Stimulus::name).collect();
        let (mut twins, mut found) = (vec![], vec![]);
        for (index, (collector, stage)) in collectors.into_iter().zip(&stages).enumerate() {
            place.update(&MimeBundle::text(format!("comparing {} pairs at {stage}", pairs.len())));
            let compared = collector.compare()?;
            if index == 0 {
                twins = near_duplicates::find(&compared);
                if self.leave_out_twins {
                    pairs.retain(|&[i, j]| !twins.iter().any(|&(a, b, _)| [a, b] == [i.min(j), i.max(j)]));
                }
            }
            if wanted.contains(stage) {
                let none = || Error::invalid(format!("stage \"{stage}\""), "tells no two of the stimuli apart");
                found.push(compared.null(&pairs, &names)?.ok_or_else(none)?);
            }
        }
        let place_of = |stage: &str| wanted.iter().position(|w| *w == stage);
        found.sort_by_key(|s| place_of(&s.stage));
        let at = if found.len() == 1 { "one stage".into() } else { format!("{} stages", found.len()) };
        place.update(&MimeBundle::text(format!("{} pairs of {count} stimuli at {at}", pairs.len())));
        let named = |&(a, b, correlation): &(usize, usize, f64)| NearDuplicates {
            first: names[a].into(),
            second: names[b].into(),
            correlation,
        };
        Ok(NullDistribution {
            format: FORMAT,
            network: self.network.name().into(),
            weights_sha256: self.network.weights_source().weights_sha256.clone(),
            metamers: env!("CARGO_PKG_VERSION").into(),
            seed: self.seed,
            stimuli: self.stimuli.iter().map(described).collect(),
            pairs: pairs.len(),
            near_duplicates: twins.iter().map(named).collect(),
            twins_left_out: self.leave_out_twins,
            stages: found,
        })
    }
}

fn checked(stimulus: &Stimulus, activations: &Tensor) -> Result<Vec<f32>> {
    let activations = values(activations)?;
    crate::finite::check(|| format!("the activations of {}", stimulus.name()), &activations)?;
    Ok(activations)
}

fn described(stimulus: &Stimulus) -> NullStimulus {
    let mut hasher = Sha256::new();
    stimulus.values().iter().for_each(|value| hasher.update(value.to_le_bytes()));
    NullStimulus { name: stimulus.name().into(), sha256: crate::fs::sha256::hex(&hasher.finalize()) }
}
