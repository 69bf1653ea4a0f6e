"""ResNet-101-V2 (He et al., ECCV 2016) as in TF-slim's resnet_v2_101, with the tensor names of src/zoo/resnet_v2.rs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvNormRelu(nn.Conv2d):
    """A convolution without bias, batch normalization and ReLU."""

    def __init__(self, inputs: int, outputs: int, side: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, side, stride, padding=side // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(super().forward(x)))


class Unit(nn.Module):
    def __init__(self, inputs: int, narrow: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.preact = nn.BatchNorm2d(inputs, eps=1e-5)
        self.conv1 = ConvNormRelu(inputs, narrow, 1)
        self.conv2 = ConvNormRelu(narrow, narrow, 3, stride)
        self.conv3 = nn.Conv2d(narrow, 4 * narrow, 1)
        self.shortcut = nn.Conv2d(inputs, 4 * narrow, 1, stride) if inputs != 4 * narrow else None

    def forward(self, x: Tensor) -> Tensor:
        before = F.relu(self.preact(x))
        shortcut = x[:, :, :: self.stride, :: self.stride] if self.shortcut is None else self.shortcut(before)
        return shortcut + self.conv3(self.conv2(self.conv1(before)))


class ResNetV2(nn.Module):
    def __init__(self, units: tuple[int, ...] = (3, 4, 23, 3), classes: int = 1001) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        inputs = 64
        for block, count in enumerate(units):
            narrow = 64 << block
            parts = nn.ModuleDict()
            for index in range(1, count + 1):
                stride = 2 if index == count and block < 3 else 1
                parts[f"unit_{index}"] = Unit(inputs, narrow, stride)
                inputs = 4 * narrow
            setattr(self, f"block{block + 1}", parts)
        self.postnorm = nn.BatchNorm2d(inputs, eps=1e-5)
        self.logits = nn.Conv2d(inputs, classes, 1)

    def stages(self, x: Tensor) -> dict[str, Tensor]:
        """Computes all stages for an image in [0, 1]."""
        x = self.conv1(2 * x - 1)
        found = {"conv1": x}
        # TensorFlow's SAME for a window of 3 and stride 2 pads an image of even size by a row and a column at the end.
        assert x.shape[2] % 2 == 0 and x.shape[3] % 2 == 0
        x = F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2)
        for block in ["block1", "block2", "block3", "block4"]:
            for unit in getattr(self, block).values():
                x = unit(x)
            found[block] = x
        found["global_pool"] = F.relu(self.postnorm(x)).mean((2, 3))
        found["logits"] = self.logits(found["global_pool"][:, :, None, None])[:, :, 0, 0]
        return found
