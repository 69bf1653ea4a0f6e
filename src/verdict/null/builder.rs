//! Builder of null distributions.

use candle_core::{Device, Tensor};
use sha2::{Digest, Sha256};

use super::pairs::pairs;
use super::stage_null::Collector;
use super::{FORMAT, NearDuplicates, NullDistribution, NullStimulus, StageNull, near_duplicates};
use crate::clock::Instant;
use crate::display::{Live, MimeBundle, ProgressBar};
use crate::interrupt::Listening;
use crate::network::Network;
use crate::ops::values;
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// Maximum number of stimuli; all pairs of more would take hours and gigabytes.
const MAX_STIMULI: usize = 4000;

/// Builds a null distribution: the similarities of pairs of natural stimuli at the stages of a network.
///
/// Each stimulus goes through the network once. Activations go to a temporary file of eight bytes per stimulus and unit, so
/// memory holds only `stimuli x stimuli` numbers and the activations of one stimulus.
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
#[must_use = "call build to compute the null distribution"]
pub struct NullBuilder {
    network: Network,
    stimuli: Vec<Stimulus>,
    stages: Vec<String>,
    pairs: Option<usize>,
    seed: u64,
    exclude_near_duplicates: bool,
    device: Option<Device>,
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
        Self { network, stimuli: vec![], stages, pairs: None, seed: 0, exclude_near_duplicates: false, device: None }
    }

    /// Adds a natural stimulus, after [`Network::prepare`]. Sounds should have the level of the originals of your metamers; set it with
    /// [`Sound::prepare`](crate::stimulus::Sound::prepare).
    ///
    /// # Errors
    /// Fails for a stimulus that the network does not accept.
    pub fn stimulus(mut self, stimulus: impl Into<Stimulus>) -> Result<Self> {
        self.stimuli.push(self.network.prepare(stimulus)?);
        Ok(self)
    }

    /// Adds several natural stimuli.
    ///
    /// # Errors
    /// Fails like [`NullBuilder::stimulus`].
    pub fn stimuli<S: Into<Stimulus>>(self, stimuli: impl IntoIterator<Item = S>) -> Result<Self> {
        stimuli.into_iter().try_fold(self, Self::stimulus)
    }

    /// Sets the stages; the default is all of them.
    ///
    /// # Errors
    /// [`Error::Unknown`] for an unknown stage.
    pub fn stages<T: Into<String>>(mut self, stages: impl IntoIterator<Item = T>) -> Result<Self> {
        self.stages = stages.into_iter().map(Into::into).collect();
        self.stages.iter().try_for_each(|stage| self.network.stage(stage).map(|_| ()))?;
        Ok(self)
    }

    /// Sets the number of pairs, drawn without replacement; the default is all pairs, which is also the maximum.
    pub fn pairs(mut self, count: usize) -> Self {
        self.pairs = Some(count);
        self
    }

    /// Sets the seed of the random choice of pairs, and of the original in each pair; the default is 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Excludes pairs of near-duplicates. The distribution lists them in any case.
    pub fn exclude_near_duplicates(mut self) -> Self {
        self.exclude_near_duplicates = true;
        self
    }

    /// Runs the network on a device of candle, such as a GPU, as [`Synthesis::on`](crate::synthesis::Synthesis::on) does.
    pub fn on(mut self, device: &Device) -> Self {
        self.device = Some(device.clone());
        self
    }

    /// Runs the network on every stimulus and compares the pairs. Shows progress in a notebook.
    ///
    /// # Errors
    /// Fails for fewer than two stimuli or more than 4,000, without a stage, for activations that are not finite, for a stage at
    /// which no pair has a correlation, if the disk is full, and with [`Error::Interrupted`].
    pub fn build(self) -> Result<NullDistribution> {
        let count = self.stimuli.len();
        if !(2..=MAX_STIMULI).contains(&count) {
            return Err(Error::invalid(
                "null distribution",
                format!("requires 2 to {MAX_STIMULI} stimuli, got {count}"),
            ));
        }
        if self.stages.is_empty() {
            return Err(Error::invalid("null distribution", "requires at least one stage; omit stages() to use all"));
        }
        let live = Live::new();
        let collectors = self.collect_activations(&live)?;
        let comparison = self.compare_pairs(collectors, &live)?;
        let Comparison { pairs, near_duplicates, stages } = comparison;
        let at = if stages.len() == 1 { "one stage".into() } else { format!("{} stages", stages.len()) };
        live.update(&MimeBundle::text(format!("{pairs} pairs of {count} stimuli at {at}")));
        Ok(NullDistribution {
            format: FORMAT,
            network: self.network.name().into(),
            weights_sha256: self.network.weights_source().weights_sha256.clone(),
            metamers: env!("CARGO_PKG_VERSION").into(),
            seed: self.seed,
            stimuli: self.stimuli.iter().map(null_stimulus).collect(),
            pairs,
            near_duplicates,
            near_duplicates_excluded: self.exclude_near_duplicates,
            stages,
        })
    }

    /// The network's first stage, at which near-duplicates are found, followed by the other requested stages.
    fn collected_stages(&self) -> Vec<&str> {
        let first = self.network.stages().first().map_or("", |s| s.name.as_str());
        std::iter::once(first).chain(self.stages.iter().map(String::as_str).filter(|s| *s != first)).collect()
    }

    /// Runs the network on every stimulus and collects the activations of each stage in [`NullBuilder::collected_stages`].
    fn collect_activations(&self, live: &Live) -> Result<Vec<Collector>> {
        let (listening, start, count) = (Listening::begin(), Instant::now(), self.stimuli.len());
        let stages = self.collected_stages();
        let collector = |stage: &&str| Collector::new(stage, self.network.stage(stage)?.units());
        let mut collectors = stages.iter().map(collector).collect::<Result<Vec<_>>>()?;
        for (index, stimulus) in self.stimuli.iter().enumerate() {
            if listening.interrupted() {
                return Err(Error::interrupted("null distribution", format!("{index} of {count} stimuli")));
            }
            let x = stimulus.to_tensor()?;
            let activations = match &self.device {
                Some(device) => self.network.composed_forward_to_each(&stages, &x.to_device(device)?)?,
                None => self.network.forward_to_each(&stages, &x)?,
            };
            for (collector, tensor) in collectors.iter_mut().zip(&activations) {
                collector.push(&finite_values(stimulus, tensor)?)?;
            }
            let progress = ProgressBar::new(index + 1, Some(count)).unit("stimuli").elapsed(start.elapsed());
            live.update(&MimeBundle::text(progress.eta_from_pace().to_string()));
        }
        Ok(collectors)
    }

    /// Compares the pairs at each requested stage, without near-duplicates if they are excluded.
    fn compare_pairs(&self, collectors: Vec<Collector>, live: &Live) -> Result<Comparison> {
        let mut pairs = pairs(self.stimuli.len(), self.pairs, self.seed);
        let names: Vec<&str> = self.stimuli.iter().map(Stimulus::name).collect();
        let (mut duplicates, mut nulls) = (vec![], vec![]);
        for (index, (collector, stage)) in collectors.into_iter().zip(self.collected_stages()).enumerate() {
            live.update(&MimeBundle::text(format!("comparing {} pairs at {stage}", pairs.len())));
            let compared = collector.compare()?;
            if index == 0 {
                duplicates = near_duplicates::find(&compared);
                if self.exclude_near_duplicates {
                    pairs.retain(|&[i, j]| !duplicates.iter().any(|&(a, b, _)| [a, b] == [i.min(j), i.max(j)]));
                }
            }
            if self.stages.iter().any(|requested| requested == stage) {
                let undefined =
                    || Error::invalid(format!("stage \"{stage}\""), "has no pair of stimuli with a defined similarity");
                nulls.push(compared.null(&pairs, &names)?.ok_or_else(undefined)?);
            }
        }
        nulls.sort_by_key(|null| self.stages.iter().position(|stage| *stage == null.stage));
        let with_names = |&(a, b, correlation): &(usize, usize, f64)| NearDuplicates {
            first: names[a].into(),
            second: names[b].into(),
            correlation,
        };
        let near_duplicates = duplicates.iter().map(with_names).collect();
        Ok(Comparison { pairs: pairs.len(), near_duplicates, stages: nulls })
    }
}

/// The result of comparing all pairs.
struct Comparison {
    pairs: usize,
    near_duplicates: Vec<NearDuplicates>,
    stages: Vec<StageNull>,
}

fn finite_values(stimulus: &Stimulus, activations: &Tensor) -> Result<Vec<f32>> {
    let activations = values(activations)?;
    crate::finite::check(|| format!("the activations of {}", stimulus.name()), &activations)?;
    Ok(activations)
}

fn null_stimulus(stimulus: &Stimulus) -> NullStimulus {
    let mut hasher = Sha256::new();
    stimulus.values().iter().for_each(|value| hasher.update(value.to_le_bytes()));
    NullStimulus { name: stimulus.name().into(), sha256: crate::fs::sha256::hex(&hasher.finalize()) }
}
