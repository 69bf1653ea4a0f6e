//! Targets: the features of one stage that a metamer matches.

use serde::{Deserialize, Serialize};

use super::check_weight;
use super::region::{Mask, Region};
use crate::network::{Network, Stage};
use crate::stimulus::Image;
use crate::{Error, Result};

/// The maximum number of channels of a Gram matrix: one of 4,096 channels has 16.8 million values.
const MAX_GRAM_CHANNELS: usize = 4096;

/// The features that a metamer matches, computed from the selected activations of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Statistic {
    /// The activations, each at its place.
    #[default]
    Values,
    /// The mean of each channel over all places.
    Means,
    /// The Gram matrix, `G[c, d] = mean over all places of A[c] A[d]` (Gatys, Ecker & Bethge, 2015): which channels are active together,
    /// wherever that is. Metamers of it have the original's texture.
    Gram,
}

/// The features that a metamer matches at one stage: all activations, a part of them, or statistics over places.
///
/// Means and Gram matrices use the rectifier's own gradient even if the recipe has the identity gradient, which is one for values.
///
/// ```
/// use metamers::prelude::*;
/// use metamers::synthesis::Target;
///
/// let net = zoo::efficientnet_lite0()?;
/// let dog = Image::open("photos/dog.jpg")?;
/// let head = Target::stage("block2").window([30, 60], [100, 110]);             // in pixels: first row and column, height and width
/// let texture = Target::stage("block1").gram().weight(0.5);
/// let mut run = Synthesis::new(&net, Match::targets([head, texture]), &dog)?.seed(7).quiet().start()?;
/// run.step(3)?;
/// assert_eq!(run.target_snr_db().len(), 2);
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use]
pub struct Target {
    pub(in crate::synthesis) stage: String,
    #[serde(default = "one")]
    pub(in crate::synthesis) weight: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::synthesis) channels: Option<Vec<usize>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::synthesis) region: Option<Region>,
    #[serde(default, skip_serializing_if = "is_values")]
    pub(in crate::synthesis) statistic: Statistic,
}

fn one() -> f64 {
    1.0
}

fn is_values(statistic: &Statistic) -> bool {
    *statistic == Statistic::Values
}

impl Target {
    /// All activations of a stage, with weight 1.
    pub fn stage(name: impl Into<String>) -> Self {
        Self { stage: name.into(), weight: 1.0, channels: None, region: None, statistic: Statistic::Values }
    }

    /// Sets the weight of this target's loss relative to those of other targets and of penalties.
    pub fn weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// Matches these channels only, by their indices.
    pub fn channels(mut self, channels: impl IntoIterator<Item = usize>) -> Self {
        self.channels = Some(channels.into_iter().collect());
        self
    }

    /// Matches the units that see a rectangle of the picture: its first row and column, and its height and width, in pixels of the
    /// network's input. [`Region`] states which units these are.
    pub fn window(self, first: [usize; 2], size: [usize; 2]) -> Self {
        self.region(Region::Window { first, size })
    }

    /// Matches the units that see the white part of a mask, which is drawn on the photo or on the network's input: it is resized and
    /// cropped as the photo is. [`Region`] states which units these are.
    pub fn mask(self, mask: &Image) -> Self {
        self.region(Region::Mask(Mask::from_image(mask)))
    }

    /// Matches the units of a region.
    pub fn region(mut self, region: Region) -> Self {
        self.region = Some(region);
        self
    }

    /// Matches the mean of each channel over the places: [`Statistic::Means`].
    pub fn means(mut self) -> Self {
        self.statistic = Statistic::Means;
        self
    }

    /// Matches the Gram matrix of the channels: [`Statistic::Gram`].
    pub fn gram(mut self) -> Self {
        self.statistic = Statistic::Gram;
        self
    }

    /// The stage's name.
    #[must_use]
    pub fn stage_name(&self) -> &str {
        &self.stage
    }

    /// Returns whether all activations of the stage are matched, each at its place.
    #[must_use]
    pub fn is_whole_stage(&self) -> bool {
        self.channels.is_none() && self.region.is_none() && self.statistic == Statistic::Values
    }

    /// Returns whether both match the same features; weights may differ.
    pub(super) fn has_features_of(&self, other: &Self) -> bool {
        Self { weight: 1.0, ..self.clone() } == Self { weight: 1.0, ..other.clone() }
    }

    /// Checks the target, and returns it with a mask of the size of the network's input.
    pub(in crate::synthesis) fn prepared(&self, network: &Network) -> Result<Self> {
        check_weight(|| format!("stage \"{}\"", self.stage), self.weight)?;
        let stage = network.stage(&self.stage)?;
        let count = stage.shape.first().copied().unwrap_or(1);
        if let Some(channels) = &self.channels {
            check_channels(stage, channels, count)?;
        }
        let channels = self.channels.as_ref().map_or(count, Vec::len);
        if self.statistic == Statistic::Gram && channels > MAX_GRAM_CHANNELS {
            let reason =
                format!("has {channels} channels, more than the {MAX_GRAM_CHANNELS} of a Gram matrix; select channels");
            return Err(Error::invalid(format!("stage \"{}\"", self.stage), reason));
        }
        let region = self.region.as_ref().map(|region| region.prepared(network)).transpose()?;
        if let Some(region) = &region {
            region.places(network, stage)?;
        }
        Ok(Self { region, ..self.clone() })
    }
}

fn check_channels(stage: &Stage, channels: &[usize], count: usize) -> Result<()> {
    let invalid = |reason: String| Err(Error::invalid(format!("channels of stage \"{}\"", stage.name), reason));
    let mut seen = std::collections::BTreeSet::new();
    match channels.iter().find(|&&channel| channel >= count || !seen.insert(channel)) {
        _ if channels.is_empty() => invalid("are an empty list; select at least one, or leave them out for all".into()),
        Some(channel) if *channel >= count => invalid(format!("are numbered 0 to {}, got {channel}", count - 1)),
        Some(channel) => invalid(format!("have {channel} twice")),
        None => Ok(()),
    }
}

impl From<&str> for Target {
    fn from(stage: &str) -> Self {
        Self::stage(stage)
    }
}

impl From<String> for Target {
    fn from(stage: String) -> Self {
        Self::stage(stage)
    }
}

impl From<&String> for Target {
    fn from(stage: &String) -> Self {
        Self::stage(stage)
    }
}

impl From<&Self> for Target {
    fn from(target: &Self) -> Self {
        target.clone()
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts: Vec<String> = vec![];
        match self.statistic {
            Statistic::Values => {}
            Statistic::Means => parts.push("channel means".into()),
            Statistic::Gram => parts.push("Gram matrix".into()),
        }
        match self.channels.as_deref() {
            Some([channel]) => parts.push(format!("channel {channel}")),
            Some(channels) => parts.push(format!("{} channels", channels.len())),
            None => {}
        }
        parts.extend(self.region.as_ref().map(ToString::to_string));
        match parts.is_empty() {
            true => f.write_str(&self.stage),
            false => write!(f, "{} ({})", self.stage, parts.join(", ")),
        }
    }
}
