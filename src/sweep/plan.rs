//! A sweep as a file says it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::slurm::Slurm;
use super::task::SAVED_EVERY;
use crate::synthesis::Recipe;
use crate::{Error, Result};

/// A sweep as a TOML file says it: which networks, stimuli, stages and seeds, and how.
///
/// ```toml
/// networks = ["efficientnet_lite0", "resnet50:weights/resnet50.safetensors"]
/// stimuli = ["photos/*", "my_cat.jpg"]     # files beside the plan, or such that ship; ? * [ab] choose several
/// stages = "every"                         # or ["block2", "block5"], or a table of lists by network
/// seeds = [0, 1]
/// recipe = "fast"                          # or { from = "feather2023", steps = 8000 }
/// evaluations = 400                        # a task ends after so many gradient evaluations,
/// snr_db = 20.0                            # or when it matches so well, or when the recipe's steps are done
/// nulls = ["nulls/resnet50.json"]          # for verdicts of networks without one that ships: NullDistribution::save
/// folder = "results"                       # beside the plan; without it, the plan's name without .toml
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
/// Limits are counts, never seconds, so a task gives the same bits on a fast machine and on a slow one of the same
/// kind of processor. A network takes the stimuli of its kind, pictures or sounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Networks by name, as [`zoo::by_name`](crate::zoo::by_name) takes them; checkpoints relative to the plan.
    pub networks: Vec<String>,
    /// Stimuli: paths relative to the plan, or of files that ship, with `*`, `?` and `[ab]` for several.
    pub stimuli: Vec<String>,
    /// Which stages.
    #[serde(default)]
    pub stages: Stages,
    /// One metamer for each seed.
    #[serde(default = "one_seed")]
    pub seeds: Vec<u64>,
    /// How; [`Recipe::fast`] for pictures and [`Recipe::fast_sound`] for sounds unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<RecipeChoice>,
    /// After how many gradient evaluations a task ends at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluations: Option<usize>,
    /// At which signal-to-noise ratio a task ends, in dB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snr_db: Option<f64>,
    /// Files of null distributions, relative to the plan, for networks that have none that ships.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nulls: Vec<PathBuf>,
    /// Where results go, relative to the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// After so many seconds a task under way is saved: what is lost at most when it is killed. 15 unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save_seconds: Option<f64>,
    /// What Slurm is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slurm: Option<Slurm>,
    /// The plan's own file.
    #[serde(skip)]
    pub(super) file: PathBuf,
}

/// Which stages of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "stages are \"every\", a list of names, or a table of such by network")]
#[non_exhaustive]
pub enum Stages {
    /// `"every"`.
    Word(Word),
    /// These.
    Named(Vec<String>),
    /// These, by the network's name in the plan.
    ByNetwork(BTreeMap<String, Stages>),
}

/// A word that stands for stages.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Word {
    /// All stages of a network.
    Every,
}

impl Default for Stages {
    fn default() -> Self {
        Self::Word(Word::Every)
    }
}

/// A recipe by name, or with changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a recipe is a name, or a table with what differs from = \"a name\"")]
#[non_exhaustive]
pub enum RecipeChoice {
    /// A preset; for sounds its version for them, where there is one: `fast` is `fast_sound`.
    Preset(String),
    /// Fields of [`Recipe`] that differ from those of the preset named by `from`, `fast` unless said otherwise.
    Changed(serde_json::Map<String, serde_json::Value>),
}

fn one_seed() -> Vec<u64> {
    vec![0]
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// A file that cannot be read, and a plan with unknown keys or impossible values.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let mut plan: Self = toml::from_str(&text).map_err(|e| Error::file(path, format!("is no plan: {e}")))?;
        plan.file = path.into();
        plan.check().map_err(|e| Error::file(path, e))?;
        Ok(plan)
    }

    /// Checks what can be checked without loading a network.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the key.
    pub fn check(&self) -> Result<()> {
        some("networks", &self.networks)?;
        some("stimuli", &self.stimuli)?;
        some("seeds", &self.seeds)?;
        self.stages.check(true)?;
        if let Stages::ByNetwork(table) = &self.stages {
            if let Some(name) = table.keys().find(|name| !self.networks.contains(name)) {
                return Err(Error::unknown("network in \"stages\"", name, self.networks.iter().map(String::as_str)));
            }
            if let Some(name) = self.networks.iter().find(|name| !table.contains_key(*name)) {
                return Err(Error::invalid("stages", format!("lists none for {name}; \"every\" takes all")));
            }
        }
        self.recipe(false)?;
        limits(self.evaluations, self.snr_db)?;
        self.save_every()?;
        self.slurm.as_ref().map_or(Ok(()), Slurm::check)
    }

    /// The stages that are asked for of a network.
    pub(super) fn stages_of(&self, network: &str) -> &Stages {
        match &self.stages {
            Stages::ByNetwork(table) => table.get(network).unwrap_or(&self.stages),
            stages => stages,
        }
    }

    /// The recipe for pictures, or for sounds.
    pub(super) fn recipe(&self, sound: bool) -> Result<Recipe> {
        let preset = |name: &str| match sound {
            true => Recipe::by_name(&format!("{name}_sound")).or_else(|_| Recipe::by_name(name)),
            false => Recipe::by_name(name),
        };
        let changes = match &self.recipe {
            None => return preset("fast"),
            Some(RecipeChoice::Preset(name)) => return preset(name),
            Some(RecipeChoice::Changed(changes)) => changes,
        };
        let from = changes.get("from").map_or(Some("fast"), |name| name.as_str());
        let base = preset(from.ok_or_else(|| Error::invalid("recipe.from", "is the name of a preset, in quotes"))?)?;
        let broken = |e: serde_json::Error| Error::invalid("recipe", e.to_string());
        let mut fields = serde_json::to_value(base).map_err(broken)?;
        for (key, value) in changes.iter().filter(|(key, _)| *key != "from") {
            // Recipes keep the spelling of the first plans.
            let key = if key == "optimizer" { "optimiser" } else { key };
            let Some(field) = fields.get_mut(key) else {
                let known = fields.as_object().into_iter().flat_map(|fields| fields.keys().map(String::as_str));
                return Err(Error::unknown("field of a recipe", key, known.chain(["from"])));
            };
            *field = value.clone();
        }
        let recipe: Recipe = serde_json::from_value(fields).map_err(broken)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// How often a task under way is saved.
    pub(super) fn save_every(&self) -> Result<Duration> {
        let wrong = |_| Error::invalid("save_seconds", "must be a number of seconds, 0 or more");
        self.save_seconds.map_or(Ok(SAVED_EVERY), |seconds| Duration::try_from_secs_f64(seconds).map_err(wrong))
    }

    /// The folder of the results.
    pub fn folder(&self) -> PathBuf {
        match &self.folder {
            Some(folder) => self.base().join(folder),
            None => self.file.with_extension(""),
        }
    }

    /// What paths of the plan are relative to.
    pub(super) fn base(&self) -> PathBuf {
        self.file.parent().map(PathBuf::from).unwrap_or_default()
    }

    /// What tells this plan from another: all but where results go and who computes them.
    pub(super) fn digest(&self) -> Result<String> {
        super::digest(&Self { folder: None, slurm: None, save_seconds: None, ..self.clone() })
    }
}

impl Stages {
    fn check(&self, outermost: bool) -> Result<()> {
        match self {
            Self::Word(Word::Every) => Ok(()),
            Self::Named(names) => some("stages", names),
            Self::ByNetwork(table) if outermost => table.values().try_for_each(|stages| stages.check(false)),
            Self::ByNetwork(_) => Err(Error::invalid("stages", "are \"every\" or a list of names for each network")),
        }
    }
}

/// There is at least one, and none twice.
pub(super) fn some<T: Ord + std::fmt::Debug>(what: &str, list: &[T]) -> Result<()> {
    if list.is_empty() {
        return Err(Error::invalid(what, "is an empty list; name at least one"));
    }
    let mut seen = BTreeSet::new();
    match list.iter().find(|item| !seen.insert(*item)) {
        Some(twice) => Err(Error::invalid(what, format!("names {twice:?} twice"))),
        None => Ok(()),
    }
}

pub(super) fn limits(evaluations: Option<usize>, snr_db: Option<f64>) -> Result<()> {
    if evaluations == Some(0) {
        return Err(Error::invalid("evaluations", "must be at least 1"));
    }
    match snr_db {
        Some(snr_db) if !snr_db.is_finite() => {
            Err(Error::invalid("snr_db", format!("must be a finite number of dB, got {snr_db}; 20.0 is well matched")))
        }
        _ => Ok(()),
    }
}
