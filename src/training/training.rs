//! What is trained, on what, how.

use candle_core::{DType, Device, Module};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, VarBuilder, VarMap};

use super::run::TrainingRun;
use super::{ConvNet, Dataset, draw_weights};
use crate::{Error, Result};

/// A training that can be started: AdamW on the cross-entropy of batches drawn with replacement.
///
/// AdamW has betas 0.9 and 0.999 and a weight decay of 0.01; the rate stays as it is. The same seed gives the same bits on the same
/// machine, whatever the number of threads.
pub struct Training {
    name: String,
    model: Model,
    examples: Dataset,
    held_out: Dataset,
    seed: Option<u64>,
    batch: usize,
    rate: f64,
    test_every: usize,
    quiet: bool,
}

enum Model {
    Described(ConvNet),
    Own(Box<dyn Module + Send + Sync>, VarMap),
}

impl Training {
    /// Trains the network of this description on `examples`, and counts now and then what it gets right of `held_out`.
    pub fn new(plan: &ConvNet, examples: Dataset, held_out: Dataset) -> Self {
        Self::with(plan.name().into(), Model::Described(plan.clone()), examples, held_out)
    }

    /// Trains a candle module of one's own: `[batch, ..]` to `[batch, classes]`, its variables all in `vars`.
    ///
    /// It starts from the values that the variables have, or with [`Training::seed`] from new ones.
    pub fn of_module(
        name: impl Into<String>,
        module: impl Module + Send + Sync + 'static,
        vars: &VarMap,
        examples: Dataset,
        held_out: Dataset,
    ) -> Self {
        Self::with(name.into(), Model::Own(Box::new(module), vars.clone()), examples, held_out)
    }

    fn with(name: String, model: Model, examples: Dataset, held_out: Dataset) -> Self {
        Self { name, model, examples, held_out, seed: None, batch: 32, rate: 2e-3, test_every: 50, quiet: false }
    }

    /// The seed of the first weights ([`draw_weights`](super::draw_weights)) and of the batches; 0 unless said otherwise.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How many examples a step takes: 32 unless said otherwise.
    pub fn batch(mut self, size: usize) -> Self {
        self.batch = size;
        self
    }

    /// The learning rate: 0.002 unless said otherwise.
    pub fn rate(mut self, rate: f64) -> Self {
        self.rate = rate;
        self
    }

    /// After how many steps the held-out examples are counted: 50 unless said otherwise.
    pub fn test_every(mut self, steps: usize) -> Self {
        self.test_every = steps;
        self
    }

    /// Shows nothing while it runs.
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// The training, before its first step.
    ///
    /// # Errors
    /// Numbers outside of their range, examples of other classes than the network's or the held-out ones', or a network that does not
    /// take them.
    pub fn start(self) -> Result<TrainingRun> {
        let Self { name, model, examples, held_out, seed, batch, rate, test_every, quiet } = self;
        if batch == 0 || test_every == 0 {
            return Err(Error::invalid(
                "training",
                format!("batch and test_every are at least 1, got {batch} and {test_every}"),
            ));
        }
        if !(rate.is_finite() && rate > 0.0) {
            return Err(Error::invalid("rate", format!("must be above 0 and finite, got {rate}; 0.002 is usual")));
        }
        let same = |what: &str, classes: &[String]| match classes == examples.classes() {
            true => Ok(()),
            false => {
                let reason = format!("are {}, the examples' {}", classes.join(", "), examples.classes().join(", "));
                Err(Error::invalid(format!("the classes of {what}"), reason))
            }
        };
        same("the held-out examples", held_out.classes())?;
        let (module, vars, plan): (Box<dyn Module + Send + Sync>, _, _) = match model {
            Model::Described(plan) => {
                same(plan.name(), plan.classes())?;
                let vars = VarMap::new();
                let module = plan.module(VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu))?;
                draw_weights(&vars, seed.unwrap_or(0))?;
                (Box::new(module), vars, Some(plan))
            }
            Model::Own(module, vars) => {
                if let Some(seed) = seed {
                    draw_weights(&vars, seed)?;
                }
                (module, vars, None)
            }
        };
        if vars.all_vars().is_empty() {
            return Err(Error::invalid(
                name,
                "has no variables to train; make its layers with VarBuilder::from_varmap(&vars, ..)",
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
            test_every,
            quiet,
        )
    }
}

impl std::fmt::Debug for Training {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Training({}, {:?}, batches of {}, rate {})", self.name, self.examples, self.batch, self.rate)
    }
}
