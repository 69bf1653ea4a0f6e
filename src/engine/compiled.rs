//! [`Compiled`]: a network compiled up to a stage, or up to several.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};

use super::codegen::Program;
use super::executor::Executor;
use super::lowering::Lowering;
use super::simd::Isa;
use crate::network::{Network, NodeId};
use crate::ops::{Frozen, Relu, values};
use crate::parallel::threads;
use crate::{Error, Result};

/// A network compiled up to a stage, or up to several. Cloning is cheap: clones share weights and memory, and their evaluations run one
/// at a time.
#[derive(Clone)]
pub struct Compiled(Arc<Inner>);

struct Inner {
    network: String,
    isa: Isa,
    lowering: Lowering,
    /// At least one.
    taps: Vec<Tap>,
    /// The input's shape without the batch.
    input: Vec<usize>,
    memory: Mutex<Memory>,
    /// The thread that holds `memory` while it calls the function of [`Compiled::evaluate`].
    caller: Mutex<Option<ThreadId>>,
}

/// Sets [`Inner::caller`] to this thread until it is dropped, also by a panic.
struct Calling<'a>(&'a Mutex<Option<ThreadId>>);

impl<'a> Calling<'a> {
    fn begin(caller: &'a Mutex<Option<ThreadId>>) -> Self {
        *caller.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current().id());
        Self(caller)
    }
}

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// A stage of a [`Compiled`] network, whose values are outputs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Tap {
    /// The stage's name.
    pub stage: String,
    /// The ReLU that the stage ends in, if any; the outputs are the values before it.
    pub relu: Option<Relu>,
    /// The shape of the stage's activations, without the batch.
    pub shape: Vec<usize>,
}

impl Tap {
    /// The number of the stage's units.
    #[must_use]
    pub fn units(&self) -> usize {
        self.shape.iter().product()
    }
}

#[derive(Default)]
struct Memory {
    /// An executor for each batch size.
    executors: HashMap<usize, Executor>,
    /// The number of forward passes so far, which identifies a pass.
    num_passes: u64,
    /// The last forward pass of each batch size: a backward pass needs the masks of its own forward pass.
    latest_pass: HashMap<usize, u64>,
}

/// The result of [`Compiled::evaluate`].
#[non_exhaustive]
pub struct Evaluated<T> {
    /// The gradient with respect to the input, in the input's layout.
    pub gradient: Vec<f32>,
    /// The value that the caller's function returned.
    pub value: T,
}

impl<T: std::fmt::Debug> std::fmt::Debug for Evaluated<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Evaluated({:?}, gradient of {} values)", self.value, self.gradient.len())
    }
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Inner { network, isa, .. } = &*self.0;
        write!(f, "Compiled({network} up to {}, {isa:?})", self.stages())
    }
}

impl Compiled {
    /// Compiles a network up to a stage for [`Isa::selected`].
    ///
    /// # Errors
    /// [`Error::Unknown`] if the network has no such stage; otherwise the errors of [`Isa::selected`].
    pub fn new(network: &Network, stage: &str) -> Result<Self> {
        Self::with_isa(network, stage, Isa::selected()?)
    }

    /// Compiles a network up to several stages for [`Isa::selected`]: one pass computes the values of all, and one backward pass the
    /// gradient of a function of all.
    ///
    /// ```
    /// use metamers::engine::Compiled;
    /// use metamers::prelude::*;
    ///
    /// let net = zoo::efficientnet_lite0()?;
    /// let x = net.prepare(&Image::open("photos/dog.jpg")?)?;
    /// let both = Compiled::at_stages(&net, ["stem", "block2"])?;
    /// let units: Vec<usize> = both.taps().iter().map(|tap| tap.units()).collect();
    /// assert_eq!(both.values(x.values())?.len(), units[0] + units[1]);
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unknown`] if the network has no such stage; [`Error::Invalid`] without stages; otherwise the errors of [`Isa::selected`].
    pub fn at_stages<S: AsRef<str>>(network: &Network, stages: impl IntoIterator<Item = S>) -> Result<Self> {
        let stages: Vec<S> = stages.into_iter().collect();
        Self::with_taps(network, &stages.iter().map(AsRef::as_ref).collect::<Vec<_>>(), Isa::selected()?)
    }

    /// Compiles a network up to a stage for a given instruction set, to compare instruction sets.
    ///
    /// # Errors
    /// [`Error::Unknown`] if the network has no such stage; [`Error::Invalid`] if the processor lacks the instruction set.
    pub fn with_isa(network: &Network, stage: &str, isa: Isa) -> Result<Self> {
        Self::with_taps(network, &[stage], isa)
    }

    fn with_taps(network: &Network, stages: &[&str], isa: Isa) -> Result<Self> {
        if stages.is_empty() {
            return Err(Error::invalid("stages", "must name at least one stage"));
        }
        let available = Isa::available();
        if !available.contains(&isa) {
            return Err(Error::invalid("instruction set", format!("this processor has {available:?}, not {isa:?}")));
        }
        let (mut nodes, mut taps): (Vec<NodeId>, Vec<Tap>) = (vec![], vec![]);
        for &stage in stages {
            let at = network.stage(stage)?;
            let last = &network.nodes()[at.node.0];
            let relu = last.layer.relu();
            nodes.push(if relu.is_some() { last.inputs[0] } else { at.node });
            taps.push(Tap { stage: stage.into(), relu, shape: at.shape.clone() });
        }
        Ok(Self(Arc::new(Inner {
            network: network.name().into(),
            isa,
            lowering: Lowering::new(network, &nodes)?,
            taps,
            input: network.input().shape(),
            memory: Mutex::default(),
            caller: Mutex::default(),
        })))
    }

    fn stages(&self) -> String {
        self.0.taps.iter().map(|tap| tap.stage.as_str()).collect::<Vec<_>>().join(" and ")
    }

    /// The stages, in the order in which their values are returned.
    #[must_use]
    pub fn taps(&self) -> &[Tap] {
        &self.0.taps
    }

    /// The ReLU that the stage ends in, if any; of several stages, that of the first.
    #[must_use]
    pub fn relu(&self) -> Option<Relu> {
        self.0.taps[0].relu
    }

    /// The shape of the stage's activations, without the batch; of several stages, that of the first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.0.taps[0].shape
    }

    /// Computes the activations at the stage, `[batch, ..]`, for images `[batch, channels, height, width]` in `[0, 1]` or waveforms
    /// `[batch, samples]` in `[-1, 1]`.
    ///
    /// The result can be differentiated with respect to `x`: the compiled network is one operation of candle's graph.
    ///
    /// # Errors
    /// [`Error::Shape`] if `x` does not have the shape of the network's input; [`Error::Invalid`] if it is not float32 or not on the
    /// CPU, and for a network compiled up to several stages.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let z = self.preactivation(x)?;
        match self.relu() {
            Some(relu) => relu.apply(&z),
            None => Ok(z),
        }
    }

    /// Computes the stage's values before its ReLU; the same as [`Compiled::apply`] for a stage without one.
    ///
    /// # Errors
    /// Fails like [`Compiled::apply`].
    pub fn preactivation(&self, x: &Tensor) -> Result<Tensor> {
        if self.0.taps.len() > 1 {
            let reason = format!("is compiled up to {}; call values or evaluate", self.stages());
            return Err(Error::invalid(&self.0.network, reason));
        }
        let input = &self.0.input;
        if x.dims().len() != input.len() + 1 || x.dims()[0] == 0 || x.dims()[1..] != input[..] {
            let sizes: Vec<String> = input.iter().map(usize::to_string).collect();
            let expected = format!("[batch, {}]", sizes.join(", "));
            return Err(Error::shape(format!("the input of {}", self.0.network), expected, x.dims()));
        }
        if x.dtype() != DType::F32 || !x.device().is_cpu() {
            let reason = format!("must be F32 on the CPU, got {:?} on {:?}", x.dtype(), x.device().location());
            return Err(Error::invalid(format!("the input of {}", self.0.network), reason));
        }
        self.check_not_called()?;
        Ok(x.contiguous()?.apply_op1(CompiledOp { compiled: self.clone(), pass: Mutex::new(0) })?)
    }

    /// Computes the values before the stage's ReLU for one or more stimuli, row-major; of several stages, the values of all stimuli at
    /// the first stage come first.
    ///
    /// # Errors
    /// [`Error::Shape`] if `x` is empty or not a whole number of stimuli.
    pub fn values(&self, x: &[f32]) -> Result<Vec<f32>> {
        let batch = self.batch(x)?;
        let mut memory = self.lock()?;
        Ok(self.forward(&mut memory, x, batch).values.clone())
    }

    /// Computes the gradient, at `x`, of a function of the stage's values before its ReLU.
    ///
    /// `cotangent` receives these values, in the order of [`Compiled::values`], and writes the function's gradient with respect to all of
    /// them, over what is there. Its return value becomes [`Evaluated::value`]. It cannot evaluate this network or a clone of it, whose
    /// memory is in use: compile the network again for that. A clone on another thread waits until the function returns.
    ///
    /// # Errors
    /// [`Error::Shape`] if `x` is empty or not a whole number of stimuli; [`Error::Invalid`] in a function that evaluates its own network.
    pub fn evaluate<T>(&self, x: &[f32], cotangent: impl FnOnce(&[f32], &mut [f32]) -> T) -> Result<Evaluated<T>> {
        let batch = self.batch(x)?;
        let mut memory = self.lock()?;
        let executor = self.forward(&mut memory, x, batch);
        let calling = Calling::begin(&self.0.caller);
        let value = cotangent(&executor.values, &mut executor.cotangent);
        drop(calling);
        executor.backward();
        Ok(Evaluated { gradient: executor.gradient.clone(), value })
    }

    /// The number of stimuli in `x`.
    fn batch(&self, x: &[f32]) -> Result<usize> {
        let one: usize = self.0.input.iter().product();
        if x.is_empty() || !x.len().is_multiple_of(one) {
            let expected = format!("a multiple of {one} values, one stimulus each");
            return Err(Error::shape(format!("the input of {}", self.0.network), expected, &[x.len()]));
        }
        Ok(x.len() / one)
    }

    /// Returns an error in a function that [`Compiled::evaluate`] calls on this thread, which would wait for itself.
    fn check_not_called(&self) -> Result<()> {
        let caller = *self.0.caller.lock().unwrap_or_else(PoisonError::into_inner);
        if caller != Some(std::thread::current().id()) {
            return Ok(());
        }
        let reason =
            "is in use by the evaluation that calls this function; compile it again: Compiled::new(&net, stage)?";
        Err(Error::invalid(&self.0.network, reason))
    }

    /// Locks the memory. After a panic, which can leave buffers half moved, the programs are set up anew.
    fn lock(&self) -> Result<MutexGuard<'_, Memory>> {
        self.check_not_called()?;
        Ok(self.0.memory.lock().unwrap_or_else(|poisoned| {
            let mut memory = poisoned.into_inner();
            *memory = Memory { num_passes: memory.num_passes, ..Memory::default() };
            self.0.memory.clear_poison();
            memory
        }))
    }

    /// Runs the forward pass on the executor of this batch size, which is created if necessary.
    fn forward<'a>(&self, memory: &'a mut Memory, x: &[f32], batch: usize) -> &'a mut Executor {
        memory.num_passes += 1;
        memory.latest_pass.insert(batch, memory.num_passes);
        let threads = threads();
        let fits = memory.executors.get(&batch).is_some_and(|executor| executor.threads() == threads);
        if !fits {
            let program = Program::new(&self.0.lowering, batch, threads);
            memory.executors.insert(batch, Executor::new(program.into(), self.0.isa, threads));
        }
        let executor = memory.executors.get_mut(&batch).expect("present, or inserted above");
        executor.input.copy_from_slice(x);
        executor.forward();
        executor
    }
}

/// A compiled network as an operation of candle's graph.
struct CompiledOp {
    compiled: Compiled,
    /// The forward pass whose masks belong to this operation.
    pass: Mutex<u64>,
}

impl CustomOp1 for CompiledOp {
    fn name(&self) -> &'static str {
        "compiled network"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = storage.as_slice::<f32>()?;
        let Some((start, end)) = layout.contiguous_offsets() else { candle_core::bail!("the input is not contiguous") };
        let batch = layout.dims()[0];
        let mut memory = self.compiled.lock().map_err(candle_core::Error::wrap)?;
        let z = self.compiled.forward(&mut memory, &x[start..end], batch).values.clone();
        *self.pass.lock().unwrap_or_else(PoisonError::into_inner) = memory.num_passes;
        let shape: Vec<usize> = std::iter::once(batch).chain(self.compiled.shape().iter().copied()).collect();
        Ok((CpuStorage::F32(z), Shape::from(shape)))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let cotangent = values(gradient).map_err(candle_core::Error::wrap)?;
        let batch = x.dims()[0];
        let mut memory = self.compiled.lock().map_err(candle_core::Error::wrap)?;
        let pass = *self.pass.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.latest_pass.get(&batch) != Some(&pass) {
            let x = values(x).map_err(candle_core::Error::wrap)?;
            self.compiled.forward(&mut memory, &x, batch);
            // The masks now belong to this operation.
            *self.pass.lock().unwrap_or_else(PoisonError::into_inner) = memory.num_passes;
        }
        let Some(executor) = memory.executors.get_mut(&batch) else { candle_core::bail!("no forward pass was made") };
        executor.cotangent.copy_from_slice(&cotangent);
        executor.backward();
        Ok(Some(Tensor::from_slice(&executor.gradient, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::super::lowering::{Op, OpKind};
    use super::*;
    use crate::network::{Builder, Checkpoint, Input, Layer};
    use crate::ops::{AvgPool2d, ChannelAffine, Conv2dConfig, MaxPool2d, Padding, Window};

    const SIZE: [usize; 2] = [61, 47];

    /// A random network with every kind of layer whose work is split for a number of threads.
    fn network() -> Result<Network> {
        let weights = Checkpoint::random(1);
        let mut b = Builder::new("partitions", Input::Image { shape: [3, SIZE[0], SIZE[1]], resize: SIZE[0] });
        let conv = |b: &mut Builder, x: NodeId, [outputs, inputs]: [usize; 2], side: usize, stride: usize| {
            let groups = if side == 5 && outputs == inputs { outputs } else { 1 };
            let padding = Padding::all(side / 2);
            let config = Conv2dConfig { stride: [stride; 2], padding, groups, ..Conv2dConfig::default() };
            let (name, shape) = (format!("{outputs}.{inputs}.{side}"), [outputs, inputs / groups, side, side]);
            let x = b.conv2d(x, weights.conv2d(&name, shape, config)?)?;
            b.relu(x, Relu::RELU6)
        };
        let x = b.channel_affine(b.input(), ChannelAffine::new(&[2.0; 3], &[-1.0; 3])?)?;
        let stem = conv(&mut b, x, [24, 3], 7, 2)?;
        let x = conv(&mut b, stem, [96, 24], 1, 1)?;
        // Depthwise.
        let x = conv(&mut b, x, [96, 96], 5, 1)?;
        let x = conv(&mut b, x, [24, 96], 1, 1)?;
        let x = b.add(x, stem)?;
        // Too narrow for Winograd.
        let x = conv(&mut b, x, [12, 24], 3, 1)?;
        let x = conv(&mut b, x, [32, 12], 1, 1)?;
        // Winograd on each thread alone, on all threads together, and of 5 x 5.
        let x = conv(&mut b, x, [32, 32], 3, 1)?;
        let x = conv(&mut b, x, [144, 32], 3, 1)?;
        let x = conv(&mut b, x, [16, 144], 5, 1)?;
        let x = conv(&mut b, x, [48, 16], 3, 2)?;
        let x = b.max_pool2d(x, MaxPool2d::new(Window::square(3).stride(2).padding(Padding::all(1))))?;
        // Few pixels and many weights.
        let mean = b.global_avg_pool(x)?;
        let mean = b.linear(mean, weights.linear("mean", 512, 48)?)?;
        let x = b.avg_pool2d(x, AvgPool2d::new(Window::square(2).stride(2)))?;
        let x = b.layer(Layer::Flatten, &[x])?;
        let x = b.linear(x, weights.linear("flat", 512, 48 * 4 * 3)?)?;
        let x = b.add(x, mean)?;
        b.stage("sum", x)?;
        b.finish()
    }

    #[test]
    fn pools_of_many_taps_run_as_in_the_layer_by_layer_run() {
        let size = [70, 66];
        for (side, is_reference) in [(64, false), (65, true)] {
            let mut b = Builder::new("pools", Input::Image { shape: [3, size[0], size[1]], resize: size[0] });
            let max = b.max_pool2d(b.input(), MaxPool2d::new(Window::square(side))).unwrap();
            let mean = b.avg_pool2d(b.input(), AvgPool2d::new(Window::square(side))).unwrap();
            let sum = b.add(max, mean).unwrap();
            b.stage("sum", sum).unwrap();
            let net = b.finish().unwrap();
            let compiled = Compiled::new(&net, "sum").unwrap();
            let is_a_reference = |op: &&Op| matches!(op.kind, OpKind::Reference(_));
            let references = compiled.0.lowering.ops.iter().filter(is_a_reference).count();
            assert_eq!(references, if is_reference { 2 } else { 0 }, "{side}");
            let x: Vec<f32> = (0..3 * size[0] * size[1]).map(|i| (i * 7919 % 1009) as f32 / 1009.0).collect();
            let x = Tensor::from_vec(x, (1, 3, size[0], size[1]), &Device::Cpu).unwrap();
            let [a, b] = [compiled.apply(&x), net.forward_to("sum", &x)].map(|y| values(&y.unwrap()).unwrap());
            assert!(a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4), "{side}");
        }
    }

    /// The bits of the values at `x`, and of the gradient of half the sum of their squares, of a program for this number of threads.
    fn bits(compiled: &Compiled, x: &[f32], threads: usize) -> [Vec<u32>; 2] {
        let Inner { lowering, isa, .. } = &*compiled.0;
        let program = Program::new(lowering, compiled.batch(x).unwrap(), threads);
        let mut executor = Executor::new(program.into(), *isa, threads);
        executor.input.copy_from_slice(x);
        executor.forward();
        executor.cotangent.copy_from_slice(&executor.values);
        executor.backward();
        [&executor.values, &executor.gradient].map(|values| values.iter().map(|v| v.to_bits()).collect())
    }

    /// The thread pool has as many threads as the machine, but runs the tasks of a program for any number.
    #[test]
    fn results_are_bit_identical_in_every_partition() {
        let net = network().unwrap();
        let x: Vec<f32> = (0..2 * 3 * SIZE[0] * SIZE[1]).map(|i| (i * 7919 % 1009) as f32 / 1009.0).collect();
        for isa in Isa::available() {
            let compiled = Compiled::with_isa(&net, "sum", isa).unwrap();
            let expected = bits(&compiled, &x, 1);
            assert!(expected.iter().all(|found| found.iter().any(|&bits| f32::from_bits(bits).is_normal())), "{isa}");
            for threads in [2, 3, 7, 16, 64] {
                assert!(bits(&compiled, &x, threads) == expected, "{threads} threads, {isa}");
            }
        }
    }
}
