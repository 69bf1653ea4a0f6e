//! Where a sweep's networks and stimuli come from: loaded when a task needs them, or given.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::manifest::StimulusEntry;
use super::plan::Plan;
use crate::fs::{assets, extension};
use crate::network::Network;
use crate::stimulus::{Image, Sound, Stimulus};
use crate::verdict::NullDistribution;
use crate::{Error, Result, zoo};

/// So many networks are kept at a time; tasks are in the order of networks.
const KEPT: usize = 2;

pub(super) struct Sources {
    networks: Vec<Source<Network>>,
    stimuli: Vec<Source<Stimulus>>,
    /// What paths are relative to.
    base: PathBuf,
    /// The last networks that were loaded, the latest last.
    loaded: Mutex<Vec<(usize, Network)>>,
    /// Null distributions that the sweep names, for networks that have none or another.
    given_nulls: Vec<Arc<NullDistribution>>,
    /// Those in use, by network.
    nulls: Mutex<BTreeMap<usize, Option<Arc<NullDistribution>>>>,
}

enum Source<T> {
    /// A name, or a path.
    Named(String),
    Given(String, T),
}

impl<T> Source<T> {
    fn name(&self) -> &str {
        match self {
            Self::Named(name) | Self::Given(name, _) => name,
        }
    }
}

impl Sources {
    pub fn of_plan(plan: &Plan) -> Result<Self> {
        let base = plan.base();
        let stimuli = named(&plan.stimuli, &base)?;
        Ok(Self {
            networks: plan.networks.iter().cloned().map(Source::Named).collect(),
            stimuli: stimuli.into_iter().map(Source::Named).collect(),
            given_nulls: plan
                .nulls
                .iter()
                .map(|path| Ok(Arc::new(NullDistribution::open(base.join(path))?)))
                .collect::<Result<_>>()?,
            base,
            loaded: Mutex::default(),
            nulls: Mutex::default(),
        })
    }

    pub fn given(networks: Vec<Network>, stimuli: Vec<Stimulus>, nulls: Vec<NullDistribution>) -> Result<Self> {
        let networks: Vec<_> = networks.into_iter().map(|net| Source::Given(net.name().to_owned(), net)).collect();
        let stimuli: Vec<_> = stimuli.into_iter().map(|s| Source::Given(s.name().to_owned(), s)).collect();
        super::plan::some("networks", &networks.iter().map(Source::name).collect::<Vec<_>>())?;
        super::plan::some("stimuli", &stimuli.iter().map(Source::name).collect::<Vec<_>>())?;
        let given_nulls = nulls.into_iter().map(Arc::new).collect();
        let (loaded, nulls) = (Mutex::default(), Mutex::default());
        Ok(Self { networks, stimuli, base: PathBuf::new(), loaded, given_nulls, nulls })
    }

    pub fn networks(&self) -> usize {
        self.networks.len()
    }

    pub fn network_name(&self, index: usize) -> &str {
        self.networks[index].name()
    }

    /// Loads a network, or gives the one that is loaded.
    pub fn network(&self, index: usize) -> Result<Network> {
        let name = match &self.networks[index] {
            Source::Given(_, network) => return Ok(network.clone()),
            Source::Named(name) => name,
        };
        // Held while loading, so that two workers do not load the same.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, network)) = loaded.iter().find(|(i, _)| *i == index) {
            return Ok(network.clone());
        }
        let network = zoo::by_name_in(name, &self.base)?;
        if loaded.len() >= KEPT {
            loaded.remove(0);
        }
        loaded.push((index, network.clone()));
        Ok(network)
    }

    /// The null distribution to judge a network's metamers by: one that was given for its weights, or else the one that
    /// ships; `None` where there is none.
    pub fn null(&self, index: usize, network: &Network) -> Result<Option<Arc<NullDistribution>>> {
        let mut nulls = self.nulls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(null) = nulls.get(&index) {
            return Ok(null.clone());
        }
        let weights = &network.weights_source().weights_sha256;
        let fits = |null: &&Arc<NullDistribution>| null.weights_sha256() == weights && null.network() == network.name();
        let null = match self.given_nulls.iter().find(fits) {
            Some(null) => Some(Arc::clone(null)),
            None => match NullDistribution::shipped(network) {
                Ok(null) => Some(Arc::new(null)),
                Err(Error::Invalid { .. }) => None,
                Err(e) => return Err(e),
            },
        };
        nulls.insert(index, null.clone());
        Ok(null)
    }

    /// What tells the given null distributions from others.
    pub fn null_digests(&self) -> Result<Vec<String>> {
        self.given_nulls.iter().map(|null| super::digest(&**null)).collect()
    }

    /// All stimuli, with what tells them from others.
    pub fn items(&self) -> Result<Vec<StimulusEntry>> {
        let item = |source: &Source<Stimulus>| match source {
            Source::Named(name) => {
                let sha256 = crate::fs::sha256::hex_digest(&self.bytes(name)?);
                Ok(StimulusEntry { name: name.clone(), sha256, sound: is_sound(name) })
            }
            Source::Given(name, stimulus) => {
                let bytes: Vec<u8> = stimulus.values().iter().flat_map(|v| v.to_le_bytes()).collect();
                let sound = matches!(stimulus, Stimulus::Sound(_));
                Ok(StimulusEntry { name: name.clone(), sha256: crate::fs::sha256::hex_digest(&bytes), sound })
            }
        };
        self.stimuli.iter().map(item).collect()
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let beside = self.base.join(name);
        let path = if beside.exists() { beside } else { assets::find(Path::new(name))? };
        std::fs::read(&path).map_err(|e| Error::io(path, e))
    }

    /// The stimulus of this number, which must be what the study was made with.
    pub fn stimulus(&self, index: usize, item: &StimulusEntry) -> Result<Stimulus> {
        let name = match self.stimuli.get(index) {
            Some(Source::Given(_, stimulus)) => return Ok(stimulus.clone()),
            _ => &item.name,
        };
        let bytes = self.bytes(name)?;
        if crate::fs::sha256::hex_digest(&bytes) != item.sha256 {
            return Err(Error::file(
                name,
                "has changed since the sweep began: put it back, or begin in another folder",
            ));
        }
        let called = extension::stimulus_name(Path::new(name));
        let opened = match item.sound {
            true => Sound::from_bytes(&bytes).map(|sound| sound.with_name(called).into()),
            false => Image::from_bytes(&bytes).map(|image| image.with_name(called).into()),
        };
        opened.map_err(|e| Error::file(name, e))
    }
}

fn is_sound(name: &str) -> bool {
    extension::lowercase_extension(Path::new(name)) == "wav"
}

pub(super) fn is_stimulus(name: &str) -> bool {
    ["jpg", "jpeg", "png", "webp", "wav"].contains(&extension::lowercase_extension(Path::new(name)).as_str())
}

/// The stimuli that a plan names, each once, patterns written out.
fn named(wanted: &[String], base: &Path) -> Result<Vec<String>> {
    let mut names: Vec<String> = vec![];
    let mut known = std::collections::BTreeSet::new();
    for name in wanted {
        let found = match name.contains(['*', '?', '[']) {
            true => matching(name, base)?,
            false if is_stimulus(name) => vec![name.clone()],
            false => return Err(Error::invalid(name, "is no stimulus: those end in .jpg, .png, .webp or .wav")),
        };
        names.extend(found.into_iter().filter(|name| known.insert(name.clone())));
    }
    Ok(names)
}

/// Files beside the plan, or where none matches, files that ship.
fn matching(pattern: &str, base: &Path) -> Result<Vec<String>> {
    let wrong = |e: glob::PatternError| Error::invalid(pattern, format!("is no pattern ({e})"));
    let prefix = glob::Pattern::escape(&base.to_string_lossy());
    let beside = if Path::new(pattern).is_absolute() { pattern.into() } else { Path::new(&prefix).join(pattern) };
    let files = glob::glob(&beside.to_string_lossy()).map_err(wrong)?;
    let relative = |path: PathBuf| path.strip_prefix(base).unwrap_or(&path).to_string_lossy().into_owned();
    let mut found: Vec<String> = files.flatten().map(relative).filter(|name| is_stimulus(name)).collect();
    if found.is_empty() {
        found = assets::matching(&glob::Pattern::new(pattern).map_err(wrong)?);
        found.retain(|name| is_stimulus(name));
    }
    match found.is_empty() {
        true => Err(Error::invalid(pattern, "matches no picture or sound beside the plan, and none that ships")),
        false => Ok(found),
    }
}
