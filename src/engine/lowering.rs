//! A network up to a stage as a list of fused steps.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::geometry;
use super::kernel::depthwise::Depthwise;
use super::kernel::gemm::Gemm;
use super::kernel::winograd::{Scheme, Tiles, Winograd};
use super::simd::LANES;
use crate::network::{Layer, Network, NodeId, ancestors};
use crate::ops::{FrozenOp, Relu, Window};
use crate::{Error, Result};

/// Channels, height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dims {
    pub channels: usize,
    pub size: [usize; 2],
}

impl Dims {
    fn of(shape: &[usize]) -> Self {
        match *shape {
            [channels] => Self { channels, size: [1, 1] },
            [channels, width] => Self { channels, size: [1, width] },
            [channels, height, width] => Self { channels, size: [height, width] },
            _ => Self { channels: shape.iter().product(), size: [1, 1] },
        }
    }

    pub fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }
}

/// A step computes one tensor from earlier ones; its number is its place in the list.
pub(super) struct Op {
    pub kind: OpKind,
    pub inputs: Vec<usize>,
    /// A tensor of the same shape that is added, before the rectifier.
    pub addend: Option<usize>,
    pub clip: Option<Relu>,
    pub dims: Dims,
    /// As the network has it, without the batch.
    pub shape: Vec<usize>,
}

pub(super) enum OpKind {
    /// The network's input, in planes.
    Input,
    /// The input with its channels side by side, each scaled and shifted.
    Enter { scale: Vec<f32>, shift: Vec<f32> },
    /// A convolution or a fully connected layer.
    Conv(ConvLayer),
    /// A convolution of each channel by itself.
    Depthwise(ConvLayer),
    /// The largest value under each window.
    MaxPool(Window),
    /// The mean over the image.
    Mean,
    /// `x * scale + shift` for each channel, where there are any.
    Elementwise { affine: Option<(Vec<f32>, Vec<f32>)> },
    /// Channels of several tensors behind each other.
    Concat,
    /// An operation that runs as it does in the plain run.
    Reference(Arc<dyn FrozenOp>),
    /// The input's values in reading order as one vector.
    Flatten,
}

/// A layer of weights `[outputs, depth, height, width]`, and what was folded into it.
pub(super) struct ConvLayer {
    pub window: Window,
    pub outputs: usize,
    pub depth: usize,
    weight: Arc<[f32]>,
    bias: Vec<f32>,
    /// Factors of the outputs.
    scale: Vec<f32>,
    /// Packed when a program first needs them, and shared by all programs.
    pub forward: OnceLock<Arc<Gemm>>,
    pub backward: OnceLock<Arc<Gemm>>,
    /// Forward and backward, in each scheme.
    winograd: [[OnceLock<Arc<Winograd>>; 3]; 2],
}

impl ConvLayer {
    fn new(weight: &Arc<[f32]>, bias: Option<&Arc<[f32]>>, window: Window, [outputs, depth]: [usize; 2]) -> Self {
        let bias = bias.map_or_else(|| vec![0.0; outputs], |b| b.to_vec());
        Self {
            window,
            outputs,
            depth,
            weight: weight.clone(),
            bias,
            scale: vec![1.0; outputs],
            forward: OnceLock::new(),
            backward: OnceLock::new(),
            winograd: Default::default(),
        }
    }

    fn fold(&mut self, scale: &[f32], shift: &[f32]) {
        for (o, (&scale, &shift)) in scale.iter().zip(shift).enumerate() {
            self.bias[o] = self.bias[o] * scale + shift;
            self.scale[o] *= scale;
        }
    }

    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    pub fn weight(&self, output: usize, channel: usize, tap: usize) -> f32 {
        let taps = self.window.kernel[0] * self.window.kernel[1];
        self.weight[(output * self.depth + channel) * taps + tap] * self.scale[output]
    }

    /// Whether an output sees one pixel, the one in its place.
    pub fn is_pointwise(&self) -> bool {
        self.window.kernel == [1, 1] && self.window.stride == [1, 1] && self.window.padding == Default::default()
    }

    pub fn forward(&self, output: [usize; 2]) -> Arc<Gemm> {
        let pack = || {
            let phases = geometry::forward(&self.window, output);
            Gemm::pack(phases, [self.outputs, self.depth], |o, i, tap| self.weight(o, i, tap)).into()
        };
        self.forward.get_or_init(pack).clone()
    }

    pub fn backward(&self, input: [usize; 2]) -> Arc<Gemm> {
        let pack = || {
            let phases = geometry::backward(&self.window, input);
            Gemm::pack(phases, [self.depth, self.outputs], |i, o, tap| self.weight(o, i, tap)).into()
        };
        self.backward.get_or_init(pack).clone()
    }

    /// From the gradient of an output to what its window gives to each of its taps, `[tap][channel]`; `scale` are factors of the
    /// channels, if there are any.
    pub fn columns(&self, scale: &[f32]) -> Arc<Gemm> {
        let pack = || {
            let factor = |i: usize| scale.get(i).copied().unwrap_or(1.0);
            let phases = geometry::forward(&Window::new([1, 1]), [1, 1]);
            let weight = |n: usize, o: usize, _| {
                let (tap, i) = (n / self.depth, n % self.depth);
                self.weight(o, i, tap) * factor(i)
            };
            Gemm::pack(phases, [self.columns_of_a_window(), self.outputs], weight).into()
        };
        self.backward.get_or_init(pack).clone()
    }

    /// Taps times channels.
    pub fn columns_of_a_window(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1] * self.depth
    }

    /// Which of Winograd's schemes is the cheapest for outputs of this size, if one is cheaper than the plain sum.
    ///
    /// The cost is in multiplications for each pair of channels. A transform costs each number about as much as six, and
    /// reading a weight from the common memory as much as sixteen: with few tiles that takes longer than using them.
    pub fn scheme(&self, batch: usize, output: [usize; 2]) -> Option<Scheme> {
        const TRANSFORM: f64 = 6.0;
        const WEIGHT: usize = 16;
        let Window { kernel, stride, dilation, padding } = self.window;
        let pads = [padding.top, padding.bottom, padding.left, padding.right];
        if stride != [1, 1] || dilation != [1, 1] || self.outputs.min(self.depth) < LANES {
            return None;
        }
        let channels = 1.0 + TRANSFORM / self.outputs as f64 + TRANSFORM / self.depth as f64;
        let cost = |scheme: Scheme| {
            let tiles = Tiles::of(scheme, batch, output).count as f64;
            scheme.points() as f64 * (tiles * channels + WEIGHT as f64)
        };
        let plain = (kernel[0] * kernel[1] * (batch * output[0] * output[1] + WEIGHT)) as f64;
        let fits = |scheme: &Scheme| kernel == [scheme.taps(); 2] && pads.iter().all(|&pad| pad < scheme.taps());
        let best = Scheme::ALL.into_iter().filter(fits).min_by(|a, b| cost(*a).total_cmp(&cost(*b)))?;
        (cost(best) < plain).then_some(best)
    }

    pub fn winograd(&self, scheme: Scheme) -> Arc<Winograd> {
        let padding = self.window.padding;
        let pack = || {
            let before = [padding.top, padding.left];
            Winograd::pack(scheme, [self.outputs, self.depth], before, |o, i, tap| self.weight(o, i, tap)).into()
        };
        self.winograd[0][scheme as usize].get_or_init(pack).clone()
    }

    /// From the gradient of the outputs to that of the inputs: the kernel turned round.
    pub fn winograd_back(&self, scheme: Scheme) -> Arc<Winograd> {
        let (padding, last) = (self.window.padding, scheme.taps() - 1);
        let pack = || {
            let before = [last - padding.top, last - padding.left];
            let turned = |tap| scheme.taps() * scheme.taps() - 1 - tap;
            Winograd::pack(scheme, [self.depth, self.outputs], before, |i, o, tap| self.weight(o, i, turned(tap)))
                .into()
        };
        self.winograd[1][scheme as usize].get_or_init(pack).clone()
    }

    pub fn depthwise(&self, input: [usize; 2], output: [usize; 2]) -> [Depthwise; 2] {
        let taps = self.window.kernel[0] * self.window.kernel[1];
        let pack = |phases| Depthwise::pack(phases, self.outputs, taps, |channel, tap| self.weight(channel, 0, tap));
        [pack(geometry::forward(&self.window, output)), pack(geometry::backward(&self.window, input))]
    }
}

/// Where a node's values are.
#[derive(Clone, Copy)]
struct Value {
    step: usize,
    /// The node is a vector of what the step holds as an image.
    flat: bool,
}

pub(super) struct Lowering {
    pub steps: Vec<Op>,
    uses: HashMap<usize, usize>,
    values: HashMap<usize, Value>,
}

impl Lowering {
    /// The steps that compute node `last` of a network, which is the last of them.
    pub fn new(network: &Network, last: NodeId) -> Result<Self> {
        let needed = ancestors(network.nodes(), last);
        let mut uses: HashMap<usize, usize> = HashMap::from([(last.0, 1)]);
        for &index in &needed {
            network.nodes()[index].inputs.iter().for_each(|input| *uses.entry(input.0).or_default() += 1);
        }
        let shape = network.input().shape();
        let input = Op { kind: OpKind::Input, inputs: vec![], addend: None, clip: None, dims: Dims::of(&shape), shape };
        let mut steps = Self { steps: vec![input], uses, values: HashMap::from([(0, Value { step: 0, flat: false })]) };
        for &index in needed.iter().filter(|&&index| index > 0) {
            let value = steps.lower(network, index)?;
            steps.values.insert(index, value);
        }
        // The stage's values are those of the last step.
        let end = steps.values[&last.0];
        if end.step + 1 != steps.steps.len() || matches!(steps.steps[end.step].kind, OpKind::Input) {
            let at = steps.pixels(end.step);
            steps.push(OpKind::Elementwise { affine: None }, vec![at], steps.steps[at].shape.clone());
        }
        Ok(steps)
    }

    fn push(&mut self, kind: OpKind, inputs: Vec<usize>, shape: Vec<usize>) -> usize {
        self.steps.push(Op { kind, inputs, addend: None, clip: None, dims: Dims::of(&shape), shape });
        self.steps.len() - 1
    }

    /// The step, with its channels side by side.
    fn pixels(&mut self, step: usize) -> usize {
        if step != 0 {
            return step;
        }
        let entered =
            self.steps.iter().position(|s| matches!(&s.kind, OpKind::Enter { scale, .. } if scale.is_empty()));
        let shape = self.steps[0].shape.clone();
        entered.unwrap_or_else(|| self.push(OpKind::Enter { scale: vec![], shift: vec![] }, vec![0], shape))
    }

    /// Where an input's values are, an image as an image and a vector as a vector.
    fn plainly(&mut self, node: NodeId) -> usize {
        let Value { step, flat } = self.values[&node.0];
        match flat && self.steps[step].dims.pixels() > 1 {
            true => {
                let count = self.steps[step].shape.iter().product();
                self.push(OpKind::Flatten, vec![step], vec![count])
            }
            false => step,
        }
    }

    fn lower(&mut self, network: &Network, index: usize) -> Result<Value> {
        let node = &network.nodes()[index];
        let shape = node.shape.clone();
        let only_use = |steps: &Self, node: NodeId| steps.uses[&node.0] == 1;
        let value = |step| Value { step, flat: false };
        let first = node.inputs[0];
        match &node.layer {
            Layer::Input => Err(Error::invalid("input", "is the first node")),
            Layer::Flatten => Ok(Value { step: self.pixels(self.values[&first.0].step), flat: true }),
            Layer::Relu(clip) => {
                let Value { step, flat } = self.values[&first.0];
                let at = self.pixels(step);
                let fits = !matches!(
                    self.steps[at].kind,
                    OpKind::Input | OpKind::Enter { .. } | OpKind::Reference(_) | OpKind::Flatten | OpKind::Concat
                );
                if fits && only_use(self, first) && self.steps[at].clip.is_none() {
                    self.steps[at].clip = Some(*clip);
                    return Ok(Value { step: at, flat });
                }
                let shape = self.steps[at].shape.clone();
                let step = self.push(OpKind::Elementwise { affine: None }, vec![at], shape);
                self.steps[step].clip = Some(*clip);
                Ok(Value { step, flat })
            }
            Layer::ChannelAffine(op) => {
                let step = self.plainly(first);
                let single = only_use(self, first);
                let input = &mut self.steps[step];
                if let (OpKind::Conv(layer) | OpKind::Depthwise(layer), None, None, true) =
                    (&mut input.kind, &input.clip, &input.addend, single)
                {
                    layer.fold(op.scale(), op.shift());
                    return Ok(value(step));
                }
                let affine = (op.scale().to_vec(), op.shift().to_vec());
                if step == 0 {
                    let (scale, shift) = affine;
                    return Ok(value(self.push(OpKind::Enter { scale, shift }, vec![0], shape)));
                }
                Ok(value(self.push(OpKind::Elementwise { affine: Some(affine) }, vec![step], shape)))
            }
            Layer::Conv2d(op) => {
                let step = self.plainly(first);
                let [outputs, depth, groups] = op.sizes_of_weight();
                let layer = || ConvLayer::new(op.weight(), op.bias(), op.window(), [outputs, depth]);
                let kind = match (groups, depth) {
                    (1, _) => OpKind::Conv(layer()),
                    (_, 1) if outputs == groups => OpKind::Depthwise(layer()),
                    _ => return Ok(value(self.push(OpKind::Reference(Arc::new(op.clone())), vec![step], shape))),
                };
                let step = self.pixels(step);
                Ok(value(self.push(kind, vec![step], shape)))
            }
            Layer::Linear(op) => {
                let step = self.pixels(self.values[&first.0].step);
                let Dims { channels, size } = self.steps[step].dims;
                // One window as large as the image; with this stride each pixel belongs to one tap.
                let window = Window::new(size).strides(size);
                let layer = ConvLayer::new(op.weight(), op.bias(), window, [shape[0], channels]);
                Ok(value(self.push(OpKind::Conv(layer), vec![step], shape)))
            }
            Layer::MaxPool2d(op) if op.is_simple() => {
                let step = self.plainly(first);
                let step = self.pixels(step);
                Ok(value(self.push(OpKind::MaxPool(op.window()), vec![step], shape)))
            }
            // The same sum as a convolution of each channel with equal weights.
            Layer::AvgPool2d(op) if op.is_simple() => {
                let step = self.plainly(first);
                let step = self.pixels(step);
                let taps = op.window().kernel[0] * op.window().kernel[1];
                let weight = vec![1.0 / taps as f32; shape[0] * taps].into();
                let layer = ConvLayer::new(&weight, None, op.window(), [shape[0], 1]);
                Ok(value(self.push(OpKind::Depthwise(layer), vec![step], shape)))
            }
            Layer::GlobalAvgPool(_) => {
                let step = self.plainly(first);
                let step = self.pixels(step);
                Ok(value(self.push(OpKind::Mean, vec![step], shape)))
            }
            Layer::Add => {
                let [a, b] = [self.plainly(first), self.plainly(node.inputs[1])].map(|step| self.pixels(step));
                // Added where the later of the two is computed, if that is computed for nothing else.
                let (early, late, node) = if a < b { (a, b, node.inputs[1]) } else { (b, a, first) };
                let at = &mut self.steps[late];
                let free = at.clip.is_none() && at.addend.is_none();
                if early != late
                    && free
                    && self.uses[&node.0] == 1
                    && matches!(at.kind, OpKind::Conv(_) | OpKind::Depthwise(_))
                {
                    at.addend = Some(early);
                    return Ok(value(late));
                }
                let step = self.push(OpKind::Elementwise { affine: None }, vec![early], shape);
                self.steps[step].addend = Some(late);
                Ok(value(step))
            }
            Layer::Concat => {
                let mut inputs = vec![];
                for &input in &node.inputs {
                    let step = self.plainly(input);
                    inputs.push(self.pixels(step));
                }
                Ok(value(self.push(OpKind::Concat, inputs, shape)))
            }
            other => {
                let step = self.plainly(first);
                let op = other.shared_op().ok_or_else(|| Error::invalid(other.name(), "cannot be compiled"))?;
                Ok(value(self.push(OpKind::Reference(op), vec![step], shape)))
            }
        }
    }
}
