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

use crate::fs::extension::check_extension;
use crate::fs::{assets, files};
use crate::network::Network;
use crate::{Error, Result};

/// The version of the file format, written to every file.
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
/// A JSON object with these fields:
///
/// | field | contents |
/// | --- | --- |
/// | `format` | 1 |
/// | `network`, `weights_sha256` | the network's name and the SHA-256 of its weights |
/// | `metamers` | the version that wrote the file |
/// | `seed` | the seed that drew the pairs |
/// | `stimuli` | a list of `name` and `sha256`, the SHA-256 of the values as little-endian float32 |
/// | `pairs` | the number of pairs |
/// | `twins` | the near-duplicates: a list of `first`, `second` and `correlation` |
/// | `twins_left_out` | `true` if their pairs are excluded |
/// | `stages` | a list of `stage`, `undefined`, `most_alike`, `spearman`, `pearson` and `snr_db` |
///
/// In `stages`, `undefined` is the number of pairs without all measures, and `most_alike` has the pairs of names with the largest rho, r
/// and SNR. The distributions `spearman`, `pearson` and `snr_db` each have `count`, `mean`, `quantiles` (201 evenly spaced ones, from the
/// minimum to the maximum) and `largest` (the 32 largest values in descending order).
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

/// A stimulus of a null distribution, by name and content.
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
        Self::find_in(&assets::shipped("nulls")?, network)?.ok_or_else(|| {
            let (name, weights) = (network.name(), &network.weights_source().weights_sha256);
            let reason = format!(
                "is not shipped for {name} with weights {weights}; compute one with NullDistribution::builder(&net).stimuli(..)?.build()?"
            );
            Error::invalid("null distribution", reason)
        })
    }

    /// The shipped null distribution of a network; `None` if none is shipped for these weights, and without shipped files.
    ///
    /// # Errors
    /// [`Error::File`] for a damaged file.
    pub fn find_shipped(network: &Network) -> Result<Option<Self>> {
        match assets::shipped("nulls") {
            Ok(folder) => Self::find_in(&folder, network),
            Err(_) => Ok(None),
        }
    }

    /// The null distribution of a network among the files of a folder.
    fn find_in(folder: &Path, network: &Network) -> Result<Option<Self>> {
        let weights = &network.weights_source().weights_sha256;
        let nulls = files::list(folder)?;
        for path in nulls.iter().filter(|path| path.extension().is_some_and(|e| e == "json")) {
            let null = Self::open(path)?;
            if null.weights_sha256 == *weights && null.network == network.name() {
                return Ok(Some(null));
            }
        }
        Ok(None)
    }

    /// Opens a saved null distribution.
    ///
    /// # Errors
    /// [`Error::File`] if the file is missing, damaged, or in another format.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = files::read(path)?;
        let null: Self = serde_json::from_slice(&bytes)
            .map_err(|e| Error::file(path, format!("is not a valid null distribution ({e})")))?;
        if null.format != FORMAT {
            let reason = format!("is a null distribution in format {}, expected format {FORMAT}", null.format);
            return Err(Error::file(path, reason));
        }
        Ok(null)
    }

    /// Saves the distribution to a `.json` file, for [`NullDistribution::open`]. The file is written atomically.
    ///
    /// # Errors
    /// [`Error::File`] for another extension, and if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let advice =
            "null distributions are saved as .json; for a page, a picture or a text call null.export(\"null.html\")";
        check_extension(path, "json", advice)?;
        let bytes = serde_json::to_vec(self).map_err(|e| Error::file(path, e))?;
        crate::fs::atomic::write(path, &bytes)
    }

    /// The network's name.
    #[must_use]
    pub fn network(&self) -> &str {
        &self.network
    }

    /// SHA-256 of the network's weights.
    #[must_use]
    pub fn weights_sha256(&self) -> &str {
        &self.weights_sha256
    }

    /// The stimuli that the pairs are drawn from.
    #[must_use]
    pub fn stimuli(&self) -> &[NullStimulus] {
        &self.stimuli
    }

    /// The number of pairs that were compared.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// The pairs of near-duplicate stimuli, in descending order of correlation.
    #[must_use]
    pub fn near_duplicates(&self) -> &[NearDuplicates] {
        &self.near_duplicates
    }

    /// The null distributions of all stages.
    #[must_use]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Builder, Input};

    #[test]
    fn a_damaged_file_is_an_error_and_a_missing_distribution_is_none() {
        let mut b = Builder::new("means", Input::Image { shape: [3, 8, 8], resize: 8 });
        let x = b.global_avg_pool(b.input()).unwrap();
        b.stage("mean", x).unwrap();
        let net = b.finish().unwrap();
        assert!(NullDistribution::find_shipped(&net).unwrap().is_none());
        let folder = tempfile::tempdir().unwrap();
        assert!(NullDistribution::find_in(folder.path(), &net).unwrap().is_none());
        std::fs::write(folder.path().join("damaged.json"), "{}").unwrap();
        assert!(matches!(NullDistribution::find_in(folder.path(), &net), Err(Error::File { .. })));
    }
}
