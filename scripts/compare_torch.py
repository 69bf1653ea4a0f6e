"""Compares the time of gradient evaluations with PyTorch's, as a Markdown table of medians and ratios.

    cargo bench --bench gradient --no-run
    python scripts/compare_torch.py [--threads 2] [--rounds 15] [--batches 1,4,8] [CASE ...]

A round times one evaluation in each program: forward to the stage, norm of the difference to a target, gradient with
respect to the input, with frozen weights. PyTorch runs eagerly, with channels last, and both with batch normalization
folded; its fastest variant counts. The floor is the number of operations divided by the measured rate of PyTorch's
matrix product. Needs torch and torchvision.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torchvision.models as models
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts" / "reference"))
WARM_UP = 2


class Lite0Features(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        from efficientnet_lite0 import Lite0

        self.net = Lite0()

    def forward(self, x: Tensor) -> Tensor:
        net = self.net
        y = nn.functional.relu6(net._bn0(net._conv_stem((255 * x - 127) / 128)))
        for block in net._blocks:
            y = block(y)
        return net._bn1(net._conv_head(y))


def resnet50(until: int) -> Callable[[], nn.Module]:
    # The stage before its ReLU takes as long as after it.
    return lambda: nn.Sequential(*list(models.resnet50(weights=None).children())[:until])


class Hearing(nn.Module):
    """A network on the [batch, 1, 211, 390] cochleagrams of [batch, 40000] waveforms."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        from hearing import STRIDE, TAPS, filter_bank

        self.net, self.stride = net, STRIDE
        t = (np.arange(TAPS) - TAPS / 2) / STRIDE
        self.low_pass = torch.from_numpy(np.sinc(t) / STRIDE * np.kaiser(TAPS, 5)).float()[None, None]
        self.filters = torch.from_numpy(filter_bank(50.0, 10_000.0)).float()

    def forward(self, x: Tensor) -> Tensor:
        from hearing import N, Positive, Power

        z = torch.fft.ifft(nn.functional.pad(self.filters * torch.fft.rfft(x)[:, None], (0, N // 2 - 1)))
        envelope = (z.real**2 + z.imag**2).clamp(min=1e-16).sqrt()
        low = nn.functional.conv1d(envelope.flatten(0, 1)[:, None], self.low_pass, stride=self.stride)
        y = Power.apply(Positive.apply(low[:, 0], True) + 1e-8, 5.0)
        return self.net(y.unflatten(0, (len(x), -1))[:, None])


def same(size: list[int], kernel: list[int], stride: int, value: float = 0.0) -> nn.Module:
    """Pads as TensorFlow's SAME does."""
    pads: list[int] = []
    for side, width in zip(reversed(size), reversed(kernel), strict=True):
        total = max((-(-side // stride) - 1) * stride + width - side, 0)
        pads += [total // 2, total - total // 2]
    return nn.ConstantPad2d(tuple(pads), value)


def cochcnn9() -> nn.Module:
    layers: list[nn.Module] = []
    size, channels = [211, 390], 1
    convolutions = [(96, [7, 14], 3), (256, [4, 8], 2), (512, [2, 5], 1), (1024, [2, 5], 1), (512, [2, 5], 1)]
    for index, (outputs, kernel, stride) in enumerate(convolutions):
        if index < 3:
            layers.append(nn.BatchNorm2d(channels))
        layers += [same(size, kernel, stride), nn.Conv2d(channels, outputs, kernel, stride, bias=False), nn.ReLU()]
        size, channels = [-(-side // stride) for side in size], outputs
        if index < 2:
            layers += [same(size, [2, 5], 2, float("-inf")), nn.MaxPool2d((2, 5), 2)]
            size = [-(-side // 2) for side in size]
    return Hearing(nn.Sequential(*layers))


def cochresnet50() -> nn.Module:
    body = list(models.resnet50(weights=None).children())[:-2]
    return Hearing(nn.Sequential(nn.Conv2d(1, 64, 7, 2, 3, bias=False), *body[1:]))


# Name of our network, stage, PyTorch's module up to the stage, target ratio.
CASES: dict[str, tuple[str, str, Callable[[], nn.Module], float]] = {
    "EfficientNet-Lite0 features": ("efficientnet_lite0", "features", Lite0Features, 0.45),
    "AlexNet conv5": ("alexnet", "conv5", lambda: models.alexnet(weights=None).features[:12], 0.60),
    "VGG-16 conv5_3": ("vgg16", "conv5_3", lambda: models.vgg16(weights=None).features[:30], 0.40),
    "VGG-19 conv5_4": ("vgg19", "conv5_4", lambda: models.vgg19(weights=None).features[:36], 0.40),
    "ResNet-50 layer4": ("resnet50", "layer4", resnet50(-2), 0.60),
    "CochCNN9 relu4": ("cochcnn9", "relu4", cochcnn9, 0.60),
    "CochResNet50 layer4": ("cochresnet50", "layer4", cochresnet50, 0.60),
}


def fold(module: nn.Module) -> nn.Module:
    """Folds batch normalizations into the convolutions that directly precede them."""
    for child in module.modules():
        names = list(dict(child.named_children()))
        for first, second in pairwise(names):
            conv, norm = getattr(child, first), getattr(child, second)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(child, first, fuse_conv_bn_eval(conv, norm))
                setattr(child, second, nn.Identity())
    return module


def variants(make: Callable[[], nn.Module]) -> dict[str, tuple[nn.Module, torch.memory_format]]:
    """Returns the variants of a network with their memory formats: eager or channels last, folded or not."""
    plain = make().eval()
    for parameter in plain.parameters():
        parameter.requires_grad_(False)
    found: dict[str, tuple[nn.Module, torch.memory_format]] = {}
    has_norm = any(isinstance(m, nn.BatchNorm2d) for m in plain.modules())
    for folded in [False, True] if has_norm else [False]:
        for last in [False, True]:
            net = copy.deepcopy(plain)
            net = fold(net) if folded else net
            layout = torch.channels_last if last else torch.contiguous_format
            name = ("folded " if folded else "") + ("channels last" if last else "eager")
            found[name] = (net.to(memory_format=layout), layout)
    return found


def stimulus(sound: bool, batch: int, layout: torch.memory_format) -> Tensor:
    return torch.rand(batch, 40_000) - 0.5 if sound else torch.rand(batch, 3, 224, 224).to(memory_format=layout)


def torch_step(net: nn.Module, x: Tensor, target: Tensor, scale: Tensor) -> float:
    """Returns the milliseconds of one gradient evaluation in PyTorch."""
    start = time.perf_counter()
    loss = torch.linalg.norm(net(x) - target) / scale
    loss.backward()
    x.grad = None
    return (time.perf_counter() - start) * 1e3


def matmul_rate() -> float:
    """Measures the GFLOP/s of PyTorch's matrix product."""
    a, b = torch.rand(1536, 1536), torch.rand(1536, 1536)
    times = []
    for _ in range(12):
        start = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - start)
    return 2 * 1536**3 / min(times) / 1e9


def bench_binary() -> Path:
    found = (ROOT / "target" / "release" / "deps").glob("gradient-*")
    binaries = [path for path in found if path.suffix == "" and os.access(path, os.X_OK)]
    if not binaries:
        sys.exit("error: build the benchmark first: cargo bench --bench gradient --no-run")
    return max(binaries, key=lambda path: path.stat().st_mtime)


def measure(
    ours: subprocess.Popen[str], request: str, nets: dict[str, tuple[nn.Module, torch.memory_format]], rounds: int
) -> tuple[dict[str, float], float]:
    """Times interleaved rounds; returns the median milliseconds of each program and the number of operations."""
    batch = int(request.split()[-1])
    inputs = {}
    for variant, (net, layout) in nets.items():
        sound = isinstance(net, Hearing)
        x = stimulus(sound, batch, layout).requires_grad_(True)
        with torch.no_grad():
            target = net(stimulus(sound, batch, layout))
        inputs[variant] = (x, target, torch.linalg.norm(target))
    times: dict[str, list[float]] = {name: [] for name in ["ours", *nets]}
    operations = 0.0
    for index in range(rounds + WARM_UP):
        for name, measured in times.items():
            # Idle threads that spin for work have gone to sleep by then.
            time.sleep(0.01)
            if name == "ours":
                ours.stdin.write(f"{request}\n")
                ours.stdin.flush()
                milliseconds, operations = map(float, ours.stdout.readline().split())
            else:
                milliseconds = torch_step(nets[name][0], *inputs[name])
            if index >= WARM_UP:
                measured.append(milliseconds)
    return {name: statistics.median(measured) for name, measured in times.items()}, operations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="part of a row's name; by default all rows")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batches", default="1", help="batch sizes, separated by commas")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    environment = {**os.environ, "RAYON_NUM_THREADS": str(arguments.threads)}
    ours = subprocess.Popen(
        [bench_binary(), "--serve"], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    rate = matmul_rate()
    print(
        f"{arguments.threads} threads, medians of {arguments.rounds} interleaved rounds; "
        f"the floor assumes {rate:.0f} GFLOP/s, the rate of a matrix product of PyTorch {torch.__version__}\n"
    )
    print("| gradient evaluation | batch | ours ms | PyTorch ms | fastest variant | ratio | target | floor ms |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, (network, stage, make, target) in CASES.items():
        if arguments.cases and not any(part.lower() in name.lower() for part in arguments.cases):
            continue
        for batch in map(int, arguments.batches.split(",")):
            nets = variants(make)
            medians, operations = measure(ours, f"{network} {stage} {batch}", nets, arguments.rounds)
            best = min(nets, key=medians.__getitem__)
            print(
                f"| {name} | {batch} | {medians['ours']:.1f} | {medians[best]:.1f} | {best} "
                f"| {medians['ours'] / medians[best]:.2f} | {target:.2f} | {operations / rate / 1e6:.1f} |",
                flush=True,
            )
    ours.stdin.close()
    ours.wait()


if __name__ == "__main__":
    main()
