//! The resolved inputs of a sweep and its numbered tasks, saved as `study.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::goal::SharedGoal;
use super::plan::{Plan, StageSelection, check_limits, check_list};
use super::sources::Sources;
use crate::network::Network;
use crate::stimulus::{Stimulus, StimulusKind};
use crate::synthesis::{Match, Push, Recipe};
use crate::{Error, Result};

const FORMAT: &str = "metamers sweep 1";
const FILE_NAME: &str = "study.json";

/// The inputs of all tasks, so that a task can be identified without loading a network; saved as `study.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: String,
    /// Digest of the plan that this was created from; empty without a plan.
    plan: String,
    pub networks: Vec<NetworkEntry>,
    pub stimuli: Vec<StimulusEntry>,
    pub seeds: Vec<u64>,
    pub evaluations: Option<usize>,
    pub snr_db: Option<f64>,
    /// SHA-256 of the null distributions that the plan names.
    nulls: Vec<String>,
    /// The named matches that some network's stages list.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    matches: BTreeMap<String, Match>,
    #[serde(flatten)]
    pub goal: SharedGoal,
    /// The stimuli that the goal names, in the order of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    references: Vec<StimulusEntry>,
}

/// A network of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct NetworkEntry {
    /// The name in the plan.
    pub name: String,
    pub weights_sha256: String,
    pub stages: Vec<String>,
    /// Indices of the stimuli that it accepts.
    pub stimuli: Vec<usize>,
    pub recipe: Recipe,
}

/// A stimulus of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct StimulusEntry {
    /// The path in the plan, or the stimulus' name.
    pub name: String,
    /// SHA-256 of the file, or of the values of a stimulus without a file.
    pub sha256: String,
    pub sound: bool,
    /// The size of an image or the sample rate of a sound without a file; absent in folders of earlier copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
    /// `true` for the sounds of files, which tasks use as [`Sound::prepare`](crate::stimulus::Sound::prepare) makes them; absent in folders
    /// of earlier copies, whose tasks keep the level of the file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prepared: bool,
}

/// A task of a sweep: one metamer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Task {
    /// The task's number, from 0.
    pub index: usize,
    /// Index of the network in the plan.
    pub network: usize,
    /// Index of the stimulus in the plan.
    pub stimulus: usize,
    /// The seed.
    pub seed: u64,
    /// Index of the stage among the network's selected stages.
    pub stage: usize,
}

/// Selects the stages and the recipe of a network.
pub(super) trait Selection {
    fn stages(&self, network: &str) -> &StageSelection;
    fn matches(&self) -> &BTreeMap<String, Match>;
    fn goal(&self) -> SharedGoal;
    /// The recipe for stimuli of a kind. `goal` is that of the selection, perhaps without its stimuli.
    fn recipe(&self, kind: StimulusKind, goal: &SharedGoal) -> Result<Recipe>;
}

impl Selection for Plan {
    fn stages(&self, network: &str) -> &StageSelection {
        self.stages_of(network)
    }

    fn matches(&self) -> &BTreeMap<String, Match> {
        &self.matches
    }

    fn goal(&self) -> SharedGoal {
        Plan::goal(self)
    }

    fn recipe(&self, kind: StimulusKind, goal: &SharedGoal) -> Result<Recipe> {
        Plan::recipe(self, kind, goal)
    }
}

impl StimulusEntry {
    pub fn kind(&self) -> StimulusKind {
        if self.sound { StimulusKind::Sound } else { StimulusKind::Image }
    }

    /// This entry's stimulus as the tasks of a network use it.
    pub fn prepared_for(&self, network: &Network, stimulus: Stimulus) -> Result<Stimulus> {
        match self.prepared {
            true => network.prepare_at_training_level(stimulus).map_err(|e| Error::invalid(&self.name, e.to_string())),
            false => Ok(stimulus),
        }
    }
}

impl Manifest {
    /// Resolves all inputs. Loads each network once.
    pub fn new(
        sources: &Sources,
        selection: &impl Selection,
        seeds: Vec<u64>,
        (evaluations, snr_db): (Option<usize>, Option<f64>),
    ) -> Result<Self> {
        check_list("seeds", &seeds)?;
        check_limits(evaluations, snr_db)?;
        let goal = selection.goal().with_names_only();
        goal.check(seeds.len(), evaluations, snr_db)?;
        let references = sources.reference_entries(goal.stimulus_names())?;
        let stimuli = sources.stimulus_entries()?;
        let network_entry = |index: usize| -> Result<NetworkEntry> {
            let network = sources.network(index)?;
            let name = sources.network_name(index);
            let kind = network.input().kind();
            let accepted: Vec<usize> = (0..stimuli.len()).filter(|&i| stimuli[i].kind() == kind).collect();
            if accepted.is_empty() {
                let reason = match kind {
                    StimulusKind::Image => "requires images, but the sweep has only sounds",
                    StimulusKind::Sound => "requires sounds, but the sweep has only images",
                };
                return Err(Error::invalid(name, reason));
            }
            if let Some(other) = references.iter().find(|entry| entry.kind() != kind) {
                return Err(Error::invalid(&other.name, format!("is not a stimulus for {name}")));
            }
            let recipe = selection.recipe(kind, &goal)?.held_at(snr_db);
            let recipe = if goal.different.is_some() { recipe.without_return() } else { recipe };
            goal.check_recipe(&recipe)?;
            if kind == StimulusKind::Sound && goal.bound.is_none() {
                recipe.check_for_sounds()?;
            }
            Ok(NetworkEntry {
                name: name.into(),
                weights_sha256: network.weights_source().weights_sha256.clone(),
                stages: stages(&network, selection.stages(name), selection.matches())?,
                stimuli: accepted,
                recipe,
            })
        };
        let networks = (0..sources.networks()).map(network_entry).collect::<Result<Vec<_>>>()?;
        let used = |index: usize| networks.iter().any(|entry| entry.stimuli.contains(&index));
        if let Some(unused) = (0..stimuli.len()).find(|&index| !used(index)) {
            return Err(Error::invalid(&stimuli[unused].name, "is not accepted by any network of the sweep"));
        }
        let is_listed = |name: &String| networks.iter().any(|entry| entry.stages.contains(name));
        let matches = selection.matches().iter().filter(|(name, _)| is_listed(name));
        let matches = matches.map(|(name, matched)| (name.clone(), matched.clone())).collect();
        let (format, plan, nulls) = (FORMAT.into(), String::new(), sources.null_digests()?);
        Ok(Self { format, plan, networks, stimuli, seeds, evaluations, snr_db, nulls, matches, goal, references })
    }

    /// Reads the manifest in a plan's folder, or creates it there.
    pub fn open_or_create(plan: &Plan, sources: &Sources) -> Result<Self> {
        let (folder, digest) = (plan.folder(), plan.digest()?);
        let path = folder.join(FILE_NAME);
        if let Some(manifest) = Self::read(&path)? {
            if manifest.plan != digest {
                let reason = "holds the results of another plan; choose another folder or remove this one";
                return Err(Error::file(folder, reason));
            }
            if manifest.nulls != sources.null_digests()? {
                let reason = "was begun with other null distributions; restore them, or choose another folder";
                return Err(Error::file(folder, reason));
            }
            return Ok(manifest);
        }
        let manifest = Self::new(sources, plan, plan.seeds.clone(), (plan.evaluations, plan.snr_db))?;
        let manifest = Self { plan: digest, ..manifest };
        manifest.write(&path)?;
        Ok(manifest)
    }

    /// Writes the manifest of a sweep without a plan, or checks that the existing one is equal, and returns the one in the folder.
    pub fn written_to(self, folder: &Path) -> Result<Self> {
        let path = folder.join(FILE_NAME);
        match Self::read(&path)? {
            Some(manifest) if manifest.clone().with_layouts_of(&self) == self => Ok(manifest),
            Some(manifest) => {
                // A preset may have changed since an earlier copy began the folder.
                let mut other = manifest.with_layouts_of(&self);
                let pairs = other.networks.iter_mut().zip(&self.networks);
                pairs.for_each(|(entry, own)| entry.recipe = own.recipe.clone());
                let remedy = match other == self {
                    true => "set the recipe of its study.json, choose another folder or remove this one",
                    false => "choose another folder or remove this one",
                };
                Err(Error::file(folder, format!("holds the results of another sweep; {remedy}")))
            }
            None => self.write(&path).map(|()| self),
        }
    }

    /// This manifest with the layouts of the other one where it has none, as it was written by an earlier copy.
    fn with_layouts_of(mut self, other: &Self) -> Self {
        let pairs = self.stimuli.iter_mut().zip(&other.stimuli);
        for (entry, other) in pairs.chain(self.references.iter_mut().zip(&other.references)) {
            entry.layout = entry.layout.take().or_else(|| other.layout.clone());
        }
        self
    }

    fn read(path: &Path) -> Result<Option<Self>> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(path, e)),
        };
        let damaged =
            |e: &dyn std::fmt::Display| Error::file(path, format!("is damaged ({e}); remove it to create it again"));
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|e| damaged(&e))?;
        if manifest.format != FORMAT {
            return Err(damaged(&format!("its format is \"{}\", expected \"{FORMAT}\"", manifest.format)));
        }
        let valid = |entry: &NetworkEntry| {
            let exist = entry.stimuli.iter().all(|&i| i < manifest.stimuli.len());
            exist && !entry.stimuli.is_empty() && !entry.stages.is_empty()
        };
        if manifest.networks.is_empty() || manifest.seeds.is_empty() {
            return Err(damaged(&"it has no network or no seed"));
        }
        if !manifest.networks.iter().all(valid) {
            return Err(damaged(&"a network refers to missing stimuli, or has no stimuli or stages"));
        }
        Ok(Some(manifest))
    }

    fn write(&self, path: &Path) -> Result<()> {
        let folder = path.parent().unwrap_or(Path::new(""));
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        let json = serde_json::to_vec_pretty(self).map_err(|e| Error::file(path, e))?;
        crate::fs::atomic::write(path, &json)
    }

    /// The number of tasks.
    pub fn len(&self) -> usize {
        self.networks.iter().map(|entry| self.tasks_of(entry)).sum()
    }

    fn tasks_of(&self, entry: &NetworkEntry) -> usize {
        entry.stages.len() * entry.stimuli.len() * self.seeds.len()
    }

    /// The task with this number.
    ///
    /// Stages vary fastest and networks slowest. Consecutive tasks therefore share a loaded network, and groups of them have
    /// similar cost, which makes early estimates of the remaining time accurate.
    pub fn task(&self, index: usize) -> Result<Task> {
        let mut rest = index;
        for (network, entry) in self.networks.iter().enumerate() {
            let tasks = self.tasks_of(entry);
            if rest < tasks {
                let (rest, stage) = (rest / entry.stages.len(), rest % entry.stages.len());
                let (stimulus, seed) = (entry.stimuli[rest / self.seeds.len()], self.seeds[rest % self.seeds.len()]);
                return Ok(Task { index, network, stimulus, seed, stage });
            }
            rest -= tasks;
        }
        Err(Error::invalid(
            format!("task {index}"),
            format!("does not exist; tasks are numbered 0 to {}", self.len() - 1),
        ))
    }

    /// The numbers of the tasks of a network, stimulus and seed, one for each stage.
    pub fn tasks_at(&self, network: usize, stimulus: usize, seed: u64) -> Option<std::ops::Range<usize>> {
        let first_of_network: usize = self.networks[..network].iter().map(|entry| self.tasks_of(entry)).sum();
        let entry = &self.networks[network];
        let stimulus = entry.stimuli.iter().position(|&i| i == stimulus)?;
        let seed = self.seeds.iter().position(|&s| s == seed)?;
        let first = first_of_network + (stimulus * self.seeds.len() + seed) * entry.stages.len();
        Some(first..first + entry.stages.len())
    }

    /// The tasks that a task depends on, in the order of the seeds: those of different metamers before it.
    pub fn before(&self, task: &Task) -> Vec<usize> {
        if self.goal.different.is_none() {
            return vec![];
        }
        let seeds = self.seeds.iter().take_while(|seed| **seed != task.seed);
        let tasks = seeds.filter_map(|&seed| self.tasks_at(task.network, task.stimulus, seed));
        tasks.map(|tasks| tasks.start + task.stage).collect()
    }

    /// The tasks in lists, of which each must run in its order: one task each, or all different metamers of a stimulus and stage.
    pub fn chains(&self, tasks: &[Task]) -> Vec<Vec<Task>> {
        let mut chains: Vec<Vec<Task>> = vec![];
        let mut index_of = BTreeMap::new();
        for task in tasks {
            let is_chained = self.goal.different.is_some();
            let key = (task.network, task.stimulus, task.stage, if is_chained { 0 } else { task.index });
            let index = *index_of.entry(key).or_insert(chains.len());
            if index == chains.len() {
                chains.push(vec![]);
            }
            chains[index].push(*task);
        }
        chains.iter_mut().for_each(|chain| chain.sort_by_key(|task| task.index));
        chains
    }

    /// The entry of a stimulus that the goal names.
    pub fn reference(&self, name: &str) -> Result<&StimulusEntry> {
        let found = self.references.iter().find(|entry| entry.name == name);
        found.ok_or_else(|| {
            Error::unknown("stimulus of study.json", name, self.references.iter().map(|e| e.name.as_str()))
        })
    }

    pub fn network(&self, task: &Task) -> &NetworkEntry {
        &self.networks[task.network]
    }

    /// The name of a task's stage or match.
    pub fn stage(&self, task: &Task) -> &str {
        &self.network(task).stages[task.stage]
    }

    /// The match of a task.
    pub fn matched(&self, task: &Task) -> Match {
        let name = self.stage(task);
        self.matches.get(name).cloned().unwrap_or_else(|| name.into())
    }

    /// A description of a task.
    pub fn describe(&self, task: &Task) -> String {
        let (stimulus, network) = (&self.stimuli[task.stimulus].name, &self.network(task).name);
        format!("task {} ({stimulus} at {} of {network}, seed {})", task.index, self.stage(task), task.seed)
    }

    /// The maximum number of gradient evaluations of a network's tasks, at one evaluation a step.
    pub fn max_evaluations(&self, entry: &NetworkEntry) -> usize {
        let steps = match self.goal.different {
            Some(_) => Push::max_steps(&entry.recipe),
            None => entry.recipe.steps,
        };
        self.evaluations.map_or(steps, |n| n.min(steps))
    }

    /// The number of tasks that depend on each other.
    pub fn chain_length(&self) -> usize {
        if self.goal.different.is_some() { self.seeds.len() } else { 1 }
    }
}

/// The names of the selected stages and matches.
fn stages(network: &Network, wanted: &StageSelection, matches: &BTreeMap<String, Match>) -> Result<Vec<String>> {
    if let Some(name) = matches.keys().find(|name| network.stage(name).is_ok()) {
        let reason = format!("\"{name}\" is a stage of {}; give the match another name", network.name());
        return Err(Error::invalid("matches", reason));
    }
    match wanted {
        StageSelection::Named(names) => {
            check_list("stages", names)?;
            let check = |name: &String| match matches.get(name) {
                Some(matched) => {
                    let checked = matched.prepared(network).map(|_| name.clone());
                    checked.map_err(|e| Error::invalid(format!("match \"{name}\""), e.to_string()))
                }
                None => match network.stage(name) {
                    Ok(stage) => Ok(stage.name.clone()),
                    Err(_) if !matches.is_empty() => {
                        let stages = network.stages().iter().map(|stage| stage.name.as_str());
                        Err(Error::unknown("stage or match", name, stages.chain(matches.keys().map(String::as_str))))
                    }
                    Err(e) => Err(e),
                },
            };
            names.iter().map(check).collect()
        }
        _ => Ok(network.stages().iter().map(|stage| stage.name.clone()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 30 networks of 9 stages and 400 stimuli; every third network accepts only half of the stimuli.
    fn large() -> Manifest {
        let network = |index: usize| NetworkEntry {
            name: format!("network {index}"),
            weights_sha256: String::new(),
            stages: (0..9).map(|stage| format!("stage{stage}")).collect(),
            stimuli: if index.is_multiple_of(3) { (0..400).step_by(2).collect() } else { (0..400).collect() },
            recipe: Recipe::natural_prior(),
        };
        let item = |index: usize| StimulusEntry {
            name: format!("{index}.png"),
            sha256: String::new(),
            sound: false,
            layout: None,
            prepared: false,
        };
        Manifest {
            format: FORMAT.into(),
            plan: String::new(),
            networks: (0..30).map(network).collect(),
            stimuli: (0..400).map(item).collect(),
            seeds: vec![5, 7],
            evaluations: Some(400),
            snr_db: None,
            nulls: vec![],
            matches: BTreeMap::new(),
            goal: SharedGoal::default(),
            references: vec![],
        }
    }

    #[test]
    fn task_numbers_and_tasks_correspond_one_to_one() {
        let manifest = large();
        assert_eq!(manifest.len(), (20 * 400 + 10 * 200) * 9 * 2);
        let mut seen = std::collections::BTreeSet::new();
        for index in 0..manifest.len() {
            let task = manifest.task(index).unwrap();
            assert!(seen.insert((task.network, task.stimulus, task.seed, task.stage)), "task {index} is a duplicate");
            let row = manifest.tasks_at(task.network, task.stimulus, task.seed).unwrap();
            assert_eq!(row.start + task.stage, index);
        }
        let message = manifest.task(manifest.len()).unwrap_err().to_string();
        assert!(message.contains("0 to 179999"), "{message}");
        assert!(manifest.tasks_at(0, 1, 5).is_none(), "a stimulus that the network does not accept");
    }

    #[test]
    fn a_file_without_tasks_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        large().write(&path).unwrap();
        assert_eq!(Manifest::read(&path).unwrap(), Some(large()));
        let edits: [fn(&mut Manifest); 4] = [
            |manifest| manifest.networks.clear(),
            |manifest| manifest.seeds.clear(),
            |manifest| manifest.networks[1].stimuli.clear(),
            |manifest| manifest.networks[1].stages.clear(),
        ];
        for edit in edits {
            let mut manifest = large();
            edit(&mut manifest);
            manifest.write(&path).unwrap();
            let message = Manifest::read(&path).unwrap_err().to_string();
            assert!(message.contains("is damaged"), "{message}");
        }
    }
}
