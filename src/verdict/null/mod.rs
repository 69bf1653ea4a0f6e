//! Null distributions: similarities of pairs of natural stimuli.

mod builder;
mod gram;
mod near_duplicates;
mod pairs;
mod plot;
mod spill;
mod stage_null;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use builder::NullBuilder;
pub use near_duplicates::NearDuplicates;
pub use stage_null::StageNull;

use crate::fs::assets;
use crate::network::Network;
use crate::{Error, Result};

/// Version of the file format, written to every file.
const FORMAT: u32 = 1;

/// The distribution of the similarity of pairs of natural stimuli at each stage of a network, which a metamer must exceed.
///
/// Pairs share stimuli (the shipped 5,995 pairs come from 110 photos), so they are not independent, and quantiles and p-values
/// are nominal. The papers drew their pairs from a training set.
///
/// ```
/// use metamers::prelude::*;
///
/// let net = zoo::efficientnet_lite0()?;
/// let null = NullDistribution::shipped(&net)?;                       // 5,995 pairs of the 110 shipped photos
/// let block5 = null.stage("block5")?;
/// assert!(block5.snr_db.max() < 10.0);
/// # Ok::<(), metamers::Error>(())
/// ```
///
/// # File format
///
/// JSON, an object with `format` (1), `network`, `weights_sha256`, `metamers` (the version that wrote it), `seed`, `stimuli` (a list of `name`
/// and `sha256`, the SHA-256 of the values as little-endian float32), `pairs`, `twins` (a list of `first`, `second`, `correlation`), `twins_left_out`, and
/// `stages`: a list of `stage`, `undefined` (pairs without all measures), `most_alike` (the pairs of names that have the largest rho, r and SNR), and
/// the distributions `spearman`, `pearson` and `snr_db`, each with `count`, `mean`, `quantiles` (201 evenly spaced ones, from the
/// smallest value to the largest) and `largest` (the 32 largest values, the largest first).
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct NullDistribution {
    format: u32,
    network: String,
    weights_sha256: String,
    metamers: String,
    seed: u64,
    stimuli: Vec<NullStimulus>,
    pairs: usize,
    #[serde(rename = "twins")]
    near_duplicates: Vec<NearDuplicates>,
    #[serde(rename = "twins_left_out")]
    near_duplicates_excluded: bool,
    stages: Vec<StageNull>,
}

/// A stimulus of a null distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NullStimulus {
    /// The stimulus' name.
    pub name: String,
    /// SHA-256 of the values as little-endian float32, in hexadecimal.
    pub sha256: String,
}

impl NullDistribution {
    /// Returns a builder for a null distribution of your own stimuli; finish with [`NullBuilder::build`].
    pub fn builder(network: &Network) -> NullBuilder {
        NullBuilder::new(network)
    }

    /// Loads the shipped null distribution of a shipped network: all pairs of the 110 photos, or of the 78 recorded words.
    ///
    /// # Errors
    /// Fails if none is shipped for these weights.
    pub fn shipped(network: &Network) -> Result<Self> {
        let folder = assets::shipped("nulls")?;
        let weights = &network.weights_source().weights_sha256;
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .map_err(|e| Error::io(&folder, e))?
            .flatten()
            .map(|entry| entry.path())
            .collect();
        files.retain(|path| path.extension().is_some_and(|e| e == "json"));
        files.sort();
        for path in files {
            let null = Self::open(path)?;
            if null.weights_sha256 == *weights && null.network == network.name() {
                return Ok(null);
            }
        }
        let reason = format!(
            "is not shipped for {} with weights {weights}; compute one with NullDistribution::builder(&net).stimuli(..)?.build()?",
            network.name()
        );
        Err(Error::invalid("null distribution", reason))
    }

    /// Opens a saved null distribution.
    ///
    /// # Errors
    /// [`Error::File`] if the file is missing, damaged, or in another format.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let null: Self = serde_json::from_slice(&bytes)
            .map_err(|e| Error::file(path, format!("is not a valid null distribution ({e})")))?;
        if null.format != FORMAT {
            let reason = format!("is a null distribution in format {}, expected format {FORMAT}", null.format);
            return Err(Error::file(path, reason));
        }
        Ok(null)
    }

    /// Saves the distribution as JSON. The write is atomic.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let bytes = serde_json::to_vec(self).map_err(|e| Error::file(path, e))?;
        crate::fs::atomic::write(path, &bytes)
    }

    /// The network's name.
    pub fn network(&self) -> &str {
        &self.network
    }

    /// SHA-256 of the network's weights.
    pub fn weights_sha256(&self) -> &str {
        &self.weights_sha256
    }

    /// The stimuli that the pairs are drawn from.
    pub fn stimuli(&self) -> &[NullStimulus] {
        &self.stimuli
    }

    /// The number of pairs that were compared.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// The pairs of near-duplicate stimuli, in descending order of correlation.
    pub fn near_duplicates(&self) -> &[NearDuplicates] {
        &self.near_duplicates
    }

    /// The null distributions of the stages.
    pub fn stages(&self) -> &[StageNull] {
        &self.stages
    }

    /// The null distributions of the stage with this name.
    ///
    /// # Errors
    /// [`Error::Unknown`], with suggestions, for an unknown stage.
    pub fn stage(&self, name: &str) -> Result<&StageNull> {
        let stage = self.stages.iter().find(|s| s.stage == name);
        stage.ok_or_else(|| {
            Error::unknown("stage of the null distribution", name, self.stages.iter().map(|s| s.stage.as_str()))
        })
    }
}

impl std::fmt::Debug for NullDistribution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { network, pairs, stimuli, stages, .. } = self;
        write!(f, "NullDistribution({network}, {pairs} pairs of {} stimuli, {} stages)", stimuli.len(), stages.len())
    }
}
