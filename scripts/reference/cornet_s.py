"""CORnet-S (Kubilius et al., NeurIPS 2019), with the names of the published state dict."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Area(nn.Module):
    """A recurrent area with shared convolutions and batch normalization per step; the first step has stride 2."""

    def __init__(self, inputs: int, outputs: int, times: int, scale: int = 4) -> None:
        super().__init__()
        self.times = times
        wide = scale * outputs
        self.conv_input = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.skip = nn.Conv2d(outputs, outputs, 1, stride=2, bias=False)
        self.norm_skip = nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(outputs, wide, 1, bias=False)
        self.conv2 = nn.Conv2d(wide, wide, 3, padding=1, bias=False)
        self.conv3 = nn.Conv2d(wide, outputs, 1, bias=False)
        for time in range(times):
            self.add_module(f"norm1_{time}", nn.BatchNorm2d(wide))
            self.add_module(f"norm2_{time}", nn.BatchNorm2d(wide))
            self.add_module(f"norm3_{time}", nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_input(x)
        for time in range(self.times):
            norm1, norm2, norm3 = (self.get_submodule(f"norm{layer}_{time}") for layer in (1, 2, 3))
            stride = 2 if time == 0 else 1
            shortcut = self.norm_skip(self.skip(x)) if time == 0 else x
            y = F.relu(norm1(self.conv1(x)))
            y = F.relu(norm2(F.conv2d(y, self.conv2.weight, stride=stride, padding=1)))
            x = F.relu(norm3(self.conv3(y)) + shortcut)
        return x


class CORnetS(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.V1 = nn.Module()
        self.V1.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.V1.norm1 = nn.BatchNorm2d(64)
        self.V1.conv2 = nn.Conv2d(64, 64, 3, padding=1, bias=False)
        self.V1.norm2 = nn.BatchNorm2d(64)
        self.V2 = Area(64, 128, 2)
        self.V4 = Area(128, 256, 4)
        self.IT = Area(256, 512, 2)
        self.decoder = nn.Module()
        self.decoder.linear = nn.Linear(512, 1000)

    def stages(self, x: Tensor) -> dict[str, Tensor]:
        """Computes all stages for an image with ImageNet's normalization."""
        x = F.max_pool2d(F.relu(self.V1.norm1(self.V1.conv1(x))), 3, 2, 1)
        found = {"V1": F.relu(self.V1.norm2(self.V1.conv2(x)))}
        found["V2"] = self.V2(found["V1"])
        found["V4"] = self.V4(found["V2"])
        found["IT"] = self.IT(found["V4"])
        found["avgpool"] = found["IT"].mean((2, 3))
        found["logits"] = self.decoder.linear(found["avgpool"])
        return found
