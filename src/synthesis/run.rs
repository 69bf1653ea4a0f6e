//! The state of a running synthesis.

use std::sync::Arc;
use std::time::Duration;

use candle_core::Device;

use super::execution::Execution;
use super::film::Film;
use super::history::{Best, History, Point, Recorder, TargetCurves};
use super::metamer::Metamer;
use super::optimizer::{OptimizerState, Pull, StepOutcome};
use super::plot::RunView;
use super::problem::Problem;
use super::progress::Progress;
use super::provenance::Provenance;
use super::recipe::{Lbfgs, Optimizer, check_nearest_at};
use super::snapshot::Snapshot;
use super::stop::{Stop, StopReason};
use super::synthesis::{Synthesis, start_values};
use crate::clock::Instant;
use crate::display::HeatMap;
use crate::interrupt::Listening;
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// A running synthesis, which can be stepped, displayed, saved, resumed and finished.
///
/// In the metamers kernel every call displays the stimulus and the curves live. An interrupt ends a call with `Ok` after the current
/// step, and the run can continue. After an error the stimulus and the optimizer are as before the failed step.
///
/// ```
/// use metamers::prelude::*;
///
/// let net = zoo::efficientnet_lite0()?;
/// let photo = Image::open("photos/giant_panda.jpg")?;
/// let mut run = Synthesis::new(&net, "stem", &photo)?.seed(7).start()?;
/// run.step(2)?;
/// assert_eq!((run.steps(), run.history().len()), (2, run.evaluations()));
/// let metamer = run.finish()?;
/// assert_eq!(metamer.provenance().stage, "stem");
/// # Ok::<(), metamers::Error>(())
/// ```
pub struct Run {
    pub(super) synthesis: Synthesis,
    pub(super) problem: Problem,
    pub(super) state: OptimizerState,
    pub(super) history: History,
    pub(super) steps: usize,
    /// Set when the optimizer stalls or the recipe's plateau criterion is met.
    pub(super) stopped: Option<StopReason>,
    pub(super) film: Option<Film>,
    view: RunView,
}

/// The criteria and the start of a call of [`Run::advance`].
struct Call {
    stop: Stop,
    start: Instant,
    /// Steps of the run when the call began.
    first: usize,
    /// Evaluations of the run when the call began.
    first_evaluation: usize,
    /// True for a call with a number of steps, which a plateau does not end.
    passes_plateau: bool,
}

impl Run {
    pub(super) fn new(synthesis: Synthesis, problem: Problem, start: Vec<f32>) -> Self {
        let state = OptimizerState::new(&synthesis.recipe, start);
        Self::from_parts(synthesis, problem, state, History::default(), 0, None)
    }

    pub(super) fn from_parts(
        synthesis: Synthesis,
        problem: Problem,
        state: OptimizerState,
        history: History,
        steps: usize,
        stopped: Option<StopReason>,
    ) -> Self {
        Self { synthesis, problem, state, history, steps, stopped, film: None, view: RunView::default() }
    }

    /// Takes `n` steps of the optimizer from now on, whatever the recipe's number of steps, and past its plateau. Only an optimizer that
    /// stalls or settles, and an interrupt, end the call earlier.
    ///
    /// Most recipes evaluate one gradient a step, L-BFGS sometimes more.
    ///
    /// # Errors
    /// [`Error::Diverged`] when the loss or the gradient is not finite; the run keeps the state before the failed step.
    pub fn step(&mut self, n: usize) -> Result<Progress> {
        self.advance(Stop::steps(n))
    }

    /// Steps for this time, or until the recipe's steps are done or the optimizer stalls.
    ///
    /// # Errors
    /// As [`Run::step`].
    pub fn run_for(&mut self, time: Duration) -> Result<Progress> {
        self.advance(Stop::after(time))
    }

    /// Steps until the signal-to-noise ratio at the stage reaches `snr_db`, or the recipe's steps are done; 20 dB is well matched.
    ///
    /// [`Progress::stop_reason`] tells which. With [`Recipe::nearest`](super::Recipe::nearest) it is the ratio that the run holds, and the
    /// call ends when the distance to the start hardly falls any more.
    ///
    /// # Errors
    /// As [`Run::step`], when `snr_db` is NaN, and when it is more than a run of [`Recipe::nearest`](super::Recipe::nearest) already holds.
    pub fn until(&mut self, snr_db: f64) -> Result<Progress> {
        self.advance(Stop::snr(snr_db))
    }

    /// Takes all remaining steps of the recipe.
    ///
    /// # Errors
    /// As [`Run::step`].
    pub fn run(&mut self) -> Result<Progress> {
        self.advance(Stop::default())
    }

    /// Steps until one of the criteria is met; [`Progress::stop_reason`] is the reason.
    ///
    /// The recipe's own number of steps and its plateau also end the call, unless `stop` has a number of steps; so does an optimizer that
    /// stalls or settles, in any case. [`Stop::steps`] counts from now, [`Stop::evaluations`] from the start of the run.
    ///
    /// ```
    /// # use metamers::prelude::*;
    /// # let net = zoo::efficientnet_lite0()?;
    /// # let photo = Image::open("photos/giant_panda.jpg")?;
    /// let mut run = Synthesis::new(&net, "stem", &photo)?.seed(7).start()?;
    /// let progress = run.advance(Stop::snr(3.0).or_after(Duration::from_secs(60)).or_evaluations(800))?;
    /// assert_eq!(progress.stop_reason, StopReason::Matched);
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Run::step`], and when the signal-to-noise ratio of `stop` is NaN.
    pub fn advance(&mut self, stop: Stop) -> Result<Progress> {
        stop.check()?;
        if let Some(snr_db) = stop.snr_db {
            self.require(snr_db)?;
        }
        let remaining = self.synthesis.recipe.steps.saturating_sub(self.steps);
        let passes_plateau = stop.steps.is_some() && !stop.is_step_limit;
        let stop = Stop { steps: Some(stop.steps.unwrap_or(remaining)), ..stop };
        let (first, first_evaluation) = (self.steps, self.history.evaluations);
        let call = Call { stop, start: Instant::now(), first, first_evaluation, passes_plateau };
        let listening = Listening::begin();
        self.view.begin();
        let stop_reason = loop {
            if let Some(reason) = self.reason_to_stop(&call, &listening) {
                break reason;
            }
            self.one_step(passes_plateau)?;
            self.record_frame();
            if !self.synthesis.quiet && self.view.is_due() {
                let left = self.time_left(&call);
                let snapshot = self.snapshot();
                self.view.update(&snapshot, Some(left));
            }
        };
        let snapshot = self.snapshot();
        let displayed = !self.synthesis.quiet && self.view.finish(&snapshot);
        let last = self.history.points.last();
        Ok(Progress {
            stop_reason,
            steps: self.steps,
            evaluations: self.history.evaluations,
            elapsed: self.history.elapsed,
            snr_db: self.history.best.as_ref().map_or(f64::NEG_INFINITY, |b| b.snr_db),
            loss: last.map_or(f64::NAN, |p| p.loss),
            snapshot,
            live: (!self.synthesis.quiet).then(|| self.view.place()),
            displayed,
        })
    }

    /// Makes this signal-to-noise ratio the one that a recipe with a pull towards the start holds.
    fn require(&mut self, snr_db: f64) -> Result<()> {
        let Optimizer::Lbfgs(Lbfgs { nearest_at: Some(required), .. }) = &mut self.synthesis.recipe.optimizer else {
            return Ok(());
        };
        if self.state.pull().is_none_or(|pull| !pull.is_holding()) {
            check_nearest_at("snr_db", snr_db)?;
            // The search for a ratio that no evaluation has reached is the same for all ratios, so that the recipe reproduces the run.
            if self.history.best.as_ref().is_none_or(|best| best.snr_db < snr_db) {
                *required = snr_db;
            }
        } else if snr_db > *required {
            let reason =
                format!("is {snr_db}, but this run holds {required} dB; start another run and stop it at {snr_db} dB");
            return Err(Error::invalid("snr_db", reason));
        }
        Ok(())
    }

    fn reason_to_stop(&self, call: &Call, listening: &Listening) -> Option<StopReason> {
        let stop = &call.stop;
        if let (Some(snr_db), Some(best)) = (stop.snr_db, &self.history.best)
            && best.snr_db >= snr_db
            && self.state.pull().is_none_or(Pull::is_settled)
        {
            return Some(StopReason::Matched);
        }
        let stopped = self.stopped.filter(|reason| !(call.passes_plateau && *reason == StopReason::Plateau));
        if stopped.is_some() {
            return stopped;
        }
        if listening.interrupted() {
            return Some(StopReason::Interrupted);
        }
        if stop.steps.is_some_and(|n| self.steps - call.first >= n) {
            return Some(StopReason::Steps);
        }
        if stop.evaluations.is_some_and(|n| self.history.evaluations >= n) {
            return Some(StopReason::Evaluations);
        }
        stop.time.is_some_and(|time| call.start.elapsed() >= time).then_some(StopReason::Time)
    }

    /// The mean time of a gradient evaluation over at least `measured` ones, after a first one that also allocates memory.
    ///
    /// # Errors
    /// As [`Run::step`]; [`Error::Interrupted`].
    pub(crate) fn time_of_evaluation(&mut self, measured: usize) -> Result<Duration> {
        self.advance_to_evaluation(1)?;
        let (start, before) = (Instant::now(), self.evaluations());
        self.advance_to_evaluation(before + measured)?;
        Ok(start.elapsed().div_f64((self.evaluations() - before).max(1) as f64))
    }

    /// Steps until a number of evaluations is done; an interrupt is an error.
    fn advance_to_evaluation(&mut self, evaluation: usize) -> Result<()> {
        match self.advance(Stop::evaluations(evaluation))?.stop_reason {
            StopReason::Interrupted => {
                let done = format!("{} gradient evaluations", self.evaluations());
                Err(Error::interrupted("the measurement of the time of an evaluation", done))
            }
            _ => Ok(()),
        }
    }

    fn one_step(&mut self, passes_plateau: bool) -> Result<()> {
        let since = Instant::now();
        self.synthesis.note_change();
        let evaluations = self.history.points.len();
        let (problem, history, step, last) = (&self.problem, &mut self.history, self.steps, vec![]);
        let is_holding = self.state.pull().is_some_and(Pull::is_holding);
        let mut recorder = Recorder { problem, history, since, step, last, is_holding, is_earlier: false };
        let step = self.state.step(&self.synthesis.recipe, self.steps, &mut recorder);
        self.history.elapsed += since.elapsed();
        // An earlier reason can only be a plateau that this call passes.
        self.stopped = (step? == StepOutcome::Stalled).then_some(StopReason::Stalled);
        if self.state.pull().is_some_and(Pull::is_settled) {
            self.stopped = Some(StopReason::Settled);
        }
        self.steps += 1;
        let points = &self.history.points;
        // A function of the history, not of the call, so that a run in slices ends where one in a single call does.
        if let Some(plateau) = self.synthesis.recipe.plateau
            && !passes_plateau
            && self.stopped.is_none()
            && points.len() > plateau.window
            && points.len() > evaluations
        {
            let before = points[points.len() - plateau.window].loss;
            let now = points[points.len() - 1].loss;
            if (before - now).abs() < plateau.below {
                self.stopped = Some(StopReason::Plateau);
            }
        }
        Ok(())
    }

    /// The fraction of the call that is done, and the time left at this pace.
    fn time_left(&self, call: &Call) -> (f64, Option<Duration>) {
        let (stop, elapsed) = (&call.stop, call.start.elapsed());
        let by_steps = stop.steps.map(|n| (self.steps - call.first) as f64 / n.max(1) as f64);
        let by_time = stop.time.map(|t| elapsed.as_secs_f64() / t.as_secs_f64().max(1e-9));
        let by_evaluations = stop.evaluations.map(|n| {
            let (done, first) = (self.history.evaluations, call.first_evaluation);
            done.saturating_sub(first) as f64 / n.saturating_sub(first).max(1) as f64
        });
        let done = [by_steps, by_time, by_evaluations].into_iter().flatten().fold(0.0, f64::max).clamp(0.0, 1.0);
        let left = (done > 0.0).then(|| elapsed.mul_f64(((1.0 - done) / done).min(1e6)));
        (done, left)
    }

    /// Records a film: a picture of the stimulus after every `steps` steps, the first one now if the run has none yet. The metamer keeps it ([`Metamer::film`]),
    /// as a saved run does. After 200 pictures every second one is dropped, and the interval doubles.
    ///
    /// A picture of a sound is its cochleagram, or its spectrogram. The signal-to-noise ratio of a picture takes a forward pass, which is
    /// not among the evaluations.
    ///
    /// # Errors
    /// [`Error::Invalid`] for 0 steps.
    pub fn record_every(&mut self, steps: usize) -> Result<()> {
        if steps == 0 {
            return Err(Error::invalid("record_every", "must be at least 1 step"));
        }
        self.film.get_or_insert_with(|| Film::new(steps)).set_every(steps);
        self.record_frame();
        Ok(())
    }

    /// The interval of the film in steps, if there is one.
    pub(super) fn recorded_every(&self) -> Option<usize> {
        self.film.as_ref().map(Film::every)
    }

    fn record_frame(&mut self) {
        let Some(mut film) = self.film.take() else { return };
        film.record(self.steps, || {
            let current = self.current();
            // Not that of the last evaluation, which was at the start of the step, or at a point that a line search rejected.
            let snr_db = self.problem.snr_db(current.values()).unwrap_or(f64::NAN);
            (snr_db, self.synthesis.network.thumbnail(&current, &self.synthesis.original))
        });
        self.film = Some(film);
    }

    fn title(&self) -> String {
        let (network, matched) = (self.synthesis.network.name(), &self.synthesis.goal.matched);
        let stage = matched.to_string();
        // A network of a single stage may have the name of that stage.
        let network = if network == stage { String::new() } else { format!("{network}, ") };
        let stages = if matched.parts().len() > 1 { "stages" } else { "stage" };
        format!("{network}{stages} {stage}, recipe {}", self.synthesis.recipe.name)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            title: self.title(),
            network: self.synthesis.network.clone(),
            original: self.synthesis.original.clone(),
            current: self.current(),
            gradient: Arc::clone(&self.history.gradient),
            points: Arc::clone(&self.history.points),
            targets: self.target_curves(),
            steps: self.steps,
            elapsed: self.history.elapsed,
        }
    }

    /// The stimulus that the run began with, clamped to the valid range: the given one, or the recipe's noise for the seed. With
    /// [`Recipe::nearest`](super::Recipe::nearest) the metamer is the match nearest to it.
    ///
    /// ```
    /// # use metamers::prelude::*;
    /// # let net = zoo::efficientnet_lite0()?;
    /// # let photo = Image::open("photos/giant_panda.jpg")?;
    /// let mut run = Synthesis::new(&net, "stem", &photo)?.seed(7).start()?;
    /// assert_eq!(run.initial()?.values(), run.current().values());
    /// run.step(2)?;
    /// assert_ne!(run.initial()?.values(), run.current().values());
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// Infallible for a run that could be started; the `Result` comes from the noise.
    pub fn initial(&self) -> Result<Stimulus> {
        let Synthesis { start, recipe, original, seed, goal, .. } = &self.synthesis;
        let values = start_values(start.as_ref(), recipe, original, *seed, goal.bound.as_ref())?;
        Ok(original.with_clamped("start", &values))
    }

    /// The current stimulus, clamped to the valid range.
    #[must_use]
    pub fn current(&self) -> Stimulus {
        self.stimulus_from(self.state.pixels())
    }

    /// The stimulus with the highest signal-to-noise ratio so far; the initial one before the first step.
    ///
    /// When a run of [`Recipe::nearest`](super::Recipe::nearest) holds its match, it is the one nearest to the start that has it.
    #[must_use]
    pub fn best(&self) -> Stimulus {
        self.stimulus_from(self.history.best.as_ref().map_or(self.state.pixels(), |b| &b.x))
    }

    fn stimulus_from(&self, x: &[f32]) -> Stimulus {
        self.synthesis.original.with_clamped("metamer", x)
    }

    /// The current values, three planes of pixels or the samples; without a clamp in the recipe they may exceed the valid range.
    #[must_use]
    pub fn pixels(&self) -> &[f32] {
        self.state.pixels()
    }

    /// The original, prepared for the network.
    #[must_use]
    pub fn original(&self) -> &Stimulus {
        &self.synthesis.original
    }

    /// All gradient evaluations so far.
    #[must_use]
    pub fn history(&self) -> &[Point] {
        &self.history.points
    }

    /// The number of steps so far.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The number of gradient evaluations so far, from the start of the run.
    #[must_use]
    pub fn evaluations(&self) -> usize {
        self.history.evaluations
    }

    /// The best signal-to-noise ratio at the stage so far, in dB; `None` before the first step.
    #[must_use]
    pub fn snr_db(&self) -> Option<f64> {
        self.history.best.as_ref().map(|b| b.snr_db)
    }

    /// The signal-to-noise ratio of each target at the last evaluation, in dB, with the target's name; empty before the first step.
    ///
    /// The joint ratio is [`Run::snr_db`]; [`Match`](super::Match) states its formula.
    #[must_use]
    pub fn target_snr_db(&self) -> Vec<(String, f64)> {
        let last = self.history.target_snr_db.last().cloned();
        let last = last.or_else(|| Some(vec![self.history.points.last()?.snr_db])).unwrap_or_default();
        self.problem.target_names().map(String::from).zip(last).collect()
    }

    /// The curves of the signal-to-noise ratio of several targets.
    pub(super) fn target_curves(&self) -> Arc<TargetCurves> {
        let names = self.problem.target_names().map(String::from).collect();
        Arc::new(TargetCurves { names, snr_db: Arc::clone(&self.history.target_snr_db) })
    }

    /// The gradient of the loss at the last evaluation (at an earlier stage in the first steps of
    /// [`Recipe::nearest`](super::Recipe::nearest)), summed over the colors: positive where brighter pixels raise the loss.
    ///
    /// # Errors
    /// [`Error::Invalid`] before the first step and for sounds.
    pub fn gradient(&self) -> Result<HeatMap> {
        if let Stimulus::Sound(sound) = &self.synthesis.original {
            return Err(Error::invalid(
                sound.name(),
                "is a sound, whose gradient is not a map; use Run::gradient_values",
            ));
        }
        let map = super::plot::gradient_map(&self.history.gradient, &self.synthesis.original);
        map.ok_or_else(|| Error::invalid("gradient", "is not known before the first step; take one: run.step(1)?"))
    }

    /// The gradient of the loss at the last evaluation, in the first steps of [`Recipe::nearest`](super::Recipe::nearest) at an earlier
    /// stage: three planes (red, green, blue) or samples; empty before the first step.
    #[must_use]
    pub fn gradient_values(&self) -> &[f32] {
        &self.history.gradient
    }

    /// Returns whether the run is one of this synthesis as far as its stimuli go: the original, and those of penalties and a bound. Samples
    /// that another processor has resampled differ in their last digits.
    pub(crate) fn has_stimuli_of(&self, synthesis: &Synthesis) -> Result<bool> {
        let original = synthesis.original_at_level()?;
        let pairs = synthesis.goal.stimuli().zip(self.synthesis.goal.stimuli());
        Ok(std::iter::once((&original, self.original())).chain(pairs).all(|(a, b)| a.is_almost(b)))
    }

    /// The provenance of the metamers of this run.
    pub(crate) fn provenance(&self) -> Provenance {
        Provenance::new(&self.synthesis)
    }

    /// Moves the run to a device, on which it continues as [`Synthesis::on`] starts one.
    ///
    /// ```
    /// # use metamers::prelude::*;
    /// # let net = zoo::efficientnet_lite0()?;
    /// # let photo = Image::open("photos/giant_panda.jpg")?;
    /// let mut run = Synthesis::new(&net, "stem", &photo)?.seed(7).start()?;
    /// run.step(1)?;
    /// run.move_to(&Device::cuda_if_available(0)?)?;
    /// run.step(1)?;
    /// assert_eq!(run.steps(), 2);
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the network cannot be run on the device; the run is then unchanged.
    pub fn move_to(&mut self, device: &Device) -> Result<()> {
        let execution = Execution::OnDevice(device.clone());
        let Synthesis { network, goal, original, recipe, .. } = &self.synthesis;
        self.problem = Problem::new(network, goal, original, recipe, &execution)?;
        if self.history.evaluations > 0 && self.synthesis.last_made_by.is_none() {
            self.synthesis.last_made_by = Some(self.provenance().made_by());
        }
        self.synthesis.execution = execution;
        Ok(())
    }

    /// Disables the live view, as [`Synthesis::quiet`] does.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.synthesis.quiet = true;
        self
    }

    /// The metamer: the better of the best evaluated stimulus and the current one, and when a run of
    /// [`Recipe::nearest`](super::Recipe::nearest) holds its match, the nearest one. The run can continue afterwards.
    ///
    /// # Errors
    /// When the network cannot be run on the result.
    pub fn finish(&self) -> Result<Metamer> {
        let current = self.current();
        let snr = |stimulus: &Stimulus| self.problem.snr_db(stimulus.values());
        // Measured on the clamped stimulus, because a recipe without a clamp may leave the valid range.
        let best = match &self.history.best {
            Some(Best { x, .. }) => {
                let best = self.stimulus_from(x);
                let is_nearest = self.state.pull().is_some_and(Pull::is_holding);
                if is_nearest || snr(&best)? >= snr(&current)? { best } else { current }
            }
            None => current,
        };
        Metamer::new(self, best)
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (network, stage, recipe) =
            (self.synthesis.network.name(), &self.synthesis.goal.matched, &self.synthesis.recipe.name);
        let snr = self.snr_db().map_or(String::new(), |snr| format!(", SNR {snr:.1} dB"));
        write!(f, "Run({stage} of {network}, recipe {recipe}, {} steps{snr})", self.steps)
    }
}
