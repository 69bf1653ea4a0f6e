//! Custom networks, written in candle.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::gradient_check::{ADVICE, GradientDeviation, gradient_deviations};
use super::module::{CandleModule, Function, Inner, MarkedStage, StageMarker, digest, run_through};
use super::module_check::{check_count, check_values, root_mean_square, windows};
use crate::fs::sha256;
use crate::network::forward::run_nodes;
use crate::network::preprocess::check_channels;
use crate::network::weights::{KNOWN_BY_VALUES, NOT_STATED};
use crate::network::{Builder, Input, Layer, Network, NodeId, WeightsSource, ancestors};
use crate::ops::values;
use crate::{Error, Result};

/// Seed of the random probe input.
const PROBE_SEED: u64 = 7;

impl Network {
    /// A custom network, written in candle.
    ///
    /// `function` computes the output and marks stages, in order from the input to the output, with the [`StageMarker`]. It takes images
    /// `[batch, channels, height, width]` in `[0, 1]` or waveforms `[batch, samples]` in `[-1, 1]`, float32 on the CPU, and applies the
    /// preprocessing that its weights expect, such as colour normalisation. Code after the last stage is not run.
    ///
    /// The function is checked on a noise input. It is an error if it does not keep the batch dimension, mixes the inputs of a batch
    /// (batch normalisation in training mode), is not deterministic (dropout), returns values that are not finite, or has **a wrong
    /// gradient**: candle's gradients are wrong for some operations, so they are compared with finite differences along several random
    /// directions at every stage. [`Network::inspect`] reports the deviation. The check runs the function at least 20 times.
    ///
    /// Without [`Network::with_weights_source`], the network is identified by its output for that noise. Another machine may round differently
    /// and then fail to recognise the network: set the hash of the weights to resume metamers on another machine.
    ///
    /// A module is opaque: its layers are not fused, each stage runs it from its start, and its numbers of parameters and multiply-adds
    /// are unknown. A synthesis runs it with candle's autograd. Weights should be plain tensors: for a [`Var`](candle_core::Var), candle
    /// computes an unused gradient at each step.
    ///
    /// ```
    /// use metamers::candle::{Device, Module, Tensor};
    /// use metamers::candle_nn::{Conv2d, Conv2dConfig, Linear};
    /// use metamers::network::{Input, Network, StageMarker};
    /// use metamers::ops::{Frozen, MaxPool2d, Window};
    ///
    /// let random = |shape: &[usize]| {
    ///     let values = (0..shape.iter().product()).map(|i: usize| 0.15 * (12.9898 * (i * i) as f64).sin() as f32);
    ///     Tensor::from_vec(values.collect::<Vec<f32>>(), shape, &Device::Cpu)
    /// };
    /// let conv1 = Conv2d::new(random(&[8, 3, 5, 5])?, None, Conv2dConfig { stride: 2, ..Default::default() });
    /// let conv2 = Conv2d::new(random(&[16, 8, 3, 3])?, None, Conv2dConfig::default());
    /// let head = Linear::new(random(&[10, 16])?, None);
    /// let net = Network::from_module("mine", Input::Image { shape: [3, 32, 32], resize: 32 }, move |x, mark| {
    ///     let x = ((x - 0.5)? / 0.25)?;
    ///     let x = mark.relu("relu1", conv1.forward(&x)?)?;
    ///     let x = MaxPool2d::new(Window::square(3).stride(2)).apply(&x)?; // candle's own max_pool2d has a wrong gradient
    ///     let x = mark.relu("relu2", conv2.forward(&x)?)?;
    ///     mark.stage("logits", head.forward(&x.mean((2, 3))?)?)
    /// })?;
    /// assert_eq!(net.stage("relu2")?.shape, [16, 4, 4]);
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// When images have neither 3 channels (color) nor 1 (grey), and when the function marks no stage, marks a name twice, returns an
    /// error, or fails the checks above; the message names the stage.
    pub fn from_module<F>(name: impl Into<String>, input: Input, function: F) -> Result<Self>
    where
        F: Fn(&Tensor, &mut StageMarker) -> Result<Tensor> + Send + Sync + 'static,
    {
        let mut builder = Builder::new(name, input);
        builder.check_input()?;
        if let Input::Image { shape: [channels, ..], .. } = builder.input {
            check_channels(&builder.name, channels)?;
        }
        builder.add_module(builder.input(), Arc::new(function), false)?;
        if builder.stages.is_empty() {
            let reason = "names no stage; call mark.stage(\"conv1\", x)? or mark.relu(\"relu1\", z)? in it";
            return Err(Error::invalid(builder.name, reason));
        }
        builder.finish()
    }

    /// Names the units of the last stage, which makes the network a classifier.
    ///
    /// # Errors
    /// When the number of names differs from the number of units.
    pub fn with_classes<T: Into<String>>(self, names: impl IntoIterator<Item = T>) -> Result<Self> {
        let names: Arc<[String]> = names.into_iter().map(Into::into).collect();
        let mut inner = Arc::unwrap_or_clone(self.0);
        crate::network::graph::check_classes(&inner.stages, &names)?;
        inner.classes = Some(names);
        Ok(Self(Arc::new(inner)))
    }

    /// Sets the source of the weights.
    ///
    /// Saved runs and null distributions identify their network by this source: use [`WeightsSource::from_file`] or
    /// [`WeightsSource::from_vars`].
    ///
    /// # Errors
    /// When `weights_sha256` is not a hexadecimal SHA-256.
    pub fn with_weights_source(self, provenance: WeightsSource) -> Result<Self> {
        let hash = &provenance.weights_sha256;
        if !sha256::is_valid(hash) {
            return Err(Error::invalid("weights_sha256", format!("is no SHA-256 in hexadecimal: \"{hash}\"")));
        }
        let mut inner = Arc::unwrap_or_clone(self.0);
        inner.provenance = provenance;
        Ok(Self(Arc::new(inner)))
    }

    /// The custom modules that a stage depends on.
    pub(crate) fn modules(&self, stage: &str) -> Result<Vec<&CandleModule>> {
        let needed = ancestors(self.nodes(), self.stage(stage)?.node);
        let module = |index: &usize| match &self.nodes()[*index].layer {
            Layer::Module(module) => Some(module),
            _ => None,
        };
        Ok(needed.iter().filter_map(module).collect())
    }

    /// Checks that the modules a stage depends on still give the output that they gave when the network was built; further training
    /// changes it.
    pub(crate) fn check_unchanged(&self, stage: &str) -> Result<()> {
        for module in self.modules(stage)? {
            if !module.is_unchanged()? {
                let reason = "its module gives other values than when the network was made (were its weights trained further?); build \
                              the network again from a copy of the weights";
                return Err(Error::invalid(format!("stage \"{stage}\" of {}", self.name()), reason));
            }
        }
        Ok(())
    }
}

impl Builder {
    /// Adds a custom function, written in candle, after any node, with the stages that it marks; returns its last node.
    ///
    /// Combines a front end of this library, such as the cochleagram, with a custom network. See [`Network::from_module`] for the
    /// requirements. The gradient is checked with respect to the module's input, so the cochleagram's clamped gradient is not involved.
    ///
    /// # Errors
    /// As [`Network::from_module`].
    pub fn module<F>(&mut self, x: NodeId, function: F) -> Result<NodeId>
    where
        F: Fn(&Tensor, &mut StageMarker) -> Result<Tensor> + Send + Sync + 'static,
    {
        self.add_module(x, Arc::new(function), true)
    }

    /// Adds the function's stages; if `with_end` is set, also its output unless that is a stage. Returns the last node.
    fn add_module(&mut self, x: NodeId, function: Arc<Function>, with_end: bool) -> Result<NodeId> {
        let probe = self.probe(x)?;
        let network = self.name.clone();
        let (marker, end) =
            run_through(&*function, &probe).map_err(|e| Error::invalid(&network, format!("cannot be run: {e}")))?;
        let mut found = marker.marked;
        if let Some(taken) = found.iter().find(|f| self.stages.iter().any(|s| s.name == f.name)) {
            return Err(Error::invalid("stage", format!("the name \"{}\" is taken", taken.name)));
        }
        let stages = found.len();
        let with_end = with_end && found.last().is_none_or(|last| last.continued_with != end.id());
        if with_end {
            let name = "end of the module".into();
            found.push(MarkedStage { name, clip: None, continued_with: end.id(), value: end });
        }
        let count = found.len();
        let outputs = |x: &Tensor| -> Result<Vec<Tensor>> {
            let (marker, end) = run_through(&*function, x)?;
            let values = marker.marked.into_iter().map(|f| f.value);
            let values: Vec<Tensor> = values.chain(with_end.then_some(end)).collect();
            check_count(&values, count)?;
            Ok(values)
        };
        check_values(&outputs, &probe, &found)?;
        let names: Vec<String> = found.iter().map(|f| format!("stage \"{}\"", f.name)).collect();
        let errors = gradient_deviations(&outputs, &probe, &names)?;
        for (name, error) in names.iter().zip(&errors) {
            if let Some(deviation) = error.and_then(GradientDeviation::excess) {
                let reason = format!(
                    "candle's gradient of it is wrong: it is off by {:.0} % from finite differences in random directions. {ADVICE}",
                    100.0 * deviation
                );
                return Err(Error::invalid(format!("{name} of {network}"), reason));
            }
        }
        let windows = windows(&outputs, &probe)?;
        let mut node = x;
        for (index, (stage, error)) in found.iter().zip(errors).enumerate() {
            let module = CandleModule::new(Inner {
                function: function.clone(),
                until: (index < stages).then(|| stage.name.clone()),
                shape: stage.value.dims()[1..].to_vec(),
                probe: probe.clone(),
                gradient_error: error.map(|deviation| deviation.along),
                window: windows[index],
                digest: digest(&stage.value)?,
            });
            node = self.layer(Layer::Module(module), &[x])?;
            if let Some(clip) = stage.clip {
                node = self.relu(node, clip)?;
            }
            if index < stages {
                self.stage(&stage.name, node)?;
            }
        }
        if self.provenance.source == NOT_STATED {
            self.provenance.source = KNOWN_BY_VALUES.into();
        }
        Ok(node)
    }

    /// The probe input of a module after a node: the node's output for noise, `[1, ..]`.
    fn probe(&self, at: NodeId) -> Result<Tensor> {
        self.check_input()?;
        let mut random = ChaCha8Rng::seed_from_u64(PROBE_SEED);
        let mut uniform = |low: f32, high: f32, count: usize| -> Vec<f32> {
            (0..count).map(|_| low + (high - low) * random.random::<f32>()).collect()
        };
        let shape = |shape: &[usize]| [&[1], shape].concat();
        let [low, high] = match self.input {
            Input::Image { .. } => [0.2, 0.8],
            Input::Sound { .. } => [-0.2, 0.2],
        };
        let input = self.input.shape();
        let x = uniform(low, high, input.iter().product());
        let x = Tensor::from_vec(x, shape(&input), &Device::Cpu)?;
        if self.shape(at).is_none() {
            return Err(Error::invalid("node", "comes from another builder"));
        }
        let y = run_nodes(&self.nodes, &ancestors(&self.nodes, at), at, &x, |_, _| {})?;
        if at == self.input() {
            return Ok(y);
        }
        // After a rectifier many values are equal, where a maximum is not differentiable.
        let mut y_values = values(&y)?;
        let rms = root_mean_square(&y_values) as f32;
        let noise = uniform(0.0, 0.1 * rms, y_values.len());
        y_values.iter_mut().zip(noise).for_each(|(y, noise)| *y += noise);
        Ok(Tensor::from_vec(y_values, y.shape(), &Device::Cpu)?)
    }
}
