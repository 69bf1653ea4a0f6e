//! Plan of a sweep, read from a TOML file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::goal::{PlannedBound, SharedGoal};
use super::slurm::Slurm;
use super::task::DEFAULT_SAVE_INTERVAL;
use crate::fs::files;
use crate::stimulus::StimulusKind;
use crate::synthesis::{Match, Penalty, Recipe};
use crate::{Error, Result};

/// The plan of a sweep, a TOML file: networks, stimuli, stages, seeds and settings.
///
/// ```toml
/// networks = ["efficientnet_lite0", "resnet50:weights/resnet50.safetensors"]
/// stimuli = ["photos/*", "my_cat.jpg"]     # files relative to the plan, or shipped ones; the wildcards are ? * [ab]
/// stages = "every"                         # or ["block2", "block5"], or a table with a list for each network
/// seeds = [0, 1]
/// recipe = "nearest"                       # or { from = "feather2023", steps = 8000 }
/// evaluations = 1000                       # a task ends after this number of gradient evaluations,
/// snr_db = 20.0                            # or at this signal-to-noise ratio, or after the recipe's steps
/// penalties = [{ kind = "total_variation", weight = 0.05 },
///              { kind = "spectrum", weight = 0.01, stimuli = ["original"] }]
/// record_every = 10                        # each metamer has a film: metamer.film()?.export("dog.webp")
/// nulls = ["nulls/resnet50.json"]          # for networks without a shipped null distribution: NullDistribution::save
/// folder = "results"                       # relative to the plan; the default is the plan's name without .toml
///
/// [matches]                                # names for lists of targets, which "stages" can list beside stages
/// texture = [{ stage = "block1", statistic = "gram" }, { stage = "block2", statistic = "gram", weight = 0.5 }]
/// head = [{ stage = "block5", region = { window = { first = [20, 60], size = [100, 110] } } }]
/// few = [{ stage = "block5", channels = [0, 7, 12] }]
///
/// [slurm]                                  # for `metamers sweep plan.toml --slurm`
/// time = "1:00:00"
/// memory = "4G"
/// cpus = 2
/// tasks_per_job = 8
/// retries = 2
/// options = ["--partition=cpu"]
/// ```
///
/// Further keys; `different` cannot be combined with the others:
///
/// ```toml
/// different = 0.1       # pushes the metamers of one stimulus and stage apart, in the order of the seeds; needs snr_db
/// coarse_to_fine = 4    # the number of coarse levels
/// bound = { norm = "linf", eps = 0.03, stimulus = "photos/dog.jpg" }    # keeps all metamers near to this stimulus
/// ```
///
/// They do what [`Synthesis::different`](crate::synthesis::Synthesis::different),
/// [`Synthesis::coarse_to_fine`](crate::synthesis::Synthesis::coarse_to_fine) and
/// [`Synthesis::within`](crate::synthesis::Synthesis::within) do. A penalty is `total_variation` or `range`, or has stimuli and is
/// `distance`, `away_from` or `spectrum`; the stimulus `"original"` is the original of each task. The tasks of different metamers depend
/// on those of the seeds before them: a Slurm job runs them one after the other, and `--task` needs them in one call or in this order. A
/// film is that of a metamer's last run.
///
/// A match that "stages" does not list is not used; `stages = "every"` lists none. The fields of a target are those of
/// [`Target`](crate::synthesis::Target): `statistic` is `"values"` (the default), `"means"` or `"gram"`.
///
/// Limits are counts, not seconds, so a task gives the same bits on fast and slow machines with the same kind of processor. A
/// network uses the stimuli of its kind, images or sounds.
///
/// Sounds get the sample rate and the length of the network, and the level at which word networks were trained
/// ([`Sound::prepare`](crate::stimulus::Sound::prepare)). `recipe = { from = "nearest", sound_rms = 0.05 }` sets another level; a
/// [`Sweep`](super::Sweep) takes sounds as they are. A folder that an earlier copy began keeps the levels of the files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Network names for [`zoo::by_name`](crate::zoo::by_name), with checkpoints relative to the plan.
    pub networks: Vec<String>,
    /// Paths of stimuli relative to the plan, or of shipped files, with the wildcards `*`, `?` and `[ab]`.
    ///
    /// A pattern matches names in upper and lower case, and files that begin with a dot only if its last part does. It matches shipped
    /// files only if the plan's folder has no folder of that name: `photos/*` is your own folder, if there is one.
    pub stimuli: Vec<String>,
    /// The selected stages; the default is every stage.
    #[serde(default)]
    pub stages: StageSelection,
    /// The seeds; each gives one metamer. The default is seed 0.
    #[serde(default = "default_seeds")]
    pub seeds: Vec<u64>,
    /// The recipe; the default is [`Recipe::nearest`] for images and [`Recipe::nearest_sound`] for sounds,
    /// [`Recipe::natural_prior`] or [`Recipe::natural_prior_sound`] with penalties or different metamers, and [`Recipe::bounded`] or
    /// [`Recipe::bounded_sound`] with a bound or from coarse to fine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<RecipeChoice>,
    /// The maximum number of gradient evaluations of a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluations: Option<usize>,
    /// The signal-to-noise ratio at which a task ends, in dB; with [`Recipe::nearest`], the one that it holds until it settles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snr_db: Option<f64>,
    /// Named matches of several stages, of parts or of statistics, which `stages` can list.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub matches: BTreeMap<String, Match>,
    /// The penalties of every task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub penalties: Vec<Penalty>,
    /// The distance of all metamers from a stimulus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<PlannedBound>,
    /// The number of levels of runs from coarse to fine, from 1 to 6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coarse_to_fine: Option<usize>,
    /// The interval in steps at which a film of each run is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_every: Option<usize>,
    /// The weight with which each metamer is pushed away from those of the seeds before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub different: Option<f64>,
    /// Files of null distributions, relative to the plan, for networks without a shipped one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nulls: Vec<PathBuf>,
    /// The folder of the results, relative to the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// The interval in seconds at which a running task is saved; a killed task loses at most this time. The default is 15.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save_seconds: Option<f64>,
    /// The Slurm settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slurm: Option<Slurm>,
    /// The plan's file.
    #[serde(skip)]
    pub(super) file: PathBuf,
}

/// A selection of stages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "stages must be \"every\", a list of names, or a table with either for each network")]
#[non_exhaustive]
pub enum StageSelection {
    /// Every stage: `"every"` in a plan.
    Every(EveryStage),
    /// The stages with these names.
    Named(Vec<String>),
    /// A selection for each network, by its name in the plan.
    ByNetwork(BTreeMap<String, StageSelection>),
}

/// The word that selects every stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EveryStage {
    /// Every stage of a network.
    Every,
}

impl Default for StageSelection {
    fn default() -> Self {
        Self::Every(EveryStage::Every)
    }
}

/// The name of a recipe, or changes to one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "recipe must be a name, or a table of changes with from = \"a name\"")]
#[non_exhaustive]
pub enum RecipeChoice {
    /// The name of a preset. Sounds use its version for sounds if there is one: `nearest` becomes `nearest_sound`.
    Preset(String),
    /// Changed fields of the [`Recipe`] preset named by `from`; the default is `nearest`.
    Changed(serde_json::Map<String, serde_json::Value>),
}

fn default_seeds() -> Vec<u64> {
    vec![0]
}

impl Plan {
    /// Reads a plan from a TOML file and checks it.
    ///
    /// # Errors
    /// Fails for a file that cannot be read, unknown keys and invalid values.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = String::from_utf8(files::read(path)?)
            .map_err(|e| Error::file(path, format!("is not a valid plan: {}", e.utf8_error())))?;
        let mut plan: Self =
            toml::from_str(&text).map_err(|e| Error::file(path, format!("is not a valid plan: {e}")))?;
        plan.file = path.into();
        plan.check().map_err(|e| Error::file(path, e))?;
        Ok(plan)
    }

    /// Checks all values that can be checked without loading a network.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the key.
    pub fn check(&self) -> Result<()> {
        check_list("networks", &self.networks)?;
        check_list("stimuli", &self.stimuli)?;
        check_list("seeds", &self.seeds)?;
        self.stages.check(Nesting::Outer)?;
        if let StageSelection::ByNetwork(table) = &self.stages {
            if let Some(name) = table.keys().find(|name| !self.networks.contains(name)) {
                return Err(Error::unknown("network in \"stages\"", name, self.networks.iter().map(String::as_str)));
            }
            if let Some(name) = self.networks.iter().find(|name| !table.contains_key(*name)) {
                return Err(Error::invalid(
                    "stages",
                    format!("have no entry for {name}; use \"every\" for all of its stages"),
                ));
            }
        }
        check_limits(self.evaluations, self.snr_db)?;
        let goal = self.goal();
        goal.check(self.seeds.len(), self.evaluations, self.snr_db)?;
        goal.check_recipe(&self.recipe(StimulusKind::Image, &goal)?)?;
        self.save_every()?;
        if self.folder.is_none() && !self.file.as_os_str().is_empty() && self.folder() == self.file {
            let reason = "would be the plan itself; give the plan the extension .toml, or set folder";
            return Err(Error::invalid("folder", reason));
        }
        self.slurm.as_ref().map_or(Ok(()), Slurm::check)
    }

    /// The selection of a network's stages.
    pub(super) fn stages_of(&self, network: &str) -> &StageSelection {
        match &self.stages {
            StageSelection::ByNetwork(table) => table.get(network).unwrap_or(&self.stages),
            stages => stages,
        }
    }

    /// The recipe for stimuli of a kind; `goal` is [`Plan::goal`].
    pub(super) fn recipe(&self, kind: StimulusKind, goal: &SharedGoal) -> Result<Recipe> {
        let preset = |name: &str| match kind {
            StimulusKind::Sound => Recipe::by_name(&format!("{name}_sound")).or_else(|_| Recipe::by_name(name)),
            StimulusKind::Image => Recipe::by_name(name),
        };
        let changes = match &self.recipe {
            None => return Ok(goal.default_recipe(kind)),
            Some(RecipeChoice::Preset(name)) => return preset(name),
            Some(RecipeChoice::Changed(changes)) => changes,
        };
        let from = changes.get("from").map_or(Some("nearest"), |name| name.as_str());
        let base =
            preset(from.ok_or_else(|| Error::invalid("recipe.from", "must be the name of a preset, in quotes"))?)?;
        let invalid = |e: serde_json::Error| Error::invalid("recipe", e.to_string());
        let mut fields = serde_json::to_value(base).map_err(invalid)?;
        for (key, value) in changes.iter().filter(|(key, _)| *key != "from") {
            // The serialized name of the field has the British spelling.
            let key = if key == "optimizer" { "optimiser" } else { key };
            let Some(field) = fields.get_mut(key) else {
                let known = fields.as_object().into_iter().flat_map(|fields| fields.keys().map(String::as_str));
                return Err(Error::unknown("field of a recipe", key, known.chain(["from"])));
            };
            *field = value.clone();
        }
        let recipe: Recipe = serde_json::from_value(fields).map_err(invalid)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// The requests that all tasks share.
    pub(super) fn goal(&self) -> SharedGoal {
        SharedGoal {
            penalties: self.penalties.clone(),
            bound: self.bound.clone(),
            coarse_to_fine: self.coarse_to_fine,
            record_every: self.record_every,
            different: self.different,
        }
    }

    /// The interval at which a running task is saved.
    pub(super) fn save_every(&self) -> Result<Duration> {
        let Some(seconds) = self.save_seconds else { return Ok(DEFAULT_SAVE_INTERVAL) };
        let interval = Duration::try_from_secs_f64(seconds).ok().filter(|interval| !interval.is_zero());
        interval.ok_or_else(|| {
            Error::invalid(
                "save_seconds",
                format!("must be a number of seconds above 0, got {seconds}; the default is 15"),
            )
        })
    }

    /// The folder of the results.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        match &self.folder {
            Some(folder) => self.base().join(folder),
            None => self.file.with_extension(""),
        }
    }

    /// The folder that the plan's paths are relative to.
    pub(super) fn base(&self) -> PathBuf {
        self.file.parent().map(PathBuf::from).unwrap_or_default()
    }

    /// Digest of everything that affects the results.
    pub(super) fn digest(&self) -> Result<String> {
        super::digest(&Self { folder: None, slurm: None, save_seconds: None, ..self.clone() })
    }
}

/// The level of a selection in a table of selections by network.
#[derive(Clone, Copy, PartialEq)]
enum Nesting {
    Outer,
    Inner,
}

impl StageSelection {
    fn check(&self, nesting: Nesting) -> Result<()> {
        match self {
            Self::Every(EveryStage::Every) => Ok(()),
            Self::Named(names) => check_list("stages", names),
            Self::ByNetwork(table) if nesting == Nesting::Outer => {
                table.values().try_for_each(|stages| stages.check(Nesting::Inner))
            }
            Self::ByNetwork(_) => {
                Err(Error::invalid("stages", "must be \"every\" or a list of names for each network"))
            }
        }
    }
}

/// Checks that a list is not empty and has no duplicates; `what` is its name in errors.
pub(super) fn check_list<T: Ord + std::fmt::Debug>(what: &str, list: &[T]) -> Result<()> {
    if list.is_empty() {
        return Err(Error::invalid(what, "is an empty list; at least one entry is required"));
    }
    let mut seen = BTreeSet::new();
    match list.iter().find(|item| !seen.insert(*item)) {
        Some(duplicate) => Err(Error::invalid(what, format!("has {duplicate:?} twice"))),
        None => Ok(()),
    }
}

pub(super) fn check_limits(evaluations: Option<usize>, snr_db: Option<f64>) -> Result<()> {
    if evaluations == Some(0) {
        return Err(Error::invalid("evaluations", "must be at least 1"));
    }
    match snr_db {
        Some(snr_db) if !snr_db.is_finite() => {
            Err(Error::invalid("snr_db", format!("must be a finite number of dB, got {snr_db}; 20.0 is a good match")))
        }
        _ => Ok(()),
    }
}
