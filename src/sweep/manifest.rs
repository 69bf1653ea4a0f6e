//! A plan with everything that it names looked up, and its tasks by number.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::plan::{Plan, Stages, some};
use super::sources::Sources;
use crate::network::{Input, Network};
use crate::synthesis::Recipe;
use crate::{Error, Result};

const FORMAT: &str = "metamers sweep 1";
pub(super) const FILE: &str = "study.json";

/// What a task needs to know, without loading a network: kept as `study.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: String,
    /// Of the plan that this was made from.
    plan: String,
    pub networks: Vec<NetworkEntry>,
    pub stimuli: Vec<StimulusEntry>,
    pub seeds: Vec<u64>,
    pub evaluations: Option<usize>,
    pub snr_db: Option<f64>,
    /// SHA-256 of the null distributions that the plan names.
    nulls: Vec<String>,
}

/// A network of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct NetworkEntry {
    /// As the plan names it.
    pub name: String,
    pub weights_sha256: String,
    pub stages: Vec<String>,
    /// The numbers of the stimuli that it takes.
    pub stimuli: Vec<usize>,
    pub recipe: Recipe,
}

/// A stimulus of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct StimulusEntry {
    /// The path as the plan names it, or the stimulus' name.
    pub name: String,
    /// Of the file, or of the values when there was none.
    pub sha256: String,
    pub sound: bool,
}

/// One metamer of a sweep: a number, and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its number, from 0.
    pub index: usize,
    /// Which network of the plan, from 0.
    pub network: usize,
    /// Which stimulus, from 0, in the order in which the plan names them.
    pub stimulus: usize,
    /// The seed.
    pub seed: u64,
    /// Which of the network's stages that are asked for, from 0.
    pub stage: usize,
}

/// How the stages and the recipe of a network are found.
pub(super) trait Ask {
    fn stages(&self, network: &str) -> Stages;
    fn recipe(&self, sound: bool) -> Result<Recipe>;
}

impl Ask for Plan {
    fn stages(&self, network: &str) -> Stages {
        self.stages_of(network).clone()
    }

    fn recipe(&self, sound: bool) -> Result<Recipe> {
        Plan::recipe(self, sound)
    }
}

impl Manifest {
    /// Looks everything up. This loads each network once.
    pub fn new(
        sources: &Sources,
        ask: &impl Ask,
        seeds: Vec<u64>,
        (evaluations, snr_db): (Option<usize>, Option<f64>),
    ) -> Result<Self> {
        some("seeds", &seeds)?;
        super::plan::limits(evaluations, snr_db)?;
        let stimuli = sources.items()?;
        let subject = |index: usize| -> Result<NetworkEntry> {
            let network = sources.network(index)?;
            let name = sources.network_name(index);
            let hears = matches!(network.input(), Input::Sound { .. });
            let taken: Vec<usize> = (0..stimuli.len()).filter(|&i| stimuli[i].sound == hears).collect();
            if taken.is_empty() {
                let kind =
                    if hears { "sounds, and there are only pictures" } else { "pictures, and there are only sounds" };
                return Err(Error::invalid(name, format!("takes {kind}")));
            }
            Ok(NetworkEntry {
                name: name.into(),
                weights_sha256: network.weights_source().weights_sha256.clone(),
                stages: stages(&network, &ask.stages(name))?,
                stimuli: taken,
                recipe: ask.recipe(hears)?,
            })
        };
        let networks = (0..sources.networks()).map(subject).collect::<Result<Vec<_>>>()?;
        let used = |index: usize| networks.iter().any(|subject| subject.stimuli.contains(&index));
        if let Some(unused) = (0..stimuli.len()).find(|&index| !used(index)) {
            return Err(Error::invalid(&stimuli[unused].name, "is of a kind that no network of the sweep takes"));
        }
        let (format, plan, nulls) = (FORMAT.into(), String::new(), sources.null_digests()?);
        Ok(Self { format, plan, networks, stimuli, seeds, evaluations, snr_db, nulls })
    }

    /// The study of a plan: what its folder holds, or else made and written there.
    pub fn of(plan: &Plan, sources: &Sources) -> Result<Self> {
        let (folder, digest) = (plan.folder(), plan.digest()?);
        let path = folder.join(FILE);
        if let Some(study) = Self::read(&path)? {
            return match study.plan == digest {
                true => Ok(study),
                false => {
                    Err(Error::file(folder, "holds the results of another plan: name another folder, or remove it"))
                }
            };
        }
        let study = Self::new(sources, plan, plan.seeds.clone(), (plan.evaluations, plan.snr_db))?;
        let study = Self { plan: digest, ..study };
        study.write(&path)?;
        Ok(study)
    }

    /// Writes the study of a sweep without a plan, or checks that the folder's is the same.
    pub fn keep_in(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        match Self::read(&path)? {
            Some(study) if study == *self => Ok(()),
            Some(_) => {
                Err(Error::file(folder, "holds the results of another sweep: name another folder, or remove it"))
            }
            None => self.write(&path),
        }
    }

    fn read(path: &Path) -> Result<Option<Self>> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(path, e)),
        };
        let damaged = |e: &dyn std::fmt::Display| {
            Error::file(path, format!("is damaged ({e}); remove it, and it is made again from the plan"))
        };
        let study: Self = serde_json::from_slice(&bytes).map_err(|e| damaged(&e))?;
        if study.format != FORMAT {
            return Err(damaged(&format!("its format is \"{}\", not \"{FORMAT}\"", study.format)));
        }
        let sound = |subject: &NetworkEntry| {
            subject.stimuli.iter().all(|&i| i < study.stimuli.len()) && !subject.stages.is_empty()
        };
        if !study.networks.iter().all(sound) {
            return Err(damaged(&"it names stimuli that it does not list"));
        }
        Ok(Some(study))
    }

    fn write(&self, path: &Path) -> Result<()> {
        let folder = path.parent().unwrap_or(Path::new(""));
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        let json = serde_json::to_vec_pretty(self).map_err(|e| Error::file(path, e))?;
        crate::fs::atomic::write(path, &json)
    }

    /// How many tasks there are.
    pub fn len(&self) -> usize {
        self.networks.iter().map(|subject| self.tasks_of(subject)).sum()
    }

    fn tasks_of(&self, subject: &NetworkEntry) -> usize {
        subject.stages.len() * subject.stimuli.len() * self.seeds.len()
    }

    /// The task of this number.
    ///
    /// Stages turn fastest, networks slowest: neighbours share a network that is loaded once, and any few of them cost
    /// about the same, so the time left can be told early.
    pub fn task(&self, index: usize) -> Result<Task> {
        let mut rest = index;
        for (network, subject) in self.networks.iter().enumerate() {
            let tasks = self.tasks_of(subject);
            if rest < tasks {
                let (rest, stage) = (rest / subject.stages.len(), rest % subject.stages.len());
                let (stimulus, seed) = (subject.stimuli[rest / self.seeds.len()], self.seeds[rest % self.seeds.len()]);
                return Ok(Task { index, network, stimulus, seed, stage });
            }
            rest -= tasks;
        }
        Err(Error::invalid(format!("task {index}"), format!("does not exist: there are 0 to {}", self.len() - 1)))
    }

    /// The numbers of a network's tasks for one stimulus and seed, one for each stage.
    pub fn row_of(&self, network: usize, stimulus: usize, seed: u64) -> Option<std::ops::Range<usize>> {
        let before: usize = self.networks[..network].iter().map(|subject| self.tasks_of(subject)).sum();
        let subject = &self.networks[network];
        let stimulus = subject.stimuli.iter().position(|&i| i == stimulus)?;
        let seed = self.seeds.iter().position(|&s| s == seed)?;
        let first = before + (stimulus * self.seeds.len() + seed) * subject.stages.len();
        Some(first..first + subject.stages.len())
    }

    pub fn subject(&self, task: &Task) -> &NetworkEntry {
        &self.networks[task.network]
    }

    pub fn stage(&self, task: &Task) -> &str {
        &self.subject(task).stages[task.stage]
    }

    /// A task in words.
    pub fn words(&self, task: &Task) -> String {
        let (stimulus, network) = (&self.stimuli[task.stimulus].name, &self.subject(task).name);
        format!("task {} ({stimulus} at {} of {network}, seed {})", task.index, self.stage(task), task.seed)
    }

    /// The numbers of evaluations that a task takes at most, where a step takes one.
    pub fn evaluations_of(&self, subject: &NetworkEntry) -> usize {
        self.evaluations.map_or(subject.recipe.steps, |n| n.min(subject.recipe.steps))
    }
}

fn stages(network: &Network, wanted: &Stages) -> Result<Vec<String>> {
    match wanted {
        Stages::Named(names) => {
            some("stages", names)?;
            names.iter().map(|name| Ok(network.stage(name)?.name.clone())).collect()
        }
        _ => Ok(network.stages().iter().map(|stage| stage.name.clone()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 30 networks of 9 stages, 400 stimuli, every third network a hearing one with half of them.
    fn large() -> Manifest {
        let subject = |index: usize| NetworkEntry {
            name: format!("network {index}"),
            weights_sha256: String::new(),
            stages: (0..9).map(|stage| format!("stage{stage}")).collect(),
            stimuli: if index.is_multiple_of(3) { (0..400).step_by(2).collect() } else { (0..400).collect() },
            recipe: Recipe::fast(),
        };
        let item = |index: usize| StimulusEntry { name: format!("{index}.png"), sha256: String::new(), sound: false };
        Manifest {
            format: FORMAT.into(),
            plan: String::new(),
            networks: (0..30).map(subject).collect(),
            stimuli: (0..400).map(item).collect(),
            seeds: vec![5, 7],
            evaluations: Some(400),
            snr_db: None,
            nulls: vec![],
        }
    }

    #[test]
    fn every_number_is_one_task_and_every_task_has_one_number() {
        let study = large();
        assert_eq!(study.len(), (20 * 400 + 10 * 200) * 9 * 2);
        let mut seen = std::collections::BTreeSet::new();
        for index in 0..study.len() {
            let task = study.task(index).unwrap();
            assert!(seen.insert((task.network, task.stimulus, task.seed, task.stage)), "task {index} is there twice");
            let row = study.row_of(task.network, task.stimulus, task.seed).unwrap();
            assert_eq!(row.start + task.stage, index);
        }
        let message = study.task(study.len()).unwrap_err().to_string();
        assert!(message.contains("0 to 179999"), "{message}");
        assert!(study.row_of(0, 1, 5).is_none(), "a stimulus that the network does not take");
    }
}
