//! The builder of trainings.

use candle_core::{DType, Device, Module};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, VarBuilder, VarMap};

use super::dataset::MAX_BATCH;
use super::run::TrainingRun;
use super::{ConvNet, Dataset, init_weights};
use crate::{Error, Result};

/// Builds a training: AdamW on the cross-entropy of batches drawn with replacement.
///
/// AdamW has betas 0.9 and 0.999, a weight decay of 0.01 and a constant learning rate. The same seed gives the same bits on the same
/// machine for any number of threads.
#[must_use = "call start to create the training run"]
pub struct Training {
    name: String,
    model: Model,
    examples: Dataset,
    held_out: Dataset,
    seed: Option<u64>,
    batch: usize,
    rate: f64,
    eval_every: usize,
    quiet: bool,
}

enum Model {
    Described(ConvNet),
    Custom(Box<dyn Module + Send + Sync>, VarMap),
}

impl Training {
    /// Trains the described network on `examples` and evaluates it on `held_out` at intervals.
    pub fn new(plan: &ConvNet, examples: Dataset, held_out: Dataset) -> Self {
        Self::with(plan.name().into(), Model::Described(plan.clone()), examples, held_out)
    }

    /// Trains a custom candle module from `[batch, ..]` to `[batch, classes]` with all variables in `vars`.
    ///
    /// It starts from the current values of the variables, or with [`Training::seed`] from new ones.
    pub fn from_module(
        name: impl Into<String>,
        module: impl Module + Send + Sync + 'static,
        vars: &VarMap,
        examples: Dataset,
        held_out: Dataset,
    ) -> Self {
        Self::with(name.into(), Model::Custom(Box::new(module), vars.clone()), examples, held_out)
    }

    fn with(name: String, model: Model, examples: Dataset, held_out: Dataset) -> Self {
        Self { name, model, examples, held_out, seed: None, batch: 32, rate: 2e-3, eval_every: 50, quiet: false }
    }

    /// Sets the seed of the initial weights ([`init_weights`](super::init_weights)) and of the batches; the default is 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the batch size, at most 1,048,576 (2^20); the default is 32.
    pub fn batch_size(mut self, size: usize) -> Self {
        self.batch = size;
        self
    }

    /// Sets the learning rate; the default is 0.002.
    pub fn learning_rate(mut self, rate: f64) -> Self {
        self.rate = rate;
        self
    }

    /// Sets the interval in steps between evaluations on the held-out examples; the default is 50.
    pub fn eval_every(mut self, steps: usize) -> Self {
        self.eval_every = steps;
        self
    }

    /// Disables live output.
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Creates the run, before its first step.
    ///
    /// # Errors
    /// Fails for values out of range, for examples whose classes differ from those of the network or the held-out examples, and for
    /// a network that does not accept the examples.
    pub fn start(self) -> Result<TrainingRun> {
        let Self { name, model, examples, held_out, seed, batch, rate, eval_every, quiet } = self;
        if !(1..=MAX_BATCH).contains(&batch) || eval_every == 0 {
            return Err(Error::invalid(
                "training",
                format!(
                    "batch_size must be at least 1 and at most {MAX_BATCH}, and eval_every at least 1; got {batch} and \
                     {eval_every}"
                ),
            ));
        }
        if !(rate.is_finite() && rate > 0.0) {
            return Err(Error::invalid(
                "learning_rate",
                format!("must be positive and finite, got {rate}; the usual value is 0.002"),
            ));
        }
        let same = |what: &str, classes: &[String]| match classes == examples.classes() {
            true => Ok(()),
            false => {
                let reason =
                    format!("are {}, but the examples have {}", classes.join(", "), examples.classes().join(", "));
                Err(Error::invalid(format!("the classes of {what}"), reason))
            }
        };
        same("the held-out examples", held_out.classes())?;
        let (module, vars, plan): (Box<dyn Module + Send + Sync>, _, _) = match model {
            Model::Described(plan) => {
                same(plan.name(), plan.classes())?;
                let vars = VarMap::new();
                let module = plan.module(VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu))?;
                init_weights(&vars, seed.unwrap_or(0))?;
                (Box::new(module), vars, Some(plan))
            }
            Model::Custom(module, vars) => {
                if let Some(seed) = seed {
                    init_weights(&vars, seed)?;
                }
                (module, vars, None)
            }
        };
        if vars.all_vars().is_empty() {
            return Err(Error::invalid(
                name,
                "has no variables to train; create its layers with VarBuilder::from_varmap(&vars, ..)",
            ));
        }
        let adam = AdamW::new(vars.all_vars(), ParamsAdamW { lr: rate, ..ParamsAdamW::default() })?;
        TrainingRun::new(
            name,
            module,
            vars,
            plan,
            adam,
            [examples, held_out],
            seed.unwrap_or(0),
            batch,
            eval_every,
            quiet,
        )
    }
}

impl std::fmt::Debug for Training {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Training({}, {:?}, batches of {}, rate {})", self.name, self.examples, self.batch, self.rate)
    }
}
