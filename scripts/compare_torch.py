"""Our gradient evaluations beside PyTorch's, interleaved: a table of medians and their ratios, as Markdown.

    cargo bench --bench gradient --no-run
    python scripts/compare_torch.py [--threads 2] [--rounds 15] [--batches 1,4,8] [CASE ...]

A round times one evaluation of each: forward to the stage, norm of the difference to a target, gradient of the input, all
weights frozen. PyTorch runs eagerly, with channels last, and both with batch normalisation folded; the fastest counts. The floor
is the number of operations over the rate of PyTorch's matrix product, measured here.
Needs torch and torchvision.
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
from pathlib import Path

import numpy as np
import torch
import torchvision.models as models
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts" / "reference"))


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
    # The stage's values before its rectifier cost the same as after it.
    return lambda: nn.Sequential(*list(models.resnet50(weights=None).children())[:until])


class Hearing(nn.Module):
    """[batch, 40000] waveforms to what a network makes of their [batch, 1, 211, 390] cochleagrams."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        from hearing import STRIDE, TAPS, bank

        self.net, self.stride = net, STRIDE
        t = (np.arange(TAPS) - TAPS / 2) / STRIDE
        self.low_pass = torch.from_numpy(np.sinc(t) / STRIDE * np.kaiser(TAPS, 5)).float()[None, None]
        self.filters = torch.from_numpy(bank(50.0, 10_000.0)).float()

    def forward(self, x: Tensor) -> Tensor:
        from hearing import N, Positive, Power

        z = torch.fft.ifft(nn.functional.pad(self.filters * torch.fft.rfft(x)[:, None], (0, N // 2 - 1)))
        envelope = (z.real**2 + z.imag**2).clamp(min=1e-16).sqrt()
        low = nn.functional.conv1d(envelope.flatten(0, 1)[:, None], self.low_pass, stride=self.stride)
        y = Power.apply(Positive.apply(low[:, 0], True) + 1e-8, 5.0)
        return self.net(y.unflatten(0, (len(x), -1))[:, None])


def same(size: list[int], kernel: list[int], stride: int, value: float = 0.0) -> nn.Module:
    """Padding as TensorFlow's SAME has it."""
    pads: list[int] = []
    for side, width in zip(reversed(size), reversed(kernel)):
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


# Ours, the stage, PyTorch's module up to it, and the ratio aimed at.
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
    """Batch normalisation folded into the convolution before it, wherever the names tell which that is."""
    for child in module.modules():
        names = list(dict(child.named_children()))
        for first, second in zip(names, names[1:]):
            conv, norm = getattr(child, first), getattr(child, second)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(child, first, fuse_conv_bn_eval(conv, norm))
                setattr(child, second, nn.Identity())
    return module


def variants(make: Callable[[], nn.Module]) -> dict[str, tuple[nn.Module, torch.memory_format]]:
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
    begun = time.perf_counter()
    loss = torch.linalg.norm(net(x) - target) / scale
    loss.backward()
    x.grad = None
    return (time.perf_counter() - begun) * 1e3


def product_rate() -> float:
    """GFLOP/s of PyTorch's matrix product."""
    a, b = torch.rand(1536, 1536), torch.rand(1536, 1536)
    times = []
    for _ in range(12):
        begun = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - begun)
    return 2 * 1536**3 / min(times) / 1e9


def bench_binary() -> Path:
    found = (ROOT / "target" / "release" / "deps").glob("gradient-*")
    binaries = [path for path in found if path.suffix == "" and os.access(path, os.X_OK)]
    if not binaries:
        sys.exit("build it first: cargo bench --bench gradient --no-run")
    return max(binaries, key=lambda path: path.stat().st_mtime)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="part of a row's name; all without")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batches", default="1")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    environment = {**os.environ, "RAYON_NUM_THREADS": str(args.threads)}
    ours = subprocess.Popen(
        [bench_binary(), "--serve"], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    rate = product_rate()
    print(
        f"{args.threads} threads, medians of {args.rounds} interleaved rounds; "
        f"the floor assumes {rate:.0f} GFLOP/s, the rate of a matrix product of PyTorch {torch.__version__}\n"
    )
    print("| gradient evaluation | batch | ours ms | PyTorch ms | its fastest way | ratio | aim | floor ms |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, (network, stage, make, aim) in CASES.items():
        if args.cases and not any(part.lower() in name.lower() for part in args.cases):
            continue
        for batch in map(int, args.batches.split(",")):
            nets = variants(make)
            inputs = {}
            for way, (net, layout) in nets.items():
                sound = isinstance(net, Hearing)
                x = stimulus(sound, batch, layout).requires_grad_(True)
                with torch.no_grad():
                    target = net(stimulus(sound, batch, layout))
                inputs[way] = (x, target, torch.linalg.norm(target))
            times: dict[str, list[float]] = {way: [] for way in ["ours", *nets]}
            operations = 0.0
            for round_ in range(args.rounds + 2):
                for way in times:
                    # What spins after its work has gone to sleep by then.
                    time.sleep(0.01)
                    if way == "ours":
                        ours.stdin.write(f"{network} {stage} {batch}\n")
                        ours.stdin.flush()
                        milliseconds, operations = map(float, ours.stdout.readline().split())
                    else:
                        milliseconds = torch_step(nets[way][0], *inputs[way])
                    if round_ >= 2:
                        times[way].append(milliseconds)
            medians = {way: statistics.median(t) for way, t in times.items()}
            best = min(nets, key=medians.__getitem__)
            print(
                f"| {name} | {batch} | {medians['ours']:.1f} | {medians[best]:.1f} | {best} "
                f"| {medians['ours'] / medians[best]:.2f} | {aim:.2f} | {operations / rate / 1e6:.1f} |",
                flush=True,
            )
    ours.stdin.close()
    ours.wait()


if __name__ == "__main__":
    main()
