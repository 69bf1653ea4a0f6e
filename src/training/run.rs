//! A running training.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use candle_core::Module;
use candle_nn::loss::cross_entropy;
use candle_nn::{AdamW, Optimizer, VarMap};

use super::progress::{Snapshot, TrainingProgress, TrainingView};
use super::{ConvNet, Dataset};
use crate::clock::Instant;
use crate::interrupt::Listening;
use crate::network::Network;
use crate::synthesis::StopReason;
use crate::{Error, Result};

/// The loss of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LossPoint {
    /// The number of steps before this one.
    pub step: usize,
    /// The cross-entropy of the step's batch, in nats.
    pub loss: f64,
}

/// An evaluation on the held-out examples.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Evaluation {
    /// The number of steps before the evaluation.
    pub step: usize,
    /// The number of correctly classified examples.
    pub correct: usize,
    /// The number of held-out examples.
    pub total: usize,
}

impl Evaluation {
    /// The accuracy, from 0 to 1.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.total as f64
    }
}

/// A running training, which can be continued, displayed, frozen and saved.
///
/// In the metamers kernel, each call displays loss and accuracy live. An interrupt ends the call with `Ok` after the current step, and
/// the training can continue.
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
    eval_every: usize,
    quiet: bool,
    losses: Arc<Vec<LossPoint>>,
    tests: Arc<Vec<Evaluation>>,
    elapsed: Duration,
    view: TrainingView,
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
        eval_every: usize,
        quiet: bool,
    ) -> Result<Self> {
        let (losses, tests, elapsed, view) = Default::default();
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
            eval_every,
            quiet,
            losses,
            tests,
            elapsed,
            view,
        };
        run.test()?;
        Ok(run)
    }

    /// Takes `n` steps, one batch each.
    ///
    /// # Errors
    /// Fails if the loss is not finite; the weights stay as before that step.
    pub fn step(&mut self, n: usize) -> Result<TrainingProgress> {
        self.advance(Some(n), None)
    }

    /// Trains for this time. The number of steps depends on the machine; use [`TrainingRun::step`] for reproducible results.
    ///
    /// # Errors
    /// Fails like [`TrainingRun::step`].
    pub fn run_for(&mut self, time: Duration) -> Result<TrainingProgress> {
        self.advance(None, Some(time))
    }

    fn advance(&mut self, steps: Option<usize>, time: Option<Duration>) -> Result<TrainingProgress> {
        let listening = Listening::begin();
        self.view.begin();
        let (start, first) = (Instant::now(), self.steps());
        let stop_reason = loop {
            if listening.interrupted() {
                break StopReason::Interrupted;
            }
            if steps.is_some_and(|n| self.steps() - first >= n) {
                break StopReason::Steps;
            }
            if time.is_some_and(|time| start.elapsed() >= time) {
                break StopReason::Time;
            }
            let step_start = Instant::now();
            let done = self.one_step();
            self.elapsed += step_start.elapsed();
            done?;
            if !self.quiet && self.view.is_due() {
                let by_steps = steps.map(|n| (self.steps() - first) as f64 / n.max(1) as f64);
                let by_time = time.map(|time| start.elapsed().as_secs_f64() / time.as_secs_f64().max(1e-9));
                let done = by_steps.or(by_time).unwrap_or(0.0).clamp(1e-6, 1.0);
                let left = start.elapsed().mul_f64((1.0 - done) / done);
                self.view.update(&self.snapshot(), Some(left));
            }
        };
        if self.tests.last().is_none_or(|test| test.step != self.steps()) {
            self.test()?;
        }
        let snapshot = self.snapshot();
        let place = (!self.quiet).then(|| self.view.finish(&snapshot));
        Ok(TrainingProgress { stop_reason, snapshot, place })
    }

    fn one_step(&mut self) -> Result<()> {
        let step = self.steps();
        let (x, labels) = self.examples.batch(self.batch, self.seed, step)?;
        let loss = cross_entropy(&self.module.forward(&x)?, &labels)?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        if !value.is_finite() {
            let reason = format!(
                "the loss of step {step} is {value}; the weights are unchanged; start again with a smaller learning rate"
            );
            return Err(Error::invalid(format!("the training of {}", self.name), reason));
        }
        self.adam.backward_step(&loss)?;
        Arc::make_mut(&mut self.losses).push(LossPoint { step, loss: value });
        if self.steps().is_multiple_of(self.eval_every) {
            self.test()?;
        }
        Ok(())
    }

    fn test(&mut self) -> Result<()> {
        let correct = self.held_out.count_correct(&*self.module)?;
        let test = Evaluation { step: self.steps(), correct, total: self.held_out.len() };
        Arc::make_mut(&mut self.tests).push(test);
        Ok(())
    }

    /// The number of steps so far.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.losses.len()
    }

    /// The loss of every step so far.
    #[must_use]
    pub fn losses(&self) -> &[LossPoint] {
        &self.losses
    }

    /// All evaluations on the held-out examples: before the first step, at the chosen interval, and at the end of each call.
    #[must_use]
    pub fn evaluations(&self) -> &[Evaluation] {
        &self.tests
    }

    /// The current accuracy on the held-out examples, from 0 to 1.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.tests.last().map_or(0.0, Evaluation::accuracy)
    }

    /// The variables, which training updates in place.
    #[must_use]
    pub fn vars(&self) -> &VarMap {
        &self.vars
    }

    /// The trained module.
    #[must_use]
    pub fn module(&self) -> &(dyn Module + Send + Sync) {
        &*self.module
    }

    fn source(&self) -> String {
        let (examples, steps) = (self.examples.len(), self.steps());
        format!("trained here on {examples} examples, seed {}, {steps} steps of {}", self.seed, self.batch)
    }

    /// Creates the frozen network with the current weights. Further training does not change it.
    ///
    /// # Errors
    /// Fails for a custom module, whose layers are unknown; use [`TrainingRun::freeze_as`] with a description.
    pub fn freeze(&self) -> Result<Network> {
        self.freeze_as(self.description()?)
    }

    /// Creates the frozen network of a custom module from its description. Checks that the outputs of both are equal on
    /// held-out inputs.
    ///
    /// # Errors
    /// Fails for variables that do not fit the description, and for outputs with a relative difference above 1e-3.
    pub fn freeze_as(&self, description: &ConvNet) -> Result<Network> {
        let net = description.freeze_with_source(&self.vars, &self.source())?;
        let x = self.held_out.inputs().narrow(0, 0, self.held_out.len().min(8))?;
        let module = crate::ops::values(&self.module.forward(&x)?)?;
        let frozen = crate::ops::values(&super::conv_net::outputs(&net, &x)?)?;
        let square = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>();
        let error = square(&mut module.iter().zip(&frozen).map(|(a, b)| a - b));
        let error = (error / square(&mut module.iter().copied()).max(f64::MIN_POSITIVE)).sqrt();
        if frozen.len() != module.len() || error > 1e-3 {
            let reason =
                format!("does not describe the module: outputs have a relative difference of {:.1} %", 100.0 * error);
            return Err(Error::invalid(description.name(), reason));
        }
        Ok(net)
    }

    /// Saves the current weights and the description to a `.safetensors` file; [`ConvNet::open`] opens the frozen network.
    ///
    /// # Errors
    /// Fails like [`TrainingRun::freeze`], and with [`Error::File`] for another extension and if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.description()?.save_with_source(&self.vars, path.as_ref(), &self.source())
    }

    fn description(&self) -> Result<&ConvNet> {
        let reason = "is a custom module; describe its layers with a ConvNet and use freeze_as(&description) or description.save(vars, path)";
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
        write!(f, "TrainingRun({}, {} steps, accuracy {:.3})", self.name, self.steps(), self.accuracy())
    }
}
