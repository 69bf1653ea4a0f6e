"""Writes small ONNX files and onnxruntime's activations: tests/data/onnx.

Two networks are exported by PyTorch, one by each of its exporters, and two are built with onnx.helper; together they
contain every operator that `Network::from_onnx` supports. `refused/` contains files that it refuses, and refused.json
the parts of their error messages. Needs torch, onnx, onnxruntime and onnxscript.

    python scripts/reference/onnx_networks.py
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from torch import Tensor, nn

DATA = Path(__file__).resolve().parents[2] / "tests" / "data" / "onnx"
STAGES = ("Relu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean")
MEAN, DEVIATION = (torch.tensor(v).reshape(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))

# The input shape of the refused files.
IMAGE = [1, 3, 8, 8]
# Files by name, and the parts that the error message must contain.
Refused = dict[str, tuple[onnx.ModelProto, list[str]]]


class Residual(nn.Module):
    """The features of ResNets and Inceptions: a dynamic shape, batch normalization that cannot be folded, branches."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.pool1 = nn.MaxPool2d(3, 2, 1)
        self.before = nn.BatchNorm2d(8)
        self.expand = nn.Conv2d(8, 12, 1)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False)
        self.bn2 = nn.BatchNorm2d(12)
        self.project = nn.Conv2d(12, 8, 1)
        self.across = nn.Conv2d(8, 6, (1, 7), padding=(0, 3))
        self.down = nn.Conv2d(6, 6, (7, 1), padding=(3, 0))
        self.pool2 = nn.AvgPool2d(3, 1, 1)
        self.pool3 = nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)
        self.grouped = nn.Conv2d(14, 8, 3, padding=2, dilation=2, groups=2)
        self.fc1 = nn.Linear(8 * 6 * 7, 10)
        self.drop = nn.Dropout()
        self.fc2 = nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(F.relu(self.bn1(self.conv1(x))))
        y = F.relu(self.before(x))
        y = F.relu6(self.expand(y))
        y = F.relu6(self.bn2(self.depthwise(y)))
        x = F.relu(x + self.project(y))
        x = torch.cat([F.relu(self.down(self.across(x))), self.pool2(x)], 1)
        x = F.relu(self.grouped(self.pool3(x)))
        x = x.view(x.size(0), -1)
        return F.softmax(self.fc2(self.drop(F.relu(self.fc1(x)))), 1)


class Mobile(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.depthwise = nn.Conv2d(8, 16, 5, padding=2, groups=8)
        self.head = nn.Conv2d(16, 20, 1)
        self.classifier = nn.Linear(20, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.bn(self.stem(x))))
        x = F.relu6(self.head(F.relu(self.depthwise(x))))
        return self.classifier(F.dropout(F.adaptive_avg_pool2d(x, 1).flatten(1), training=False))


def seeded(net: nn.Module) -> nn.Module:
    """Initializes a network from a fixed seed."""
    torch.manual_seed(7)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in [
                (module.weight, 0.7, 1.3),
                (module.bias, -0.2, 0.2),
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.7, 1.3),
            ]:
                nn.init.uniform_(values, low, high)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
    return net.eval().requires_grad_(False)


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Draws a tensor with He's variance."""
    return (rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)


def constant(name: str, values: np.ndarray, raw: bool = True) -> onnx.TensorProto:
    if raw:
        return numpy_helper.from_array(values, name)
    kind = helper.np_dtype_to_tensor_dtype(values.dtype)
    return helper.make_tensor(name, kind, values.shape, values.flatten())


def model(
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto],
    shape: list[int | str],
    opset: int = 17,
    outputs: tuple[str, ...] = ("out",),
    kind: int = TensorProto.FLOAT,
    inputs: tuple[str, ...] = ("in",),
) -> onnx.ModelProto:
    ins = [helper.make_tensor_value_info(name, kind, shape) for name in inputs]
    outs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 5]) for name in outputs]
    graph = helper.make_graph(nodes, "graph", ins, outs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def by_hand() -> onnx.ModelProto:
    """Builds a network with the operators and attributes that PyTorch's exporters do not write."""
    n = helper.make_node
    nodes = [
        n("Constant", [], ["two"], value_float=2.0),
        n("Mul", ["in", "two"], ["scaled"]),
        n("Sub", ["scaled", "mean"], ["centred"]),
        n("Div", ["centred", "deviation"], ["normal"]),
        n("Conv", ["normal", "w1", "b1"], ["c1"], "upper", auto_pad="SAME_UPPER", strides=[2, 2], kernel_shape=[3, 3]),
        n("Identity", ["c1"], ["i1"]),
        n("Clip", ["i1", "zero", "six"], ["r1"], "relu6"),
        n("Conv", ["r1", "w2"], ["c2"], "lower", auto_pad="SAME_LOWER", strides=[2, 1]),
        n("Relu", ["c2"], ["r2"], "relu2"),
        n("Pad", ["r2", "frame"], ["p2"], mode="constant"),
        n("MaxPool", ["p2"], ["m2"], "padded_max", kernel_shape=[3, 3], strides=[1, 1]),
        n("AveragePool", ["m2"], ["a2"], "inside", kernel_shape=[3, 3], auto_pad="SAME_UPPER"),
        n("AveragePool", ["a2"], ["a3"], "counted", kernel_shape=[2, 2], pads=[1, 0, 0, 1], count_include_pad=1),
        n("Sum", ["m2", "a2", "a3"], ["s"]),
        n("Sub", ["one", "s"], ["negative"]),
        n("Cast", ["negative"], ["n2"], to=TensorProto.FLOAT),
        n("Conv", ["n2", "w3"], ["c3"], "valid", auto_pad="VALID"),
        n("Relu", ["c3"], ["r3"], "relu3"),
        n("GlobalMaxPool", ["r3"], ["g1"], "largest"),
        n("GlobalAveragePool", ["r3"], ["g2"], "mean"),
        n("Concat", ["g1", "g2"], ["g"], axis=1),
        n("Conv", ["g", "w4", "b4"], ["pixel"], "one_pixel"),
        n("BatchNormalization", ["pixel", "scale", "shift", "m", "v"], ["bn"], epsilon=1e-3),
        n("Squeeze", ["bn", "spatial"], ["flat"]),
        n("Gemm", ["flat", "w5", "b5"], ["half"], alpha=0.5, beta=2.0),
        n("Unsqueeze", ["half", "behind"], ["wide"]),
        n("Shape", ["wide"], ["sizes"]),
        n("Gather", ["sizes", "first"], ["batch"]),
        n("Unsqueeze", ["batch", "at0"], ["batch1"]),
        n("Concat", ["batch1", "rest"], ["target"], axis=0),
        n("Reshape", ["wide", "target"], ["narrow"]),
        n("Dropout", ["narrow"], ["dropped"]),
        n("LogSoftmax", ["dropped"], ["out"], axis=-1),
    ]
    return model(nodes, by_hand_constants(), ["batch", 3, 17, 21])


def by_hand_constants() -> list[onnx.TensorProto]:
    rng = np.random.default_rng(3)

    def w(*shape: int) -> np.ndarray:
        return normal(rng, *shape)

    return [
        constant("mean", np.array([0.9, 1.0, 1.1], np.float32).reshape(1, 3, 1, 1)),
        constant("deviation", np.array([0.5, 0.6, 0.7], np.float64).reshape(3, 1, 1).astype(np.float32), raw=False),
        constant("w1", w(6, 3, 3, 3), raw=False),
        constant("b1", w(6, 1)[:, 0]),
        constant("zero", np.array(0, np.float32)),
        constant("six", np.array(1.5, np.float32)),
        constant("w2", w(8, 6, 2, 4)),
        constant("frame", np.array([0, 0, 1, 0, 0, 0, 1, 2], np.int64)),
        constant("one", np.array(1, np.float32)),
        constant("w3", w(7, 8, 2, 1)),
        constant("w4", w(9, 14, 1, 1)),
        constant("b4", w(9, 1)[:, 0]),
        constant("scale", w(9, 1)[:, 0]),
        constant("shift", w(9, 1)[:, 0]),
        constant("m", w(9, 1)[:, 0]),
        constant("v", np.abs(w(9, 1)[:, 0]) + 0.5),
        constant("spatial", np.array([2, -1], np.int64), raw=False),
        constant("w5", w(9, 5)),
        constant("b5", w(1, 5)),
        constant("behind", np.array([2], np.int64)),
        constant("first", np.array(0, np.int64)),
        constant("at0", np.array([0], np.int64)),
        constant("rest", np.array([-1], np.int64)),
    ]


def channels_last() -> onnx.ModelProto:
    """Builds a network as tf2onnx exports it: an old version of the operators, and some nodes with channels last."""
    rng = np.random.default_rng(4)

    def w(*shape: int) -> np.ndarray:
        return normal(rng, *shape)

    n = helper.make_node
    nodes = [
        n("Sub", ["in", "colours"], ["centred"]),
        n("Transpose", ["centred"], ["first"], perm=[0, 3, 1, 2]),
        n("Pad", ["first"], ["padded"], pads=[0, 0, 3, 2, 0, 0, 2, 3], mode="constant", value=0.0),
        n("Conv", ["padded", "w1"], ["c1"], kernel_shape=[5, 5], strides=[2, 2], pads=[0, 0, 0, 0]),
        n("Clip", ["c1"], ["r1"], min=0.0, max=3.4028234663852886e38),
        n("Pad", ["r1"], ["framed"], pads=[0, 0, 1, 1, 0, 0, 1, 1]),
        n("AveragePool", ["framed"], ["a1"], kernel_shape=[3, 3], strides=[2, 2]),
        n("Transpose", ["a1"], ["last"], perm=[0, 2, 3, 1]),
        n("Add", ["last", "shift"], ["shifted"]),
        n("Relu", ["shifted"], ["nhwc"]),
        n("ReduceMean", ["nhwc"], ["mean"], axes=[1, 2], keepdims=0),
        n("MatMul", ["mean", "w2"], ["product"]),
        n("Add", ["product", "b2"], ["sum"]),
        n("Reshape", ["sum", "shape"], ["reshaped"]),
        n("Softmax", ["reshaped"], ["out"], axis=1),
    ]
    constants = [
        constant("colours", np.array([0.1, 0.2, 0.3], np.float32)),
        constant("w1", w(8, 3, 5, 5)),
        constant("shift", w(8, 1)[:, 0]),
        constant("w2", w(8, 5)),
        constant("b2", w(5, 1)[:, 0]),
        constant("shape", np.array([-1, 5], np.int64)),
    ]
    return model(nodes, constants, ["batch", 18, 23, 3], opset=9)


def activations(file: onnx.ModelProto, x: np.ndarray) -> dict[str, Tensor]:
    """Computes each stage, named as in `Network::from_onnx`, with channels first and without a final softmax."""
    file = onnx.ModelProto.FromString(file.SerializeToString())
    out = file.graph.output[0].name
    last = next(node for node in file.graph.node if out in node.output)
    wanted = {node.name or node.output[0]: node.output[0] for node in file.graph.node if node.op_type in STAGES}
    wanted[out] = last.input[0] if "Softmax" in last.op_type else out
    del file.graph.output[:]
    file.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in sorted(set(wanted.values()))
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(file.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    values = dict(zip(names, session.run(names, {session.get_inputs()[0].name: x}), strict=True))
    found = {stage: torch.from_numpy(values[name]) for stage, name in wanted.items()}
    return {stage: v.permute(0, 3, 1, 2) if stage == "nhwc" else v for stage, v in found.items()}


def projection(y: Tensor) -> Tensor:
    """Returns the fixed tensor onto which y is projected."""
    return (((torch.arange(y.numel()) * 7919) % 1009).double() / 1008 - 0.5).reshape(y.shape)


def export(net: nn.Module, x: Tensor, path: Path, dynamo: bool) -> Tensor:
    """Exports a network; returns the gradient of the projected logits with respect to the image."""
    if dynamo:
        batch = {"dynamic_shapes": {"x": {0: torch.export.Dim("batch")}}, "external_data": False}
    else:
        batch = {"dynamic_axes": {"input": {0: "batch"}}}
    torch.onnx.export(net, (x,), path, dynamo=dynamo, input_names=["input"], output_names=["output"], **batch)
    logits = []
    last = [module for module in net.modules() if isinstance(module, nn.Linear)][-1]
    hook = last.register_forward_hook(lambda *args: logits.append(args[2]))
    x = x.double().requires_grad_()
    net.double()((x - MEAN) / DEVIATION)
    hook.remove()
    return torch.autograd.grad((logits[0] * projection(logits[0])).sum(), x)[0]


def remove_metadata(file: onnx.ModelProto) -> onnx.ModelProto:
    """Removes metadata, which contains file names of the machine that wrote the file."""
    for node in file.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del file.graph.metadata_props[:], file.metadata_props[:], file.graph.value_info[:], file.functions[:]
    for value in (*file.graph.input, *file.graph.output, *file.graph.initializer):
        del value.metadata_props[:]
    return file


def refused_operators() -> Refused:
    n = helper.make_node
    w = constant("w", np.ones((4, 3, 3, 3), np.float32))
    conv = n("Conv", ["in", "w"], ["c"], "conv")
    relu = n("Relu", ["r"], ["out"], "end")

    def after_conv(node: onnx.NodeProto, *constants: onnx.TensorProto) -> onnx.ModelProto:
        return model([conv, node, relu], [w, *constants], IMAGE)

    padding = constant("p", np.array([0, 0, 1, 1] * 2, np.int64))
    return {
        "operator": (
            after_conv(n("Sigmoid", ["c"], ["r"], "squash")),
            ["node 2 of 3", "Sigmoid", "squash", "BatchNormalization"],
        ),
        "attribute": (
            model([n("Conv", ["in", "w"], ["r"], "conv", activation=1), relu], [w], IMAGE),
            ["node 1 of 2", "activation", "kernel_shape"],
        ),
        "clip": (
            after_conv(n("Clip", ["c", "low"], ["r"]), constant("low", np.array(-1, np.float32))),
            ["node 2", "Clip", "-1"],
        ),
        "two_tensors": (after_conv(n("Mul", ["c", "c"], ["r"], "gate")), ["gate", "Mul of two tensors"]),
        "softmax": (after_conv(n("Softmax", ["c"], ["r"])), ["Softmax", "at the end only"]),
        "domain": (after_conv(n("Gelu", ["c"], ["r"], domain="com.microsoft")), ["com.microsoft"]),
        "reflected": (
            after_conv(
                n("Pad", ["c", "p"], ["r"], mode="reflect"),
                padding,
            ),
            ["reflect"],
        ),
        "padded_relu": (
            after_conv(n("Pad", ["c", "p"], ["r"]), padding),
            ["cannot follow a Pad"],
        ),
        "channel_mean": (after_conv(n("ReduceMean", ["c"], ["r"], axes=[1])), ["ReduceMean", "axes = [1]"]),
        "unsorted": (
            model([relu, n("Relu", ["out"], ["r"])], [], IMAGE),
            ["node 1 of 2", "computed by no node before it"],
        ),
        "shapes": (after_conv(n("Add", ["c", "in"], ["r"])), ["[4, 6, 6]", "[3, 8, 8]"]),
        "per_pixel": (
            after_conv(n("Add", ["c", "p"], ["r"]), constant("p", np.ones((6, 6), np.float32))),
            ["each channel"],
        ),
        "indices": (after_conv(n("MaxPool", ["c"], ["m", "r"], kernel_shape=[2, 2])), ['"r" is computed by no node']),
        "huge_padding": (
            after_conv(n("MaxPool", ["c"], ["r"], kernel_shape=[2, 2], pads=[2**40] * 4)),
            ["pads", str(2**40)],
        ),
        "huge_image": (model([n("Conv", ["in", "w"], ["r"], pads=[2**23] * 4), relu], [w], IMAGE), ["padding above"]),
        "small_input": (model([n("Conv", ["in", "w"], ["r"]), relu], [w], [1, 3, 2, 2]), ["window", "height"]),
        "flatten": (after_conv(n("Flatten", ["c"], ["r"], axis=2)), ["axis = 2"]),
        "vectors": (
            after_conv(n("MatMul", ["c", "m"], ["r"]), constant("m", np.ones((6, 6), np.float32))),
            ["takes a vector"],
        ),
    }


def refused_constants() -> Refused:
    conv = helper.make_node("Conv", ["in", "w"], ["out"])
    truncated = numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")
    truncated.raw_data = truncated.raw_data[:-4]
    external = numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")
    onnx.external_data_helper.set_external_data(external, "weights.bin")
    external.ClearField("raw_data")
    nan = np.ones((4, 3, 3, 3), np.float32)
    nan[1, 2, 1, 1] = np.nan
    return {
        "short": (model([conv], [truncated], IMAGE), ['"w"', "107 values", "[4, 3, 3, 3]"]),
        "external": (
            model([conv], [external], IMAGE),
            ['"w"', "save_as_external_data=False"],
        ),
        "nan": (model([conv], [constant("w", nan)], IMAGE), ['"w"', "not finite"]),
        "int8": (
            model([conv], [constant("w", np.ones((4, 3, 3, 3), np.int8))], IMAGE),
            ["type 3", "float32"],
        ),
        "line": (
            model([conv], [constant("w", np.ones((4, 3, 3), np.float32))], IMAGE),
            ["images"],
        ),
    }


def refused_inputs() -> Refused:
    w = constant("w", np.ones((4, 3, 3, 3), np.float32))
    conv = helper.make_node("Conv", ["in", "w"], ["c"], "conv")
    return {
        "bytes": (model([conv], [w], IMAGE, kind=TensorProto.UINT8, outputs=("c",)), ['input "in"', "type 2"]),
        "open_size": (
            model([conv], [w], [1, 3, "height", "width"], outputs=("c",)),
            ["height open", "OnnxOptions::size"],
        ),
        "open_channels": (model([conv], [w], [1, "c", 8, 8], outputs=("c",)), ["channels open"]),
        "waveform": (model([conv], [w], [1, 16000], outputs=("c",)), ["2 axes"]),
        "two_inputs": (
            model([helper.make_node("Add", ["in", "other"], ["out"])], [], IMAGE, inputs=("in", "other")),
            ["2 inputs", "other"],
        ),
        "old": (model([conv], [w], IMAGE, opset=6, outputs=("c",)), ["version 6"]),
        "four_channels": (
            model([conv], [w], [1, 4, 8, 8], outputs=("c",)),
            ["4 channels", "3 channels (color) or 1 (grey)"],
        ),
    }


def main() -> None:
    shutil.rmtree(DATA, ignore_errors=True)
    (DATA / "refused").mkdir(parents=True)
    tensors: dict[str, Tensor] = {}
    for name, net, size, dynamo in [("residual", Residual(), (41, 52), False), ("mobile", Mobile(), (30, 27), True)]:
        torch.manual_seed(11)
        x = torch.rand(2, 3, *size)
        path = DATA / f"{name}.onnx"
        tensors[f"{name}.x"] = x
        tensors[f"{name}.gradient"] = export(seeded(net), x, path, dynamo).float()
        file = remove_metadata(onnx.load(path))
        onnx.save(file, path)
        for stage, values in activations(file, ((x - MEAN) / DEVIATION).numpy()).items():
            tensors[f"{name}:{stage}"] = values
    for name, file, size, prepared in [
        ("by_hand", by_hand(), (17, 21), lambda x: x),
        # BGR in [-1, 1], channels last.
        ("channels_last", channels_last(), (18, 23), lambda x: (2 * x.flip(1) - 1).permute(0, 2, 3, 1)),
    ]:
        torch.manual_seed(12)
        x = torch.rand(2, 3, *size)
        tensors[f"{name}.x"] = x
        onnx.checker.check_model(file)
        onnx.save(file, DATA / f"{name}.onnx")
        for stage, values in activations(file, prepared(x).contiguous().numpy()).items():
            tensors[f"{name}:{stage}"] = values
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, DATA / "activations.safetensors")
    messages = {}
    cases = refused_operators() | refused_constants() | refused_inputs()
    for name, (file, parts) in cases.items():
        (DATA / "refused" / f"{name}.onnx").write_bytes(file.SerializeToString())
        messages[name] = parts
    (DATA / "refused.json").write_text(json.dumps(messages, indent=1) + "\n")
    for path in DATA.rglob("*"):
        if path.is_file():
            path.chmod(0o644)


if __name__ == "__main__":
    main()
