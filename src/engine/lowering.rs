//! Lowering of a network, up to a stage, to a list of fused operations.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use super::geometry;
use super::kernel::depthwise::Depthwise;
use super::kernel::gemm::Gemm;
use super::kernel::winograd::{Scheme, Tiles, Winograd};
use super::simd::LANES;
use crate::network::{Layer, Network, Node, NodeId, ancestors};
use crate::ops::{AvgPool2d, ChannelAffine, Conv2d, FrozenOp, GlobalAvgPool, Linear, MaxPool2d, Relu, Window};
use crate::{Error, Result};

/// The maximum number of taps of a pool with a kernel: each tap of a max pool takes a mask for each output, and each of an average pool a
/// weight for each channel.
const MAX_POOL_TAPS: usize = 4096;

/// Channels, height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dims {
    pub channels: usize,
    pub size: [usize; 2],
}

impl Dims {
    fn from_shape(shape: &[usize]) -> Self {
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

/// An operation that computes one tensor from those of earlier operations, which are given by their indices in the list.
pub(super) struct Op {
    pub kind: OpKind,
    pub inputs: Vec<usize>,
    /// A tensor of the same shape that is added before the ReLU.
    pub addend: Option<usize>,
    pub relu: Option<Relu>,
    pub dims: Dims,
    /// The node's shape in the network, without the batch.
    pub shape: Vec<usize>,
}

pub(super) enum OpKind {
    /// The network's input, NCHW.
    Input,
    /// The input converted to NHWC, with a per-channel scale and shift.
    LoadInput {
        scale: Vec<f32>,
        shift: Vec<f32>,
    },
    /// A dense convolution or a fully connected layer.
    Conv(ConvLayer),
    /// A depthwise convolution.
    Depthwise(ConvLayer),
    MaxPool(Window),
    GlobalAvgPool,
    /// A copy, or `x * scale + shift` for each channel.
    Elementwise {
        affine: Option<(Vec<f32>, Vec<f32>)>,
    },
    /// Concatenation along the channels.
    Concat,
    /// An operation without a kernel, which runs as in the layer-by-layer run.
    Reference(Arc<dyn FrozenOp>),
    /// The values in NCHW order as one vector.
    Flatten,
}

/// A layer with weights `[outputs, depth, height, width]`, bias, and the affine layers folded into it.
pub(super) struct ConvLayer {
    pub window: Window,
    pub outputs: usize,
    pub depth: usize,
    weight: Arc<[f32]>,
    bias: Vec<f32>,
    /// A factor for each output channel.
    scale: Vec<f32>,
    /// Packed weights, created when a program first needs them and shared by all programs.
    pub forward: OnceLock<Arc<Gemm>>,
    pub backward: OnceLock<Arc<Gemm>>,
    /// Transformed weights, forward and backward, for each scheme.
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

    /// Folds a following affine layer into the weights and the bias.
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

    /// Returns whether this is a 1 x 1 convolution with stride 1 and no padding.
    pub fn is_pointwise(&self) -> bool {
        self.window.kernel == [1, 1] && self.window.stride == [1, 1] && self.window.padding == Default::default()
    }

    /// Packed weights of the forward pass.
    pub fn forward(&self, output: [usize; 2]) -> Arc<Gemm> {
        let pack = || {
            let phases = geometry::forward(&self.window, output);
            Gemm::pack(phases, [self.outputs, self.depth], |o, i, tap| self.weight(o, i, tap)).into()
        };
        self.forward.get_or_init(pack).clone()
    }

    /// Packed weights of the backward pass.
    pub fn backward(&self, input: [usize; 2]) -> Arc<Gemm> {
        let pack = || {
            let phases = geometry::backward(&self.window, input);
            Gemm::pack(phases, [self.depth, self.outputs], |i, o, tap| self.weight(o, i, tap)).into()
        };
        self.backward.get_or_init(pack).clone()
    }

    /// Weights from the gradient of an output to columns `[tap][channel]`, for [`Col2im`](super::kernel::col2im::Col2im).
    /// `scale` holds a factor for each input channel, or is empty.
    pub fn columns(&self, scale: &[f32]) -> Arc<Gemm> {
        let pack = || {
            let factor = |i: usize| scale.get(i).copied().unwrap_or(1.0);
            let phases = geometry::forward(&Window::new([1, 1]), [1, 1]);
            let weight = |n: usize, o: usize, _| {
                let (tap, i) = (n / self.depth, n % self.depth);
                self.weight(o, i, tap) * factor(i)
            };
            Gemm::pack(phases, [self.num_columns(), self.outputs], weight).into()
        };
        self.backward.get_or_init(pack).clone()
    }

    /// The number of taps times input channels.
    pub fn num_columns(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1] * self.depth
    }

    /// The cheapest Winograd scheme for outputs of this size, or `None` if direct convolution is cheaper.
    ///
    /// The cost model counts multiplications for each pair of channels. A transform costs about six multiplications a value,
    /// and reading a weight from main memory about sixteen, which dominates with few tiles.
    pub fn winograd_scheme(&self, batch: usize, output: [usize; 2]) -> Option<Scheme> {
        const TRANSFORM_COST: f64 = 6.0;
        const WEIGHT_COST: usize = 16;
        let Window { kernel, stride, dilation, padding } = self.window;
        let pads = [padding.top, padding.bottom, padding.left, padding.right];
        if stride != [1, 1] || dilation != [1, 1] || self.outputs.min(self.depth) < LANES {
            return None;
        }
        let channels = 1.0 + TRANSFORM_COST / self.outputs as f64 + TRANSFORM_COST / self.depth as f64;
        let cost = |scheme: Scheme| {
            let tiles = Tiles::new(scheme, batch, output).count as f64;
            scheme.points() as f64 * (tiles * channels + WEIGHT_COST as f64)
        };
        let direct = (kernel[0] * kernel[1] * (batch * output[0] * output[1] + WEIGHT_COST)) as f64;
        let fits = |scheme: &Scheme| kernel == [scheme.taps(); 2] && pads.iter().all(|&pad| pad < scheme.taps());
        let best = Scheme::ALL.into_iter().filter(fits).min_by(|a, b| cost(*a).total_cmp(&cost(*b)))?;
        (cost(best) < direct).then_some(best)
    }

    /// Transformed weights of the forward pass.
    pub fn winograd(&self, scheme: Scheme) -> Arc<Winograd> {
        let padding = self.window.padding;
        let pack = || {
            let before = [padding.top, padding.left];
            Winograd::pack(scheme, [self.outputs, self.depth], before, |o, i, tap| self.weight(o, i, tap)).into()
        };
        self.winograd[0][scheme as usize].get_or_init(pack).clone()
    }

    /// Weights from the gradient of the outputs to that of the inputs: the kernel rotated by 180 degrees.
    pub fn winograd_backward(&self, scheme: Scheme) -> Arc<Winograd> {
        let (padding, last) = (self.window.padding, scheme.taps() - 1);
        let pack = || {
            let before = [last - padding.top, last - padding.left];
            let rotated = |tap| scheme.taps() * scheme.taps() - 1 - tap;
            Winograd::pack(scheme, [self.depth, self.outputs], before, |i, o, tap| self.weight(o, i, rotated(tap)))
                .into()
        };
        self.winograd[1][scheme as usize].get_or_init(pack).clone()
    }

    /// Packed weights of a depthwise convolution, forward and backward.
    pub fn depthwise(&self, input: [usize; 2], output: [usize; 2]) -> [Depthwise; 2] {
        let taps = self.window.kernel[0] * self.window.kernel[1];
        let pack = |phases| Depthwise::pack(phases, self.outputs, taps, |channel, tap| self.weight(channel, 0, tap));
        [pack(geometry::forward(&self.window, output)), pack(geometry::backward(&self.window, input))]
    }
}

/// The location of a node's values.
#[derive(Clone, Copy)]
struct Value {
    /// Index of the operation that computes them.
    op: usize,
    /// `true` if the node is a vector, but the operation's output is an image.
    flat: bool,
}

impl Value {
    fn new(op: usize) -> Self {
        Self { op, flat: false }
    }
}

/// A network lowered to operations.
pub(super) struct Lowering {
    pub ops: Vec<Op>,
    /// The operations whose outputs are stored, in the order of the nodes that were asked for.
    pub taps: Vec<usize>,
    uses: HashMap<usize, usize>,
    /// The inputs of the flattened nodes, whose values are those of the same operation.
    flattened: HashMap<usize, NodeId>,
    values: HashMap<usize, Value>,
}

impl Lowering {
    /// Lowers the nodes that the `taps` depend on.
    pub fn new(network: &Network, taps: &[NodeId]) -> Result<Self> {
        let nodes = network.nodes();
        let needed: BTreeSet<usize> = taps.iter().flat_map(|&tap| ancestors(nodes, tap)).collect();
        let mut uses: HashMap<usize, usize> = HashMap::new();
        let inputs = needed.iter().flat_map(|&index| &nodes[index].inputs);
        inputs.chain(taps).for_each(|node| *uses.entry(node.0).or_default() += 1);
        let flat = needed.iter().filter(|&&index| matches!(nodes[index].layer, Layer::Flatten));
        let flattened = flat.map(|&index| (index, nodes[index].inputs[0])).collect();
        let shape = network.input().shape();
        let dims = Dims::from_shape(&shape);
        let input = Op { kind: OpKind::Input, inputs: vec![], addend: None, relu: None, dims, shape };
        let values = HashMap::from([(0, Value::new(0))]);
        let mut lowering = Self { ops: vec![input], taps: vec![], uses, flattened, values };
        for &index in needed.iter().filter(|&&index| index > 0) {
            let value = lowering.lower(&nodes[index])?;
            lowering.values.insert(index, value);
        }
        for tap in taps {
            // The bare input has no buffer.
            let op = lowering.nhwc(lowering.values[&tap.0].op);
            lowering.taps.push(op);
        }
        Ok(lowering)
    }

    fn push(&mut self, kind: OpKind, inputs: Vec<usize>, shape: Vec<usize>) -> usize {
        let dims = Dims::from_shape(&shape);
        self.ops.push(Op { kind, inputs, addend: None, relu: None, dims, shape });
        self.ops.len() - 1
    }

    /// The operation whose output is that of `op` in NHWC: `op`, except for the network's input, which is loaded.
    fn nhwc(&mut self, op: usize) -> usize {
        if op != 0 {
            return op;
        }
        let loaded =
            self.ops.iter().position(|op| matches!(&op.kind, OpKind::LoadInput { scale, .. } if scale.is_empty()));
        let shape = self.ops[0].shape.clone();
        loaded.unwrap_or_else(|| self.push(OpKind::LoadInput { scale: vec![], shift: vec![] }, vec![0], shape))
    }

    /// The operation whose output has a node's values in the node's own shape; flattens the image of a node that is a vector.
    fn in_own_shape(&mut self, node: NodeId) -> usize {
        let Value { op, flat } = self.values[&node.0];
        match flat && self.ops[op].dims.pixels() > 1 {
            true => {
                let count = self.ops[op].shape.iter().product();
                self.push(OpKind::Flatten, vec![op], vec![count])
            }
            false => op,
        }
    }

    /// [`Lowering::in_own_shape`], also for an image of one pixel, whose values are those of the vector: an operation of the network's own
    /// sees the shape.
    fn in_exact_shape(&mut self, node: NodeId) -> usize {
        let op = self.in_own_shape(node);
        match self.values[&node.0].flat && self.ops[op].shape.len() != 1 {
            true => {
                let count = self.ops[op].shape.iter().product();
                self.push(OpKind::Flatten, vec![op], vec![count])
            }
            false => op,
        }
    }

    /// [`Lowering::in_own_shape`], in NHWC.
    fn operand(&mut self, node: NodeId) -> usize {
        let op = self.in_own_shape(node);
        self.nhwc(op)
    }

    /// Returns whether the values of a node's operation are used once.
    fn is_only_use(&self, node: NodeId) -> bool {
        self.uses[&node.0] == 1 && self.flattened.get(&node.0).is_none_or(|&input| self.is_only_use(input))
    }

    fn lower(&mut self, node: &Node) -> Result<Value> {
        let shape = node.shape.clone();
        let input = node.inputs[0];
        let layer = &node.layer;
        match layer {
            Layer::Input => Err(Error::invalid("input", "must be the first node")),
            Layer::Flatten => Ok(self.lower_flatten(input)),
            Layer::Add => Ok(self.lower_add([input, node.inputs[1]], shape)),
            Layer::Concat => {
                let inputs = node.inputs.iter().map(|&input| self.operand(input)).collect();
                Ok(Value::new(self.push(OpKind::Concat, inputs, shape)))
            }
            _ => {
                if let Some(value) = self.lower_op(layer, input, &shape) {
                    return Ok(value);
                }
                let op = self.in_exact_shape(input);
                let reference = layer.shared_op().ok_or_else(|| Error::invalid(layer.name(), "cannot be compiled"))?;
                Ok(Value::new(self.push(OpKind::Reference(reference), vec![op], shape)))
            }
        }
    }

    /// Lowers an operation for which the engine has a kernel; `None` for others.
    fn lower_op(&mut self, layer: &Layer, input: NodeId, shape: &[usize]) -> Option<Value> {
        let shape = shape.to_vec();
        let has_few_taps = |window: Window| window.kernel[0].saturating_mul(window.kernel[1]) <= MAX_POOL_TAPS;
        let max_pool = layer.as_op::<MaxPool2d>().filter(|pool| pool.is_simple() && has_few_taps(pool.window()));
        let avg_pool = layer.as_op::<AvgPool2d>().filter(|pool| pool.is_simple() && has_few_taps(pool.window()));
        if let Some(relu) = layer.relu() {
            Some(self.lower_relu(relu, input))
        } else if let Some(affine) = layer.as_op() {
            Some(self.lower_affine(affine, input, shape))
        } else if let Some(conv) = layer.as_op() {
            Some(self.lower_conv(conv, input, shape))
        } else if let Some(linear) = layer.as_op() {
            Some(self.lower_linear(linear, input, shape))
        } else if let Some(pool) = max_pool {
            let op = self.operand(input);
            Some(Value::new(self.push(OpKind::MaxPool(pool.window()), vec![op], shape)))
        } else if let Some(pool) = avg_pool {
            Some(self.lower_avg_pool(pool, input, shape))
        } else if layer.as_op::<GlobalAvgPool>().is_some() {
            let op = self.operand(input);
            Some(Value::new(self.push(OpKind::GlobalAvgPool, vec![op], shape)))
        } else {
            None
        }
    }

    fn lower_flatten(&mut self, input: NodeId) -> Value {
        Value { op: self.nhwc(self.values[&input.0].op), flat: true }
    }

    /// Fuses a ReLU into the operation before it where that has an epilogue.
    fn lower_relu(&mut self, relu: Relu, input: NodeId) -> Value {
        let Value { op, flat } = self.values[&input.0];
        let op = self.nhwc(op);
        let has_epilogue = !matches!(
            self.ops[op].kind,
            OpKind::Input | OpKind::LoadInput { .. } | OpKind::Reference(_) | OpKind::Flatten | OpKind::Concat
        );
        if has_epilogue && self.is_only_use(input) && self.ops[op].relu.is_none() {
            self.ops[op].relu = Some(relu);
            return Value { op, flat };
        }
        let shape = self.ops[op].shape.clone();
        let op = self.push(OpKind::Elementwise { affine: None }, vec![op], shape);
        self.ops[op].relu = Some(relu);
        Value { op, flat }
    }

    /// Folds an affine layer into the convolution before it, or applies it while the input is loaded.
    fn lower_affine(&mut self, affine: &ChannelAffine, input: NodeId, shape: Vec<usize>) -> Value {
        let op = self.in_own_shape(input);
        if self.ops[op].dims.channels != affine.scale().len() {
            // Of a tensor with more than two dimensions beside the channels, all are channels to the engine.
            return Value::new(self.push(OpKind::Reference(Arc::new(affine.clone())), vec![op], shape));
        }
        let (is_only_use, flat) = (self.is_only_use(input), self.values[&input.0].flat);
        let before = &mut self.ops[op];
        if let (OpKind::Conv(layer) | OpKind::Depthwise(layer), None, None, true) =
            (&mut before.kind, &before.relu, &before.addend, is_only_use)
        {
            layer.fold(affine.scale(), affine.shift());
            return Value { op, flat };
        }
        let (scale, shift) = (affine.scale().to_vec(), affine.shift().to_vec());
        let kind = match op {
            0 => OpKind::LoadInput { scale, shift },
            _ => OpKind::Elementwise { affine: Some((scale, shift)) },
        };
        Value::new(self.push(kind, vec![op], shape))
    }

    fn lower_conv(&mut self, conv: &Conv2d, input: NodeId, shape: Vec<usize>) -> Value {
        let op = self.in_own_shape(input);
        let [outputs, depth, groups] = conv.sizes_of_weight();
        let layer = || ConvLayer::new(conv.weight(), conv.bias(), conv.window(), [outputs, depth]);
        let kind = match (groups, depth) {
            (1, _) => OpKind::Conv(layer()),
            (_, 1) if outputs == groups => OpKind::Depthwise(layer()),
            _ => return Value::new(self.push(OpKind::Reference(Arc::new(conv.clone())), vec![op], shape)),
        };
        let op = self.nhwc(op);
        Value::new(self.push(kind, vec![op], shape))
    }

    /// A fully connected layer is a convolution whose one window covers the image.
    fn lower_linear(&mut self, linear: &Linear, input: NodeId, shape: Vec<usize>) -> Value {
        let op = self.nhwc(self.values[&input.0].op);
        let Dims { channels, size } = self.ops[op].dims;
        // With this stride, backward, each pixel belongs to one tap.
        let window = Window::new(size).strides(size);
        let layer = ConvLayer::new(linear.weight(), linear.bias(), window, [shape[0], channels]);
        Value::new(self.push(OpKind::Conv(layer), vec![op], shape))
    }

    /// An average pool is a depthwise convolution with equal weights.
    fn lower_avg_pool(&mut self, pool: &AvgPool2d, input: NodeId, shape: Vec<usize>) -> Value {
        let op = self.operand(input);
        let taps = pool.window().kernel[0] * pool.window().kernel[1];
        let weight = vec![1.0 / taps as f32; shape[0] * taps].into();
        let layer = ConvLayer::new(&weight, None, pool.window(), [shape[0], 1]);
        Value::new(self.push(OpKind::Depthwise(layer), vec![op], shape))
    }

    /// Fuses a sum into the convolution that computes the later of its two operands, if nothing else uses that.
    fn lower_add(&mut self, nodes: [NodeId; 2], shape: Vec<usize>) -> Value {
        let [a, b] = nodes.map(|node| self.in_own_shape(node)).map(|op| self.nhwc(op));
        let (early, late, late_node) = if a < b { (a, b, nodes[1]) } else { (b, a, nodes[0]) };
        let (is_only_use, flat) = (self.is_only_use(late_node), self.values[&late_node.0].flat);
        let op = &mut self.ops[late];
        let is_open = op.relu.is_none() && op.addend.is_none();
        if early != late && is_open && is_only_use && matches!(op.kind, OpKind::Conv(_) | OpKind::Depthwise(_)) {
            op.addend = Some(early);
            return Value { op: late, flat };
        }
        let sum = self.push(OpKind::Elementwise { affine: None }, vec![early], shape);
        self.ops[sum].addend = Some(late);
        Value::new(sum)
    }
}
