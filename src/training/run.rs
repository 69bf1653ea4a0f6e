//! A training under way.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::Module;
use candle_nn::loss::cross_entropy;
use candle_nn::{AdamW, Optimizer, VarMap};

use super::progress::{Snapshot, TrainingProgress, TrainingView};
use super::{ConvNet, Dataset};
use crate::interrupt::Listening;
use crate::network::Network;
use crate::synthesis::StopReason;
use crate::{Error, Result};

/// The loss of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossPoint {
    /// Steps before this one.
    pub step: usize,
    /// Cross-entropy of its batch, in nats.
    pub loss: f64,
}

/// What the network got right of the held-out examples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldOut {
    /// Steps until then.
    pub step: usize,
    /// How many got the highest output at their class.
    pub right: usize,
    /// Of how many.
    pub total: usize,
}

impl HeldOut {
    /// The share of right answers, from 0 to 1.
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.total as f64
    }
}

/// A training under way: step it, look at it, freeze it, go on.
///
/// In our kernel every call shows the loss and the share of right answers while it works. An interrupt ends a call after the step
/// under way with `Ok`, and the training can go on.
pub struct TrainingRun {
    name: String,
    module: Box<dyn Module + Send + Sync>,
    vars: VarMap,
    plan: Option<ConvNet>,
    adam: AdamW,
    examples: Dataset,
    held_out: Dataset,
    seed: u64,
    batch: usize,
    test_every: usize,
    quiet: bool,
    losses: Arc<Vec<LossPoint>>,
    tests: Arc<Vec<HeldOut>>,
    elapsed: Duration,
    screen: TrainingView,
}

impl TrainingRun {
    #[expect(clippy::too_many_arguments, reason = "called once, by Training::start")]
    pub(super) fn new(
        name: String,
        module: Box<dyn Module + Send + Sync>,
        vars: VarMap,
        plan: Option<ConvNet>,
        adam: AdamW,
        [examples, held_out]: [Dataset; 2],
        seed: u64,
        batch: usize,
        test_every: usize,
        quiet: bool,
    ) -> Result<Self> {
        let (losses, tests, elapsed, screen) = Default::default();
        let mut run = Self {
            name,
            module,
            vars,
            plan,
            adam,
            examples,
            held_out,
            seed,
            batch,
            test_every,
            quiet,
            losses,
            tests,
            elapsed,
            screen,
        };
        run.test()?;
        Ok(run)
    }

    /// Takes `n` steps, one batch each.
    ///
    /// # Errors
    /// When the loss is not a finite number; the weights stay as before that step.
    pub fn step(&mut self, n: usize) -> Result<TrainingProgress> {
        self.advance(Some(n), None)
    }

    /// Steps until the time is up. How many that are depends on the machine: for the same bits, [`TrainingRun::step`].
    ///
    /// # Errors
    /// As [`TrainingRun::step`].
    pub fn train_for(&mut self, time: Duration) -> Result<TrainingProgress> {
        self.advance(None, Some(time))
    }

    fn advance(&mut self, steps: Option<usize>, time: Option<Duration>) -> Result<TrainingProgress> {
        let listening = Listening::begin();
        let (begun, first) = (Instant::now(), self.steps());
        let ended = loop {
            if listening.interrupted() {
                break StopReason::Interrupted;
            }
            if steps.is_some_and(|n| self.steps() - first >= n) {
                break StopReason::Steps;
            }
            if time.is_some_and(|time| begun.elapsed() >= time) {
                break StopReason::Time;
            }
            let since = Instant::now();
            let done = self.one_step();
            self.elapsed += since.elapsed();
            done?;
            if !self.quiet && self.screen.is_due() {
                let by_steps = steps.map(|n| (self.steps() - first) as f64 / n.max(1) as f64);
                let by_time = time.map(|time| begun.elapsed().as_secs_f64() / time.as_secs_f64().max(1e-9));
                let done = by_steps.or(by_time).unwrap_or(0.0).clamp(1e-6, 1.0);
                let left = begun.elapsed().mul_f64((1.0 - done) / done);
                self.screen.update(&self.snapshot(), Some(left));
            }
        };
        if self.tests.last().is_none_or(|test| test.step != self.steps()) {
            self.test()?;
        }
        let snapshot = self.snapshot();
        let place = (!self.quiet).then(|| self.screen.finish(&snapshot));
        Ok(TrainingProgress { stop_reason: ended, snapshot, place })
    }

    fn one_step(&mut self) -> Result<()> {
        let step = self.steps();
        let (x, labels) = self.examples.batch(self.batch, self.seed, step)?;
        let loss = cross_entropy(&self.module.forward(&x)?, &labels)?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        if !value.is_finite() {
            let reason = format!(
                "the loss of step {step} is {value}; the weights are as before it. Start again with a smaller rate"
            );
            return Err(Error::invalid(format!("the training of {}", self.name), reason));
        }
        self.adam.backward_step(&loss)?;
        Arc::make_mut(&mut self.losses).push(LossPoint { step, loss: value });
        if self.steps().is_multiple_of(self.test_every) {
            self.test()?;
        }
        Ok(())
    }

    fn test(&mut self) -> Result<()> {
        let right = self.held_out.count_correct(&*self.module)?;
        let test = HeldOut { step: self.steps(), right, total: self.held_out.len() };
        Arc::make_mut(&mut self.tests).push(test);
        Ok(())
    }

    /// Steps so far.
    pub fn steps(&self) -> usize {
        self.losses.len()
    }

    /// The loss of every step so far.
    pub fn losses(&self) -> &[LossPoint] {
        &self.losses
    }

    /// Every count of the held-out examples so far: before the first step, as often as was asked for, and at the end of each call.
    pub fn tests(&self) -> &[HeldOut] {
        &self.tests
    }

    /// The share of held-out examples that the network gets right now, from 0 to 1.
    pub fn accuracy(&self) -> f64 {
        self.tests.last().map_or(0.0, HeldOut::accuracy)
    }

    /// The variables, which training changes in place.
    pub fn vars(&self) -> &VarMap {
        &self.vars
    }

    /// The module that is trained.
    pub fn module(&self) -> &(dyn Module + Send + Sync) {
        &*self.module
    }

    fn source(&self) -> String {
        let (examples, steps) = (self.examples.len(), self.steps());
        format!("trained here on {examples} examples, seed {}, {steps} steps of {}", self.seed, self.batch)
    }

    /// The frozen network with the weights of now, to make metamers for. Training can go on and leaves it as it is.
    ///
    /// # Errors
    /// For a module of one's own, which says nothing of its layers: [`TrainingRun::freeze_as`] takes a description.
    pub fn freeze(&self) -> Result<Network> {
        self.freeze_as(self.described()?)
    }

    /// As [`TrainingRun::freeze`], for a module that is described by `plan`. Its outputs and those of the frozen network are compared on
    /// held-out inputs.
    ///
    /// # Errors
    /// Variables that the description does not fit, or outputs that differ by more than 1e-3 of their length.
    pub fn freeze_as(&self, plan: &ConvNet) -> Result<Network> {
        let net = plan.frozen_as(&self.vars, &self.source())?;
        let x = self.held_out.inputs().narrow(0, 0, self.held_out.len().min(8))?;
        let module = crate::ops::values(&self.module.forward(&x)?)?;
        let frozen = crate::ops::values(&super::conv_net::outputs(&net, &x)?)?;
        let square = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>();
        let off = square(&mut module.iter().zip(&frozen).map(|(a, b)| a - b));
        let off = (off / square(&mut module.iter().copied()).max(f64::MIN_POSITIVE)).sqrt();
        if frozen.len() != module.len() || off > 1e-3 {
            let reason = format!(
                "describes another network than the module: outputs differ by {:.1} % of their length",
                100.0 * off
            );
            return Err(Error::invalid(plan.name(), reason));
        }
        Ok(net)
    }

    /// Writes the weights of now with the description; [`ConvNet::open`] gives the frozen network again.
    ///
    /// # Errors
    /// As [`TrainingRun::freeze`], and when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.described()?.save_as(&self.vars, path.as_ref(), &self.source())
    }

    fn described(&self) -> Result<&ConvNet> {
        let reason = "is a module of your own; describe its layers by a ConvNet and use freeze_as(&plan) or plan.save(vars, path)";
        self.plan.as_ref().ok_or_else(|| Error::invalid(&self.name, reason))
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            title: self.name.clone(),
            losses: Arc::clone(&self.losses),
            tests: Arc::clone(&self.tests),
            chance: self.held_out.chance(),
            elapsed: self.elapsed,
        }
    }
}

impl std::fmt::Debug for TrainingRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TrainingRun({}, {} steps, {:.3} right)", self.name, self.steps(), self.accuracy())
    }
}
