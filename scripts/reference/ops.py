"""Writes PyTorch's values and gradients of the operations: tests/data/ops.safetensors and ops.json.

Inputs, weights and output gradients are drawn as float32 numbers; outputs and input gradients are computed from these
numbers in float64 and rounded to float32 at the end, so they are exact to half a unit in the last place.

    python scripts/reference/ops.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

DATA = Path(__file__).resolve().parents[2] / "tests" / "data"
Pair = tuple[int, int]
Pad = tuple[int, int, int, int]  # top, bottom, left, right
ONE: Pair = (1, 1)
NONE: Pad = (0, 0, 0, 0)


class Fixture:
    """The test cases: parameters for the JSON file, tensors for the safetensors file."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.tensors: dict[str, Tensor] = {}
        self.cases: list[dict[str, Any]] = []

    def normal(self, *shape: int) -> Tensor:
        """Draws standard normal float32 numbers and returns them as float64."""
        return torch.randn(*shape, generator=self.generator, dtype=torch.float32).double()

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=self.generator).double()

    def record(
        self,
        name: str,
        op: str,
        x: Tensor,
        run: Callable[[Tensor], Tensor],
        params: dict[str, Any],
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        note: str | None = None,
    ) -> None:
        """Runs a case forward and backward and records it."""
        assert name not in {c["name"] for c in self.cases}, name
        x = x.detach().requires_grad_(True)
        y = run(x)
        g = self.normal(*y.shape)
        (dx,) = torch.autograd.grad(y, x, g)
        kept = {"input": x, "weight": weight, "bias": bias, "output": y, "grad_output": g, "grad_input": dx}
        for key, value in kept.items():
            if value is not None:
                self.tensors[f"{name}.{key}"] = value.detach().float().contiguous()
        case: dict[str, Any] = {
            "name": name,
            "op": op,
            **params,
            "input_shape": list(x.shape),
            "output_shape": list(y.shape),
            "has_weight": weight is not None,
            "has_bias": bias is not None,
        }
        if note:
            case["note"] = note
        self.cases.append(case)

    def conv(
        self,
        name: str,
        shape: tuple[int, int, int, int],
        out: int,
        kernel: Pair,
        stride: Pair = ONE,
        dilation: Pair = ONE,
        padding: Pad = NONE,
        groups: int = 1,
        bias: bool = True,
        op: str = "conv2d",
    ) -> None:
        x = self.normal(*shape)
        weight = self.normal(out, shape[1] // groups, *kernel)
        b = self.normal(out) if bias else None
        top, bottom, left, right = padding

        def run(x: Tensor) -> Tensor:
            return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, b, stride, 0, dilation, groups)

        self.record(
            name,
            op,
            x,
            run,
            {"kernel": kernel, "stride": stride, "dilation": dilation, "padding": padding, "groups": groups},
            weight,
            b,
        )

    def max_pool(
        self,
        name: str,
        x: Tensor,
        kernel: Pair,
        stride: Pair,
        padding: Pair = (0, 0),
        dilation: Pair = ONE,
        ceil_mode: bool = False,
        note: str | None = None,
    ) -> None:
        """Records a max pooling; `padding` has one number per axis as in PyTorch, four in the JSON file."""

        def run(x: Tensor) -> Tensor:
            return F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)

        self.record(
            name,
            "max_pool2d",
            x,
            run,
            {
                "kernel": kernel,
                "stride": stride,
                "dilation": dilation,
                "padding": four_sides(padding),
                "ceil_mode": ceil_mode,
            },
            note=note,
        )

    def avg_pool(
        self,
        name: str,
        x: Tensor,
        kernel: Pair,
        stride: Pair,
        padding: Pair = (0, 0),
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        def run(x: Tensor) -> Tensor:
            return F.avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad)

        self.record(
            name,
            "avg_pool2d",
            x,
            run,
            {
                "kernel": kernel,
                "stride": stride,
                "padding": four_sides(padding),
                "ceil_mode": ceil_mode,
                "count_include_pad": count_include_pad,
            },
        )


def four_sides(padding: Pair) -> Pad:
    return (padding[0], padding[0], padding[1], padding[1])


def convolutions(f: Fixture) -> None:
    f.conv("conv_plain", (1, 3, 9, 7), 4, (3, 3))
    f.conv("conv_pad", (2, 3, 8, 11), 5, (3, 3), padding=(1, 1, 1, 1))
    f.conv("conv_nobias", (1, 5, 7, 10), 3, (3, 3), padding=(1, 1, 1, 1), bias=False)
    f.conv("conv_stride2_even", (1, 3, 10, 13), 4, (3, 3), (2, 2), padding=(0, 1, 0, 1), bias=False)
    f.conv("conv_stride2_pad1", (2, 4, 9, 12), 6, (3, 3), (2, 2), padding=(1, 1, 1, 1))
    f.conv("conv_stride_axes", (1, 2, 13, 17), 3, (3, 5), (2, 3), padding=(1, 1, 2, 2))
    f.conv("conv_stride_drops_border", (1, 2, 12, 14), 3, (2, 3), (4, 5))
    f.conv("conv_stride_over_kernel", (1, 3, 11, 13), 2, (2, 2), (3, 4))
    f.conv("conv_dilation", (1, 3, 13, 11), 4, (3, 3), dilation=(2, 3), padding=(2, 2, 3, 3))
    f.conv("conv_dilation_stride", (2, 2, 15, 12), 3, (3, 2), (2, 1), (3, 2), (3, 2, 1, 0))
    f.conv("conv_asym_pad", (1, 3, 8, 9), 4, (4, 5), (2, 2), padding=(1, 2, 0, 3))
    f.conv("conv_pad_over_kernel", (1, 2, 5, 6), 3, (2, 3), (2, 2), padding=(3, 0, 1, 4))
    f.conv("conv_kernel_is_input", (2, 3, 5, 4), 7, (5, 4))
    f.conv("conv_1d_row", (1, 3, 6, 15), 4, (1, 7), (1, 2), padding=(0, 0, 3, 2))
    f.conv("conv_1d_column", (1, 3, 15, 6), 4, (5, 1), (3, 1), padding=(2, 1, 0, 0), bias=False)
    f.conv("conv_7x7_stem", (1, 3, 21, 27), 4, (7, 7), (2, 2), padding=(3, 3, 3, 3), bias=False)
    f.conv("conv_cochcnn_stem", (1, 1, 23, 31), 3, (7, 14), (3, 3), padding=(2, 3, 5, 6), bias=False)
    f.conv("conv_winograd", (1, 8, 11, 14), 8, (3, 3), padding=(1, 1, 1, 1))
    f.conv("conv_groups2", (1, 4, 9, 8), 6, (3, 3), padding=(1, 1, 1, 1), groups=2)
    f.conv("conv_groups3_all", (2, 6, 11, 10), 9, (3, 2), (2, 3), (1, 2), (1, 0, 2, 1), groups=3, bias=False)
    f.conv("conv_groups_5x5_stride2", (1, 8, 12, 9), 4, (5, 5), (2, 2), padding=(2, 2, 2, 2), groups=4)
    for name, shape, out, kernel, stride, dilation, padding, bias in [
        ("depthwise_3x3", (1, 7, 10, 13), 7, (3, 3), (1, 1), ONE, (1, 1, 1, 1), True),
        ("depthwise_3x3_stride2_same", (1, 5, 12, 14), 5, (3, 3), (2, 2), ONE, (0, 1, 0, 1), True),
        ("depthwise_5x5_nobias", (2, 6, 9, 11), 6, (5, 5), (1, 1), ONE, (2, 2, 2, 2), False),
        ("depthwise_5x5_stride2_same", (1, 6, 14, 10), 6, (5, 5), (2, 2), ONE, (1, 2, 1, 2), True),
        ("depthwise_axes_dilated", (1, 4, 13, 12), 4, (3, 2), (2, 1), (1, 3), (1, 0, 0, 2), True),
        ("depthwise_wide", (1, 33, 6, 5), 33, (3, 3), (1, 1), ONE, (1, 1, 1, 1), True),
        ("depthwise_multiplier2", (1, 5, 9, 8), 10, (3, 3), (1, 1), ONE, (1, 1, 1, 1), True),
        ("depthwise_multiplier2_stride2", (2, 3, 10, 7), 6, (3, 4), (2, 2), ONE, (0, 1, 1, 2), False),
    ]:
        f.conv(name, shape, out, kernel, stride, dilation, padding, groups=shape[1], bias=bias, op="depthwise_conv2d")
    f.conv("pointwise", (1, 13, 7, 5), 9, ONE)
    f.conv("pointwise_nobias_batch2", (2, 6, 5, 8), 17, ONE, bias=False)
    f.conv("pointwise_stride2", (1, 8, 9, 10), 5, ONE, (2, 2))
    f.conv("pointwise_pad", (1, 3, 4, 5), 2, ONE, padding=(1, 0, 0, 2))
    f.conv("pointwise_one_pixel", (1, 12, 1, 1), 10, ONE)
    f.conv("pointwise_groups", (1, 6, 5, 7), 4, ONE, groups=2)


def linears(f: Fixture) -> None:
    for name, shape, out, bias in [
        ("linear", (1, 37), 11, True),
        ("linear_batch2_nobias", (2, 19), 23, False),
        ("linear_one_out", (2, 50), 1, True),
    ]:
        weight = f.normal(out, shape[1])
        b = f.normal(out) if bias else None
        f.record(name, "linear", f.normal(*shape), lambda x, w=weight, b=b: F.linear(x, w, b), {}, weight, b)


def pools(f: Fixture) -> None:
    f.max_pool("max_2x2", f.normal(1, 3, 8, 10), (2, 2), (2, 2))
    f.max_pool("max_2x2_drops_border", f.normal(2, 2, 9, 7), (2, 2), (2, 2))
    f.max_pool("max_3x3_stride2", f.normal(1, 3, 13, 11), (3, 3), (2, 2))
    f.max_pool("max_3x3_stride2_pad1", f.normal(1, 3, 12, 9), (3, 3), (2, 2), (1, 1))
    f.max_pool("max_3x3_stride2_ceil", f.normal(2, 2, 10, 14), (3, 3), (2, 2), ceil_mode=True)
    f.max_pool(
        "max_ceil_last_window_dropped",
        f.normal(1, 2, 6, 7),
        (2, 2),
        (4, 3),
        (1, 0),
        ceil_mode=True,
        note="ceil mode drops a last window that would start in the padding past the input's end",
    )
    f.max_pool("max_ceil_pad", f.normal(1, 2, 11, 8), (3, 3), (2, 3), (1, 1), ceil_mode=True)
    f.max_pool("max_axes", f.normal(1, 2, 11, 17), (2, 5), (2, 3), (1, 2))
    f.max_pool("max_2x5_stride2", f.normal(1, 2, 9, 16), (2, 5), (2, 2), (0, 2))
    f.max_pool("max_stride_over_kernel", f.normal(1, 3, 11, 13), (2, 2), (3, 4))
    f.max_pool("max_stride1_overlap", f.normal(1, 2, 6, 7), (3, 3), (1, 1), (1, 1))
    f.max_pool("max_dilated", f.normal(1, 2, 9, 11), (2, 3), (2, 1), (1, 1), (2, 2))
    f.max_pool(
        "max_all_negative_pad",
        -1.0 - f.integers(0, 97, 1, 2, 7, 6) / 8.0,
        (3, 3),
        (2, 2),
        (1, 1),
        note="padding counts as minus infinity, never as zero",
    )
    f.max_pool(
        "max_ties",
        f.integers(0, 3, 2, 2, 9, 11),
        (3, 3),
        (2, 2),
        (1, 1),
        note="integers 0..2, so most windows tie; the gradient goes wholly to the first maximum of the "
        "window in row-major order",
    )
    f.max_pool(
        "max_ties_constant",
        torch.zeros(1, 1, 6, 8, dtype=torch.float64),
        (2, 3),
        (2, 2),
        note="all equal: the top left element of each window gets the gradient",
    )
    f.avg_pool("avg_2x2", f.normal(1, 3, 8, 10), (2, 2), (2, 2))
    f.avg_pool("avg_2x2_drops_border", f.normal(2, 2, 9, 7), (2, 2), (2, 2))
    f.avg_pool("avg_3x3_stride2", f.normal(1, 3, 11, 8), (3, 3), (2, 2))
    f.avg_pool("avg_stride_over_kernel", f.normal(1, 2, 10, 12), (2, 3), (3, 4))
    for include in (True, False):
        suffix = "counted" if include else "not_counted"
        f.avg_pool(f"avg_pad_{suffix}", f.normal(1, 3, 9, 12), (3, 3), (2, 2), (1, 1), False, include)
        f.avg_pool(f"avg_ceil_{suffix}", f.normal(1, 2, 10, 8), (3, 3), (2, 2), (0, 0), True, include)
        f.avg_pool(f"avg_ceil_pad_{suffix}", f.normal(2, 2, 12, 9), (3, 4), (2, 3), (1, 2), True, include)
        f.avg_pool(f"avg_ceil_dropped_{suffix}", f.normal(1, 2, 6, 7), (2, 2), (4, 3), (1, 0), True, include)
    f.avg_pool("avg_axes", f.normal(1, 2, 9, 17), (2, 5), (2, 2), (1, 2), False, True)
    for name, shape in [("global_avg", (2, 5, 7, 9)), ("global_avg_one_pixel", (1, 4, 1, 1))]:
        f.record(name, "global_avg_pool2d", f.normal(*shape), lambda x: x.mean((2, 3), keepdim=True), {})


def activations(f: Fixture) -> None:
    """Records ReLU and ReLU6, whose gradients are 0 at exactly 0 and at exactly 6."""
    edges = torch.tensor([0.0, -0.0, 6.0, -6.0, 1e-30, -1e-30, 5.9999995, 6.0000005], dtype=torch.float32).double()
    for name, op, run in [("relu", "relu", F.relu), ("relu6", "relu6", F.relu6)]:
        x = 4.0 * f.normal(2, 3, 5, 7)
        x.view(-1)[::13] = edges.repeat(3)[: x.numel() // 13 + 1]
        f.record(
            name,
            op,
            x.float().double(),
            run,
            {},
            note="holds inputs of exactly 0, -0 and 6; gradient 0 at 0 and (relu6) at 6, as in PyTorch",
        )


def check_notes() -> None:
    """Checks the notes of the cases: the element that gets the gradient of a tie, and the gradients at 0 and 6."""
    for values, index in [([1.0, 1.0, 0.0, 1.0], 0), ([0.0, 1.0, 1.0, 1.0], 1), ([0.0, 0.0, 1.0, 1.0], 2)]:
        x = torch.tensor(values, dtype=torch.float64).view(1, 1, 2, 2).requires_grad_(True)
        F.max_pool2d(x, 2).sum().backward()
        assert x.grad is not None and x.grad.view(-1).nonzero().view(-1).tolist() == [index]
    for activation, at, wanted in [(F.relu, 0.0, 0.0), (F.relu6, 0.0, 0.0), (F.relu6, 6.0, 0.0)]:
        x = torch.tensor([at], dtype=torch.float64, requires_grad=True)
        activation(x).sum().backward()
        assert x.grad is not None and x.grad.item() == wanted


def main() -> None:
    torch.set_num_threads(1)
    check_notes()
    fixture = Fixture(seed=20260101)
    convolutions(fixture)
    linears(fixture)
    pools(fixture)
    activations(fixture)
    DATA.mkdir(parents=True, exist_ok=True)
    save_file(fixture.tensors, DATA / "ops.safetensors")
    (DATA / "ops.safetensors").chmod(0o644)
    lines = ",\n    ".join(json.dumps(case) for case in fixture.cases)
    (DATA / "ops.json").write_text(f'{{\n  "torch": "{torch.__version__}",\n  "cases": [\n    {lines}\n  ]\n}}\n')
    print(len(fixture.cases), "cases,", (DATA / "ops.safetensors").stat().st_size, "bytes")


if __name__ == "__main__":
    main()
