"""CochCNN9 (Feather et al. 2023) with narrower layers, and its twin with reduced aliasing."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (32, 64, 128, 128, 64)  # CochCNN9 has 96, 256, 512, 1024, 512
HIDDEN = 256  # and 4096
STAGES = ("cochleagram", "relu0", "relu1", "relu2", "relu3", "relu4", "avgpool", "relufc", "final")


def pad_same(x: Tensor, kernel: tuple[int, ...], stride: int, value: float = 0.0) -> Tensor:
    """Padding as TensorFlow's SAME has it: ceil(size / stride) outputs, the odd row or column at the end."""
    pads: list[int] = []
    for size, width in zip(reversed(x.shape[-2:]), reversed(kernel), strict=True):
        total = max((math.ceil(size / stride) - 1) * stride + width - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)


def hann(taps: int) -> Tensor:
    """The outer product of two Hann windows of `taps` taps without their zero ends, summing to 1."""
    k = torch.arange(1, taps - 1, dtype=torch.float64)
    window = torch.sin(math.pi * k / (taps - 1)) ** 2
    square = torch.outer(window, window)
    return (square / square.sum()).float()


class Conv(nn.Module):
    """A convolution without bias; with `taps`, one at stride 1 followed by a Hann pooling with the stride.

    Both steps are linear, so together they are one convolution with the stride, whose kernel is the convolution of
    the two: that one is computed, and stored when the network is exported.
    """

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int], stride: int, taps: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, *kernel))
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")
        self.stride = stride
        self.register_buffer("window", hann(taps) if taps else None, persistent=False)

    def kernel(self) -> Tensor:
        """The weights that meet the input."""
        if self.window is None:
            return self.weight
        outputs, inputs, height, width = self.weight.shape
        flat = self.weight.reshape(outputs * inputs, 1, height, width)
        n = self.window.shape[0]
        full = F.conv2d(flat, self.window.flip(0, 1)[None, None], padding=(n - 1, n - 1))
        return full.reshape(outputs, inputs, height + n - 1, width + n - 1)

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.kernel()
        return F.conv2d(pad_same(x, tuple(kernel.shape[-2:]), self.stride), kernel, stride=self.stride)


class CochCNN9(nn.Module):
    """[batch, 211, 390] cochleagrams to [batch, classes] logits.

    With `reduced_aliasing`, every strided convolution is followed by a Hann pooling that takes the stride over (12
    taps for stride 3, 8 for stride 2), and a Hann pooling of 8 taps stands in the place of each max pool.
    """

    def __init__(self, classes: int, reduced_aliasing: bool = False) -> None:
        super().__init__()
        self.reduced_aliasing = reduced_aliasing
        a, b, c, d, e = WIDTHS
        self.batchnorm0 = nn.BatchNorm2d(1)
        self.conv0 = Conv(1, a, (7, 14), 3, 12 * reduced_aliasing)
        self.batchnorm1 = nn.BatchNorm2d(a)
        self.conv1 = Conv(a, b, (4, 8), 2, 8 * reduced_aliasing)
        self.batchnorm2 = nn.BatchNorm2d(b)
        self.conv2 = Conv(b, c, (2, 5), 1)
        self.conv3 = Conv(c, d, (2, 5), 1)
        self.conv4 = Conv(d, e, (2, 5), 1)
        self.fullyconnected = nn.Linear(e * 5 * 9, HIDDEN)
        nn.init.kaiming_uniform_(self.fullyconnected.weight, nonlinearity="relu")
        self.classification = nn.Linear(HIDDEN, classes)
        self.register_buffer("window", hann(8) if reduced_aliasing else None, persistent=False)

    def pool(self, x: Tensor) -> Tensor:
        """The pooling after the first two stages: the largest of 2 x 5, or a Hann-weighted mean, stride 2."""
        if self.window is None:
            return F.max_pool2d(pad_same(x, (2, 5), 2, -math.inf), (2, 5), 2)
        channels, n = x.shape[1], self.window.shape[0]
        kernel = self.window.expand(channels, 1, n, n)
        return F.conv2d(pad_same(x, (n, n), 2), kernel, stride=2, groups=channels)

    def forward(self, x: Tensor, keep: Callable[[str, Tensor], None] = lambda stage, value: None) -> Tensor:
        keep("cochleagram", x)
        x = self.batchnorm0(x.unsqueeze(1))
        x = F.relu(self.conv0(x))
        keep("relu0", x)
        x = F.relu(self.conv1(self.batchnorm1(self.pool(x))))
        keep("relu1", x)
        x = self.batchnorm2(self.pool(x))
        for stage, conv in (("relu2", self.conv2), ("relu3", self.conv3), ("relu4", self.conv4)):
            x = F.relu(conv(x))
            keep(stage, x)
        x = F.avg_pool2d(pad_same(x, (2, 5), 2), (2, 5), 2)
        keep("avgpool", x)
        x = F.relu(self.fullyconnected(x.flatten(1)))
        keep("relufc", x)
        x = self.classification(F.dropout(x, 0.3, self.training))
        keep("final", x)
        return x


def tensors(network: CochCNN9) -> dict[str, Tensor]:
    """What is stored: the kernels that meet the input, float16; batch norms and biases, float32."""
    kept: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        module = network.get_submodule(name.rpartition(".")[0])
        if isinstance(module, Conv):
            value = module.kernel()
        wide = value.ndim > 1
        kept[name] = value.detach().to(torch.float16 if wide else torch.float32).contiguous()
    return kept
