//! The builder of sweeps, and the operations of a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candle_core::Device;

use super::cost::Cost;
use super::goal::{PlannedBound, SharedGoal};
use super::job::Job;
use super::manifest::{Manifest, Selection};
use super::plan::{EveryStage, Plan, StageSelection};
use super::results::SweepResults;
use super::slurm::{self, Submission, Submit};
use super::sources::Sources;
use super::task::DEFAULT_SAVE_INTERVAL;
use crate::Result;
use crate::network::Network;
use crate::stimulus::{Image, Sound, Stimulus, StimulusKind};
use crate::synthesis::{Match, Norm, Penalty, Recipe};
use crate::verdict::NullDistribution;

/// Builds a sweep: metamers of every stimulus at every selected stage from every seed.
///
/// The defaults are all stages, seed 0, [`Recipe::nearest`] or [`Recipe::nearest_sound`], and the recipe's number of steps.
///
/// ```
/// use metamers::prelude::*;
///
/// let net = zoo::efficientnet_lite0()?;
/// let photos = [Image::open("photos/dog.jpg")?];
/// let results = Sweep::new(&net).images(&photos).stages(["stem"]).seeds([0, 1]).evaluations(4).quiet().run()?;
/// assert_eq!(results.rows().len(), 2);
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "call run to start the sweep"]
pub struct Sweep {
    networks: Vec<Network>,
    stimuli: Vec<Stimulus>,
    stages: StageSelection,
    matches: BTreeMap<String, Match>,
    penalties: Vec<Penalty>,
    bound: Option<(Norm, f64, Stimulus)>,
    coarse_to_fine: Option<usize>,
    record_every: Option<usize>,
    different: Option<f64>,
    seeds: Vec<u64>,
    recipe: Option<Recipe>,
    evaluations: Option<usize>,
    snr_db: Option<f64>,
    nulls: Vec<NullDistribution>,
    folder: Option<PathBuf>,
    quiet: bool,
    device: Option<Device>,
}

impl Sweep {
    /// Creates a sweep over the stages of a network.
    pub fn new(network: &Network) -> Self {
        Self {
            networks: vec![network.clone()],
            stimuli: vec![],
            stages: StageSelection::default(),
            matches: BTreeMap::new(),
            penalties: vec![],
            bound: None,
            coarse_to_fine: None,
            record_every: None,
            different: None,
            seeds: vec![0],
            recipe: None,
            evaluations: None,
            snr_db: None,
            nulls: vec![],
            folder: None,
            quiet: false,
            device: None,
        }
    }

    /// Adds another network, which uses the stimuli of its kind (images or sounds). Networks of one name, such as two sets of weights of
    /// one architecture, have the first digits of their weights' SHA-256 in the names of the results.
    pub fn network(mut self, network: &Network) -> Self {
        self.networks.push(network.clone());
        self
    }

    /// Adds images.
    pub fn images<'a>(self, images: impl IntoIterator<Item = &'a Image>) -> Self {
        self.stimuli(images)
    }

    /// Adds sounds.
    pub fn sounds<'a>(self, sounds: impl IntoIterator<Item = &'a Sound>) -> Self {
        self.stimuli(sounds)
    }

    /// Adds images or sounds, whose names must be unique.
    pub fn stimuli<S: Into<Stimulus>>(mut self, stimuli: impl IntoIterator<Item = S>) -> Self {
        self.stimuli.extend(stimuli.into_iter().map(Into::into));
        self
    }

    /// Selects every stage; this is the default.
    pub fn every_stage(mut self) -> Self {
        self.stages = StageSelection::Every(EveryStage::Every);
        self
    }

    /// Selects these stages.
    pub fn stages<S: Into<String>>(mut self, stages: impl IntoIterator<Item = S>) -> Self {
        self.stages = StageSelection::Named(stages.into_iter().map(Into::into).collect());
        self
    }

    /// Gives a name to a match of several stages, of parts or of statistics, and selects it beside the stages selected so far, or alone
    /// if none were.
    ///
    /// ```
    /// use metamers::prelude::*;
    /// use metamers::synthesis::Target;
    ///
    /// let net = zoo::efficientnet_lite0()?;
    /// let texture = Match::from(Target::stage("stem").gram());
    /// let dog = [Image::open("photos/dog.jpg")?];
    /// let sweep = Sweep::new(&net).images(&dog).stages(["stem"]).matching("texture", texture);
    /// let results = sweep.evaluations(3).quiet().run()?;
    /// assert_eq!(results.rows()[1].stage, "texture");
    /// # Ok::<(), metamers::Error>(())
    /// ```
    pub fn matching(mut self, name: impl Into<String>, matched: impl Into<Match>) -> Self {
        let name = name.into();
        let mut names = if let StageSelection::Named(names) = self.stages { names } else { vec![] };
        names.push(name.clone());
        self.stages = StageSelection::Named(names);
        self.matches.insert(name, matched.into());
        self
    }

    /// Adds a penalty to every task. A function of your own is not for sweeps, because their files cannot hold it.
    pub fn penalty(mut self, penalty: Penalty) -> Self {
        self.penalties.push(penalty);
        self
    }

    /// Keeps every metamer within a distance of a stimulus, as [`Synthesis::within`](crate::synthesis::Synthesis::within) does. The sweep
    /// can have one seed only, because every run begins at that stimulus.
    pub fn within(mut self, norm: Norm, eps: f64, stimulus: impl Into<Stimulus>) -> Self {
        self.bound = Some((norm, eps, stimulus.into()));
        self
    }

    /// Changes coarse structure first, as [`Synthesis::coarse_to_fine`](crate::synthesis::Synthesis::coarse_to_fine) does.
    pub fn coarse_to_fine(mut self, levels: usize) -> Self {
        self.coarse_to_fine = Some(levels);
        self
    }

    /// Records a film of every metamer's last run: a picture at the start and after every `steps` steps
    /// ([`Metamer::film`](crate::synthesis::Metamer::film)).
    pub fn record_every(mut self, steps: usize) -> Self {
        self.record_every = Some(steps);
        self
    }

    /// Pushes the metamers of one stimulus and stage apart, in the order of the seeds, as
    /// [`Synthesis::different`](crate::synthesis::Synthesis::different) does. It needs several seeds, and a match to reach
    /// ([`Sweep::until`]).
    ///
    /// ```
    /// use metamers::prelude::*;
    ///
    /// let net = zoo::efficientnet_lite0()?;
    /// let dog = [Image::open("photos/dog.jpg")?];
    /// let sweep = Sweep::new(&net).images(&dog).stages(["stem"]).seeds([1, 2]).until(5.0).different(0.05);
    /// let results = sweep.quiet().run()?;
    /// assert_eq!(results.rows().len(), 2);
    /// # Ok::<(), metamers::Error>(())
    /// ```
    pub fn different(mut self, weight: f64) -> Self {
        self.different = Some(weight);
        self
    }

    /// Sets the seeds; each gives one metamer.
    pub fn seeds(mut self, seeds: impl IntoIterator<Item = u64>) -> Self {
        self.seeds = seeds.into_iter().collect();
        self
    }

    /// Sets the recipe.
    pub fn recipe(mut self, recipe: Recipe) -> Self {
        self.recipe = Some(recipe);
        self
    }

    /// Ends each metamer when its signal-to-noise ratio at the stage reaches `snr_db`; 20 dB is a good match. With
    /// [`Recipe::nearest`] it holds this ratio, and ends when it settles.
    pub fn until(mut self, snr_db: f64) -> Self {
        self.snr_db = Some(snr_db);
        self
    }

    /// Sets the maximum number of gradient evaluations of each metamer. Unlike a time limit, it gives reproducible results.
    pub fn evaluations(mut self, evaluations: usize) -> Self {
        self.evaluations = Some(evaluations);
        self
    }

    /// Adds a null distribution, which replaces the shipped one for the metamers of its network.
    pub fn null(mut self, null: &NullDistribution) -> Self {
        self.nulls.push(null.clone());
        self
    }

    /// Stores results and running tasks in this folder, and resumes from it. Without a folder, results stay in memory.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Runs the networks on a device of candle, such as a GPU, as [`Synthesis::on`](crate::synthesis::Synthesis::on) does.
    pub fn on(mut self, device: &Device) -> Self {
        self.device = Some(device.clone());
        self
    }

    /// Disables live images and progress lines, for scripts.
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    fn job(&self, folder: Option<&Path>) -> Result<Job> {
        let sources = Sources::in_memory(self.networks.clone(), self.stimuli.clone(), self.nulls.clone())?;
        let center = self.bound.iter().map(|(_, _, stimulus)| stimulus);
        let references = self.penalties.iter().flat_map(Penalty::stimuli).chain(center).cloned().collect();
        let sources = sources.on(self.device.clone()).with_references(references)?;
        let manifest = Manifest::new(&sources, self, self.seeds.clone(), (self.evaluations, self.snr_db))?;
        let manifest = match folder {
            Some(folder) => manifest.written_to(folder)?,
            None => manifest,
        };
        Job::new(manifest, sources, folder, DEFAULT_SAVE_INTERVAL)
    }

    /// Runs the missing tasks. In the metamers kernel the panel updates live; elsewhere a line shows progress.
    ///
    /// An interrupt ends the sweep after the current steps and returns the finished tasks. With a folder, the next call resumes.
    ///
    /// # Errors
    /// Fails for empty lists and duplicates, an unknown stage, invalid limits, the folder of another sweep, and files that cannot
    /// be written.
    pub fn run(&self) -> Result<SweepResults> {
        let job = self.job(self.folder.as_deref())?;
        job.run(0..job.manifest.len(), self.quiet)
    }

    /// Measures a few gradient evaluations at each stage and estimates the cost of the sweep. Stores nothing.
    ///
    /// # Errors
    /// Fails like [`Sweep::run`].
    pub fn dry_run(&self) -> Result<Cost> {
        Cost::measure(&self.job(None)?, None)
    }
}

impl Selection for Sweep {
    fn stages(&self, _: &str) -> &StageSelection {
        &self.stages
    }

    fn matches(&self) -> &BTreeMap<String, Match> {
        &self.matches
    }

    fn goal(&self) -> SharedGoal {
        let bound = self.bound.as_ref().map(|(norm, eps, stimulus)| PlannedBound {
            norm: *norm,
            eps: *eps,
            stimulus: stimulus.name().into(),
        });
        SharedGoal {
            penalties: self.penalties.clone(),
            bound,
            coarse_to_fine: self.coarse_to_fine,
            record_every: self.record_every,
            different: self.different,
        }
    }

    fn recipe(&self, kind: StimulusKind, goal: &SharedGoal) -> Result<Recipe> {
        let recipe = self.recipe.clone().unwrap_or_else(|| goal.default_recipe(kind));
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
        self.check()?;
        let sources = Sources::from_plan(self)?;
        let manifest = Manifest::open_or_create(self, &sources)?;
        Job::new(manifest, sources, Some(&self.folder()), self.save_every()?)
    }

    /// Runs all missing tasks.
    ///
    /// # Errors
    /// Fails like [`Sweep::run`], and for a network that cannot be loaded.
    pub fn run(&self) -> Result<SweepResults> {
        let job = self.job()?;
        job.run(0..job.manifest.len(), false)
    }

    /// Runs the missing ones of these tasks, numbered from 0, each once. The results cover only these tasks.
    ///
    /// # Errors
    /// Fails like [`Plan::run`], and for a task that does not exist.
    pub fn run_tasks(&self, tasks: &[usize]) -> Result<SweepResults> {
        let job = self.job()?;
        // Ranges may overlap.
        let tasks: BTreeSet<usize> = tasks.iter().copied().collect();
        tasks.iter().try_for_each(|&task| job.manifest.task(task).map(drop))?;
        job.run(tasks, false)
    }

    /// Reads the results in the folder.
    ///
    /// # Errors
    /// Fails like [`Plan::run`].
    pub fn collect(&self) -> Result<SweepResults> {
        self.job()?.results()
    }

    /// The manifest and the sources, without creating the folder.
    fn resolve(&self) -> Result<(Manifest, Sources)> {
        self.check()?;
        let sources = Sources::from_plan(self)?;
        let manifest = Manifest::new(&sources, self, self.seeds.clone(), (self.evaluations, self.snr_db))?;
        Ok((manifest, sources))
    }

    /// The number of tasks. Loads each network once and creates no folder.
    ///
    /// # Errors
    /// Fails like [`Plan::run`].
    pub fn tasks(&self) -> Result<usize> {
        Ok(self.resolve()?.0.len())
    }

    /// Measures a few gradient evaluations at each stage and estimates the cost of the sweep. Creates no folder.
    ///
    /// # Errors
    /// Fails like [`Plan::run`].
    pub fn dry_run(&self) -> Result<Cost> {
        let (manifest, sources) = self.resolve()?;
        Cost::measure(&Job::new(manifest, sources, None, DEFAULT_SAVE_INTERVAL)?, self.slurm.as_ref())
    }

    /// Writes a Slurm array job for the missing tasks, and submits it if requested; `None` if no task is missing.
    ///
    /// `program` is the path of the `metamers` program on the nodes.
    ///
    /// # Errors
    /// Fails like [`Plan::run`], and if `sbatch` is not installed or rejects the job.
    pub fn slurm(&self, program: impl AsRef<Path>, submit: Submit) -> Result<Option<Submission>> {
        slurm::submit(self, &self.job()?, program.as_ref(), submit)
    }
}
