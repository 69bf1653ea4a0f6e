//! A sweep as a notebook says it.

use std::path::PathBuf;

use super::cost::Cost;
use super::job::Job;
use super::manifest::{Ask, Manifest};
use super::plan::{Plan, Stages, Word};
use super::results::SweepResults;
use super::slurm::{self, Submission};
use super::sources::Sources;
use super::task::SAVED_EVERY;
use crate::Result;
use crate::network::Network;
use crate::stimulus::{Image, Sound, Stimulus};
use crate::synthesis::Recipe;
use crate::verdict::NullDistribution;

/// A sweep that is about to start: metamers of every stimulus at every stage that is named, from every seed.
///
/// Every stage, seed 0, [`Recipe::fast`] or [`Recipe::fast_sound`], and no end but the recipe's, unless said otherwise.
#[derive(Clone)]
pub struct Sweep {
    networks: Vec<Network>,
    stimuli: Vec<Stimulus>,
    stages: Stages,
    seeds: Vec<u64>,
    recipe: Option<Recipe>,
    evaluations: Option<usize>,
    snr_db: Option<f64>,
    nulls: Vec<NullDistribution>,
    folder: Option<PathBuf>,
    quiet: bool,
}

impl Sweep {
    /// A sweep over stages of a network.
    pub fn new(network: &Network) -> Self {
        Self {
            networks: vec![network.clone()],
            stimuli: vec![],
            stages: Stages::default(),
            seeds: vec![0],
            recipe: None,
            evaluations: None,
            snr_db: None,
            nulls: vec![],
            folder: None,
            quiet: false,
        }
    }

    /// Of another network too; it takes the stimuli of its kind.
    pub fn network(mut self, network: &Network) -> Self {
        self.networks.push(network.clone());
        self
    }

    /// Of these pictures.
    pub fn images<'a>(self, images: impl IntoIterator<Item = &'a Image>) -> Self {
        self.stimuli(images)
    }

    /// Of these sounds.
    pub fn sounds<'a>(self, sounds: impl IntoIterator<Item = &'a Sound>) -> Self {
        self.stimuli(sounds)
    }

    /// Of these pictures or sounds, whose names must differ.
    pub fn stimuli<S: Into<Stimulus>>(mut self, stimuli: impl IntoIterator<Item = S>) -> Self {
        self.stimuli.extend(stimuli.into_iter().map(Into::into));
        self
    }

    /// At every stage.
    pub fn every_stage(mut self) -> Self {
        self.stages = Stages::Word(Word::Every);
        self
    }

    /// At these stages.
    pub fn stages<S: Into<String>>(mut self, stages: impl IntoIterator<Item = S>) -> Self {
        self.stages = Stages::Named(stages.into_iter().map(Into::into).collect());
        self
    }

    /// One metamer for each of these seeds.
    pub fn seeds(mut self, seeds: impl IntoIterator<Item = u64>) -> Self {
        self.seeds = seeds.into_iter().collect();
        self
    }

    /// With another recipe.
    pub fn recipe(mut self, recipe: Recipe) -> Self {
        self.recipe = Some(recipe);
        self
    }

    /// Each until its signal-to-noise ratio at the stage reaches `snr_db`; 20 dB is well matched.
    pub fn until(mut self, snr_db: f64) -> Self {
        self.snr_db = Some(snr_db);
        self
    }

    /// Each for so many gradient evaluations at most: a limit that, unlike one of time, gives the same bits everywhere.
    pub fn evaluations(mut self, evaluations: usize) -> Self {
        self.evaluations = Some(evaluations);
        self
    }

    /// Judged by this null distribution where its network is this one's, instead of by the one that ships.
    pub fn null(mut self, null: &NullDistribution) -> Self {
        self.nulls.push(null.clone());
        self
    }

    /// Keeps results, and what is under way, in this folder, and goes on with what is there. Without it all is in memory.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Without live pictures and lines of progress, for scripts.
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    fn job(&self, folder: bool) -> Result<Job> {
        let sources = Sources::given(self.networks.clone(), self.stimuli.clone(), self.nulls.clone())?;
        let study = Manifest::new(&sources, self, self.seeds.clone(), (self.evaluations, self.snr_db))?;
        let folder = self.folder.as_deref().filter(|_| folder);
        if let Some(folder) = folder {
            study.keep_in(folder)?;
        }
        Job::new(study, sources, folder, SAVED_EVERY)
    }

    /// Does what is missing. In our kernel the panel grows while it works; elsewhere a line tells how far it is.
    ///
    /// An interrupt ends it after the steps under way with what is finished; with a folder, the next call goes on from there.
    ///
    /// # Errors
    /// A list that is empty or names something twice, an unknown stage, impossible limits, the folder of another sweep,
    /// and files that cannot be written.
    pub fn run(&self) -> Result<SweepResults> {
        let job = self.job(true)?;
        job.run(0..job.study.len(), self.quiet)
    }

    /// Measures a few gradient evaluations at each stage, and tells what the sweep will take. Keeps nothing.
    ///
    /// # Errors
    /// As [`Sweep::run`].
    pub fn dry_run(&self) -> Result<Cost> {
        Cost::measure(&self.job(false)?, None)
    }
}

impl Ask for Sweep {
    fn stages(&self, _: &str) -> Stages {
        self.stages.clone()
    }

    fn recipe(&self, sound: bool) -> Result<Recipe> {
        let recipe = self.recipe.clone().unwrap_or_else(|| if sound { Recipe::fast_sound() } else { Recipe::fast() });
        recipe.check()?;
        Ok(recipe)
    }
}

impl std::fmt::Debug for Sweep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (networks, stimuli, seeds) = (self.networks.len(), self.stimuli.len(), self.seeds.len());
        write!(f, "Sweep({networks} networks, {stimuli} stimuli, {seeds} seeds)")
    }
}

impl Plan {
    fn job(&self) -> Result<Job> {
        let sources = Sources::of_plan(self)?;
        let study = Manifest::of(self, &sources)?;
        Job::new(study, sources, Some(&self.folder()), self.save_every()?)
    }

    /// Does all tasks that are missing.
    ///
    /// # Errors
    /// As [`Sweep::run`], and a network that cannot be loaded.
    pub fn run(&self) -> Result<SweepResults> {
        let job = self.job()?;
        job.run(0..job.study.len(), false)
    }

    /// Does these tasks, as far as they are missing; tasks are counted from 0. The results tell of these alone.
    ///
    /// # Errors
    /// As [`Plan::run`], and a task that does not exist.
    pub fn run_tasks(&self, tasks: &[usize]) -> Result<SweepResults> {
        let job = self.job()?;
        tasks.iter().try_for_each(|&task| job.study.task(task).map(drop))?;
        job.run(tasks.iter().copied(), false)
    }

    /// What there is in the folder.
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub fn collect(&self) -> Result<SweepResults> {
        self.job()?.results()
    }

    /// Everything looked up, without a folder.
    fn looked_up(&self) -> Result<(Manifest, Sources)> {
        let sources = Sources::of_plan(self)?;
        let study = Manifest::new(&sources, self, self.seeds.clone(), (self.evaluations, self.snr_db))?;
        Ok((study, sources))
    }

    /// How many tasks the plan has. This loads each network once, and makes no folder.
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub fn tasks(&self) -> Result<usize> {
        Ok(self.looked_up()?.0.len())
    }

    /// Measures a few gradient evaluations at each stage, and tells what the sweep will take. Makes no folder.
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub fn dry_run(&self) -> Result<Cost> {
        let (study, sources) = self.looked_up()?;
        Cost::measure(&Job::new(study, sources, None, SAVED_EVERY)?, self.slurm.as_ref())
    }

    /// Writes a Slurm array job for the tasks that are missing, and submits it; `None` when nothing is missing.
    ///
    /// `program` is the `metamers` program as the nodes find it.
    ///
    /// # Errors
    /// As [`Plan::run`], and when `sbatch` is not there or refuses.
    pub fn slurm(&self, program: &std::path::Path, submit: bool) -> Result<Option<Submission>> {
        slurm::submit(self, &self.job()?, program, submit)
    }
}
