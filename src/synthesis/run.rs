//! A synthesis under way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::history::{Best, History, Point, Recorder};
use super::metamer::Metamer;
use super::optimizer::{State, StepOutcome};
use super::plot::{Screen, Snapshot};
use super::problem::Problem;
use super::progress::{Progress, StopReason};
use super::provenance::Provenance;
use super::synthesis::Synthesis;
use crate::display::HeatMap;
use crate::interrupt::Listening;
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// A synthesis under way: step it, look at it, save it, finish it.
///
/// In our kernel every call shows the picture and the curve while it works. An interrupt ends a call after the step
/// under way with `Ok`, and the run can go on. After an error pixels and optimiser are as before the step that failed.
pub struct Run {
    pub(super) plan: Synthesis,
    pub(super) problem: Problem,
    pub(super) state: State,
    pub(super) history: History,
    pub(super) steps: usize,
    /// Set when the optimiser or the recipe says that further steps are useless.
    pub(super) stopped: Option<StopReason>,
    screen: Screen,
}

/// How far a call goes.
#[derive(Clone, Copy, Default)]
struct Budget {
    steps: Option<usize>,
    time: Option<Duration>,
    snr_db: Option<f64>,
    /// Gradient evaluations since the start of the run.
    evaluations: Option<usize>,
}

impl Run {
    pub(super) fn new(plan: Synthesis, problem: Problem, start: Vec<f32>) -> Self {
        let state = State::new(&plan.recipe, start);
        Self::restored(plan, problem, state, History::default(), 0, None)
    }

    pub(super) fn restored(
        plan: Synthesis,
        problem: Problem,
        state: State,
        history: History,
        steps: usize,
        over: Option<StopReason>,
    ) -> Self {
        if !plan.trial {
            crate::session_info::note_run(&plan.network, &plan.stage, &plan.recipe, plan.seed);
        }
        Self { plan, problem, state, history, steps, stopped: over, screen: Screen::default() }
    }

    /// Takes `n` steps of the optimiser; most recipes evaluate one gradient a step, L-BFGS now and then more.
    ///
    /// # Errors
    /// [`Error::Diverged`] when the loss or the gradient is not finite any more; the run keeps the state before.
    pub fn step(&mut self, n: usize) -> Result<Progress> {
        self.advance(Budget { steps: Some(n), ..Budget::default() })
    }

    /// Steps until the time is up, the recipe's steps are done, or nothing helps any more.
    ///
    /// # Errors
    /// As [`Run::step`].
    pub fn run_for(&mut self, time: Duration) -> Result<Progress> {
        self.advance(Budget { time: Some(time), ..self.rest() })
    }

    /// Steps until the signal-to-noise ratio at the stage reaches `snr_db`; 20 dB is well matched.
    ///
    /// Gives up when the recipe's steps are done; [`Progress::ended`] tells.
    ///
    /// # Errors
    /// As [`Run::step`], and when `snr_db` is not a number.
    pub fn until(&mut self, snr_db: f64) -> Result<Progress> {
        self.advance(self.goal(snr_db)?)
    }

    /// [`Run::until`] with a limit of time: what comes first ends it, and [`Progress::ended`] tells which.
    ///
    /// # Errors
    /// As [`Run::until`].
    pub fn until_within(&mut self, snr_db: f64, time: Duration) -> Result<Progress> {
        self.advance(Budget { time: Some(time), ..self.goal(snr_db)? })
    }

    /// Steps until so many gradients have been evaluated since the start, or the recipe's steps are done;
    /// [`Progress::ended`] tells which.
    ///
    /// Unlike a limit of time, this ends a run at the same bits on a fast machine and on a slow one. The step that
    /// reaches the number is finished: a line search may evaluate a few gradients more.
    ///
    /// # Errors
    /// As [`Run::step`].
    pub fn until_evaluations(&mut self, evaluations: usize) -> Result<Progress> {
        self.slice(None, Some(evaluations), None)
    }

    /// [`Run::until`] with a limit of gradient evaluations, counted since the start: as [`Run::until_evaluations`].
    ///
    /// # Errors
    /// As [`Run::until`].
    pub fn until_within_evaluations(&mut self, snr_db: f64, evaluations: usize) -> Result<Progress> {
        self.slice(Some(snr_db), Some(evaluations), None)
    }

    /// Steps until so many gradients have been evaluated since the start, whatever the recipe's steps are.
    pub(super) fn replay(&mut self, evaluations: usize) -> Result<Progress> {
        self.advance(Budget { evaluations: Some(evaluations), ..Budget::default() })
    }

    /// Steps until the ratio, if one is asked for, or the evaluations, if a number is given, or the recipe's steps are done; comes back
    /// after `time` to be saved, with [`StopReason::Time`].
    pub(crate) fn slice(
        &mut self,
        snr_db: Option<f64>,
        evaluations: Option<usize>,
        time: Option<Duration>,
    ) -> Result<Progress> {
        let goal = snr_db.map_or(Ok(self.rest()), |snr_db| self.goal(snr_db))?;
        self.advance(Budget { evaluations, time, ..goal })
    }

    /// The time of one gradient evaluation, over this many or a few more, after one that is not counted: it also fills memory.
    pub(crate) fn time_of_evaluation(&mut self, measured: usize) -> Result<Duration> {
        self.until_evaluations(1)?;
        let (begun, before) = (Instant::now(), self.evaluations());
        self.until_evaluations(before + measured)?;
        Ok(begun.elapsed().div_f64((self.evaluations() - before).max(1) as f64))
    }

    /// Takes all the steps of the recipe that are left.
    ///
    /// # Errors
    /// As [`Run::step`].
    pub fn run(&mut self) -> Result<Progress> {
        self.advance(self.rest())
    }

    fn goal(&self, snr_db: f64) -> Result<Budget> {
        if snr_db.is_nan() {
            return Err(Error::invalid("snr_db", "is not a number; 20.0 is well matched"));
        }
        Ok(Budget { snr_db: Some(snr_db), ..self.rest() })
    }

    fn rest(&self) -> Budget {
        Budget { steps: Some(self.plan.recipe.steps.saturating_sub(self.steps)), ..Budget::default() }
    }

    fn advance(&mut self, budget: Budget) -> Result<Progress> {
        let listening = Listening::begin();
        let (begun, first) = (Instant::now(), self.steps);
        let ended = loop {
            if let (Some(snr_db), Some(best)) = (budget.snr_db, &self.history.best)
                && best.snr_db >= snr_db
            {
                break StopReason::Matched;
            }
            if let Some(over) = self.stopped {
                break over;
            }
            if listening.interrupted() {
                break StopReason::Interrupted;
            }
            if budget.steps.is_some_and(|n| self.steps - first >= n) {
                break StopReason::Steps;
            }
            if budget.evaluations.is_some_and(|n| self.history.evaluations >= n) {
                break StopReason::Evaluations;
            }
            if budget.time.is_some_and(|time| begun.elapsed() >= time) {
                break StopReason::Time;
            }
            self.one_step()?;
            if !self.plan.quiet && self.screen.is_due() {
                let left = self.time_left(&budget, begun, first);
                let snapshot = self.snapshot();
                self.screen.update(&snapshot, Some(left));
            }
        };
        let snapshot = self.snapshot();
        let shown = !self.plan.quiet && self.screen.finish(&snapshot);
        let last = self.history.points.last();
        Ok(Progress {
            stop_reason: ended,
            steps: self.steps,
            evaluations: self.history.evaluations,
            elapsed: self.history.elapsed,
            snr_db: self.history.best.as_ref().map_or(f64::NEG_INFINITY, |b| b.snr_db),
            loss: last.map_or(f64::NAN, |p| p.loss),
            snapshot,
            place: (!self.plan.quiet).then(|| self.screen.place()),
            shown,
        })
    }

    fn one_step(&mut self) -> Result<()> {
        let since = Instant::now();
        let evaluations = self.history.points.len();
        let mut watched = Recorder { problem: &self.problem, history: &mut self.history, since };
        let step = self.state.step(&self.plan.recipe, self.steps, &mut watched);
        self.history.elapsed += since.elapsed();
        if step? == StepOutcome::Stalled {
            self.stopped = Some(StopReason::Stalled);
        }
        self.steps += 1;
        let points = &self.history.points;
        if let Some(plateau) = self.plan.recipe.plateau
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

    /// How much of the budget is used, from 0 to 1, and the time left at this pace.
    fn time_left(&self, budget: &Budget, begun: Instant, first: usize) -> (f64, Option<Duration>) {
        let elapsed = begun.elapsed();
        let by_steps = budget.steps.map(|n| (self.steps - first) as f64 / n.max(1) as f64);
        let by_time = budget.time.map(|t| elapsed.as_secs_f64() / t.as_secs_f64().max(1e-9));
        let by_evaluations = budget.evaluations.map(|n| self.history.evaluations as f64 / n.max(1) as f64);
        let done = [by_steps, by_time, by_evaluations].into_iter().flatten().fold(0.0, f64::max).clamp(0.0, 1.0);
        let left = (done > 0.0).then(|| elapsed.mul_f64(((1.0 - done) / done).min(1e6)));
        (done, left)
    }

    fn title(&self) -> String {
        let (network, stage) = (self.plan.network.name(), &self.plan.stage);
        // A network of one stage alone may be called as that stage is.
        let network = if network == stage { String::new() } else { format!("{network}, ") };
        format!("{network}stage {stage}, recipe {}", self.plan.recipe.name)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            title: self.title(),
            network: self.plan.network.clone(),
            original: self.plan.original.clone(),
            current: self.current(),
            gradient: Arc::clone(&self.history.gradient),
            points: Arc::clone(&self.history.points),
            steps: self.steps,
            elapsed: self.history.elapsed,
        }
    }

    /// The picture or sound as it is now, clamped to what it can hold.
    pub fn current(&self) -> Stimulus {
        self.picture(self.state.pixels())
    }

    /// The one with the highest signal-to-noise ratio so far; the first before the first step.
    pub fn best(&self) -> Stimulus {
        self.picture(self.history.best.as_ref().map_or(self.state.pixels(), |b| &b.x))
    }

    fn picture(&self, x: &[f32]) -> Stimulus {
        self.plan.original.with_clamped("metamer", x)
    }

    /// The values as they are now, three planes of pixels or samples; a recipe without a clamp may leave their range.
    pub fn pixels(&self) -> &[f32] {
        self.state.pixels()
    }

    /// The original as the network sees it.
    pub fn original(&self) -> &Stimulus {
        &self.plan.original
    }

    /// Every gradient evaluation so far.
    pub fn history(&self) -> &[Point] {
        &self.history.points
    }

    /// Steps so far.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Gradient evaluations so far.
    pub fn evaluations(&self) -> usize {
        self.history.evaluations
    }

    /// The best signal-to-noise ratio at the stage so far, in dB; `None` before the first step.
    pub fn snr_db(&self) -> Option<f64> {
        self.history.best.as_ref().map(|b| b.snr_db)
    }

    /// The gradient of the loss at the last evaluation, summed over the colours: where brighter pixels raise the loss
    /// and where they lower it.
    ///
    /// # Errors
    /// [`Error::Invalid`] before the first step, when no gradient is known, and for sounds.
    pub fn gradient(&self) -> Result<HeatMap> {
        if let Stimulus::Sound(sound) = &self.plan.original {
            return Err(Error::invalid(sound.name(), "is a sound: its gradient is no map; see Run::gradient_values"));
        }
        let map = super::plot::gradient_map(&self.history.gradient, &self.plan.original);
        map.ok_or_else(|| Error::invalid("gradient", "is not known before the first step; take one: run.step(1)?"))
    }

    /// The gradient of the loss at the last evaluation: three planes, red, green and blue, or samples; empty before the first step.
    pub fn gradient_values(&self) -> &[f32] {
        &self.history.gradient
    }

    /// What the run is of.
    pub(crate) fn provenance(&self) -> Provenance {
        Provenance::of(&self.plan)
    }

    /// Shows live pictures, or not.
    pub fn set_quiet(&mut self, quiet: bool) {
        self.plan.quiet = quiet;
    }

    /// The metamer: the better of the best evaluated picture and the present one.
    ///
    /// The run can go on afterwards.
    ///
    /// # Errors
    /// When the network cannot be run on the result.
    pub fn finish(&self) -> Result<Metamer> {
        let current = self.current();
        let original = &self.problem.objective.target;
        let snr = |stimulus: &Stimulus| -> Result<f64> {
            let activations = self.problem.activations(stimulus.values())?;
            Ok(crate::similarity::snr_db(original, &activations)?.unwrap_or(f64::NEG_INFINITY))
        };
        // Measured on what is kept: a recipe without a clamp has pixels that no picture can hold.
        let best = match &self.history.best {
            Some(Best { x, .. }) => {
                let best = self.picture(x);
                if snr(&best)? >= snr(&current)? { best } else { current }
            }
            None => current,
        };
        Metamer::of(self, best)
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (network, stage, recipe) = (self.plan.network.name(), &self.plan.stage, &self.plan.recipe.name);
        let snr = self.snr_db().map_or(String::new(), |snr| format!(", SNR {snr:.1} dB"));
        write!(f, "Run({stage} of {network}, recipe {recipe}, {} steps{snr})", self.steps)
    }
}
