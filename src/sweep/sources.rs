//! The networks, stimuli and null distributions of a sweep, in memory or loaded on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Device;

use super::goal::ORIGINAL;
use super::manifest::StimulusEntry;
use super::patterns::expand;
use super::plan::Plan;
use crate::fs::{assets, extension, files};
use crate::network::Network;
use crate::stimulus::{Image, Sound, Stimulus, StimulusKind};
use crate::synthesis::{Run, Synthesis};
use crate::verdict::{NullDistribution, network_labels};
use crate::{Error, Result, zoo};

/// Number of loaded networks in the cache; tasks are in the order of networks.
const CACHED_NETWORKS: usize = 2;

/// The inputs of a sweep.
pub(super) struct Sources {
    networks: Vec<Source<Network>>,
    stimuli: Vec<Source<Stimulus>>,
    /// The stimuli of penalties and of a bound; a plan's are loaded by their names.
    references: Vec<Stimulus>,
    /// Folder that paths are relative to.
    base: PathBuf,
    /// Cached networks, the most recent last.
    loaded: Mutex<Vec<(usize, Network)>>,
    /// Null distributions of the sweep, which take precedence over shipped ones.
    given_nulls: Vec<Arc<NullDistribution>>,
    /// Cached null distributions, by network.
    nulls: Mutex<BTreeMap<usize, Option<Arc<NullDistribution>>>>,
    /// The device on which the networks run; `None` to compile them for the CPU.
    device: Option<Device>,
}

/// A network or stimulus of a sweep.
enum Source<T> {
    /// A name or path, loaded on demand, or a plan's pattern for stimuli.
    Named(String),
    /// A name and its value.
    InMemory(String, T),
}

impl<T> Source<T> {
    fn name(&self) -> &str {
        match self {
            Self::Named(name) | Self::InMemory(name, _) => name,
        }
    }
}

impl Sources {
    pub fn from_plan(plan: &Plan) -> Result<Self> {
        let base = plan.base();
        Ok(Self {
            networks: plan.networks.iter().cloned().map(Source::Named).collect(),
            stimuli: plan.stimuli.iter().cloned().map(Source::Named).collect(),
            given_nulls: plan
                .nulls
                .iter()
                .map(|path| Ok(Arc::new(NullDistribution::open(base.join(path))?)))
                .collect::<Result<_>>()?,
            references: vec![],
            base,
            loaded: Mutex::default(),
            nulls: Mutex::default(),
            device: None,
        })
    }

    pub fn in_memory(networks: Vec<Network>, stimuli: Vec<Stimulus>, nulls: Vec<NullDistribution>) -> Result<Self> {
        let labels = network_labels(networks.iter().map(|net| (net.name(), &net.weights_source().weights_sha256)));
        let networks: Vec<_> =
            labels.into_iter().zip(networks).map(|(label, net)| Source::InMemory(label, net)).collect();
        let stimuli: Vec<_> = stimuli.into_iter().map(|s| Source::InMemory(s.name().to_owned(), s)).collect();
        super::plan::check_list("networks", &networks.iter().map(Source::name).collect::<Vec<_>>())?;
        super::plan::check_list("stimuli", &stimuli.iter().map(Source::name).collect::<Vec<_>>())?;
        let given_nulls = nulls.into_iter().map(Arc::new).collect();
        let (loaded, nulls, references) = (Mutex::default(), Mutex::default(), vec![]);
        Ok(Self { networks, stimuli, references, base: PathBuf::new(), loaded, given_nulls, nulls, device: None })
    }

    /// Adds the stimuli of penalties and of a bound, which they refer to by name.
    pub fn with_references(mut self, references: Vec<Stimulus>) -> Result<Self> {
        for (i, a) in references.iter().enumerate() {
            if a.name() == ORIGINAL {
                let reason = "stands for the original of each task; give the stimulus of the penalty or bound another name: with_name";
                return Err(Error::invalid(ORIGINAL, reason));
            }
            if references[..i].iter().any(|b| a.name() == b.name() && a != b) {
                let reason = "is the name of two different stimuli of penalties or the bound; use with_name";
                return Err(Error::invalid(a.name(), reason));
            }
        }
        self.references = references;
        Ok(self)
    }

    /// Runs the networks on a device.
    pub fn on(mut self, device: Option<Device>) -> Self {
        self.device = device;
        self
    }

    /// The synthesis on the sweep's device.
    pub fn on_device(&self, synthesis: Synthesis) -> Synthesis {
        match &self.device {
            Some(device) => synthesis.on(device),
            None => synthesis,
        }
    }

    /// Opens a saved run, which continues on the sweep's device.
    pub fn resume(&self, path: &Path, network: &Network) -> Result<Run> {
        let mut run = Run::resume(path, network)?;
        if let Some(device) = &self.device {
            run.move_to(device)?;
        }
        Ok(run)
    }

    pub fn networks(&self) -> usize {
        self.networks.len()
    }

    pub fn network_name(&self, index: usize) -> &str {
        self.networks[index].name()
    }

    /// Returns a network, loading it if it is not cached.
    pub fn network(&self, index: usize) -> Result<Network> {
        let name = match self.networks.get(index) {
            Some(Source::InMemory(_, network)) => return Ok(network.clone()),
            Some(Source::Named(name)) => name,
            // A manifest that was edited by hand.
            None => return Err(Error::invalid(format!("network {index} of study.json"), "is not in the plan")),
        };
        // The lock is held while loading, so that two workers do not load the same network.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, network)) = loaded.iter().find(|(i, _)| *i == index) {
            return Ok(network.clone());
        }
        let network = zoo::by_name_in(name, &self.base)?;
        if loaded.len() >= CACHED_NETWORKS {
            loaded.remove(0);
        }
        loaded.push((index, network.clone()));
        Ok(network)
    }

    /// The null distribution for a network's metamers: the sweep's own for its weights, or else the shipped one; `None` without
    /// either.
    pub fn null(&self, index: usize, network: &Network) -> Result<Option<Arc<NullDistribution>>> {
        let mut nulls = self.nulls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(null) = nulls.get(&index) {
            return Ok(null.clone());
        }
        let weights = &network.weights_source().weights_sha256;
        let fits = |null: &&Arc<NullDistribution>| null.weights_sha256() == weights && null.network() == network.name();
        let null = match self.given_nulls.iter().find(fits) {
            Some(null) => Some(Arc::clone(null)),
            None => NullDistribution::find_shipped(network)?.map(Arc::new),
        };
        nulls.insert(index, null.clone());
        Ok(null)
    }

    /// Digests of the sweep's own null distributions.
    pub fn null_digests(&self) -> Result<Vec<String>> {
        self.given_nulls.iter().map(|null| super::digest(&**null)).collect()
    }

    /// The manifest entries of all stimuli: a plan's patterns are expanded, and each file has one entry.
    ///
    /// Only a new manifest needs them, so a folder can be continued after the files that a pattern matches have changed.
    pub fn stimulus_entries(&self) -> Result<Vec<StimulusEntry>> {
        let (mut entries, mut known) = (vec![], BTreeSet::new());
        for source in &self.stimuli {
            match source {
                Source::InMemory(name, stimulus) => entries.push(entry_of(name, stimulus)),
                Source::Named(wanted) => {
                    for name in expand(wanted, &self.base)? {
                        if known.insert(name.clone()) {
                            entries.push(self.entry_of_file(&name)?);
                        }
                    }
                }
            }
        }
        Ok(entries)
    }

    /// The manifest entries of the stimuli with these names, which penalties and a bound refer to.
    pub fn reference_entries<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Vec<StimulusEntry>> {
        let entry = |name: &str| match self.references.iter().find(|stimulus| stimulus.name() == name) {
            Some(stimulus) => Ok(entry_of(name, stimulus)),
            None if is_stimulus(name) => self.entry_of_file(name),
            None => Err(not_a_stimulus(name)),
        };
        names.into_iter().map(entry).collect()
    }

    fn entry_of_file(&self, name: &str) -> Result<StimulusEntry> {
        let sha256 = crate::fs::sha256::hex_digest(&self.bytes(name)?);
        let sound = is_sound(name);
        Ok(StimulusEntry { name: name.into(), sha256, sound, layout: None, prepared: sound })
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let local = self.base.join(name);
        let path = if local.exists() { local } else { assets::find(Path::new(name))? };
        files::read(&path)
    }

    /// Loads the stimulus with this index and checks that it equals the one in the manifest. A file that cannot be decoded is an
    /// [`Error::Invalid`].
    pub fn stimulus(&self, index: usize, entry: &StimulusEntry) -> Result<Stimulus> {
        let name = match self.stimuli.get(index) {
            Some(Source::InMemory(_, stimulus)) => return Ok(stimulus.clone()),
            _ => &entry.name,
        };
        self.open(name, entry)
    }

    /// Loads the stimulus of a penalty or of a bound, and checks that it equals the one in the manifest.
    pub fn reference(&self, entry: &StimulusEntry) -> Result<Stimulus> {
        match self.references.iter().find(|stimulus| stimulus.name() == entry.name) {
            Some(stimulus) => Ok(stimulus.clone()),
            None => self.open(&entry.name, entry).map_err(|e| match e {
                // Not a property of one task: all tasks need it.
                Error::Invalid { what, reason } => Error::file(what, reason),
                e => e,
            }),
        }
    }

    fn open(&self, name: &str, entry: &StimulusEntry) -> Result<Stimulus> {
        let bytes = self.bytes(name)?;
        if crate::fs::sha256::hex_digest(&bytes) != entry.sha256 {
            return Err(Error::file(name, "has changed since the sweep started; restore it or use another folder"));
        }
        let name_without_extension = extension::stimulus_name(Path::new(name));
        let opened = match entry.kind() {
            StimulusKind::Image => {
                Image::from_bytes(&bytes).map(|image| image.with_name(name_without_extension).into())
            }
            StimulusKind::Sound => {
                Sound::from_bytes_scaled(&bytes).map(|sound| sound.with_name(name_without_extension).into())
            }
        };
        // The bytes are those of the manifest, so the error would recur: it is a property of the task.
        opened.map_err(|e| Error::invalid(name, e.to_string()))
    }
}

/// The manifest entry of a stimulus in memory.
fn entry_of(name: &str, stimulus: &Stimulus) -> StimulusEntry {
    let bytes: Vec<u8> = stimulus.values().iter().flat_map(|v| v.to_le_bytes()).collect();
    let (sound, layout) = match stimulus {
        Stimulus::Sound(sound) => (true, format!("{} Hz", sound.sample_rate())),
        Stimulus::Image(image) => (false, format!("{} x {} x {}", image.channels(), image.height(), image.width())),
    };
    let sha256 = crate::fs::sha256::hex_digest(&bytes);
    StimulusEntry { name: name.into(), sha256, sound, layout: Some(layout), prepared: false }
}

const IMAGE_EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"];
const SOUND_EXTENSIONS: [&str; 9] = ["wav", "flac", "mp3", "ogg", "oga", "m4a", "aac", "aif", "aiff"];

fn is_sound(name: &str) -> bool {
    SOUND_EXTENSIONS.contains(&extension::lowercase_extension(Path::new(name)).as_str())
}

pub(super) fn is_stimulus(name: &str) -> bool {
    is_sound(name) || IMAGE_EXTENSIONS.contains(&extension::lowercase_extension(Path::new(name)).as_str())
}

pub(super) fn not_a_stimulus(name: &str) -> Error {
    let supported = [&IMAGE_EXTENSIONS[..], &SOUND_EXTENSIONS].concat().join(", .");
    Error::invalid(name, format!("is not a stimulus; supported extensions are .{supported}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_samples_at_another_rate_are_another_stimulus() {
        let entry = |rate: u32| {
            let sound = Sound::from_samples("word", rate, vec![0.1; 100]).unwrap();
            entry_of("word", &sound.into())
        };
        assert_eq!(entry(16_000), entry(16_000));
        assert_ne!(entry(16_000), entry(20_000));
    }

    #[test]
    fn a_sound_above_full_scale_is_divided_by_its_peak() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = crate::fs::wav::encode_float32(16_000, [0.5, -2.0, 1.0].into_iter());
        std::fs::write(folder.path().join("loud.wav"), bytes).unwrap();
        std::fs::write(folder.path().join("plan.toml"), "networks = [\"a\"]\nstimuli = [\"*.wav\"]\n").unwrap();
        let sources = Sources::from_plan(&Plan::open(folder.path().join("plan.toml")).unwrap()).unwrap();
        let entries = sources.stimulus_entries().unwrap();
        let sound = sources.stimulus(0, &entries[0]).unwrap();
        assert_eq!((sound.name(), sound.values()), ("loud", &[0.25, -1.0, 0.5][..]));
        // The file was never another one, so that this is an error of its tasks and not of the sweep.
        std::fs::write(folder.path().join("loud.wav"), "RIFF").unwrap();
        let entries = sources.stimulus_entries().unwrap();
        assert!(matches!(sources.stimulus(0, &entries[0]), Err(Error::Invalid { .. })));
        assert!(matches!(sources.reference(&entries[0]), Err(Error::File { .. })));
    }
}
