//! Custom modules, written in candle, as layers of a network.

use std::sync::Arc;

use candle_core::{Device, Tensor, TensorId, Var};
use sha2::{Digest, Sha256};

use crate::ops::{Frozen, FrozenOp, Locality, Relu, Window, values, vjp};
use crate::{Error, Result};

/// A user's function, which computes the output and marks stages.
pub(in crate::network) type Function = dyn Fn(&Tensor, &mut StageMarker) -> Result<Tensor> + Send + Sync;

/// Marks tensors in a custom function as stages; see [`Network::from_module`](crate::network::Network::from_module).
///
/// When a network runs to a stage, marking that stage ends the function, so nothing after it is computed.
pub struct StageMarker {
    /// The stage at which this run ends; `None` while the stages are being collected.
    until: Option<String>,
    reached: Option<Tensor>,
    pub(in crate::network) marked: Vec<MarkedStage>,
}

/// A stage that a function marked.
pub(in crate::network) struct MarkedStage {
    pub name: String,
    pub value: Tensor,
    /// The rectifier that follows the stage's values, if any.
    pub clip: Option<Relu>,
    /// The tensor that the function continued with.
    pub continued_with: TensorId,
}

impl StageMarker {
    fn new(until: Option<&str>) -> Self {
        Self { until: until.map(Into::into), reached: None, marked: vec![] }
    }

    /// Marks values `[batch, ..]` as a stage and returns them.
    ///
    /// # Errors
    /// When the name is taken, and when the network runs to this stage, which ends the function: propagate the error with `?`.
    pub fn stage(&mut self, name: &str, value: Tensor) -> Result<Tensor> {
        self.record(name, &value, None, &value)?;
        Ok(value)
    }

    /// Marks `max(z, 0)` as a stage and returns it; `z` is `[batch, ..]`, float32.
    ///
    /// Preferable to marking the result of `z.relu()`: the published recipes need the values before the stage's rectifier, through which
    /// they pass the gradient unchanged, and [`Recipe::nearest`](crate::synthesis::Recipe::nearest) needs them for metamers of late stages.
    ///
    /// # Errors
    /// As [`StageMarker::stage`].
    pub fn relu(&mut self, name: &str, z: Tensor) -> Result<Tensor> {
        self.relu_with(name, z, Relu::UNBOUNDED)
    }

    /// Marks the output of a bounded ReLU, such as [`Relu::RELU6`], as [`StageMarker::relu`] does.
    ///
    /// # Errors
    /// As [`StageMarker::stage`].
    pub fn relu_with(&mut self, name: &str, z: Tensor, clip: Relu) -> Result<Tensor> {
        if self.until.as_deref() == Some(name) {
            self.record(name, &z, Some(clip), &z)?;
        }
        let rectified = clip.apply(&z)?;
        self.record(name, &z, Some(clip), &rectified)?;
        Ok(rectified)
    }

    fn record(&mut self, name: &str, value: &Tensor, clip: Option<Relu>, continued_with: &Tensor) -> Result<()> {
        if self.marked.iter().any(|stage| stage.name == name) {
            return Err(Error::invalid("stage", format!("the name \"{name}\" is taken")));
        }
        if self.until.as_deref() == Some(name) {
            self.reached = Some(value.clone());
            return Err(Error::invalid(
                "stage",
                format!("\"{name}\" is reached, which ends the function; propagate this error with ?"),
            ));
        }
        self.marked.push(MarkedStage {
            name: name.into(),
            value: value.clone(),
            clip,
            continued_with: continued_with.id(),
        });
        Ok(())
    }
}

impl std::fmt::Debug for StageMarker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.marked.iter().map(|stage| stage.name.as_str()).collect();
        write!(f, "StageMarker({})", names.join(", "))
    }
}

/// Computes the values of a function's stages (before a stage's rectifier, if any), and optionally its output.
pub(in crate::network) type Outputs<'a> = dyn Fn(&Tensor) -> Result<Vec<Tensor>> + 'a;

/// Runs a whole function; returns its stages and its output.
pub(in crate::network) fn run_through(function: &Function, x: &Tensor) -> Result<(StageMarker, Tensor)> {
    let mut stages = StageMarker::new(None);
    let end = function(x, &mut stages)?;
    Ok((stages, end))
}

/// A custom function, written in candle, up to one of its stages; [`Builder::module`](crate::network::Builder::module) creates it.
#[derive(Clone)]
pub struct CandleModule(Arc<Inner>);

pub(in crate::network) struct Inner {
    pub function: Arc<Function>,
    /// The stage at which the module ends; `None` for the function's output.
    pub until: Option<String>,
    /// Shape of the output, without the batch.
    pub shape: Vec<usize>,
    /// A fixed input; the module's output for it identifies the module.
    pub probe: Tensor,
    /// The gradient's deviation from finite differences, relative to the change; `None` if nothing changed.
    pub gradient_error: Option<f64>,
    /// The measured receptive field of a unit.
    pub window: Option<Window>,
    pub digest: [u8; 32],
}

impl CandleModule {
    pub(in crate::network) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The gradient's deviation from finite differences when the network was built, relative to the measured change; `None` if the
    /// output did not change.
    #[must_use]
    pub fn gradient_error(&self) -> Option<f64> {
        self.0.gradient_error
    }

    /// The output for a batch of inputs; differentiable.
    pub(in crate::network) fn run(&self, x: &Tensor) -> Result<Tensor> {
        let mut stages = StageMarker::new(self.0.until.as_deref());
        let end = (self.0.function)(x, &mut stages);
        let output = match (stages.reached, &self.0.until) {
            (Some(reached), _) => reached,
            (None, None) => end?,
            (None, Some(name)) => {
                end?;
                return Err(Error::invalid(
                    format!("stage \"{name}\""),
                    "was not marked by the module in this run; mark the same stages in every run",
                ));
            }
        };
        let expected: Vec<usize> = x.dims().iter().take(1).chain(&self.0.shape).copied().collect();
        if output.dims() != expected {
            let what = self.0.until.as_deref().map_or("the module's output".into(), |name| format!("stage \"{name}\""));
            return Err(Error::shape(what, format!("{expected:?}, as when the network was built"), output.dims()));
        }
        Ok(output)
    }

    /// Returns whether the module still gives the output that it gave when the network was built.
    pub(in crate::network) fn is_unchanged(&self) -> Result<bool> {
        Ok(digest(&self.run(&self.0.probe)?)? == self.0.digest)
    }

    fn on_slice(&self, input: &[f32], shape: &[usize]) -> Result<(Var, Tensor)> {
        let x = Var::from_tensor(&Tensor::from_slice(input, shape, &Device::Cpu)?)?;
        let y = self.run(&x)?;
        Ok((x, y))
    }
}

/// SHA-256 of a tensor's shape and values.
pub(in crate::network) fn digest(tensor: &Tensor) -> Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    tensor.dims().iter().for_each(|&side| hasher.update((side as u64).to_le_bytes()));
    values(tensor)?.iter().for_each(|value| hasher.update(value.to_le_bytes()));
    Ok(hasher.finalize().into())
}

/// The form for compiled networks. `forward` and `backward` cannot return an error, so a module that fails gives NaN, which every caller
/// checks for.
impl FrozenOp for CandleModule {
    fn name(&self) -> &'static str {
        "candle module"
    }

    /// The SHA-256 of the output for the probe input, as eight integers.
    fn fingerprint_data(&self) -> (Vec<usize>, Vec<&[f32]>) {
        let words = self.0.digest.chunks(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]]) as usize);
        (words.collect(), vec![])
    }

    fn locality(&self) -> Locality {
        self.0.window.map_or(Locality::Global, Locality::Window)
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let input = &self.0.probe.dims()[1..];
        if shape.is_empty() || shape[1..] != *input {
            return Err(Error::shape("the input of a candle module", format!("[batch, {input:?}]"), shape));
        }
        Ok(shape.iter().take(1).chain(&self.0.shape).copied().collect())
    }

    fn forward(&self, input: &[f32], shape: &[usize]) -> Vec<f32> {
        let count = shape[0] * self.0.shape.iter().product::<usize>();
        let found = self.on_slice(input, shape).and_then(|(_, y)| values(&y));
        found.unwrap_or_else(|_| vec![f32::NAN; count])
    }

    fn backward(&self, input: &[f32], _: &[f32], gradient: &[f32], shape: &[usize]) -> Vec<f32> {
        let gradient = self.on_slice(input, shape).and_then(|(x, y)| {
            let gradient = Tensor::from_slice(gradient, y.shape(), &Device::Cpu)?;
            values(&vjp(&y, &gradient, &x)?)
        });
        gradient.unwrap_or_else(|_| vec![f32::NAN; input.len()])
    }

    fn fallback(&self, input: &Tensor) -> Result<Tensor> {
        self.run(input)
    }
}

impl std::fmt::Debug for CandleModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Inner { until, shape, .. } = &*self.0;
        write!(f, "CandleModule(up to {}, output {shape:?})", until.as_deref().unwrap_or("its end"))
    }
}
